"""The content of a request straight from its socket, for the thread that writes it to the disk.

By way of the event loop each piece costs a message, two copies and a change of threads: 0.8 CPU
seconds of 2.0 for a GiB (2026-11).
"""

import os
import time
from types import TracebackType

from storage.lease import Lease

# Then the loop looks after the connection again, and whoever waits for the thread has it.
TURN_SECONDS = 0.05


class ContentSocket:
    """What a thread may read of one request: never past its end, and for one turn.

    count_read: how many bytes were read from the socket.

    A with block of the loop's thread gives it back; a thread that is still reading ends its call.
    """

    def __init__(self, fileno: int, length: int) -> None:
        """fileno, of a non-blocking socket, stays the caller's; length: what is to come."""
        self.count_read = 0
        self._arrived = memoryview(b"")
        self._length = length
        self._until = time.monotonic() + TURN_SECONDS
        # The connection may be closed, and the number used again, while a thread reads.
        self._lease = Lease(os.dup(fileno))

    def __enter__(self) -> "ContentSocket":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lease.release()

    def begin_with(self, arrived: bytes) -> None:
        """Let fill bring these bytes first, which the loop has read."""
        self._arrived = memoryview(arrived)

    def fill(self, buffer: memoryview) -> int:
        """Put bytes into buffer; returns how many, 0 where the loop has to go on."""
        if self._arrived:
            piece, self._arrived = self._arrived[: len(buffer)], self._arrived[len(buffer) :]
            buffer[: len(piece)] = piece
            return len(piece)
        most = min(self._length - self.count_read, len(buffer))
        if most == 0 or time.monotonic() > self._until:
            return 0
        with self._lease as fd:
            try:
                count = os.readv(fd, [buffer[:most]])
            except (BlockingIOError, ConnectionError):
                # None for now, or never again: the loop, which reads next, is told of both.
                return 0
        self.count_read += count
        return count
