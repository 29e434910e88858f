"""Walks a folder on the disk as it is, without recursion: a client can make 2,000 levels.

For counting, looking and removing in threads; what is served is walked by trees.py.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn

from storage.openat2 import is_usable
from storage.walk import AtMountPoint, Step, step_by_mount_id, step_by_openat2

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


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
    """The folder top and all below it, each before those in it; follows no links.

    Stays on the mount of dir_fd: another one, which may hang, is not touched and unreadable.
    Whoever takes a name out of `folders` keeps the walk from going there.  unreadable is told of
    what cannot be read; a folder that vanished meanwhile is left out.
    """
    step = step_by_openat2 if is_usable(dir_fd) else step_by_mount_id
    waiting = [top]
    while waiting:
        path = waiting.pop()
        try:
            fd = _open(path, dir_fd, step)
        except FileNotFoundError:
            continue
        except OSError as error:
            unreadable(error)
            continue
        try:
            met = Met(path, fd, [], [])
            with os.scandir(fd) as entries:
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    names = met.folders if is_folder else met.others
                    names.append(os.fsencode(entry.name))
            yield met
        finally:
            os.close(fd)
        waiting += [path + b"/" + name for name in met.folders]


def _open(path: bytes, dir_fd: int, step: Step) -> int:
    try:
        found = step(dir_fd, path, os.O_DIRECTORY)
    except AtMountPoint:
        raise OSError(errno.EXDEV, "another mount begins here", path) from None
    try:
        return os.open(b".", _FLAGS, dir_fd=found)
    finally:
        os.close(found)


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
