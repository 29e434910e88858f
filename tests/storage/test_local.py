"""A folder tree as storage: what is opened, read and looked at."""

import asyncio
import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from storage.blob import fingerprint_of
from storage.errors import AccessDenied, IsFolder, NotAFolder, NotFound, StorageError, Unavailable
from storage.local import Blob, Entry, EntryKind, LocalStorage
from storage.names import Name, parse_os_path
from tests.descriptors import nothing_left_open, open_descriptors
from tests.storage.local_folder import ROOT, contents, until

pytestmark = pytest.mark.usefixtures("opener")

OPENED = [
    # name            result              id
    ("film.mkv",      b"0123456789",      "file"),
    ("empty",         b"",                "empty-file"),
    ("folder/inner",  b"inner",           "in-a-folder"),
    ("link",          b"0123456789",      "link"),
    ("to-folder/inner", b"inner",         "through-a-linked-folder"),
    ("published",     b"x",               "visible-link-to-a-hidden-name"),
    (".hidden",       NotFound,           "hidden"),
    (".secret/x",     NotFound,           "in-a-hidden-folder"),
    ("nothing",       NotFound,           "missing"),
    ("film.mkv/x",    NotFound,           "below-a-file"),
    ("out",           NotFound,           "link-out"),
    ("absolute",      NotFound,           "absolute-link"),
    ("dangling",      NotFound,           "dangling-link"),
    ("fifo",          NotFound,           "fifo"),
    ("folder",        IsFolder,           "folder"),
    (".",             IsFolder,           "the-root"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "result"), [r[:2] for r in OPENED], ids=[r[2] for r in OPENED])
def test_open_gives_regular_files_and_nothing_else(
    top: Path, path: str, result: bytes | type[StorageError]
) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        if isinstance(result, bytes):
            assert await contents(storage, path) == result
        else:
            with pytest.raises(result):
                await contents(storage, path)
        await storage.close()

    with nothing_left_open():
        asyncio.run(scenario())


def test_sockets_and_devices_are_not_found(top: Path) -> None:
    if os.geteuid() == 0:
        os.mknod(top / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(top / "socket"))

        async def scenario() -> None:
            storage = LocalStorage(top)
            for path in ("socket", "device"):
                for ask in (storage.open, storage.look):
                    with pytest.raises(NotFound):
                        await ask(parse_os_path(path))
            await storage.close()

        asyncio.run(scenario())


def test_opening_locally_suspends_nothing_and_starts_no_thread(top: Path) -> None:
    async def scenario() -> None:
        threads = set(threading.enumerate())
        storage = LocalStorage(top)
        opening = storage.open(Name((b"film.mkv",)))
        with pytest.raises(StopIteration) as finished:
            opening.send(None)
        blob: Blob = finished.value.value
        with pytest.raises(StopIteration):
            blob.close().send(None)
        assert set(threading.enumerate()) <= threads
        await storage.close()

    asyncio.run(scenario())


def test_a_blob_tells_the_fingerprint_of_what_is_open(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        blob = await storage.open(Name((b"film.mkv",)))
        (top / "film.mkv").unlink()
        status = os.fstat(blob.fileno())
        found = blob.fingerprint
        assert (found.size, found.inode) == (10, status.st_ino)
        assert found.modified_ns == status.st_mtime_ns
        assert blob.complete_length == 10
        assert blob.zero_copy
        await blob.close()
        await storage.close()

    asyncio.run(scenario())


READS = [
    # offset  length  bytes            id
    (0,       10,     b"0123456789",   "all"),
    (0,       1,      b"0",            "first-byte"),
    (9,       1,      b"9",            "last-byte"),
    (8,       100,    b"89",           "past-the-end"),
    (10,      1,      b"",             "at-the-end"),
    (2**40,   1,      b"",             "far-past-the-end"),
    (3,       4,      b"3456",         "in-the-middle"),
]  # fmt: skip


def test_read_gives_the_bytes_at_an_offset_in_any_order(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        blob = await storage.open(Name((b"film.mkv",)))
        for offset, length, expected, _ in READS:
            assert await blob.read(offset, length) == expected
        await blob.close()
        with pytest.raises(ValueError, match="closed"):
            await blob.read(0, 1)
        await storage.close()

    asyncio.run(scenario())


def test_closing_twice_closes_nobody_elses_file(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        blob = await storage.open(Name((b"film.mkv",)))
        number = blob.fileno()
        await blob.close()
        other = os.open(top / "empty", os.O_RDONLY)
        if other != number:
            os.dup2(other, number)
            os.close(other)
        await blob.close()
        os.fstat(number)
        os.close(number)
        await storage.close()

    asyncio.run(scenario())


def test_a_deleted_file_is_closed_in_a_thread(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        before = open_descriptors()
        blob = await storage.open(Name((b"film.mkv",)))
        (top / "film.mkv").unlink()
        assert await blob.read(0, 3) == b"012"
        await blob.close()
        names = {thread.name for thread in threading.enumerate()}
        assert "storage local folders" in names
        await until(lambda: open_descriptors() <= before)
        await storage.close()

    asyncio.run(scenario())


def test_adopting_what_is_no_file_closes_it(tmp_path: Path) -> None:
    with nothing_left_open():
        with pytest.raises(IsFolder, match="downloads"):
            Blob.adopt(os.open(tmp_path, os.O_RDONLY), "downloads")
        reader, writer = os.pipe()
        with pytest.raises(NotFound):
            Blob.adopt(reader, "a pipe")
        os.close(writer)


def test_look_tells_what_a_name_means(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        status = (top / "film.mkv").stat()
        state = fingerprint_of(status)
        file = Entry(b"link", EntryKind.FILE, 10, status.st_mtime_ns, state)
        assert await storage.look(Name((b"link",))) == file
        assert (await storage.look(Name((b"folder",)))).kind is EntryKind.FOLDER
        assert (await storage.look(ROOT)).kind is EntryKind.FOLDER
        for path in ("nothing", "fifo", "out", ".hidden"):
            with pytest.raises(NotFound):
                await storage.look(parse_os_path(path))
        await storage.close()

    asyncio.run(scenario())


ROOTS = [
    # root            error       id
    ("nothing",       NotFound,   "missing"),
    ("film.mkv",      NotAFolder, "file"),
    ("film.mkv/x",    NotAFolder, "below-a-file"),
]  # fmt: skip


@pytest.mark.parametrize(("root", "error"), [r[:2] for r in ROOTS], ids=[r[2] for r in ROOTS])
def test_a_root_that_cannot_be_served_is_named(
    top: Path, root: str, error: type[StorageError]
) -> None:
    with nothing_left_open(), pytest.raises(error, match=root):
        LocalStorage(top / root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_root_without_permission_is_denied(top: Path) -> None:
    (top / "folder").chmod(0)
    with pytest.raises(AccessDenied):
        LocalStorage(top / "folder")
    (top / "folder").chmod(0o700)


def test_no_free_descriptor_is_overload_and_not_absence(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        try:
            with pytest.raises(Unavailable, match="too many open files"):
                await storage.open(Name((b"film.mkv",)))
        finally:
            for descriptor in taken:
                os.close(descriptor)
        await storage.close()

    asyncio.run(scenario())
