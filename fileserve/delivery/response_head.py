"""Composes the head of a response: status line, fields, framing and persistence, without I/O."""

import http
import re
from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

Field = tuple[bytes, bytes]

# The standard library has the phrases of RFC 7231 until Python 3.13.
_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable"}
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {_PHRASES.get(status, status.phrase)}\r\n".encode()
    for status in http.HTTPStatus
} | {104: b"HTTP/1.1 104 Upload Resumption Supported\r\n"}
_MEANT_FOR_FRAMING = frozenset({b"connection", b"content-length", b"transfer-encoding"})
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_NOT_ON_ONE_LINE = re.compile(rb"[\r\n\0]").search


class Framing(Enum):
    """How a client tells where the content ends (RFC 9112 section 6.3)."""

    NO_CONTENT = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


class Persistence(Enum):
    """What becomes of the connection after a response (RFC 9112 section 9)."""

    KEEP_ALIVE = auto()
    CLOSE = auto()


class ResponseHead(NamedTuple):
    """An encoded head, and what it promised; content_length is 0 where framing is not LENGTH."""

    encoded: bytes
    framing: Framing
    content_length: int
    persistence: Persistence


def compose_head(
    status: int,
    fields: Iterable[Field],
    *,
    method: str,
    version: str,
    default_fields: bytes,
    persistence: Persistence,
) -> ResponseHead:
    """Return the head of the response to a request of ``method`` in HTTP ``version``.

    fields may ask for ``connection: close``; whatever else they say about
    connection and transfer coding is the server's business and left out.
    default_fields are encoded lines.  Raises RuntimeError for a field that
    cannot be sent.
    """
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, default_fields]
    length: int | None = None
    for name, value in fields:
        line, meaning = _field_line(name, value)
        if meaning is None:
            lines.append(line)
        elif meaning == b"content-length":
            length = int(value)
            lines.append(line)
        elif meaning == b"connection" and b"close" in value.lower():
            persistence = Persistence.CLOSE
    framing = _choose_framing(status, length, method=method, version=version)
    if framing is Framing.UNTIL_CLOSE:
        persistence = Persistence.CLOSE
    lines.append(_last_lines(framing, persistence, version))
    promised = length if length is not None and framing is Framing.LENGTH else 0
    return ResponseHead(b"".join(lines), framing, promised, persistence)


def compose_interim_head(status: int, fields: Iterable[Field]) -> bytes:
    """Return the encoded head of an interim response (RFC 9110 section 15.2): it has no content."""
    lines = [_field_line(name, value)[0] for name, value in fields]
    return b"".join((_STATUS_LINES[status], *lines, b"\r\n"))


def compose_planned_head(
    status: int,
    own: tuple[Field, ...],
    common: tuple[Field, ...],
    *,
    version: str,
    default_fields: bytes,
    persistence: Persistence,
) -> bytes:
    """Return the encoded head of a response that needs no other framing than its own fields say.

    own are this response's, made of numbers and constants.  common are sent again and again, so
    that their encoding is kept; RuntimeError for one that cannot be sent.
    """
    return b"".join(
        (
            _STATUS_LINES[status],
            default_fields,
            *[b"%b: %b\r\n" % field for field in own],
            _lines(common),
            _last_lines(Framing.LENGTH, persistence, version),
        )
    )


def _choose_framing(status: int, length: int | None, *, method: str, version: str) -> Framing:
    if method == "HEAD" or status in (204, 304):
        return Framing.NO_CONTENT
    if length is not None:
        return Framing.LENGTH
    return Framing.UNTIL_CLOSE if version == "1.0" else Framing.CHUNKED


def _last_lines(framing: Framing, persistence: Persistence, version: str) -> bytes:
    coding = b"transfer-encoding: chunked\r\n" if framing is Framing.CHUNKED else b""
    if persistence is Persistence.CLOSE:
        return coding + b"connection: close\r\n\r\n"
    if version == "1.0":
        return coding + b"connection: keep-alive\r\n\r\n"
    return coding + b"\r\n"


@lru_cache(maxsize=1024)
def _lines(fields: tuple[Field, ...]) -> bytes:
    return b"".join(_field_line(name, value)[0] for name, value in fields)


@lru_cache(maxsize=4096)
def _field_line(name: bytes, value: bytes) -> tuple[bytes, bytes | None]:
    """Return the line of a field, and its name where that is one of framing or connection.

    Most fields are sent again and again.  Raises RuntimeError for what would
    not fit on one line (RFC 9110 section 5.5).
    """
    name = name.lower()
    if _TOKEN(name) is None or _NOT_ON_ONE_LINE(value) is not None:
        raise RuntimeError(f"the field {name!r}: {value!r} cannot be sent")
    return b"%b: %b\r\n" % (name, value), name if name in _MEANT_FOR_FRAMING else None
