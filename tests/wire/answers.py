"""Responses as a strict client reads them: refused where a server may not send them."""

import re
from dataclasses import dataclass

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (?P<status>[1-5][0-9]{2}) (?P<phrase>[\x20-\x7e]*)")
_FIELD_LINE = re.compile(
    rb"(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(?P<value>(?:[\x21-\x7e]+(?:[ \t]+(?!$))?)*)"
)
_IMF_FIXDATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    r"[0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT"
)


@dataclass(frozen=True, slots=True)
class Head:
    """Status and fields of a response; names are lower-case, in the order in which they came."""

    status: int
    phrase: str
    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    def field(self, name: str) -> str:
        """The value of a field that must be there exactly once."""
        (value,) = self.values(name)
        return value

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.fields)

    @property
    def closes(self) -> bool:
        """Whether the server says that it will close the connection (9112, 9.6)."""
        options = ",".join(self.values("connection")).lower().split(",")
        return "close" in [option.strip() for option in options]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response."""

    head: Head
    content: bytes

    @property
    def status(self) -> int:
        return self.head.status

    def field(self, name: str) -> str:
        return self.head.field(name)


def parse_head(raw: bytes) -> Head:
    """A response head without its empty line; fails for what a server must not send."""
    first, *lines = raw.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(first)
    assert status_line, f"not a status line: {first!r}"
    fields = []
    for line in lines:
        found = _FIELD_LINE.fullmatch(line)
        assert found, f"not a field line: {line!r}"
        fields.append((found["name"].decode().lower(), found["value"].decode("ascii")))
    head = Head(int(status_line["status"]), status_line["phrase"].decode(), tuple(fields))
    _check(head)
    return head


def _check(head: Head) -> None:
    """What RFC 9110 and 9112 demand of every response of a server with a clock."""
    for name in ("content-length", "content-type", "content-range", "etag", "last-modified"):
        assert len(head.values(name)) <= 1, f"{name} twice"
    for length in head.values("content-length"):
        assert re.fullmatch("[0-9]+", length), "9110, 8.6"
    assert not (head.has("content-length") and head.has("transfer-encoding")), "9112, 6.2"
    if head.status < 200 or head.status == 204:
        assert not head.has("content-length"), "9110, 8.6"
        assert not head.has("transfer-encoding"), "9112, 6.1"
    if head.status >= 200:
        assert _IMF_FIXDATE.fullmatch(head.field("date")), "9110, 6.6.1 and 5.6.7"
