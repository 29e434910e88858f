"""One request and its response on a connection: the ASGI side, with the zero-copy extensions."""

import asyncio
import http
import json
import logging
import os
import re
from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope, Send

from fileserve.delivery.body import OpenFile
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.http.request_head import Refusal
from storage.paths import open_path

_log = logging.getLogger("fileserve.error")

# Below this a copy is cheaper than a second system call.
_JOIN_BYTES = 64 << 10
_PATHSEND_CHUNK_BYTES = 256 << 10

# The standard library has the phrases of RFC 7231 until Python 3.13.
_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable"}
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {_PHRASES.get(status, status.phrase)}\r\n".encode()
    for status in http.HTTPStatus
}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_NOT_ON_ONE_LINE = re.compile(rb"[\r\n\0]").search


class _Framing(Enum):
    """How the end of a response's content is told (RFC 9112 section 6.3)."""

    NO_CONTENT = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


class Writer(Protocol):
    """What an exchange needs of the connection's output; see socket_writer for the contract."""

    @property
    def bytes_written(self) -> int: ...

    async def write(self, buffer: bytes) -> None: ...

    async def write_with_more(self, buffer: bytes) -> None: ...

    async def send_file(self, descriptor: int, offset: int, count: int) -> None: ...

    def discard_unsent(self) -> None: ...


