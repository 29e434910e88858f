"""Digests agree with published vectors, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.digests import Digests, digest

VECTORS = [
    # bytes             SHA-256 (FIPS 180-4 examples)             CRC-32      id
    (
        b"",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "00000000",
        "empty",
    ),
    (
        b"abc",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "352441c2",
        "fips-180-4-b1",
    ),
    (
        b"123456789",
        "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        "cbf43926",  # the check value of CRC-32 in every catalogue
        "crc-check-value",
    ),
]


@pytest.mark.parametrize(
    ("content", "sha256_hex", "crc32_hex"),
    [row[:3] for row in VECTORS],
    ids=[r[3] for r in VECTORS],
)
def test_published_vectors(content: bytes, sha256_hex: str, crc32_hex: str) -> None:
    digests = digest([content])
    assert (digests.sha256_hex, digests.crc32_hex) == (sha256_hex, crc32_hex)
    assert digests.length == len(content)


def test_base64_is_that_of_rfc_9530_appendix_b() -> None:
    digests = digest([b'{"hello": "world"}\n'])
    assert digests.sha256_base64 == "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="


def test_crc32_text_keeps_its_leading_zeros() -> None:
    assert Digests(0, b"", 0x1F).crc32_hex == "0000001f"


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_the_cuts_between_buffers_do_not_matter(pieces: list[bytes]) -> None:
    views = [memoryview(bytearray(piece)) for piece in pieces]
    assert digest(views) == digest([b"".join(pieces)])
