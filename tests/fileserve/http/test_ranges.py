"""RFC 9110 section 14 as a table, and what holds for any text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.http.ranges import (
    MAX_ELEMENTS,
    MAX_SPANS,
    IntRange,
    RangeSpec,
    Span,
    SuffixRange,
    content_range,
    parse_range,
    resolve,
    selected_spans,
    unsatisfied_range,
)

NINES, ZEROS = "9" * 5000, "0" * 5000
LARGEST = 2**63 - 1  # what off_t can say

SELECTED = [
    # field value               length   spans                         id
    # 14.1.2: the specs themselves
    ("bytes=0-0",               200,     [Span(0, 1)],                 "one-byte"),
    ("bytes=0-199",             200,     [Span(0, 200)],               "exactly-all"),
    ("bytes=0-200",             200,     [Span(0, 200)],               "one-past-the-end"),
    ("bytes=199-199",           200,     [Span(199, 200)],             "last-byte"),
    ("bytes=199-",              200,     [Span(199, 200)],             "last-byte-open"),
    ("bytes=0-",                200,     [Span(0, 200)],               "open-from-the-start"),
    ("bytes=-1",                200,     [Span(199, 200)],             "suffix-of-one"),
    ("bytes=-200",              200,     [Span(0, 200)],               "suffix-of-all"),
    ("bytes=-1000",             200,     [Span(0, 200)],               "suffix-longer-than-file"),
    ("bytes=0-0",               1,       [Span(0, 1)],                 "file-of-one-byte"),
    (f"bytes={LARGEST - 1}-",   LARGEST, [Span(LARGEST - 1, LARGEST)], "largest-file"),
    # 14.1.2: unsatisfiable, a 416
    ("bytes=200-",              200,     [],                           "starts-at-the-end"),
    ("bytes=200-200",           200,     [],                           "one-byte-past-the-end"),
    ("bytes=-0",                200,     [],                           "last-zero-bytes"),
    ("bytes=300-,400-,-0",      200,     [],                           "none-of-three"),
    # 14.1.2: one satisfiable is enough
    ("bytes=0-4, 300-400",      200,     [Span(0, 5)],                 "satisfiable-then-not"),
    ("bytes=300-400, 0-4",      200,     [Span(0, 5)],                 "unsatisfiable-then-not"),
    ("bytes=-0,0-0",            200,     [Span(0, 1)],                 "suffix-zero-among-others"),
    # 14.1.1: any number of ASCII digits
    (f"bytes=0-{NINES}",        200,     [Span(0, 200)],               "last-beyond-any-int"),
    (f"bytes={NINES}-",         200,     [],                           "first-beyond-any-int"),
    (f"bytes={NINES}-{NINES}",  200,     [],                           "both-beyond-any-int"),
    (f"bytes=-{NINES}",         200,     [Span(0, 200)],               "suffix-beyond-any-int"),
    (f"bytes={ZEROS}7-9",       200,     [Span(7, 10)],                "five-thousand-zeros"),
    (f"bytes={ZEROS}-0",        200,     [Span(0, 1)],                 "zero-in-many-digits"),
    (f"bytes={NINES}9-{NINES}", 200,     None,                         "inverted-beyond-any-int"),
    ("bytes=\u0663-\u0665",     200,     None,                         "arabic-digits"),
    ("bytes=\u00b2-\u00b3",     200,     None,                         "superscript-digits"),
    # 14.1, 14.2: unit
    ("BYTES=0-4",               200,     [Span(0, 5)],                 "unit-in-capitals"),
    ("items=0-4",               200,     None,                         "unknown-unit"),
    ("byte=0-4",                200,     None,                         "almost-the-unit"),
    ("bytes 0-4",               200,     None,                         "no-equals-sign"),
    ("bytes =0-4",              200,     None,                         "space-before-equals"),
    ("=0-4",                    200,     None,                         "no-unit"),
    ("",                        200,     None,                         "empty-field"),
    # 14.2: malformed or inverted sets are ignored as a whole
    ("bytes=",                  200,     None,                         "empty-set"),
    ("bytes=,",                 200,     None,                         "only-empty-elements"),
    ("bytes=-",                 200,     None,                         "only-a-dash"),
    ("bytes=5-3",               200,     None,                         "inverted"),
    ("bytes=0-0,5-3",           200,     None,                         "inverted-among-others"),
    ("bytes=900-800",           200,     None,                         "inverted-past-the-end"),
    ("bytes=--5",               200,     None,                         "negative-suffix"),
    ("bytes=-5-",               200,     None,                         "negative-first"),
    ("bytes=1-2-3",             200,     None,                         "two-dashes"),
    ("bytes=+1-2",              200,     None,                         "sign"),
    ("bytes=1_0-20",            200,     None,                         "underscore"),
    ("bytes=0x1-2",             200,     None,                         "hexadecimal"),
    ("bytes=a-b",               200,     None,                         "letters"),
    ("bytes=5",                 200,     None,                         "no-dash"),
    ("bytes=0-4;5-9",           200,     None,                         "wrong-separator"),
    ("bytes=0 -4",              200,     None,                         "space-before-dash"),
    ("bytes=0- 4",              200,     None,                         "space-after-dash"),
    ("bytes=0-4 5-9",           200,     None,                         "space-for-a-comma"),
    ("bytes=0-4,\u00a05-9",     200,     None,                         "no-break-space"),
    ("bytes=0-4\n,5-9",         200,     None,                         "newline"),
    # 5.6.1.2: empty elements and optional whitespace
    ("bytes=,0-4",              200,     [Span(0, 5)],                 "empty-first-element"),
    ("bytes=0-4,,, 10-14,",     200,     [Span(0, 5), Span(10, 15)],   "empty-elements"),
    ("bytes=0-4 \t,\t 10-14",   200,     [Span(0, 5), Span(10, 15)],   "spaces-and-tabs"),
    ("bytes= 0-4",              200,     [Span(0, 5)],                 "space-after-equals"),
    # 15.3.7.2: order as asked, overlapping and touching merged, gaps never filled
    ("bytes=10-14,0-4",         200,     [Span(10, 15), Span(0, 5)],   "descending-order-kept"),
    ("bytes=0-4,5-9",           200,     [Span(0, 10)],                "touching"),
    ("bytes=5-9,0-4",           200,     [Span(0, 10)],                "touching-descending"),
    ("bytes=0-4,6-9",           200,     [Span(0, 5), Span(6, 10)],    "gap-of-one-byte"),
    ("bytes=0-9,5-14",          200,     [Span(0, 15)],                "overlapping"),
    ("bytes=0-99,10-19",        200,     [Span(0, 100)],               "one-inside-the-other"),
    ("bytes=0-0,0-0,0-0",       200,     [Span(0, 1)],                 "three-times-the-same"),
    ("bytes=50-59,0-4,55-64",   200,     [Span(50, 65), Span(0, 5)],   "merged-stands-where-first"),
    ("bytes=50-59,0-4,40-49",   200,     [Span(40, 60), Span(0, 5)],   "grown-downwards"),
    ("bytes=0-4,10-14,3-11",    200,     [Span(0, 15)],                "bridged"),
    ("bytes=0-,-1",             200,     [Span(0, 200)],               "all-and-suffix"),
    # an empty representation has nothing to select
    ("bytes=0-0",               0,       None,                         "empty-file"),
    ("bytes=-5",                0,       None,                         "suffix-of-empty-file"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field_value", "complete_length", "spans"),
    [row[:3] for row in SELECTED],
    ids=[row[3] for row in SELECTED],
)
def test_a_range_field_selects(
    field_value: str, complete_length: int, spans: list[Span] | None
) -> None:
    assert selected_spans(field_value, complete_length) == spans


def _every_other_byte(count: int) -> str:
    return "bytes=" + ",".join(f"{2 * place}-{2 * place}" for place in range(count))


def test_as_many_spans_as_allowed_are_served() -> None:
    spans = selected_spans(_every_other_byte(MAX_SPANS), 10_000)
    assert spans == [Span(2 * place, 2 * place + 1) for place in range(MAX_SPANS)]


def test_one_span_too_many_is_ignored() -> None:
    assert selected_spans(_every_other_byte(MAX_SPANS + 1), 10_000) is None


def test_the_limit_counts_after_merging() -> None:
    field_value = "bytes=" + "0-0," * (MAX_ELEMENTS - 1) + "0-0"
    assert selected_spans(field_value, 200) == [Span(0, 1)]


def test_one_element_too_many_is_ignored() -> None:
    assert selected_spans("bytes=" + "0-0," * MAX_ELEMENTS + "0-0", 200) is None
    assert selected_spans("bytes=0-0" + "," * MAX_ELEMENTS, 200) is None


@pytest.mark.parametrize(
    ("field_value", "specs"),
    [
        ("bytes=0-499", (IntRange(0, 499),)),  # the examples of 14.1.2
        ("bytes=9500-", (IntRange(9500, None),)),
        ("bytes=-500", (SuffixRange(500),)),
        (
            "bytes= 0-999, 4500-5499, -1000",
            (IntRange(0, 999), IntRange(4500, 5499), SuffixRange(1000)),
        ),
    ],
)
def test_the_examples_of_the_rfc_parse(field_value: str, specs: tuple[RangeSpec, ...]) -> None:
    assert parse_range(field_value) == specs


def test_nothing_of_an_empty_representation_is_satisfiable() -> None:
    assert resolve(IntRange(0, None), 0) is None
    assert resolve(SuffixRange(5), 0) is None


def test_content_range_ends_are_inclusive() -> None:
    assert content_range(Span(0, 1), 200) == "bytes 0-0/200"
    assert content_range(Span(42, 1234), 1234) == "bytes 42-1233/1234"  # 14.4
    assert unsatisfied_range(1234) == "bytes */1234"  # 14.4


RANGE_SETS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789-, \t", max_size=60),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=12).map(
        lambda pairs: ",".join(f"{min(pair)}-{max(pair)}" for pair in pairs)
    ),
)


@given(RANGE_SETS, st.integers(0, 250) | st.integers(0, 2**63))
def test_spans_lie_inside_the_file_and_apart(range_set: str, complete_length: int) -> None:
    spans = selected_spans("bytes=" + range_set, complete_length) or []
    assert all(0 <= span.start < span.stop <= complete_length for span in spans)
    in_file_order = sorted(spans, key=lambda span: span.start)
    assert all(a.stop < b.start for a, b in pairwise(in_file_order))
    assert sum(span.length for span in spans) <= complete_length


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 120)), min_size=1, max_size=8))
def test_exactly_the_bytes_asked_for_are_selected(pairs: list[tuple[int, int]]) -> None:
    asked = [(min(pair), max(pair)) for pair in pairs]
    spans = selected_spans("bytes=" + ",".join(f"{a}-{b}" for a, b in asked), 100)
    assert spans is not None
    wanted = {byte for first, last in asked for byte in range(first, last + 1) if byte < 100}
    assert {byte for span in spans for byte in range(span.start, span.stop)} == wanted


@pytest.mark.parametrize("garbage", ["9", ",", "-", " ", "0-0, ", "0-,", "-1,", "\t,", "1-0,"])
def test_64_kib_of_garbage_does_not_hang_or_raise(garbage: str) -> None:
    field_value = "bytes=" + garbage * (65_536 // len(garbage))
    for span in selected_spans(field_value, 200) or []:
        assert 0 <= span.start < span.stop <= 200
