"""File systems that rename without looking first (FUSE, NFS): names are still not taken away."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from storage.errors import AlreadyExists, IsFolder
from storage.landing import NEW
from storage.local import LocalStorage
from storage.names import parse_os_path
from storage.writing import Writing
from tests.frozen_mount import frozen_mount


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A root with an sshfs in it, and a file, two folders and an empty one there."""
    with frozen_mount(tmp_path / "root" / "nas") as mount:
        (mount.source / "old" / "deep").mkdir(parents=True)
        (mount.source / "full" / "deep").mkdir(parents=True)
        (mount.source / "file").write_bytes(b"file")
        yield tmp_path / "root"


def on_storage(root: Path, use: Callable[[Writing], Awaitable[object]]) -> None:
    async def run() -> None:
        storage = LocalStorage(root, deadline_seconds=60.0)
        await storage.start()
        try:
            await use(Writing(storage))
        finally:
            await storage.close()

    asyncio.run(run())


def move(root: Path, old: str, new: str) -> None:
    names = parse_os_path(f"nas/{old}"), parse_os_path(f"nas/{new}")
    on_storage(root, lambda writing: writing.move(*names, NEW, None))


def test_folders_and_files_are_moved(root: Path) -> None:
    move(root, "old", "new/place")
    move(root, "file", "new/file")
    assert (root / "nas/new/place/deep").is_dir()
    assert (root / "nas/new/file").read_bytes() == b"file"
    assert not (root / "nas/old").exists()


@pytest.mark.parametrize("taken", ["file", "full"])
def test_what_has_the_name_stays(root: Path, taken: str) -> None:
    with pytest.raises((AlreadyExists, IsFolder)):
        move(root, "old", taken)
    assert (root / "nas/old/deep").is_dir()
    assert (root / "nas/full/deep").is_dir()
    assert (root / "nas/file").read_bytes() == b"file"
