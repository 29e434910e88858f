"""What all files may have together: counted on the disk, claimed by those under way."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.errors import NoSpace
from storage.incoming import Incoming
from storage.landing import NEW
from storage.local import LocalStorage
from storage.names import parse_os_path
from storage.quota import Quota, bytes_below
from storage.writing import Writing

LIMIT = 1_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with 700 bytes in it, and links to a file that does not count."""
    folder = tmp_path / "root"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "file").write_bytes(bytes(300))
    (folder / "deep" / "er" / "file").write_bytes(bytes(400))
    (tmp_path / "outside").write_bytes(bytes(5_000))
    (folder / "link").symlink_to("../outside")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture
def quota(root: Path) -> Iterator[Quota]:
    fd = os.open(root, os.O_RDONLY)
    yield Quota(fd, LIMIT)
    os.close(fd)


def test_files_count_and_nothing_else(root: Path) -> None:
    fd = os.open(root, os.O_RDONLY)
    try:
        assert bytes_below(fd) == 700
    finally:
        os.close(fd)


def test_what_is_under_way_counts(quota: Quota) -> None:
    quota.take(300)
    with pytest.raises(NoSpace):
        quota.take(1)
    quota.give_back(100)
    quota.take(100)
    quota.settle(300)
    with pytest.raises(NoSpace):
        quota.require(1)


def test_nobody_is_refused_by_an_old_count(
    quota: Quota, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota.require(300)
    (root / "file").unlink()
    monkeypatch.setattr("storage.quota._FRESH_SECONDS", 0.0)
    quota.require(600)


def receive(root: Path, use: Callable[[Incoming], None], name: str = "new") -> None:
    async def run() -> None:
        storage = LocalStorage(root)
        incoming = await Writing(storage, LIMIT).receive(parse_os_path(name))
        try:
            use(incoming)
        finally:
            incoming.abort()
            await storage.close()

    asyncio.run(run())


def test_a_file_may_fill_the_quota_and_not_exceed_it(root: Path) -> None:
    def fill(incoming: Incoming) -> None:
        incoming.reserve(200)
        incoming.write([bytes(200), bytes(100)])
        with pytest.raises(NoSpace):
            incoming.write([b"1"])
        incoming.commit(NEW)

    receive(root, fill)
    assert (root / "new").stat().st_size == 300


def test_a_file_that_is_given_up_gives_its_claim_back(root: Path) -> None:
    async def run() -> None:
        storage = LocalStorage(root)
        writing = Writing(storage, LIMIT)
        for _ in range(3):
            incoming = await writing.receive(parse_os_path("new"))
            incoming.reserve(300)
            incoming.abort()
        await storage.close()

    asyncio.run(run())


def test_more_than_the_quota_is_refused_before_a_byte_comes(root: Path) -> None:
    def reserve(incoming: Incoming) -> None:
        with pytest.raises(NoSpace):
            incoming.reserve(301)

    receive(root, reserve)
    assert not (root / "new").exists()


def test_a_staged_file_counts_once_while_it_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS and FUSE, which know no files without a name."""
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)
    monkeypatch.setattr("storage.quota._FRESH_SECONDS", 0.0)

    async def run() -> None:
        storage = LocalStorage(root)
        writing = Writing(storage, LIMIT)
        first, second = [await writing.receive(parse_os_path(name)) for name in ("a", "b")]
        first.reserve(200)
        first.write([bytes(150)])
        second.reserve(100)
        with pytest.raises(NoSpace):
            second.write([bytes(101)])
        for incoming in (first, second):
            incoming.abort()
        await storage.close()

    asyncio.run(run())
