"""What systemd sees of us: units it accepts, sockets it hands over, words it hears."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from running_server import REPOSITORY, STRICT_FLAGS, running_server, started

from fileserve.listening import Listeners, Owner, open_listeners
from fileserve.operations import readiness
from fileserve.operations.readiness import ServiceManager
from fileserve.operations.shutdown import ExitCode

SOON_SECONDS = 60.0
UNITS = [REPOSITORY / "systemd" / "fileserve.service", REPOSITORY / "systemd" / "fileserve.socket"]
WRITABLE = REPOSITORY / "systemd" / "writable.conf"
MOST_EXPOSURE = 1.5


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "small.txt").write_bytes(b"0123456789")
    return folder


@pytest.fixture
def manager_socket(tmp_path: Path) -> Iterator[socket.socket]:
    """The end of NOTIFY_SOCKET at which systemd listens; its address is its name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(SOON_SECONDS)
        yield listener


# Units


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit_without_a_word(unit: Path) -> None:
    verified = analyze("verify", "--man=no", unit)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_service_is_exposed_as_little_as_promised() -> None:
    judged = analyze("security", "--offline=yes", UNITS[0])
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged.stdout)
    assert level is not None, judged.stderr
    assert float(level[1]) <= MOST_EXPOSURE


def test_the_sandbox_stays_closed_when_uploads_are_allowed(tmp_path: Path) -> None:
    service = tmp_path / UNITS[0].name
    # systemd appends a drop-in to the unit, section by section.
    service.write_text(f"{UNITS[0].read_text()}\n{WRITABLE.read_text()}")
    verified = analyze("verify", "--man=no", service, UNITS[1])
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    judged = analyze("security", "--offline=yes", service)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged.stdout)
    assert level is not None, judged.stderr
    assert float(level[1]) <= MOST_EXPOSURE


# Which calls the service lives by, and what would break without them.
NEEDED_CALLS = ["openat2", "statx", "sendfile", "preadv2", "prlimit64", "epoll_pwait", "clone3"]
# For uploads and their locks, and the catalog's.
NEEDED_CALLS += ["linkat", "renameat2", "fsync", "fdatasync", "fallocate", "flock", "pwritev2"]


@pytest.mark.parametrize("call", NEEDED_CALLS)
def test_system_call_filter_lets_through_what_the_server_needs(call: str) -> None:
    denied = analyze("syscall-filter", "@privileged", "@resources").stdout.split()
    assert denied
    assert call not in denied
    assert call in _calls_of("@system-service")


def _calls_of(name: str) -> set[str]:
    """The calls in a set of systemd's, those of the sets within it included."""
    words = set(analyze("syscall-filter", name).stdout.split())
    inner = {word for word in words if word.startswith("@") and word != name}
    return words.union(*map(_calls_of, inner))


# Readiness


def test_systemd_hears_of_the_start_of_life_and_of_the_stop(
    root: Path, manager_socket: socket.socket
) -> None:
    environment = {"NOTIFY_SOCKET": manager_socket.getsockname(), "WATCHDOG_USEC": "30000000"}
    for options in ([], ["--workers", "2"]):
        with running_server(root, *options, env=environment) as server:
            ready = manager_socket.recv(4096).decode().split("\n")
            assert ready == ["READY=1", f"STATUS=Serving at {server.url}"]
            alive = manager_socket.recv(4096).decode().split("\n")
            assert alive == ["WATCHDOG=1", "STATUS=Serving: 0 transfers, 0 connections"]
            assert server.stop() == 0
            words: list[str] = []
            while "STOPPING=1" not in words:
                words = manager_socket.recv(4096).decode().split("\n")
            assert "EXTEND_TIMEOUT_USEC=35000000" in words  # drain_seconds and the farewell
        _empty(manager_socket)


def _empty(listener: socket.socket) -> None:
    listener.setblocking(False)
    try:
        while True:
            listener.recv(4096)
    except BlockingIOError:
        listener.settimeout(SOON_SECONDS)


