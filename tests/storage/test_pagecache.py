"""Whether bytes are in the page cache, and reading them in: windows, boundaries, file systems."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.pagecache import PROBE_EVERY_BYTES, Residency, is_resident, warm
from tests.frozen_mount import frozen_mount
from tests.page_cache import evict

SUB = PROBE_EVERY_BYTES
FILE_BYTES = 8 * SUB
MEMORY = Path("/dev/shm")


@pytest.fixture
def cold_file(file: int) -> int:
    """The same file, not in memory; skips the test where the file system is memory."""
    if not evict(file):
        pytest.skip("this file system gives no cold files: cold windows are NOT TESTED")
    return file


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """An open file of eight sub-windows, on disk and clean, so that it can be evicted."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(FILE_BYTES))
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    yield descriptor
    os.close(descriptor)


WINDOWS = [
    # offset         length      id
    (0,              1,          "first-byte"),
    (0,              SUB,        "one-sub-window"),
    (0,              SUB + 1,    "one-byte-more"),
    (SUB - 1,        2,          "across-a-boundary"),
    (5,              FILE_BYTES, "past-the-end"),
    (FILE_BYTES - 1, 1,          "last-byte"),
    (FILE_BYTES,     1,          "at-the-end"),
    (2**40,          SUB,        "far-past-the-end"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("offset", "length"), [r[:2] for r in WINDOWS], ids=[r[2] for r in WINDOWS]
)
def test_a_file_just_read_is_hot(file: int, offset: int, length: int) -> None:
    # Where memory is short, it may be gone again at once.
    for _ in range(100):
        os.pread(file, FILE_BYTES, 0)
        found = is_resident(file, offset, length)
        if found is Residency.HOT:
            break
    assert found is Residency.HOT


def test_an_evicted_file_is_cold_and_warming_makes_it_hot(cold_file: int) -> None:
    assert residency_without(cold_file, set(range(8))) is Residency.COLD
    asyncio.run(warm(cold_file, 0, FILE_BYTES))
    assert is_resident(cold_file, 0, FILE_BYTES) is Residency.HOT


@pytest.mark.parametrize("cold", [0, 1, 3, 6, 7])
def test_one_cold_sub_window_makes_the_window_cold(cold_file: int, cold: int) -> None:
    assert residency_without(cold_file, {cold}) is Residency.COLD


def residency_without(file: int, cold: set[int]) -> Residency:
    """What is told of the whole file where these sub-windows of it are not in memory.

    The kernel asks the disk for what it is asked about and does not have: a look that is held up
    just then finds it there.
    """
    for _ in range(100):
        evict(file)
        for part in set(range(8)) - cold:
            os.pread(file, SUB, part * SUB)
        found = is_resident(file, 0, FILE_BYTES)
        if found is Residency.COLD:
            break
    return found


def test_warming_past_the_end_stops_there(file: int) -> None:
    asyncio.run(warm(file, FILE_BYTES - 1, 10 * SUB))


def test_warming_a_bad_descriptor_raises() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        asyncio.run(warm(2**30, 0, 1))


def test_warming_starts_in_daemon_threads_only(file: int) -> None:
    asyncio.run(warm(file, 0, 1))
    assert all(
        thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()
    )


def test_cancelled_warming_has_let_go_of_the_file() -> None:
    async def scenario(reader: int, writer: int) -> None:
        # A pipe cannot be pread: the thread ends at once; what matters is that nothing is left.
        task = asyncio.create_task(warm(reader, 0, FILE_BYTES))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, OSError)):
            await task
        os.close(reader)
        os.close(writer)

    asyncio.run(scenario(*os.pipe()))


@pytest.mark.skipif(not MEMORY.is_dir(), reason="no tmpfs: NOT TESTED")
def test_tmpfs_knows_no_probe_and_is_hot() -> None:
    path = MEMORY / f"pagecache-{os.getpid()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        path.unlink()
        os.pwrite(descriptor, b"x", SUB)
        assert is_resident(descriptor, 0, SUB) is Residency.HOT
    finally:
        os.close(descriptor)


def test_fuse_cannot_tell_also_while_it_hangs(tmp_path: Path) -> None:
    with frozen_mount(tmp_path / "nas") as mount:
        (mount.source / "file").write_bytes(b"x" * SUB)
        descriptor = os.open(mount.point / "file", os.O_RDONLY)
        mount.freeze()
        assert is_resident(descriptor, 0, SUB) is Residency.UNKNOWN
        mount.thaw()
        os.close(descriptor)
