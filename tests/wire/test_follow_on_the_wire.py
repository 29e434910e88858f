"""A growing file on a real connection: how it is framed, and how it ends for whom."""

import asyncio
import queue
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import IO

import pytest
from starlette.types import Receive, Scope, Send

from fileserve.delivery.outcomes import TransferCut
from fileserve.delivery.time_limits import Limits
from fileserve.delivery.zerocopy import protocol_class
from fileserve.site.follow import send_follow
from fileserve.site.following import FollowLimits
from storage.local import LocalStorage
from storage.names import parse_request_path
from tests.event_source import Event, EventSource
from tests.wire.answers import Head
from tests.wire.asgi_server import AppServer, app_server
from tests.wire.raw_http import (
    PATIENCE_SECONDS,
    ConnectionEnded,
    End,
    RawClient,
    connect,
    request,
)
from tests.wire.served import SLOW_READER_BUFFER_BYTES

EVENTS = "Accept: text/event-stream"
# The connection's limit, far below the time for which a reader has nothing to do.
HURRIED = Limits(idle_timeout_seconds=0.6)


@dataclass
class FollowApp:
    """Every file is followed; `/stop` is the end of the service."""

    root: Path
    limits: FollowLimits
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ends: queue.Queue[str] = field(default_factory=queue.Queue)
    _storage: LocalStorage | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stop":
            self.stopping.set()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        self._storage = self._storage or LocalStorage(self.root)
        name = parse_request_path(scope["raw_path"]).name
        blob = await self._storage.open(name)
        try:
            await send_follow(
                scope, receive, send, self._storage, name, blob, self.limits, self.stopping
            )
            self.ends.put("complete")
        except TransferCut as cut:
            self.ends.put(cut.cause.value)
            raise
        finally:
            await blob.close()

    def end(self) -> str:
        """How the next reader's stream ended; waits for it."""
        return self.ends.get(timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        if self._storage is not None:
            asyncio.run(self._storage.close())


class Stream:
    """A response in chunked coding as far as it has come, and the connection it comes on."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        if self._head is None:
            self._head = self.client.read_head()
        return self._head

    def chunk(self) -> bytes:
        """The content of the next chunk; empty for the last."""
        assert self.head.field("transfer-encoding") == "chunked"
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.client.read_exactly(1)
        content = self.client.read_exactly(int(line, 16))
        assert self.client.read_exactly(2) == b"\r\n"
        return content

    def read(self, length: int) -> bytes:
        content = b""
        while len(content) < length:
            content += self.chunk()
        return content

    def events(self, count: int) -> list[Event]:
        """The next events; comments between them are skipped."""
        source = EventSource()
        while len(source.events) < count:
            source.feed(self.chunk())
        return source.events


@dataclass
class Followed:
    """A growing file and the server that shows it."""

    app: FollowApp
    server: AppServer
    log: Path

    def append(self, text: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(text)

    @contextmanager
    def reading(self, *fields: str, version: str = "1.1", buffer: int = 0) -> Iterator[Stream]:
        with connect(self.server, receive_buffer_bytes=buffer) as client:
            client.send(request(f"/{self.log.name}?follow", fields, version=version))
            yield Stream(client)


@contextmanager
def followed(root: Path, loop: str, limits: FollowLimits) -> Iterator[Followed]:
    log = root / "growing.log"
    log.write_bytes(b"first\n")
    app = FollowApp(root, limits)
    with app_server(app, protocol_class(HURRIED), loop) as server:
        try:
            yield Followed(app, server, log)
        finally:
            server.get("/stop")
    app.close()


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    loop: str = request.param
    return loop


@pytest.fixture
def endless(tmp_path: Path, loop: str) -> Iterator[Followed]:
    """Streams that do not end by themselves within a test."""
    with followed(
        tmp_path, loop, FollowLimits(idle_seconds=3600, heartbeat_seconds=0.2)
    ) as serving:
        yield serving


@pytest.fixture
def short(tmp_path: Path, loop: str) -> Iterator[Followed]:
    """Streams that end soon."""
    with followed(tmp_path, loop, FollowLimits(idle_seconds=1.5)) as serving:
        yield serving


def test_what_is_appended_comes_in_chunks(endless: Followed) -> None:
    with endless.reading() as stream:
        assert not stream.head.has("content-length")
        assert stream.chunk() == b"first\n"
        for text in (b"second\n", b"third, without an end"):
            endless.append(text)
            assert stream.chunk() == text


def test_the_connection_lives_on_after_a_clean_end(short: Followed) -> None:
    with short.reading() as stream:
        assert (stream.read(6), stream.chunk()) == (b"first\n", b"")
        assert short.app.end() == "complete"
        answer = stream.client.ask(request("/growing.log?follow&from=2"))
        assert (answer.status, answer.content) == (200, b"rst\n")


def test_an_old_client_reads_to_the_end_of_the_connection(short: Followed) -> None:
    with short.reading(version="1.0") as stream:
        assert not stream.head.has("transfer-encoding")  # RFC 9112 section 6.1
        assert stream.client.read_until_closed() == b"first\n"


def test_one_reader_does_not_wait_for_another(endless: Followed) -> None:
    with endless.reading() as bytes_, endless.reading(EVENTS) as events:
        assert (bytes_.chunk(), events.events(1)[0].data) == (b"first\n", "first")
        endless.append(b"second\n")
        assert (events.events(1)[0].data, bytes_.chunk()) == ("second", b"second\n")


def test_a_reader_with_nothing_to_read_is_not_cut(endless: Followed) -> None:
    with endless.reading() as stream:
        stream.chunk()
        time.sleep(3 * HURRIED.idle_timeout_seconds)
        endless.append(b"late\n")
        assert stream.chunk() == b"late\n"


def test_a_reader_that_takes_nothing_is_cut(endless: Followed) -> None:
    with endless.reading(buffer=SLOW_READER_BUFFER_BYTES) as stream:
        stream.chunk()
        endless.append(bytes(32 << 20))
        assert endless.app.end() == "stalled"


def test_a_reader_that_vanishes_is_noticed(endless: Followed) -> None:
    with endless.reading() as stream:
        stream.chunk()
        stream.client.vanish()
        assert endless.app.end() == "client-gone"


def test_a_reader_that_closes_is_noticed_by_the_heartbeat(endless: Followed) -> None:
    with endless.reading(EVENTS) as stream:
        stream.chunk()
    assert endless.app.end() == "client-gone"


def test_a_stop_cuts_bytes_and_ends_events(endless: Followed) -> None:
    with endless.reading() as bytes_, endless.reading(EVENTS) as events:
        bytes_.chunk()
        events.events(1)
        assert endless.server.get("/stop").status == 204
        with pytest.raises(ConnectionEnded) as ended:
            bytes_.chunk()
        assert ended.value.end is End.CUT
        while (chunk := events.chunk()) == b":\n\n":
            pass
        assert chunk == b""
    assert sorted([endless.app.end(), endless.app.end()]) == ["complete", "shutdown"]


def test_a_file_that_shrinks_is_cut(endless: Followed) -> None:
    with endless.reading() as stream:
        stream.chunk()
        endless.log.write_bytes(b"new\n")
        with pytest.raises(ConnectionEnded) as ended:
            stream.chunk()
        assert ended.value.end is End.CUT
    assert endless.app.end() == "shrank"


def test_an_interrupted_reader_misses_and_repeats_nothing(endless: Followed) -> None:
    with endless.reading(EVENTS) as stream:
        endless.append(b"second\nthi")
        found = stream.events(1)
        while not found[-1].data.endswith("second"):
            found = stream.events(1)
    endless.append(b"rd\n")
    with endless.reading(EVENTS, f"Last-Event-ID: {found[-1].last_event_id}") as again:
        assert again.events(1)[0].data == "third"


@contextmanager
def curl(serving: Followed) -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes]]]:
    """curl, and what it shows of the file's end and from then on."""
    if which("curl") is None:
        pytest.skip("NOT TESTED: install curl")
    url = f"http://{serving.server.host}:{serving.server.port}/growing.log?follow&tail=2"
    with subprocess.Popen(["curl", "-sSN", url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def test_curl_shows_a_file_grow(endless: Followed) -> None:
    with curl(endless) as (_, shown):
        assert shown.readline() == b"t\n"
        endless.append(b"second\n")
        assert shown.readline() == b"second\n"


def test_curl_sees_the_end_of_a_finished_file(short: Followed) -> None:
    with curl(short) as (process, shown):
        assert shown.read() == b"t\n"
        assert process.wait(PATIENCE_SECONDS) == 0
