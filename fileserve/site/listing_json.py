"""A folder's listing as JSON, made piece by piece (pure).

    {"path": "/films/", "url": "/films/", "entries": [
    {"name": "a b.mkv", "type": "file", "size": 12, "modified": "2026-01-02T03:04:05Z",
     "media_type": "video/x-matroska", "url": "/films/a%20b.mkv"},
    ...
    ]}

`type` is file, folder or unknown (a link into another mount, which a listing does not ask).
`size`, `modified` and `media_type` are null where they are not known or mean nothing.  File names
are bytes: a name that is not UTF-8 has U+FFFD for what cannot be read.  `url` always works, and
its last segment, percent-decoded, is the exact name.  An object without its closing brackets is
of a listing that broke off.
"""

import json
from collections.abc import Sequence

from fileserve.http.media_types import media_type
from fileserve.site.listing_entries import entry_url, folder_url, reachable, rfc3339
from storage.local import Entry, EntryKind
from storage.names import Name


class JsonListing:
    """A ListingForm; root_path (ASGI) is the part of a URL's path that we are mounted under."""

    content_type = "application/json"

    def __init__(self, folder: Name, root_path: str) -> None:
        self._folder = folder
        self._root_path = root_path
        self._separator = "\n"

    def head(self) -> str:
        segments = (segment.decode("utf-8", "replace") for segment in self._folder.segments)
        path = "/" + "".join(f"{segment}/" for segment in segments)
        url = self._root_path + folder_url(self._folder)
        return f'{{"path": {json.dumps(path)}, "url": {json.dumps(url)}, "entries": ['

    def rows(self, entries: Sequence[Entry]) -> str:
        listed = [
            json.dumps(_members(entry, self._root_path + entry_url(name, entry.kind)))
            for entry, name in reachable(self._folder, entries)
        ]
        if not listed:
            return ""
        separator, self._separator = self._separator, ",\n"
        return separator + ",\n".join(listed)

    def tail(self) -> str:
        return "\n]}\n"


def _members(entry: Entry, url: str) -> dict[str, str | int | None]:
    is_file = entry.kind is EntryKind.FILE
    return {
        "name": entry.segment.decode("utf-8", "replace"),
        "type": entry.kind.value,
        "size": entry.size if is_file else None,
        "modified": rfc3339(entry.modified_ns),
        "media_type": media_type(entry.segment) if is_file else None,
        "url": url,
    }
