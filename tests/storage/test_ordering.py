"""Names in order, and packed."""

import os

from hypothesis import given
from hypothesis import strategies as st

from storage.ordering import Direction, by_name, by_value, packed, packed_texts, unpacked

SEGMENTS = st.binary(min_size=1, max_size=12).map(lambda raw: raw.replace(b"\0", b"_"))


def test_names_are_in_order_without_regard_to_case() -> None:
    names = ["b", "Ä", "a", "B", "A", "ß", "SS", "ä", "_"]
    # ß and SS are the same without regard to case; by code point S comes before ß.
    assert list(by_name(list(names))) == ["_", "A", "a", "B", "b", "SS", "ß", "Ä", "ä"]
    backwards = by_name(list(names), Direction.DESCENDING)
    assert list(backwards) == ["ä", "Ä", "ß", "SS", "b", "B", "a", "A", "_"]


def test_more_names_than_one_run_are_one_order() -> None:
    names = [f"{'xX'[number % 2]}{number * 7919 % 25_001:05}" for number in range(25_001)]
    in_order = sorted(names, key=lambda name: (name.casefold(), name))
    assert list(by_name(list(names))) == in_order
    assert list(by_name(list(names), Direction.DESCENDING)) == in_order[::-1]


def test_equal_values_stay_as_they_are_in_both_directions() -> None:
    found = [(2, b"a"), (1, b"b"), (2, b"c"), (1, b"d"), (-1, b"e")]
    assert list(by_value(found, Direction.ASCENDING)) == [b"e", b"b", b"d", b"a", b"c"]
    assert list(by_value(found, Direction.DESCENDING)) == [b"a", b"c", b"b", b"d", b"e"]


def test_more_values_than_one_run_are_one_order() -> None:
    found = [(number % 3, b"%05d" % number) for number in range(25_000)]
    by_hand = [name for value in (2, 1, 0) for v, name in found if v == value]
    assert list(by_value(found, Direction.DESCENDING)) == by_hand


@given(st.lists(SEGMENTS, max_size=40))
def test_packed_names_come_out_as_they_were(segments: list[bytes]) -> None:
    assert list(unpacked(packed(segments))) == segments
    assert list(unpacked(packed_texts(map(os.fsdecode, segments)))) == segments


def test_a_batch_has_500_names_at_most() -> None:
    batches = packed(b"%d" % number for number in range(1_001))
    assert [batch.count(b"\0") + 1 for batch in batches] == [500, 500, 1]
    assert packed([]) == []
