"""The head of one request, and the last one of a connection: the next is often like it (pure)."""

import re
from typing import NamedTuple

from fileserve.http.target import RequestTarget

Field = tuple[bytes, bytes]

_CRLF = b"\r\n"
# A client that asks for one range after another sends the same head but for this line.
_RANGE_LINES = (b"\r\nRange: ", b"\r\nrange: ")
_PLAIN_RANGE = re.compile(rb"bytes=[0-9,-]+").fullmatch
_MAX_REMEMBERED_BYTES = 1 << 10


class RequestHead(NamedTuple):
    """The head of one request; fields have lower-case names, in the order in which they came."""

    version: str
    method: bytes
    target: RequestTarget
    fields: list[Field]
    expects_continue: bool
    keeps_alive: bool
    has_content: bool


class LastHead:
    """Remembers one head, so that the next one with another Range costs 1 us instead of 6."""

    __slots__ = ("_most_bytes", "_request", "_without_range")

    def __init__(self, max_header_bytes: int) -> None:
        # Within the limits whatever its Range is.
        self._most_bytes = min(_MAX_REMEMBERED_BYTES, max_header_bytes)
        self._without_range = b""
        self._request: RequestHead | None = None

    def recall(self, head: bytes) -> RequestHead | None:
        """Return what ``head`` asks for, if it is the remembered one but for its Range."""
        last = self._request
        if last is None or len(head) > self._most_bytes:
            return None
        without_range, range_value = _split_at_range(head)
        if without_range != self._without_range:
            return None
        fields = last.fields if range_value is None else [*last.fields, (b"range", range_value)]
        version, method, target, _, expects_continue, keeps_alive, has_content = last
        return RequestHead(
            version, method, target, fields, expects_continue, keeps_alive, has_content
        )

    def keep(self, head: bytes, request: RequestHead | None) -> None:
        """Remember ``head`` and what it asked for; None: forget the last one."""
        self._request = None
        if request is None or len(head) > self._most_bytes:
            return
        without_range, range_value = _split_at_range(head)
        fields = request.fields if range_value is None else _without_range(request.fields)
        if fields is not None:
            self._without_range, self._request = without_range, request._replace(fields=fields)


def _split_at_range(head: bytes) -> tuple[bytes, bytes | None]:
    """Return ``head`` without its Range line, and that line's value.

    The head as it is, and None, when there is none that is plainly written.
    """
    for name in _RANGE_LINES:
        at = head.find(name)
        if at >= 0:
            end = head.find(_CRLF, at + len(name))
            value = head[at + len(name) : end]
            if _PLAIN_RANGE(value):
                return head[:at] + head[end:], value
    return head, None


def _without_range(fields: list[Field]) -> list[Field] | None:
    """Return ``fields`` without their Range; None when they have more than one."""
    others = [field for field in fields if field[0] != b"range"]
    return others if len(others) == len(fields) - 1 else None
