"""Finds the files of a root and reads them for their sums, by plain blocking calls."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from storage.atomic import is_leftover
from storage.beneath import Root
from storage.catalog_records import FileDigest
from storage.errors import NotFound, StorageError, explained
from storage.file_sums import FileSums
from storage.library import Item, Kind, Scope, list_folder, look
from storage.names import Name, printable
from storage.verification import succeeding

if TYPE_CHECKING:
    from storage.catalog import Catalog

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Refused = Callable[[StorageError], None]


class Reader(Protocol):
    """read_sums or read_whole_sums."""

    def __call__(self, fileno: int, read: Callable[[int], None], /) -> FileSums | None: ...


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a root that clients can get, hidden ones only if they can."""

    root: Root
    shows_hidden: bool
    refused: Refused

    def at(self, name: Name) -> Iterator[Item]:
        """A file, or all files below a folder, in the order of their paths' bytes."""
        top = look(self.root, name)
        if top.kind is Kind.FILE:
            yield top
        else:
            yield from filter(self._counts, list_folder(self.root, name, Scope.TREE, self.refused))

    def _counts(self, item: Item) -> bool:
        if item.kind is not Kind.FILE or is_leftover(item.name.last):
            return False
        return self.shows_hidden or not item.name.is_hidden


def read_file(root: Root, name: Name, reader: Reader, read: Callable[[int], None]) -> FileSums:
    """The sums of the file name means; raises StorageError, also for one that is written to."""
    with explained(name.display):
        fd = root.open_any_mount(name, _READ)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise NotFound(f"{name.display}: not a regular file")
            sums = reader(fd, read)
        finally:
            os.close(fd)
    if sums is None:
        raise StorageError(f"{name.display}: changed while it was read")
    return sums


def digest_record(path: bytes, sums: FileSums, now: int) -> FileDigest:
    """The catalog's record of sums; now is in seconds since 1970."""
    whole, pieces = FileDigest.of(path, sums.fingerprint, sums.digests, now), sums.pieces
    if pieces is None:
        return whole
    return replace(whole, piece_length=pieces.length, pieces=pieces.sha256s)


def keep_computed(catalog: "Catalog", computed: FileDigest) -> None:
    """Write down what was computed; raises as undamaged does."""
    catalog.put_digests([undamaged(catalog.digest_of(computed.path), computed)])


def undamaged(known: FileDigest | None, computed: FileDigest) -> FileDigest:
    """The record to keep of a file; raises StorageError for bytes that nobody has written."""
    record = succeeding(known, computed)
    if record is None:
        raise StorageError(
            f"{printable(computed.path)}: is damaged: other bytes than before, though its time is "
            "the same; restore it, or keep it as it is with `fileserve checksum --again`"
        )
    return record
