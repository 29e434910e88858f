"""What `?follow` answers, told from its messages: in which form, from where, and why it ends."""

from pathlib import Path

import pytest
from follow_reader import EVENTS, NEVER, follow

# The head


def test_bytes_have_the_type_of_the_file_and_neither_length_nor_validators(log: Path) -> None:
    fields = follow(log).fields
    assert fields == {
        "content-type": "text/plain; charset=utf-8",
        "content-disposition": 'inline; filename="build.log"',
        "vary": "Accept",
        "accept-ranges": "none",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
        "access-control-allow-origin": "*",
    }


def test_events_have_the_type_of_events(log: Path) -> None:
    reader = follow(log, accept=EVENTS)
    assert reader.fields["content-type"] == "text/event-stream; charset=utf-8"
    assert reader.fields["cache-control"] == "no-store"
    assert "content-length" not in reader.fields


def test_a_page_that_grows_runs_no_script(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_bytes(b"<script>")
    assert follow(page).fields["content-security-policy"] == "sandbox"


def test_download_saves_what_grows(log: Path) -> None:
    fields = follow(log, "follow&download").fields
    assert fields["content-disposition"] == 'attachment; filename="build.log"'


@pytest.mark.parametrize("accept", ["*/*", EVENTS])
def test_head_answers_the_head_only(log: Path, accept: str) -> None:
    head = follow(log, method="HEAD", accept=accept, limits=NEVER)
    assert (head.status, head.content, head.is_complete) == (200, b"", True)
    assert head.fields == follow(log, accept=accept).fields


FORMS = [
    ("*/*", "text/plain; charset=utf-8", "curl"),
    ("text/event-stream", "text/event-stream; charset=utf-8", "event-source"),
    ("text/html,*/*;q=0.8", "text/plain; charset=utf-8", "browser"),
    ("text/plain;q=0.5, text/event-stream", "text/event-stream; charset=utf-8", "rather-events"),
    ("image/png", "text/plain; charset=utf-8", "neither"),
]


@pytest.mark.parametrize(("accept", "kind"), [row[:2] for row in FORMS], ids=[r[2] for r in FORMS])
def test_accept_chooses_the_form(log: Path, accept: str, kind: str) -> None:
    assert follow(log, accept=accept).fields["content-type"] == kind


# Where it begins

STARTS = [
    ("follow", b"one\ntwo\n", "the-beginning"),
    ("follow&from=0", b"one\ntwo\n", "first-byte"),
    ("follow&from=5", b"wo\n", "in-the-middle"),
    ("follow&from=8", b"", "the-end"),
    ("follow&tail=0", b"", "nothing-of-what-is-there"),
    ("follow&tail=4", b"two\n", "last-bytes"),
    ("follow&tail=8", b"one\ntwo\n", "exactly-all"),
    ("follow&from=4" + "&more" * 200, b"two\n", "with-many-parameters"),
    ("follow&tail=9999999999999999999", b"one\ntwo\n", "more-than-all"),
]


@pytest.mark.parametrize(
    ("query", "content"), [row[:2] for row in STARTS], ids=[row[2] for row in STARTS]
)
def test_bytes_begin_where_they_are_asked_for(log: Path, query: str, content: bytes) -> None:
    reader = follow(log, query)
    assert (reader.status, reader.content, reader.is_complete) == (200, content, True)


TAILS = [
    (0, [], "nothing"),
    (4, ["two"], "a-line-begins-there"),
    (5, ["two"], "in-the-line-end-before"),
    (6, ["two"], "in-the-line-before"),
    (3, [], "in-the-last-line"),
    (8, ["one\ntwo"], "exactly-all"),
]


@pytest.mark.parametrize(
    ("length", "data"), [row[:2] for row in TAILS], ids=[row[2] for row in TAILS]
)
def test_a_tail_of_events_begins_with_a_whole_line(log: Path, length: int, data: list[str]) -> None:
    events = follow(log, f"follow&tail={length}", accept=EVENTS).events
    assert [event.data for event in events] == [*data, "idle"]


REFUSED = [
    ("follow&from=x", 400, "no-number"),
    ("follow&from=-1", 400, "negative"),
    ("follow&from=", 400, "empty"),
    ("follow&from=%D9%A3", 400, "digits-are-ascii"),
    ("follow&from=" + "9" * 5000, 400, "endless"),
    ("follow&from=1&tail=1", 400, "both"),
    ("follow&from=9", 416, "behind-the-end"),
]


@pytest.mark.parametrize(
    ("query", "status"), [row[:2] for row in REFUSED], ids=[row[2] for row in REFUSED]
)
def test_what_means_nothing_is_refused(log: Path, query: str, status: int) -> None:
    reader = follow(log, query, limits=NEVER)
    assert reader.status == status
    assert reader.fields["content-type"] == "application/problem+json"
    assert reader.fields["access-control-allow-origin"] == "*"
    assert reader.fields["x-content-type-options"] == "nosniff"
    if status == 416:
        assert reader.fields["content-range"] == "bytes */8"


def test_a_range_is_ignored_since_the_whole_has_no_length(log: Path) -> None:
    reader = follow(log, range="bytes=4-")
    assert (reader.status, reader.content) == (200, b"one\ntwo\n")  # RFC 9110 section 14.2


CONDITIONS = [
    ({"if_match": '"a"'}, 412, "no-tag-matches"),
    ({"if_none_match": "*"}, 304, "it-exists-already"),
    ({"if_none_match": '"a"'}, 200, "another-state"),
]


@pytest.mark.parametrize(
    ("fields", "status"), [row[:2] for row in CONDITIONS], ids=[row[2] for row in CONDITIONS]
)
def test_conditions_are_judged_without_a_validator(
    log: Path, fields: dict[str, str], status: int
) -> None:
    assert follow(log, **fields).status == status  # RFC 9110 section 13.1
