"""Sums of files: remembered by their state, joined from parts, and read around holes."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.blob import Fingerprint
from storage.checksums import Checksums, FileState, PartialSum, read_crc32

MIB = 1 << 20
CONTENT = bytes(range(100))


def state(size: int = 100, inode: int = 7, changed_ns: int = 3) -> FileState:
    return FileState(1, Fingerprint(size, 2, changed_ns, inode))


def part(start: int, stop: int) -> PartialSum:
    return PartialSum(start, stop, zlib.crc32(CONTENT[start:stop]))


def test_nothing_is_known_at_first_but_of_empty_files() -> None:
    assert Checksums().known(state()) is None
    assert Checksums().known(state(size=0)) == 0


ORDERS = [
    # parts in the order in which they become known   id
    ([(0, 100)], "at-once"),
    ([(0, 40), (40, 100)], "in-order"),
    ([(40, 100), (0, 40)], "backwards"),
    ([(0, 20), (80, 100), (20, 40), (60, 80), (40, 60)], "the-gap-at-last"),
    ([(0, 40), (20, 60), (40, 100)], "one-overlaps"),
    ([(0, 100), (0, 100)], "twice"),
]


@pytest.mark.parametrize("parts", [o[0] for o in ORDERS], ids=[o[1] for o in ORDERS])
def test_parts_that_cover_the_file_are_its_sum(parts: list[tuple[int, int]]) -> None:
    sums = Checksums()
    for start, stop in parts:
        sums.add(state(), part(start, stop))
    assert sums.known(state()) == zlib.crc32(CONTENT)
    assert sums.missing(state(), 0, 100) == []


MISSING = [
    # known              asked      missing                       id
    ([], (0, 100), [(0, 100)], "all"),
    ([(20, 40)], (0, 100), [(0, 20), (40, 100)], "on-both-sides"),
    ([(20, 40)], (20, 40), [], "what-is-known"),
    ([(20, 40)], (30, 35), [], "inside-what-is-known"),
    ([(20, 40)], (0, 20), [(0, 20)], "just-before"),
    ([(20, 40), (60, 80)], (30, 70), [(40, 60)], "between"),
    ([(20, 40)], (50, 60), [(50, 60)], "far-behind"),
]


@pytest.mark.parametrize(
    ("known", "asked", "missing"), [m[:3] for m in MISSING], ids=[m[3] for m in MISSING]
)
def test_the_gaps_are_what_is_missing(
    known: list[tuple[int, int]], asked: tuple[int, int], missing: list[tuple[int, int]]
) -> None:
    sums = Checksums()
    for start, stop in known:
        sums.add(state(), part(start, stop))
    assert sums.missing(state(), *asked) == missing


@pytest.mark.parametrize(
    "other", [state(changed_ns=4), state(inode=8), state(size=101)], ids=["change", "inode", "size"]
)
def test_another_state_is_another_file(other: FileState) -> None:
    sums = Checksums()
    sums.add(state(), part(0, 100))
    assert sums.known(other) is None


def test_the_oldest_is_forgotten_when_there_are_too_many() -> None:
    sums = Checksums(max_whole=2, max_partly=2)
    for inode in range(3):
        sums.add(state(inode=inode), part(0, 100))
        sums.add(state(inode=10 + inode), part(0, 50))
    assert [sums.known(state(inode=inode)) is not None for inode in range(3)] == [False, True, True]
    gaps = [sums.missing(state(inode=10 + inode), 0, 100) for inode in range(3)]
    assert gaps == [[(0, 100)], [(50, 100)], [(50, 100)]]


FAR_OFF_NS = 2**64  # the year 2554: touch(1) sets it, 64 bits do not hold it


def test_a_state_of_any_time_has_a_key_of_its_own() -> None:
    states = [state(changed_ns=FAR_OFF_NS + more) for more in range(2)]
    sums = Checksums()
    sums.add(states[0], part(0, 100))
    assert [sums.known(one) is not None for one in states] == [True, False]


def test_crumbs_never_keep_out_what_is_worth_more() -> None:
    sums, size = Checksums(), 100_000
    for start in range(0, size, 100):  # more of them than are remembered
        sums.add(state(size), PartialSum(start, start + 1, zlib.crc32(b"\0")))
    for start in range(50, size - 1_000, 1_000):
        sums.add(state(size), PartialSum(start, start + 20, zlib.crc32(bytes(20))))
        assert sums.missing(state(size), start, start + 20) == []


def test_what_begins_at_a_place_is_found() -> None:
    sums = Checksums()
    sums.add(state(), part(0, 20))
    sums.add(state(), part(40, 60))
    starts = [sums.beginning_at(state(), place) for place in (0, 20, 40, 50)]
    assert starts == [part(0, 20), None, part(40, 60), None]
    for start, stop in ((20, 40), (60, 100)):
        sums.add(state(), part(start, stop))
    assert sums.beginning_at(state(), 0) == part(0, 100)


@given(st.permutations(range(0, 100, 5)))
def test_parts_in_any_order_are_the_sum(starts: list[int]) -> None:
    sums = Checksums()
    for start in starts:
        sums.add(state(), part(start, start + 5))
    assert sums.known(state()) == zlib.crc32(CONTENT)


@pytest.fixture
def holey(tmp_path: Path) -> Iterator[int]:
    """3 MiB: a hole, data across a page's border, a hole, data, a hole at the end."""
    path = tmp_path / "holey"
    with path.open("wb") as file:
        file.truncate(3 * MIB)
        file.seek(MIB - 100)
        file.write(os.urandom(5_000))
        file.seek(2 * MIB)
        file.write(os.urandom(10))
    fileno = os.open(path, os.O_RDONLY)
    yield fileno
    os.close(fileno)


SPANS = [
    (0, 3 * MIB, "all"),
    (0, 1, "inside-a-hole"),
    (MIB - 50, MIB + 50, "inside-data"),
    (MIB, 2 * MIB + 5, "from-data-to-data"),
    (2 * MIB + 8192, 3 * MIB, "the-hole-at-the-end"),
    (7, 7, "nothing"),
]


@pytest.mark.parametrize(("start", "stop"), [s[:2] for s in SPANS], ids=[s[2] for s in SPANS])
def test_a_span_of_a_file_with_holes_has_the_sum_of_its_bytes(
    holey: int, start: int, stop: int
) -> None:
    assert read_crc32(holey, start, stop) == zlib.crc32(os.pread(holey, stop - start, start))


def test_a_file_that_ends_early_has_no_sum(holey: int) -> None:
    assert read_crc32(holey, 0, 3 * MIB + 1) is None


def test_terabytes_of_nothing_are_summed_at_once(tmp_path: Path) -> None:
    with (tmp_path / "void").open("wb") as file:
        file.truncate(8 << 40)
    fileno = os.open(tmp_path / "void", os.O_RDONLY)
    try:
        half = read_crc32(fileno, 0, 4 << 40)
        sums = Checksums()
        whole = FileState(1, Fingerprint(8 << 40, 0, 0, 0))
        assert half is not None
        sums.add(whole, PartialSum(0, 4 << 40, half))
        sums.add(whole, PartialSum(4 << 40, 8 << 40, half))
        assert sums.known(whole) == read_crc32(fileno, 0, 8 << 40)
    finally:
        os.close(fileno)
