"""What every form of a listing says of an entry: where it is and when it changed (pure)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

from storage.errors import NameRefused
from storage.local import Entry, EntryKind
from storage.names import RESERVED_FIRST_SEGMENT, Name


class ListingForm(Protocol):
    """A listing in the making: head once, rows for each piece of the entries, tail once."""

    @property
    def content_type(self) -> str:
        """The Content-Type of the whole."""

    def head(self) -> str:
        """What comes before all entries."""

    def rows(self, entries: Sequence[Entry]) -> str:
        """The next entries."""

    def tail(self) -> str:
        """What comes after all entries."""


def reachable(folder: Name, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Name]]:
    """The entries that a URL can name; a link that cannot work is not shown.

    Left out are paths over 4,095 bytes, and `-` in the root, where the service's own pages are.
    """
    for entry in entries:
        if not folder.segments and entry.segment == RESERVED_FIRST_SEGMENT:
            continue
        try:
            yield entry, folder.child(entry.segment)
        except NameRefused:
            continue


def folder_url(folder: Name) -> str:
    """The path of a folder's URL, with its slash at the end."""
    return f"{folder.url_path}/" if folder.segments else "/"


def entry_url(name: Name, kind: EntryKind) -> str:
    """The path of an entry's URL."""
    return folder_url(name) if kind is EntryKind.FOLDER else name.url_path


def rfc3339(modified_ns: int | None) -> str | None:
    """The UTC time in whole seconds (RFC 3339), rounded down as Last-Modified is.

    None where there is no time, or none that a calendar has: a file system can hold the year
    30000.
    """
    if modified_ns is None:
        return None
    try:
        moment = datetime.fromtimestamp(modified_ns // 1_000_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat().replace("+00:00", "Z")
