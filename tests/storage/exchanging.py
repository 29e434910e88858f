"""Two names change places in one step; apart, so that another process can import it alone."""

import ctypes
import os

RENAME_EXCHANGE = 2
AT_FDCWD = -100


def exchange(one: bytes, other: bytes) -> None:
    """Swap two names in one step, renameat2(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
