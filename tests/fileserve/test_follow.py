"""What `?follow` answers, told from its messages: in which form, from where, and why it ends."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest
from event_source import Event, EventSource
from recording_send import RecordingSend, http_scope, no_more_request
from starlette.types import Message, Scope

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.follow import send_follow
from fileserve.site.following import FollowLimits
from fileserve.site.vigil import vigil_over
from storage.local import LocalStorage
from storage.names import Name
from tests.descriptors import nothing_left_open

EVENTS = "text/event-stream"
# How the tests wait for what comes by itself.
PATIENCE_SECONDS = 60.0
SOON = FollowLimits(idle_seconds=0.0)
NEVER = FollowLimits(idle_seconds=3600.0)
CONTROL = [
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),
    (b"access-control-allow-origin", b"*"),
]


@dataclass
class Reader(RecordingSend):
    """A client of `?follow` on a file, that may see what has come so far."""

    path: Path
    limits: FollowLimits
    messages: list[Message] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    accepts: asyncio.Event = field(default_factory=asyncio.Event)
    cause: EndCause | None = None

    def __post_init__(self) -> None:
        self.accepts.set()

    async def __call__(self, message: Message) -> None:
        await self.accepts.wait()
        await super().__call__(message)

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def read(self, scope: Scope) -> None:
        """Reads to the end; cause is set where that was a cut."""
        storage = LocalStorage(self.path.parent)
        name = Name((self.path.name.encode(),))
        blob = await storage.open(name)
        try:
            await send_follow(
                scope, self.receive, self, storage, name, blob, self.limits, self.stopping, CONTROL
            )
        except TransferCut as cut:
            self.cause = cut.cause
        finally:
            await blob.close()
            await storage.close()

    async def until(self, is_true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_true():
            assert time.monotonic() < deadline, self.messages
            await asyncio.sleep(0.01)

    @property
    def source(self) -> EventSource:
        source = EventSource()
        source.feed(self.content)
        return source

    @property
    def events(self) -> list[Event]:
        return self.source.events


def follow(
    path: Path,
    query: str = "follow",
    *,
    limits: FollowLimits = SOON,
    method: str = "GET",
    meanwhile: Callable[[Reader], Awaitable[None]] | None = None,
    extensions: Mapping[str, object] = MappingProxyType({}),
    **fields: str,
) -> Reader:
    """A whole request; meanwhile changes the file while it is read."""

    async def run() -> Reader:
        reader = Reader(path, limits)
        scope = http_scope(method, f"/{path.name}?{query}", **fields)
        scope["extensions"] = extensions
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.read(scope))
            if meanwhile is not None:
                await meanwhile(reader)
        return reader

    return asyncio.run(run())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "build.log"
    path.write_bytes(b"one\ntwo\n")
    return path


def inode(path: Path) -> str:
    return f"{path.stat().st_ino:x}"


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


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


# Who connects again


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
