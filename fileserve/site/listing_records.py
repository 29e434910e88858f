"""One entry of a listing as a record for programs (pure).

    name        for people: a name that is not UTF-8 has U+FFFD for what cannot be read
    path        the same, with the folders between the listed one and it: "disc 1/a b.mkv"
    type        "file", "folder", "unknown" (a link into another mount, which is not asked for the
                sake of a listing), "error" (a folder whose entries are missing) or "end" (a search
                ended early; there may be more)
    size        bytes of a file, else null
    modified    "2026-01-02T03:04:05Z" (RFC 3339), null where it is not known
    media_type  of a file, else null
    url         absolute path, percent-encoded: it always works, and decoded it is the exact name
    detail      a sentence, of "error" and "end" only, else null
    sha256      of a file whose checksum is known, in JSON and NDJSON only

They are the members of an object in JSON and NDJSON (detail is left out where it is null) and the
columns in CSV (null is an empty cell).
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fileserve.http.media_types import media_type
from fileserve.site.listing_entries import Notice, entry_url, folder_url, rfc3339
from storage.local import Entry, EntryKind, Fingerprint
from storage.names import Name

COLUMNS = ("name", "path", "type", "size", "modified", "media_type", "url", "detail")

Cell = str | int | None
Sha256Of = Callable[[bytes, Fingerprint], bytes | None]
# ASCII alone, so that no name can be taken for something else on its way.
to_json = json.JSONEncoder(ensure_ascii=True).encode


@dataclass(frozen=True, slots=True)
class Listed:
    """The folder that is listed, and the part of a URL's path that we are mounted under (ASGI).

    sha256_of: what is known of a file at a path below the root, in some state.
    """

    folder: Name
    root_path: str
    sha256_of: Sha256Of | None = None

    def path(self, folder: Name) -> str:
        """What comes before the names in a folder at or below this one, to make their path."""
        below = folder.segments[len(self.folder.segments) :]
        return "".join(f"{readable(segment)}/" for segment in below)

    def url(self, folder: Name) -> str:
        """The same for their url."""
        return self.root_path + folder_url(folder)


def readable(segment: bytes) -> str:
    """The name as text, U+FFFD for what is not UTF-8."""
    return segment.decode("utf-8", "replace")


def json_records(listed: Listed, folder: Name, entries: Sequence[Entry]) -> list[str]:
    """An object of one line for each entry of a folder at or below the listed one."""
    # Both are put between quotes that are there already.
    path, url = to_json(listed.path(folder))[1:-1], to_json(listed.url(folder))[1:-1]
    records = [_json_record(path, url, entry) for entry in entries]
    return (
        records
        if listed.sha256_of is None
        else _with_sums(listed.sha256_of, folder, records, entries)
    )


def _with_sums(
    sha256_of: Sha256Of, folder: Name, records: Sequence[str], entries: Iterable[Entry]
) -> list[str]:
    above = b"".join(segment + b"/" for segment in folder.segments)
    summed = []
    for record, entry in zip(records, entries, strict=True):
        state = entry.fingerprint
        known = None if state is None else sha256_of(above + entry.segment, state)
        summed.append(record if known is None else f'{record[:-1]}, "sha256": "{known.hex()}"}}')
    return summed


def json_notice(listed: Listed, notice: Notice) -> str:
    """An object of one line for what is missing."""
    return to_json(dict(zip(COLUMNS, _notice_cells(listed, notice), strict=True)))


def csv_records(listed: Listed, folder: Name, entries: Iterable[Entry]) -> str:
    """A line of CSV for each entry of a folder at or below the listed one."""
    path, url = listed.path(folder), listed.url(folder)
    return csv_lines([_cells(path, url, entry) for entry in entries])


def csv_notice(listed: Listed, notice: Notice) -> str:
    """A line of CSV for what is missing."""
    return csv_lines([_notice_cells(listed, notice)])


def csv_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as RFC 4180 has them.

    Cells are what they are, also where they begin with "=", "+", "-" or "@", which a spreadsheet
    may take for a formula: a name that was changed for it would be the name of another file.
    """
    lines = io.StringIO(newline="")
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return lines.getvalue()


def _json_record(path: str, url: str, entry: Entry) -> str:
    """What to_json makes of all cells, in a third of the time."""
    name = to_json(readable(entry.segment))
    modified = rfc3339(entry.modified_ns)
    when = "null" if modified is None else f'"{modified}"'
    is_file = entry.kind is EntryKind.FILE
    return (
        f'{{"name": {name}, "path": "{path}{name[1:-1]}", "type": "{_type(entry)}", '
        f'"size": {"null" if entry.size is None else entry.size}, '
        f'"modified": {when}, '
        f'"media_type": {_json_text(media_type(entry.segment)) if is_file else "null"}, '
        f'"url": "{url}{entry_url(entry)}"}}'
    )


def _type(entry: Entry) -> str:
    # Asking an Enum for its value takes longer than all else that is done with an entry here.
    if entry.kind is EntryKind.FILE:
        return "file"
    return "folder" if entry.kind is EntryKind.FOLDER else "unknown"


@lru_cache(maxsize=1024)
def _json_text(text: str) -> str:
    return to_json(text)


def _cells(path: str, url: str, entry: Entry) -> tuple[Cell, ...]:
    name = readable(entry.segment)
    return (
        name,
        path + name,
        _type(entry),
        entry.size,
        rfc3339(entry.modified_ns),
        media_type(entry.segment) if entry.kind is EntryKind.FILE else None,
        url + entry_url(entry),
        None,
    )


def _notice_cells(listed: Listed, notice: Notice) -> tuple[Cell, ...]:
    folder = notice.folder
    path = listed.path(folder).removesuffix("/")
    url = listed.url(folder)
    return readable(folder.last), path, notice.kind.value, None, None, None, url, notice.detail
