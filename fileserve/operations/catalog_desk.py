"""The server's one thread with the catalog, and what the event loop may look up without it.

The event loop reads snapshots, which are at most a second or two behind, and hands everything
else to the thread.  SQLAlchemy is imported in that thread, once there is a catalog.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fileserve.operations.catalog_snapshot import KnownFileDigests, Snapshot
from storage.catalog_records import COPY_SUFFIX, FileDigest, LinkRecord, TokenRecord
from storage.errors import CatalogDamaged, CatalogUnavailable, StorageError

if TYPE_CHECKING:
    from storage.catalog import Catalog

T = TypeVar("T")

_log = logging.getLogger("fileserve.catalog")

POLL_SECONDS = 1.0
# How often to look for a catalog that is not there, or did not open.
SEARCH_SECONDS = 3.0
_QUEUED = 10_000
# A tenth of a second of changes.
_BEHIND = 100
# Until then no token is known: an import on a machine that swaps took more than ten.
_START_SECONDS = 30.0
_CLOSE_SECONDS = 3.0


class Presence(Enum):
    """Whether the server makes a catalog, or uses one that somebody else has made."""

    MADE = "made"
    LOOKED_FOR = "looked for"


@dataclass(frozen=True, slots=True)
class CatalogPlace:
    """Where the catalog is: the URL of its database, and its file where it is SQLite.

    prepare makes the folder of the file, or raises CatalogUnavailable.
    """

    url: str
    file: str | None
    prepare: Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Task:
    work: "Callable[[Catalog], object]"
    refuse: Callable[[StorageError], object]


class CatalogDesk:
    """What a server has to do with its catalog; without one everything is empty."""

    def __init__(self, place: CatalogPlace | None, presence: Presence) -> None:
        self._place = place
        self._presence = presence
        self._queue: queue.Queue[_Task | None] = queue.Queue(_QUEUED)
        self._snapshot = Snapshot()
        self.digests = KnownFileDigests(self.submit)
        self._catalog: Catalog | None = None
        self._opened_file: tuple[int, int] | None = None
        self._next_look = 0.0
        self._is_well = True
        self._is_damaged = False
        self._closed_until = 0.0
        self._thread: threading.Thread | None = None
        self._looked: Future[None] = Future()
        self._ended: Future[None] = Future()

    @property
    def tokens(self) -> Mapping[bytes, TokenRecord]:
        """All tokens by the SHA-256 of their secret, revoked and expired ones included."""
        return self._snapshot.tokens

    @property
    def links(self) -> Mapping[str, LinkRecord]:
        """The links that were made or revoked here, by id."""
        return self._snapshot.links

    @property
    def is_open(self) -> bool:
        """Whether there is a catalog that answers; to submit or ask would make one at need."""
        return self._catalog is not None

    @property
    def is_behind(self) -> bool:
        """Whether those who wait for an answer would wait for what is added now, too."""
        return self._queue.qsize() >= _BEHIND

    async def start(self) -> None:
        """Begin, after the fork of a worker; returns with the first snapshot or soon without."""
        if self._place is None:
            return
        self._thread = threading.Thread(target=self._work, name="catalog", daemon=True)
        self._thread.start()
        await asyncio.wait([asyncio.wrap_future(self._looked)], timeout=_START_SECONDS)

    async def close(self) -> None:
        """End when what was submitted is written, or when that takes too long."""
        if self._thread is None:
            return
        self._thread = None
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            _log.error("catalog: too much waits for it to be written before the end")
            return
        await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=_CLOSE_SECONDS)

    async def ask(self, question: "Callable[[Catalog], T]", seconds: float) -> T:
        """What question answers in the thread; makes the catalog where there is none.

        Raises CatalogUnavailable, also after seconds, and what question raises.
        """
        future: Future[T] = Future()

        def work(catalog: "Catalog") -> None:
            if not future.set_running_or_notify_cancel():
                return  # nobody waits any more
            try:
                answer = question(catalog)
            except BaseException as error:
                future.set_exception(error)
                raise
            future.set_result(answer)

        self._enqueue(_Task(work, partial(_refuse, future)))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError as error:
            raise CatalogUnavailable(f"catalog: no answer in {seconds:g} s") from error

    def submit(self, deed: "Callable[[Catalog], object]") -> None:
        """Let deed be done soon; for the event loop, which hears nothing of it again.

        With the catalog gone or too much to do it is dropped, which is logged once.
        """
        try:
            self._enqueue(_Task(deed, self._fell_ill))
        except CatalogUnavailable as error:
            self._fell_ill(error)

    def note_event(self, who: str, deed: str, path: bytes | None = None, detail: str = "") -> None:
        """Write down who does what now, for `fileserve events`."""
        now = int(time.time())
        self.submit(lambda catalog: catalog.note_event(now, who, deed, path, detail))

    def put_digest(self, record: FileDigest) -> None:
        """Remember a digest at once here, and soon in the catalog."""
        self.digests.put(record)
        self.submit(lambda catalog: catalog.put_digests([record]))

    def _enqueue(self, task: _Task) -> None:
        if self._thread is None:
            raise CatalogUnavailable("catalog: this server has none")
        try:
            self._queue.put_nowait(task)
        except queue.Full as error:
            raise CatalogUnavailable("catalog: too much is waiting for it") from error

    def _work(self) -> None:
        """What the thread does, until it is told to end."""
        self._look()
        self._looked.set_result(None)
        while True:
            try:
                task = self._queue.get(timeout=max(self._next_look - time.monotonic(), 0.01))
            except queue.Empty:
                self._look()
                continue
            if task is None:
                break
            self._do(task)
            if time.monotonic() >= self._next_look:
                self._look()
        self._let_go()
        self._ended.set_result(None)

    def _do(self, task: _Task) -> None:
        try:
            catalog = self._catalog or self._open()
        except StorageError as error:
            self._fell_ill(error)
            task.refuse(error)
            return
        try:
            task.work(catalog)
        except CatalogUnavailable as error:
            self._fell_ill(error)
        except StorageError as error:
            # What the catalog refuses is for whoever asked.
            _log.debug("catalog: %s", error)
        except Exception:  # noqa: BLE001 - the thread is to outlive a fault in one question
            _log.exception("catalog: a fault of fileserve itself")

    def _look(self) -> None:
        """Open a catalog that has come, reopen one that was replaced, follow its changes."""
        self._next_look = time.monotonic() + POLL_SECONDS
        try:
            if self._catalog is not None and self._file_now() != self._opened_file:
                self._let_go()
            if self._catalog is None and not self._is_expected():
                self._next_look = time.monotonic() + SEARCH_SECONDS
                self._forget()
                return
            self._follow(self._catalog or self._open())
        except CatalogUnavailable as error:
            self._next_look = time.monotonic() + SEARCH_SECONDS
            self._fell_ill(error)
        except Exception:  # noqa: BLE001 - serving goes on, whatever is wrong with the catalog
            self._next_look = time.monotonic() + SEARCH_SECONDS
            _log.exception("catalog: a fault of fileserve itself")
        else:
            self._is_well = True

    def _is_expected(self) -> bool:
        if self._presence is Presence.MADE or self._file_now() is not None:
            return True
        # Of a lost catalog at least this is left, and tells which links were revoked.
        file = None if self._place is None else self._place.file
        return file is not None and os.path.exists(file + COPY_SUFFIX)

    def _follow(self, catalog: "Catalog") -> None:
        """Take over what has changed since the last look."""
        revision = catalog.revision()
        if revision == self._snapshot.revision:
            return
        seen = self._snapshot.revision
        self.digests.take(catalog, seen)
        self._snapshot = self._snapshot.followed(catalog, revision)

    def _open(self) -> "Catalog":
        """Raises CatalogUnavailable, for some seconds without another try."""
        if time.monotonic() < self._closed_until:
            raise CatalogUnavailable("catalog: it did not open a moment ago")
        self._closed_until = time.monotonic() + SEARCH_SECONDS
        # SQLAlchemy: 20 MiB, which a server without a catalog does not need.
        from storage.catalog_repair import open_or_renew, renew  # noqa: PLC0415

        if self._place is None:
            raise CatalogUnavailable("catalog: this server has none")
        self._place.prepare()
        open_catalog = renew if self._is_damaged else open_or_renew
        self._catalog, told = open_catalog(self._place.url)
        for sentence in told:
            _log.error("%s", sentence)
        self._is_damaged = False
        self._closed_until = 0.0
        self._opened_file = self._file_now()
        self._snapshot = Snapshot(-1, self.tokens, self.links)
        self.digests.clear()
        return self._catalog

    def _let_go(self) -> None:
        if self._catalog is not None:
            self._catalog.close()
        self._catalog = None

    def _forget(self) -> None:
        self._snapshot = Snapshot()
        self.digests.clear()

    def _file_now(self) -> tuple[int, int] | None:
        """Which file lies in the place of the catalog; None for none, or another database."""
        if self._place is None or self._place.file is None:
            return None
        try:
            status = os.stat(self._place.file)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _fell_ill(self, error: StorageError) -> None:
        if isinstance(error, CatalogDamaged):
            self._is_damaged = True
            self._let_go()
        if self._is_well:
            self._is_well = False
            _log.error("%s; serving goes on without it", error)


def _refuse(future: Future[T], error: StorageError) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
