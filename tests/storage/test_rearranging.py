"""What is removed or moved takes nothing along that lies on another file system."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from storage.errors import AccessDenied, AlreadyExists
from storage.landing import NEW
from storage.library import Scope
from storage.local import LocalStorage
from storage.names import parse_os_path
from storage.writing import Writing

pytestmark = pytest.mark.usefixtures("opener", "no_leaks")


@pytest.fixture
def root(tmp_path: Path, bind_mount: Callable[[Path, Path], None]) -> Path:
    """A root with a disk at real/films/disk, where link leads to real."""
    root, disk = tmp_path / "root", tmp_path / "disk"
    (root / "real" / "films" / "disk").mkdir(parents=True)
    (root / "link").symlink_to("real")
    disk.mkdir()
    (disk / "precious").write_bytes(b"precious")
    bind_mount(disk, root / "real" / "films" / "disk")
    return root


def on_storage(root: Path, use: Callable[[Writing], Awaitable[object]]) -> None:
    async def run() -> None:
        storage = LocalStorage(root)
        try:
            await use(Writing(storage))
        finally:
            await storage.close()

    asyncio.run(run())


NAMES = ["real/films", "link/films", "real", "real/films/disk"]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_with_a_mount_in_it_is_not_removed(root: Path, name: str) -> None:
    with pytest.raises((AccessDenied, AlreadyExists)):
        on_storage(root, lambda writing: writing.remove(parse_os_path(name), Scope.TREE, None))
    assert (root / "real/films/disk/precious").read_bytes() == b"precious"


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_with_a_mount_in_it_is_not_moved(root: Path, name: str) -> None:
    new = parse_os_path("elsewhere")
    with pytest.raises((AccessDenied, AlreadyExists)):
        on_storage(root, lambda writing: writing.move(parse_os_path(name), new, NEW, None))
    assert (root / "real/films/disk/precious").read_bytes() == b"precious"


def test_a_folder_is_not_moved_into_itself_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "link").symlink_to("films")
    old, new = parse_os_path("films"), parse_os_path("link/films")
    with pytest.raises(AlreadyExists, match="into itself"):
        on_storage(tmp_path, lambda writing: writing.move(old, new, NEW, None))
    assert (tmp_path / "films").is_dir()
