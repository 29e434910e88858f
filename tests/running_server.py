"""The real server as a process of its own, for tests that talk to it from outside.

    with running_server(tmp_path, "--drain-seconds", "5") as server:
        httpx.get(server.url + "film.mkv")

It is started by the command that users type, warnings are errors, and whatever the test does, it
is gone afterwards: stopped by its process id, killed when it does not stop.
"""

import atexit
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
STRICT_FLAGS = ("-X", "dev", "-W", "error")
# Generous: on a noisy machine with two cores an import may take a minute.
START_SECONDS = 180.0
STOP_SECONDS = 45.0
# For what a process printed last; a worker that it left behind keeps its output open for longer.
LAST_LINES_SECONDS = 2.0
_STEPS = 20
# Below those that the kernel gives to whoever asks for any, so that no client has it meanwhile.
_KEPT_PORTS = range(20_000, 32_000)
_URL = re.compile(r"\b(https?)://(\[[0-9a-f:]+\]|[0-9.]+):([0-9]+)/")
_LAST_BANNER_LINE = "stop with Ctrl-C"
# asyncio's debug mode (-X dev) says this, in whatever form, of each turn of more than 0.1 s.
_SLOW_MACHINE = "Executing <"


@dataclass
class Output:
    """Lines that a process prints, standard output and error together, as they come."""

    lines: list[str] = field(default_factory=list)
    is_complete: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def follow(self, stream: Iterator[bytes]) -> None:
        """Collects until the stream ends; runs in a thread of its own."""
        for raw_line in stream:
            line = raw_line.decode("utf-8", "replace").rstrip("\n")
            if _SLOW_MACHINE in line:
                continue
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self.is_complete = True
            self._changed.notify_all()

    def wait_for(self, text: str, seconds: float = START_SECONDS) -> str:
        """The first line that contains text; fails with all lines when none comes in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for line in self.lines:
                    if text in line:
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or self.is_complete:
                    raise AssertionError(f"no line with {text!r} in:\n{self.text()}")
                self._changed.wait(left)

    def wait_for_the_end(self, seconds: float) -> None:
        """Until nobody can print any more, but not longer than that."""
        # In steps: a stall of this process ends but one, and the thread that reads goes on.
        with self._changed:
            for _ in range(_STEPS):
                if self._changed.wait_for(lambda: self.is_complete, seconds / _STEPS):
                    return

    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass
class RunningServer:
    """A server that answers; host and port are those of its first URL."""

    process: subprocess.Popen[bytes]
    output: Output
    scheme: str = ""
    host: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        """With a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def lines(self) -> list[str]:
        """Everything printed until now: start-up lines, log lines, warnings."""
        return self.output.lines

    def worker_pids(self) -> list[int]:
        """The processes that serve: children of the first, or itself where it has none."""
        return _children(self.pid) or [self.pid]

    def resident_bytes(self) -> int:
        """Memory that the server's processes hold now, shared pages counted for each of them."""
        return sum(_status_bytes(pid, "VmRSS") for pid in {self.pid, *self.worker_pids()})

    def peak_resident_bytes(self) -> int:
        """The most memory that its processes ever held."""
        return sum(_status_bytes(pid, "VmHWM") for pid in {self.pid, *self.worker_pids()})

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit code, once its last line is here, too; raises TimeoutExpired if it stays."""
        code = self.process.wait(seconds)
        self.output.wait_for_the_end(LAST_LINES_SECONDS)
        return code

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Ends it as systemd would; the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """Ends it as a power cut would, its workers too."""
        for pid in {*self.worker_pids(), self.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)


@contextlib.contextmanager
def running_server(
    root: str | os.PathLike[str],
    *options: str,
    env: Mapping[str, str] | None = None,
    python_flags: Sequence[str] = STRICT_FLAGS,
    pass_fds: Sequence[int] = (),
) -> Iterator[RunningServer]:
    """A server of root on a free port, answering; options are those of `fileserve serve`.

    env is added to the environment.  pass_fds stay open in the server under their own numbers.
    """
    command = [sys.executable, *python_flags, "-m", "cli", "serve", os.fspath(root)]
    with started([*command, "--port", "0", *options], env=env, pass_fds=pass_fds) as server:
        server.output.wait_for(_LAST_BANNER_LINE)
        if found := next(filter(None, map(_URL.search, server.lines)), None):
            server.scheme, server.port = found[1], int(found[3])
            server.host = found[2].strip("[]")
        yield server


@contextlib.contextmanager
def started(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[RunningServer]:
    """The process of command, ready or not, in a process group of its own; ends it afterwards."""
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=_environment(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=pass_fds,
        process_group=0,
    )
    assert process.stdout is not None
    output = Output()
    reader = threading.Thread(target=output.follow, args=(process.stdout,), daemon=True)
    reader.start()
    server = RunningServer(process, output)
    try:
        yield server
    finally:
        _end(server)
        reader.join(STOP_SECONDS)
        if not reader.is_alive():
            process.stdout.close()


def free_port() -> int:
    """A port of loopback for what cannot be started with port 0, or is to be started there again.

    No other test gets it, in whichever process, until this process ends.
    """
    for port in random.sample(_KEPT_PORTS, 100):
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with socket.socket() as probe, contextlib.suppress(OSError):
            mark.bind(f"\0fileserve-tests-port-{port}")
            probe.bind(("127.0.0.1", port))
            atexit.register(mark.close)
            return port
        mark.close()
    raise AssertionError("a hundred ports are taken")


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """Ours without what would change the server's settings, plus what was added."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("FILESERVE_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **added}


def _end(server: RunningServer) -> None:
    if server.process.poll() is not None:
        return
    # Twice: the test is over, nobody waits for its transfers.
    for _ in range(2):
        server.send(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.5)
            return
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        pytest.fail(f"the server did not stop:\n{server.output.text()}")


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0
