"""Makes the bytes of an archive while it is sent: members are opened one at a time, and proven.

Each member must be what it was when the archive was laid out: before its bytes are sent, again
after them, and when its sum is read.  Otherwise the connection is cut: an archive that ends
cleanly holds the bytes that its entity tag stands for.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from fileserve.archives.layout import Content, Piece, Summed
from fileserve.delivery.body import Slice, body_of
from fileserve.delivery.chunked import chunks
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.archive_plans import ArchivePlan
from fileserve.site.archive_sums import WINDOW_BYTES, ArchiveSums, changed
from storage.blob import Blob
from storage.checksums import FileState, PartialSum
from storage.crc32 import crc32
from storage.errors import StorageError, Unavailable
from storage.local import LocalStorage

# Up to this size many files are read together: opening one costs as much as 64 KiB of it.
_SMALL_BYTES = 64 << 10
# What is read or made together.
_RUN_BYTES = 256 << 10
_RUN_PIECES = 200


class ArchiveBody:
    """The bytes of a plan, as a Series."""

    def __init__(self, storage: LocalStorage, plan: ArchivePlan, sums: ArchiveSums) -> None:
        self._storage = storage
        self._plan = plan
        self._table = plan.table
        self._sums = sums

    async def pieces(self, start: int, stop: int) -> AsyncGenerator[bytes | Slice, None]:
        """Make the bytes [start, stop); see Series.  Raises TransferCut."""
        run = _Run()
        for piece in self._plan.layout.pieces(start, stop):
            is_large = isinstance(piece, Content) and not self._is_small(piece)
            if run.pieces and (is_large or run.is_full or self._must_wait_for(piece, run)):
                yield await self._made(run)
                run = _Run()
            if isinstance(piece, Content) and is_large:
                async with aclosing(self._large(piece)) as slices:
                    async for part in slices:
                        yield part
            elif self._must_wait_for(piece, run) and isinstance(piece, Summed):
                run.add(piece.encoded(await self._sum(piece.member)))
            else:
                run.add(piece)
        if run.pieces:
            yield await self._made(run)

    def _is_small(self, piece: Content) -> bool:
        size = piece.stop - piece.start
        return size <= _SMALL_BYTES and size == self._table.member(piece.member).size

    def _must_wait_for(self, piece: Piece, run: "_Run") -> bool:
        """Whether a file has to be read for it, which may take minutes."""
        if not isinstance(piece, Summed) or piece.member in run.members:
            return False
        return self._sums.known(self._plan, piece.member) is None

    async def _sum(self, index: int) -> int:
        with _cutting():
            return await self._sums.crc32(self._storage, self._plan, index)

    async def _made(self, run: "_Run") -> bytes:
        """All bytes of a run; its files are read together."""
        files = await self._read_files(run.members)
        await asyncio.sleep(0)  # send returns at once while the client keeps up
        made = []
        for piece in run.pieces:
            match piece:
                case bytes():
                    made.append(piece)
                case Content():
                    made.append(files[piece.member])
                case Summed():
                    made.append(piece.encoded(await self._sum(piece.member)))
        return b"".join(made)

    async def _read_files(self, members: list[int]) -> dict[int, bytes]:
        if not members:
            return {}
        wanted = [(self._plan.member_name(index), self._table.state(index)) for index in members]
        with _cutting():
            found = await self._storage.read_small(wanted)
        files = {}
        for index, file in zip(members, found, strict=True):
            if file is None:
                files[index] = await self._read_alone(index)
            else:
                files[index] = file.content
                self._plan.known_sums[index] = file.crc32
                if self._plan.form.has_sums:
                    state = self._table.state(index)
                    self._sums.add(state, PartialSum(0, len(file.content), file.crc32))
        return files

    async def _read_alone(self, index: int) -> bytes:
        """A small file on a mount of its own."""
        size = self._table.member(index).size
        pieces = []
        async with aclosing(self._large(Content(index, 0, size))) as parts:
            async for part in parts:
                async with aclosing(chunks(body_of([part]))) as whole:
                    pieces += [chunk async for chunk in whole]
        return b"".join(pieces)

    async def _large(self, piece: Content) -> AsyncGenerator[bytes | Slice, None]:
        """A member's bytes in windows: slices where it is zero-copy, else chunks."""
        state = self._table.state(piece.member)
        with _cutting():
            blob = await self._storage.open(self._plan.member_name(piece.member))
        summing: asyncio.Task[None] | None = None
        try:
            if blob.fingerprint != state.fingerprint:
                raise changed()
            for start, stop in _windows(piece.start, piece.stop):
                if blob.zero_copy:
                    yield Slice(blob, start, stop)
                else:
                    async with aclosing(self._read(blob, state, start, stop)) as parts:
                        async for part in parts:
                            yield part
                await self._prove(blob, state)
                if summing is not None:
                    await summing
                if self._plan.form.has_sums and blob.zero_copy:
                    summing = asyncio.create_task(self._sum_part(blob, state, start, stop))
            if summing is not None:
                await summing
        finally:
            if summing is not None:
                summing.cancel()
                await asyncio.gather(summing, return_exceptions=True)
            await blob.close()

    async def _read(
        self, blob: Blob, state: FileState, start: int, stop: int
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a file that has to be read in threads, summed on the way."""
        total = 0
        async with aclosing(chunks(body_of([Slice(blob, start, stop)]))) as read:
            async for chunk in read:
                if self._plan.form.has_sums:
                    total = crc32(chunk, total)
                yield chunk
        if self._plan.form.has_sums:
            await self._prove(blob, state)
            self._sums.add(state, PartialSum(start, stop, total))

    async def _prove(self, blob: Blob, state: FileState) -> None:
        with _cutting():
            now = await blob.look_again()
        if now != state.fingerprint:
            raise changed()

    async def _sum_part(self, blob: Blob, state: FileState, start: int, stop: int) -> None:
        """Sum what was just sent: it is in memory now.  Runs beside the sending of what follows."""
        with _cutting():
            await self._sums.sum_part(blob, state, start, stop)


class _Run:
    """Pieces that are made together; members: those whose whole files are among them."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.members: list[int] = []
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return self._bytes >= _RUN_BYTES or len(self.pieces) >= _RUN_PIECES

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self._bytes += len(piece) if isinstance(piece, bytes) else piece.stop - piece.start
        if isinstance(piece, Content):
            self.members.append(piece.member)


def _windows(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """[start, stop) in parts that end where those of other connections begin."""
    while start < stop:
        end = min((start // WINDOW_BYTES + 1) * WINDOW_BYTES, stop)
        yield start, end
        start = end


@contextlib.contextmanager
def _cutting() -> Iterator[None]:
    """The head is out, so a cut is the only honest answer to a StorageError."""
    try:
        yield
    except Unavailable as error:
        raise TransferCut(EndCause.UNAVAILABLE, str(error)) from error
    except StorageError as error:
        raise TransferCut(EndCause.CHANGED, str(error)) from error
