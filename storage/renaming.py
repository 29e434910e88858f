"""Renames an entry to a name that nobody has, as strictly as the file system can.

    renameat2(2)     with RENAME_NOREPLACE, where it is known
    link and unlink  where it is not (sshfs, NFS): linkat(2) never replaces either
    look and rename  where links are unknown, too (FUSE of rclone or exFAT), and for folders

Between the look and the rename a lock on the folder keeps out all who come through here; what
another program puts there in this instant is replaced.
"""

import ctypes
import errno
import os

from storage.locks import wait_for_lock

_RENAME_NOREPLACE = 1  # linux/fs.h
_NO_FLAGS = frozenset((errno.EINVAL, errno.ENOSYS))
# How a file system says that it makes no hard links, and EPERM also of folders; EIO is rclone's.
NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EIO))


def rename_to_new(
    source_folder_fd: int, source_segment: bytes, folder_fd: int, segment: bytes
) -> None:
    """Move an entry within one file system, not yet durably.

    folder_fd is open for reading.  Raises OSError, FileExistsError if the name is taken.
    """
    try:
        _rename_no_replace(source_folder_fd, source_segment, folder_fd, segment)
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
        try:
            _link_and_unlink(source_folder_fd, source_segment, folder_fd, segment)
        except OSError as refused:
            if refused.errno not in NO_LINKS:
                raise
            _look_and_rename(source_folder_fd, source_segment, folder_fd, segment)


def _rename_no_replace(
    source_folder_fd: int, source_segment: bytes, folder_fd: int, segment: bytes
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    failed = libc.renameat2(
        ctypes.c_int(source_folder_fd),
        ctypes.c_char_p(source_segment),
        ctypes.c_int(folder_fd),
        ctypes.c_char_p(segment),
        ctypes.c_uint(_RENAME_NOREPLACE),
    )
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), segment)


def _link_and_unlink(
    source_folder_fd: int, source_segment: bytes, folder_fd: int, segment: bytes
) -> None:
    folders = {"src_dir_fd": source_folder_fd, "dst_dir_fd": folder_fd}
    os.link(source_segment, segment, **folders, follow_symlinks=False)
    os.unlink(source_segment, dir_fd=source_folder_fd)


def _look_and_rename(
    source_folder_fd: int, source_segment: bytes, folder_fd: int, segment: bytes
) -> None:
    # A lock belongs to the opening of a file: the caller's own has perhaps been handed around.
    lock_fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        wait_for_lock(lock_fd)
        if _is_taken(folder_fd, segment):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), segment)
        os.rename(source_segment, segment, src_dir_fd=source_folder_fd, dst_dir_fd=folder_fd)
    finally:
        os.close(lock_fd)


def _is_taken(folder_fd: int, segment: bytes) -> bool:
    try:
        os.stat(segment, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
