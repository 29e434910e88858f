"""SHA-256 of files as the site tells them: what is known at once, and what is computed if asked.

What is known comes from the catalog, or was computed by this process since it began.
"""

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from fileserve.operations.catalog_desk import CatalogDesk
from fileserve.site.listing_records import Sha256Of
from storage.blob import Blob, Fingerprint
from storage.catalog_records import FileDigest
from storage.checksums import FileState
from storage.digests import Digests
from storage.errors import CatalogUnavailable, StorageError
from storage.known_digests import Hasher, KnownDigests
from storage.names import Name
from storage.served_files import keep_computed

if TYPE_CHECKING:
    from storage.catalog import Catalog

_log = logging.getLogger("fileserve.error")
# Whoever waits has a manifest half sent: without the catalog it is still right.
_PATIENCE_SECONDS = 5.0


class KnownSums:
    """For the event loop of one process."""

    def __init__(self, desk: CatalogDesk, known: KnownDigests | None = None) -> None:
        self._desk = desk
        self.hasher = Hasher(known or KnownDigests(), completed=self._keep)

    def of_open(self, name: Name, blob: Blob) -> bytes | None:
        """The SHA-256 of a file that is open, if it is known; never waits."""
        # Asked with each small range: where nothing is known, not even a path is put together.
        recorded, computed = self._desk.digests, self.hasher.known
        if not recorded.is_empty:
            record = recorded.get(name.relative, blob.fingerprint)
            if record is not None:
                return record.sha256
        if computed.is_empty:
            return None
        return computed.get(FileState(blob.device, blob.fingerprint))

    def of_state(self, name: Name, state: FileState) -> bytes | None:
        """The same of a file in some state."""
        record = self._desk.digests.get(name.relative, state.fingerprint)
        return self.hasher.known.get(state) if record is None else record.sha256

    @property
    def in_listings(self) -> Sha256Of | None:
        """What the catalog knows by path and state; None without a catalog: nothing."""
        return self._recorded_sha256 if self._desk.is_open else None

    def _recorded_sha256(self, path: bytes, fingerprint: Fingerprint) -> bytes | None:
        record = self._desk.digests.get(path, fingerprint)
        return None if record is None else record.sha256

    async def compute(self, name: Name, blob: Blob) -> bytes | None:
        """The SHA-256 of an open file, read if need be; None when it changed meanwhile.

        Raises Unavailable and other StorageErrors; may be cancelled.
        """
        known = self.of_open(name, blob)
        return known or await self.hasher.sha256(blob, blob.device)

    async def recorded(self, name: Name, state: FileState) -> FileDigest | None:
        """What the catalog knows of a file in this state, the sums of its pieces included."""
        if not self._desk.is_open:
            return None
        try:
            record = await self._desk.ask(
                lambda catalog: catalog.digest_of(name.relative), _PATIENCE_SECONDS
            )
        except CatalogUnavailable:
            return None
        if record is None or record.fingerprint != state.fingerprint:
            return None
        return record

    def _keep(self, blob: Blob, digests: Digests) -> None:
        """Let the catalog know what was computed, where there is one."""
        if not self._desk.is_open or blob.name is None:
            return
        now = int(time.time())
        computed = FileDigest.of(blob.name.relative, blob.fingerprint, digests, now)
        self._desk.submit(partial(_keep_or_log, computed=computed))


def _keep_or_log(catalog: "Catalog", computed: FileDigest) -> None:
    try:
        keep_computed(catalog, computed)
    except CatalogUnavailable:
        raise
    except StorageError as error:
        _log.error("%s", error)
