"""The two manifests of a folder, made file by file: nothing holds a whole one."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Send

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.http.disposition import Disposition, content_disposition
from fileserve.problems import Field
from fileserve.site import metalink, sha256sums
from fileserve.site.known_sums import KnownSums
from fileserve.site.vigil import Vigil
from storage.checksums import FileState
from storage.errors import IsFolder, NameRefused, NotFound
from storage.file_sums import MIN_PIECE_BYTES, PieceSums
from storage.local import LocalStorage
from storage.names import Name
from storage.trees import TreeEntry

# About a millisecond of making rows: as long as other transfers wait for the event loop.
_ROWS_PER_PIECE = 100
# Read in less than a proxy takes to lose patience: no sign of life is needed meanwhile.
_SMALL_BYTES = 8 << 20
# A proxy, and a person, would wait in vain for rows that took long to compute.
_HOLD_SECONDS = 1.0
# A file that is written to while it is read is read once more; then it will not hold still.
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file at or below a folder; path: from that folder, name: from the root."""

    path: tuple[bytes, ...]
    name: Name
    state: FileState


def tree_files(folder: Name, batch: list[TreeEntry]) -> Iterator[TreeFile]:
    """The files of a batch that a URL can name: of a path over 4,095 bytes there is none."""
    for entry in batch:
        if entry.state is None:
            continue
        try:
            above = Name((*folder.segments, *entry.path[:-1]))
            yield TreeFile(entry.path, above.child(entry.path[-1]), entry.state)
        except NameRefused:
            continue


class Pieces:
    """Sends rows, some of them together."""

    def __init__(self, send: Send, hold_seconds: float = _HOLD_SECONDS) -> None:
        self._send = send
        self._hold_seconds = hold_seconds
        self._rows: list[bytes] = []
        self._now = asyncio.get_running_loop().time
        self._flushed_at = self._now()

    async def begin(self) -> None:
        """Let the head go: the first row may take its time."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": True})

    async def add(self, row: bytes) -> None:
        """Send row with those that come soon."""
        self._rows.append(row)
        is_held_long = self._now() - self._flushed_at >= self._hold_seconds
        if is_held_long or len(self._rows) >= _ROWS_PER_PIECE:
            await self.flush()

    async def flush(self) -> None:
        """Send what was added; the others have their turn here."""
        content = b"".join(self._rows)
        self._rows.clear()
        self._flushed_at = self._now()
        if content:
            await self._send({"type": "http.response.body", "body": content, "more_body": True})
        await asyncio.sleep(0)

    async def finish(self) -> None:
        """Send what was added, and end the response."""
        await self.flush()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class ManifestForm(Protocol):
    """A manifest in the making: head, then each file, then tail."""

    def fields(self, folder: Name) -> list[Field]:
        """The fields that describe it."""

    def head(self) -> bytes:
        """What comes before all files."""

    async def add(self, file: TreeFile, pieces: Pieces, vigil: Vigil) -> None:
        """Send what there is to say of one file."""

    def tail(self) -> bytes:
        """What comes after all files."""


class MetalinkForm:
    """Every file with its size and URL, and with its digests where they are known already."""

    def __init__(self, sums: KnownSums, base_url: str) -> None:
        self._sums = sums
        self._base_url = base_url
        self._left_out = 0

    def fields(self, folder: Name) -> list[Field]:
        return _described(metalink.MEDIA_TYPE, metalink.file_name(folder.last))

    def head(self) -> bytes:
        return metalink.HEAD.encode("ascii")

    async def add(self, file: TreeFile, pieces: Pieces, vigil: Vigil) -> None:
        url = self._base_url + file.name.url_path
        size, sha256 = file.state.fingerprint.size, self._sums.of_state(file.name, file.state)
        of_pieces = await self._pieces_of(file) if size > MIN_PIECE_BYTES and sha256 else None
        element = metalink.file_element(file.path, size, url, sha256, of_pieces)
        if element is None:
            self._left_out += 1
        else:
            await pieces.add(element.encode("utf-8"))

    def tail(self) -> bytes:
        return metalink.tail(self._left_out).encode("ascii")

    async def _pieces_of(self, file: TreeFile) -> PieceSums | None:
        record = await self._sums.recorded(file.name, file.state)
        if record is None or record.piece_length is None or record.pieces is None:
            return None
        return PieceSums(record.piece_length, record.pieces)


class Sha256Form:
    """Every file with its digest, computed now where it is not known."""

    def __init__(self, storage: LocalStorage, sums: KnownSums, sign_of_life_seconds: float) -> None:
        self._storage = storage
        self._sums = sums
        self._sign_of_life_seconds = sign_of_life_seconds

    def fields(self, folder: Name) -> list[Field]:
        return _described(sha256sums.MEDIA_TYPE, sha256sums.FILE_NAME)

    def head(self) -> bytes:
        return b""

    async def add(self, file: TreeFile, pieces: Pieces, vigil: Vigil) -> None:
        sha256 = self._sums.of_state(file.name, file.state)
        if sha256 is None and (record := await self._sums.recorded(file.name, file.state)):
            sha256 = record.sha256
        if sha256 is None and file.state.fingerprint.size <= _SMALL_BYTES:
            sha256 = await self._computed(file)
        elif sha256 is None:
            await pieces.flush()
            sha256 = await self._computed_under(vigil, file, pieces)
        if sha256 is not None:
            await pieces.add(sha256sums.sum_line(file.path, sha256))

    def tail(self) -> bytes:
        return b""

    async def _computed_under(self, vigil: Vigil, file: TreeFile, pieces: Pieces) -> bytes | None:
        async def sign_of_life() -> None:
            await pieces.add(sha256sums.STILL_COMPUTING)
            await pieces.flush()

        return await vigil.during(self._computed(file), sign_of_life, self._sign_of_life_seconds)

    async def _computed(self, file: TreeFile) -> bytes | None:
        """The digest of the file that the name means now; None when there is none any more."""
        for _ in range(_ATTEMPTS):
            try:
                blob = await self._storage.open(file.name)
            except (NotFound, IsFolder):
                return None
            try:
                sha256 = await self._sums.compute(file.name, blob)
            finally:
                await blob.close()
            if sha256 is not None:
                return sha256
        raise TransferCut(EndCause.CHANGED, f"{file.name.display} is being written to")


class FileSha256Form(Sha256Form):
    """The same of one file, as `sha256sum FILE` prints it."""

    def fields(self, folder: Name) -> list[Field]:
        """folder is the file here."""
        described = content_disposition(Disposition.INLINE, folder.last[:240] + b".sha256")
        content_type = (b"content-type", sha256sums.MEDIA_TYPE.encode("ascii"))
        return [content_type, (b"content-disposition", described.encode("latin-1"))]


def _described(media_type: str, file_name: bytes) -> list[Field]:
    disposition = content_disposition(Disposition.ATTACHMENT, file_name)
    return [
        (b"content-type", media_type.encode("ascii")),
        (b"content-disposition", disposition.encode("latin-1")),
    ]
