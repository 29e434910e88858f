"""The real server where the machine gives it too little: descriptors, and somebody who reads."""

import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from running_server import REPOSITORY, STRICT_FLAGS, free_port

SERVE = (sys.executable, *STRICT_FLAGS, "-m", "cli", "serve")
LONG = 30.0


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LONG
    while not is_true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def status_of(port: int, path: str = "/a.txt") -> int | None:
    """The status of a GET on a connection of its own; None when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


@contextlib.contextmanager
def process(*arguments: str, **keywords: object) -> Iterator["subprocess.Popen[bytes]"]:
    started = subprocess.Popen([*SERVE, *arguments], cwd=REPOSITORY, **keywords)  # type: ignore[call-overload]
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    return folder


CLOSED = [
    # closed at start             id
    ((1,), "output"),
    ((2,), "error"),
    ((0, 1, 2), "all"),
]


@pytest.mark.parametrize("closed", [c[0] for c in CLOSED], ids=[c[1] for c in CLOSED])
def test_closed_streams_are_no_reason_not_to_serve(root: Path, closed: tuple[int, ...]) -> None:
    port = free_port()

    def close_them() -> None:
        for descriptor in closed:
            os.close(descriptor)

    with process(str(root), "--port", str(port), preexec_fn=close_them) as server:
        wait_until(lambda: status_of(port) == 200, "no answer")
        server.send_signal(signal.SIGTERM)
        assert server.wait(LONG) == 0


def children_of(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def test_a_log_that_nobody_reads_stops_nothing(root: Path) -> None:
    port = free_port()
    reader, writer = os.pipe()
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, reader)
        server = undo.enter_context(
            process(str(root), "--port", str(port), "--workers", "2", stdout=writer, stderr=writer)
        )
        os.close(writer)
        wait_until(lambda: status_of(port) == 200, "no answer")
        # An access line has some 70 bytes, a pipe holds 64 KiB.
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
        for _ in range(1_500):
            connection.request("GET", "/a.txt")
            connection.getresponse().read()
        connection.close()
        workers = set(children_of(server.pid))
        killed = min(workers)
        os.kill(killed, signal.SIGKILL)
        wait_until(
            lambda: len(set(children_of(server.pid)) - {killed}) == 2, "the worker was not replaced"
        )
        server.send_signal(signal.SIGTERM)
        assert server.wait(LONG) == 0
        assert status_of(port) is None


def test_idle_connections_cannot_take_the_descriptors_of_files(root: Path) -> None:
    port = free_port()

    def allow_few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))

    with (
        process(str(root), "--port", str(port), preexec_fn=allow_few),
        contextlib.ExitStack() as idle,
    ):
        wait_until(lambda: status_of(port) == 200, "no answer")
        first = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
        idle.callback(first.close)
        first.request("GET", "/a.txt")
        assert first.getresponse().read() == b"a"
        for _ in range(60):
            newcomer = socket.create_connection(("127.0.0.1", port))
            idle.callback(newcomer.close)
        wait_until(lambda: status_of(port) == 503, "newcomers are not turned away")
        first.request("GET", "/a.txt")
        answer = first.getresponse()
        assert (answer.status, answer.read()) == (200, b"a")


def test_a_tls_handshake_has_the_time_of_a_head(root: Path, tmp_path: Path) -> None:
    port = free_port()
    authority = trustme.CA()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    options = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    with process(str(root), "--port", str(port), "--header-timeout-seconds", "1", *options):
        wait_until(lambda: is_open(port), "no listener")
        with socket.create_connection(("127.0.0.1", port), timeout=LONG) as silent:
            # uvicorn's loops wait for 60 seconds when nobody tells them.
            assert silent.recv(1) == b""


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_a_hang_up_is_a_graceful_end(root: Path) -> None:
    port = free_port()
    with process(str(root), "--port", str(port)) as server:
        wait_until(lambda: status_of(port) == 200, "no answer")
        server.send_signal(signal.SIGHUP)
        assert server.wait(LONG) == 0
