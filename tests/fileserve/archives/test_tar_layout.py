"""A folder as a tar archive: what other programs read out of it, and what its bytes are."""

import io
import tarfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.archives import tar_records
from fileserve.archives.layout import Content
from fileserve.archives.members import Kind, Member
from fileserve.archives.tar_layout import TarLayout
from storage.trees import TreeEntry
from tests.fileserve.archives.laid_out import (
    MODIFIED_NS,
    bytes_of,
    content,
    file,
    folder,
    laid_out,
)

GIB = 1 << 30
BLOCK = 512
LONG = b"x" * 200
ENTRIES = [
    folder(),
    file(b"a.txt", size=5),
    file(b"empty", size=0),
    file(b"run.sh", size=512, is_executable=True),
    file("é.txt".encode(), size=513),
    file(b"caf\xe9", size=1),
    folder(LONG),
    file(LONG, LONG, size=70_000),
]


def archive(entries: Sequence[TreeEntry] = ENTRIES) -> bytes:
    return bytes_of(*laid_out(entries, TarLayout))


def test_the_length_is_told_exactly_and_in_blocks() -> None:
    table, layout = laid_out(ENTRIES, TarLayout)
    assert layout.length == len(bytes_of(table, layout))
    assert layout.length % BLOCK == 0


def test_tarfile_reads_what_went_in() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive())) as opened:
        members = {member.name: member for member in opened.getmembers()}
        long = "Top/" + LONG.decode()
        assert list(members) == [
            *("Top", "Top/a.txt", "Top/empty", "Top/run.sh", "Top/é.txt", "Top/caf\udce9"),
            *(long, f"{long}/{LONG.decode()}"),
        ]
        deep = opened.extractfile(members[f"{long}/{LONG.decode()}"])
        assert deep is not None
        assert deep.read() == content(7, 70_000)
    assert members["Top"].isdir()
    assert members["Top/a.txt"].mode == 0o644
    assert members["Top/run.sh"].mode == 0o755
    assert members["Top/a.txt"].mtime == MODIFIED_NS // 1_000_000_000
    assert {(member.uid, member.gid, member.uname) for member in members.values()} == {(0, 0, "")}


def test_two_blocks_of_zeros_end_it() -> None:
    assert archive().endswith(bytes(1024))


def test_states_of_the_same_size_seldom_have_the_same_length() -> None:
    """What programs see that resume without If-Range: the chance is 1 in 127."""
    lengths = {
        laid_out([folder(), file(b"a", modified_ns=tick)], TarLayout)[1].length
        for tick in range(200)
    }
    assert len(lengths) > 80


@given(st.data())
def test_any_cut_equals_the_slice_of_the_whole(data: st.DataObject) -> None:
    table, layout = laid_out(ENTRIES, TarLayout)
    whole = bytes_of(table, layout)
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    assert bytes_of(table, layout, start, stop) == whole[start:stop]


def test_a_far_cut_touches_no_other_member() -> None:
    entries = [folder(), *(file(b"%06d" % index, size=GIB) for index in range(1000))]
    _, layout = laid_out(entries, TarLayout)
    pieces = list(layout.pieces(500 * GIB, 500 * GIB + 10))
    assert [piece.stop - piece.start for piece in pieces if isinstance(piece, Content)] == [10]


HEADERS = [
    # member                                                       blocks, header  id
    (Member(b"a", Kind.FILE, 1, 0), 1, "plain"),
    (Member(b"x" * 100, Kind.FILE, 1, 0), 1, "longest-plain-name"),
    (Member(b"x" * 101, Kind.FILE, 1, 0), 3, "long-name"),
    (Member("é".encode(), Kind.FILE, 1, 0), 3, "not-ascii"),
    (Member(b"a", Kind.FILE, 8 * GIB - 1, 0), 1, "largest-octal-size"),
    (Member(b"a", Kind.FILE, 8 * GIB, 0), 3, "8-GiB"),
    (Member(b"a", Kind.FILE, 1, -1), 3, "before-1970"),
    (Member(b"x" * 600, Kind.FILE, 1, 0), 4, "name-of-two-blocks"),
]


@pytest.mark.parametrize(
    ("member", "blocks"), [case[:2] for case in HEADERS], ids=[case[2] for case in HEADERS]
)
def test_a_pax_header_is_there_just_where_ustar_is_too_small(member: Member, blocks: int) -> None:
    header = tar_records.header(member)
    assert len(header) == blocks * BLOCK == tar_records.header_length(member)


READ_BACK = [case for case in HEADERS if case[0].size < BLOCK]


@pytest.mark.parametrize("member", [c[0] for c in READ_BACK], ids=[c[2] for c in READ_BACK])
def test_what_a_header_says_is_read_back(member: Member) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_records.header(member) + bytes(1024))) as opened:
        [read] = opened.getmembers()
    assert read.name == member.name.decode()
    assert read.mtime == member.modified_ns // 1_000_000_000


RECORD_LENGTHS = [
    # length of the value    length of the record: digits, space, "path=", value, newline
    (1, 9, "one-digit"),
    (2, 11, "ten-needs-a-second-digit"),
    (90, 99, "largest-of-two-digits"),
    (91, 101, "three-digits"),
]


@pytest.mark.parametrize(
    ("value", "length"), [case[:2] for case in RECORD_LENGTHS], ids=[c[2] for c in RECORD_LENGTHS]
)
def test_a_record_counts_its_own_digits(value: int, length: int) -> None:
    record = tar_records.pax_record(b"path", b"v" * value)
    assert len(record) == length
    assert record.startswith(b"%d path=" % length)


def test_a_size_of_8_gib_is_read_back() -> None:
    header = tar_records.header(Member(b"a", Kind.FILE, 8 * GIB, 0))
    assert b"size=8589934592\n" in header
