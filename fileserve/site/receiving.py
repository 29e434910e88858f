"""From the content of a request to a file on its way in: one piece is written, one received."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from functools import partial
from typing import Protocol

from starlette.types import Receive, Scope

from fileserve.delivery.content_socket import ContentSocket
from fileserve.delivery.exchange import Exchange
from fileserve.delivery.scopes import EXCHANGE_EXTENSION
from fileserve.problems import Problem, problem
from storage.digests import Buffer
from storage.errors import StorageError
from storage.incoming import Incoming, UploadEnded

_log = logging.getLogger("fileserve.error")
# Long pieces cost few changes of threads; all that is held for uploads together has a bound.
_PIECE_BYTES = 1 << 20
_SHORTEST_PIECE_BYTES = 64 << 10
_HELD_BYTES = 64 << 20


class Underway:
    """How many requests bring bytes now, in this process: all of them share one bound."""

    count = 0

    @classmethod
    def piece_bytes(cls) -> int:
        """How much one of them may gather; as much again is being written."""
        share = _HELD_BYTES // (2 * max(cls.count, 1))
        return max(_SHORTEST_PIECE_BYTES, min(_PIECE_BYTES, share))


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


class SocketLender(Protocol):
    """Lets a thread read the content of a request past receive(), where that is possible."""

    def lend_socket(self) -> ContentSocket | None: ...

    def take_back(self, lent: ContentSocket) -> None: ...


def lender_of(scope: Scope, receive: Receive) -> SocketLender | None:
    """Who lends the socket of a request; None where nobody does, or receive() is not its own."""
    exchange = scope.get("extensions", {}).get(EXCHANGE_EXTENSION)
    is_ours = isinstance(exchange, Exchange) and receive == exchange.receive
    return exchange if is_ours else None


class Pipe:
    """Writes to a file on its way in while more is received; for one task.

    Takes ownership of incoming: close() ends it, whatever became of it.  limit: the most bytes.
    lender: where nothing but the bytes of this file is to come, and no more than the limit.
    """

    def __init__(
        self, incoming: Incoming, limit: int | None, lender: SocketLender | None = None
    ) -> None:
        self.incoming = incoming
        self.length = 0
        self._limit = limit
        self._lender = lender
        self._held: list[Buffer] = []
        self._held_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        Underway.count += 1

    async def put(self, piece: Buffer) -> None:
        """Add bytes; raises Declined beyond the limit, NoSpace and other StorageErrors."""
        self.length += len(piece)
        if self._limit is not None and self.length > self._limit:
            raise Declined(too_large(self._limit))
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= Underway.piece_bytes():
            await self._pass_on()

    async def flush(self) -> None:
        """Return when everything is written; raises as put does."""
        await self._pass_on()
        await self._end_writing()

    def close(self) -> None:
        """Give up what is not committed; a thread that still writes goes first."""
        Underway.count -= 1
        if self._writing is not None:
            self._writing.add_done_callback(_log_fault)
        pool = self.incoming.pool
        pool.executor.dispose(self.incoming.abort)

    async def _pass_on(self) -> None:
        await self._end_writing()
        held, self._held, self._held_bytes = self._held, [], 0
        if not held or await self._has_written_on(held):
            return
        write = partial(self.incoming.write, held)
        self._writing = asyncio.create_task(self.incoming.pool.run(write))

    async def _has_written_on(self, held: list[Buffer]) -> bool:
        """Write what is held and what comes meanwhile, in one thread; False if that cannot be."""
        lent = None if self._lender is None else self._lender.lend_socket()
        if self._lender is None or lent is None:
            return False
        with lent:
            write_on = partial(self.incoming.write_on, held, lent.fill)
            self.length += await self.incoming.pool.run(write_on)
        self._lender.take_back(lent)
        return True

    async def _end_writing(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing


def too_large(limit: int) -> Problem:
    """The refusal of a file with more than limit bytes."""
    return problem(413, f"At most {limit:,} bytes are taken here.")


def _log_fault(writing: asyncio.Task[None]) -> None:
    """A piece that nobody waits for any more: what the disk said of it is nobody's concern."""
    error = None if writing.cancelled() else writing.exception()
    if error is not None and not isinstance(error, StorageError | UploadEnded):
        _log.error("a piece of an upload was not written", exc_info=error)
