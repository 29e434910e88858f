"""A folder tree as storage: what is sent by zero copy, and what is done in the pool of a mount."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import NotFound
from storage.local import EntryKind, LocalStorage, Sending
from storage.names import Name, parse_os_path
from tests.descriptors import open_descriptors
from tests.storage.local_folder import ROOT, listed, until

pytestmark = pytest.mark.usefixtures("opener")

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
