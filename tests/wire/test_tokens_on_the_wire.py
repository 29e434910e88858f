"""Tokens over real sockets: the short way, several workers, revocation, and what the log tells."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fileserve.operations import catalog_desk
from tests.known_tokens import revoke, token_for
from tests.running_server import RunningServer, running_server
from tests.wire.answers import Answer
from tests.wire.raw_http import RawClient, connect, request

CONTENT = b"0123456789"
# Within two seconds is promised; how often a server looks is in it, not how busy the machine is.
PROMISED_SECONDS = 2.0
PATIENCE_SECONDS = 60.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "one.bin").write_bytes(CONTENT)
    (folder / "b.bin").write_bytes(CONTENT)
    return folder


@pytest.fixture
def secret(root: Path) -> str:
    return token_for(root, "read", "a", name="reader")


@pytest.fixture(params=[("--workers", "2"), ("--chunked", ".")], ids=str)
def server(root: Path, secret: str, request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with running_server(root, "--private", *request.param) as server:
        yield server
        # Nothing secret is written, and nothing went wrong.
        assert secret not in server.output.text()
        assert [line for line in server.lines if "ERROR" in line or "Traceback" in line] == []


def get(server: RunningServer, target: str, *fields: str) -> Answer:
    with connect(server) as client:
        return client.ask(request(target, fields))


def test_one_connection_carries_requests_of_different_visitors(
    server: RunningServer, secret: str
) -> None:
    """What the one before showed says nothing of this one, though their heads are alike."""
    bearer = f"Authorization: Bearer {secret}"
    wrong = f"Authorization: Bearer fs_{'A' * 43}"
    asked = [
        # fields                    target          status
        ([bearer],                  "/a/one.bin",   200),
        ([],                        "/a/one.bin",   401),
        ([wrong],                   "/a/one.bin",   401),
        ([bearer],                  "/b.bin",       403),
        ([bearer],                  "/a/one.bin",   200),
        ([bearer, "Range: bytes=2-4"], "/a/one.bin", 206),
        (["Range: bytes=2-4"],      "/a/one.bin",   401),
        ([bearer, "Range: bytes=5-"], "/a/one.bin", 206),
        ([bearer],                  "/b.bin",       403),
        ([bearer],                  "/nothing",     403),
        ([bearer],                  "/a/nothing",   404),
    ]  # fmt: skip
    with connect(server) as client:
        for fields, target, status in asked:
            assert client.ask(request(target, fields)).status == status, (fields, target)


def test_a_revoked_token_is_refused_within_two_seconds(
    server: RunningServer, root: Path, secret: str
) -> None:
    bearer = f"Authorization: Bearer {secret}"
    assert get(server, "/a/one.bin", bearer).status == 200
    revoke(root, "reader")
    wait_until_refused(server, bearer)
    assert catalog_desk.POLL_SECONDS <= PROMISED_SECONDS / 2


def wait_until_refused(server: RunningServer, bearer: str) -> None:
    """Each worker hears of it by itself: so many answers that each of them was asked."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    in_a_row = 0
    while in_a_row < 30:
        assert time.monotonic() < deadline, "a worker still lets the token in"
        status = get(server, "/a/one.bin", bearer).status
        in_a_row = in_a_row + 1 if status in (401, 429) else 0
        time.sleep(0.02)


def test_who_follows_a_file_sees_nothing_of_it_once_the_token_is_revoked(
    server: RunningServer, root: Path, secret: str
) -> None:
    followed = root / "a" / "one.bin"
    bearer = f"Authorization: Bearer {secret}"
    with connect(server) as client:
        client.send(request("/a/one.bin?follow&from=0", [bearer]))
        assert client._socket.recv(65536).startswith(b"HTTP/1.1 200 ")
        revoke(root, "reader")
        wait_until_refused(server, bearer)
        with followed.open("ab") as file:
            file.write(b"new and secret")
        server.output.wait_for(" revoked")
        seen = b"".join(iter(lambda: _received(client), b""))
    assert b"secret" not in seen


def _received(client: RawClient) -> bytes:
    try:
        return client._socket.recv(65536)
    except ConnectionResetError:
        return b""


def test_a_new_token_is_known_within_two_seconds(server: RunningServer, root: Path) -> None:
    bearer = f"Authorization: Bearer {token_for(root, 'read', name='new')}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while get(server, "/b.bin", bearer).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_content_of_a_refused_upload_is_not_waited_for(root: Path) -> None:
    """The answer comes before the content, and the client need not send it."""
    with running_server(root, "--writable") as server, connect(server) as client:
        head = request(
            "/new.bin", ["Content-Length: 1000000000", "Expect: 100-continue"], method="PUT"
        )
        answer = client.ask(head, "PUT")
        assert answer.status == 401
        assert not (root / "new.bin").exists()


def test_who_leaves_the_login_is_no_fault_of_the_server(root: Path) -> None:
    fields = ("Sec-Fetch-Site: same-origin", "Content-Length: 300")
    with running_server(root, "--private") as server:
        with connect(server) as client:
            client.send(request("/-/login", fields, method="POST") + b"token=")
            client.wait_until_read()
            client.vanish()
        assert " POST /-/login 400 " in server.output.wait_for(" /-/login ")


def test_a_session_holds_in_every_worker_and_after_a_restart(root: Path) -> None:
    secret = token_for(root, "read")
    cookie = ""
    for _ in range(2):
        with running_server(root, "--private", "--workers", "2") as server:
            if not cookie:
                form = f"token={secret}".encode()
                fields = [
                    f"Content-Length: {len(form)}",
                    "Content-Type: application/x-www-form-urlencoded",
                    "Sec-Fetch-Site: same-origin",
                ]
                with connect(server) as client:
                    head = request("/-/login", fields, method="POST")
                    answer = client.ask(head + form, "POST")
                assert answer.status == 303
                cookie = answer.field("set-cookie").partition(";")[0]
            statuses = {get(server, "/b.bin", f"Cookie: {cookie}").status for _ in range(10)}
            assert statuses == {200}
            assert cookie.partition("=")[2] not in server.output.text()
