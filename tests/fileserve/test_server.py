"""The server as a process: what it refuses at its start, what it says, and how it ends."""

import contextlib
import http.client
import os
import re
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from frozen_mount import frozen_mount
from running_server import STRICT_FLAGS, RunningServer, running_server, started

from fileserve.listening import open_listeners
from fileserve.operations.shutdown import (
    Drained,
    ExitCode,
    StartRefused,
    drained_sentence,
    waiting_sentence,
)

# More than two socket buffers hold (tcp_wmem and tcp_rmem end at 4 and 6 MiB by default), so that
# a transfer whose client does not read is certainly under way.
LARGE_BYTES = 48 << 20
SOON_SECONDS = 60.0
WITHOUT_UVLOOP = "raise ImportError('this machine has no uvloop')\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "small.txt").write_bytes(b"0123456789")
    with open(folder / "large.bin", "wb") as file:
        file.truncate(LARGE_BYTES)
    return folder


@pytest.fixture(params=["uvloop", "asyncio", "two workers"])
def variant(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """Options and environment of a server on each loop, and of one with workers."""
    if request.param == "asyncio":
        (tmp_path / "blocked").mkdir()
        (tmp_path / "blocked" / "uvloop.py").write_text(WITHOUT_UVLOOP)
        return [], {"PYTHONPATH": str(tmp_path / "blocked")}
    return (TWO_WORKERS if request.param == "two workers" else []), {}


def get(server: RunningServer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=SOON_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


@contextlib.contextmanager
def slow_download(server: RunningServer) -> Iterator[http.client.HTTPResponse]:
    """A transfer of large.bin that has begun and that nobody reads on."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=SOON_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/large.bin")
        response = connection.getresponse()
        assert response.read(1000) == bytes(1000)
        yield response


def can_listen(server: RunningServer) -> bool:
    """Whether another server could start on the port now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((server.host, server.port))
            listener.listen()
        except OSError:
            return False
        return True


def wait_until_port_is_free(server: RunningServer) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not can_listen(server):
        assert time.monotonic() < deadline, "the port is still in use"
        time.sleep(0.01)


def wait_until_it_has_left(server: RunningServer) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "the server is still running"
        time.sleep(0.01)


# The start


def test_start_says_what_is_served_in_a_few_lines(root: Path) -> None:
    with running_server(root, "--chunked", "films") as server:
        assert len(server.lines) <= 6
        assert server.lines[0].endswith(f"serves {root}, read-only")
        assert server.url in server.lines[1]
        assert "zero-copy: on, but for films (--chunked)" in server.lines
        assert "Ctrl-C" in server.lines[-1]
        assert get(server, "/small.txt") == (200, b"0123456789")


def test_start_of_a_server_with_tokens_tells_how_to_make_one(root: Path, tmp_path: Path) -> None:
    state = tmp_path / "its state"
    with running_server(root, "--private", "--state-dir", str(state)) as server:
        (line,) = [line for line in server.lines if line.startswith("let somebody in: ")]
    command = "fileserve token create NAME --scope read --root"
    assert line.endswith(f"FILESERVE_STATE_DIR='{state}' {command} {root}")


def test_json_log_has_nothing_but_json_lines(root: Path) -> None:
    with running_server(root, "--log-format", "json") as server:
        get(server, "/small.txt")
        assert server.stop() == 0
        assert all(line.startswith("{") for line in server.lines), server.lines


def test_network_mounts_are_named_at_the_start(root: Path) -> None:
    with frozen_mount(root / "nas") as mount, running_server(root) as server:
        assert any("network mounts" in line and str(mount.point) in line for line in server.lines)


def test_public_url_comes_first(root: Path) -> None:
    with running_server(root, "--public-url", "https://files.example.org") as server:
        assert server.lines[1].startswith("at https://files.example.org ")


TWO_WORKERS = ["--workers", "2"]


def tls_files(path: str) -> list[str]:
    return ["--tls-certificate", path, "--tls-key", path]


REFUSED = [
    # options                            code  in the sentence                   id
    (["--host", "192.0.2.1"],              2, "has no address 192.0.2.1",       "foreign-address"),
    (["--host", "a" * 64],                 2, "is no address of this machine",  "no-host-name"),
    (["--host", "unix:{tmp}/none/socket"], 3, "folder does not exist",          "path-nowhere"),
    (["--host", "unix:{root}/small.txt"],  7, "in use",                         "path-of-a-file"),
    (["--port", "{taken}"],                7, "is in use by another program",   "port-in-use"),
    (["--port", "{taken}", *TWO_WORKERS],  7, "is in use by another program",   "for-workers"),
    (["--root", "{tmp}/none"],             3, "{tmp}/none",                     "no-such-root"),
    (["--root", "{root}/small.txt"],       3, "is not a folder",                "root-is-a-file"),
    (["--root", "{tmp}/reserved"],         2, "named '-'",                      "shadowed-folder"),
    (tls_files("{tmp}/none.pem"),          3, "one is missing",                 "no-certificate"),
    (tls_files("{root}/small.txt"),        2, "not a PEM certificate",          "not-PEM"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "exit_code", "sentence"),
    [row[:3] for row in REFUSED],
    ids=[row[3] for row in REFUSED],
)
def test_start_is_refused_with_one_sentence(
    root: Path, tmp_path: Path, options: list[str], exit_code: int, sentence: str
) -> None:
    (tmp_path / "reserved" / "-").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places = {"tmp": tmp_path, "root": root, "taken": taken.getsockname()[1]}
        given = [option.format(**places) for option in options]
        given += [] if "--root" in options else ["--root", str(root)]
        given += [] if "--port" in options else ["--port", "0"]
        with started([sys.executable, *STRICT_FLAGS, "-m", "cli", "serve", *given]) as server:
            assert server.wait(SOON_SECONDS * 2) == exit_code
            server.output.wait_for(sentence.format(**places))
    assert "Traceback" not in server.output.text()


def test_protected_folder_is_not_permitted(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    tmp_path.chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(StartRefused) as refused:
            open_listeners(f"unix:{tmp_path}/socket", 0, {}, os.getpid())
    finally:
        os.seteuid(0)
    assert refused.value.exit_code is ExitCode.NOT_PERMITTED


def test_ctrl_c_before_serving_is_an_interruption(tmp_path: Path, root: Path) -> None:
    # A module that takes its time in the place of uvloop: the signal comes while it is imported.
    (tmp_path / "uvloop.py").write_text(
        "print('importing', flush=True)\nimport time\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-m", "cli", "serve", str(root), "--port", "0"]
    with started(command, env={"PYTHONPATH": str(tmp_path)}) as server:
        server.output.wait_for("importing")
        server.send(signal.SIGINT)
        assert server.wait() == ExitCode.INTERRUPTED
    assert "Traceback" not in server.output.text()


def test_open_file_limit_is_raised_to_the_hard_limit(root: Path) -> None:
    command = f"ulimit -Sn 256; exec {sys.executable} -m cli serve {root} --port 0"
    with started(["sh", "-c", command]) as server:
        server.output.wait_for("stop with")
        limits = Path(f"/proc/{server.pid}/limits").read_text()
        soft, hard = re.search(r"Max open files\s+(\d+)\s+(\d+)", limits).groups()  # type: ignore[union-attr]
    assert soft == hard


# Addresses


def test_double_colon_serves_both_internet_protocols(root: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("IPv6 is off here")
    with running_server(root, "--host", "::") as server:
        for host in ("127.0.0.1", "::1"):
            server.host = host
            assert get(server, "/small.txt")[0] == 200


def test_localhost_serves_each_of_its_addresses_on_one_port(root: Path) -> None:
    with running_server(root, "--host", "localhost") as server:
        ports = set(re.findall(r":(\d+)/", server.lines[1]))
        assert len(ports) == 1
        assert get(server, "/small.txt")[0] == 200


def test_unix_socket_serves_and_replaces_what_a_killed_server_left(
    root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    for _ in range(2):
        with running_server(root, "--host", f"unix:{path}") as server:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(SOON_SECONDS)
                client.connect(str(path))
                client.sendall(b"GET /small.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = client.makefile("rb").read()
            assert answer.endswith(b"\r\n\r\n0123456789")
            server.kill()
        assert path.is_socket()


def test_unix_socket_of_a_living_server_is_in_use(tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/socket"
    first = open_listeners(path, 0, {}, os.getpid())
    with contextlib.closing(first), pytest.raises(StartRefused) as refused:
        open_listeners(path, 0, {}, os.getpid())
    assert refused.value.exit_code is ExitCode.ADDRESS_IN_USE


def test_tls_is_served_without_zero_copy(root: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = [
        "--tls-certificate",
        str(tmp_path / "chain.pem"),
        "--tls-key",
        str(tmp_path / "key.pem"),
    ]
    with running_server(root, *files) as server:
        assert server.scheme == "https"
        assert "zero-copy: off, since TLS encrypts in this process" in server.lines
        client = socket.create_connection((server.host, server.port), SOON_SECONDS)
        with client, context.wrap_socket(client, server_hostname="localhost") as secure:
            secure.sendall(b"GET /small.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert secure.makefile("rb").read().endswith(b"0123456789")


def test_forwarded_client_is_believed_only_of_a_trusted_proxy(root: Path) -> None:
    for options, client in (([], "127.0.0.1"), (["--trusted-proxy", "127.0.0.1"], "203.0.113.7")):
        with running_server(root, *options) as server:
            connection = http.client.HTTPConnection(server.host, server.port, SOON_SECONDS)
            with contextlib.closing(connection):
                connection.request("GET", "/small.txt", headers={"X-Forwarded-For": "203.0.113.7"})
                connection.getresponse().read()
            assert f" {client} GET /small.txt" in server.output.wait_for("GET /small.txt")


def test_newcomer_over_the_connection_limit_gets_503(root: Path) -> None:
    with running_server(root, "--max-connections", "1") as server, slow_download(server):
        assert get(server, "/small.txt")[0] == 503


# The end


def test_port_is_free_at_once_and_the_transfer_finishes(
    root: Path, variant: tuple[list[str], dict[str, str]]
) -> None:
    options, environment = variant
    with running_server(root, *options, "--drain-seconds", "600", env=environment) as server:
        with slow_download(server) as response:
            server.send(signal.SIGTERM)
            server.output.wait_for("stopping: waits up to 600 s for 1 transfer to finish")
            wait_until_port_is_free(server)
            assert server.process.poll() is None
            assert len(response.read()) == LARGE_BYTES - 1000
        assert server.wait() == 0
        server.output.wait_for("1 transfer finished")
        server.output.wait_for(f"{LARGE_BYTES} ")


def test_transfer_that_outlasts_the_drain_is_cut_with_the_cause_shutdown(
    root: Path, variant: tuple[list[str], dict[str, str]]
) -> None:
    options, environment = variant
    with running_server(root, *options, "--drain-seconds", "0.3", env=environment) as server:
        with slow_download(server) as response:
            assert server.stop() == 0
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                response.read()
        server.output.wait_for("0 transfers finished, 1 cut")
        assert server.output.wait_for("GET /large.bin").endswith("shutdown")


def test_second_signal_stops_now(root: Path, variant: tuple[list[str], dict[str, str]]) -> None:
    options, environment = variant
    with running_server(root, *options, "--drain-seconds", "600", env=environment) as server:
        with slow_download(server):
            server.send(signal.SIGTERM)
            server.output.wait_for("stopping: waits")
            server.send(signal.SIGTERM)
            assert server.wait() == 0
        assert server.output.wait_for("GET /large.bin").endswith("shutdown")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_connection_does_not_hold_up_the_end(root: Path, number: signal.Signals) -> None:
    with running_server(root, "--drain-seconds", "600") as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=SOON_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", "/small.txt")
            assert connection.getresponse().read() == b"0123456789"
            server.send(number)
            assert connection.sock.recv(1) == b""
        assert server.wait() == 0
        server.output.wait_for("no transfer was running")


def test_hung_mount_holds_up_neither_the_port_nor_the_end(root: Path) -> None:
    with frozen_mount(root / "nas") as mount:
        (mount.source / "film.mkv").write_bytes(bytes(1000))
        options = ("--mount-deadline-seconds", "600", "--drain-seconds", "0.3")
        with running_server(root, *options) as server:
            mount.freeze()
            with socket.create_connection((server.host, server.port), SOON_SECONDS) as client:
                client.sendall(b"GET /nas/film.mkv HTTP/1.1\r\nHost: x\r\n\r\n")
                assert get(server, "/small.txt")[0] == 200
                server.send(signal.SIGTERM)
                wait_until_port_is_free(server)
                with running_server(root, "--port", str(server.port)) as successor:
                    assert get(successor, "/small.txt")[0] == 200
                # A thread that hangs in the kernel keeps the number, but the server has left.
                wait_until_it_has_left(server)
                mount.thaw()
            assert server.wait() == 0


def test_interrupted_drain_is_told_in_words() -> None:
    assert waiting_sentence(1, 30.0).startswith("stopping: waits up to 30 s for 1 transfer to")
    assert waiting_sentence(2, 0.5).startswith("stopping: waits up to 0.5 s for 2 transfers to")
    assert drained_sentence(Drained(0, 0), 0.0) == "stopped; no transfer was running"
    assert drained_sentence(Drained(1, 0), 1.25) == "stopped after 1.2 s: 1 transfer finished"
    assert (
        drained_sentence(Drained(2, 3), 9.0) == "stopped after 9.0 s: 2 transfers finished, 3 cut"
    )
