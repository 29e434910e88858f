"""Links in what is moved: one that climbs would lead somewhere else from its new folder.

Who may write below one folder only could so make a link of the admin's lead out of it.
"""

import os
import stat
from collections.abc import Iterator

from storage.errors import AccessDenied
from storage.names import Name
from storage.plain_walk import folders_at_and_below


def refuse_climbing_links(name: Name, folder_fd: int, found: os.stat_result) -> None:
    """Raise AccessDenied for a link with `..` in it, and for a folder that holds such a link.

    name: of the entry in the folder folder_fd; found: its status.  Links of other kinds lead to
    what is moved with them, or nowhere.
    """
    if any(_climbs(target) for target in _targets(name.last, folder_fd, found)):
        raise AccessDenied(f"{name.display}: has a link in it that would lead somewhere else")


def _targets(segment: bytes, folder_fd: int, found: os.stat_result) -> Iterator[bytes]:
    if stat.S_ISLNK(found.st_mode):
        yield os.readlink(segment, dir_fd=folder_fd)
    elif stat.S_ISDIR(found.st_mode):
        for folder in folders_at_and_below(segment, folder_fd):
            for entry in folder.others:
                if stat.S_ISLNK(os.lstat(entry, dir_fd=folder.fd).st_mode):
                    yield os.readlink(entry, dir_fd=folder.fd)


def _climbs(target: bytes) -> bool:
    return b".." in target.split(b"/")
