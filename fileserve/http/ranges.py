"""Which bytes of a representation a Range field selects (RFC 9110 section 14).

    ranges-specifier = range-unit "=" range-set
    range-set        = 1#range-spec
    int-range        = first-pos "-" [ last-pos ]        last-pos is inclusive
    suffix-range     = "-" suffix-length

Inclusive ends live only in IntRange and in the text of content_range; a Span is half-open.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

# After merging.  Every part of a multipart answer costs a head of about 150 bytes, so a list
# that still has more parts than this is no seek of a player but an amplification attempt.
MAX_SPANS = 200

# Before merging.  64 KiB of "0-0," would occupy the event loop for 38 ms (2 cores, 2026-11);
# this many elements take 2 ms, and section 14.2 lets us ignore what no player asks.
MAX_ELEMENTS = 1000

# A position with more digits is beyond any file (2**63 - 1 has 19 digits).  int() must never
# see a longer one: it takes quadratic time and refuses more than 4,300 digits with ValueError.
MAX_POSITION_DIGITS = 19
BEYOND_ANY_FILE = 10**MAX_POSITION_DIGITS

OPTIONAL_WHITESPACE = " \t"

_ONE_INT_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})?").fullmatch


class Span(NamedTuple):
    """The bytes [start, stop) of a representation; never empty."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class IntRange:
    """`first-last`, last inclusive; last_pos is None for `first-`, "to the end"."""

    first_pos: int
    last_pos: int | None


@dataclass(frozen=True, slots=True)
class SuffixRange:
    """`-n`: the last n bytes."""

    suffix_length: int


RangeSpec: TypeAlias = IntRange | SuffixRange


def selected_spans(field_value: str, complete_length: int) -> list[Span] | None:
    """The spans that a Range field selects, in the order in which they were asked for.

    None means the field is to be ignored (200); [] that nothing is satisfiable (416).
    Overlapping and touching spans are one, so the spans together never exceed the
    representation.  An empty representation has nothing to select: None.
    """
    if complete_length == 0:
        return None
    simple = _ONE_INT_RANGE(field_value)
    if simple is not None:
        # What nearly all clients send, read in one go.
        return _one_span(int(simple[1]), simple[2], complete_length)
    specs = parse_range(field_value)
    if specs is None:
        return None
    resolved = (resolve(spec, complete_length) for spec in specs)
    spans = [span for span in resolved if span is not None]
    merged = spans if len(spans) < 2 else _merged(spans)
    return merged if len(merged) <= MAX_SPANS else None


def _one_span(first_pos: int, last_digits: str | None, complete_length: int) -> list[Span] | None:
    stop = int(last_digits) + 1 if last_digits else complete_length
    if last_digits and stop <= first_pos:
        return None  # inverted
    stop = min(stop, complete_length)
    return [Span(first_pos, stop)] if first_pos < stop else []


def parse_range(field_value: str) -> tuple[RangeSpec, ...] | None:
    """The range-specs of a Range field, or None if the field is to be ignored (section 14.2).

    To be ignored are units other than bytes, malformed sets, sets with an inverted spec, and
    sets of more than MAX_ELEMENTS.  Empty list elements and whitespace around elements are
    allowed (section 5.6.1.2).
    """
    unit, equals, range_set = field_value.strip(OPTIONAL_WHITESPACE).partition("=")
    if not equals or unit.lower() != "bytes":
        return None
    if range_set.count(",") >= MAX_ELEMENTS:
        return None
    specs: list[RangeSpec] = []
    for element in range_set.split(","):
        text = element.strip(OPTIONAL_WHITESPACE)
        if not text:
            continue
        spec = _parse_spec(text)
        if spec is None:
            return None
        specs.append(spec)
    return tuple(specs) or None


def resolve(spec: RangeSpec, complete_length: int) -> Span | None:
    """The bytes of a representation that spec selects (section 14.1.2).

    complete_length is in bytes.  None means unsatisfiable: the range begins
    at or after the end, or asks for the last 0 bytes.
    """
    match spec:
        case SuffixRange(suffix_length):
            start, stop = max(complete_length - suffix_length, 0), complete_length
        case IntRange(first_pos, last_pos):
            end = complete_length if last_pos is None else last_pos + 1
            start, stop = first_pos, min(end, complete_length)
    return Span(start, stop) if start < stop else None


def content_range(span: Span, complete_length: int) -> str:
    """The Content-Range of one part (section 14.4): `bytes 0-0/200`."""
    return f"bytes {span.start}-{span.stop - 1}/{complete_length}"


def unsatisfied_range(complete_length: int) -> str:
    """The Content-Range of a 416 (section 14.4): `bytes */200`."""
    return f"bytes */{complete_length}"


def _parse_spec(text: str) -> RangeSpec | None:
    """One range-spec without surrounding whitespace; None if malformed or inverted."""
    first, dash, last = text.partition("-")
    if not dash or not _is_digits(first or last):
        return None
    if not first:
        return SuffixRange(_position(last))
    if not last:
        return IntRange(_position(first), None)
    if not _is_digits(last) or _is_greater(first, last):
        return None
    return IntRange(_position(first), _position(last))


def _is_digits(text: str) -> bool:
    # isdigit alone is also true of Arabic and superscript digits; the grammar's DIGIT is ASCII.
    return text.isascii() and text.isdigit()


def _position(digits: str) -> int:
    if len(digits) <= MAX_POSITION_DIGITS:
        return int(digits)
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= MAX_POSITION_DIGITS else BEYOND_ANY_FILE


def _is_greater(first: str, last: str) -> bool:
    """Exact for any number of digits: of two clamped positions one could not tell."""
    first, last = first.lstrip("0"), last.lstrip("0")
    return (len(first), first) > (len(last), last)


def _merged(spans: list[Span]) -> list[Span]:
    """Overlapping and touching spans as one, standing where the first of them stood.

    O(n log n).  Gaps are never filled: nobody gets bytes that were not asked for.
    """
    by_start = sorted(enumerate(spans), key=lambda item: item[1].start)
    groups: list[tuple[int, Span]] = []
    for place, span in by_start:
        if groups and span.start <= groups[-1][1].stop:
            first_place, grown = groups[-1]
            groups[-1] = (
                min(first_place, place),
                Span(grown.start, max(grown.stop, span.stop)),
            )
        else:
            groups.append((place, span))
    groups.sort(key=lambda group: group[0])
    return [span for _, span in groups]
