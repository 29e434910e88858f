"""A folder tree as storage: what is opened, read, looked at and listed."""

import asyncio
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.blob import fingerprint_of
from storage.errors import (
    AccessDenied,
    IsFolder,
    NotAFolder,
    NotFound,
    StorageError,
    Unavailable,
)
from storage.local import (
    Blob,
    Entry,
    EntryKind,
    HiddenNames,
    LocalStorage,
    Sending,
    Symlinks,
)
from storage.names import Name, parse_os_path
from tests.descriptors import nothing_left_open, open_descriptors

WAIT_SECONDS = 30.0
ROOT = Name(())

pytestmark = pytest.mark.usefixtures("opener")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The root folder, with one of everything in it and a secret beside it."""
    top = tmp_path / "root"
    (top / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (top / "film.mkv").write_bytes(b"0123456789")
    (top / "empty").touch()
    (top / "folder" / "inner").write_bytes(b"inner")
    (top / ".hidden").write_bytes(b"hidden")
    (top / ".secret").mkdir()
    (top / ".secret" / "x").write_bytes(b"x")
    (top / "published").symlink_to(".secret/x")
    (top / "link").symlink_to("film.mkv")
    (top / "to-folder").symlink_to("folder")
    (top / "out").symlink_to("../secret")
    (top / "absolute").symlink_to(top / "film.mkv")
    (top / "dangling").symlink_to("nothing")
    os.mkfifo(top / "fifo")
    return top


async def contents(storage: LocalStorage, path: str) -> bytes:
    blob = await storage.open(parse_os_path(path))
    try:
        return await blob.read(0, 100)
    finally:
        await blob.close()


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


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not is_true():
            await asyncio.sleep(0.005)


def test_adopting_what_is_no_file_closes_it(tmp_path: Path) -> None:
    with nothing_left_open():
        with pytest.raises(IsFolder, match="downloads"):
            Blob.adopt(os.open(tmp_path, os.O_RDONLY), "downloads")
        reader, writer = os.pipe()
        with pytest.raises(NotFound):
            Blob.adopt(reader, "a pipe")
        os.close(writer)


async def listed(storage: LocalStorage, path: str = ".") -> list[Entry]:
    return [entry async for batch in storage.list(parse_os_path(path)) for entry in batch]


def test_a_listing_has_folders_first_and_nothing_that_is_not_handed_out(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        entries = await listed(storage)
        assert [(entry.segment, entry.kind.value, entry.size) for entry in entries] == [
            (b"folder", "folder", None),
            (b"to-folder", "folder", None),
            (b"empty", "file", 0),
            (b"film.mkv", "file", 10),
            (b"link", "file", 10),
            (b"published", "file", 1),
        ]
        assert entries[3].modified_ns == (top / "film.mkv").stat().st_mtime_ns
        assert [entry.segment for entry in await listed(storage, "to-folder")] == [b"inner"]
        await storage.close()

    asyncio.run(scenario())


def test_hidden_names_are_shown_when_that_is_asked_for(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top, hidden=HiddenNames.SHOW)
        segments = [entry.segment for entry in await listed(storage)]
        assert segments[:3] == [b".secret", b"folder", b"to-folder"]
        assert b".hidden" in segments
        assert await contents(storage, ".secret/x") == b"x"
        await storage.close()

    asyncio.run(scenario())


def test_without_symlinks_none_is_listed_or_opened(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top, symlinks=Symlinks.NEVER)
        names = [entry.segment for entry in await listed(storage)]
        assert names == [b"folder", b"empty", b"film.mkv"]
        with pytest.raises(NotFound):
            await storage.open(Name((b"link",)))
        await storage.close()

    asyncio.run(scenario())


def test_names_of_any_bytes_are_listed_in_order_and_opened(tmp_path: Path) -> None:
    segments = [b"A", b"b", b"\xc3\x84", b"\xe4\n\"<>\\'", b"x" * 255]
    for segment in segments:
        (tmp_path / os.fsdecode(segment)).write_bytes(segment)

    async def scenario() -> None:
        storage = LocalStorage(tmp_path)
        names = [entry.segment for entry in await listed(storage)]
        assert sorted(names) == sorted(segments)
        assert names[:2] == [b"A", b"b"]
        for segment in segments:
            blob = await storage.open(Name((segment,)))
            assert await blob.read(0, 300) == segment
            await blob.close()
        await storage.close()

    asyncio.run(scenario())


LIST_ERRORS = [
    # name         error        id
    ("film.mkv",   NotAFolder,  "file"),
    ("nothing",    NotFound,    "missing"),
    ("fifo",       NotFound,    "fifo"),
    (".secret",    NotFound,    "hidden-folder"),
    ("out",        NotFound,    "link-out"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "error"), [r[:2] for r in LIST_ERRORS], ids=[r[2] for r in LIST_ERRORS]
)
def test_only_folders_are_listed(top: Path, path: str, error: type[StorageError]) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        with pytest.raises(error):
            await anext(storage.list(parse_os_path(path)))
        await storage.close()

    with nothing_left_open():
        asyncio.run(scenario())


def test_fifty_thousand_entries_come_in_batches_folders_first(tmp_path: Path) -> None:
    for number in range(50_000):
        if number % 100:
            os.close(os.open(tmp_path / f"{number:05}", os.O_CREAT | os.O_WRONLY))
        else:
            (tmp_path / f"{number:05}").mkdir()

    async def scenario() -> None:
        storage = LocalStorage(tmp_path)
        sizes, names = [], []
        async for batch in storage.list(ROOT):
            sizes.append(len(batch))
            names += [(entry.kind is not EntryKind.FOLDER, entry.segment) for entry in batch]
        assert max(sizes) == 500
        assert len(names) == 50_000
        assert names == sorted(names)
        await storage.close()

    asyncio.run(scenario())


def test_an_entry_that_vanishes_meanwhile_is_left_out(tmp_path: Path) -> None:
    for number in range(1_000):
        (tmp_path / f"{number:04}").touch()

    async def scenario() -> None:
        storage = LocalStorage(tmp_path)
        batches = storage.list(ROOT)
        first = await anext(batches)
        (tmp_path / "0750").unlink()
        rest = [entry.segment async for batch in batches for entry in batch]
        assert len(first) == 500
        assert len(rest) == 499
        assert b"0750" not in rest
        await storage.close()

    asyncio.run(scenario())


def test_a_listing_that_is_left_early_closes_the_folder(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}").touch()

    async def scenario() -> None:
        storage = LocalStorage(tmp_path)
        await listed(storage)
        before = open_descriptors()
        batches = storage.list(ROOT)
        await anext(batches)
        await batches.aclose()
        await until(lambda: open_descriptors() <= before)
        await storage.close()

    asyncio.run(scenario())


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


SENDING = [
    # name            sending                id
    ("film.mkv",      Sending.ZERO_COPY,     "default"),
    ("folder/inner",  Sending.CHUNKED,       "below-a-chunked-folder"),
    ("folder/fast",   Sending.ZERO_COPY,     "the-longest-name-decides"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "sending"), [r[:2] for r in SENDING], ids=[r[2] for r in SENDING])
def test_how_a_file_is_sent_can_be_overridden(top: Path, path: str, sending: Sending) -> None:
    (top / "folder" / "fast").touch()

    async def scenario() -> None:
        storage = LocalStorage(
            top,
            chunked=[Name((b"folder",))],
            zero_copy=[ROOT, Name((b"folder", b"fast"))],
        )
        blob = await storage.open(parse_os_path(path))
        assert blob.zero_copy is (sending is Sending.ZERO_COPY)
        await blob.close()
        await storage.close()

    asyncio.run(scenario())


def test_under_a_chunked_root_everything_is_done_in_its_pool(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top, chunked=[ROOT])
        storage.mounts()  # opens the table of mounts
        before = open_descriptors()
        blob = await storage.open(Name((b"film.mkv",)))
        assert not blob.zero_copy
        assert await blob.read(2, 3) == b"234"
        await blob.close()
        assert len(await listed(storage)) == 6
        assert (await storage.look(Name((b"link",)))).size == 10
        assert "storage the mount at /" in {thread.name for thread in threading.enumerate()}
        await until(lambda: open_descriptors() <= before)
        with pytest.raises(NotFound):
            await storage.open(Name((b"fifo",)))
        await storage.close()

    asyncio.run(scenario())


def test_a_bind_mount_of_a_local_file_system_is_sent_by_zero_copy(
    top: Path, tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "film").write_bytes(b"film")
    (top / "disk").mkdir()
    bind_mount(disk, top / "disk")

    async def scenario() -> None:
        storage = LocalStorage(top)
        blob = await storage.open(parse_os_path("disk/film"))
        assert blob.zero_copy
        assert await blob.read(0, 10) == b"film"
        await blob.close()
        assert [entry.segment for entry in await listed(storage, "disk")] == [b"film"]
        entry = next(entry for entry in await listed(storage) if entry.segment == b"disk")
        assert (entry.kind, entry.modified_ns) == (EntryKind.FOLDER, None)
        assert (await storage.look(Name((b"disk",)))).kind is EntryKind.FOLDER
        (_, report) = storage.mounts()
        assert (report.name, report.sending) == (Name((b"disk",)), Sending.ZERO_COPY)
        assert not report.is_network
        await storage.close()

    asyncio.run(scenario())
