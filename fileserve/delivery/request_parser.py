"""Turns the bytes of a connection into judged request heads and content, within bounds."""

import re
from dataclasses import dataclass
from typing import Protocol

import httptools

from fileserve.http.request_head import Refusal, judge_head
from fileserve.http.target import RequestTarget

Field = tuple[bytes, bytes]

_FIELD_LINE_OVERHEAD_BYTES = len(b": \r\n")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ ")
_VERSION = re.compile(rb" HTTP/([0-9])\.([0-9])\r\n\Z")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of one request; fields have lower-case names, in the order in which they came."""

    version: str
    method: bytes
    target: RequestTarget
    fields: list[Field]
    expects_continue: bool
    keeps_alive: bool


class Sink(Protocol):
    """Who is told what was read, in this order: one of the first two, content, the end."""

    def request_begins(self, head: RequestHead) -> None:
        """A request that may be answered; its content, if any, follows."""

    def request_refused(self, refusal: Refusal) -> None:
        """A request that cannot be answered; nothing after it on this connection can be read."""

    def content_received(self, content: bytes) -> None:
        """A piece of the content of the request that began last."""

    def content_malformed(self, refusal: Refusal) -> None:
        """The content of the request that began last cannot be read."""

    def request_ends(self) -> None:
        """The request that began last is complete."""

    def protocol_switch_ignored(self) -> None:
        """The request that began last asked for an Upgrade; what follows cannot be read."""


class RequestParser:
    """Reads requests (RFC 9112); after a refusal it must not be fed again."""

    def __init__(self, sink: Sink, *, max_header_bytes: int, max_target_bytes: int) -> None:
        self._sink = sink
        self._max_header_bytes = max_header_bytes
        self._max_target_bytes = max_target_bytes
        self._parser = httptools.HttpRequestParser(self)
        # "Connection: close" and more data: the data is ours to drop, not an error.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._is_in_content = False
        self._is_refused = False
        self._head_bytes = 0
        self._target = b""
        self._fields: list[Field] = []
        self.is_head_open = False

    def feed(self, piece: bytes) -> None:
        """Read ``piece``; whatever is wrong with it, the sink is told and nothing is raised."""
        self._head_bytes += len(piece)
        if not self._is_in_content and not self.is_head_open:
            prepared = _prepare(piece)
            if isinstance(prepared, Refusal):
                self._refuse(prepared)
                return
            piece = prepared
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._sink.protocol_switch_ignored()
        except httptools.HttpParserError as error:
            self._refuse(self._explain(error, piece))
        else:
            if self.is_head_open and self._head_bytes > self._max_header_bytes:
                self._refuse(self._size_refusal())

    def _refuse(self, refusal: Refusal) -> None:
        if self._is_refused:
            return
        self._is_refused = True
        if self._is_in_content:
            self._sink.content_malformed(refusal)
        else:
            self._sink.request_refused(refusal)

    def _explain(self, error: httptools.HttpParserError, piece: bytes) -> Refusal:
        if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(piece):
            return Refusal(501, "Not Implemented", "The method is not known here.")
        return Refusal(400, "Bad Request", f"The request is malformed: {error}.")

    def _size_refusal(self) -> Refusal:
        if len(self._target) > self._max_target_bytes or not self._fields:
            return Refusal(414, "URI Too Long", f"At most {self._max_target_bytes} bytes.")
        detail = f"At most {self._max_header_bytes} bytes of header fields."
        return Refusal(431, "Request Header Fields Too Large", detail)

    def _is_too_large(self) -> bool:
        if len(self._target) > self._max_target_bytes:
            return True
        overhead = _FIELD_LINE_OVERHEAD_BYTES * len(self._fields)
        size = sum(len(name) + len(value) for name, value in self._fields)
        return size + overhead > self._max_header_bytes

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """Begin a head."""
        self.is_head_open = True
        self._is_in_content = False
        self._target = b""
        self._fields = []

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field line."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Judge the head."""
        self.is_head_open = False
        self._head_bytes = 0
        if self._is_refused:
            return
        if self._is_too_large():
            self._refuse(self._size_refusal())
            return
        version = self._parser.get_http_version()
        method = self._parser.get_method()
        judged = judge_head(version, method, self._target, self._fields)
        if isinstance(judged, Refusal):
            self._refuse(judged)
            return
        self._is_in_content = True
        self._sink.request_begins(self._head(version, method, judged))

    def _head(self, version: str, method: bytes, target: RequestTarget) -> RequestHead:
        fields = self._fields
        if target.authority is not None:
            # RFC 9112 section 3.2.2: the authority of the target replaces the Host field.
            fields = [field for field in fields if field[0] != b"host"]
            fields.append((b"host", target.authority))
        expects_continue = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in fields
        )
        return RequestHead(
            version,
            method,
            target,
            fields,
            # RFC 9110 section 10.1.1: an HTTP/1.0 client does not know 100.
            expects_continue=expects_continue and version == "1.1",
            keeps_alive=self._keeps_alive(version),
        )

    def _keeps_alive(self, version: str) -> bool:
        if version == "1.1":
            return bool(self._parser.should_keep_alive())
        # HTTP/1.0 persists only when asked (RFC 9112 appendix C.2.2).
        wishes = b",".join(value for name, value in self._fields if name == b"connection")
        return b"keep-alive" in [wish.strip().lower() for wish in wishes.split(b",")]

    def on_body(self, body: bytes) -> None:
        """Take content."""
        if not self._is_refused:
            self._sink.content_received(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_in_content = False
        if not self._is_refused:
            self._sink.request_ends()


def _prepare(piece: bytes) -> bytes | Refusal:
    """Return a head's first piece as llhttp reads it, where that is stricter than it should be.

    A minor version above 1 is read as 1.1 (RFC 9110 section 2.5).  Raw
    non-ASCII bytes in the target, which curl and others send as they were
    typed, become percent-encoded: they mean the same name.  HTTP/0.9 would
    make llhttp wait for fields that never come.
    """
    end = piece.find(b"\n") + 1
    line = piece[:end] if end else piece
    if line.endswith(b" HTTP/1.1\r\n") and line.isascii():
        return piece
    if line in (b"\n", b"\r\n", b"\r"):
        return piece
    rest = piece[len(line) :]
    if end:
        version = _VERSION.search(line)
        if version is None:
            return Refusal(400, "Bad Request", "The request line is malformed.")
        if version[1] != b"1":
            return Refusal(505, "HTTP Version Not Supported", "This server speaks HTTP/1.1.")
        if version[2] not in b"01":
            line = line[: version.start()] + b" HTTP/1.1\r\n"
    return _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], line) + rest
