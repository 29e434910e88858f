"""The staging folder of a mount: where what is not whole yet waits, out of everybody's sight.

It lies at the top of the mount, so that a rename brings a file from it to any folder there.  A
file `ID.part` belongs to a writer that holds a lock on it (flock) as long as it lives: one that
nobody holds was left behind by a kill, and sweep removes it.  Everything here blocks.
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator

from storage.locks import Lock, try_lock, wait_for_lock
from storage.names import STAGING_SEGMENT
from storage.plain_walk import remove_tree

_PART = re.compile(rb"[0-9a-f]{32}\.part")
_GONE = re.compile(rb"[0-9a-f]{32}\.gone")
_LOCK_SEGMENT = b"lock"
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
# Where nothing tells whether a writer lives, one that has written for a day is believed dead.
_OLD_SECONDS = 86_400


def open_staging(mount_fd: int) -> int:
    """A descriptor of the staging folder of the mount whose top folder is mount_fd; makes it.

    Raises OSError; a symlink of that name is refused (ELOOP or ENOTDIR).
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(STAGING_SEGMENT, 0o700, dir_fd=mount_fd)
    return find_staging(mount_fd)


def find_staging(mount_fd: int) -> int:
    """As open_staging where it was made before; raises FileNotFoundError where it was not."""
    return os.open(STAGING_SEGMENT, _FOLDER_FLAGS, dir_fd=mount_fd)


def new_part_segment() -> bytes:
    """A name for a file of a living writer."""
    return b"%s.part" % secrets.token_hex(16).encode()


def is_part(segment: bytes) -> bool:
    """Whether a file among the staged ones is that of a writer, living or killed."""
    return _PART.fullmatch(segment) is not None


def new_gone_segment() -> bytes:
    """A name for a folder that was removed and is being emptied."""
    return b"%s.gone" % secrets.token_hex(16).encode()


def create_part(staging_fd: int, mode: int) -> tuple[int, bytes]:
    """A new locked file: its descriptor for reading and writing, and its name."""
    while True:
        segment = new_part_segment()
        fd = os.open(segment, _FILE_FLAGS | os.O_EXCL, mode, dir_fd=staging_fd)
        try:
            # A sweeper may have come between the two.
            if hold(fd) and os.fstat(fd).st_nlink:
                return fd, segment
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def hold(fd: int) -> bool:
    """Lock an open file until it is closed; False if another writer or a sweeper holds it.

    True also where the file system knows no locks.
    """
    return try_lock(fd) is not Lock.ANOTHERS


@contextlib.contextmanager
def locked(staging_fd: int) -> Iterator[None]:
    """One writer at a time, of all processes: between judging what has a name and replacing it."""
    fd = os.open(_LOCK_SEGMENT, _FILE_FLAGS, 0o600, dir_fd=staging_fd)
    try:
        wait_for_lock(fd)
        yield
    finally:
        os.close(fd)


def sweep(mount_fd: int) -> int:
    """Remove what killed writers left in the staging folder, if there is one; returns how many."""
    try:
        staging_fd = find_staging(mount_fd)
    except FileNotFoundError:
        return 0
    try:
        names = [os.fsencode(name) for name in os.listdir(staging_fd)]
        gone = [name for name in names if _GONE.fullmatch(name)]
        for name in gone:
            # Another process may be at it, too: each name is removed by one of them.
            remove_tree(name, staging_fd)
        parts = [name for name in names if _PART.fullmatch(name)]
        return len(gone) + sum(_remove_if_left(staging_fd, part) for part in parts)
    finally:
        os.close(staging_fd)


def _remove_if_left(staging_fd: int, segment: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError):  # its writer came to an end meanwhile
        fd = os.open(segment, _LOOK_FLAGS, dir_fd=staging_fd)
        try:
            if not is_left(fd):
                return False
            os.unlink(segment, dir_fd=staging_fd)
            return True
        finally:
            os.close(fd)
    return False


def is_left(fd: int) -> bool:
    """Whether the writer of an open file is dead; the file is locked then, until it is closed."""
    match try_lock(fd):
        case Lock.OURS:
            return True
        case Lock.ANOTHERS:
            return False
        case Lock.UNKNOWN:
            return os.fstat(fd).st_mtime < time.time() - _OLD_SECONDS
