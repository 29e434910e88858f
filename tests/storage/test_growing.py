"""What a second look at an open file tells: it grew, shrank, was replaced, or is gone."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import AccessDenied
from storage.growing import Fate, Sight, look_again
from storage.local import LocalStorage
from storage.names import Name
from tests.descriptors import nothing_left_open

NAME = Name((b"growing.log",))


def sight_after(root: Path, change: Callable[[Path], None]) -> Sight:
    """What is seen of a file of ten bytes, opened before change."""
    path = root / "growing.log"
    path.write_bytes(b"0123456789")

    async def run() -> Sight:
        storage = LocalStorage(root)
        blob = await storage.open(NAME)
        try:
            change(path)
            return await look_again(storage, NAME, blob)
        finally:
            await blob.close()
            await storage.close()

    return asyncio.run(run())


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"abc")


def replace_by_rename(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"0123456789")
    new.rename(path)


def recreate(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"0123456789")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def rename_away(path: Path) -> None:
    path.rename(path.with_name("old"))


def rename_and_link(path: Path) -> None:
    path.rename(path.with_name("old"))
    path.symlink_to("old")


SIGHTS = [
    (lambda path: None, Sight(Fate.HERE, 10), "nothing-happened"),
    (append, Sight(Fate.HERE, 13), "grew"),
    (lambda path: os.truncate(path, 4), Sight(Fate.HERE, 4), "shrank"),
    (rename_and_link, Sight(Fate.HERE, 10), "same-file-by-another-way"),
    (replace_by_rename, Sight(Fate.REPLACED), "renamed-over"),
    (recreate, Sight(Fate.REPLACED), "deleted-and-made-anew"),
    (make_folder, Sight(Fate.REPLACED), "a-folder-in-its-place"),
    (lambda path: path.unlink(), Sight(Fate.DELETED), "deleted"),
    (rename_away, Sight(Fate.DELETED), "renamed-away"),
]


@pytest.mark.parametrize(
    ("change", "sight"), [row[:2] for row in SIGHTS], ids=[row[2] for row in SIGHTS]
)
def test_a_look_tells_what_became_of_the_file(
    tmp_path: Path, change: Callable[[Path], None], sight: Sight
) -> None:
    assert sight_after(tmp_path, change) == sight


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_any_more_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied):
        sight_after(tmp_path, lambda path: path.chmod(0))


def test_looking_leaves_no_descriptor_open(tmp_path: Path) -> None:
    with nothing_left_open():
        for change, _sight, _id in SIGHTS[:2]:
            sight_after(tmp_path, change)
