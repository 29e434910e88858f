"""`?follow` while the file grows: what is sent and when, and what ends it."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from event_source import Event
from follow_reader import EVENTS, NEVER, Reader, append, follow, inode
from recording_send import no_more_request

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.following import FollowLimits
from fileserve.site.vigil import vigil_over
from tests.descriptors import nothing_left_open

# What comes


def test_what_is_appended_is_sent(log: Path) -> None:
    async def write(reader: Reader) -> None:
        for number in range(3):
            line = b"line %d\n" % number
            append(log, line)
            await reader.until(lambda line=line: reader.content.endswith(line))
        reader.gone.set()

    reader = follow(log, limits=NEVER, meanwhile=write)
    assert reader.content == b"one\ntwo\nline 0\nline 1\nline 2\n"
    assert reader.cause is EndCause.CLIENT_GONE


def test_more_than_a_step_is_sent_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    content = bytes(range(256)) * (5 << 12) + b"end"  # 5 MiB and three bytes
    path.write_bytes(content)
    assert follow(path).content == content


def test_bytes_go_without_a_copy_where_the_server_can(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    path.write_bytes(b"0" * ((1 << 20) + 1))
    sent = follow(path, extensions={"http.response.zerocopysend": {}}).messages[2:]
    kinds = [(message["type"], message.get("offset"), message.get("count")) for message in sent]
    assert kinds == [
        ("http.response.zerocopysend", 0, 1 << 20),
        ("http.response.zerocopysend", 1 << 20, 1),
        ("http.response.body", None, None),
    ]


def test_each_event_tells_where_the_next_line_begins(log: Path) -> None:
    async def write(reader: Reader) -> None:
        await reader.until(lambda: len(reader.events) == 1)
        append(log, b"three")
        await asyncio.sleep(0.5)
        append(log, b"\nfour")
        await reader.until(lambda: len(reader.events) == 2)
        reader.gone.set()

    node = inode(log)
    reader = follow(log, limits=NEVER, meanwhile=write, accept=EVENTS)
    assert reader.events == [
        Event("message", "one\ntwo", f"8-{node}"),
        Event("message", "three", f"14-{node}"),
    ]


def test_an_empty_file_tells_its_head_and_position_at_once(log: Path) -> None:
    log.write_bytes(b"")

    async def leave(reader: Reader) -> None:
        await reader.until(lambda: len(reader.messages) > 1)
        reader.gone.set()

    events = follow(log, limits=NEVER, meanwhile=leave, accept=EVENTS).source
    assert (events.events, events.retry, events.last_event_id) == ([], 2000, f"0-{inode(log)}")


def test_a_reader_of_events_hears_heartbeats(log: Path) -> None:
    async def listen(reader: Reader) -> None:
        await reader.until(lambda: reader.source.comments >= 2)
        reader.gone.set()

    hasty = FollowLimits(idle_seconds=3600.0, heartbeat_seconds=0.01)
    assert len(follow(log, limits=hasty, meanwhile=listen, accept=EVENTS).events) == 1


# How it ends


def test_a_writer_that_stops_is_a_clean_end(log: Path) -> None:
    append(log, b"no line end")
    reader = follow(log, accept=EVENTS)
    position = f"19-{inode(log)}"
    assert reader.events[1:] == [
        Event("message", "no line end", position),
        Event("end", "idle", position),
    ]
    assert (reader.is_complete, reader.cause) == (True, None)


def test_growth_keeps_a_stream_alive(log: Path) -> None:
    idle_seconds = 2.0
    pauses: list[float] = []

    async def write(reader: Reader) -> None:
        for number in range(8):  # together longer than the limit, each pause much shorter
            began = time.monotonic()
            await asyncio.sleep(0.3)
            append(log, b"%d" % number)
            pauses.append(time.monotonic() - began)
        await reader.until(lambda: reader.is_complete)

    for _ in range(10):
        log.write_bytes(b"")
        pauses.clear()
        reader = follow(log, limits=FollowLimits(idle_seconds=idle_seconds), meanwhile=write)
        # Where the machine stood still for that long, the stream was right to end.
        if max(pauses) < idle_seconds / 2:
            break
    assert reader.content == b"01234567"


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"other\n")
    new.rename(path)


def delete(path: Path) -> None:
    append(path, b"last words\n")
    path.unlink()


def rotate(path: Path) -> None:
    append(path, b"last words\n")
    path.rename(path.with_name("build.log.1"))
    path.write_bytes(b"other\n")


LOSSES = [
    (replace, b"", "replaced", "", "replaced"),
    (rotate, b"last words\n", "replaced", "", "rotated"),
    (delete, b"last words\n", "deleted", "19", "deleted"),
]


@pytest.mark.parametrize(
    ("lose", "rest", "reason", "offset"), [row[:4] for row in LOSSES], ids=[r[4] for r in LOSSES]
)
def test_a_file_that_lost_its_name_is_sent_to_its_end(
    log: Path, lose: Callable[[Path], None], rest: bytes, reason: str, offset: str
) -> None:
    async def change(reader: Reader) -> None:
        await reader.until(lambda: reader.content.endswith(b"two\n"))
        lose(log)

    reader = follow(log, limits=NEVER, meanwhile=change)
    assert (reader.content, reader.is_complete) == (b"one\ntwo\n" + rest, True)


@pytest.mark.parametrize(
    ("lose", "rest", "reason", "offset"), [row[:4] for row in LOSSES], ids=[r[4] for r in LOSSES]
)
def test_the_last_event_tells_how_a_file_lost_its_name(
    log: Path, lose: Callable[[Path], None], rest: bytes, reason: str, offset: str
) -> None:
    async def change(reader: Reader) -> None:
        await reader.until(lambda: b"two\n" in reader.content)
        lose(log)

    node = inode(log)
    reader = follow(log, limits=NEVER, meanwhile=change, accept=EVENTS)
    last_id = f"{offset}-{node}" if offset else ""  # void: the new file from its beginning
    assert reader.events[-1] == Event("end", reason, last_id)
    assert "".join(event.data + "\n" for event in reader.events[1:-1]) == rest.decode()


def test_bytes_of_a_file_that_became_shorter_are_cut(log: Path) -> None:
    async def shorten(reader: Reader) -> None:
        await reader.until(lambda: reader.content == b"one\ntwo\n")
        os.truncate(log, 3)

    reader = follow(log, limits=NEVER, meanwhile=shorten)
    assert (reader.cause, reader.is_complete) == (EndCause.SHRANK, False)


def test_events_of_a_file_that_became_shorter_end_and_begin_anew(log: Path) -> None:
    async def shorten(reader: Reader) -> None:
        await reader.until(lambda: len(reader.events) == 1)
        append(log, b"a part of a line")
        await asyncio.sleep(0.5)
        os.truncate(log, 3)

    reader = follow(log, limits=NEVER, meanwhile=shorten, accept=EVENTS)
    assert reader.events[1:] == [Event("end", "truncated", "")]
    assert reader.is_complete


def test_a_stop_of_the_service_cuts_bytes_at_once(log: Path) -> None:
    async def stop(reader: Reader) -> None:
        await reader.until(lambda: reader.content == b"one\ntwo\n")
        reader.stopping.set()

    reader = follow(log, limits=NEVER, meanwhile=stop)
    assert (reader.cause, reader.is_complete) == (EndCause.SHUTDOWN, False)


def test_a_stop_of_the_service_lets_events_go_on_elsewhere(log: Path) -> None:
    async def stop(reader: Reader) -> None:
        await reader.until(lambda: len(reader.events) == 1)
        reader.stopping.set()

    reader = follow(log, limits=NEVER, meanwhile=stop, accept=EVENTS)
    assert (reader.cause, reader.is_complete) == (None, True)
    assert [event.type for event in reader.events] == ["message"]


@pytest.mark.parametrize("accept", ["*/*", EVENTS])
def test_a_stop_of_the_service_waits_for_no_reader_that_takes_nothing(
    log: Path, accept: str
) -> None:
    async def stop(reader: Reader) -> None:
        await reader.until(lambda: b"two" in reader.content)
        reader.accepts.clear()
        append(log, b"three\n")
        await asyncio.sleep(0.5)
        reader.stopping.set()

    reader = follow(log, limits=NEVER, meanwhile=stop, accept=accept)
    assert (reader.cause, reader.is_complete) == (EndCause.SHUTDOWN, False)


# What it leaves


def test_nothing_stays_open(log: Path) -> None:
    with nothing_left_open():
        follow(log)
        follow(log, accept=EVENTS)
        follow(log, "follow&from=x")


def test_a_block_that_ends_as_the_service_stops_leaves_no_error_behind() -> None:
    async def stop_and_end() -> None:
        stopping = asyncio.Event()
        async with vigil_over(no_more_request, stopping) as vigil:
            stopping.set()
            # The watcher of the event is done, and its callback waits for its turn.
            while True:
                await asyncio.sleep(0)
                vigil.check()

    async def run() -> list[str]:
        faults: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: faults.append(str(context)))
        with pytest.raises(TransferCut):
            await stop_and_end()
        await asyncio.sleep(0)
        return faults

    assert asyncio.run(run()) == []
