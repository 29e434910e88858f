"""What every form of a listing has in common: its protocol, and what it says of an entry (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Protocol

from storage.local import Entry, EntryKind
from storage.names import MAX_NAME_BYTES, MAX_SEGMENT_BYTES, RESERVED_FIRST_SEGMENT, Name
from storage.ordering import Direction, SortKey

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"  # RFC 3986, 2.3
_QUOTED = [chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256)]

_NANOSECONDS = 1_000_000_000
_DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTES = [f"T{minute // 60:02}:{minute % 60:02}" for minute in range(1440)]
_SECONDS = [f":{second:02}Z" for second in range(60)]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the query asked for: the order of the entries, and a text to search for ("": none)."""

    sort: SortKey = SortKey.NAME
    order: Direction = Direction.ASCENDING
    query: str = ""


class NoticeKind(Enum):
    """What a listing has to say beside its entries."""

    UNREADABLE = "error"
    CUT_SHORT = "end"


@dataclass(frozen=True, slots=True)
class Notice:
    """UNREADABLE: the entries of a folder are missing; CUT_SHORT: the search ended early.

    detail is a sentence for people.
    """

    kind: NoticeKind
    folder: Name
    detail: str


class ListingForm(Protocol):
    """A listing in the making: head once, then rows, found and notice in any order, tail once.

    Each gives the next piece of text; it may be empty.
    """

    @property
    def content_type(self) -> str:
        """The Content-Type of the whole."""

    def head(self) -> str:
        """What comes before all entries."""

    def rows(self, entries: Sequence[Entry]) -> str:
        """The next entries of the listed folder itself."""

    def found(self, folder: Name, entries: Sequence[Entry]) -> str:
        """The next entries of a folder: of the listed one, or of one below it."""

    def notice(self, notice: Notice) -> str:
        """What else there is to say."""

    def tail(self) -> str:
        """What comes after all entries."""


def reachable(folder: Name, entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries of a folder that a URL can name; a link that cannot work is not shown.

    Left out are paths over 4,095 bytes, and `-` in the root, where the service's own pages are.
    """
    room = MAX_NAME_BYTES - sum(len(segment) + 1 for segment in folder.segments)
    if folder.segments and room >= MAX_SEGMENT_BYTES:
        return entries
    return [
        entry
        for entry in entries
        if len(entry.segment) <= room
        and (folder.segments or entry.segment != RESERVED_FIRST_SEGMENT)
    ]


def quoted(segment: bytes) -> str:
    """The segment percent-encoded as in Name.url_path: nothing but unreserved characters is left.

    So it needs no further escaping in HTML, JSON, CSV or a shell.
    """
    return segment.decode("latin-1").translate(_QUOTED)


def folder_url(folder: Name) -> str:
    """The path of a folder's URL, with its slash at the end."""
    return f"{folder.url_path}/" if folder.segments else "/"


def entry_url(entry: Entry) -> str:
    """The URL of an entry, relative to that of its folder."""
    url = quoted(entry.segment)
    return f"{url}/" if entry.kind is EntryKind.FOLDER else url


def rfc3339(modified_ns: int | None) -> str | None:
    """The UTC time in whole seconds (RFC 3339), rounded down as Last-Modified is.

    None where there is no time, or none that a calendar has: a file system can hold the year
    30000.
    """
    if modified_ns is None:
        return None
    days, seconds = divmod(modified_ns // _NANOSECONDS, _DAY_SECONDS)
    date = _date(days)
    return None if date is None else date + _MINUTES[seconds // 60] + _SECONDS[seconds % 60]


@lru_cache(maxsize=1024)
def _date(days: int) -> str | None:
    try:
        return (_EPOCH + timedelta(days=days)).date().isoformat()
    except OverflowError:
        return None
