"""Lists a folder in bounded memory, without ever asking a mount that is not the folder's own.

Asking for the status of a mount point, or of a link that leads to one, hangs with that mount also
when the folder itself is local.  So names that are mount points somewhere are opened with
RESOLVE_NO_XDEV first, and links go the same way as every download.
"""

import os
import stat
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial

from storage.beneath import CrossesMount
from storage.errors import NameRefused, NotAFolder, NotFound, from_os_error
from storage.lease import Lease
from storage.names import Name
from storage.pools import BoundedPool, local_pool
from storage.routing import Place, Router
from storage.walk import AtMountPoint

BATCH_ENTRIES = 500


class EntryKind(Enum):
    """UNKNOWN: a link into another mount, which is not asked for the sake of a listing."""

    FILE = "file"
    FOLDER = "folder"
    UNKNOWN = "unknown"


class HiddenNames(Enum):
    """Names that begin with a dot: neither handed out nor listed, or as all others.

    The name that was asked for decides, also where it is a symlink to a hidden name beneath the
    root: whoever makes such a link means to publish what it leads to.
    """

    REFUSE = "refuse"
    SHOW = "show"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a name means now; size in bytes for files, modified_ns since 1970, None: not known."""

    segment: bytes
    kind: EntryKind
    size: int | None
    modified_ns: int | None


# All that is kept of a folder's entries while it is sorted: 50,000 of them are some 6 MB.
_Found = tuple[EntryKind, bytes]


def entry_of(segment: bytes, status: os.stat_result) -> Entry | None:
    """The Entry for a status; None for FIFOs, sockets and devices."""
    if stat.S_ISREG(status.st_mode):
        return Entry(segment, EntryKind.FILE, status.st_size, status.st_mtime_ns)
    if stat.S_ISDIR(status.st_mode):
        return Entry(segment, EntryKind.FOLDER, None, status.st_mtime_ns)
    return None


class Folder:
    """An open folder.  Its methods ask the file system: for threads of its pool only."""

    def __init__(self, router: Router, name: Name, fileno: int, place: Place | None) -> None:
        """Takes ownership of fileno, also when it raises NotAFolder, NotFound or OSError."""
        self.pool: BoundedPool = local_pool() if place is None else place.pool
        self._router = router
        self._name = name
        self._prefix = () if place is None else place.prefix
        self._lease = Lease(fileno)
        try:
            _require_folder(os.fstat(fileno), name)
        except BaseException:
            self._lease.release()
            raise
        self._mount_names = router.table.current().point_names

    def release(self) -> None:
        """Close it, as soon as no thread uses it any more."""
        self._lease.release()

    def scan(self, *, hidden: HiddenNames) -> list[_Found]:
        """All entries that are listed, folders first, then by name without regard to case."""
        with self._lease as fileno, os.scandir(fileno) as entries:
            found = [
                (kind, segment)
                for entry in entries
                if hidden is HiddenNames.SHOW or not entry.name.startswith(".")
                if (kind := self._kind(entry, segment := os.fsencode(entry.name))) is not None
            ]
        found.sort(key=_order)
        return found

    def describe(self, found: list[_Found]) -> list[Entry]:
        """The entries with sizes and times; those that vanished meanwhile are left out."""
        with self._lease as fileno:
            entries = (self._describe(fileno, kind, segment) for kind, segment in found)
            return [entry for entry in entries if entry is not None]

    def _kind(self, entry: os.DirEntry[str], segment: bytes) -> EntryKind | None:
        # The file system told the type with the name: nothing is asked here but for links.
        if entry.is_symlink():
            target = self._follow(segment)
            return None if target is None else target.kind
        if entry.is_dir(follow_symlinks=False):
            return EntryKind.FOLDER
        return EntryKind.FILE if entry.is_file(follow_symlinks=False) else None

    def _describe(self, fileno: int, kind: EntryKind, segment: bytes) -> Entry | None:
        try:
            if segment in self._mount_names:
                return self._describe_carefully(fileno, kind, segment)
            status = os.stat(segment, dir_fd=fileno, follow_symlinks=False)
        except (FileNotFoundError, PermissionError):
            return None
        return self._follow(segment) if stat.S_ISLNK(status.st_mode) else entry_of(segment, status)

    def _describe_carefully(self, fileno: int, kind: EntryKind, segment: bytes) -> Entry | None:
        try:
            child = self._router.root.open_entry(fileno, segment)
        except AtMountPoint:
            return Entry(segment, kind, None, None)
        try:
            status = os.fstat(child)
        finally:
            os.close(child)
        return self._follow(segment) if stat.S_ISLNK(status.st_mode) else entry_of(segment, status)

    def _follow(self, segment: bytes) -> Entry | None:
        """What a symlink leads to; None if that is nothing, out of the root or not handed out."""
        # NameRefused: beneath a deep folder a name can be too long to be asked for.
        with suppress(OSError, NameRefused):
            try:
                child = self._router.open_near(
                    self._name.child(segment), os.O_PATH | os.O_CLOEXEC, self._prefix
                )
            except CrossesMount:
                return Entry(segment, EntryKind.UNKNOWN, None, None)
            try:
                return entry_of(segment, os.fstat(child))
            finally:
                os.close(child)
        return None


async def list_folder(
    folder: Folder, hidden: HiddenNames, what: str
) -> AsyncGenerator[list[Entry], None]:
    """Batches of at most 500 entries; takes ownership of folder.  Raises StorageErrors."""
    try:
        found = await folder.pool.run(partial(folder.scan, hidden=hidden))
        for start in range(0, len(found), BATCH_ENTRIES):
            batch = found[start : start + BATCH_ENTRIES]
            entries = await folder.pool.run(partial(folder.describe, batch))
            if entries:
                yield entries
    except OSError as error:
        raise from_os_error(error, what) from error
    finally:
        folder.pool.executor.dispose(folder.release)


def _order(found: _Found) -> tuple[bool, str, bytes]:
    kind, segment = found
    return kind is not EntryKind.FOLDER, os.fsdecode(segment).casefold(), segment


def _require_folder(status: os.stat_result, name: Name) -> None:
    if stat.S_ISREG(status.st_mode):
        raise NotAFolder(f"{name.display}: is a file, not a folder")
    if not stat.S_ISDIR(status.st_mode):
        raise NotFound(f"{name.display}: not found")
