"""A growing file before the eyes of those who look on: curl, and an EventSource in a page."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.access_log import errors_in, wait_for_access_lines
from tests.clients.programs import PATIENCE_SECONDS, require, wait_until
from tests.running_server import RunningServer, free_port, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MILLISECONDS = PATIENCE_SECONDS * 1000
CURL_PARTIAL = (18, 56)  # curl(1): "partial file", "failure in receiving network data"

# What a page does that shows a log: it counts streams, and closes nothing by itself.
_WATCH = """
() => {
  window.seen = {data: [], ends: [], opened: 0, ids: []};
  window.source = new EventSource("/build.log?follow");
  source.onopen = () => seen.opened += 1;
  source.onmessage = event => {
    seen.data.push(...event.data.split("\\n"));
    seen.ids.push(event.lastEventId);
  };
  source.addEventListener("end", event => seen.ends.push(event.data));
}
"""
_CLOSED = 2  # EventSource.CLOSED: the browser has given up


@pytest.fixture
def log(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "build.log").write_bytes(b"one\ntwo\n")
    return root / "build.log"


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


@contextlib.contextmanager
def serving(log: Path, *options: str, idle_seconds: float = 3600) -> Iterator[RunningServer]:
    env = {"FILESERVE_FOLLOW_IDLE_SECONDS": str(idle_seconds)}
    with running_server(log.parent, *options, env=env) as server:
        yield server
        assert errors_in(server) == []


@contextlib.contextmanager
def curl(server: RunningServer, target: str, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = ["curl", "-sSN", *options, server.url + target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def test_curl_shows_each_line_as_it_is_written(log: Path) -> None:
    require("curl")
    with serving(log) as server, curl(server, "build.log?follow&tail=4") as process:
        assert line_of(process) == b"two\n"
        for number in range(3):
            append(log, b"line %d\n" % number)
            assert line_of(process) == b"line %d\n" % number


def test_curl_ends_well_when_the_writer_stops(log: Path) -> None:
    require("curl")
    with serving(log, idle_seconds=1) as server, curl(server, "build.log?follow") as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"one\ntwo\n"
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_stop_of_the_server_ends_all_readers_long_before_the_drain_is_over(log: Path) -> None:
    require("curl")
    events = ("-H", "Accept: text/event-stream")
    with (
        serving(log, "--drain-seconds", str(PATIENCE_SECONDS)) as server,
        curl(server, "build.log?follow") as bytes_,
        curl(server, "build.log?follow", *events) as lines,
    ):
        assert line_of(bytes_) == b"one\n"
        while line_of(lines) != b"data: two\n":
            pass
        server.send(signal.SIGTERM)
        # Far less than the drain, which waits for transfers.
        assert server.wait(PATIENCE_SECONDS / 4) == 0
        assert bytes_.wait(PATIENCE_SECONDS) in CURL_PARTIAL
        assert lines.wait(PATIENCE_SECONDS) == 0


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    with contextlib.closing(browser.new_context()) as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        yield context.new_page()


def watch(page: "Page", server: RunningServer) -> None:
    """Opens a page of the same origin that may connect, and the stream in it."""
    page.goto(server.url + "-/health")
    page.evaluate(_WATCH)


def seen(page: "Page") -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("() => seen")
    return found


def test_a_page_shows_a_file_grow_over_a_restart_of_the_server(page: "Page", log: Path) -> None:
    port = ("--port", str(free_port()))
    with serving(log, *port) as server:
        watch(page, server)
        page.wait_for_function("() => seen.data.length === 2")
        append(log, "drei und ein Stück".encode())
        append(log, b" Zeile\n")
        page.wait_for_function("() => seen.data.length === 3")
        server.stop()
    append(log, b"while nobody served\n")
    with serving(log, *port):
        page.wait_for_function("() => seen.data.length === 4")
        append(log, b"afterwards\n")
        page.wait_for_function("() => seen.data.length === 5")
        found = seen(page)
        page.evaluate("() => source.close()")
    assert found["data"] == [
        *("one", "two", "drei und ein Stück Zeile", "while nobody served", "afterwards")
    ]
    assert found["ends"] == []
    assert [int(id_.split("-")[0]) for id_ in found["ids"]][-1] == log.stat().st_size


def test_a_page_that_closes_nothing_stops_at_the_end_of_a_finished_file(
    page: "Page", log: Path
) -> None:
    with serving(log, idle_seconds=1) as server:
        watch(page, server)
        page.wait_for_function(f"() => source.readyState === {_CLOSED}")
        found = seen(page)
        lines = wait_for_access_lines(server, "/build.log", 2)
    assert (found["data"], found["ends"], found["opened"]) == (["one", "two"], ["idle"], 1)
    assert [line.status for line in lines] == [200, 204]


def test_a_page_follows_a_file_that_is_replaced(page: "Page", log: Path) -> None:
    with serving(log) as server:
        watch(page, server)
        page.wait_for_function("() => seen.data.length === 2")
        # Kept under another name and replaced: there is no moment without it.
        log.with_name("build.log.1").hardlink_to(log)
        new = log.with_name("build.log.new")
        new.write_bytes(b"a new file\n")
        new.replace(log)
        page.wait_for_function("() => seen.data.length === 3")
        found = seen(page)
        page.evaluate("() => source.close()")
    assert found["data"] == ["one", "two", "a new file"]
    assert found["ends"] == ["replaced"]


def test_a_page_that_is_closed_is_noticed(page: "Page", log: Path) -> None:
    with serving(log) as server:
        watch(page, server)
        page.wait_for_function("() => seen.data.length === 2")
        page.goto("about:blank")
        stop = threading.Event()
        writer = threading.Thread(target=_write_until, args=(log, stop))
        writer.start()
        try:
            (line,) = wait_for_access_lines(server, "/build.log", 1)
        finally:
            stop.set()
            writer.join()
    assert line.end == "client-gone"


def _write_until(log: Path, stop: threading.Event) -> None:
    while not stop.wait(0.2):
        append(log, b"more\n")


def test_many_readers_are_no_burden_to_each_other(log: Path) -> None:
    require("curl")
    with serving(log) as server, contextlib.ExitStack() as readers:
        processes = [readers.enter_context(curl(server, "build.log?follow")) for _ in range(20)]
        for process in processes:
            assert [line_of(process), line_of(process)] == [b"one\n", b"two\n"]
        append(log, b"three\n")
        assert [line_of(process) for process in processes] == [b"three\n"] * 20
        open_files = Path(f"/proc/{server.worker_pids()[0]}/fd")
        held = [link for link in open_files.iterdir() if _leads_to(link, log)]
        assert len(held) == 20
        for process in processes:
            process.kill()
        append(log, b"four\n")
        wait_until(lambda: _noticed(server, log), "the end of all readers")


def _leads_to(link: Path, log: Path) -> bool:
    try:
        return link.readlink() == log
    except FileNotFoundError:
        return False


def _noticed(server: RunningServer, log: Path) -> bool:
    append(log, b"!\n")
    return sum(" /build.log " in line for line in list(server.lines)) == 20
