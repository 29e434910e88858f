"""How a file is shown to people: its family, and its size and time in words (pure)."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from fileserve.http.media_types import media_type
from storage.local import Entry, EntryKind

_SIZE_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_ARCHIVE_MARKS = ("zip", "7z", "tar", "zst", "x-xz", "x-bz", "rar", "iso9660", "compress", "lz")
# The end of a subtype: "geo+json" and "x-subrip", but no "vnd.openxmlformats-...document".
_TEXT_SUBTYPE = re.compile(
    r"(?:.*[+.-])?(?:json|ndjson|jsonl|xml|yaml|toml|javascript|ecmascript|subrip|mpegurl|sh|csh|"
    r"sql|tex|latex|pgp-signature)"
)


class Family(Enum):
    """What a browser can do with it; the value is the name of its icon."""

    FOLDER = "folder"
    LINK = "link"
    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    TEXT = "text"
    PDF = "pdf"
    ARCHIVE = "archive"
    FILE = "file"


# What the view page shows, by the word on its button.
VIEW_WORDS = {
    Family.VIDEO: "Play",
    Family.AUDIO: "Play",
    Family.IMAGE: "View",
    Family.TEXT: "View",
    Family.PDF: "View",
}
_FAMILIES_BY_TOP = {
    "video": Family.VIDEO,
    "audio": Family.AUDIO,
    "image": Family.IMAGE,
    "text": Family.TEXT,
}


@dataclass(frozen=True, slots=True)
class Size:
    """A size in two or three digits with a unit, and to the byte."""

    short: str
    exact: str


def family_of(entry: Entry) -> Family:
    """The family of an entry."""
    if entry.kind is EntryKind.FOLDER:
        return Family.FOLDER
    if entry.kind is EntryKind.UNKNOWN:
        # A link into another mount: what it leads to is seen when it is followed.
        return Family.LINK
    return family_of_file(entry.segment)


def family_of_file(segment: bytes) -> Family:
    """The family of a file of this name."""
    return _family_of_type(media_type(segment))


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


def size_in_words(size: int) -> Size:
    """Both forms of a size in bytes."""
    return Size(human_size(size), f"{size:,} byte{'' if size == 1 else 's'}")


def counted(number: int, noun: str) -> str:
    """ "1 file", "2,000 files"; nothing for none."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if number else ""


@lru_cache(maxsize=1024)
def _family_of_type(content_type: str) -> Family:
    essence = content_type.partition(";")[0]
    top, _, subtype = essence.partition("/")
    if top in _FAMILIES_BY_TOP:
        return _FAMILIES_BY_TOP[top]
    if essence == "application/pdf":
        return Family.PDF
    if any(mark in subtype for mark in _ARCHIVE_MARKS):
        return Family.ARCHIVE
    return Family.TEXT if _TEXT_SUBTYPE.fullmatch(subtype) else Family.FILE
