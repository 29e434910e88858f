"""One response on the wire: its head together with the first content, and the promised framing."""

from typing import Protocol

from fileserve.delivery.response_head import Framing, ResponseHead
from fileserve.delivery.socket_writer import ONE_SEGMENT_BYTES

# Below this a copy is cheaper than a second system call.
_JOIN_BYTES = 64 << 10


class Writer(Protocol):
    """What a response needs of the connection's output; socket_writer has the contract."""

    @property
    def bytes_written(self) -> int: ...

    async def write(self, buffer: bytes) -> None: ...

    async def write_with_more(self, buffer: bytes) -> None: ...

    async def send_file(self, descriptor: int, offset: int, count: int) -> None: ...

    def discard_unsent(self) -> None: ...


class ResponseStream:
    """Sends what ``head`` promised, neither more nor less.

    Methods raise TransferCut when the client has gone or a file has shrunk,
    and RuntimeError when an application breaks its own Content-Length.
    """

    def __init__(self, writer: Writer, head: ResponseHead) -> None:
        self.head = head
        self._writer = writer
        self._unsent_head = head.encoded
        self._remaining = head.content_length
        self._framing_bytes = len(head.encoded)
        self._began_at = writer.bytes_written

    @property
    def content_bytes_sent(self) -> int:
        """How many bytes of content, without head and framing, the kernel has taken."""
        return max(self._writer.bytes_written - self._began_at - self._framing_bytes, 0)

    @property
    def remaining(self) -> int:
        """How much of Content-Length is still to come."""
        return self._remaining

    async def send_bytes(self, content: bytes) -> None:
        """Send content; nothing for a response that has none, to HEAD for instance."""
        if self.head.framing is Framing.NO_CONTENT or not content:
            return
        head = self._take_head(len(content))
        if self.head.framing is Framing.CHUNKED:
            content += b"\r\n"
        if len(content) > _JOIN_BYTES:
            if head:
                await self._writer.write_with_more(head)
            await self._writer.write(content)
        else:
            await self._writer.write(head + content if head else content)

    async def send_head(self) -> None:
        """Send the head alone: an empty piece says that the content may take its time."""
        head, self._unsent_head = self._unsent_head, b""
        if head:
            await self._writer.write(head)

    async def send_slice(self, descriptor: int, offset: int, count: int) -> None:
        """Send ``count`` bytes of a file from ``offset`` without copying them."""
        if self.head.framing is Framing.NO_CONTENT or count == 0:
            return
        head = self._take_head(count)
        if head and count <= ONE_SEGMENT_BYTES:
            await self._writer.write_with_more(head)
        elif head:
            await self._writer.write(head)
        await self._writer.send_file(descriptor, offset, count)
        if self.head.framing is Framing.CHUNKED:
            await self._writer.write(b"\r\n")

    async def finish(self) -> None:
        """End the response as its framing demands."""
        if self._remaining:
            raise RuntimeError(f"the content is {self._remaining} bytes short of Content-Length")
        rest, self._unsent_head = self._unsent_head, b""
        if self.head.framing is Framing.CHUNKED:
            rest += b"0\r\n\r\n"
            self._framing_bytes += 5
        if rest:
            await self._writer.write(rest)

    def _take_head(self, length: int) -> bytes:
        """Return what has to go before ``length`` bytes of content, and count them."""
        head, self._unsent_head = self._unsent_head, b""
        if self.head.framing is Framing.CHUNKED:
            chunk_size = b"%x\r\n" % length
            self._framing_bytes += len(chunk_size) + 2
            return head + chunk_size
        if self.head.framing is Framing.LENGTH:
            if length > self._remaining:
                raise RuntimeError("the content is longer than Content-Length")
            self._remaining -= length
        return head
