"""A folder's listing with one line for each entry: NDJSON, CSV, or paths alone (pure)."""

from collections.abc import Sequence

from fileserve.site.listing_entries import Notice, Shown, entry_url, quoted
from fileserve.site.listing_records import (
    COLUMNS,
    Listed,
    Sha256Of,
    csv_lines,
    csv_notice,
    csv_records,
    json_notice,
    json_records,
)
from storage.local import Entry
from storage.names import Name


class NdjsonListing:
    """A ListingForm: a JSON object on each line."""

    content_type = "application/x-ndjson"

    def __init__(
        self, folder: Name, root_path: str, _shown: Shown, sha256_of: Sha256Of | None = None
    ) -> None:
        self._listed = Listed(folder, root_path, sha256_of)

    def head(self) -> str:
        """Nothing."""
        return ""

    def rows(self, entries: Sequence[Entry]) -> str:
        """A line for each entry of the folder itself."""
        return self.found(self._listed.folder, entries)

    def found(self, folder: Name, entries: Sequence[Entry]) -> str:
        """A line for each entry of any folder below."""
        return "".join(f"{line}\n" for line in json_records(self._listed, folder, entries))

    def notice(self, notice: Notice) -> str:
        """One more line."""
        return f"{json_notice(self._listed, notice)}\n"

    def tail(self) -> str:
        """Nothing."""
        return ""


class CsvListing:
    """A ListingForm: comma-separated values (RFC 4180) under a header."""

    content_type = "text/csv; charset=utf-8; header=present"

    def __init__(self, folder: Name, root_path: str, _shown: Shown) -> None:
        self._listed = Listed(folder, root_path)

    def head(self) -> str:
        """The names of the columns."""
        return csv_lines([COLUMNS])

    def rows(self, entries: Sequence[Entry]) -> str:
        """A line for each entry of the folder itself."""
        return self.found(self._listed.folder, entries)

    def found(self, folder: Name, entries: Sequence[Entry]) -> str:
        """A line for each entry of any folder below."""
        return csv_records(self._listed, folder, entries)

    def notice(self, notice: Notice) -> str:
        """One more line."""
        return csv_notice(self._listed, notice)

    def tail(self) -> str:
        """Nothing."""
        return ""


class TextListing:
    """A ListingForm: on each line a URL relative to the folder's own, of folders with a slash.

    A URL has nothing in it that breaks a line or means something to a shell.  What is no entry
    begins with "#", which no such URL has.
    """

    content_type = "text/plain; charset=utf-8"

    def __init__(self, folder: Name, _root_path: str, _shown: Shown) -> None:
        self._folder = folder

    def head(self) -> str:
        """Nothing."""
        return ""

    def rows(self, entries: Sequence[Entry]) -> str:
        """A line for each entry of the folder itself."""
        return "".join(f"{entry_url(entry)}\n" for entry in entries)

    def found(self, folder: Name, entries: Sequence[Entry]) -> str:
        """A line for each entry of any folder below."""
        way = self._way(folder)
        return "".join(f"{way}{entry_url(entry)}\n" for entry in entries)

    def notice(self, notice: Notice) -> str:
        """A comment."""
        way = self._way(notice.folder)
        return f"# {way} {notice.detail}\n" if way else f"# {notice.detail}\n"

    def tail(self) -> str:
        """Nothing."""
        return ""

    def _way(self, folder: Name) -> str:
        below = folder.segments[len(self._folder.segments) :]
        return "".join(f"{quoted(segment)}/" for segment in below)
