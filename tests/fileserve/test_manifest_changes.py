"""A folder that changes, takes long or is left by its reader while its manifest is made."""

import asyncio
import hashlib
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from manifest_reader import A, Asked, answered, small_folder
from recording_send import RecordingSend, http_scope
from starlette.types import Message

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.operations.catalog_desk import CatalogDesk, Presence
from fileserve.site.known_sums import KnownSums
from fileserve.site.manifest_forms import Pieces
from fileserve.site.manifests import ManifestSources, send_manifest
from storage.blob import Blob
from storage.local import LocalStorage
from storage.names import Name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "root")


class Interfering(RecordingSend):
    """Calls interfere at the first content: what it changes is not hashed yet."""

    def __init__(self, interfere: Callable[[], None]) -> None:
        super().__init__()
        self._interfere = interfere

    async def __call__(self, message: Message) -> None:
        await super().__call__(message)
        if message["type"] == "http.response.start":
            self._interfere()


def test_a_file_that_vanishes_is_not_told(root: Path) -> None:
    send = Interfering((root / "b.bin").unlink)
    assert b"b.bin" not in answered(root, Asked(send=send)).content
    assert send.is_complete


def test_a_file_that_changed_since_the_walk_has_its_new_digest(root: Path) -> None:
    send = Interfering(lambda: (root / "b.bin").write_bytes(b"a") and None)
    assert answered(root, Asked(send=send)).content.startswith(f"{A}  b.bin\n".encode())


class Restless(LocalStorage):
    """A root in which somebody appends to b.bin whenever it was opened."""

    async def open(self, name: Name) -> Blob:
        blob = await super().open(name)
        if name.last == b"b.bin":
            with open(self.root + b"/b.bin", "ab") as file:
                file.write(b"!")
        return blob


def test_a_file_that_is_written_to_all_the_time_cuts_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a")
    (tmp_path / "b.bin").write_bytes(bytes(16 << 20))
    asked = Asked(kind=Restless)
    with pytest.raises(TransferCut) as cut:
        answered(tmp_path, asked)
    assert cut.value.cause is EndCause.CHANGED
    assert not asked.send.is_complete
    assert b"b.bin" not in asked.send.content


def test_a_client_that_leaves_stops_the_reading(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(1 << 40)  # would take an hour

    async def run() -> None:
        storage = LocalStorage(tmp_path)
        sources = ManifestSources(storage, KnownSums(CatalogDesk(None, Presence.LOOKED_FOR)))
        has_left = asyncio.Event()

        async def receive() -> Message:
            await has_left.wait()
            return {"type": "http.disconnect"}

        scope = http_scope("GET", "/?manifest=sha256")
        asyncio.get_running_loop().call_later(0.3, has_left.set)
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(20):
                await send_manifest(scope, receive, RecordingSend(), sources, Name(()), "sha256")
        await storage.close()

    with pytest.raises(TransferCut) as cut:
        asyncio.run(run())
    assert cut.value.cause is EndCause.CLIENT_GONE


def test_a_client_that_leaves_stops_the_reading_of_small_files(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:04}.bin").write_bytes(bytes(1 << 20))
    send = RecordingSend()

    async def run() -> None:
        storage = LocalStorage(tmp_path)
        sources = ManifestSources(storage, KnownSums(CatalogDesk(None, Presence.LOOKED_FOR)))

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        scope = http_scope("GET", "/?manifest=sha256")
        try:
            await send_manifest(scope, receive, send, sources, Name(()), "sha256")
        finally:
            await storage.close()

    with pytest.raises(TransferCut) as cut:
        asyncio.run(run())
    assert cut.value.cause is EndCause.CLIENT_GONE
    assert send.content == b""


def test_rows_that_take_long_are_not_held_back() -> None:
    send = RecordingSend()

    async def run() -> None:
        slow, quick = Pieces(send, hold_seconds=0.0), Pieces(send, hold_seconds=60.0)
        await slow.add(b"1")
        await quick.add(b"2")
        await slow.add(b"3")

    asyncio.run(run())
    assert [message["body"] for message in send.messages] == [b"1", b"3"]


def test_many_files_come_in_pieces(tmp_path: Path) -> None:
    for number in range(1100):
        (tmp_path / f"{number:04}.bin").write_bytes(b"a")
    send = answered(tmp_path, Asked())
    lines = send.content.decode().splitlines()
    assert lines == [f"{A}  {number:04}.bin" for number in range(1100)]
    assert len(send.messages) > 10
    assert max(len(message.get("body", b"")) for message in send.messages) < 16_000


def test_a_large_file_gives_signs_of_life(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(256 << 20)  # takes long enough to be told of, also where turns are few
    content = answered(tmp_path, Asked(sign_of_life_seconds=0.001)).content
    *comments, line = content.splitlines(keepends=True)
    assert comments
    assert set(comments) == {b"# still reading a large file\n"}
    assert line == b"%b  large.bin\n" % hashlib.sha256(bytes(256 << 20)).hexdigest().encode()
    command = ["sha256sum", "-c", "--strict", "--status", "-"]
    assert subprocess.run(command, cwd=tmp_path, input=content, check=False).returncode == 0
