"""One slice of a file on its way into a socket: only what is in the page cache is sent."""

import asyncio
from enum import Enum, auto
from typing import Protocol

from fileserve.delivery.outcomes import EndCause, TransferCut
from storage.pagecache import Residency, is_resident, warm

# What is looked at in one go, and read ahead by a thread where it is cold; and what a response
# may put into its socket at once before the others have their turn.
WINDOW_BYTES = 1 << 20
# Pages seen in the page cache may be gone again by the time a slow reader has room.
RESIDENCY_HOLDS_SECONDS = 0.5


class Step(Enum):
    """What became of one step: the end, more room needed, or bytes that a thread reads first."""

    DONE = auto()
    AGAIN = auto()
    COLD = auto()


class Writer(Protocol):
    """What a pump needs of socket_writer, which has the contract."""

    def chunk_bytes(self) -> int: ...

    def send_some(self, descriptor: int, offset: int, count: int) -> int: ...


class Pump:
    """One slice of a file on its way into the socket."""

    __slots__ = ("_descriptor", "_loop", "_trusted_at", "_trusted_until", "_writer", "offset",
                 "remaining")  # fmt: skip

    def __init__(
        self,
        writer: Writer,
        loop: asyncio.AbstractEventLoop,
        descriptor: int,
        offset: int,
        count: int,
    ) -> None:
        self._writer = writer
        self._loop = loop
        self._descriptor = descriptor
        self._trusted_until = offset
        self._trusted_at = 0.0
        self.offset = offset
        self.remaining = count

    async def warm_up(self) -> None:
        """Have a thread read what comes next into the page cache."""
        try:
            await warm(self._descriptor, self.offset, min(self.remaining, WINDOW_BYTES))
        except OSError as error:
            raise TransferCut(EndCause.FAILED, str(error)) from error
        self._trust(WINDOW_BYTES)

    def _trust(self, length: int) -> None:
        """Take ``length`` bytes from the offset to be in the page cache for a moment."""
        self._trusted_until = self.offset + length
        self._trusted_at = self._loop.time()

    def step(self) -> Step:
        """Send once what is in the page cache; COLD when a thread must read first."""
        if self.remaining == 0:
            return Step.DONE
        chunk = self._writer.chunk_bytes()
        wanted = min(self.remaining, chunk)
        if self._hot_bytes() < wanted:
            self._look_ahead(max(chunk, WINDOW_BYTES))
        count = min(wanted, self._hot_bytes())
        if count <= 0:
            return Step.COLD
        sent = self._writer.send_some(self._descriptor, self.offset, count)
        self.offset += sent
        self.remaining -= sent
        return Step.DONE if self.remaining == 0 else Step.AGAIN

    def _look_ahead(self, length: int) -> None:
        window = min(self.remaining, length)
        if is_hot(self._descriptor, self.offset, window):
            self._trust(window)

    def _hot_bytes(self) -> int:
        """How many bytes from the offset are taken to be in the page cache; may be negative."""
        is_recent = self._loop.time() - self._trusted_at < RESIDENCY_HOLDS_SECONDS
        return self._trusted_until - self.offset if is_recent else 0


def is_hot(descriptor: int, offset: int, count: int) -> bool:
    """Whether bytes of a file are in the page cache; raises TransferCut where the disk fails."""
    try:
        return is_resident(descriptor, offset, count) is Residency.HOT
    except OSError as error:
        raise TransferCut(EndCause.FAILED, str(error)) from error
