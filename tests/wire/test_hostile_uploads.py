"""Uploads from clients that lie, stop, or want more than there is."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.names import STAGING_SEGMENT
from tests.known_tokens import token_for
from tests.running_server import RunningServer, running_server
from tests.wire.raw_http import ConnectionEnded, connect

MIB = 1 << 20
QUOTA = 3 * MIB
LIMIT = 2 * MIB
IDLE_SECONDS = "1"
SOON_SECONDS = 30.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "root"
    folder.mkdir()
    (folder / "victim").write_bytes(b"victim")
    return folder


@pytest.fixture(scope="module")
def secret(root: Path) -> str:
    return token_for(root, "write")


@pytest.fixture(scope="module")
def server(root: Path, secret: str) -> Iterator[RunningServer]:
    options = ("--upload-quota", str(QUOTA), "--upload-limit", str(LIMIT))
    with running_server(root, "--writable", *options) as server:
        yield server
        assert [line for line in server.lines if " ERROR " in line or " 500 " in line] == []


def head(method: str, target: str, secret: str, *fields: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: a", f"Authorization: Bearer {secret}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def is_tidy(root: Path) -> bool:
    """Whether nothing is left of an upload that did not become a file."""
    staging = root / os.fsdecode(STAGING_SEGMENT)
    left = {entry.name for entry in staging.iterdir()} if staging.exists() else set()
    return left <= {"lock"} and not list(root.glob("new*"))


def test_content_of_a_refused_request_is_no_request(
    server: RunningServer, root: Path, secret: str
) -> None:
    smuggled = head("DELETE", "/victim", secret)
    refused = [
        (head("PUT", "/new", "fs_wrong", f"Content-Length: {len(smuggled)}"), 401),
        (head("PUT", "/victim", secret, f"Content-Length: {len(smuggled)}"), 428),
        (head("PUT", "/new/", secret, f"Content-Length: {len(smuggled)}"), 400),
        (head("GET", "/victim", secret, f"Content-Length: {len(smuggled)}"), 200),
        (head("MOVE", "/victim", secret, f"Content-Length: {len(smuggled)}"), 400),
    ]
    for asked, status in refused:
        with connect(server) as client:
            client.send(asked + smuggled)
            assert client.answer().status == status
            # Whatever the server makes of the connection, it is not this.
            try:
                client.send(head("GET", "/victim", secret))
                assert client.answer().content == b"victim"
            except (ConnectionEnded, OSError):
                continue
    assert (root / "victim").read_bytes() == b"victim"


def test_two_lengths_are_refused(server: RunningServer, root: Path, secret: str) -> None:
    chunk = b"6\r\nchunks\r\n0\r\n\r\n"
    both = ("Content-Length: 5", "Transfer-Encoding: chunked")
    for fields in (both, ("Content-Length: 5", "Content-Length: 6"), ("Content-Length: -1",)):
        with connect(server) as client:
            client.send(head("PUT", "/new", secret, *fields) + chunk)
            assert client.answer().status == 400
    assert is_tidy(root)


def test_what_is_too_long_is_refused_before_it_is_sent(
    server: RunningServer, root: Path, secret: str
) -> None:
    for length, status in ((LIMIT + 1, 413), (10**15, 413), (LIMIT, 100)):
        with connect(server) as client:
            fields = (f"Content-Length: {length}", "Expect: 100-continue")
            client.send(head("PUT", "/new", secret, *fields))
            assert client.read_head().status == status
    wait_until_tidy(root)


def test_a_client_that_vanishes_leaves_nothing(
    server: RunningServer, root: Path, secret: str
) -> None:
    for fields, content in (
        (("Content-Length: 1000000",), bytes(500_000)),
        (("Transfer-Encoding: chunked",), b"5\r\nhello\r\n"),
    ):
        with connect(server) as client:
            client.send(head("PUT", "/new", secret, *fields) + content)
            client.vanish()
    wait_until_tidy(root)


def test_a_client_that_stops_is_cut_off(root: Path, secret: str) -> None:
    hurried = ("--writable", "--idle-timeout-seconds", IDLE_SECONDS)
    with running_server(root, *hurried) as server, connect(server) as client:
        client.send(head("PUT", "/new", secret, "Content-Length: 1000000") + bytes(1000))
        client.read_to_the_end()
    wait_until_tidy(root)


def test_many_at_once_do_not_exceed_the_quota(
    server: RunningServer, root: Path, secret: str
) -> None:
    content = os.urandom(MIB - 1_000)

    def put(number: int) -> int:
        with connect(server) as client:
            length = f"Content-Length: {len(content)}"
            client.send(head("PUT", f"/quota/{number}", secret, length, "Expect: 100-continue"))
            status = client.read_head().status
            if status == 100:
                client.send(content)
                status = client.read_head().status
            return status

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(put, range(8)))
    assert statuses == [201] * 3 + [507] * 5
    stored = [file.read_bytes() for file in (root / "quota").iterdir()]
    assert stored == [content] * 3


def wait_until_tidy(root: Path) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not is_tidy(root):
        assert time.monotonic() < deadline, sorted(root.rglob("*"))
        time.sleep(0.05)
