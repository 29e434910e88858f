"""A body as a sequence of segments: bytes, slices of open files, stretches of archives."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import NamedTuple, Protocol

from fileserve.http.ranges import Span


class OpenFile(Protocol):
    """What delivery needs of an open file; ``storage`` has the real ones."""

    @property
    def zero_copy(self) -> bool:
        """Whether the event loop may sendfile from it: no call on it can hang."""

    def fileno(self) -> int:
        """Return the open descriptor."""

    async def read(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``; empty only at the end of the file."""


class Slice(NamedTuple):
    """The bytes ``[start, stop)`` of an open file."""

    file: OpenFile
    start: int
    stop: int


class Series(Protocol):
    """Bytes that are laid out but not yet there: its files are opened when their turn comes."""

    def pieces(self, start: int, stop: int) -> AsyncGenerator[bytes | Slice, None]:
        """Make the bytes [start, stop), in order; a slice is sent before the next is asked for.

        Slices are of zero-copy files alone.  Raises TransferCut when a file is not what it was
        when the series was laid out.
        """


class Stretch(NamedTuple):
    """The bytes ``[start, stop)`` of a series."""

    series: Series
    start: int
    stop: int


Segment = bytes | Slice | Stretch


def _length(segment: Segment) -> int:
    return len(segment) if isinstance(segment, bytes) else segment.stop - segment.start


def _cut(segment: Segment, start: int, stop: int) -> Segment:
    if isinstance(segment, bytes):
        return segment[start:stop]
    if isinstance(segment, Stretch):
        return Stretch(segment.series, segment.start + start, segment.start + stop)
    return Slice(segment.file, segment.start + start, segment.start + stop)


class Body(NamedTuple):
    """Segments in the order in which they are sent; ``length`` is their sum in bytes."""

    segments: tuple[Segment, ...]
    length: int

    def cut(self, span: Span) -> "Body":
        """Return the bytes ``[span.start, span.stop)`` of this body.

        span lies inside the body.
        """
        if len(self.segments) == 1:
            pieces: tuple[Segment, ...] = (_cut(self.segments[0], span.start, span.stop),)
        else:
            pieces = tuple(self._pieces(span))
        return Body(pieces, span.stop - span.start)

    def _pieces(self, span: Span) -> Iterator[Segment]:
        begin = 0
        for segment in self.segments:
            end = begin + _length(segment)
            start, stop = max(span.start, begin), min(span.stop, end)
            if start < stop:
                yield _cut(segment, start - begin, stop - begin)
            if end >= span.stop:
                return
            begin = end


EMPTY = Body((), 0)


def body_of(segments: Sequence[Segment]) -> Body:
    """Return the body that consists of ``segments``."""
    return Body(tuple(segments), sum(_length(segment) for segment in segments))
