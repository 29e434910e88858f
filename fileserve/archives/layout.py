"""What a layout of an archive is: where each of its bytes comes from, found without a walk."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fileserve.archives.members import Member


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes [start, stop) of a member's file; never empty."""

    member: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Summed:
    """The bytes [start, stop) of what encode makes of a member's CRC-32; never empty."""

    member: int
    encode: Callable[[int], bytes]
    start: int
    stop: int

    def encoded(self, crc32: int) -> bytes:
        """The bytes for this CRC-32."""
        return self.encode(crc32)[self.start : self.stop]


Piece: TypeAlias = bytes | Content | Summed


class Layout(Protocol):
    """Members are added in their order, then it is closed; from then on nothing changes."""

    @property
    def length(self) -> int:
        """All bytes of the archive."""

    def add(self, member: Member) -> None:
        """Lay out the next member of the table."""

    def close(self, digest: bytes) -> None:
        """Lay out what stands behind the members; digest tells this state from all others.

        The length of an archive depends a little on its digest.  Programs that resume without
        If-Range (aria2, curl) compare nothing but the length: two states of a folder shall not
        have the same one, or they would be mixed.
        """

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """The bytes [start, stop) of the archive, in order; 0 <= start < stop <= length."""


class Offsets:
    """Where each of many things begins that stand one behind the other, from a first position."""

    __slots__ = ("_starts", "end")

    def __init__(self, first: int) -> None:
        self._starts = array("Q")
        self.end = first

    def add(self, length: int) -> None:
        """Lay the next thing, of length bytes, behind the others."""
        self._starts.append(self.end)
        self.end += length

    def __getitem__(self, index: int) -> int:
        return self._starts[index]

    def overlapping(self, start: int, stop: int) -> Iterator[int]:
        """The indexes of all things that have bytes in [start, stop), which may be empty."""
        if not self._starts or start >= self.end:
            return
        index = max(bisect_right(self._starts, start) - 1, 0)
        while index < len(self._starts) and self._starts[index] < stop:
            yield index
            index += 1


def cut(piece: bytes | Content | Summed, begin: int, start: int, stop: int) -> Iterator[Piece]:
    """The part of piece, which stands at begin, that lies in [start, stop); nothing if none."""
    length = len(piece) if isinstance(piece, bytes) else piece.stop - piece.start
    first, last = max(start - begin, 0), min(stop - begin, length)
    if first >= last:
        return
    match piece:
        case bytes():
            yield piece[first:last]
        case Content():
            yield Content(piece.member, piece.start + first, piece.start + last)
        case Summed():
            yield Summed(piece.member, piece.encode, piece.start + first, piece.start + last)
