"""LocalStorage: a folder tree as storage."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from storage.beneath import Root, Symlinks
from storage.blob import Blob, Fingerprint, Sending
from storage.descending import Part, descend
from storage.errors import NotAFolder, NotFound, Unavailable, from_os_error
from storage.folders import (
    Depth,
    Entry,
    EntryKind,
    Folder,
    HiddenNames,
    View,
    Wanted,
    entry_of,
    list_folder,
)
from storage.mounts import Mount, MountTable, mount_id
from storage.names import Name, printable
from storage.ordering import BY_NAME, Order
from storage.pools import call_within
from storage.routing import Place, Router
from storage.small_files import Seen, SmallFile, read_small_files
from storage.trees import TreeEntry, TreeWalk

__all__ = [
    "Blob",
    "Entry",
    "EntryKind",
    "Fingerprint",
    "HiddenNames",
    "LocalStorage",
    "MountReport",
    "Sending",
    "Symlinks",
]

# O_NONBLOCK: opening a FIFO must not wait for a writer; O_NOCTTY: nor a terminal become ours.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class MountReport:
    """One mount at or below the root; name: its mount point, () for the root's own mount."""

    name: Name
    path: str
    fs_type: str
    is_network: bool
    sending: Sending
    is_available: bool


# Inside the class `list` is the method.
Batch = list[Entry]
TreeBatch = list[TreeEntry]
SmallFiles = list[SmallFile | None]
MountReports = list[MountReport]


class LocalStorage:
    """The files beneath a folder, for one process and one event loop.

    chunked and zero_copy override how everything at or below a name is sent; under a chunked
    root everything is done in threads.  deadline_seconds and pool_threads are each mount's.
    Raises NotFound, NotAFolder, AccessDenied or Unavailable when the root cannot be opened.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        symlinks: Symlinks = Symlinks.FOLLOW_BENEATH,
        hidden: HiddenNames = HiddenNames.REFUSE,
        chunked: Sequence[Name] = (),
        zero_copy: Sequence[Name] = (),
        deadline_seconds: float = 10.0,
        pool_threads: int = 8,
    ) -> None:
        self.root = os.path.abspath(os.fsencode(root))
        self.hidden = hidden
        self._overrides = _longest_first(chunked, zero_copy)
        self._table = MountTable()
        self._root = _open_root(self.root, symlinks, deadline_seconds)
        self.router = Router(
            self._root, self._table, deadline_seconds=deadline_seconds, threads=pool_threads
        )
        if self._is_root_network():
            self.router.treat_root_as_network()

    @property
    def real_root(self) -> bytes:
        """The root's path now, without symlinks; asks no file system."""
        return self.router.root_path

    async def start(self) -> None:
        """Watch for mounts that come and go; after a fork, in the running loop."""
        self._table.watch(self.router.forget_vanished)

    async def open(self, name: Name) -> Blob:
        """The file name means now, open; the caller closes it.

        Raises NotFound (also for FIFOs, sockets, devices and hidden names), IsFolder,
        AccessDenied and Unavailable.
        """
        self._refuse_hidden(name)
        return await self.router.reach(
            name, _READ, partial(self._make_blob, name), discard=Blob.release
        )

    def try_open(self, name: Name) -> Blob | None:
        """The file name means now, open, if that can be told at once; the caller closes it.

        None for everything that open() has to refuse, to look at twice or to wait for.
        """
        if self._overrides or (self.hidden is HiddenNames.REFUSE and name.is_hidden):
            return None
        descriptor = self.router.try_open(name, _READ)
        return None if descriptor is None else Blob.try_adopt(descriptor, name)

    async def list(self, name: Name, order: Order = BY_NAME) -> AsyncGenerator[Batch, None]:
        """The entries of a folder in batches of at most 500.

        The first batch is empty when sorting takes a look at a long folder first.  Raises at the
        first step NotFound, NotAFolder, AccessDenied and Unavailable.
        """
        folder = await self._open_folder(name)
        view = View(self.hidden, order)
        async with aclosing(list_folder(folder, view, name.display)) as batches:
            async for batch in batches:
                yield batch

    def descend(
        self, name: Name, order: Order = BY_NAME, wanted: Wanted | None = None
    ) -> AsyncGenerator[Part, None]:
        """The entries of a folder and of all below it, those of wanted names; see descend."""
        return descend(self._open_folder, name, View(self.hidden, order, Depth.TREE, wanted))

    def walk(self, name: Name) -> AsyncGenerator[TreeBatch, None]:
        """All files and folders at and below a folder, in batches; see TreeWalk.batches."""
        self._refuse_hidden(name)
        return TreeWalk(self.router, self.hidden, name).batches()

    async def read_small(self, wanted: Sequence[Seen]) -> SmallFiles:
        """All bytes of small files at once; see read_small_files."""
        return await read_small_files(self.router, wanted)

    async def look(self, name: Name) -> Entry:
        """What name means now: a file or a folder; raises as open does."""
        self._refuse_hidden(name)
        return await self.router.reach(name, _LOOK, partial(_look, name))

    async def is_in_place(self) -> bool:
        """Whether the root's path still leads to the folder that is served: it is held open.

        Raises Unavailable when its mount does not answer.
        """
        try:
            return await self.router.root_pool.run(self._is_in_place)
        except OSError as error:
            raise from_os_error(error, "the root") from error

    def _is_in_place(self) -> bool:
        try:
            there = os.stat(self.root)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._root.fileno))

    def mounts(self) -> MountReports:
        """The root's mount, then all mounts below it as mountinfo tells; asks none of them."""
        self.router.forget_vanished()
        mounts = self._table.current()
        own = mounts.by_id.get(mount_id(self._root.fileno))
        below = mounts.below(self.router.root_path)
        return [
            self._report(Name(()), own),
            *(self._report(Name(prefix), below[prefix]) for prefix in sorted(below)),
        ]

    async def close(self) -> None:
        """Let go of the root; open blobs stay usable.  Waits for no thread."""
        self._table.close()
        self._root.close()

    async def _open_folder(self, name: Name) -> Folder:
        self._refuse_hidden(name)
        return await self.router.reach(
            name, _READ, partial(Folder, self.router, name), discard=Folder.release
        )

    def _refuse_hidden(self, name: Name) -> None:
        if self.hidden is HiddenNames.REFUSE and name.is_hidden:
            raise NotFound(f"{name.display}: not found")

    def _make_blob(self, name: Name, fileno: int, place: Place | None) -> Blob:
        override = self._override(name)
        if place is None:
            return Blob.adopt(fileno, name, sending=override or Sending.ZERO_COPY)
        is_network = not place.prefix or self._lies_on_network(fileno)
        default = Sending.CHUNKED if is_network else Sending.ZERO_COPY
        pool = place.pool if is_network else None
        return Blob.adopt(fileno, name, sending=override or default, pool=pool)

    def _override(self, name: Name) -> Sending | None:
        for segments, sending in self._overrides:
            if name.segments[: len(segments)] == segments:
                return sending
        return None

    def _lies_on_network(self, fileno: int) -> bool:
        mounts = self._table.current()
        return mounts.is_network(mounts.by_id.get(mount_id(fileno)))

    def _is_root_network(self) -> bool:
        override = self._override(Name(()))
        if override is not None:
            return override is Sending.CHUNKED
        return self._lies_on_network(self._root.fileno)

    def _report(self, name: Name, mount: Mount | None) -> MountReport:
        is_network = self._table.current().is_network(mount)
        default = Sending.CHUNKED if is_network else Sending.ZERO_COPY
        return MountReport(
            name,
            printable(b"/".join((self.root.rstrip(b"/"), *name.segments)) or b"/"),
            mount.fs_type if mount else "unknown",
            is_network,
            self._override(name) or default,
            self.router.is_answering(name.segments),
        )


