"""What is known of the CRC-32 of files: whole ones, and those of parts that were read so far.

In memory and bounded.  A sum belongs to a state of a file, not to its name: renamed, it is still
known, and changed, it is another file's.
"""

import errno
import os
import struct
import threading
from bisect import bisect_left
from dataclasses import dataclass
from typing import TypeVar

from storage.blob import Fingerprint, fingerprint_of
from storage.crc32 import crc32, crc32_of_zeros, joined_crc32

# 180 bytes each: 35 MB when full.
_MAX_WHOLE = 200_000
_MAX_PARTLY = 2_000
# Neighbours are joined, so more than this means that somebody asks for crumbs: the least are
# forgotten, they are the cheapest to read again.
_MAX_PARTS = 256
_BUFFER_BYTES = 256 << 10  # stays in the processor's cache between the read and the sum
_KEY = struct.Struct("=QQqqQ")
_HOLES_ARE_UNKNOWN = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)

T = TypeVar("T")

_scratch = threading.local()


@dataclass(frozen=True, slots=True)
class FileState:
    """A state of a file: what its sums are filed under."""

    device: int
    fingerprint: Fingerprint

    @classmethod
    def of(cls, status: os.stat_result) -> "FileState":
        """The state that fstat tells."""
        return cls(status.st_dev, fingerprint_of(status))

    @property
    def key(self) -> bytes:
        """The state in 40 bytes, or more for times that 64 bits do not hold."""
        try:
            return _KEY.pack(self.device, *self.fingerprint)
        except struct.error:  # the year 2262 or later, which touch(1) can set
            return repr((self.device, *self.fingerprint)).encode("ascii")


@dataclass(frozen=True, slots=True)
class PartialSum:
    """The CRC-32 of the bytes [start, stop) of a file."""

    start: int
    stop: int
    crc32: int


class Checksums:
    """A bounded memory of sums; the oldest are forgotten first.  For the event loop's thread."""

    def __init__(self, max_whole: int = _MAX_WHOLE, max_partly: int = _MAX_PARTLY) -> None:
        self._max_whole = max_whole
        self._max_partly = max_partly
        self._whole: dict[bytes, int] = {}
        self._parts: dict[bytes, list[PartialSum]] = {}

    def known(self, state: FileState) -> int | None:
        """The CRC-32 of the whole file, if it is known."""
        return 0 if state.fingerprint.size == 0 else self._whole.get(state.key)

    def add(self, state: FileState, part: PartialSum) -> None:
        """Remember a part that was read; one that overlaps what is known adds nothing."""
        key = state.key
        if key in self._whole or part.start >= part.stop:
            return
        parts = self._parts.pop(key, [])
        _insert(parts, part)
        if (parts[0].start, parts[0].stop) == (0, state.fingerprint.size):
            _put(self._whole, key, parts[0].crc32, self._max_whole)
        else:
            _put(self._parts, key, parts, self._max_partly)

    def beginning_at(self, state: FileState, position: int) -> PartialSum | None:
        """The part known to begin at position; the whole file, if that is known, begins at 0."""
        whole = self.known(state)
        if whole is not None:
            size = state.fingerprint.size
            return PartialSum(0, size, whole) if position == 0 else None
        parts = self._parts.get(state.key, ())
        return next((part for part in parts if part.start == position), None)

    def missing(self, state: FileState, start: int, stop: int) -> list[tuple[int, int]]:
        """The parts [start, stop) of the file, within these, whose sums are not known."""
        if self.known(state) is not None:
            return []
        gaps = []
        for part in self._parts.get(state.key, ()):
            if start < min(part.start, stop):
                gaps.append((start, min(part.start, stop)))
            start = max(start, part.stop)
        if start < stop:
            gaps.append((start, stop))
        return gaps


def read_crc32(fileno: int, start: int, stop: int) -> int | None:
    """The CRC-32 of the bytes [start, stop) of an open file; None if it ends before stop.

    Reads nothing where the file has holes.  Waits for the disk: for threads.  Raises OSError.
    """
    total = 0
    position = start
    while position < stop:
        hole_stop = min(_next_data(fileno, position), stop)
        if hole_stop > position:
            length = hole_stop - position
            total = joined_crc32(total, crc32_of_zeros(length), length)
        data_stop = min(_next_hole(fileno, hole_stop), stop) if hole_stop < stop else stop
        summed = _read_data(fileno, hole_stop, data_stop, total)
        if summed is None:
            return None
        total, position = summed, data_stop
    return total if os.fstat(fileno).st_size >= stop else None


def _insert(parts: list[PartialSum], part: PartialSum) -> None:
    """Put part into the sorted, disjoint parts, joined with its neighbours."""
    place = bisect_left(parts, part.start, key=lambda one: one.start)
    before = parts[place - 1] if place else None
    after = parts[place] if place < len(parts) else None
    if (before and before.stop > part.start) or (after and after.start < part.stop):
        return
    first, last = place, place
    if before and before.stop == part.start:
        part, first = joined(before, part), place - 1
    if after and after.start == part.stop:
        part, last = joined(part, after), place + 1
    parts[first:last] = [part]
    if len(parts) > _MAX_PARTS:
        parts.remove(min(parts, key=lambda one: one.stop - one.start))


def joined(first: PartialSum, second: PartialSum) -> PartialSum:
    """The sum of two parts, of which the second begins where the first stops."""
    total = joined_crc32(first.crc32, second.crc32, second.stop - second.start)
    return PartialSum(first.start, second.stop, total)


def _put(memory: dict[bytes, T], key: bytes, value: T, limit: int) -> None:
    memory[key] = value
    if len(memory) > limit:
        del memory[next(iter(memory))]


def _next_data(fileno: int, position: int) -> int:
    try:
        return os.lseek(fileno, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole up to the end
            return 1 << 63
        if error.errno in _HOLES_ARE_UNKNOWN:
            return position
        raise


def _next_hole(fileno: int, position: int) -> int:
    try:
        return os.lseek(fileno, position, os.SEEK_HOLE)
    except OSError as error:
        if error.errno in (*_HOLES_ARE_UNKNOWN, errno.ENXIO):
            return 1 << 63
        raise


def _read_data(fileno: int, start: int, stop: int, total: int) -> int | None:
    buffer = _buffer()
    while start < stop:
        count = os.preadv(fileno, [buffer[: stop - start]], start)
        if count == 0:
            return None
        total = crc32(buffer[:count], total)
        start += count
    return total


def _buffer() -> memoryview:
    buffer: memoryview | None = getattr(_scratch, "buffer", None)
    if buffer is None:
        buffer = _scratch.buffer = memoryview(bytearray(_BUFFER_BYTES))
    return buffer
