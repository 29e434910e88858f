"""openat2(2), which Python has no wrapper for: opens whose whole path keeps its promises.

RESOLVE_NO_XDEV makes the kernel answer EXDEV at a mount point instead of crossing it; that takes
microseconds also when the mount hangs (65 us at most, measured 2026-11), so such an open may run
on the event loop.  Before Linux 6.17 a path through an autofs trigger may still wait for the
automounter.
"""

import ctypes
import errno
import os
from functools import cache

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

# One number on every architecture: calls added since Linux 5.1 share it.
_SYS_OPENAT2 = 437
# EAGAIN means that a rename or mount raced with ".."; the manual page asks for a retry.
_ATTEMPTS = 16
_DISABLED = "FILESERVE_NO_OPENAT2"


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_HOW_BYTES = ctypes.sizeof(_OpenHow)
# CDLL and not PyDLL: the call gives up the GIL, so a hung mount holds one thread and no more.
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.POINTER(_OpenHow),
    ctypes.c_size_t,
)


@cache
def _how(flags: int, resolve: int) -> "ctypes._Pointer[_OpenHow]":
    # The program uses a handful of combinations; building one costs as much as the call.
    return ctypes.pointer(_OpenHow(flags | os.O_CLOEXEC, 0, resolve))


def openat2(folder: int, path: bytes, flags: int, resolve: int) -> int:
    """A new close-on-exec descriptor of path, which is relative to the descriptor folder.

    Raises OSError; EXDEV where resolve forbids the way, ELOOP where it forbids a symlink.
    """
    if b"\0" in path:  # c_char_p would cut it silently
        raise ValueError("NUL in a path")
    how = _how(flags, resolve)
    number = errno.EAGAIN
    for _ in range(_ATTEMPTS):
        descriptor: int = _syscall(_SYS_OPENAT2, folder, path, how, _HOW_BYTES)
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number), path)


def is_usable(folder: int) -> bool:
    """Whether the kernel and its seccomp filters allow openat2 here and nobody switched it off.

    folder is any open directory's descriptor.  FILESERVE_NO_OPENAT2=1 switches it off, for tests.
    """
    if os.environ.get(_DISABLED) == "1":
        return False
    try:
        os.close(openat2(folder, b".", os.O_PATH | os.O_DIRECTORY, RESOLVE_BENEATH))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return False
        raise
    return True
