"""A reader of events that comes again goes on where it was, in the same file."""

import os
import time
from pathlib import Path

import pytest
from follow_reader import EVENTS, NEVER, Reader, follow, inode


def finished(path: Path) -> None:
    """Its writer stopped an hour ago."""
    an_hour_ago = time.time() - 3601
    os.utime(path, (an_hour_ago, an_hour_ago))


def test_events_go_on_where_they_were(log: Path) -> None:
    reader = follow(log, accept=EVENTS, last_event_id=f"4-{inode(log)}")
    assert [event.data for event in reader.events] == ["two", "idle"]


def test_the_parameter_counts_where_the_field_is_absent(log: Path) -> None:
    again = {"accept": EVENTS}
    assert follow(log, "follow&last-event-id=4", **again).events[0].data == "two"
    again["last_event_id"] = "0"
    assert follow(log, "follow&last-event-id=4", **again).events[0].data == "one\ntwo"


def test_a_position_counts_more_than_where_the_first_request_began(log: Path) -> None:
    reader = follow(log, "follow&tail=2", accept=EVENTS, last_event_id="4")
    assert reader.events[0].data == "two"


VOID = ["9", "4-1", "garbage", "4-", "-1"]


@pytest.mark.parametrize("position", VOID)
def test_a_position_in_another_file_is_void(log: Path, position: str) -> None:
    assert inode(log) != "1"
    reader = follow(log, accept=EVENTS, last_event_id=position)
    assert (reader.status, reader.events[0].data) == (200, "one\ntwo")


def test_who_had_all_of_a_finished_file_is_told_not_to_come_back(log: Path) -> None:
    finished(log)
    reader = follow(log, limits=NEVER, accept=EVENTS, last_event_id=f"8-{inode(log)}")
    assert (reader.status, reader.content, reader.is_complete) == (204, b"", True)
    assert "content-type" not in reader.fields


def test_a_file_that_was_written_to_lately_is_not_finished(log: Path) -> None:
    async def leave(reader: Reader) -> None:
        await reader.until(lambda: len(reader.messages) > 1)
        reader.gone.set()

    position = f"8-{inode(log)}"
    reader = follow(log, limits=NEVER, meanwhile=leave, accept=EVENTS, last_event_id=position)
    assert reader.status == 200


def test_a_new_reader_of_a_finished_file_gets_it(log: Path) -> None:
    finished(log)
    assert follow(log, accept=EVENTS).events[0].data == "one\ntwo"
    assert follow(log, last_event_id="8").content == b"one\ntwo\n"
