"""The walk: goes down from the root one component at a time and follows symlinks itself.

Used where openat2(2) is refused, and to find the mount point that made openat2 answer EXDEV.
Each step opens one component with O_PATH | O_NOFOLLOW below a descriptor already held, so nothing
that is renamed or linked meanwhile can lead outside: ".." only goes back to a descriptor the walk
came from, and an absolute link is refused without looking at its target.
"""

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

from storage.mounts import mount_id
from storage.openat2 import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, openat2

MAX_LINKS = 40  # the kernel's own limit, path_resolution(7)
_STEP_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV

# (folder, segment, more open flags) -> an O_PATH descriptor of segment, itself if it is a link.
# Raises AtMountPoint instead of crossing into another mount.
Step = Callable[[int, bytes, int], int]


class Symlinks(Enum):
    """What a symlink on the way means: a way that must stay beneath the root, or nothing."""

    FOLLOW_BENEATH = "beneath"
    NEVER = "never"


class AtMountPoint(Exception):  # noqa: N818 - an outcome, not an error
    """Another mount begins at this component."""


class CrossesMount(Exception):  # noqa: N818 - an outcome, not an error
    """The way leads through another mount, which may hang: go on in that mount's own pool.

    prefix: the mount point's real path below the root, free of symlinks.
    rest: the components still to go from there; links_left: how many symlinks may be followed.
    """

    def __init__(self, prefix: tuple[bytes, ...], rest: tuple[bytes, ...], links_left: int) -> None:
        super().__init__(os.fsdecode(b"/".join(prefix)))
        self.prefix = prefix
        self.rest = rest
        self.links_left = links_left


def step_by_openat2(folder: int, segment: bytes, flags: int) -> int:
    """A Step that cannot hang: the kernel stops at a mount point."""
    try:
        return openat2(folder, segment, _STEP_FLAGS | flags, _STEP_RESOLVE)
    except OSError as error:
        if error.errno == errno.EXDEV:  # one component, not "..": nothing else is EXDEV
            raise AtMountPoint from None
        raise


def step_by_mount_id(folder: int, segment: bytes, _flags: int) -> int:
    """A Step for kernels and sandboxes without openat2, which looks where it arrived.

    Opening a mount point with O_PATH asks a FUSE server nothing.  More flags would: O_DIRECTORY
    triggers an automount.
    """
    child = os.open(segment, _STEP_FLAGS, dir_fd=folder)
    try:
        is_same_mount = mount_id(child) == mount_id(folder)
    except OSError:
        os.close(child)
        raise
    if not is_same_mount:
        os.close(child)
        raise AtMountPoint
    return child


class Walk:
    """One walk below the descriptor root, for one thread and one use.

    allowed: the real path of a mount point; the mounts on that path may be entered.
    """

    def __init__(
        self,
        root: int,
        step: Step,
        symlinks: Symlinks,
        segments: Iterable[bytes],
        *,
        allowed: tuple[bytes, ...] = (),
        links_left: int = MAX_LINKS,
    ) -> None:
        self._root = root
        self._step = step
        self._links_left = 0 if symlinks is Symlinks.NEVER else links_left
        self._remaining = deque(segments)
        self._allowed = allowed
        self._path: list[bytes] = []
        self._folders: list[int] = []  # one descriptor for each segment of _path

    def open(self, flags: int) -> int:
        """A new descriptor of what the segments lead to; raises OSError and CrossesMount."""
        try:
            while self._remaining:
                found = self._advance(self._remaining.popleft())
                if found is not None:
                    return _reopen(found, flags)
            return os.open(b".", flags | os.O_CLOEXEC, dir_fd=self._here)
        finally:
            for folder in self._folders:
                os.close(folder)

    @property
    def _here(self) -> int:
        return self._folders[-1] if self._folders else self._root

    def _advance(self, segment: bytes) -> int | None:
        """Go past segment; an O_PATH descriptor if that was the end of the way."""
        if segment in (b"", b"."):
            return None
        if segment == b"..":
            self._go_up()
            return None
        child = self._open_child(segment)
        if self._follow_link(child):
            return None
        if not self._remaining:
            return child
        self._path.append(segment)
        self._folders.append(child)
        return None

    def _go_up(self) -> None:
        if not self._folders:
            raise OSError(errno.EXDEV, "'..' leads out of the root")
        self._path.pop()
        os.close(self._folders.pop())

    def _open_child(self, segment: bytes) -> int:
        if not self._remaining:
            return self._step_or_cross(segment, 0)
        try:
            # O_DIRECTORY also makes an automounter mount what lies here.
            return self._step_or_cross(segment, os.O_DIRECTORY)
        except NotADirectoryError:
            child = self._step_or_cross(segment, 0)
        if _link_target(child) is None:
            os.close(child)
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), segment)
        return child

    def _step_or_cross(self, segment: bytes, flags: int) -> int:
        try:
            return self._step(self._here, segment, flags)
        except AtMountPoint:
            prefix = (*self._path, segment)
            if prefix != self._allowed[: len(prefix)]:
                rest = tuple(self._remaining)
                raise CrossesMount(prefix, rest, self._links_left) from None
            return _cross(self._here, segment)

    def _follow_link(self, child: int) -> bool:
        """Whether child is a symlink; its target is put before what remains, and child closed."""
        try:
            target = _link_target(child)
            if target is None:
                return False
            if self._links_left == 0:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), target)
            if target.startswith(b"/"):
                raise OSError(errno.EXDEV, "an absolute link leads out of the root", target)
        except OSError:
            os.close(child)
            raise
        os.close(child)
        self._links_left -= 1
        self._remaining.extendleft(reversed(target.split(b"/")))
        return True


def _link_target(child: int) -> bytes | None:
    try:
        return os.readlink(b"", dir_fd=child)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):  # readlinkat(2): not a symlink
            return None
        raise


def _cross(folder: int, segment: bytes) -> int:
    try:
        return os.open(segment, _STEP_FLAGS | os.O_DIRECTORY, dir_fd=folder)
    except NotADirectoryError:  # a file may be a mount point, too
        return os.open(segment, _STEP_FLAGS, dir_fd=folder)


def _reopen(found: int, flags: int) -> int:
    """The very file the walk found, opened for use; takes ownership of found."""
    try:
        # A second look-up by name could find something else, or a mount that hangs.
        return os.open(b"/proc/self/fd/%d" % found, flags & ~os.O_NOFOLLOW | os.O_CLOEXEC)
    finally:
        os.close(found)
