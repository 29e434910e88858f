"""The sums of a file: of the whole, and of its pieces."""

import hashlib
import os
import zlib
from pathlib import Path

import pytest

from storage.file_sums import (
    FileSums,
    PieceSums,
    piece_length_for,
    read_sums,
    read_whole_sums,
)

MIB = 1 << 20
TIB = 1 << 40

# fmt: off
LENGTHS = [
    # size of the file      length of a piece   id
    (0,                     MIB,                "empty"),
    (1,                     MIB,                "one-byte"),
    (4096 * MIB,            MIB,                "4096-pieces-are-enough"),
    (4096 * MIB + 1,        2 * MIB,            "one-past"),
    (8192 * MIB,            2 * MIB,            "again-4096"),
    (TIB,                   256 * MIB,          "a-terabyte"),
]
SIZES = [
    # size              pieces  id
    (0,                 None,   "empty"),
    (1,                 None,   "one-byte"),
    (MIB,               None,   "one-piece"),
    (MIB + 1,           2,      "one-byte-more"),
    (3 * MIB,           3,      "whole-pieces"),
    (3 * MIB + 77_777,  4,      "a-short-last-one"),
]
# fmt: on


@pytest.mark.parametrize(
    ("size", "length"), [row[:2] for row in LENGTHS], ids=[row[2] for row in LENGTHS]
)
def test_length_of_pieces(size: int, length: int) -> None:
    assert piece_length_for(size) == length


def sums_of(path: Path) -> FileSums | None:
    with open(path, "rb") as file:
        return read_sums(file.fileno(), lambda count: None)


@pytest.mark.parametrize(
    ("size", "pieces"), [row[:2] for row in SIZES], ids=[row[2] for row in SIZES]
)
def test_sums_of_whole_and_pieces(tmp_path: Path, size: int, pieces: int | None) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    sums = sums_of(path)
    assert sums is not None
    assert sums.digests.length == sums.fingerprint.size == size
    assert sums.digests.sha256 == hashlib.sha256(content).digest()
    assert sums.digests.crc32 == zlib.crc32(content)
    if pieces is None:
        assert sums.pieces is None
    else:
        cuts = [content[at : at + MIB] for at in range(0, size, MIB)]
        assert len(cuts) == pieces
        expected = b"".join(hashlib.sha256(cut).digest() for cut in cuts)
        assert sums.pieces == PieceSums(MIB, expected)


def test_every_byte_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * MIB + 5))
    for read in (read_sums, read_whole_sums):
        told: list[int] = []
        with open(path, "rb") as file:
            read(file.fileno(), told.append)
        assert sum(told) == 2 * MIB + 5


@pytest.mark.parametrize("size", [1000, 2 * MIB], ids=["one-thread", "two-threads"])
@pytest.mark.parametrize("added", [b"x", b""], ids=["grows", "is-cut"])
def test_a_file_that_changes_has_no_sums(tmp_path: Path, size: int, added: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(size))

    def write(_count: int) -> None:
        with open(path, "ab") as file:
            file.write(added)
        if not added:
            os.truncate(path, 10)

    with open(path, "rb") as file:
        assert read_sums(file.fileno(), write) is None


def test_who_is_told_may_end_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5 * MIB))

    def stop(_count: int) -> None:
        raise KeyboardInterrupt

    with open(path, "rb") as file, pytest.raises(KeyboardInterrupt):
        read_sums(file.fileno(), stop)


def test_pieces_that_differ() -> None:
    one, two, three = (bytes([n]) * 32 for n in (1, 2, 3))
    before = PieceSums(MIB, one + two + three)
    assert before.differing(before) == []
    assert before.differing(PieceSums(MIB, one + one + three)) == [1]
    assert before.differing(PieceSums(MIB, one)) == [1, 2]
    assert PieceSums(MIB, one).differing(before) == [1, 2]
