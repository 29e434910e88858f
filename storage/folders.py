"""Lists a folder in bounded memory, without ever asking a mount that is not the folder's own.

Asking for the status of a mount point, or of a link that leads to one, hangs with that mount also
when the folder itself is local.  So names that are mount points somewhere are opened with
RESOLVE_NO_XDEV first, and links go the same way as every download.
"""

import os
import stat
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import chain

from storage.beneath import CrossesMount
from storage.blob import Fingerprint, fingerprint_of
from storage.errors import NameRefused, NotAFolder, NotFound, from_os_error
from storage.lease import Lease
from storage.names import Name, is_staging
from storage.ordering import (
    BATCH_ENTRIES,
    BY_NAME,
    Order,
    PackedNames,
    SortKey,
    by_name,
    by_value,
    packed,
    packed_texts,
)
from storage.pools import BoundedPool, local_pool
from storage.routing import Place, Router
from storage.walk import AtMountPoint

__all__ = [
    "BATCH_ENTRIES",
    "Depth",
    "Entry",
    "EntryKind",
    "Folder",
    "HiddenNames",
    "View",
    "Wanted",
    "list_folder",
]

# A thread that computes gives the interpreter away after 5 ms only: meanwhile the event loop
# would send one piece of a file in 5 ms.  A pause of 0.1 ms after each 0.4 ms lets it in.
_ENTRIES_BETWEEN_PAUSES = 1_000
_PAUSE_SECONDS = 1e-4


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
    """What a name means now; size in bytes for files, modified_ns since 1970, None: not known.

    fingerprint: the state of a file.
    """

    segment: bytes
    kind: EntryKind
    size: int | None
    modified_ns: int | None
    fingerprint: Fingerprint | None = None


class Depth(Enum):
    """Whether the folders in a folder are listed after it, and those in them."""

    FOLDER = "folder"
    TREE = "tree"


# Whether an entry of this name (as os.fsdecode decodes it) is wanted; called in threads.
Wanted = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class View:
    """Which entries are listed, in what order; wanted None: all."""

    hidden: HiddenNames
    order: Order = BY_NAME
    depth: Depth = Depth.FOLDER
    wanted: Wanted | None = None


@dataclass(frozen=True, slots=True)
class Scanned:
    """The names in a folder: those whose place is known, then those still to be sorted."""

    placed: list[PackedNames]
    unsorted: list[PackedNames]


def entry_of(segment: bytes, status: os.stat_result) -> Entry | None:
    """The Entry for a status; None for FIFOs, sockets and devices."""
    if stat.S_ISREG(status.st_mode):
        size, modified_ns = status.st_size, status.st_mtime_ns
        return Entry(segment, EntryKind.FILE, size, modified_ns, fingerprint_of(status))
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
        self._mount_texts = frozenset(map(os.fsdecode, router.table.current().point_names))
        self._kinds_at_mounts: dict[bytes, EntryKind] = {}
        # By name, known after a scan for a tree.  A link to a folder is none of them: a descent
        # that followed links could go in circles.
        self.subfolders: list[PackedNames] = []

    def release(self) -> None:
        """Close it, as soon as no thread uses it any more."""
        self._lease.release()

    def scan(self, view: View) -> Scanned:
        """The names of all entries that are wanted, and of all subfolders."""
        folders: list[str] = []
        others: list[str] = []
        subfolders: list[str] = []
        wanted = view.wanted or _is_any
        with self._lease as fileno, os.scandir(fileno) as entries:
            for entry in _visible(entries, view.hidden):
                name = entry.name
                # The file system told the type with the name: nothing is asked but for links.
                if entry.is_file(follow_symlinks=False):
                    if wanted(name):
                        others.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    subfolders.append(name)
                    if wanted(name):
                        folders.append(name)
                elif entry.is_symlink() and wanted(name):
                    target = self._follow(os.fsencode(name))
                    if target is not None:
                        (folders if target.kind is EntryKind.FOLDER else others).append(name)
        self._remember_kinds(folders, EntryKind.FOLDER)
        self._remember_kinds(others, EntryKind.FILE)
        if view.depth is Depth.TREE:
            self.subfolders = packed_texts(by_name(subfolders))
        return _placed(view.order, folders, others)

    def measure(self, key: SortKey, batch: PackedNames) -> list[tuple[int, bytes]]:
        """What entries are sorted by, each with its name; -1 where that is not known."""
        return [(_value_of(entry, key), entry.segment) for entry in self.describe(batch)]

    def describe(self, batch: PackedNames) -> list[Entry]:
        """The entries with sizes and times; those that vanished meanwhile are left out."""
        with self._lease as fileno:
            entries = [self._describe(fileno, segment) for segment in batch.split(b"\0")]
        return [entry for entry in entries if entry is not None]

    def _remember_kinds(self, names: list[str], kind: EntryKind) -> None:
        # A mount point cannot be asked for its kind later.
        for name in self._mount_texts.intersection(names):
            self._kinds_at_mounts[os.fsencode(name)] = kind

    def _describe(self, fileno: int, segment: bytes) -> Entry | None:
        try:
            if segment in self._kinds_at_mounts:
                return self._describe_carefully(fileno, segment)
            status = os.stat(segment, dir_fd=fileno, follow_symlinks=False)
        except (FileNotFoundError, PermissionError):
            return None
        return self._follow(segment) if stat.S_ISLNK(status.st_mode) else entry_of(segment, status)

    def _describe_carefully(self, fileno: int, segment: bytes) -> Entry | None:
        try:
            child = self._router.root.open_entry(fileno, segment)
        except AtMountPoint:
            return Entry(segment, self._kinds_at_mounts[segment], None, None)
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


