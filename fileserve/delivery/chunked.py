"""The fallback without sendfile: a plan as a StreamingResponse, read in the mount's threads."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from fileserve.delivery.body import Body, OpenFile, Segment, Slice, Stretch, body_of
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.plan import Plan
from fileserve.delivery.scopes import EXCHANGE_EXTENSION
from storage.errors import StorageError

# Two of these are in memory for one transfer: one on its way out, one being read.
CHUNK_BYTES = 256 << 10
# A chunk costs two changes of thread, whatever its length: while few transfers run, they share
# this in longer chunks.
SHARED_BYTES = 5 << 19
LONG_CHUNK_BYTES = 1 << 20
_running: set[object] = set()


class ChunkedResponse(StreamingResponse):
    """For network mounts, TLS and servers that offer no zero-copy.

    Files are read through aiofiles on the executor of the mount they lie on.
    They stay the caller's to close.
    """

    def __init__(self, plan: Plan) -> None:
        self._chunks = chunks(plan.body)
        super().__init__(self._chunks, status_code=plan.status)
        self.raw_headers = list(plan.fields)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and body; raises TransferCut when the body could not be completed."""
        async with aclosing(self._chunks):
            if EXCHANGE_EXTENSION in scope.get("extensions", ()):
                # Our own send says by itself, and why, when the client has gone.
                await self.stream_response(send)
            else:
                await super().__call__(scope, receive, send)


async def chunks(body: Body) -> AsyncGenerator[bytes, None]:
    """Yield ``body`` in chunks of at most LONG_CHUNK_BYTES, reading one ahead of the consumer.

    Raises TransferCut, with cause SHRANK when a file ends before its slice
    and UNAVAILABLE when a read fails.
    """
    if any(isinstance(segment, Stretch) for segment in body.segments):
        async with aclosing(_chunks_one_by_one(body)) as stretched:
            async for chunk in stretched:
                yield chunk
        return
    pieces = _pieces(body)
    transfer = object()
    _running.add(transfer)
    upcoming = _begin(next(pieces, None))
    try:
        while upcoming is not None:
            chunk = await upcoming
            upcoming = _begin(next(pieces, None))
            yield chunk
    finally:
        _running.discard(transfer)
        if upcoming is not None:
            upcoming.cancel()


async def _chunks_one_by_one(body: Body) -> AsyncGenerator[bytes, None]:
    """Yield a body with stretches: each piece of one is whole before the next is asked for."""
    for segment in body.segments:
        async with aclosing(_pieces_of(segment)) as pieces:
            async for piece in pieces:
                async with aclosing(chunks(body_of([piece]))) as whole:
                    async for chunk in whole:
                        yield chunk


async def _pieces_of(segment: Segment) -> AsyncGenerator[bytes | Slice, None]:
    if not isinstance(segment, Stretch):
        yield segment
        return
    async with aclosing(segment.series.pieces(segment.start, segment.stop)) as pieces:
        async for piece in pieces:
            yield piece


def _chunk_bytes() -> int:
    return min(max(SHARED_BYTES // max(len(_running), 1), CHUNK_BYTES), LONG_CHUNK_BYTES)


def _pieces(body: Body) -> Iterator[bytes | Slice]:
    for segment in body.segments:
        if not isinstance(segment, Slice):
            assert isinstance(segment, bytes)  # stretches are sent one by one
            yield segment
            continue
        start = segment.start
        while start < segment.stop:
            stop = min(start + _chunk_bytes(), segment.stop)
            yield Slice(segment.file, start, stop)
            start = stop


def _begin(piece: bytes | Slice | None) -> asyncio.Future[bytes] | None:
    if piece is None:
        return None
    if isinstance(piece, bytes):
        ready: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        ready.set_result(piece)
        return ready
    return asyncio.ensure_future(_read(piece.file, piece.start, piece.stop))


async def _read(file: OpenFile, start: int, stop: int) -> bytes:
    """Read ``[start, stop)`` whole; one read may return less without being at the end."""
    pieces: list[bytes] = []
    while start < stop:
        try:
            piece = await file.read(start, stop - start)
        except StorageError as error:
            raise TransferCut(EndCause.UNAVAILABLE, str(error)) from error
        if not piece:
            raise TransferCut(EndCause.SHRANK, f"the file ended {stop - start} bytes early or more")
        pieces.append(piece)
        start += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
