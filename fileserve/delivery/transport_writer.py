"""Writes bytes through an asyncio transport, for TLS: nothing but bytes, with back-pressure."""

import asyncio

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.socket_writer import queued_bytes


class TransportWriter:
    """The counterpart of SocketWriter where the kernel cannot see the plain text."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._is_paused = False
        self._cut: TransferCut | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._bytes_handed_over = 0

    @property
    def is_blocked(self) -> bool:
        """Whether the peer must take bytes before more can be written."""
        return self._waiter is not None

    @property
    def bytes_written(self) -> int:
        """How many bytes have left this process's own buffer."""
        return max(self._bytes_handed_over - self._transport.get_write_buffer_size(), 0)

    def acknowledged_bytes(self) -> int:
        """Return a count that moves with every byte that the peer's kernel takes.

        It is not that of the written bytes: TLS adds its own.
        """
        connection = self._transport.get_extra_info("socket")
        # uvloop's TLS transport has none any more once it is closed.
        return self.bytes_written - (queued_bytes(connection) if connection is not None else 0)

    async def write(self, buffer: bytes) -> None:
        """Hand ``buffer`` over and wait until the transport wants more."""
        if self._cut is not None:
            raise self._cut
        self._transport.write(buffer)
        self._bytes_handed_over += len(buffer)
        if not self._is_paused:
            return
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def write_with_more(self, buffer: bytes) -> None:
        """Hand ``buffer`` over; TLS records have no MSG_MORE."""
        await self.write(buffer)

    async def send_file(self, descriptor: int, offset: int, count: int) -> None:
        """Never offered on TLS: the protocol leaves the extension out of the scope."""
        raise RuntimeError(
            f"no sendfile on TLS: descriptor {descriptor}, offset {offset}, count {count}"
        )

    def pause(self) -> None:
        """Take note that the transport's buffer is full."""
        self._is_paused = True

    def resume(self) -> None:
        """Take note that the transport's buffer has room."""
        self._is_paused = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def cut(self, cut: TransferCut) -> None:
        """Make the write under way, and all later ones, raise ``cut``; the first call counts."""
        if self._cut is None:
            self._cut = cut
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._cut)

    def discard_unsent(self) -> None:
        """Do nothing: an aborted transport sends no close_notify, so the end is not clean."""

    def end_output(self) -> None:
        """Do nothing: TLS has no half-close that clients understand."""

    def close(self) -> None:
        """Wake whoever waits; the transport itself belongs to the loop."""
        self.cut(TransferCut(EndCause.CLIENT_GONE))
