"""Walks a folder on the disk as it is, without recursion: a client can make 2,000 levels.

For counting, looking and removing in threads; what is served is walked by trees.py.  Whatever is
mounted below is not touched: it may hang, and it is not ours to empty.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn

from storage.mounts import mount_id

# Opening a mount point so asks the file system that is mounted there nothing.
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Met(NamedTuple):
    """A folder that was met: its path below the start, its descriptor while it is looked at, and
    the names of its subfolders and of everything else in it."""

    path: bytes
    fd: int
    folders: list[bytes]
    others: list[bytes]


def refuse(error: OSError) -> NoReturn:
    """What cannot be read ends the walk."""
    raise error


def pass_over(_error: OSError) -> None:
    """What cannot be read is left out."""


def folders_at_and_below(
    top: bytes, dir_fd: int, unreadable: Callable[[OSError], None] = refuse
) -> Iterator[Met]:
    """The folder top and all below it on its mount, each before those in it; follows no links.

    unreadable is told of what cannot be read, also of mount points (EXDEV); a folder that
    vanished meanwhile is left out.
    """
    mount, waiting = mount_id(dir_fd), [top]
    while waiting:
        path = waiting.pop()
        try:
            fd = _open_folder(path, dir_fd, mount)
        except FileNotFoundError:
            continue
        except OSError as error:
            unreadable(error)
            continue
        try:
            met = Met(path, fd, [], [])
            try:
                _list(met)
            except OSError as error:
                unreadable(error)
            yield met
        finally:
            os.close(fd)
        waiting += [path + b"/" + name for name in met.folders]


def _open_folder(path: bytes, dir_fd: int, mount: int) -> int:
    """Raises OSError; EXDEV where another mount than this one begins."""
    found = os.open(path, _LOOK, dir_fd=dir_fd)
    try:
        if mount_id(found) != mount:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        return os.open(b".", _READ, dir_fd=found)
    finally:
        os.close(found)


def _list(met: Met) -> None:
    with os.scandir(met.fd) as entries:
        for entry in entries:
            names = met.folders if entry.is_dir(follow_symlinks=False) else met.others
            names.append(os.fsencode(entry.name))


def remove_tree(top: bytes, dir_fd: int) -> None:
    """Remove the folder top and all it holds, as far as that is possible."""
    met: list[bytes] = []
    for folder in folders_at_and_below(top, dir_fd, pass_over):
        met.append(folder.path)
        for name in folder.others:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder.fd)
    for path in reversed(met):
        with contextlib.suppress(OSError):
            os.rmdir(path, dir_fd=dir_fd)