async def list_folder(folder: Folder, view: View, what: str) -> AsyncGenerator[list[Entry], None]:
    """Batches of at most 500 entries; takes ownership of folder.  Raises StorageErrors.

    An empty batch says that all entries are asked for what they are sorted by: that may take long.
    """
    try:
        scanned = await folder.pool.run(partial(folder.scan, view))
        if len(scanned.unsorted) > 1:
            yield []
        for batch in scanned.placed + await _sorted(folder, view.order, scanned.unsorted):
            entries = await folder.pool.run(partial(folder.describe, batch))
            if entries:
                yield entries
    except OSError as error:
        raise from_os_error(error, what) from error
    finally:
        folder.pool.executor.dispose(folder.release)


async def _sorted(folder: Folder, order: Order, names: list[PackedNames]) -> list[PackedNames]:
    found: list[tuple[int, bytes]] = []
    for batch in names:
        found += await folder.pool.run(partial(folder.measure, order.key, batch))
    if not found:
        return []
    return await folder.pool.run(lambda: packed(by_value(found, order.direction)))


def _placed(order: Order, folders: list[str], others: list[str]) -> Scanned:
    match order.key:
        case SortKey.NAME:
            names = chain(by_name(folders, order.direction), by_name(others, order.direction))
            return Scanned(packed_texts(names), [])
        case SortKey.SIZE:
            return Scanned(packed_texts(by_name(folders)), packed_texts(by_name(others)))
        case SortKey.MODIFIED:
            return Scanned([], packed_texts(by_name(folders + others)))


def _value_of(entry: Entry, key: SortKey) -> int:
    value = entry.size if key is SortKey.SIZE else entry.modified_ns
    return -1 if value is None else value


def _visible(
    entries: Iterator[os.DirEntry[str]], hidden: HiddenNames
) -> Iterator[os.DirEntry[str]]:
    for number, entry in enumerate(entries, 1):
        if number % _ENTRIES_BETWEEN_PAUSES == 0:
            time.sleep(_PAUSE_SECONDS)
        if not entry.name.startswith(".") or (
            hidden is HiddenNames.SHOW and not is_staging(os.fsencode(entry.name))
        ):
            yield entry


def _is_any(_name: str) -> bool:
    return True


def _require_folder(status: os.stat_result, name: Name) -> None:
    if stat.S_ISREG(status.st_mode):
        raise NotAFolder(f"{name.display}: is a file, not a folder")
    if not stat.S_ISDIR(status.st_mode):
        raise NotFound(f"{name.display}: not found")
