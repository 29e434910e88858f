"""Reads a file once, for its SHA-256 and CRC-32, and for the SHA-256 of each of its pieces.

SHA-256 of the whole is computed in the thread that reads, that of the pieces in a second one: two
processors take the time of one.  For threads that may wait for a disk.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType

from storage.blob import Fingerprint, fingerprint_of
from storage.digests import Digester, Digests

MIN_PIECE_BYTES = 1 << 20
# As text they are 320 KB in a Metalink; a damaged piece of a terabyte is 256 MiB.
MAX_PIECES = 4096
# Stays in the processor's cache between the read and the sum.
_BUFFER_BYTES = 256 << 10
# How far the second thread may be behind.
_BUFFERS = 8

Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PieceSums:
    """SHA-256 of each piece, one behind the other; all pieces but the last have length bytes."""

    length: int
    sha256s: bytes

    def differing(self, other: "PieceSums") -> list[int]:
        """The numbers of the pieces that differ, from 0; other has pieces of the same length."""
        count = max(len(self.sha256s), len(other.sha256s)) // 32
        return [n for n in range(count) if self._one(n) != other._one(n)]

    def _one(self, number: int) -> bytes:
        return self.sha256s[32 * number : 32 * number + 32]


@dataclass(frozen=True, slots=True)
class FileSums:
    """What a file was when it was read.  pieces is None for a file of one piece."""

    fingerprint: Fingerprint
    digests: Digests
    pieces: PieceSums | None


def piece_length_for(size: int) -> int:
    """The length of the pieces of a file of so many bytes: a power of two, 1 MiB or more."""
    length = MIN_PIECE_BYTES
    while length * MAX_PIECES < size:
        length *= 2
    return length


def read_sums(fileno: int, read: Told) -> FileSums | None:
    """The sums of an open file, with those of its pieces; None when it changed meanwhile.

    read is told the number of bytes of each step.  What it raises ends the reading.  Raises
    OSError.
    """
    fingerprint = fingerprint_of(os.fstat(fileno))
    length = piece_length_for(fingerprint.size)
    if fingerprint.size <= length:
        return read_whole_sums(fileno, read)
    with _PieceHasher(length) as hasher:
        digests = _read_beside(fileno, hasher, read)
        pieces = PieceSums(length, hasher.result())
    if fingerprint_of(os.fstat(fileno)) != fingerprint:
        return None
    return FileSums(fingerprint, digests, pieces)


def read_whole_sums(fileno: int, read: Told) -> FileSums | None:
    """The same without pieces, in this thread alone."""
    fingerprint = fingerprint_of(os.fstat(fileno))
    digester = Digester()
    buffer = memoryview(bytearray(min(_BUFFER_BYTES, fingerprint.size + 1)))
    offset = 0
    while count := os.preadv(fileno, [buffer], offset):
        digester.update(buffer[:count])
        offset += count
        read(count)
        if offset > fingerprint.size:  # grows, maybe as fast as it is read
            return None
    if fingerprint_of(os.fstat(fileno)) != fingerprint:
        return None
    return FileSums(fingerprint, digester.digests(), None)


def _read_beside(fileno: int, hasher: "_PieceHasher", read: Told) -> Digests:
    digester = Digester()
    offset, size = 0, os.fstat(fileno).st_size
    while offset <= size:
        buffer = hasher.free_buffer()
        count = os.preadv(fileno, [buffer], offset)
        if count == 0:
            break
        hasher.add(buffer, count)
        digester.update(buffer[:count])
        offset += count
        read(count)
    return digester.digests()


class _PieceHasher:
    """A thread that hashes pieces out of buffers that somebody else fills and reads, too."""

    def __init__(self, piece_length: int) -> None:
        self._piece_length = piece_length
        self._sha256s: list[bytes] = []
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(memoryview(bytearray(_BUFFER_BYTES)))
        self._filled: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="piece hashes", daemon=True)

    def __enter__(self) -> "_PieceHasher":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._finish()

    def free_buffer(self) -> memoryview:
        """A buffer to fill, which the thread is done with; so must be who asks for the next."""
        return self._free.get()

    def add(self, buffer: memoryview, count: int) -> None:
        """The next count bytes of the file."""
        self._filled.put((buffer, count))

    def result(self) -> bytes:
        """The SHA-256 of all pieces; nothing can be added any more."""
        self._finish()
        return b"".join(self._sha256s)

    def _finish(self) -> None:
        if self._thread.is_alive():
            self._filled.put(None)
            self._thread.join()

    def _work(self) -> None:
        sha256, room = hashlib.sha256(), self._piece_length
        while (filled := self._filled.get()) is not None:
            buffer, count = filled
            start = 0
            while start < count:
                taken = min(room, count - start)
                sha256.update(buffer[start : start + taken])
                start, room = start + taken, room - taken
                if room == 0:
                    self._sha256s.append(sha256.digest())
                    sha256, room = hashlib.sha256(), self._piece_length
            self._free.put(buffer)
        if room < self._piece_length:
            self._sha256s.append(sha256.digest())
