"""A landing: where on which mount a new file is to appear, and how it gets its name there."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from storage.atomic import Existing, Target, link_descriptor, rename_entry, sync_folder
from storage.beneath import CrossesMount
from storage.blob import Fingerprint, fingerprint_of
from storage.errors import (
    AccessDenied,
    AlreadyExists,
    Changed,
    IsFolder,
    NoSpace,
    NotAFolder,
    NotFound,
    Unavailable,
    explained,
)
from storage.missing_folders import make_missing, remove_made
from storage.names import Name
from storage.pools import BoundedPool, writing_pool
from storage.routing import Place, Router
from storage.staging import find_staging, hold, locked, new_part_segment, open_staging
from storage.walk import AtMountPoint

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Claim:
    """What may have the name when a file is given it.

    expected: replace only a file in this state; None: whatever file there is, or none.
    """

    existing: Existing = Existing.REFUSE
    expected: Fingerprint | None = None


NEW = Claim()


class Landing:
    """Where a file called name is to appear; nearest: the lowest folder above it that exists.

    All methods block and raise StorageErrors: they are for threads of `pool`.
    """

    def __init__(self, router: Router, name: Name, nearest: Name, place: Place | None) -> None:
        self.name = name
        self.nearest = nearest
        self.pool: BoundedPool = writing_pool() if place is None else place.writers
        self._router = router
        # Under a network root the place has no prefix either.
        self.prefix: tuple[bytes, ...] = () if place is None else place.prefix

    def opened_staging(self) -> AbstractContextManager[int]:
        """The staging folder of the mount, made where it is missing; closed at the end."""
        return self._staging(open_staging)

    def found_staging(self) -> AbstractContextManager[int]:
        """The staging folder where it was made before; raises NotFound where it was not."""
        return self._staging(find_staging)

    @contextlib.contextmanager
    def _staging(self, open_below: Callable[[int], int]) -> Iterator[int]:
        with self.opened(Name(self.prefix)) as mount_fd, self.explained():
            staging_fd = open_below(mount_fd)
        try:
            yield staging_fd
        finally:
            os.close(staging_fd)

    @contextlib.contextmanager
    def opened_nearest(self) -> Iterator[int]:
        """The lowest folder that exists, closed at the end; what is new will lie on its mount.

        Raises NotAFolder where something stands in the way that is no folder.
        """
        with self.opened(self.nearest) as fd:
            missing = self.name.segments[len(self.nearest.segments) : -1]
            if missing and self.entry(fd, missing[0]) is not None:
                # A link that leads nowhere or out of the root, or somebody was faster.
                raise NotAFolder(f"{self.name.parent.display}: is not a folder")
            yield fd

    def is_beside(self, other: "Landing") -> bool:
        """Whether both lie on one mount."""
        return self.prefix == other.prefix

    def refuse_mounts(self, folder_fd: int) -> None:
        """Raise AccessDenied where something is mounted in what has the name, or below it.

        folder_fd: the folder it is in.  Moving or removing a tree must never move or empty a disk
        that somebody mounted in it.
        """
        if self._router.table.current().within(folder_fd, self.name.last) is not None:
            raise AccessDenied(f"{self.name.display}: a file system is mounted in it")

    def look(self) -> Fingerprint | None:
        """The state of the file that has the name now; raises as publish for what is no file."""
        with self.opened_nearest() as fd:
            return self._file_state(fd) if self.nearest == self.name.parent else None

    def require_space(self, size: int, keep_free_bytes: int) -> None:
        """Raise NoSpace unless size more bytes leave keep_free_bytes."""
        with self.opened(self.nearest) as fd, self.explained():
            require_space(fd, size, keep_free_bytes, self.name.display)

    def publish(self, fd: int, staged: bytes | None, claim: Claim) -> Fingerprint:
        """Give an open file its name, durably, and return its state; makes missing folders.

        staged: its name in the staging folder, None if it has none.  Raises AlreadyExists,
        Changed, IsFolder and others; then the file is where it was, and folders are taken back.
        """
        with self.explained():
            os.fsync(fd)
        made: list[Name] = []
        try:
            with self.made_folder(self.name.parent, made) as folder_fd:
                with self.explained():
                    state = self._give_name(fd, staged, folder_fd, claim)
                    sync_folder(folder_fd)
                return state
        except NotFound as error:
            # Whoever puts a file does not look for one: something is in the way of it.
            remove_made(self.opened, made)
            raise NotAFolder(f"{self.name.parent.display}: was removed meanwhile") from error
        except BaseException:
            remove_made(self.opened, made)
            raise

    def _give_name(
        self, fd: int, staged: bytes | None, folder_fd: int, claim: Claim
    ) -> Fingerprint:
        if staged is None and claim.existing is Existing.REFUSE:
            self.refuse_taken(folder_fd, claim)
            link_descriptor(fd, folder_fd, self.name.last)
            return fingerprint_of(os.fstat(fd))
        target = Target(folder_fd, self.name.last, claim.existing)
        with self.opened_staging() as staging_fd, locked(staging_fd):
            self.refuse_taken(folder_fd, claim)
            if staged is not None:
                rename_entry(staging_fd, staged, target)
            else:
                _rename_through(staging_fd, fd, target)
            return fingerprint_of(os.fstat(fd))

    def refuse_taken(self, folder_fd: int, claim: Claim) -> None:
        """Raise AlreadyExists, Changed or IsFolder unless the name may be claimed now."""
        state = self._file_state(folder_fd)
        what = self.name.display
        if state is not None and claim.existing is Existing.REFUSE:
            raise AlreadyExists(f"{what}: already exists")
        if claim.expected is not None and state != claim.expected:
            raise Changed(f"{what}: was changed meanwhile")

    def _file_state(self, folder_fd: int) -> Fingerprint | None:
        found = self.entry(folder_fd, self.name.last)
        if found is None:
            return None
        if stat.S_ISDIR(found.st_mode):
            raise IsFolder(f"{self.name.display}: is a folder")
        if not stat.S_ISREG(found.st_mode):
            # A link is the admin's: neither written through nor replaced.
            raise AlreadyExists(f"{self.name.display}: is a link or something special")
        return fingerprint_of(found)

    def entry(self, folder_fd: int, segment: bytes) -> os.stat_result | None:
        """The status of an entry itself, of a link as a link; None if there is none."""
        with self.explained():
            try:
                entry = self._router.root.open_entry(folder_fd, segment)
            except FileNotFoundError:
                return None
            except AtMountPoint:
                raise AlreadyExists(f"{self.name.display}: a mount is there") from None
            try:
                return os.fstat(entry)
            finally:
                os.close(entry)

    @contextlib.contextmanager
    def made_folder(self, folder: Name, made: list[Name]) -> Iterator[int]:
        """A folder, made where it is missing with those above it: the new ones go into made."""
        make_missing(self.opened, self.nearest, folder, made)
        with self.opened(folder) as fd:
            yield fd

    @contextlib.contextmanager
    def opened(self, folder: Name) -> Iterator[int]:
        """A descriptor of a folder on this mount, for reading and fsync; closed at the end."""
        with self.explained():
            try:
                fd = self._router.open_within(folder, _FOLDER_FLAGS, self.prefix)
            except NotADirectoryError:
                raise NotAFolder(f"{folder.display}: is not a folder") from None
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turns an OSError from inside into the StorageError about the name."""
        try:
            with explained(self.name.display):
                yield
        except CrossesMount as crossing:
            raise Unavailable(f"{self.name.display}: mounts changed meanwhile") from crossing


def _rename_through(staging_fd: int, fd: int, target: Target) -> None:
    """Let a nameless file replace another: only a rename does, and that needs a name."""
    if not hold(fd):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    segment = new_part_segment()
    try:
        link_descriptor(fd, staging_fd, segment)
        rename_entry(staging_fd, segment, target)
    finally:
        with contextlib.suppress(OSError):  # gone with the rename
            os.unlink(segment, dir_fd=staging_fd)


def require_space(fd: int, size: int, keep_free_bytes: int, what: str) -> None:
    """Raise NoSpace unless size more bytes leave keep_free_bytes on the file system of fd."""
    room = os.fstatvfs(fd)
    if room.f_bavail * room.f_frsize - keep_free_bytes < size:
        raise NoSpace(f"{what}: no space left for {size} bytes")
