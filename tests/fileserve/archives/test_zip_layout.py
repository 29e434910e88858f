"""A folder as a ZIP: what other programs read out of it, and what its bytes are."""

import io
import struct
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.archives import zip_records
from fileserve.archives.layout import Content, Summed
from fileserve.archives.members import Kind, Member
from fileserve.archives.zip_layout import ZipLayout
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
ENTRIES = [
    folder(),
    file(b"a.txt", size=5),
    file(b"empty", size=0),
    file(b"run.sh", size=300, is_executable=True),
    file("é.txt".encode(), size=1),
    folder(b"sub"),
    file(b"sub", b"deep.bin", size=70_000),
    folder(b"void"),
]


def archive(entries: Sequence[TreeEntry] = ENTRIES) -> bytes:
    return bytes_of(*laid_out(entries, ZipLayout))


def test_the_length_is_told_exactly() -> None:
    table, layout = laid_out(ENTRIES, ZipLayout)
    assert layout.length == len(bytes_of(table, layout))


def test_zipfile_reads_what_went_in() -> None:
    with zipfile.ZipFile(io.BytesIO(archive())) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == [
            *("Top/", "Top/a.txt", "Top/empty", "Top/run.sh", "Top/é.txt"),
            *("Top/sub/", "Top/sub/deep.bin", "Top/void/"),
        ]
        assert opened.read("Top/sub/deep.bin") == content(6, 70_000)
        modes = {entry.filename: entry.external_attr >> 16 for entry in opened.infolist()}
        assert modes["Top/a.txt"] == 0o100644
        assert modes["Top/run.sh"] == 0o100755
        assert modes["Top/sub/"] == 0o040755
        assert opened.getinfo("Top/sub/").is_dir()
        # DOS times count in steps of two seconds.
        assert opened.getinfo("Top/a.txt").date_time == (2023, 11, 14, 22, 13, 20)


def test_the_same_state_is_the_same_bytes() -> None:
    assert archive() == archive()


STATES = [
    # instead of file(b"a.txt")                     id
    (file(b"b.txt"), "name"),
    (file(b"a.txt", modified_ns=MODIFIED_NS + 1), "time"),
    (file(b"a.txt", is_executable=True), "executable-bit"),
]


@pytest.mark.parametrize("other", [s[0] for s in STATES], ids=[s[1] for s in STATES])
def test_another_state_has_another_digest(other: TreeEntry) -> None:
    table, _ = laid_out([folder(), file(b"a.txt")], ZipLayout)
    changed, _ = laid_out([folder(), other], ZipLayout)
    assert table.digest != changed.digest


@pytest.mark.parametrize("far_ns", [2**63, 2**64, -(2**63) - 1])
def test_times_of_any_year_are_kept(far_ns: int) -> None:
    states = [file(b"a.txt", modified_ns=far_ns + more) for more in range(2)]
    tables = [laid_out([folder(modified_ns=far_ns), one], ZipLayout)[0] for one in states]
    assert [table.state(1) for table in tables] == [one.state for one in states]
    assert [table.member(1).modified_ns for table in tables] == [far_ns, far_ns + 1]
    assert tables[0].digest != tables[1].digest


def test_names_do_not_run_into_each_other() -> None:
    one, _ = laid_out([folder(), file(b"ab"), file(b"c")], ZipLayout)
    other, _ = laid_out([folder(), file(b"a"), file(b"bc")], ZipLayout)
    assert one.digest != other.digest


def test_states_of_the_same_size_seldom_have_the_same_length() -> None:
    """What programs see that resume without If-Range: here 200 states of one file."""
    lengths = {
        laid_out([folder(), file(b"a", modified_ns=tick)], ZipLayout)[1].length
        for tick in range(200)
    }
    assert len(lengths) > 180


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    raw = archive([folder(), file(b"caf\xe9")])
    with zipfile.ZipFile(io.BytesIO(raw)) as opened:
        assert opened.infolist()[1].filename.encode("cp437") == b"Top/caf\xe9"
        assert not opened.infolist()[1].flag_bits & 0x800


@given(st.data())
def test_any_cut_equals_the_slice_of_the_whole(data: st.DataObject) -> None:
    table, layout = laid_out(ENTRIES, ZipLayout)
    whole = bytes_of(table, layout)
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    assert bytes_of(table, layout, start, stop) == whole[start:stop]


def test_every_border_can_be_cut_at() -> None:
    table, layout = laid_out([folder(), file(b"a", size=3), file(b"b", size=0)], ZipLayout)
    whole = bytes_of(table, layout)
    for position in range(1, len(whole)):
        assert bytes_of(table, layout, 0, position) == whole[:position]
        assert bytes_of(table, layout, position) == whole[position:]


