"""Blob: one open regular file, read in chunks wherever it lies."""

import asyncio
import os
import stat
from collections.abc import Callable
from enum import Enum
from io import FileIO
from typing import NamedTuple, TypeVar

from aiofiles.threadpool import wrap
from aiofiles.threadpool.binary import AsyncFileIO

from storage.errors import IsFolder, NotFound, from_os_error
from storage.lease import Lease
from storage.names import Name
from storage.pagecache import cold_pool
from storage.pools import BoundedPool, local_pool

T = TypeVar("T")


class Sending(Enum):
    """How a file's bytes go out: by sendfile from the event loop, or read in threads."""

    ZERO_COPY = "zero-copy"
    CHUNKED = "chunked"


class Fingerprint(NamedTuple):
    """What changes whenever a file's bytes do; times in nanoseconds since 1970.

    A tuple, since one is made and hashed for each request: a third of a frozen dataclass's cost.
    """

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


class _LeasedFile(FileIO):
    """The file object for aiofiles: reads at `offset` and never outlives the descriptor."""

    def __init__(self, fileno: int, lease: Lease) -> None:
        super().__init__(fileno, "rb", closefd=False)
        self._lease = lease
        self.offset = 0

    def read(self, size: int | None = -1, /) -> bytes:
        with self._lease as fileno:
            return os.pread(fileno, size or 0, self.offset)


class Blob:
    """One open regular file; whoever got it closes it.

    complete_length is the size when it was opened, in bytes.  zero_copy: sendfile from
    fileno() cannot hang.  For one task at a time.
    """

    __slots__ = (
        "_file",
        "_fileno",
        "_is_closed",
        "_lease",
        "_pool",
        "_what",
        "complete_length",
        "device",
        "fingerprint",
        "zero_copy",
    )

    def __init__(
        self,
        fileno: int,
        status: os.stat_result,
        what: Name | str,
        sending: Sending,
        pool: BoundedPool | None,
    ) -> None:
        """Takes ownership of fileno, unless it raises; see adopt."""
        self._fileno = fileno
        self.complete_length = status.st_size
        self.fingerprint = fingerprint_of(status)
        self.device = status.st_dev
        self.zero_copy = sending is Sending.ZERO_COPY
        self._what = what
        self._pool = pool
        self._lease: Lease | None = None
        # Making a file object asks the file system for its status: on a network mount now, in
        # the mount's thread, on a local one only if a thread is to read from it.
        self._file = None if pool is None else _LeasedFile(fileno, self._shared())
        self._is_closed = False

    @classmethod
    def adopt(
        cls,
        fileno: int,
        what: Name | str,
        *,
        sending: Sending = Sending.ZERO_COPY,
        pool: BoundedPool | None = None,
    ) -> "Blob":
        """The Blob of an open descriptor; takes ownership of it also when it raises.

        what names it in messages; pool: where everything that may hang is done, None for a local
        file.  Asks the descriptor's file system.  Raises IsFolder, and NotFound for whatever else
        is not a regular file.
        """
        try:
            status = os.fstat(fileno)
            if not stat.S_ISREG(status.st_mode):
                raise _not_a_file(status, what)
            return cls(fileno, status, what, sending, pool)
        except BaseException:
            os.close(fileno)
            raise

    @classmethod
    def try_adopt(cls, fileno: int, name: Name) -> "Blob | None":
        """As adopt for a local file; None, and fileno closed, for whatever else it is."""
        try:
            return cls.adopt(fileno, name)
        except (IsFolder, NotFound, OSError):
            return None

    def fileno(self) -> int:
        """The open descriptor, for sendfile."""
        return self._fileno

    @property
    def name(self) -> Name | None:
        """The name by which it was opened; None for a file that has none beneath a root."""
        return self._what if isinstance(self._what, Name) else None

    async def read(self, offset: int, length: int) -> bytes:
        """Up to length bytes from offset; empty only at the end of the file.

        Raises Unavailable when the mount does not answer in time, and other StorageErrors.
        """
        if self._is_closed:
            raise ValueError("the file is closed")
        if self._file is None:
            self._file = _LeasedFile(self._fileno, self._shared())
        pool = self._pool or cold_pool()
        loop = asyncio.get_running_loop()
        self._file.offset = offset
        file: AsyncFileIO = wrap(self._file, loop=loop, executor=pool.executor)
        try:
            return await pool.supervise(lambda: file.read(length))
        except OSError as error:
            raise from_os_error(error, _display(self._what)) from error

    def _shared(self) -> Lease:
        """The descriptor as threads may use it; most files are never seen by one."""
        if self._lease is None:
            self._lease = Lease(self._fileno)
        return self._lease

    async def run(self, call: Callable[[int], T]) -> T:
        """What call makes of the descriptor, in a thread that may wait for the file's mount.

        Raises as read does.  The descriptor stays open until call ends, whoever closes the file.
        """
        lease = self._shared()

        def leased() -> T:
            with lease as fileno:
                return call(fileno)

        try:
            return await (self._pool or cold_pool()).run(leased)
        except OSError as error:
            raise from_os_error(error, _display(self._what)) from error

    async def look_again(self) -> Fingerprint:
        """The fingerprint of now: equal to fingerprint unless somebody wrote to the file."""
        if self._pool is None:
            return fingerprint_of(os.fstat(self._fileno))
        return fingerprint_of(await self.run(os.fstat))

    async def close(self) -> None:
        """As close_at_once: nothing here waits for the file system."""
        self.close_at_once()

    def close_at_once(self) -> None:
        """Let go of the file, at once for the caller; may be called twice.

        What may take long is left to a thread: close(2) on a network mount, and freeing the
        blocks of a big file that was deleted meanwhile.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._pool is not None:
            self._pool.executor.dispose(self.release)
        elif os.fstat(self._fileno).st_nlink == 0:
            local_pool().executor.dispose(self.release)
        else:
            self.release()

    def release(self) -> None:
        """Close in this thread, however long it takes."""
        self._is_closed = True
        if self._lease is not None:
            self._lease.release()
        else:
            # No thread has seen the descriptor.
            descriptor, self._fileno = self._fileno, -1
            if descriptor >= 0:
                os.close(descriptor)


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """The fingerprint in what fstat tells."""
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _not_a_file(status: os.stat_result, what: Name | str) -> IsFolder | NotFound:
    if stat.S_ISDIR(status.st_mode):
        return IsFolder(f"{_display(what)}: is a folder")
    return NotFound(f"{_display(what)}: not a regular file")


def _display(what: Name | str) -> str:
    return what if isinstance(what, str) else what.display
