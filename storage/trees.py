"""Walks a folder tree beneath the root in a fixed order, for what needs all files of a folder.

The same names are seen as one by one: hidden ones, links that leave the root and whatever is no
regular file are left out, and so is what the operating system does not let us read.  A folder
that links lead back to is not entered again.  Nothing is opened by a path of the disk's, and no
mount is asked in any thread but its own.
"""

import os
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from storage.beneath import CrossesMount
from storage.checksums import FileState
from storage.errors import (
    AccessDenied,
    NameRefused,
    NotAFolder,
    NotFound,
    from_os_error,
)
from storage.folders import HiddenNames
from storage.lease import Lease
from storage.names import MAX_NAME_BYTES, RESERVED_FIRST_SEGMENT, Name, is_staging
from storage.ordering import in_byte_order
from storage.pools import BoundedPool, local_pool
from storage.routing import Place, Router
from storage.walk import AtMountPoint

# What one call in a thread looks at, so that listings and other walks have their turn.
_ENTRIES_PER_CALL = 500
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_DIRECTORY | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_CLOEXEC

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file or folder of a tree; state is None for folders.

    path: the segments from the folder that was walked, none for that folder itself.
    """

    path: tuple[bytes, ...]
    modified_ns: int
    is_executable: bool
    state: FileState | None


@dataclass(frozen=True, slots=True)
class _Below:
    """A folder that is to be walked; ancestors: device and inode of each folder on its way."""

    path: tuple[bytes, ...]
    ancestors: tuple[tuple[int, int], ...]


# A name in a folder and its status; None: another mount must be asked.
_Looked = tuple[bytes, os.stat_result | None]


class _OpenFolder:
    """A folder of the tree, open.  Its methods ask the file system: for threads of its pool."""

    def __init__(self, router: Router, name: Name, fileno: int, place: Place | None) -> None:
        """Takes ownership of fileno, also when it raises."""
        self.pool: BoundedPool = local_pool() if place is None else place.pool
        self._router = router
        self._name = name
        self._prefix = () if place is None else place.prefix
        self._lease = Lease(fileno)
        try:
            self.status = os.fstat(fileno)
        except BaseException:
            self._lease.release()
            raise
        self._mount_names = router.table.current().point_names

    def release(self) -> None:
        """Close it, as soon as no thread uses it any more; may be called twice."""
        self._lease.release()

    def scan(self, hidden: HiddenNames) -> tuple[list[_Looked], list[bytes]]:
        """The first names as look tells them, and the others, in the order of their bytes."""
        with self._lease as fileno, os.scandir(fileno) as entries:
            names = in_byte_order(
                [
                    segment
                    for entry in entries
                    if hidden is HiddenNames.SHOW or not entry.name.startswith(".")
                    if self._can_be_asked_for(segment := os.fsencode(entry.name))
                ]
            )
        looked = self.look(names[:_ENTRIES_PER_CALL])
        others = names[_ENTRIES_PER_CALL:]
        if not others:
            self.release()  # while in this thread: most folders are small
        return looked, others

    def _can_be_asked_for(self, segment: bytes) -> bool:
        """Whether Name.child takes it, which would cost more than all else that is done here."""
        if is_staging(segment):
            return False
        if not self._name.segments:
            return segment != RESERVED_FIRST_SEGMENT
        return len(self._name.relative) + 1 + len(segment) <= MAX_NAME_BYTES

    def look(self, names: list[bytes]) -> list[_Looked]:
        """What the names mean now, without those that mean nothing that is handed out."""
        looked: list[_Looked] = []
        with self._lease as fileno:
            for segment in names:
                try:
                    status = self._readable_status(fileno, segment)
                except (AtMountPoint, CrossesMount):
                    looked.append((segment, None))
                except (OSError, NameRefused):  # vanished, dangling, out of the root, too long
                    continue
                else:
                    if status is not None:
                        looked.append((segment, status))
        return looked

    def _readable_status(self, fileno: int, segment: bytes) -> os.stat_result | None:
        if segment in self._mount_names:
            # Asking by name could wait for whatever is mounted there.
            return self._status_of_entry(fileno, segment)
        status = os.stat(segment, dir_fd=fileno, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return self._status_behind_link(segment)
        is_readable = _reads_all() or os.access(
            segment, os.R_OK, dir_fd=fileno, effective_ids=True, follow_symlinks=False
        )
        return status if is_readable else None

    def _status_of_entry(self, fileno: int, segment: bytes) -> os.stat_result | None:
        child = self._router.root.open_entry(fileno, segment)
        try:
            if not stat.S_ISLNK(os.fstat(child).st_mode):
                return _readable_or_none(child)
        finally:
            os.close(child)
        return self._status_behind_link(segment)

    def _status_behind_link(self, segment: bytes) -> os.stat_result | None:
        child = self._router.open_near(self._name.child(segment), _LOOK, self._prefix)
        try:
            return _readable_or_none(child)
        finally:
            os.close(child)


class TreeWalk:
    """One walk, for one task on the event loop."""

    def __init__(self, router: Router, hidden: HiddenNames, top: Name) -> None:
        self._router = router
        self._hidden = hidden
        self._top = top
        self._waiting = [_Below((), ())]

    async def batches(self) -> AsyncGenerator[list[TreeEntry], None]:
        """The tree in batches of at most 501: each folder, the files in it, then its folders.

        Raises NotFound, NotAFolder and AccessDenied for the top, and Unavailable when a mount
        anywhere below does not answer: a part that is silently missing would be worse.
        """
        while self._waiting:
            below = self._waiting.pop()
            try:
                folder = await self._open(below)
            except (NotFound, AccessDenied, NameRefused):
                if not below.path:
                    raise
                continue
            try:
                async with aclosing(self._walk_folder(below, folder)) as batches:
                    async for batch in batches:
                        yield batch
            finally:
                folder.pool.executor.dispose(folder.release)

    async def _walk_folder(
        self, below: _Below, folder: _OpenFolder
    ) -> AsyncGenerator[list[TreeEntry], None]:
        identity = (folder.status.st_dev, folder.status.st_ino)
        if identity in below.ancestors:
            return
        own = TreeEntry(below.path, folder.status.st_mtime_ns, True, None)
        looked, others = await self._run(folder, partial(folder.scan, self._hidden), below.path)
        folders: list[tuple[bytes, ...]] = []
        yield [own, *await self._files(below.path, looked, folders)]
        for start in range(0, len(others), _ENTRIES_PER_CALL):
            some = others[start : start + _ENTRIES_PER_CALL]
            looked = await self._run(folder, partial(folder.look, some), below.path)
            yield await self._files(below.path, looked, folders)
        ancestors = (*below.ancestors, identity)
        self._waiting.extend(_Below(path, ancestors) for path in reversed(folders))

    async def _files(
        self, above: tuple[bytes, ...], looked: list[_Looked], folders: list[tuple[bytes, ...]]
    ) -> list[TreeEntry]:
        """The files among looked; the paths of folders are put into folders."""
        files: list[TreeEntry] = []
        for segment, known in looked:
            path = (*above, segment)
            status = known or await self._ask_other_mount(path)
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                folders.append(path)
            elif stat.S_ISREG(status.st_mode):
                files.append(_file_entry(path, status))
        return files

    async def _open(self, below: _Below) -> _OpenFolder:
        name = self._name(below.path)
        make = partial(_OpenFolder, self._router, name)
        try:
            return await self._router.reach(name, _READ, make, discard=_OpenFolder.release)
        except NotFound as error:
            if isinstance(error.__cause__, NotADirectoryError):
                raise NotAFolder(f"{name.display}: is a file, not a folder") from error
            raise

    async def _ask_other_mount(self, path: tuple[bytes, ...]) -> os.stat_result | None:
        try:
            return await self._router.reach(self._name(path), _LOOK, _status_of)
        except (NotFound, AccessDenied, NameRefused):
            return None

    async def _run(self, folder: _OpenFolder, call: Callable[[], T], path: tuple[bytes, ...]) -> T:
        try:
            return await folder.pool.run(call)
        except OSError as error:
            raise from_os_error(error, self._name(path).display) from error

    def _name(self, path: tuple[bytes, ...]) -> Name:
        """Raises NameRefused for a name that is too long to be asked for."""
        if not path:
            return self._top
        return Name((*self._top.segments, *path[:-1])).child(path[-1])


def _file_entry(path: tuple[bytes, ...], status: os.stat_result) -> TreeEntry:
    is_executable = bool(status.st_mode & stat.S_IXUSR)
    return TreeEntry(path, status.st_mtime_ns, is_executable, FileState.of(status))


def _status_of(fileno: int, _place: Place | None) -> os.stat_result | None:
    try:
        return _readable_or_none(fileno)
    finally:
        os.close(fileno)


def _readable_or_none(fileno: int) -> os.stat_result | None:
    """The status of what an O_PATH descriptor means; None if it may not be opened for reading."""
    if _reads_all() or os.access(b"/proc/self/fd/%d" % fileno, os.R_OK, effective_ids=True):
        return os.fstat(fileno)
    return None


def _reads_all() -> bool:
    """Whether no permissions need to be asked for: for root."""
    return os.geteuid() == 0
