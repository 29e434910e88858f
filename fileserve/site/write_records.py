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
        now, digests = int(time.time()), arrival.digests
        self._desk.put_digest(FileDigest.of(name.path, arrival.state, digests, now))
        self._desk.note_event(visit.who, "uploaded", name.path, f"{digests.length} bytes")

    def removed(self, visit: Visit, name: Name) -> None:
        """A file or folder was removed."""
        self._desk.submit(lambda catalog: catalog.forget_digests([name.path]))
        self._desk.note_event(visit.who, "removed", name.path)

    def moved(self, visit: Visit, old: Name, new: Name, state: Fingerprint | None) -> None:
        """A file, whose state is now state, or a folder was moved."""
        before, after = old.path, new.path
        changed_ns = None if state is None else state.changed_ns
        self._desk.submit(lambda catalog: catalog.move_digests(before, after, changed_ns))
        self._desk.note_event(visit.who, "moved", before, f"to {new.display}")
