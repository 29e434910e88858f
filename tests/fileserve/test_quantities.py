"""Sizes and spans of time as people write them."""

import pytest

from fileserve.quantities import parse_bytes, parse_duration

# fmt: off
BYTES = [
    ("0",       0),
    ("500",     500),
    ("500b",    500),
    ("10k",     10_000),
    ("10M",     10_000_000),
    ("10MB",    10_000_000),
    ("1.5 G",   1_500_000_000),
    ("4MiB",    4_194_304),
    ("4mi",     4_194_304),
    ("1GiB",    1_073_741_824),
    ("2T",      2_000_000_000_000),
]
SECONDS = [
    ("0",       0),
    ("90",      90),
    ("30s",     30),
    ("15m",     900),
    ("12h",     43_200),
    ("7d",      604_800),
    ("2w",      1_209_600),
    ("1h30m",   5_400),
    (" 7D ",    604_800),
]
NO_SIZES = ["", "-1", "x", "10 X", "1e3", "M", "1,5G", "\u0663", "9" * 40, "10M/s"]
NO_SPANS = ["", "-1", "d", "1.5h", "7 d", "1y", "\u0667d", "9" * 40]
# fmt: on


@pytest.mark.parametrize(("text", "count"), BYTES)
def test_a_size_is_a_number_of_bytes(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(("text", "seconds"), SECONDS)
def test_a_span_is_a_number_of_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should be a number of bytes"):
        parse_bytes(text)


@pytest.mark.parametrize("text", NO_SPANS)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should be a span of time"):
        parse_duration(text)
