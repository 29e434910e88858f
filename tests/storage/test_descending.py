"""A folder with all that is below it."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.descending import Part
from storage.errors import AccessDenied, NotAFolder, NotFound, StorageError, Unavailable
from storage.folders import Folder, Wanted
from storage.local import HiddenNames, LocalStorage
from storage.names import Name, parse_os_path
from storage.ordering import BY_NAME, Direction, Order, SortKey
from tests.descriptors import open_descriptors
from tests.frozen_mount import frozen_mount

pytestmark = pytest.mark.usefixtures("opener")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Folders in folders, and links that would lead in circles."""
    for path in ("b/y/deep", "b/x", "A", ".hidden/z"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("b/file", "b/y/deep/file", "b/y/one", "A/file", "file", ".hidden/file"):
        (tmp_path / path).touch()
    (tmp_path / "b" / "y" / "up").symlink_to("../..")
    (tmp_path / "to-b").symlink_to("b")
    return tmp_path


async def _parts(
    storage: LocalStorage, path: str, order: Order, wanted: Wanted | None
) -> list[Part]:
    try:
        return [part async for part in storage.descend(parse_os_path(path), order, wanted)]
    finally:
        await storage.close()


def below(
    top: Path,
    path: str = ".",
    order: Order = BY_NAME,
    wanted: Wanted | None = None,
    hidden: HiddenNames = HiddenNames.REFUSE,
) -> list[str]:
    """The paths of all entries as they come."""
    storage = LocalStorage(top, hidden=hidden)
    parts = asyncio.run(_parts(storage, path, order, wanted))
    assert [part.trouble for part in parts if part.trouble] == []
    return [
        os.fsdecode(part.folder.child(entry.segment).relative)
        for part in parts
        for entry in part.entries
    ]


def test_folders_come_one_after_the_other_depth_first(top: Path) -> None:
    assert below(top) == [
        "A", "b", "to-b", "file",
        "A/file",
        "b/x", "b/y", "b/file",
        "b/y/deep", "b/y/up", "b/y/one",
        "b/y/deep/file",
    ]  # fmt: skip


def test_a_link_to_a_folder_is_listed_and_entered_only_when_it_is_asked_for(top: Path) -> None:
    assert below(top, "b/y/up") == [
        f"b/y/up/{path}"
        for path in (
            "A", "b", "to-b", "file",
            "A/file",
            "b/x", "b/y", "b/file",
            "b/y/deep", "b/y/up", "b/y/one",
            "b/y/deep/file",
        )
    ]  # fmt: skip


def test_hidden_folders_are_entered_where_they_are_shown(top: Path) -> None:
    assert ".hidden/z" in below(top, hidden=HiddenNames.SHOW)


def test_each_folder_is_sorted_for_itself(top: Path) -> None:
    order = Order(SortKey.NAME, Direction.DESCENDING)
    assert below(top, "b", order) == [
        "b/y", "b/x", "b/file", "b/y/up", "b/y/deep", "b/y/one", "b/y/deep/file",
    ]  # fmt: skip


def test_folders_of_unwanted_names_are_entered(top: Path) -> None:
    assert below(top, wanted=lambda name: name in ("deep", "one")) == ["b/y/deep", "b/y/one"]


def test_the_first_part_comes_before_anything_is_found(top: Path) -> None:
    storage = LocalStorage(top)
    parts = asyncio.run(_parts(storage, ".", BY_NAME, lambda _name: False))
    assert parts == [Part(Name(()), [])]


TOPS = [
    ("gone", NotFound, "missing"),
    ("file", NotAFolder, "file"),
    (".hidden", NotFound, "hidden"),
]


@pytest.mark.parametrize(("path", "error"), [r[:2] for r in TOPS], ids=[r[2] for r in TOPS])
def test_what_is_no_folder_is_refused(top: Path, path: str, error: type[StorageError]) -> None:
    with pytest.raises(error):
        below(top, path)


class PartlyBroken(LocalStorage):
    """A tree in which some folders cannot be opened."""

    errors: dict[str, StorageError]

    async def _open_folder(self, name: Name) -> Folder:
        error = self.errors.get(os.fsdecode(name.relative))
        if error is not None:
            raise error
        return await super()._open_folder(name)


def test_a_folder_that_cannot_be_read_is_told_of_and_the_others_follow(top: Path) -> None:
    storage = PartlyBroken(top)
    denied, dead = AccessDenied("A: permission denied"), Unavailable("b/y: no answer")
    storage.errors = {"A": denied, "b/y": dead, "b/x": NotFound("b/x: vanished")}
    parts = asyncio.run(_parts(storage, ".", BY_NAME, None))
    troubles = [(part.folder.relative, part.trouble) for part in parts if part.trouble]
    assert troubles == [(b"A", denied), (b"b/y", dead)]
    assert [part.folder.relative for part in parts if part.entries] == [b".", b"b"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_folder_without_permission_is_told_of(top: Path) -> None:
    (top / "A").chmod(0)
    parts = asyncio.run(_parts(LocalStorage(top), ".", BY_NAME, None))
    assert [type(part.trouble) for part in parts if part.trouble] == [AccessDenied]
    (top / "A").chmod(0o700)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """24 folders of 250 bytes in one another: deeper than any name may be."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(24):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_the_descent_ends_where_names_become_too_long(deep: Path) -> None:
    # 16 names of 250 bytes with slashes between them are 4,015 bytes; 17 would be 4,266.
    parts = asyncio.run(_parts(LocalStorage(deep), ".", BY_NAME, None))
    depths = [len(part.folder.segments) for part in parts if part.entries]
    assert depths == list(range(17))


def test_a_thousand_folders_leave_nothing_open(tmp_path: Path) -> None:
    for number in range(1_000):
        (tmp_path / f"{number:04}" / "in").mkdir(parents=True)
    before = open_descriptors()
    paths = below(tmp_path)
    assert len(paths) == 2_000
    assert paths[1_000:1_003] == ["0000/in", "0001/in", "0002/in"]
    assert open_descriptors() <= before + 1


def test_another_mount_is_entered(
    top: Path, tmp_path_factory: pytest.TempPathFactory, bind_mount: Callable[[Path, Path], None]
) -> None:
    disk = tmp_path_factory.mktemp("disk")
    (disk / "film").touch()
    bind_mount(disk, top / "A")
    assert below(top)[4] == "A/film"


def test_a_mount_that_hangs_is_told_of_and_the_others_follow(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "z").mkdir(parents=True)
    (root / "z" / "file").touch()

    async def scenario() -> list[Part]:
        storage = LocalStorage(root, deadline_seconds=0.5)
        try:
            return [part async for part in storage.descend(Name(()))]
        finally:
            await storage.close()

    with frozen_mount(root / "nas") as mount:
        (mount.source / "film").touch()
        mount.freeze()
        parts = asyncio.run(scenario())
    troubles = [(part.folder.last, type(part.trouble)) for part in parts if part.trouble]
    assert troubles == [(b"nas", Unavailable)]
    assert [entry.segment for part in parts for entry in part.entries] == [b"nas", b"z", b"file"]
