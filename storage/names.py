"""Names: what may be asked for at all, decided before any disk is touched (pure).

File names on Linux are bytes.  A Name is a sequence of such byte segments beneath the root:
never empty, ``.`` or ``..``, never with a slash or NUL inside, so joining them cannot leave
the root.  Backslashes are ordinary.
"""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from storage.errors import NameRefused

MAX_SEGMENT_BYTES = 255  # NAME_MAX, limits.h
MAX_NAME_BYTES = 4095  # PATH_MAX without the terminating NUL
RESERVED_FIRST_SEGMENT = b"-"  # /-/... is the service's own
# Where uploads wait until they are whole (storage.staging): no name, wherever it lies.
STAGING_SEGMENT = b".fileserve-uploads"

_NOT_A_SEGMENT = (b"", b".", b"..")
# A stray percent sign, an encoded slash (it would become a separator), an encoded NUL.
_REFUSED_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%2[Ff]|%00")
# C0, DEL, C1, line separators; bidirectional overrides make "exe.mkv" out of "vkm.exe".
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Name:
    """A place beneath the root; no segments: the root folder itself."""

    segments: tuple[bytes, ...]

    @property
    def relative(self) -> bytes:
        """The path to give to openat2(2) with the root's descriptor; ``.`` for the root."""
        return b"/".join(self.segments) or b"."

    @property
    def path(self) -> bytes:
        """The path as the catalog keeps it: below the root, b"" for the root itself."""
        return b"/".join(self.segments)

    @property
    def display(self) -> str:
        """The name for people: safe on a terminal and in a log line, not reversible."""
        return printable(b"/".join(self.segments)) or "/"

    @property
    def url_path(self) -> str:
        """The absolute path of a URL for it, in ASCII; parse_request_path gives it back.

        All but RFC 3986 unreserved characters are escaped, so that the URL also survives
        a shell and a chat program.
        """
        return "/" + "/".join(quote(segment, safe="") for segment in self.segments)

    @property
    def is_hidden(self) -> bool:
        """Whether any segment begins with a dot."""
        # A slash in front of each segment finds them all in one search.
        return b"/." in b"/" + b"/".join(self.segments)

    @property
    def last(self) -> bytes:
        """The last segment; empty for the root."""
        return self.segments[-1] if self.segments else b""

    @property
    def parent(self) -> "Name":
        """The folder it lies in; the root is its own parent."""
        return Name(self.segments[:-1])

    def child(self, segment: bytes) -> "Name":
        """The name of an entry of this folder; raises NameRefused for what is no segment."""
        if b"/" in segment:
            raise NameRefused(f"{printable(segment)}: a file name has no slash in it")
        return _public_name((*self.segments, segment))


@dataclass(frozen=True, slots=True)
class RequestedPath:
    """What a request's path asks for; wants_folder: the path ended in a slash."""

    name: Name
    wants_folder: bool


# Players and download tools ask for one path again and again; at worst 512 paths of 12 KiB.
@lru_cache(maxsize=512)
def parse_request_path(raw_path: bytes) -> RequestedPath:
    """The name meant by a request's path, which is still percent-encoded and begins with ``/``.

    Escapes are decoded exactly once; raw non-ASCII bytes stand for themselves.  Raises
    NameRefused for stray percent signs, encoded slashes, NUL, empty or dot segments (one
    slash at the end is allowed), segments over 255 bytes, names over 4,095 bytes, and for
    everything under ``/-``.
    """
    path = _decoded(raw_path) if b"%" in raw_path else raw_path
    if path == b"/":
        return RequestedPath(Name(()), wants_folder=True)
    before, *segments = path.split(b"/")
    if before or not segments:
        raise NameRefused("a path begins with a slash")
    wants_folder = segments[-1] == b""
    if wants_folder:
        segments.pop()
    return RequestedPath(_public_name(tuple(segments)), wants_folder)


def parse_os_path(text: str | bytes) -> Name:
    """The name an admin means by a path relative to the root, as a shell writes it.

    ``./``, doubled slashes and one at the end mean nothing, ``.`` is the root.  Raises
    NameRefused for absolute paths, for ``..`` and for what cannot be a name.
    """
    path = os.fsencode(text)
    if not path:
        raise NameRefused("an empty text is not a name")
    if path.startswith(b"/"):
        raise NameRefused(f"{printable(path)}: names are relative to the root folder, without '/'")
    return _public_name(tuple(part for part in path.split(b"/") if part not in (b"", b".")))


def parse_served_path(text: str | bytes) -> Name:
    """As parse_os_path, for a path that may also begin at the root as clients see it: `/films`."""
    path = os.fsencode(text)
    return parse_os_path(path.lstrip(b"/") or b"." if path.startswith(b"/") else path)


def is_staging(segment: bytes) -> bool:
    """Whether an entry is the folder of unfinished uploads, also where cases are not told apart."""
    return segment[:1] == b"." and segment.lower() == STAGING_SEGMENT


def printable(text: bytes) -> str:
    """text for people: UTF-8 with undecodable bytes and control characters as U+FFFD."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.decode("utf-8", "replace"))


def _decoded(raw_path: bytes) -> bytes:
    if _REFUSED_ESCAPE.search(raw_path):
        raise NameRefused("stray percent sign, encoded slash or NUL in the path")
    return unquote_to_bytes(raw_path)


def _public_name(segments: tuple[bytes, ...]) -> Name:
    if segments and segments[0] == RESERVED_FIRST_SEGMENT:
        raise NameRefused("'-' in the root is reserved for the service's own pages")
    _refuse_impossible(segments)
    return Name(segments)


def _refuse_impossible(segments: tuple[bytes, ...]) -> None:
    for segment in segments:
        if segment in _NOT_A_SEGMENT:
            raise NameRefused("empty, '.' and '..' are not names")
        if len(segment) > MAX_SEGMENT_BYTES:
            raise NameRefused(f"a file name has at most {MAX_SEGMENT_BYTES} bytes")
        if is_staging(segment):
            raise NameRefused("unfinished uploads are not to be had")
        if b"\0" in segment:
            raise NameRefused("a name has no NUL byte in it")
    if sum(map(len, segments)) + len(segments) - 1 > MAX_NAME_BYTES:
        raise NameRefused(f"a path has at most {MAX_NAME_BYTES} bytes")
