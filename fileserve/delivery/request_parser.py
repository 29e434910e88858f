"""Turns the bytes of a connection into judged request heads and content, one message at a time.

llhttp parses; what is done here is to give it one message only, cut at its
exact end.  So the answer to a request never depends on how TCP cut the bytes,
and nothing behind it is read before its turn.
"""

from enum import Enum, auto
from typing import Protocol

import httptools

from fileserve.delivery.head_limits import HeadLimits, malformed
from fileserve.delivery.request_heads import Field, LastHead, RequestHead
from fileserve.http.request_head import Refusal, judge_head
from fileserve.http.request_line import method_of
from fileserve.http.target import RequestTarget

_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_MAX_CHUNK_LINE_BYTES = 4 << 10
# What stands for a method that could not be read; it is one that no parser refuses.
_UNKNOWN_METHOD = b"GET"


class Sink(Protocol):
    """Who is told what was read, in this order: one of the first two, content, the end."""

    def request_begins(self, head: RequestHead) -> None:
        """A request that may be answered; its content, if any, follows."""

    def request_refused(self, refusal: Refusal, method: bytes) -> None:
        """A request that cannot be answered; nothing after it on this connection can be read."""

    def content_received(self, content: bytes) -> None:
        """A piece of the content of the request that began last."""

    def content_malformed(self, refusal: Refusal) -> None:
        """The content of the request that began last cannot be read."""

    def request_ends(self) -> None:
        """The request that began last is complete."""

    def protocol_switch_ignored(self) -> None:
        """The request that began last asked for an Upgrade; what follows cannot be read."""


class _Part(Enum):
    """What the next byte belongs to."""

    HEAD = auto()
    CONTENT = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    TRAILER = auto()