LARGE = [
    # size of the member      needs ZIP64    id
    (0xFFFFFFFE, False, "largest-without"),
    (0xFFFFFFFF, True, "the-mark-itself"),
    (4 * GIB, True, "4-GiB"),
    (1 << 60, True, "an-exbibyte"),
]


@pytest.mark.parametrize(
    ("size", "needs_zip64"), [case[:2] for case in LARGE], ids=[case[2] for case in LARGE]
)
def test_zip64_is_there_just_where_a_size_needs_it(size: int, needs_zip64: bool) -> None:
    member = Member(b"Top/large", Kind.FILE, size, MODIFIED_NS)
    local = zip_records.local_header(member)
    shown = 0xFFFFFFFF if needs_zip64 else size
    assert struct.unpack("<II", local[18:26]) == (shown, shown)
    assert len(local) == zip_records.local_header_length(member)
    extra = local[30 + len(member.name) :]
    both = struct.pack("<HHQQ", 1, 16, size, size)
    assert extra.startswith(both) is needs_zip64
    behind = zip_records.descriptor(size, 0x12345678)
    assert len(behind) == (24 if needs_zip64 else 16) == zip_records.descriptor_length(member)


def test_offsets_beyond_4_gib_are_in_the_directory() -> None:
    table, layout = laid_out(
        [folder(), file(b"a", size=3 * GIB), file(b"b", size=3 * GIB), file(b"c", size=1)],
        ZipLayout,
    )
    entries = list(layout.pieces(6 * GIB, layout.length))
    summed = [piece for piece in entries if isinstance(piece, Summed) and piece.member == 3]
    entry = summed[-1].encode(0)
    name = b"Top/c"
    assert entry[46 : 46 + len(name)] == name
    assert struct.unpack("<I", entry[42:46]) == (0xFFFFFFFF,)
    kind, length, offset = struct.unpack("<HHQ", entry[46 + len(name) :][:12])
    assert (kind, length) == (1, 8)
    # Three local headers and two descriptors before it, each with a time of nine bytes.
    assert offset == 6 * GIB + (30 + 4 + 9) + 2 * (30 + 5 + 9 + 16)
    assert len(table) == 4


def test_a_far_cut_touches_no_other_member() -> None:
    entries = [folder(), *(file(b"%06d" % index, size=GIB) for index in range(1000))]
    _, layout = laid_out(entries, ZipLayout)
    pieces = list(layout.pieces(500 * GIB, 500 * GIB + 10))
    assert [piece.stop - piece.start for piece in pieces if isinstance(piece, Content)] == [10]
    assert len(pieces) == 1


def test_more_members_than_16_bits_count() -> None:
    entries = [folder(), *(file(b"%06d" % index, size=0) for index in range(70_000))]
    raw = archive(entries)
    assert raw[-22:] == struct.pack(
        "<IHHHHIIH",
        *(0x06054B50, 0, 0, 0xFFFF, 0xFFFF),
        *struct.unpack("<II", raw[-10:-2]),
        0,
    )
    with zipfile.ZipFile(io.BytesIO(raw)) as opened:
        assert len(opened.namelist()) == 70_001
        assert opened.namelist()[-1] == "Top/069999"


TIMES = [
    # seconds since 1970      DOS time shown               has UTC time   id
    (0, (1980, 1, 1, 0, 0, 0), True, "before-dos"),
    (-1, (1980, 1, 1, 0, 0, 0), True, "before-unix"),
    (315_532_800, (1980, 1, 1, 0, 0, 0), True, "first-of-dos"),
    (2_147_483_647, (2038, 1, 19, 3, 14, 6), True, "last-of-31-bits"),
    (2_147_483_648, (2038, 1, 19, 3, 14, 8), False, "first-beyond-31-bits"),
    (5_000_000_000, (2107, 12, 31, 23, 59, 58), False, "beyond-dos"),
]


@pytest.mark.parametrize(
    ("seconds", "shown", "has_utc"), [case[:3] for case in TIMES], ids=[case[3] for case in TIMES]
)
def test_times_are_clamped(seconds: int, shown: tuple[int, ...], has_utc: bool) -> None:
    raw = archive([folder(), file(b"a", modified_ns=seconds * 1_000_000_000)])
    with zipfile.ZipFile(io.BytesIO(raw)) as opened:
        entry = opened.infolist()[1]
    assert entry.date_time == shown
    utc = struct.pack("<HHBi", 0x5455, 5, 1, seconds) if has_utc else b""
    assert entry.extra.startswith(utc)
    assert (b"UT" in entry.extra) is has_utc
