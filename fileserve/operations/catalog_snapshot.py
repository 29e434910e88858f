"""What a server holds in memory of its catalog: tokens, links, and the newest digests."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from storage.blob import Fingerprint
from storage.catalog_records import FileDigest, LinkRecord, TokenRecord

if TYPE_CHECKING:
    from storage.catalog import Catalog

# 550 bytes each: 28 MB when full.
MAX_DIGESTS = 50_000
_MAX_ASKED = 10_000
# After some hundreds of records: a thread that computes leaves the event loop no time.
_PAUSE_SECONDS = 0.0001


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Tokens and links as they were at a revision of the catalog; -1 is before any."""

    revision: int = -1
    tokens: Mapping[bytes, TokenRecord] = field(default_factory=dict)
    links: Mapping[str, LinkRecord] = field(default_factory=dict)

    def followed(self, catalog: "Catalog", revision: int) -> "Snapshot":
        """The snapshot of revision, which the catalog had before this was called."""
        changed = catalog.links_since(self.revision)
        links = (
            {**self.links, **{link.link_id: link for link in changed}} if changed else self.links
        )
        tokens = {token.secret_hash: token for token in catalog.tokens()}
        return Snapshot(revision, tokens, links)


class KnownFileDigests:
    """A bounded memory of digests by path; any thread may read it or add to it.

    A digest that was forgotten in the catalog may stay: its fingerprint fits no other file.
    """

    def __init__(
        self,
        submit: "Callable[[Callable[[Catalog], object]], None]",
        max_known: int = MAX_DIGESTS,
    ) -> None:
        self._submit = submit
        self._max_known = max_known
        self._writing = threading.Lock()
        self._known: dict[bytes, FileDigest] = {}
        # Only then may the catalog know more than this memory.
        self._is_partial = False
        self._asked: set[bytes] = set()

    @property
    def is_empty(self) -> bool:
        """Whether get() has nothing to tell, of no file."""
        return not self._known

    def get(self, path: bytes, fingerprint: Fingerprint) -> FileDigest | None:
        """The digest of a file in this very state, without its pieces, if it is in memory.

        One that only the catalog has is fetched, for the next time.
        """
        record = self._known.get(path)
        if record is not None:
            return record if record.fingerprint == fingerprint else None
        if self._is_partial and path not in self._asked:
            self._ask(path)
        return None

    def put(self, record: FileDigest) -> None:
        """Remember a digest that is being written to the catalog, or comes from it."""
        with self._writing:
            self._known.pop(record.path, None)
            self._known[record.path] = (
                record if record.pieces is None else replace(record, pieces=None)
            )
            if len(self._known) > self._max_known:
                self._is_partial = True
                del self._known[next(iter(self._known))]

    def take(self, catalog: "Catalog", revision: int) -> None:
        """Remember what the catalog got after revision, as far as there is room."""
        newest: list[FileDigest] = []
        for batch in catalog.digests_since(revision, self._max_known):
            newest.extend(batch)
            time.sleep(_PAUSE_SECONDS)
        if len(newest) == self._max_known:
            self._is_partial = True
        for record in reversed(newest):
            self.put(record)
        self._asked = set()

    def clear(self) -> None:
        """Forget everything: the catalog is another one."""
        with self._writing:
            self._known, self._asked, self._is_partial = {}, set(), False

    def _ask(self, path: bytes) -> None:
        if len(self._asked) >= _MAX_ASKED:
            self._asked = set()
        self._asked.add(path)

        def fetch(catalog: "Catalog") -> None:
            if (record := catalog.digest_of(path)) is not None:
                self.put(record)

        self._submit(fetch)
