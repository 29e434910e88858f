"""A folder's listing as an HTML page without scripts, made piece by piece (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass

from fileserve.http.media_types import media_type
from fileserve.site.listing_entries import entry_url, reachable, rfc3339
from fileserve.site.pages import template
from storage.local import Entry, EntryKind
from storage.names import Name, printable

ROOT_LABEL = "Files"

_SIZE_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_MAX_EXTENSION_LENGTH = 5
_FAMILIES = frozenset({"video", "audio", "image", "text"})
_ARCHIVE_MARKS = ("zip", "7z", "tar", "zst", "x-xz", "x-bz", "rar", "iso9660", "compress", "lz")
_TEXT_MARKS = ("json", "xml", "yaml", "toml", "script", "subrip")


class PageListing:
    """A ListingForm whose links are relative, so that they work under any prefix.

    root_path (ASGI) is the part of a URL's path that we are mounted under.
    """

    content_type = "text/html; charset=utf-8"

    def __init__(self, folder: Name, root_path: str) -> None:
        self._folder = folder
        self._root_path = root_path
        self._totals = _Totals()

    def head(self) -> str:
        return template("listing_head.html").render(
            label=printable(self._folder.last) or ROOT_LABEL,
            ancestors=_ancestors(self._folder),
            root_path=self._root_path,
        )

    def rows(self, entries: Sequence[Entry]) -> str:
        listed = [entry for entry, _ in reachable(self._folder, entries)]
        if not listed:
            return ""
        is_first = self._totals.is_empty
        for entry in listed:
            self._totals.add(entry)
        return template("listing_rows.html").render(
            rows=[_row(entry) for entry in listed], is_first=is_first
        )

    def tail(self) -> str:
        return template("listing_tail.html").render(summary=self._totals.sentence())


@dataclass(slots=True)
class _Totals:
    """What was listed so far."""

    folders: int = 0
    files: int = 0
    links: int = 0
    file_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.folders or self.files or self.links)

    def add(self, entry: Entry) -> None:
        match entry.kind:
            case EntryKind.FOLDER:
                self.folders += 1
            case EntryKind.FILE:
                self.files += 1
                self.file_bytes += entry.size or 0
            case EntryKind.UNKNOWN:
                self.links += 1

    def sentence(self) -> str:
        """The counts in words; empty for an empty folder."""
        parts = [
            _counted(self.folders, "folder"),
            _counted(self.files, "file"),
            human_size(self.file_bytes) if self.files else "",
            _counted(self.links, "link"),
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class _Crumb:
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the page, in words."""

    label: str
    url: str
    is_folder: bool
    icon: str
    type_label: str
    size: str
    exact_size: str
    modified: str
    time_label: str


def human_size(size: int) -> str:
    """size bytes with two or three digits and a binary unit: 512 B, 1.4 GiB, 143 MiB."""
    if size < 1000:
        return f"{size} B"
    value, unit = size / 1024, _SIZE_UNITS[0]
    for larger_unit in _SIZE_UNITS[1:]:
        # 1,000 KiB is longer to read than 1.0 MiB.
        if value < 999.5:
            break
        value, unit = value / 1024, larger_unit
    return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"


def _ancestors(folder: Name) -> list[_Crumb]:
    """The folders above, from the root down."""
    count = len(folder.segments)
    labels = (ROOT_LABEL, *map(printable, folder.segments[:-1]))
    return [_Crumb(label, "../" * (count - depth)) for depth, label in enumerate(labels[:count])]


def _row(entry: Entry) -> _Row:
    modified = rfc3339(entry.modified_ns) or ""
    icon, type_label = _looks(entry)
    size = entry.size if entry.kind is EntryKind.FILE else None
    return _Row(
        label=printable(entry.segment),
        url=entry_url(Name((entry.segment,)), entry.kind).removeprefix("/"),
        is_folder=entry.kind is EntryKind.FOLDER,
        icon=icon,
        type_label=type_label,
        size="" if size is None else human_size(size),
        exact_size="" if size is None else f"{size:,} bytes",
        modified=modified,
        time_label=modified[:16].replace("T", " "),
    )


def _looks(entry: Entry) -> tuple[str, str]:
    """The icon of an entry, and its type in words."""
    if entry.kind is EntryKind.FOLDER:
        return "folder", "Folder"
    if entry.kind is EntryKind.UNKNOWN:
        # A link into another mount: what it leads to is seen when it is followed.
        return "link", "Link"
    family = _family(media_type(entry.segment))
    stem, _, extension = entry.segment.rpartition(b".")
    if stem and 0 < len(extension) <= _MAX_EXTENSION_LENGTH:
        return family, f"{printable(extension).upper()} {family}"
    return family, family.capitalize()


def _family(content_type: str) -> str:
    top, _, subtype = content_type.partition("/")
    if top in _FAMILIES:
        return top
    if any(mark in subtype for mark in _ARCHIVE_MARKS):
        return "archive"
    return "text" if any(mark in subtype for mark in _TEXT_MARKS) else "file"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if number else ""
