"""Sends each call to where it can hold up nobody else.

On the root's own local mount that is the calling thread: an open that stops at mount points and
an fstat cannot hang.  Whatever lies on another mount is done in that mount's own pool, keyed by
the mount point's real path; under a network root everything is done in the root's own pool.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from storage.beneath import CrossesMount, Root
from storage.errors import NotFound, from_os_error
from storage.mounts import Mounts, MountTable
from storage.names import Name
from storage.pools import BoundedPool, local_pool

T = TypeVar("T")

# Each crossing uses up a component or a symlink; more means that mounts come and go meanwhile.
_MAX_CROSSINGS = 100
# A flush of what a minute brought takes longer than a look at a file.
_WRITING_PATIENCE = 12


@dataclass(frozen=True, slots=True)
class Place:
    """A mount and the pools for everything on it; prefix: the real path of its mount point.

    writers: for calls that write, which may take long on a mount that is well.
    """

    prefix: tuple[bytes, ...]
    pool: BoundedPool
    mount_id: int | None
    writers: BoundedPool


# What to do with a new descriptor, in the thread that opened it; takes ownership of it.  The
# place is None on the root's own local mount.
Use = Callable[[int, Place | None], T]


class Router:
    """Reaches names beneath root; the pools live here.  For the event loop's thread."""

    def __init__(
        self, root: Root, table: MountTable, *, deadline_seconds: float, threads: int
    ) -> None:
        self.root = root
        self.table = table
        self._deadline_seconds = deadline_seconds
        self._threads = threads
        self._network_root: Place | None = None
        self._places: dict[tuple[bytes, ...], Place] = {}
        self._mounts = Mounts(())

    def treat_root_as_network(self) -> None:
        """Do nothing beneath the root outside of the root's own pool."""
        self._network_root = Place((), self._new_pool(()), None, self._new_writers(()))

    @property
    def root_pool(self) -> BoundedPool:
        """The pool for calls on the root itself."""
        return local_pool() if self._network_root is None else self._network_root.pool

    @property
    def network_root_pool(self) -> BoundedPool | None:
        """The pool for everything beneath a root that may hang; None for a local root."""
        return None if self._network_root is None else self._network_root.pool

    @property
    def root_path(self) -> bytes:
        """The root's real path now, as mountinfo would write it; asks no file system."""
        return os.readlink(b"/proc/self/fd/%d" % self.root.fileno)

    async def reach(
        self, name: Name, flags: int, use: Use[T], *, discard: Callable[[T], None] | None = None
    ) -> T:
        """What use makes of a new descriptor of name.

        Does not suspend on the root's own local mount.  Raises what use raises, and StorageErrors
        instead of OSErrors.  discard gets a result that came too late, in the mount's thread.
        """
        try:
            if self._network_root is not None:
                return await self._reach_under_network_root(name, flags, use, discard)
            try:
                descriptor = self.root.open_same_mount(name, flags)
            except CrossesMount as found:
                crossing = found
            else:
                return use(descriptor, None)
            return await self._reach_beyond(crossing, name, flags, use, discard)
        except OSError as error:
            raise from_os_error(error, name.display) from error

    def try_open(self, name: Name, flags: int) -> int | None:
        """A new descriptor of name if it is there, on the root's own local mount; else None."""
        if self._network_root is not None:
            return None
        return self.root.try_open_same_mount(name, flags)

    def open_near(self, name: Name, flags: int, prefix: tuple[bytes, ...]) -> int:
        """A new descriptor of name if it lies on the root's mount or on the one at prefix.

        For threads of prefix's pool.  Raises CrossesMount for all other mounts, and OSError.
        """
        try:
            return self.root.open_same_mount(name, flags)
        except CrossesMount as crossing:
            if crossing.prefix != prefix:
                raise
            return self.root.open_beyond(crossing, flags)

    def open_within(self, name: Name, flags: int, prefix: tuple[bytes, ...]) -> int:
        """As open_near, entering also the mounts on the way to the one at prefix."""
        try:
            return self.root.open_same_mount(name, flags)
        except CrossesMount as first:
            crossing = first
        while crossing.prefix == prefix[: len(crossing.prefix)]:
            try:
                return self.root.open_beyond(crossing, flags)
            except CrossesMount as another:
                crossing = another
        raise crossing

    def mount_points(self) -> list[tuple[bytes, ...]]:
        """The mounts below the root, by the paths of their mount points; asks none of them."""
        return sorted(self.table.current().below(self.root_path))

    def is_answering(self, prefix: tuple[bytes, ...]) -> bool:
        """Whether the mount at prefix answered lately, or was not asked."""
        place = self._places.get(prefix) if prefix else self._network_root
        if place is None:
            return True
        state = place.pool.state()
        return state.is_answering and state.stuck_threads == 0

    def forget_vanished(self) -> None:
        """Drop the pools of mounts that are gone; their idle threads leave by themselves."""
        mounts = self.table.current()
        if mounts is self._mounts:
            return
        self._mounts = mounts
        if not self._places:
            return
        below = mounts.below(self.root_path)
        self._places = {
            prefix: place
            for prefix, place in self._places.items()
            if prefix in below and below[prefix].id == place.mount_id
        }

    async def _reach_under_network_root(
        self, name: Name, flags: int, use: Use[T], discard: Callable[[T], None] | None
    ) -> T:
        place = self._network_root
        assert place is not None
        try:
            return await place.pool.run(
                lambda: use(self.root.open_same_mount(name, flags), place), discard=discard
            )
        except CrossesMount as found:
            crossing = found
        return await self._reach_beyond(crossing, name, flags, use, discard)

    async def _reach_beyond(
        self,
        crossing: CrossesMount,
        name: Name,
        flags: int,
        use: Use[T],
        discard: Callable[[T], None] | None,
    ) -> T:
        for _ in range(_MAX_CROSSINGS):
            place = self._place(crossing.prefix)
            call = _beyond(self.root, crossing, flags, use, place)
            try:
                return await place.pool.run(call, discard=discard)
            except CrossesMount as another:
                crossing = another
        raise NotFound(f"{name.display}: not found, the mounts on its way change too fast")

    def _place(self, prefix: tuple[bytes, ...]) -> Place:
        self.forget_vanished()
        place = self._places.get(prefix)
        if place is None:
            mount = self._mounts.below(self.root_path).get(prefix)
            mount_id = mount.id if mount else None
            place = Place(prefix, self._new_pool(prefix), mount_id, self._new_writers(prefix))
            self._places[prefix] = place
        return place

    def _new_pool(self, prefix: tuple[bytes, ...]) -> BoundedPool:
        # Messages reach clients: the path below the root says enough.
        label = f"the mount at {Name(prefix).display}"
        return BoundedPool(label, threads=self._threads, deadline_seconds=self._deadline_seconds)

    def _new_writers(self, prefix: tuple[bytes, ...]) -> BoundedPool:
        label = f"writing to the mount at {Name(prefix).display}"
        patience = self._deadline_seconds * _WRITING_PATIENCE
        return BoundedPool(label, threads=self._threads, deadline_seconds=patience)


def _beyond(
    root: Root, crossing: CrossesMount, flags: int, use: Use[T], place: Place
) -> Callable[[], T]:
    return lambda: use(root.open_beyond(crossing, flags), place)
