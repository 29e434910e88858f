"""Small files that nobody but their owner may read: keys, and who may do what."""

import contextlib
import os

from storage.atomic import sync_folder

_NEW_SUFFIX = ".new"


def open_for_owner(path: str) -> int:
    """The file at path, open for reading and writing; made for the owner of its folder only."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        folder = os.stat(os.path.dirname(path) or ".")
        if os.geteuid() == 0 and os.fstat(fd).st_uid != folder.st_uid:
            # `sudo fileserve ...` beside a service: its files stay the service's.
            os.fchown(fd, folder.st_uid, folder.st_gid)
    except BaseException:
        os.close(fd)
        raise
    return fd


def replace_for_owner(path: str, content: bytes) -> None:
    """Let the file at path hold content, whole and durable or not at all.

    For whoever holds a lock against others that do the same.  Raises OSError.
    """
    new = path + _NEW_SUFFIX
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # of one that was killed
    try:
        with open(open_for_owner(new), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        raise
    folder_fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_folder(folder_fd)
    finally:
        os.close(folder_fd)
