"""One request and its response on a connection: the ASGI side, with the zero-copy extensions."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope

from fileserve.access.redaction import redacted_text
from fileserve.delivery.content_socket import ContentSocket
from fileserve.delivery.file_messages import send_from_file, send_path
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.refusing import FAILED, refuse
from fileserve.delivery.response_head import Persistence, compose_head, compose_interim_head
from fileserve.delivery.response_stream import ResponseStream, Writer
from fileserve.delivery.scopes import EXCHANGE_EXTENSION
from fileserve.http.request_head import Refusal

_log = logging.getLogger("fileserve.error")


class Connection(Protocol):
    """What an exchange needs of the protocol that received the request."""

    @property
    def writer(self) -> Writer: ...

    @property
    def has_peer_ended(self) -> bool:
        """Whether the client sends nothing more; most that say so have left."""

    def default_fields(self) -> bytes:
        """Return the encoded fields that every response carries, Date among them."""

    def resume_reading(self) -> None:
        """Let more of the request in."""

    def lend_socket(self, exchange: "Exchange") -> ContentSocket | None:
        """Read nothing more until take_back, and let a thread read; None where that cannot be."""

    def take_back(self, lent: ContentSocket) -> None:
        """Go on behind what was read."""

    def exchange_ended(self, exchange: "Exchange") -> None:
        """Take note that the response is complete: the next request may start."""

    def abort(self) -> None:
        """Cut the connection: a client must not take what it has for the whole."""


# An object for each piece of a few bytes would cost twenty times its bytes.
_LARGE_PIECE_BYTES = 4 << 10


class Exchange:
    """The scope, receive and send of one request.

    ``body_bytes_sent`` and ``end_cause`` are what the access log reads, found
    in ``scope["extensions"]["fileserve.exchange"]``.
    """

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        *,
        expects_continue: bool,
        keeps_alive: bool,
    ) -> None:
        self.scope = scope
        self.keeps_alive = keeps_alive
        self.has_whole_request = False
        self.end_cause: EndCause | None = None
        self._connection = connection
        self._expects_continue = expects_continue
        self._incoming: list[bytes | bytearray] = []
        self._incoming_bytes = 0
        self._changed: asyncio.Event | None = None
        self._stream: ResponseStream | None = None
        self._final_body_bytes: int | None = None
        self._refusal: Refusal | None = None
        self._is_running = False

    # What the log reads

    @property
    def body_bytes_sent(self) -> int:
        """How many bytes of content, without head and framing, the kernel has taken."""
        if self._final_body_bytes is not None:
            return self._final_body_bytes
        return 0 if self._stream is None else self._stream.content_bytes_sent

    @property
    def has_peer_ended(self) -> bool:
        """Whether the client has left, or at least ended its sending."""
        return self._connection.has_peer_ended

    # What the protocol calls

    @property
    def is_ended(self) -> bool:
        """Whether the response is complete or cut."""
        return self.end_cause is not None

    @property
    def incoming_bytes(self) -> int:
        """How many bytes of the request's content wait to be received."""
        return self._incoming_bytes

    def add_content(self, chunk: bytes) -> None:
        """Take a piece of the request's content."""
        if len(chunk) >= _LARGE_PIECE_BYTES:
            self._incoming.append(chunk)
        elif self._incoming and isinstance(self._incoming[-1], bytearray):
            self._incoming[-1] += chunk
        else:
            self._incoming.append(bytearray(chunk))
        self._incoming_bytes += len(chunk)
        self._notify()

    def end_content(self) -> None:
        """Take note that the request is complete."""
        self.has_whole_request = True
        self._notify()

    def end(self, cause: EndCause) -> None:
        """Note how the response ended; the first cause counts."""
        if self.end_cause is None:
            self._final_body_bytes = self.body_bytes_sent
            self.end_cause = cause
            self._notify()

    def refuse(self, refusal: Refusal) -> bool:
        """Answer with ``refusal`` instead of asking the application; False when it was asked."""
        if self._is_running:
            return False
        self._refusal = refusal
        self.keeps_alive = False
        return True

    async def run(self, app: ASGIApp) -> None:
        """Let ``app`` answer; whatever it does, the connection is left in an honest state."""
        self._is_running = True
        try:
            if self._refusal is not None:
                refusal, client = self._refusal, self.scope["client"]
                peer = client[0] if client else "-"
                _log.info("%s refused with %d: %s", peer, refusal.status, refusal.detail)
                await refuse(self.send, refusal)
            else:
                await app(self.scope, self.receive, self.send)
        except TransferCut as cut:
            self.cut(cut.cause)
        except asyncio.CancelledError:
            self.cut(EndCause.SHUTDOWN)
            raise
        except Exception:  # noqa: BLE001 - the outermost frame of a request: logged, then answered
            _log.exception("%s %s failed", self.scope["method"], self._shown_path)
            await self._fail()
        else:
            if not self.is_ended:
                _log.error("%s %s was not answered", self.scope["method"], self._shown_path)
                await self._fail()
        finally:
            # The scope holds this exchange: without the cycle it is freed at once, not by the
            # garbage collector.
            self.scope["extensions"].pop(EXCHANGE_EXTENSION, None)

    @property
    def _shown_path(self) -> str:
        return redacted_text(self.scope["path"])

    async def _fail(self) -> None:
        """Answer 500 if nothing was answered yet; otherwise cut."""
        if self._stream is not None:
            self.cut(EndCause.FAILED)
            return
        try:
            await refuse(self.send, FAILED)
        except TransferCut as cut:
            self.cut(cut.cause)

    def cut(self, cause: EndCause) -> None:
        """End a response that cannot be completed, so that nobody takes it for the whole."""
        if self.is_ended:
            return
        self.end(cause)
        self._connection.writer.discard_unsent()
        self._connection.abort()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()

    # ASGI

    async def receive(self) -> Message:
        """Return the next event: content of the request, or the end of the exchange."""
        if self._expects_continue and self._stream is None and not self.is_ended:
            self._expects_continue = False
            await self._connection.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._changed is None:
            self._changed = asyncio.Event()
            if self._incoming or self.has_whole_request:
                self._changed.set()
        if not self.is_ended:
            self._connection.resume_reading()
            await self._changed.wait()
            self._changed.clear()
        if self.is_ended:
            return {"type": "http.disconnect"}
        content = self._taken_content()
        return {"type": "http.request", "body": content, "more_body": not self.has_whole_request}

    def _taken_content(self) -> bytes:
        content = _joined(self._incoming)
        self._incoming, self._incoming_bytes = [], 0
        return content

    def lend_socket(self) -> ContentSocket | None:
        """Where a thread may read what follows all that was received; None: receive() must.

        Until take_back nothing is received.
        """
        if self.has_whole_request or self.is_ended:
            return None
        lent = self._connection.lend_socket(self)
        if lent is not None:
            lent.begin_with(self._taken_content())
        return lent

    def take_back(self, lent: ContentSocket) -> None:
        """Let receive() go on behind what was read; for sockets that no thread reads any more."""
        self._connection.take_back(lent)

    async def send(self, message: Message) -> None:
        """Send a part of the response; it is in the kernel's hands when this returns.

        Raises TransferCut when the response cannot be completed any more.
        """
        if self.end_cause is not None:
            if self.end_cause is EndCause.COMPLETE:
                raise RuntimeError(f"{message['type']} after the response was complete")
            raise TransferCut(self.end_cause)
        try:
            await self._send(message)
        except TransferCut as cut:
            self.cut(cut.cause)
            raise
        except asyncio.CancelledError:
            self.cut(EndCause.SHUTDOWN)
            raise

    async def send_interim(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Send an interim response (RFC 9110 section 15.2); the final one has not begun."""
        assert self._stream is None, "an interim response after the final one"
        await self._connection.writer.write(compose_interim_head(status, fields))

    async def _send(self, message: Message) -> None:
        kind, stream = message["type"], self._stream
        if stream is None:
            if kind != "http.response.start":
                raise RuntimeError(f"http.response.start must come before {kind}")
            self._stream = self._start(message["status"], message.get("headers", ()))
            return
        if kind == "http.response.body":
            content = message.get("body", b"")
            if content or not message.get("more_body", False):
                await stream.send_bytes(content)
            else:
                await stream.send_head()
        elif kind == "http.response.zerocopysend":
            await send_from_file(stream, message)
        elif kind == "http.response.pathsend":
            await send_path(stream, message["path"])
        else:
            raise RuntimeError(f"unknown message {kind}")
        if not message.get("more_body", False):
            await stream.finish()
            self.end(EndCause.COMPLETE)
            self._connection.exchange_ended(self)

    def _start(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> ResponseStream:
        """Compose the head; it is sent together with the first of the content."""
        # Content that nobody will read would stand between this response and the next request.
        keeps_alive = self.keeps_alive and self.has_whole_request
        head = compose_head(
            status,
            fields,
            method=self.scope["method"],
            version=self.scope["http_version"],
            default_fields=self._connection.default_fields(),
            persistence=Persistence.KEEP_ALIVE if keeps_alive else Persistence.CLOSE,
        )
        self.keeps_alive = head.persistence is Persistence.KEEP_ALIVE
        return ResponseStream(self._connection.writer, head)


def _joined(pieces: list[bytes | bytearray]) -> bytes:
    # One piece is passed on as it is: large content comes in few large ones.
    return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
