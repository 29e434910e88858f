"""Text as Server-Sent Events: what the HTML standard's parser makes of the stream is the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.site.server_sent_events import (
    FORGET_POSITION,
    HEARTBEAT,
    MAX_LINE_BYTES,
    LineEvents,
    Position,
    end_event,
    parse_position,
)
from tests.event_source import Event, EventSource


def parsed(*pieces: bytes) -> list[Event]:
    source = EventSource()
    for piece in pieces:
        source.feed(piece)
    return source.events


def lines_at(offset: int = 0) -> LineEvents:
    return LineEvents(Position(offset, 0x2F))


# One row: the pieces in which text comes, and the event after each ('' for none).
FED = [
    ([b"one\n"], [b"id: 4-2f\ndata: one\n\n"], "one-line"),
    ([b"one\ntwo\n"], [b"id: 8-2f\ndata: one\ndata: two\n\n"], "lines-share-an-event"),
    ([b"on", b"e\nt"], [b"", b"id: 4-2f\ndata: one\n\n"], "a-part-is-held"),
    ([b"\n"], [b"id: 1-2f\ndata: \n\n"], "empty-line"),
    ([b"a\n\n\n"], [b"id: 4-2f\ndata: a\ndata: \ndata: \n\n"], "empty-lines"),
    ([b"a\r\nb\r\n"], [b"id: 6-2f\ndata: a\ndata: b\n\n"], "crlf"),
    ([b"a\rb\rc"], [b"id: 4-2f\ndata: a\ndata: b\n\n"], "cr"),
    ([b"a\r", b"\nb\n"], [b"", b"id: 5-2f\ndata: a\ndata: b\n\n"], "crlf-in-two"),
    ([b"a\r", b"b\n"], [b"", b"id: 4-2f\ndata: a\ndata: b\n\n"], "cr-then-text"),
    ([b" a\n"], [b"id: 3-2f\ndata:  a\n\n"], "leading-space-is-kept"),
    ([b"\xff\xfe!\n"], [b"id: 4-2f\ndata: \xef\xbf\xbd\xef\xbf\xbd!\n\n"], "not-utf-8"),
    ([b"\xc3", b"\xa9\n"], [b"", b"id: 3-2f\ndata: \xc3\xa9\n\n"], "character-in-two"),
    ([b"event: end\n"], [b"id: 11-2f\ndata: event: end\n\n"], "text-is-no-field"),
    ([b"", b""], [b"", b""], "nothing"),
]


@pytest.mark.parametrize(("pieces", "events"), [row[:2] for row in FED], ids=[r[2] for r in FED])
def test_whole_lines_become_events(pieces: list[bytes], events: list[bytes]) -> None:
    lines = lines_at()
    assert [lines.feed(piece) for piece in pieces] == events


RESTS = [
    (b"a\nb", b"id: 3-2f\ndata: b\n\n", "a-line-without-end"),
    (b"a\n", b"", "nothing-is-left"),
    (b"a\r", b"id: 2-2f\ndata: a\n\n", "a-cr-that-was-an-end"),
    (b"\xc3", b"id: 1-2f\ndata: \xef\xbf\xbd\n\n", "half-a-character"),
]


@pytest.mark.parametrize(("text", "event"), [row[:2] for row in RESTS], ids=[r[2] for r in RESTS])
def test_the_rest_is_the_line_that_never_ended(text: bytes, event: bytes) -> None:
    lines = lines_at()
    lines.feed(text)
    assert lines.rest() == event


SKIPPED = [
    ([b"part\nwhole\n"], b"id: 11-2f\ndata: whole\n\n", "up-to-the-line-end"),
    ([b"\nwhole\n"], b"id: 7-2f\ndata: whole\n\n", "the-byte-before-was-a-line-end"),
    ([b"pa", b"rt", b"\nb\n"], b"id: 7-2f\ndata: b\n\n", "in-pieces"),
    ([b"part\r", b"\nb\n"], b"id: 8-2f\ndata: b\n\n", "crlf-in-two"),
    ([b"no end"], b"", "no-line-begins"),
]


@pytest.mark.parametrize(
    ("pieces", "event"), [row[:2] for row in SKIPPED], ids=[row[2] for row in SKIPPED]
)
def test_a_line_that_was_entered_in_its_middle_is_skipped(
    pieces: list[bytes], event: bytes
) -> None:
    lines = lines_at()
    lines.skip_to_line_start()
    assert b"".join(lines.feed(piece) for piece in pieces) + lines.rest() == event


def test_a_line_without_end_comes_in_pieces_and_fills_no_memory() -> None:
    lines = lines_at()
    text = "é".encode() * MAX_LINE_BYTES  # two bytes each: all cuts could hit one
    events = [lines.feed(text[at : at + 1001]) for at in range(0, len(text), 1001)]
    found = parsed(*events, lines.rest())
    assert "".join(event.data for event in found) == "é" * MAX_LINE_BYTES
    assert max(len(event.data.encode()) for event in found) <= MAX_LINE_BYTES + 1001
    assert found[-1].last_event_id == f"{len(text)}-2f"


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 2**40))
def test_any_text_comes_out_as_its_lines(pieces: list[bytes], offset: int) -> None:
    lines = lines_at(offset)
    found = parsed(*(lines.feed(piece) for piece in pieces), lines.rest())
    text = b"".join(pieces)
    expected = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n")
    assert "\n".join(event.data for event in found) == expected.decode("utf-8", "replace")
    if text:
        assert found[-1].last_event_id == f"{offset + len(text)}-2f"


def test_a_stream_begins_with_how_and_where_to_go_on() -> None:
    assert lines_at(7).opening(2.0) == b"retry: 2000\nid: 7-2f\n\n"
    source = EventSource()
    source.feed(lines_at(7).opening(2.0))
    assert (source.events, source.retry, source.last_event_id) == ([], 2000, "7-2f")


def test_a_heartbeat_is_no_event() -> None:
    assert parsed(HEARTBEAT, HEARTBEAT) == []


def test_the_end_keeps_the_position_or_voids_it() -> None:
    line = lines_at().feed(b"a\n")
    assert parsed(line, end_event("idle"))[-1] == Event("end", "idle", "2-2f")
    assert parsed(line, end_event("replaced", FORGET_POSITION))[-1] == Event("end", "replaced", "")


POSITIONS = [
    ("0", Position(0, None), "offset-alone"),
    ("12-2f", Position(12, 0x2F), "offset-and-inode"),
    ("9999999999999999999", Position(9999999999999999999, None), "larger-than-any-file"),
    ("", None, "empty"),
    ("-2f", None, "no-offset"),
    ("12-", None, "no-inode"),
    ("12-2F", None, "not-as-we-write-it"),
    ("+1", None, "sign"),
    ("1 ", None, "space"),
    ("1\n", None, "line-end"),
    ("\u0663", None, "digits-are-ascii"),
    ("9" * 5000, None, "endless"),
]


@pytest.mark.parametrize(
    ("text", "position"), [row[:2] for row in POSITIONS], ids=[row[2] for row in POSITIONS]
)
def test_an_id_is_read_as_it_was_written(text: str, position: Position | None) -> None:
    assert parse_position(text) == position
    if position is not None:
        assert str(position) == text
