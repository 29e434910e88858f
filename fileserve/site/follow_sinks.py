"""The two forms in which a reader gets a growing file: bytes, or lines as Server-Sent Events."""

from contextlib import aclosing
from enum import Enum
from typing import Protocol

from starlette.types import Scope, Send

from fileserve.delivery.body import Slice, body_of
from fileserve.delivery.chunked import chunks
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.server_sent_events import (
    FORGET_POSITION,
    HEARTBEAT,
    LineEvents,
    end_event,
)
from storage.blob import Blob
from storage.errors import StorageError

RETRY_SECONDS = 2.0
# After each of these it is asked whether the service stops.
_STEP_BYTES = 1 << 20
# One event at the most, and about a millisecond of the event loop.
_TEXT_STEP_BYTES = 64 << 10


class Ending(Enum):
    """Why nothing follows any more: what the last event tells."""

    IDLE = "idle"
    REPLACED = "replaced"
    DELETED = "deleted"
    TRUNCATED = "truncated"


class Sink(Protocol):
    """The form in which a reader gets the file; offset is where its next bytes lie."""

    offset: int

    async def begin(self) -> None:
        """Send what comes before all bytes of the file: the head must not wait for them."""

    async def take(self, stop: int | None) -> bool:
        """Send some bytes from the offset on, up to stop or the end; whether there were any."""

    async def beat(self) -> None:
        """Send a sign of life where the form has one."""

    async def finish(self, ending: Ending) -> None:
        """End the stream in the way that tells of ending; may raise TransferCut."""

    async def interrupt(self) -> None:
        """End the stream because the service stops; may return, or raise TransferCut."""


class ByteSink:
    """The bytes as they are.

    When what was sent is not a beginning of the file any more, or when nobody can say whether
    the writer has stopped, the connection is cut: a clean end says that this is all.
    """

    def __init__(self, blob: Blob, offset: int, scope: Scope, send: Send) -> None:
        self._blob = blob
        self._send = send
        offers = scope.get("extensions", ())
        self._is_zero_copy = blob.zero_copy and "http.response.zerocopysend" in offers
        self.offset = offset

    async def begin(self) -> None:
        # Some servers send the head with the first content; an empty piece lets it go.
        await _send_more(self._send, b"")

    async def take(self, stop: int | None) -> bool:
        if stop is None:
            piece = await _read(self._blob, self.offset, _TEXT_STEP_BYTES)
            await _send_more(self._send, piece)
            self.offset += len(piece)
            return bool(piece)
        stop = min(stop, self.offset + _STEP_BYTES)
        if stop <= self.offset:
            return False
        await (self._send_slice(stop) if self._is_zero_copy else self._send_chunks(stop))
        self.offset = stop
        return True

    async def beat(self) -> None:
        """Nothing can stand between bytes; idle_seconds bound how long that lasts."""

    async def finish(self, ending: Ending) -> None:
        if ending is Ending.TRUNCATED:
            raise TransferCut(EndCause.SHRANK, "the file that is followed became shorter")
        await _send_last(self._send, b"")

    async def interrupt(self) -> None:
        raise TransferCut(EndCause.SHUTDOWN)

    async def _send_slice(self, stop: int) -> None:
        await self._send(
            {
                "type": "http.response.zerocopysend",
                "file": self._blob,
                "offset": self.offset,
                "count": stop - self.offset,
                "more_body": True,
            }
        )

    async def _send_chunks(self, stop: int) -> None:
        body = body_of([Slice(self._blob, self.offset, stop)])
        async with aclosing(chunks(body)) as pieces:
            async for piece in pieces:
                await _send_more(self._send, piece)


class EventSink:
    """The lines as Server-Sent Events, with a last event that says how it ended."""

    def __init__(self, blob: Blob, lines: LineEvents, send: Send) -> None:
        self._blob = blob
        self._lines = lines
        self._send = send
        self.offset = lines.fed_offset

    async def begin(self) -> None:
        await _send_more(self._send, self._lines.opening(RETRY_SECONDS))

    async def take(self, stop: int | None) -> bool:
        length = _TEXT_STEP_BYTES if stop is None else min(stop - self.offset, _TEXT_STEP_BYTES)
        text = await _read(self._blob, self.offset, length) if length > 0 else b""
        if event := self._lines.feed(text):
            await _send_more(self._send, event)
        self.offset += len(text)
        return bool(text)

    async def beat(self) -> None:
        await _send_more(self._send, HEARTBEAT)

    async def finish(self, ending: Ending) -> None:
        # An offset in what is no more would make the client begin the new file in its middle.
        is_void = ending in (Ending.REPLACED, Ending.TRUNCATED)
        rest = b"" if ending is Ending.TRUNCATED else self._lines.rest()
        fields = (FORGET_POSITION,) if is_void else ()
        await _send_last(self._send, rest + end_event(ending.value, *fields))

    async def interrupt(self) -> None:
        """A clean end without the last event: the client connects again, and goes on."""
        await _send_last(self._send, b"")


async def _read(blob: Blob, offset: int, length: int) -> bytes:
    try:
        return await blob.read(offset, length)
    except StorageError as error:
        raise TransferCut(EndCause.UNAVAILABLE, str(error)) from error


async def _send_more(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _send_last(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": False})
