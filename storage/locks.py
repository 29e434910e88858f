"""Locks on open files (flock), where the file system knows any.

A lock ends when the file is closed, also by a kill.
"""

import errno
import fcntl
from enum import Enum

# How file systems say that they know no locks; EBADF: NFS wants the file open for writing.
_NO_LOCKS = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EBADF))


class Lock(Enum):
    """Whose the lock on a file is; UNKNOWN where the file system knows none."""

    OURS = "ours"
    ANOTHERS = "another's"
    UNKNOWN = "unknown"


def try_lock(fd: int) -> Lock:
    """Lock an open file if nobody else holds it."""
    try:
        return _flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Lock.ANOTHERS


def wait_for_lock(fd: int) -> Lock:
    """Lock an open file or folder once nobody else holds it; never ANOTHERS."""
    return _flock(fd, fcntl.LOCK_EX)


def _flock(fd: int, operation: int) -> Lock:
    try:
        fcntl.flock(fd, operation)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return Lock.UNKNOWN
    return Lock.OURS
