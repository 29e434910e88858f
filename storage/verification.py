"""What became of a file since its checksums were computed (pure)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from storage.blob import Fingerprint
from storage.catalog_records import FileDigest
from storage.file_sums import piece_length_for
from storage.library import Item


class Finding(Enum):
    """INTACT: the bytes are what they were, whatever became of times and permissions.

    DAMAGED: other bytes, and nobody has written them: the time of the last change is what it was.
    """

    INTACT = "intact"
    DAMAGED = "damaged"
    CHANGED = "changed"
    MISSING = "missing"
    NEW = "new"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Pair:
    """One path: the file there, None for none, and what is known of it."""

    item: Item | None
    record: FileDigest | None


def paired(items: Iterable[Item], records: Iterable[FileDigest]) -> Iterator[Pair]:
    """Each path once; both have to be in the order of their paths' bytes."""
    left, right = iter(items), iter(records)
    item, record = next(left, None), next(right, None)
    while item is not None or record is not None:
        if record is None or (item is not None and item.name.relative < record.path):
            yield Pair(item, None)
            item = next(left, None)
        elif item is None or record.path < item.name.relative:
            yield Pair(None, record)
            record = next(right, None)
        else:
            yield Pair(item, record)
            item, record = next(left, None), next(right, None)


def item_fingerprint(item: Item) -> Fingerprint:
    """The state of a file that was found."""
    return Fingerprint(item.size, item.modified_ns, item.changed_ns, item.inode)


def is_current(record: FileDigest, found: Fingerprint) -> bool:
    """Whether all is known of a file in this state: of a long one the sums of its pieces, too.

    What was added or uploaded comes without those.
    """
    has_all = record.piece_length is not None or record.size <= piece_length_for(record.size)
    return has_all and record.fingerprint == found


def judged_unread(record: FileDigest, found: Fingerprint) -> Finding | None:
    """What can be told without reading the file; None when it has to be read."""
    if found.size == record.size:
        return None
    # A file that is shorter than it was, and has its old time, was not written by anybody.
    return Finding.DAMAGED if found.modified_ns == record.modified_ns else Finding.CHANGED


def judged(record: FileDigest, found: Fingerprint, sha256: bytes) -> Finding:
    """What the SHA-256 of the file says, found being the state in which it was read."""
    if sha256 == record.sha256:
        return Finding.INTACT
    return Finding.DAMAGED if found.modified_ns == record.modified_ns else Finding.CHANGED


def succeeding(known: FileDigest | None, computed: FileDigest) -> FileDigest | None:
    """The record to keep where computed was found and known before it; None for damage.

    What was damaged keeps its record: to take over its new checksum would hide the damage.
    The sums of pieces outlive a change of times alone.
    """
    if known is None:
        return computed
    match judged(known, computed.fingerprint, computed.sha256):
        case Finding.DAMAGED:
            return None
        case Finding.INTACT if computed.pieces is None:
            return replace(computed, piece_length=known.piece_length, pieces=known.pieces)
        case _:
            return computed
