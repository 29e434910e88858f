"""A folder's listing as JSON, made piece by piece (pure).

    {"path": "/films/", "url": "/films/", "entries": [
    {"name": "a b.mkv", "path": "a b.mkv", "type": "file", "size": 12, ...},
    ...
    ], "complete": true}

The objects are the records of listing_records.  complete is false when folders could not be read
or a search ended early: then entries has records that say so.  An object without its closing
brackets is of a listing that broke off.
"""

import os
from collections.abc import Sequence

from fileserve.site.listing_entries import Notice, Shown
from fileserve.site.listing_records import (
    Listed,
    Sha256Of,
    json_notice,
    json_records,
    readable,
    to_json,
)
from storage.local import Entry
from storage.names import Name


class JsonListing:
    """A ListingForm; root_path (ASGI) is the part of a URL's path that we are mounted under."""

    content_type = "application/json"

    def __init__(
        self, folder: Name, root_path: str, shown: Shown, sha256_of: Sha256Of | None = None
    ) -> None:
        self._listed = Listed(folder, root_path, sha256_of)
        self._query = shown.query
        self._separator = "\n"
        self._is_complete = True

    def head(self) -> str:
        """Up to the bracket that opens the entries."""
        folder = self._listed.folder
        path = "/" + "".join(f"{readable(segment)}/" for segment in folder.segments)
        members = {"path": path, "url": self._listed.url(folder)}
        if self._query:
            members["query"] = readable(os.fsencode(self._query))
        return f'{to_json(members)[:-1]}, "entries": ['

    def rows(self, entries: Sequence[Entry]) -> str:
        """Entries of the folder itself, one a line."""
        return self.found(self._listed.folder, entries)

    def found(self, folder: Name, entries: Sequence[Entry]) -> str:
        """Entries of any folder below, one a line."""
        return self._joined(json_records(self._listed, folder, entries))

    def notice(self, notice: Notice) -> str:
        """One more record."""
        self._is_complete = False
        return self._joined([json_notice(self._listed, notice)])

    def tail(self) -> str:
        """The closing brackets, and whether that was all."""
        return f'\n], "complete": {"true" if self._is_complete else "false"}}}\n'

    def _joined(self, records: Sequence[str]) -> str:
        if not records:
            return ""
        separator, self._separator = self._separator, ",\n"
        return separator + ",\n".join(records)
