"""The work behind `fileserve checksum` and `verify`: files are read and compared with the catalog.

Everything here blocks, is bounded in memory but for the list of files, and may be interrupted: what
was computed until then is kept.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from fileserve.progress import copy_progress
from storage.beneath import Root
from storage.catalog_records import FileDigest
from storage.errors import IsFolder, NotFound, StorageError
from storage.file_sums import FileSums, PieceSums, read_sums, read_whole_sums
from storage.library import Item, Kind, look
from storage.names import Name
from storage.served_files import Files, digest_record, read_file, undamaged
from storage.verification import (
    Finding,
    Pair,
    is_current,
    item_fingerprint,
    judged,
    judged_unread,
    paired,
)

if TYPE_CHECKING:
    from storage.catalog import Catalog

# What an interruption may cost: so many small files, or so many seconds of reading.
_KEPT_BACK = 200
_KEPT_BACK_SECONDS = 2.0


class Known(Enum):
    """Whether checksums that are known already count, or all files are read."""

    COUNTS = "counts"
    COUNTS_NOT = "counts not"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one file.

    detail: for people; damaged: the bytes [start, stop) that differ, as far as that is known.
    """

    finding: Finding
    path: bytes
    detail: str = ""
    damaged: Sequence[tuple[int, int]] = ()


def compute(files: Files, catalog: "Catalog", name: Name, known: Known) -> Iterator[FileDigest]:
    """The checksums of the files at and below name: known ones, and those that are computed now.

    What cannot be read, what somebody writes to and what is damaged is told to files.refused.
    """
    items = [*files.at(name)]

    def pairs() -> Iterator[tuple[Item, FileDigest | None]]:
        records = catalog.digests_below(name.path)
        return ((pair.item, pair.record) for pair in paired(items, records) if pair.item)

    total = sum(item.size for item, record in pairs() if not _counts(known, item, record))
    with copy_progress(total) as progress, _keeping(catalog) as keep:
        for item, record in pairs():
            if record is not None and _counts(known, item, record):
                yield record
                continue
            progress.label(item.name.display)
            try:
                before = record if known is Known.COUNTS else None
                computed = _computed(files.root, item, before, progress.advance)
            except StorageError as error:
                files.refused(error)
            else:
                keep(computed)
                yield computed


def verify(files: Files, catalog: "Catalog", name: Name) -> Iterator[Check]:
    """Read again whatever is known at and below name, and tell what is found of each file.

    Raises NotFound for a name that neither means anything nor is known to have done so.
    """
    items = _items_or_none(files, catalog, name)

    def pairs() -> Iterator[Pair]:
        return paired(items, catalog.digests_below(name.path))

    total = sum(pair.item.size for pair in pairs() if pair.item and pair.record)
    with copy_progress(total) as progress, _keeping(catalog) as keep:
        for pair in pairs():
            progress.label((pair.item.name if pair.item else _name_of(pair.record)).display)
            check, refreshed = _check(files.root, catalog, pair, progress.advance)
            if refreshed is not None:
                keep(refreshed)
            if check is not None:
                yield check


def _items_or_none(files: Files, catalog: "Catalog", name: Name) -> list[Item]:
    try:
        return [*files.at(name)]
    except NotFound:
        if next(catalog.digests_below(name.path), None) is None:
            raise
        return []


def _counts(known: Known, item: Item, record: FileDigest | None) -> bool:
    """Whether what is known holds for the file as it is, and is not to be computed again."""
    if record is None or known is Known.COUNTS_NOT:
        return False
    return is_current(record, item_fingerprint(item))


def _computed(
    root: Root, item: Item, before: FileDigest | None, read: Callable[[int], None]
) -> FileDigest:
    sums = read_file(root, item.name, read_sums, read)
    return undamaged(before, digest_record(item.name.relative, sums, int(time.time())))


def _check(
    root: Root, catalog: "Catalog", pair: Pair, read: Callable[[int], None]
) -> tuple[Check | None, FileDigest | None]:
    """What is found of a pair, and its record as it is from now on where that changes."""
    record = pair.record
    if record is None:
        return (Check(Finding.NEW, pair.item.name.relative) if pair.item else None), None
    try:
        item = pair.item or look(root, _name_of(record))
        if item.kind is not Kind.FILE:
            raise IsFolder(f"{item.name.display}: is no file any more")
        return _compare(root, catalog, item, record, read)
    except (NotFound, IsFolder):
        return Check(Finding.MISSING, record.path), None
    except StorageError as error:
        return Check(Finding.UNREADABLE, record.path, str(error)), None


def _compare(
    root: Root, catalog: "Catalog", item: Item, record: FileDigest, read: Callable[[int], None]
) -> tuple[Check, FileDigest | None]:
    unread = judged_unread(record, item_fingerprint(item))
    if unread is not None:
        read(item.size)
        detail = f"{item.size:,} bytes instead of {record.size:,}"
        return Check(unread, record.path, detail), None
    sums = read_file(root, item.name, read_whole_sums, read)
    finding = judged(record, sums.fingerprint, sums.digests.sha256)
    if finding is Finding.DAMAGED:
        spans = _damaged_spans(root, catalog, item.name, record)
        return Check(finding, record.path, _places(spans), spans), None
    if finding is Finding.INTACT and sums.fingerprint != record.fingerprint:
        return Check(finding, record.path), _renewed(catalog, record, sums)
    return Check(finding, record.path), None


def _renewed(catalog: "Catalog", record: FileDigest, sums: FileSums) -> FileDigest:
    """The record for the same bytes in their new state."""
    whole = catalog.digest_of(record.path) or record
    size, modified_ns, changed_ns, inode = sums.fingerprint
    return replace(whole, size=size, modified_ns=modified_ns, changed_ns=changed_ns, inode=inode)


def _damaged_spans(
    root: Root, catalog: "Catalog", name: Name, record: FileDigest
) -> list[tuple[int, int]]:
    """The pieces that differ; none where their sums are not known."""
    known = catalog.digest_of(record.path)
    if known is None or known.piece_length is None or known.pieces is None:
        return []
    now = read_file(root, name, read_sums, lambda count: None).pieces
    if now is None or now.length != known.piece_length:
        return []
    length = now.length
    differing = PieceSums(length, known.pieces).differing(now)
    return [(n * length, min((n + 1) * length, record.size)) for n in differing]


def _places(spans: Sequence[tuple[int, int]]) -> str:
    first = [f"{start}-{stop - 1}" for start, stop in spans[:3]]
    more = [f"and {len(spans) - 3} more pieces"] if len(spans) > 3 else []
    return f"in bytes {', '.join([*first, *more])}" if spans else ""


def _name_of(record: FileDigest | None) -> Name:
    return Name(tuple(record.path.split(b"/")) if record is not None else ())


@contextlib.contextmanager
def _keeping(catalog: "Catalog") -> Iterator[Callable[[FileDigest], None]]:
    """A function that writes records to the catalog, some together and all at the end."""
    kept: list[FileDigest] = []
    written_at = time.monotonic()

    def keep(record: FileDigest) -> None:
        nonlocal written_at
        kept.append(record)
        is_long_ago = time.monotonic() - written_at >= _KEPT_BACK_SECONDS
        if is_long_ago or len(kept) >= _KEPT_BACK:
            flush()
            written_at = time.monotonic()

    def flush() -> None:
        if kept:
            catalog.put_digests(kept)
            kept.clear()

    try:
        yield keep
    finally:
        flush()
