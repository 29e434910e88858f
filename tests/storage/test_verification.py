"""What is found of a file: damaged, changed, missing, new, or as it was."""

from dataclasses import replace

import pytest

from storage.blob import Fingerprint
from storage.catalog_records import FileDigest
from storage.library import Item, Kind
from storage.names import Name
from storage.verification import (
    Finding,
    Pair,
    is_current,
    judged,
    judged_unread,
    paired,
    succeeding,
)

OLD, NEW = bytes(32), b"\1" * 32
RECORD = FileDigest(b"a", 10, 1000, 2000, 7, OLD, 0)
SAME = RECORD.fingerprint

# fmt: off
FOUND = [
    # state of the file                     SHA-256  finding           id
    (SAME,                                  OLD,     Finding.INTACT,   "as-it-was"),
    (SAME,                                  NEW,     Finding.DAMAGED,  "a-flipped-bit"),
    (SAME._replace(changed_ns=9),           OLD,     Finding.INTACT,   "chmod"),
    (SAME._replace(changed_ns=9),           NEW,     Finding.DAMAGED,  "written-and-set-back"),
    (SAME._replace(inode=9),                OLD,     Finding.INTACT,   "restored-from-a-backup"),
    (SAME._replace(inode=9),                NEW,     Finding.DAMAGED,  "restored-and-other-bytes"),
    (SAME._replace(modified_ns=9),          OLD,     Finding.INTACT,   "touch"),
    (SAME._replace(modified_ns=9),          NEW,     Finding.CHANGED,  "written"),
    (SAME._replace(modified_ns=1001),       NEW,     Finding.CHANGED,  "written-one-ns-later"),
]
UNREAD = [
    # state of the file                     finding           id
    (SAME,                                  None,             "same-size"),
    (SAME._replace(modified_ns=9),          None,             "touched"),
    (SAME._replace(size=9, modified_ns=9),  Finding.CHANGED,  "shorter-and-written"),
    (SAME._replace(size=11, modified_ns=9), Finding.CHANGED,  "longer-and-written"),
    (SAME._replace(size=0),                 Finding.DAMAGED,  "cut-and-not-written"),
]
# fmt: on


@pytest.mark.parametrize(
    ("found", "sha256", "finding"), [row[:3] for row in FOUND], ids=[row[3] for row in FOUND]
)
def test_finding_of_a_file_that_was_read(
    found: Fingerprint, sha256: bytes, finding: Finding
) -> None:
    assert judged(RECORD, found, sha256) is finding


@pytest.mark.parametrize(
    ("found", "finding"), [row[:2] for row in UNREAD], ids=[row[2] for row in UNREAD]
)
def test_finding_without_reading(found: Fingerprint, finding: Finding | None) -> None:
    assert judged_unread(RECORD, found) is finding


def item(path: bytes) -> Item:
    return Item(Name(tuple(path.split(b"/"))), Kind.FILE, 1, 2, 3, 4)


def record(path: bytes) -> FileDigest:
    return replace(RECORD, path=path)


PAIRS = [
    # files            records            paths of both, "-" for none
    ([], [], []),
    ([b"a"], [], [(b"a", b"-")]),
    ([], [b"a"], [(b"-", b"a")]),
    ([b"a"], [b"a"], [(b"a", b"a")]),
    ([b"a", b"c"], [b"b", b"c"], [(b"a", b"-"), (b"-", b"b"), (b"c", b"c")]),
    # "." < "/" < "0": the order of paths is not that of folders.
    ([b"a.b", b"a/b", b"a0"], [b"a/b"], [(b"a.b", b"-"), (b"a/b", b"a/b"), (b"a0", b"-")]),
    ([b"\xff"], [b"z"], [(b"-", b"z"), (b"\xff", b"-")]),
]


@pytest.mark.parametrize(("files", "records", "paths"), PAIRS)
def test_pairs(files: list[bytes], records: list[bytes], paths: list[tuple[bytes, bytes]]) -> None:
    def shown(pair: Pair) -> tuple[bytes, bytes]:
        return (
            b"-" if pair.item is None else pair.item.name.relative,
            b"-" if pair.record is None else pair.record.path,
        )

    found = paired(map(item, files), map(record, records))
    assert [shown(pair) for pair in found] == paths


def test_a_record_without_pieces_is_current_for_short_files_only() -> None:
    short = replace(RECORD, size=1 << 20)
    assert is_current(short, short.fingerprint)
    assert not is_current(short, short.fingerprint._replace(changed_ns=9))
    long = replace(RECORD, size=(1 << 20) + 1)
    assert not is_current(long, long.fingerprint)
    assert is_current(replace(long, piece_length=1 << 20), long.fingerprint)


PIECES = replace(RECORD, piece_length=1 << 20, pieces=OLD)
TOUCHED = replace(RECORD, modified_ns=9)
WRITTEN = replace(TOUCHED, sha256=NEW)
SUCCEEDING = [
    # known, computed, kept, id
    (None, RECORD, RECORD, "first"),
    (RECORD, PIECES, PIECES, "with-pieces"),
    (PIECES, TOUCHED, replace(PIECES, modified_ns=9), "pieces-outlive-a-touch"),
    (PIECES, WRITTEN, WRITTEN, "pieces-are-of-other-bytes"),
    (RECORD, replace(RECORD, sha256=NEW), None, "damage"),
    (RECORD, replace(RECORD, sha256=NEW, changed_ns=9), None, "damage-and-set-back"),
]


@pytest.mark.parametrize(
    ("known", "computed", "kept"),
    [row[:3] for row in SUCCEEDING],
    ids=[row[3] for row in SUCCEEDING],
)
def test_record_that_is_kept(
    known: FileDigest | None, computed: FileDigest, kept: FileDigest | None
) -> None:
    assert succeeding(known, computed) == kept
