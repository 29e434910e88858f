"""Workers: how they start, what becomes of the crashed and the stuck, and how they end together."""

import http.client
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from running_server import REPOSITORY, STRICT_FLAGS, RunningServer, running_server, started

from fileserve.operations.shutdown import Drained, Load
from fileserve.operations.worker_reports import Kind, Report, Reporter, read_reports
from fileserve.workers import LONGEST_PAUSE_SECONDS, pause_seconds

SOON_SECONDS = 60.0
LARGE_BYTES = 48 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "small.txt").write_bytes(b"0123456789")
    with open(folder / "large.bin", "wb") as file:
        file.truncate(LARGE_BYTES)
    return folder


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def request(server: RunningServer, path: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=SOON_SECONDS)
    connection.request("GET", path)
    return connection


def status(server: RunningServer, path: str) -> int:
    with closing(request(server, path)) as connection:
        return connection.getresponse().status


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_each_worker_is_a_process_of_its_own(root: Path) -> None:
    with running_server(root, "--workers", "3") as server:
        assert len(server.worker_pids()) == 3
        assert server.pid not in server.worker_pids()
        assert {status(server, "/small.txt") for _ in range(20)} == {200}


def test_crashed_worker_is_replaced_and_its_connections_wait_for_the_successor(root: Path) -> None:
    with running_server(root, "--workers", "2") as server:
        before = set(server.worker_pids())
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        server.output.wait_for(f"worker {victim} ended by SIGKILL; another starts in 0.5 s")
        # Some of these are dealt to the socket that nobody serves at this moment.
        assert {status(server, "/small.txt") for _ in range(20)} == {200}
        wait_until(lambda: len(server.worker_pids()) == 2, "the successor")
        assert len(before & set(server.worker_pids())) == 1
        assert server.stop() == 0


def test_workers_end_when_their_parent_is_killed(root: Path) -> None:
    with running_server(root, "--workers", "2") as server:
        workers = server.worker_pids()
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        wait_until(lambda: not any(map(is_running, workers)), "the orphans to end")


def test_stuck_worker_holds_up_neither_the_port_nor_the_end(root: Path) -> None:
    with running_server(root, "--workers", "2", "--drain-seconds", "0.1") as server:
        stuck = min(server.worker_pids())
        os.kill(stuck, signal.SIGSTOP)
        server.send(signal.SIGTERM)
        with running_server(root, "--port", str(server.port), "--workers", "2") as successor:
            assert {status(successor, "/small.txt") for _ in range(20)} == {200}
        assert server.wait() == 0
        server.output.wait_for(f"worker {stuck} hangs and is left behind")
        wait_until(lambda: not is_running(stuck), "the stuck worker to be killed")


def test_ctrl_c_of_a_terminal_lets_transfers_finish(root: Path) -> None:
    # A terminal sends it to the parent and to every worker.
    with running_server(root, "--workers", "2", "--drain-seconds", "600") as server:
        with closing(request(server, "/large.bin")) as connection:
            response = connection.getresponse()
            os.killpg(server.pid, signal.SIGINT)
            server.output.wait_for("stopping: waits up to 600 s for 1 transfer to finish")
            assert len(response.read()) == LARGE_BYTES
        assert server.wait() == 0


def test_repeated_sigterm_of_the_whole_group_is_one_stop_for_the_workers(root: Path) -> None:
    # As systemd does with KillMode=control-group; the parent's own word is the second for them.
    with running_server(root, "--workers", "2", "--drain-seconds", "600") as server:
        with closing(request(server, "/large.bin")) as connection:
            response = connection.getresponse()
            os.killpg(server.pid, signal.SIGTERM)
            server.output.wait_for("stopping: waits")
            assert len(response.read()) == LARGE_BYTES
        assert server.wait() == 0


FAILING_SUPERVISOR = """
import os, sys
from fileserve.listening import open_listeners
from fileserve.operations.shutdown import leave
from fileserve.workers import Supervisor

class Silent:
    def ready(self): print("ready", flush=True)
    def alive(self, load): pass
    def closed(self, load): pass
    def drained(self, drained): pass

def fail(listeners, events):
    raise RuntimeError("a worker that cannot start")

listeners = open_listeners("127.0.0.1", 0, {}, os.getpid())
supervisor = Supervisor(
    run_worker=fail, listeners=[listeners] * 2, drain_seconds=5.0, events=Silent()
)
leave(supervisor.run())
"""


def test_workers_that_cannot_start_end_the_service() -> None:
    command = [sys.executable, *STRICT_FLAGS, "-c", FAILING_SUPERVISOR]
    with started(command, env={"PYTHONPATH": str(REPOSITORY)}) as server:
        assert server.wait() == 1
        server.output.wait_for("before it was ready")
    assert "ready" not in server.lines


PAUSES = [
    # failures  seconds
    (1,         0.5),
    (2,         1.0),
    (3,         2.0),
    (4,         4.0),
    (5,         LONGEST_PAUSE_SECONDS),
    (10**9,     LONGEST_PAUSE_SECONDS),
]  # fmt: skip


@pytest.mark.parametrize(("failures", "seconds"), PAUSES)
def test_pause_before_the_next_start_doubles_up_to_a_bound(failures: int, seconds: float) -> None:
    assert pause_seconds(failures) == seconds


def test_reports_arrive_whole_and_in_order() -> None:
    receiver, sender = os.pipe()
    try:
        reporter = Reporter(sender)
        reporter.ready()
        reporter.alive(Load(3, 4_000_000_000))
        reporter.closed(Load(2, 5))
        reporter.drained(Drained(1, 1))
        assert list(read_reports(receiver)) == [
            Report(Kind.READY, 0, 0),
            Report(Kind.ALIVE, 3, 4_000_000_000),
            Report(Kind.CLOSED, 2, 5),
            Report(Kind.DRAINED, 1, 1),
        ]
        assert list(read_reports(receiver)) == []
    finally:
        os.close(receiver)
        os.close(sender)


def test_reports_to_a_parent_that_does_not_read_are_dropped_not_waited_for() -> None:
    receiver, sender = os.pipe()
    try:
        reporter = Reporter(sender)
        for _ in range(100_000):  # far more than a pipe holds
            reporter.alive(Load(0, 0))
        assert next(read_reports(receiver)) == Report(Kind.ALIVE, 0, 0)
    finally:
        os.close(receiver)
        os.close(sender)
