"""From the content of a request to a file on its way in: one piece is written, one received."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from starlette.types import Receive

from fileserve.problems import Problem, problem
from storage.digests import Buffer
from storage.errors import StorageError
from storage.incoming import Incoming

# Long pieces cost few changes of threads; all that is held for uploads together has a bound.
_PIECE_BYTES = 1 << 20
_SHORTEST_PIECE_BYTES = 64 << 10
_HELD_BYTES = 64 << 20


class ClientGone(Exception):  # noqa: N818 - an outcome: nobody waits for an answer
    """The connection ended before the content did."""


class Declined(Exception):  # noqa: N818 - an outcome in the domain's words
    """The request is answered with a problem, wherever in it that was found."""

    def __init__(self, refusal: Problem) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


async def content_of(receive: Receive) -> AsyncGenerator[bytes, None]:
    """The content of a request as it comes in, never empty; raises ClientGone."""
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if piece := message.get("body", b""):
            yield piece
        has_more = message.get("more_body", False)


class Pipe:
    """Writes to a file on its way in while more is received; for one task.

    Takes ownership of incoming: close() ends it, whatever became of it.  limit: the most bytes.
    """

    _open = 0

    def __init__(self, incoming: Incoming, limit: int | None) -> None:
        self.incoming = incoming
        self.length = 0
        self._limit = limit
        self._held: list[Buffer] = []
        self._held_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        Pipe._open += 1

    async def put(self, piece: Buffer) -> None:
        """Add bytes; raises Declined beyond the limit, NoSpace and other StorageErrors."""
        self.length += len(piece)
        if self._limit is not None and self.length > self._limit:
            raise Declined(too_large(self._limit))
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= max(_SHORTEST_PIECE_BYTES, min(_PIECE_BYTES, _share())):
            await self._pass_on()

    async def flush(self) -> None:
        """Return when everything is written; raises as put does."""
        await self._pass_on()
        await self._end_writing()

    def close(self) -> None:
        """Give up what is not committed; a thread that still writes goes first."""
        Pipe._open -= 1
        if self._writing is not None:
            self._writing.add_done_callback(_forget)
        pool = self.incoming.pool
        pool.executor.dispose(self.incoming.abort)

    async def _pass_on(self) -> None:
        await self._end_writing()
        held, self._held, self._held_bytes = self._held, [], 0
        if held:
            write = partial(self.incoming.write, held)
            self._writing = asyncio.create_task(self.incoming.pool.run(write))

    async def _end_writing(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing


def too_large(limit: int) -> Problem:
    """The refusal of a file with more than limit bytes."""
    return problem(413, f"At most {limit:,} bytes are taken here.")


def _share() -> int:
    # One piece is received while another is written.
    return _HELD_BYTES // (2 * max(Pipe._open, 1))


def _forget(writing: asyncio.Task[None]) -> None:
    """What went wrong with a piece that nobody waits for any more is nobody's concern."""
    if not writing.cancelled() and isinstance(writing.exception(), StorageError):
        return
