"""Incoming: a file on its way in, which becomes visible whole and durable, or not at all.

Its bytes go to a file without a name (O_TMPFILE) in the target's own folder, so that it is made
with the rights that the folder hands down, and so that a kill leaves nothing; where the file
system has no such thing, to a locked file in the staging folder.
"""

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from storage.atomic import NEW_FILE_MODE, NO_TMPFILE
from storage.blob import Fingerprint
from storage.copying import Fill, filled_pieces, write_all
from storage.digests import Buffer, Digester, Digests
from storage.errors import StorageError, explained
from storage.landing import Claim, Landing, require_space
from storage.quota import Quota
from storage.staging import create_part

_FALLOC_FL_KEEP_SIZE = 1  # linux/falloc.h
_SYNC_FILE_RANGE_WRITE = 2  # sync_file_range(2)
# The disk begins early with what fsync would otherwise have to wait for in the end.
_WRITE_BACK_BYTES = 8 << 20
_MOST_BUFFERS = 1024  # IOV_MAX
_NO_RESERVATION = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EINTR))
_libc = ctypes.CDLL(None, use_errno=True)
_fallocate_call = _libc.fallocate
_fallocate_call.restype = ctypes.c_int
_fallocate_call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range = _libc.sync_file_range
_sync_file_range.restype = ctypes.c_int
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class UploadEnded(ValueError):  # noqa: N818 - an outcome: nobody waits for it
    """abort() came before this call."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that has its name: its state, and the digests of its bytes."""

    state: Fingerprint
    digests: Digests


class Incoming:
    """One file on its way to a landing.  Its methods block: for threads of `pool`.

    Whoever began it calls commit or abort in the end, or both; abort may be called at any time,
    also while another thread still writes.  Raises NoSpace and other StorageErrors.
    """

    def __init__(
        self, landing: Landing, keep_free_bytes: int = 0, quota: Quota | None = None
    ) -> None:
        """Begin; keep_free_bytes: what must stay free on the file system."""
        self._quota = quota
        self._claimed_bytes = 0
        self.pool = landing.pool
        self.length = 0
        self._landing = landing
        self._keep_free_bytes = keep_free_bytes
        self._reserved_bytes = 0
        self._written_back_bytes = 0
        self._digester = Digester()
        # One thread at a time: a request that was given up may have left one in a call.
        self._lock = threading.Lock()
        self._staged: bytes | None = None
        self._fd = self._create()

    def reserve(self, size: int) -> None:
        """Take the space for size bytes now; raises NoSpace if there is not so much."""
        with self._lock, explained(self._landing.name.display):
            fd = self._open_fd()
            self._claim_quota(size)
            self._require(fd, size)
            if size and _fallocate(fd, size):
                self._reserved_bytes = size

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Add bytes, hashing them on the way."""
        with self._lock, explained(self._landing.name.display):
            fd = self._open_fd()
            length = sum(map(len, buffers))
            self._claim_quota(self.length + length)
            if self.length + length > self._reserved_bytes:
                self._require(fd, length)
            _write_all(fd, buffers)
            for buffer in buffers:
                self._digester.update(buffer)
            self.length += length
            self._begin_write_back(fd)

    def write_on(self, buffers: Sequence[Buffer], fill: Fill) -> int:
        """Add buffers, then all that fill brings; returns how many bytes it brought."""
        self.write(buffers)
        length_before = self.length
        for piece in filled_pieces(fill):
            self.write((piece,))
        return self.length - length_before

    def digests(self) -> Digests:
        """The digests of what was written so far."""
        with self._lock:
            return self._digester.digests()

    def commit(self, claim: Claim) -> Arrival:
        """Give the file its name; when this returns it is whole and durable.

        Raises AlreadyExists, Changed, IsFolder, NotAFolder and others: then nothing has changed.
        """
        with self._lock:
            fd = self._open_fd()
            state = self._landing.publish(fd, self._staged, claim)
            self._staged = None
            self._settle_quota()
            self._close()
            return Arrival(state, self._digester.digests())

    def abort(self) -> None:
        """Let go of everything, if it is not committed; the space is given back."""
        with self._lock:
            staged, self._staged = self._staged, None
            if staged is not None:
                # On a mount that is gone or fails nothing can be removed, but all be closed.
                staging = self._landing.found_staging()
                with contextlib.suppress(OSError, StorageError), staging as staging_fd:
                    os.unlink(staged, dir_fd=staging_fd)
            self._close()

    def _create(self) -> int:
        with self._landing.opened_nearest() as folder_fd, explained(self._landing.name.display):
            # Without /proc nothing could give a nameless file its name.
            if os.path.isdir("/proc/self/fd"):
                try:
                    flags = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
                    return os.open(b".", flags, NEW_FILE_MODE, dir_fd=folder_fd)
                except OSError as error:
                    if error.errno not in NO_TMPFILE:
                        raise
        with self._landing.opened_staging() as fd, explained(self._landing.name.display):
            part_fd, self._staged = create_part(fd, NEW_FILE_MODE)
            return part_fd

    def _open_fd(self) -> int:
        if self._fd < 0:
            raise UploadEnded("the upload has ended")
        return self._fd

    def _close(self) -> None:
        if self._quota is not None:
            self._quota.give_back(self._claimed_bytes)
            self._claimed_bytes = 0
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _claim_quota(self, size: int) -> None:
        """Raises NoSpace unless the file may have size bytes."""
        more = size - self._claimed_bytes
        if self._quota is not None and more > 0:
            self._quota.take(more)
            self._claimed_bytes = size

    def _settle_quota(self) -> None:
        if self._quota is not None:
            self._quota.settle(self.length)
            self._claimed_bytes -= self.length

    def _require(self, fd: int, size: int) -> None:
        require_space(fd, size, self._keep_free_bytes, self._landing.name.display)

    def _begin_write_back(self, fd: int) -> None:
        due = self.length - self._written_back_bytes
        if due >= _WRITE_BACK_BYTES:
            # Only a hint: fsync is what is asked for an answer.
            _sync_file_range(fd, self._written_back_bytes, due, _SYNC_FILE_RANGE_WRITE)
            self._written_back_bytes = self.length


def _write_all(fd: int, buffers: Sequence[Buffer]) -> None:
    for start in range(0, len(buffers), _MOST_BUFFERS):
        some = buffers[start : start + _MOST_BUFFERS]
        written = os.writev(fd, some)
        for buffer in some:
            # A full disk, a signal and 2 GiB at a time are reasons for the kernel to take less.
            if written < len(buffer):
                write_all(fd, memoryview(buffer)[max(written, 0) :])
            written -= len(buffer)


def _fallocate(fd: int, size: int) -> bool:
    """Reserve blocks without changing the size of the file; False where that is impossible."""
    if _fallocate_call(fd, _FALLOC_FL_KEEP_SIZE, 0, size) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_RESERVATION:
        return False
    raise OSError(number, os.strerror(number))
