"""What the catalog hears of changes: digests of what arrived, and who did what."""

import time

from fileserve.access.visit import Visit
from fileserve.operations.catalog_desk import CatalogDesk
from storage.blob import Fingerprint
from storage.catalog_records import FileDigest
from storage.incoming import Arrival
from storage.names import Name


class WriteRecords:
    """Tells the catalog, without waiting: an upload is acknowledged when it is on the disk."""

    def __init__(self, desk: CatalogDesk) -> None:
        self._desk = desk

    def arrived(self, visit: Visit, name: Name, arrival: Arrival) -> None:
        """A file was uploaded."""
        path, digest = name.relative, digest_of(name, arrival)
        self._desk.put_digest(digest)
        self._note(visit, "uploaded", path, f"{arrival.digests.length} bytes")

    def removed(self, visit: Visit, name: Name) -> None:
        """A file or folder was removed."""
        path = name.relative
        self._desk.submit(lambda catalog: catalog.forget_digests([path]))
        self._note(visit, "removed", path, "")

    def moved(self, visit: Visit, old: Name, new: Name, state: Fingerprint | None) -> None:
        """A file, whose state is now state, or a folder was moved."""
        before, after = old.relative, new.relative
        changed_ns = None if state is None else state.changed_ns
        self._desk.submit(lambda catalog: catalog.move_digests(before, after, changed_ns))
        self._note(visit, "moved", before, f"to {new.display}")

    def _note(self, visit: Visit, deed: str, path: bytes, detail: str) -> None:
        self._desk.note_event(visit.who, deed, path, detail)


def digest_of(name: Name, arrival: Arrival) -> FileDigest:
    """What the catalog keeps of a file that has arrived."""
    state, digests = arrival.state, arrival.digests
    return FileDigest(
        name.relative,
        state.size,
        state.modified_ns,
        state.changed_ns,
        state.inode,
        digests.sha256,
        digests.crc32,
        computed_at=int(time.time()),
    )
