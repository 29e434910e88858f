"""What stands beside a file in its folder: the files before and after it, and its subtitles."""

import os
import re
from contextlib import aclosing
from dataclasses import dataclass, field

from fileserve.site.appearance import Family, family_of_file
from storage.errors import StorageError
from storage.local import Entry, EntryKind, LocalStorage
from storage.names import RESERVED_FIRST_SEGMENT, Name

_SUBTITLE_ENDINGS = (b".srt", b".vtt")
# More are a mistake, or somebody's test of us.
_MAX_SUBTITLES = 50
# Who watches a film or looks through pictures goes on to the next one, past what lies between.
_KEEPS_TO_ITS_KIND = frozenset({Family.VIDEO, Family.AUDIO, Family.IMAGE})
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Subtitles:
    """A subtitle file; language is a tag like "en", or "" where the name tells none."""

    segment: bytes
    label: str
    language: str


@dataclass(slots=True)
class Neighbours:
    """previous and next in the order of the listing; None where there is none.

    For a film, a sound or a picture they are the next of its kind.
    """

    previous: bytes | None = None
    next: bytes | None = None
    subtitles: list[Subtitles] = field(default_factory=list)


async def find_neighbours(storage: LocalStorage, name: Name) -> Neighbours:
    """What stands beside a file; nothing where the folder cannot be listed.

    Reads the listing as far as needed, which is as far as the names that begin like this one.
    """
    found = _Finder(name)
    try:
        async with aclosing(storage.list(name.parent)) as batches:
            async for batch in batches:
                if found.look_at(batch):
                    break
    except StorageError:
        return Neighbours()
    return found.neighbours


class _Finder:
    """Looks at the entries of a folder in the order of the listing: folders, then by name."""

    def __init__(self, name: Name) -> None:
        self._own = name.last
        self._is_root = not name.parent.segments
        self._stem = stem_of(name.last)
        self._folded_stem = _folded(self._stem + b".")
        self._family = family_of_file(name.last)
        self._has_passed = False
        self.neighbours = Neighbours()

    def look_at(self, batch: list[Entry]) -> bool:
        """Take the next entries; True when nothing more can follow."""
        for entry in batch:
            if entry.kind is EntryKind.FILE and self._look_at_file(entry.segment):
                return True
        return False

    def _look_at_file(self, segment: bytes) -> bool:
        if self._is_root and segment == RESERVED_FIRST_SEGMENT:
            return False
        self._note_subtitles(segment)
        if segment == self._own:
            self._has_passed = True
        elif self._is_of_its_kind(segment):
            if not self._has_passed:
                self.neighbours.previous = segment
            elif self.neighbours.next is None:
                self.neighbours.next = segment
        return self.neighbours.next is not None and self._is_past_subtitles(segment)

    def _is_of_its_kind(self, segment: bytes) -> bool:
        return self._family not in _KEEPS_TO_ITS_KIND or family_of_file(segment) is self._family

    def _is_past_subtitles(self, segment: bytes) -> bool:
        # The listing is in the order of folded names.
        folded = _folded(segment)
        return folded > self._folded_stem and not folded.startswith(self._folded_stem)

    def _note_subtitles(self, segment: bytes) -> None:
        found = subtitles_for(self._stem, segment)
        if found is not None and len(self.neighbours.subtitles) < _MAX_SUBTITLES:
            self.neighbours.subtitles.append(found)


def stem_of(segment: bytes) -> bytes:
    """A file name without its ending: "film" for "film.mkv"."""
    return segment.rpartition(b".")[0] or segment


def subtitles_for(stem: bytes, segment: bytes) -> Subtitles | None:
    """segment as subtitles of the film called stem: film.srt, film.en.srt; None if it is none."""
    ending = segment[-4:].lower()
    if ending not in _SUBTITLE_ENDINGS or not segment.startswith(stem + b"."):
        return None
    middle = segment[len(stem) + 1 : -4].decode("utf-8", "replace")
    first = middle.partition(".")[0]
    language = first if _LANGUAGE.fullmatch(first) else ""
    return Subtitles(segment, middle.replace(".", " ") or "Subtitles", language)


def _folded(segment: bytes) -> str:
    return os.fsdecode(segment).casefold()
