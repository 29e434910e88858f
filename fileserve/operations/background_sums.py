"""Computes missing checksums while the server serves: slowly, in a thread, from pass to pass.

The disk is read in the idle class and at a limited rate.  The thread keeps the priority of the
others for the processor: they share the interpreter, and would wait for whoever holds it.
"""

import asyncio
import fcntl
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.beneath import Symlinks
from storage.blob import Fingerprint
from storage.errors import StorageError
from storage.file_sums import read_sums
from storage.idle_io import read_when_idle
from storage.library import Item, opened_root
from storage.names import Name
from storage.pagecache import Residency, is_resident
from storage.served_files import Files, digest_record, keep_computed, read_file
from storage.verification import is_current, item_fingerprint, paired

if TYPE_CHECKING:
    from fileserve.settings import Settings
    from storage.beneath import Root
    from storage.catalog import Catalog
    from storage.file_sums import FileSums

_log = logging.getLogger("fileserve.checksums")

# Nobody waits for it, and a pass looks at each file.
_PAUSE_SECONDS = 600.0
# Whoever writes to a file writes on soon: it would be read in vain.
_SETTLED_SECONDS = 60.0
_BETWEEN_PAUSES = 100
_SHORT_PAUSE_SECONDS = 0.0001
_JOIN_SECONDS = 3.0
_MAX_REMEMBERED = 10_000


class Stopped(Exception):  # noqa: N818 - no fault: the server ends
    """Ends a reading."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is read, and how: hidden files too or not, bytes_per_second at most."""

    root: str | os.PathLike[str]
    symlinks: Symlinks
    shows_hidden: bool
    bytes_per_second: int
    open_catalog: "Callable[[], Catalog]"
    pause_seconds: float = _PAUSE_SECONDS
    settled_seconds: float = _SETTLED_SECONDS


class BackgroundSums:
    """One thread in one of the processes that serve a root; the others stand by."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="checksums", daemon=True)
        # Read once, and found to be not what it was: not to be read with every pass.
        self._given_up: dict[bytes, Fingerprint] = {}

    def start(self) -> None:
        """Begin, after the fork of a worker."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; waits, but not for a mount that hangs."""
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        read_when_idle()
        while True:
            try:
                self._pass()
            except Stopped:
                return
            except StorageError as error:
                _log.error("checksums: %s; the next pass is in some minutes", error)
            except Exception:  # noqa: BLE001 - the outermost frame of the thread
                _log.exception("checksums: a fault of fileserve itself")
            if self._stopping.wait(self._job.pause_seconds):
                return

    def _pass(self) -> None:
        """Compute what is missing; what was computed until it is stopped is kept."""
        job, began = self._job, time.monotonic()
        count = size = 0
        with opened_root(job.root, job.symlinks) as root, _held(root) as is_ours:
            if not is_ours:
                return
            with job.open_catalog() as catalog:
                for item in self._missing(root, catalog):
                    if self._compute(root, catalog, item):
                        count, size = count + 1, size + item.size
        if count:
            seconds = time.monotonic() - began
            _log.info("computed checksums of %d files, %d bytes in %.0f s", count, size, seconds)

    def _missing(self, root: "Root", catalog: "Catalog") -> Iterator[Item]:
        """The files without a checksum that holds, but those that somebody may be writing to."""
        items = Files(root, self._job.shows_hidden, _note).at(Name(()))
        for number, pair in enumerate(paired(items, catalog.digests_below(b""))):
            # A thread that computes leaves the event loop no time, but where it waits.
            if number % _BETWEEN_PAUSES == 0 and self._stopping.wait(_SHORT_PAUSE_SECONDS):
                raise Stopped
            if pair.item is None:
                continue
            found = item_fingerprint(pair.item)
            if pair.record is not None and is_current(pair.record, found):
                continue
            is_settled = time.time() - found.modified_ns / 1e9 >= self._job.settled_seconds
            if is_settled and self._given_up.get(pair.item.name.relative) != found:
                yield pair.item

    def _compute(self, root: "Root", catalog: "Catalog", item: Item) -> bool:
        try:
            sums = read_file(root, item.name, self._read, lambda count: None)
            record = digest_record(item.name.relative, sums, int(time.time()))
            keep_computed(catalog, record)
        except StorageError as error:
            _log.error("checksums: %s", error)
            self._give_up(item)
            return False
        return True

    def _give_up(self, item: Item) -> None:
        if len(self._given_up) >= _MAX_REMEMBERED:
            self._given_up.clear()
        self._given_up[item.name.relative] = item_fingerprint(item)

    def _read(self, fileno: int, _read: Callable[[int], None], /) -> "FileSums | None":
        size = os.fstat(fileno).st_size
        was_cold = size > 0 and is_resident(fileno, size // 2, 1) is Residency.COLD
        offset, began = 0, time.monotonic()

        def pace(count: int) -> None:
            nonlocal offset
            if was_cold:
                # Else a large library, read once, would push out what is downloaded often.
                os.posix_fadvise(fileno, offset, count, os.POSIX_FADV_DONTNEED)
            offset += count
            due = began + offset / self._job.bytes_per_second
            if self._stopping.wait(max(due - time.monotonic(), 0)):
                raise Stopped

        return read_sums(fileno, pace)


def _note(error: StorageError) -> None:
    # With each pass again, and nothing that a pass could do about it.
    _log.debug("checksums: passed over: %s", error)


@asynccontextmanager
async def background_sums(
    settings: "Settings", open_catalog: "Callable[[], Catalog]"
) -> AsyncIterator[None]:
    """Compute in the background as long as the block lasts, where the settings want it."""
    if not settings.background_checksums:
        yield
        return
    job = Job(
        settings.root,
        Symlinks(settings.symlinks),
        settings.hidden,
        settings.checksum_bytes_per_second,
        open_catalog,
    )
    running = BackgroundSums(job)
    running.start()
    try:
        yield
    finally:
        await asyncio.to_thread(running.stop)


@contextmanager
def _held(root: "Root") -> Iterator[bool]:
    """Whether no other process of this root computes; as long as the block lasts, none begins.

    A lock on the folder itself, which writes nothing; where folders know none, all compute.
    """
    descriptor = os.open(f"/proc/self/fd/{root.fileno}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            _log.debug("checksums: the root cannot be locked")
        yield True
    finally:
        os.close(descriptor)