class Connection(Protocol):
    """What an exchange needs of the protocol that received the request."""

    @property
    def writer(self) -> Writer: ...

    def default_fields(self) -> bytes:
        """Return the encoded fields that every response carries, Date among them."""

    def resume_reading(self) -> None:
        """Let more of the request in."""

    def exchange_ended(self, exchange: "Exchange") -> None:
        """Take note that the response is complete: the next request may start."""

    def abort(self) -> None:
        """Cut the connection: a client must not take what it has for the whole."""


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
        self._incoming = bytearray()
        self._changed: asyncio.Event | None = None
        self._is_started = False
        self._head = b""
        self._framing = _Framing.NO_CONTENT
        self._remaining = 0
        self._overhead = 0
        self._final_body_bytes: int | None = None
        self._refusal: Refusal | None = None
        self._is_running = False

    # What the log reads

    @property
    def body_bytes_sent(self) -> int:
        """How many bytes of content, without head and framing, the kernel has taken."""
        if self._final_body_bytes is not None:
            return self._final_body_bytes
        if not self._is_started:
            return 0
        return max(self._connection.writer.bytes_written - self._overhead, 0)

    # What the protocol calls

    @property
    def is_ended(self) -> bool:
        """Whether the response is complete or cut."""
        return self.end_cause is not None

    @property
    def incoming_bytes(self) -> int:
        """How many bytes of the request's content wait to be received."""
        return len(self._incoming)

    def add_content(self, chunk: bytes) -> None:
        """Take a piece of the request's content."""
        self._incoming += chunk
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
                status, detail = self._refusal.status, self._refusal.detail
                await refuse(self.send, http.HTTPStatus(status), detail)
            else:
                await app(self.scope, self.receive, self.send)
        except TransferCut as cut:
            self.cut(cut.cause)
        except asyncio.CancelledError:
            self.cut(EndCause.SHUTDOWN)
            raise
        except Exception:  # noqa: BLE001 - the outermost frame of a request: logged, then answered
            _log.exception("%s %s failed", self.scope["method"], self.scope["path"])
            await self._fail()
        else:
            if not self.is_ended:
                _log.error("%s %s was not answered", self.scope["method"], self.scope["path"])
                await self._fail()

    async def _fail(self) -> None:
        """Answer 500 if nothing was answered yet; otherwise cut."""
        if self._is_started:
            self.cut(EndCause.FAILED)
            return
        try:
            await refuse(self.send, http.HTTPStatus.INTERNAL_SERVER_ERROR, "")
        except TransferCut as cut:
            self.cut(cut.cause)

    def cut(self, cause: EndCause) -> None:
        """End a response that cannot be completed, so that nobody takes it for the whole."""
        if self.is_ended:
            return
        self.end(cause)
        if cause is EndCause.STALLED or self._framing is _Framing.UNTIL_CLOSE:
            self._connection.writer.discard_unsent()
        self._connection.abort()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()

    # ASGI

    async def receive(self) -> Message:
        """Return the next event: content of the request, or the end of the exchange."""
        if self._expects_continue and not self._is_started and not self.is_ended:
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
        content = bytes(self._incoming)
        self._incoming.clear()
        return {"type": "http.request", "body": content, "more_body": not self.has_whole_request}

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

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if not self._is_started:
            if kind != "http.response.start":
                raise RuntimeError(f"http.response.start must come before {kind}")
            self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body":
            await self._send_bytes(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish()
        elif kind == "http.response.zerocopysend":
            await self._send_from_file(message)
            if not message.get("more_body", False):
                await self._finish()
        elif kind == "http.response.pathsend":
            await self._send_path(message["path"])
            await self._finish()
        else:
            raise RuntimeError(f"unknown message {kind}")

    def _start(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Compose the head; it is sent together with the first of the content."""
        lines = [_status_line(status), self._connection.default_fields()]
        length: int | None = None
        closes = False
        for name, value in fields:
            name = name.lower()  # noqa: PLW2901
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                continue
            elif name == b"connection":
                closes = closes or b"close" in value.lower()
                continue
            lines.append(_field_line(name, value))
        self._framing = self._choose_framing(status, length)
        self._remaining = length or 0
        # Content that nobody will read stands between this response and the next request.
        if closes or self._framing is _Framing.UNTIL_CLOSE or not self.has_whole_request:
            self.keeps_alive = False
        lines.append(self._connection_fields())
        self._head = b"".join(lines)
        self._overhead = self._connection.writer.bytes_written + len(self._head)
        self._is_started = True

    def _choose_framing(self, status: int, length: int | None) -> _Framing:
        if self.scope["method"] == "HEAD" or status in (204, 304):
            return _Framing.NO_CONTENT
        if length is not None:
            return _Framing.LENGTH
        is_current = self.scope["http_version"] != "1.0"
        return _Framing.CHUNKED if is_current else _Framing.UNTIL_CLOSE

    def _connection_fields(self) -> bytes:
        fields = b"transfer-encoding: chunked\r\n" if self._framing is _Framing.CHUNKED else b""
        if not self.keeps_alive:
            return fields + b"connection: close\r\n\r\n"
        if self.scope["http_version"] == "1.0":
            return fields + b"connection: keep-alive\r\n\r\n"
        return fields + b"\r\n"

    async def _send_bytes(self, content: bytes) -> None:
        if self._framing is _Framing.NO_CONTENT or not content:
            return
        self._count(len(content))
        if self._framing is _Framing.CHUNKED:
            framing = b"%x\r\n" % len(content)
            self._overhead += len(framing) + 2
            content = b"%b%b\r\n" % (framing, content)
        head, self._head = self._head, b""
        if head and len(content) > _JOIN_BYTES:
            await self._connection.writer.write_with_more(head)
            head = b""
        await self._connection.writer.write(head + content if head else content)

    async def _send_from_file(self, message: Message) -> None:
        """asgiref's zero-copy send: file, and optionally offset and count."""
        file = message["file"]
        descriptor = file if isinstance(file, int) else file.fileno()
        offset, count = message.get("offset"), message.get("count")
        if offset is None:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        if count is None:
            count = max(os.fstat(descriptor).st_size - offset, 0)
        await self._send_slice(descriptor, offset, count)

    async def _send_slice(self, descriptor: int, offset: int, count: int) -> None:
        if self._framing is _Framing.NO_CONTENT or count == 0:
            return
        self._count(count)
        writer = self._connection.writer
        prefix, self._head = self._head, b""
        if self._framing is _Framing.CHUNKED:
            framing = b"%x\r\n" % count
            self._overhead += len(framing) + 2
            prefix += framing
        if prefix:
            await writer.write_with_more(prefix)
        await writer.send_file(descriptor, offset, count)
        if self._framing is _Framing.CHUNKED:
            await writer.write(b"\r\n")

    async def _send_path(self, path: str) -> None:
        """Send a whole file by its path; the one message that makes the server open a file."""
        if self._framing is _Framing.NO_CONTENT:
            return
        file = await open_path(path)
        try:
            count = file.complete_length
            if self._framing is _Framing.LENGTH:
                # It grew or shrank since the application looked: Content-Length holds.
                count = self._remaining
            if file.zero_copy:
                await self._send_slice(file.fileno, 0, count)
            else:
                await self._send_in_chunks(file, count)
        finally:
            await file.close()

    async def _send_in_chunks(self, file: OpenFile, count: int) -> None:
        offset = 0
        while offset < count:
            chunk = await file.read(offset, min(_PATHSEND_CHUNK_BYTES, count - offset))
            if not chunk:
                raise TransferCut(EndCause.SHRANK, f"{count - offset} bytes are missing")
            await self._send_bytes(chunk)
            offset += len(chunk)

    def _count(self, length: int) -> None:
        if self._framing is not _Framing.LENGTH:
            return
        if length > self._remaining:
            raise RuntimeError("the content is longer than Content-Length")
        self._remaining -= length

    async def _finish(self) -> None:
        if self._framing is _Framing.LENGTH and self._remaining:
            raise RuntimeError(f"the content is {self._remaining} bytes short of Content-Length")
        rest, self._head = self._head, b""
        if self._framing is _Framing.CHUNKED:
            rest += b"0\r\n\r\n"
            self._overhead += 5
        if rest:
            await self._connection.writer.write(rest)
        self.end(EndCause.COMPLETE)
        self._connection.exchange_ended(self)


def _status_line(status: int) -> bytes:
    line = _STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


@lru_cache(maxsize=4096)
def _field_line(name: bytes, value: bytes) -> bytes:
    """Return the line of a field; most of them are sent again and again.

    Raises RuntimeError for what would not fit on one line (RFC 9110 section 5.5).
    """
    if _TOKEN(name) is None or _NOT_ON_ONE_LINE(value) is not None:
        raise RuntimeError(f"the field {name!r}: {value!r} cannot be sent")
    return b"%b: %b\r\n" % (name, value)


async def refuse(
    send: Send, status: http.HTTPStatus, detail: str, fields: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with problem details (RFC 9457) and close the connection."""
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value}
    if detail:
        problem["detail"] = detail
    text = json.dumps(problem).encode()
    head = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(text)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *fields,
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": head})
    await send({"type": "http.response.body", "body": text})
