"""Opens a Name beneath a root, race-free, without ever waiting for another mount.

openat2(2) does it in one call, storage.walk where openat2 is refused.  Symlinks are followed only
while they stay beneath the root; an absolute one counts as leaving it, even if it points back in.
"""

import errno
import os

from storage.names import Name
from storage.openat2 import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    is_usable,
    openat2,
)
from storage.walk import CrossesMount, Symlinks, Walk, step_by_mount_id, step_by_openat2

__all__ = ["CrossesMount", "Root", "Symlinks"]


class Root:
    """The top folder of what is served, held open by an O_PATH descriptor until close().

    Opening it waits for its mount; raises OSError.
    """

    def __init__(self, path: str | bytes | os.PathLike[str], symlinks: Symlinks) -> None:
        self.fileno = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.symlinks = symlinks
        try:
            self._has_openat2 = is_usable(self.fileno)
        except OSError:
            os.close(self.fileno)
            raise
        self._step = step_by_openat2 if self._has_openat2 else step_by_mount_id
        self._resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
        if symlinks is Symlinks.NEVER:
            self._resolve |= RESOLVE_NO_SYMLINKS

    def close(self) -> None:
        """Let go of the root; nothing can be opened afterwards.  May be called twice."""
        descriptor, self.fileno = self.fileno, -1
        if descriptor >= 0:
            os.close(descriptor)

    def open_same_mount(self, name: Name, flags: int) -> int:
        """A new descriptor of name, which must lie on the root's own mount.

        Raises CrossesMount where another mount is in the way, without having touched it, and
        OSError: EXDEV for a link that leads out of the root, ELOOP for a link that may not be
        followed, whatever open(2) answers otherwise.
        """
        if self._has_openat2:
            try:
                return openat2(self.fileno, name.relative, flags, self._resolve)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
        return Walk(self.fileno, self._step, self.symlinks, name.segments).open(flags)

    def try_open_same_mount(self, name: Name, flags: int) -> int | None:
        """As open_same_mount where one openat2 call says all; None wherever it does not."""
        if not self._has_openat2:
            return None
        try:
            return openat2(self.fileno, name.relative, flags, self._resolve)
        except OSError:
            return None

    def open_beyond(self, crossing: CrossesMount, flags: int) -> int:
        """As open_same_mount, for the rest of a way that crossing cut short at a mount point.

        May hang with that mount: only for its own pool.  Raises CrossesMount again at the next one.
        """
        return Walk(
            self.fileno,
            self._step,
            self.symlinks,
            crossing.prefix + crossing.rest,
            allowed=crossing.prefix,
            links_left=crossing.links_left,
        ).open(flags)

    def open_entry(self, folder: int, segment: bytes) -> int:
        """An O_PATH descriptor of an entry of an open folder, of itself if it is a link.

        Raises AtMountPoint, without having touched it, where another mount begins, and OSError.
        """
        return self._step(folder, segment, 0)

    def open_any_mount(self, name: Name, flags: int) -> int:
        """As open_same_mount through any number of mounts; hangs if one of them does."""
        try:
            return self.open_same_mount(name, flags)
        except CrossesMount as first:
            crossing = first
        while True:
            try:
                return self.open_beyond(crossing, flags)
            except CrossesMount as another:
                crossing = another