class RequestParser:
    """Reads requests (RFC 9112); after a refusal it takes nothing more."""

    def __init__(self, sink: Sink, *, max_header_bytes: int, max_target_bytes: int) -> None:
        self._sink = sink
        self._limits = HeadLimits(max_header_bytes, max_target_bytes)
        self._parser = self._new_parser()
        self._part = _Part.HEAD
        self._held = b""
        self._left = 0
        self._trailer_bytes = 0
        self._is_refused = False
        self._method = _UNKNOWN_METHOD
        self._target = b""
        self._fields: list[Field] = []
        self._begun: RequestHead | None = None
        self._last_head = LastHead(max_header_bytes)

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # "Connection: close" and more data: the data is ours to drop, not an error.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    @property
    def is_head_open(self) -> bool:
        """Whether a head has begun and is not complete."""
        return self._part is _Part.HEAD and bool(self._held)

    @property
    def content_left(self) -> int:
        """How many bytes of content are to come next; 0 also where nobody said it (chunked)."""
        return self._left if self._part is _Part.CONTENT else 0

    def feed(self, data: bytes, start: int) -> int:
        """Read from ``data[start:]`` to the end of a message at most; return where it stopped.

        Whatever is wrong with the bytes, the sink is told and nothing is raised.
        """
        if self._part is _Part.HEAD:
            start = self._read_head(data, start)
        while start < len(data) and self._part is not _Part.HEAD and not self._is_refused:
            start = self._read_content(data, start)
        return start

    # The head

    def _read_head(self, data: bytes, start: int) -> int:
        known = len(self._held)
        shift = known - start if known else 0
        begin = 0 if known else start
        if known:
            data = self._held + data[start:]
        # Empty lines before a request are those of old clients (section 2.2).
        while data.startswith(_CRLF, begin):
            begin += len(_CRLF)
        # What is known has been searched: a head that drips in is not searched again and again.
        end = data.find(_HEAD_END, max(begin, known - len(_HEAD_END)))
        if end < 0:
            self._hold(data[begin:], max(known - begin, 0))
            return len(data) - shift
        self._held = b""
        self._parse_head(data[begin : end + len(_HEAD_END)])
        return end + len(_HEAD_END) - shift

    def _hold(self, beginning: bytes, known: int) -> None:
        """Keep an incomplete head, if a good one can come of it; ``known`` bytes were judged."""
        self._held = beginning
        if beginning.find(b"\n") >= known:
            self._method = method_of(beginning) or _UNKNOWN_METHOD
        refusal = self._limits.judge_beginning(beginning, known)
        if refusal is not None:
            self._refuse(refusal)

    def _parse_head(self, head: bytes) -> None:
        again = self._last_head.recall(head)
        if again is not None:
            self._sink.request_begins(again)
            self._sink.request_ends()
            return
        self._parse_new_head(head)
        begun, self._begun = self._begun, None
        # Where content follows, and after an Upgrade, the parser itself has to be in that state.
        self._last_head.keep(head, begun if self._part is _Part.HEAD else None)

    def _parse_new_head(self, head: bytes) -> None:
        self._method = method_of(head) or _UNKNOWN_METHOD
        prepared = self._limits.prepare(head)
        if isinstance(prepared, Refusal):
            self._refuse(prepared)
        else:
            self._parse(prepared)

    # The content

    def _read_content(self, data: bytes, start: int) -> int:
        """Read one unit of content: what is left of it, a chunk, or a line of the framing."""
        if self._part is _Part.CONTENT:
            return self._take_content(data, start)
        if self._part is _Part.CHUNK:
            stop = min(start + self._left, len(data))
            self._left -= stop - start
            self._parse(data[start:stop])
            if self._left == 0:
                self._part = _Part.CHUNK_SIZE
            return stop
        stop = data.find(b"\n", start) + 1 or len(data)
        self._held += data[start:stop]
        is_line = data[stop - 1 : stop] == b"\n"
        self._parse(data[start:stop])
        if is_line:
            line, self._held = self._held, b""
            self._end_framing_line(line)
        elif len(self._held) > _MAX_CHUNK_LINE_BYTES:
            self._refuse(malformed("a line of the chunked coding is too long"))
        return stop

    def _take_content(self, data: bytes, start: int) -> int:
        """Hand over content of a known length: llhttp would only copy it.

        It never hears of the end of this message, so another parser takes the next one.
        """
        stop = min(start + self._left, len(data))
        self._sink.content_received(data[start:stop])
        self.content_was_read(stop - start)
        return stop

    def content_was_read(self, count: int) -> None:
        """Go on behind count bytes of content, at most content_left, that the sink has."""
        self._left -= count
        if self._left == 0:
            is_upgrade = self._parser.should_upgrade()
            self._parser = self._new_parser()
            self.on_message_complete()
            if is_upgrade:
                self._sink.protocol_switch_ignored()

    def _end_framing_line(self, line: bytes) -> None:
        """Go on behind a line of the chunked coding (section 7.1) that llhttp took for good."""
        if self._is_refused or self._part is _Part.HEAD:
            return
        if self._part is _Part.CHUNK_SIZE:
            size = int(line.partition(b";")[0], 16)
            self._part = _Part.CHUNK if size else _Part.TRAILER
            self._left = size + len(_CRLF)
            self._trailer_bytes = 0
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > self._limits.max_header_bytes:
            self._refuse(self._limits.fields_refusal())

    # llhttp

    def _parse(self, unit: bytes) -> None:
        try:
            self._parser.feed_data(unit)
        except httptools.HttpParserUpgrade:
            self._begun = None
            self._sink.protocol_switch_ignored()
        except httptools.HttpParserInvalidMethodError as error:
            is_token = self._method != _UNKNOWN_METHOD
            unknown = Refusal(501, "Not Implemented", "The method is not known here.")
            self._refuse(unknown if is_token else malformed(str(error)))
        except httptools.HttpParserError as error:
            self._refuse(malformed(str(error)))

    def _refuse(self, refusal: Refusal) -> None:
        if self._is_refused:
            return
        self._is_refused = True
        if self._part is _Part.HEAD:
            self._sink.request_refused(refusal, self._method)
        else:
            self._sink.content_malformed(refusal)

    def on_message_begin(self) -> None:
        """Begin a message (httptools)."""
        self._target = b""
        self._fields = []

    def on_url(self, url: bytes) -> None:
        """Take the request target (httptools)."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field line (httptools); trailers are not part of the head (RFC 9110 6.5.1)."""
        if self._part is _Part.HEAD:
            self._fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge the head (httptools)."""
        if len(self._target) > self._limits.max_target_bytes:
            self._refuse(self._limits.target_refusal())
            return
        version = self._parser.get_http_version()
        method = self._parser.get_method()
        judged = judge_head(version, method, self._target, self._fields)
        if isinstance(judged, Refusal):
            self._refuse(judged)
            return
        self._part, self._left = _content_of(self._fields)
        self._begun = self._head(version, method, judged)
        self._sink.request_begins(self._begun)

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
            has_content=self._part is not _Part.CONTENT or self._left > 0,
        )

    def _keeps_alive(self, version: str) -> bool:
        if version == "1.1":
            return bool(self._parser.should_keep_alive())
        # HTTP/1.0 persists only when asked (RFC 9112 section 9.3, appendix C.2.2).
        listed = b",".join(value for name, value in self._fields if name == b"connection")
        options = [option.strip(b" \t").lower() for option in listed.split(b",")]
        return b"keep-alive" in options and b"close" not in options

    def on_body(self, body: bytes) -> None:
        """Take content (httptools)."""
        if not self._is_refused:
            self._sink.content_received(body)

    def on_message_complete(self) -> None:
        """End a message (httptools)."""
        if self._is_refused:
            return
        self._part = _Part.HEAD
        self._held = b""
        self._sink.request_ends()


def _content_of(fields: list[Field]) -> tuple[_Part, int]:
    """Return what follows a head that was judged: a message without content ends with it."""
    for name, value in fields:
        if name == b"transfer-encoding":
            return _Part.CHUNK_SIZE, 0
        if name == b"content-length":
            return _Part.CONTENT, int(value)
    return _Part.CONTENT, 0