def _longest_first(
    chunked: Sequence[Name], zero_copy: Sequence[Name]
) -> tuple[tuple[tuple[bytes, ...], Sending], ...]:
    overrides = [(name.segments, Sending.CHUNKED) for name in chunked]
    overrides += [(name.segments, Sending.ZERO_COPY) for name in zero_copy]
    return tuple(sorted(overrides, key=lambda override: -len(override[0])))


def _look(name: Name, fileno: int, _place: Place | None) -> Entry:
    try:
        entry = entry_of(name.last, os.fstat(fileno))
    finally:
        os.close(fileno)
    if entry is None:
        raise NotFound(f"{name.display}: not a regular file")
    return entry


def _open_root(path: bytes, symlinks: Symlinks, deadline_seconds: float) -> Root:
    what = printable(path)
    try:
        return call_within(deadline_seconds, partial(_checked_root, path, symlinks), Root.close)
    except Unavailable as error:
        raise Unavailable(f"{what}: {error}", error.retry_after_seconds) from error
    except NotADirectoryError as error:
        raise NotAFolder(f"{what}: is not a folder") from error
    except OSError as error:
        raise from_os_error(error, what) from error


def _checked_root(path: bytes, symlinks: Symlinks) -> Root:
    root = Root(path, symlinks)
    try:
        # O_PATH asks for no permission on the folder itself: better to hear of it at start-up.
        os.close(root.open_same_mount(Name(()), os.O_RDONLY | os.O_DIRECTORY))
        os.stat(b".", dir_fd=root.fileno)
    except BaseException:
        root.close()
        raise
    return root
