"""Throwing a file out of the page cache, so that the next read of it waits for the disk."""

import ctypes
import mmap
import os
import time

# Some five seconds; counted, so that a machine that stands still ends none but one.
_ATTEMPTS = 100
_libc = ctypes.CDLL(None, use_errno=True)


def evict(descriptor: int, start: int = 0) -> bool:
    """Whether no page of the open file (for reading and writing) from start on is in memory now.

    posix_fadvise(2) leaves what is dirty, being read, or waits on another CPU's list, and tells
    nobody: so asked again until it is true.  False on file systems that are memory.
    """
    # No readahead: it would fetch more than is read, and what is in flight cannot be thrown out.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    for _ in range(_ATTEMPTS):
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, start, 0, os.POSIX_FADV_DONTNEED)
        if not _pages_in_memory(descriptor, start):
            return True
        time.sleep(0.05)
    return False


def _pages_in_memory(descriptor: int, start: int) -> int:
    """How many of its pages from start on are there, by mincore(2), which reads none in."""
    with mmap.mmap(descriptor, 0) as mapping:
        first = start // mmap.PAGESIZE
        pages = -(-len(mapping) // mmap.PAGESIZE)
        flags = ctypes.create_string_buffer(pages)
        byte = ctypes.c_char.from_buffer(mapping)
        address = ctypes.c_void_p(ctypes.addressof(byte))
        del byte  # the mapping cannot be closed before
        if _libc.mincore(address, ctypes.c_size_t(len(mapping)), flags):
            raise OSError(ctypes.get_errno(), "mincore")
        return sum(flag & 1 for flag in flags.raw[first:])
