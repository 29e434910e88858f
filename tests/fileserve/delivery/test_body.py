"""A body is a sequence of segments; a range is a cut through it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.delivery.body import EMPTY, Segment, Slice, body_of
from fileserve.http.ranges import Span
from tests.fileserve.delivery.letters import FILE, Letters, content_of


def test_the_length_is_the_sum_of_the_segments() -> None:
    assert body_of([b"--", Slice(FILE, 2, 5), b"."]).length == 2 + 3 + 1


def test_an_empty_body_has_no_segments() -> None:
    assert body_of([]) == EMPTY


CUTS = [
    # span          content of "12" + "cde" + "345"   id
    (Span(0, 8), b"12cde345", "all"),
    (Span(0, 1), b"1", "first-byte"),
    (Span(7, 8), b"5", "last-byte"),
    (Span(2, 5), b"cde", "one-segment-exactly"),
    (Span(3, 4), b"d", "inside-a-slice"),
    (Span(1, 3), b"2c", "across-a-border"),
    (Span(4, 6), b"e3", "across-the-other-border"),
    (Span(1, 7), b"2cde34", "across-both"),
]


@pytest.mark.parametrize(("span", "content"), [c[:2] for c in CUTS], ids=[c[2] for c in CUTS])
def test_a_cut_selects_just_the_span(span: Span, content: bytes) -> None:
    cut = body_of([b"12", Slice(FILE, 2, 5), b"345"]).cut(span)
    assert content_of(cut.segments) == content
    assert cut.length == len(content)


@given(st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=6), st.data())
def test_any_cut_equals_the_slice_of_the_joined_content(
    pieces: list[bytes], data: st.DataObject
) -> None:
    segments: list[Segment] = [
        Slice(Letters(b"?" + piece), 1, 1 + len(piece)) if index % 2 else piece
        for index, piece in enumerate(pieces)
    ]
    joined = b"".join(pieces)
    start = data.draw(st.integers(0, len(joined) - 1))
    stop = data.draw(st.integers(start + 1, len(joined)))
    cut = body_of(segments).cut(Span(start, stop))
    assert content_of(cut.segments) == joined[start:stop]
    assert cut.length == stop - start