def test_start_and_stop_are_told_even_to_a_manager_that_is_slow(
    manager_socket: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here it is the machine that may be slow.
    monkeypatch.setattr(readiness, "_PATIENCE_SECONDS", SOON_SECONDS)
    manager = ServiceManager(manager_socket.getsockname(), 30.0)
    for _ in range(1000):  # far more than the queue of a socket takes (net.unix.max_dgram_qlen)
        manager.alive("Serving")
    reader = threading.Timer(0.1, manager_socket.recv, [4096])
    reader.start()
    manager.stopping("Stopping", 1.0)
    reader.join()
    while b"STOPPING=1\n" not in manager_socket.recv(4096):
        pass


def test_name_in_the_abstract_namespace_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel chooses a name: \0 and five digits (unix(7))
        name = listener.getsockname()
        environment = {"NOTIFY_SOCKET": "@" + os.fsdecode(name[1:])}
        ServiceManager.from_environment(environment, 1).ready("Serving\nMAINPID=1")
        assert listener.recv(4096) == b"READY=1\nSTATUS=Serving MAINPID=1"


WATCHDOG = [
    # environment                                       seconds  id
    ({},                                                None,    "none-asked-for"),
    ({"WATCHDOG_USEC": "30000000"},                     30.0,    "without-a-process"),
    ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"},  0.5,     "for-this-process"),
    ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"},  None,    "for-another-process"),
    ({"WATCHDOG_USEC": "0"},                            None,    "zero"),
    ({"WATCHDOG_USEC": "-1"},                           None,    "negative"),
    ({"WATCHDOG_USEC": "soon"},                         None,    "no-number"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "seconds"), [row[:2] for row in WATCHDOG], ids=[row[2] for row in WATCHDOG]
)
def test_watchdog_is_asked_for_in_the_environment(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert ServiceManager.from_environment(environment, 7).watchdog_seconds == seconds


def test_nobody_to_tell_is_no_error(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": f"{tmp_path}/none"}):
        manager = ServiceManager.from_environment(environment, 1)
        manager.ready("Serving")
        manager.stopping("Stopping", 1.0)


# Socket activation


def test_inherited_socket_is_served_and_goes_on_listening_afterwards(root: Path) -> None:
    for options in ([], ["--workers", "2"]):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            host, port = listener.getsockname()
            # As systemd does it: the descriptor is 3, LISTEN_PID is the server's own.
            serve = [sys.executable, *STRICT_FLAGS, "-m", "cli", "serve", str(root), *options]
            hand_over = f'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&{listener.fileno()}'
            command = ["bash", "-c", hand_over, "bash", *serve]
            with started(command, pass_fds=[listener.fileno()]) as server:
                server.output.wait_for(f"at http://{host}:{port}/")
                with closing(http.client.HTTPConnection(host, port, SOON_SECONDS)) as connection:
                    connection.request("GET", "/small.txt")
                    assert connection.getresponse().read() == b"0123456789"
                assert server.stop() == 0
            # Who comes between two runs waits in the queue of the socket, which is not ours.
            assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            socket.create_connection((host, port), SOON_SECONDS).close()


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "HOME": "/"}
    listeners = open_listeners("127.0.0.1", 0, environment, os.getpid())
    with closing(listeners):
        assert listeners.owner is Owner.OURS
    assert environment == {"HOME": "/"}  # no child of ours shall take them for its own


def test_inherited_descriptor_that_does_not_listen_is_refused(root: Path) -> None:
    with socket.socket() as idle:
        serve = [sys.executable, *STRICT_FLAGS, "-m", "cli", "serve", str(root)]
        hand_over = f'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&{idle.fileno()}'
        command = ["bash", "-c", hand_over, "bash", *serve]
        with started(command, pass_fds=[idle.fileno()]) as server:
            assert server.wait() == ExitCode.WRONG_SETTING
            server.output.wait_for("does not listen")


@pytest.mark.parametrize(("owner", "goes_on"), [(Owner.OURS, False), (Owner.SYSTEMD, True)])
def test_silence_ends_the_listening_of_stuck_processes_but_not_of_systemd(
    owner: Owner, goes_on: bool
) -> None:
    made = open_listeners("127.0.0.1", 0, {}, os.getpid())
    address = made.sockets[0].getsockname()
    with made.sockets[0].dup():  # what a process that hangs would keep open
        listeners = Listeners(made.sockets, owner)
        listeners.silence()
        listeners.close()
        with socket.socket() as client:
            assert (client.connect_ex(address) == 0) == goes_on
        if not goes_on:
            open_listeners("127.0.0.1", address[1], {}, os.getpid()).close()
