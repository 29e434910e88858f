"""The bytes of one open file become those of another, by the shortest way the kernel knows.

Sharing blocks (FICLONE), copying inside the kernel (copy_file_range), reading plus writing: each
is tried where the one before is refused.  The bytes are handed out on the way to be hashed.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator

# Large enough for system calls to cost nothing, small enough to be hashed out of the cache.
COPY_CHUNK_BYTES = 1 << 20

# Read, hashed and written out of the processor's cache; shorter ones cost more calls (1.7 CPU
# seconds for a GiB with 64 KiB, 1.3 with 512, 1.5 with 1024; 2026-11).
_FILLED_BYTES = 512 << 10

# Puts bytes into a buffer; returns how many, 0 when there are none for now.
Fill = Callable[[memoryview], int]

# How file systems and filters say that they do not know a call or cannot do it for these files.
UNSUPPORTED = frozenset(
    (
        errno.EOPNOTSUPP,
        errno.EINVAL,
        errno.ENOSYS,
        errno.ENOTTY,
        errno.EXDEV,
        errno.EPERM,
        errno.EINTR,  # os.copy_file_range does not retry by itself
    )
)
_FICLONE = 0x40049409  # linux/fs.h


def read_pieces(fd: int, offset: int = 0) -> Iterator[memoryview]:
    """All bytes of an open file from offset; a piece is valid until the next is asked for."""
    buffer = memoryview(bytearray(COPY_CHUNK_BYTES))
    while count := os.preadv(fd, [buffer], offset):
        yield buffer[:count]
        offset += count


def filled_pieces(fill: Fill) -> Iterator[memoryview]:
    """What fill brings, until it brings nothing; a piece is valid until the next is asked for."""
    buffer = memoryview(bytearray(_FILLED_BYTES))
    while count := fill(buffer):
        yield buffer[:count]


def copied_pieces(source_fd: int, fd: int) -> Iterator[memoryview]:
    """Copies source_fd into the empty fd; yields what fd then holds, piece by piece.

    fd is open for reading and writing.  A piece is valid until the next one is asked for.
    """
    if _clone(source_fd, fd):
        yield from read_pieces(fd)
        return
    buffer = memoryview(bytearray(COPY_CHUNK_BYTES))
    offset = 0
    while count := _copy_range(source_fd, fd, offset):
        piece = buffer[: os.preadv(fd, [buffer[:count]], offset)]
        yield piece
        offset += len(piece)
    # From here also what copy_file_range cannot see: files of /proc seem empty to it.
    os.lseek(fd, offset, os.SEEK_SET)
    for piece in read_pieces(source_fd, offset):
        write_all(fd, piece)
        yield piece


def write_all(fd: int, buffer: memoryview) -> None:
    """Write every byte of buffer (of single bytes) at the descriptor's position."""
    while buffer:
        buffer = buffer[os.write(fd, buffer) :]


def _clone(source_fd: int, fd: int) -> bool:
    """Let fd share all blocks of source_fd, at once and as a snapshot; False if impossible."""
    try:
        fcntl.ioctl(fd, _FICLONE, source_fd)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    return True


def _copy_range(source_fd: int, fd: int, offset: int) -> int:
    """The number of bytes the kernel copied at offset; 0 at the end or where it cannot."""
    try:
        return os.copy_file_range(source_fd, fd, COPY_CHUNK_BYTES, offset, offset)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return 0
