"""CRC-32 as arithmetic agrees with CRC-32 of bytes."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.crc32 import crc32, crc32_of_zeros, joined_crc32

# The check value that every catalogue of CRCs has for the CRC-32 of ISO 3309.
CHECK = (b"123456789", 0xCBF43926)


def test_it_is_the_crc_32_of_zip() -> None:
    assert crc32(CHECK[0]) == CHECK[1]


def test_nothing_has_the_sum_zero() -> None:
    assert crc32(b"") == 0
    assert crc32_of_zeros(0) == 0


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 255, 4096, 65_537, 1 << 20])
def test_zeros_sum_as_their_bytes_do(length: int) -> None:
    assert crc32_of_zeros(length) == zlib.crc32(bytes(length))


# 4 GiB of zeros: worked out by joining, which the test below proves for bytes.
LARGE = [(1 << 32), (1 << 40) + 1, (1 << 63) - 1]


@pytest.mark.parametrize("length", LARGE)
def test_long_holes_are_two_halves_joined(length: int) -> None:
    half = length // 2
    rest = length - half
    assert crc32_of_zeros(length) == joined_crc32(crc32_of_zeros(half), crc32_of_zeros(rest), rest)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_joined_sums_are_the_sum_of_the_joined(first: bytes, second: bytes) -> None:
    joined = joined_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert joined == zlib.crc32(first + second)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_sum_can_be_continued(first: bytes, second: bytes) -> None:
    assert crc32(second, crc32(first)) == zlib.crc32(first + second)
