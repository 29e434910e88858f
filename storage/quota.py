"""What all files of a folder may have together: counted on the disk, and kept in mind since."""

import contextlib
import os
import stat
import threading
import time

from storage.errors import NoSpace
from storage.names import STAGING_SEGMENT
from storage.plain_walk import folders_at_and_below, pass_over
from storage.staging import is_part

# Nobody is refused by an older count: somebody may have removed files.
_FRESH_SECONDS = 5.0
_STAGING = b"./" + STAGING_SEGMENT


class Quota:
    """A limit in bytes.  All methods may count all files first: for threads.

    What several processes have under way at the same time they do not know of each other.
    """

    def __init__(self, root_fd: int, limit: int) -> None:
        """root_fd stays the caller's."""
        self._root_fd = root_fd
        self._limit = limit
        self._lock = threading.Lock()
        self._counted_at: float | None = None
        self._counted = 0
        # Bytes that became part of files since the count began, and those that may.
        self._settled = 0
        self._underway = 0

    def take(self, count: int) -> None:
        """Claim count bytes more; raises NoSpace where there are not so many."""
        with self._lock:
            if not self._has_room(count) and not self._is_fresh():
                self._count()
            if not self._has_room(count):
                raise NoSpace(f"the quota of {self._limit} bytes is used up")
            self._underway += count

    def give_back(self, count: int) -> None:
        """Claimed bytes that did not become part of a file."""
        with self._lock:
            self._underway -= count

    def settle(self, count: int) -> None:
        """Claimed bytes that are part of a file now."""
        with self._lock:
            self._underway -= count
            self._settled += count

    def require(self, count: int) -> None:
        """Raise NoSpace unless count bytes could be claimed now."""
        self.take(count)
        self.give_back(count)

    def _has_room(self, count: int) -> bool:
        if self._counted_at is None:
            return False
        return self._counted + self._settled + self._underway + count <= self._limit

    def _is_fresh(self) -> bool:
        counted_at = self._counted_at
        return counted_at is not None and time.monotonic() - counted_at < _FRESH_SECONDS

    def _count(self) -> None:
        # What settles during the count may be counted twice, never not at all.
        self._settled = 0
        self._counted = bytes_below(self._root_fd)
        self._counted_at = time.monotonic()


def bytes_below(root_fd: int) -> int:
    """The lengths of all files below an open folder together, unfinished resumable uploads too.

    Only of its own mount; folders that may not be read count nothing.
    """
    total = 0
    for met in folders_at_and_below(b".", root_fd, pass_over):
        # What has no name yet is claimed by whoever writes it, also where it needs one (NFS).
        is_staged = met.path == _STAGING
        for name in met.others:
            if is_staged and is_part(name):
                continue
            with contextlib.suppress(OSError):
                status = os.stat(name, dir_fd=met.fd, follow_symlinks=False)
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total
