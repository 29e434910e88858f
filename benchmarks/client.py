"""What a load is, and the client process that makes it: loadgen.c, else loadgen.py."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, cast

from benchmarks.processes import end, pinned

_HERE = Path(__file__).parent
# What a client may take longer than its time on a machine that is busy.
_GRACE_SECONDS = 30.0


class Habit(Enum):
    """What a client does with its connection when it has what it wants."""

    KEEPS_ALIVE = "keeps alive"
    CLOSES = "closes"
    DROPS_EARLY = "drops early"  # a player: open-ended ranges, left after 1 to 4 MiB


class Channel(Enum):
    """How a client reaches the server."""

    PLAIN = "http"
    TLS = "https"


class ClientError(Exception):
    """A client did not do its work; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Load:
    """A number of alike connections.  Zero means: no range, no pace, no pause, no limit.

    bytes_per_second is what a slow reader takes; pause_seconds is between response and request;
    requests_each ends the load when every connection has had so many responses.
    """

    path: str
    connections: int
    range_bytes: int = 0
    file_bytes: int = 0
    habit: Habit = Habit.KEEPS_ALIVE
    bytes_per_second: int = 0
    pause_seconds: float = 0.0
    requests_each: int = 0
    accept: str = "*/*"

    def arguments(self, port: int, seconds: float, warm_up_seconds: float) -> list[str]:
        """The name=value arguments of the client program."""
        values = {
            "port": port,
            "path": self.path,
            "connections": self.connections,
            "seconds": seconds,
            "warmup": warm_up_seconds,
            "range": self.range_bytes,
            "length": self.file_bytes,
            "player": int(self.habit is Habit.DROPS_EARLY),
            "close": int(self.habit is Habit.CLOSES),
            "rate": self.bytes_per_second,
            # A slow reader's kernel shall not read ahead for it.
            "rcvbuf": 8192 if self.bytes_per_second else 0,
            "pause": self.pause_seconds,
            "each": self.requests_each,
            "accept": self.accept,
        }
        return [f"{name}={value}" for name, value in values.items()]


@dataclass(frozen=True, slots=True)
class Report:
    """What one client saw in its window; times in seconds, percentiles are 50, 99 and 99.9."""

    seconds: float
    bytes: int
    requests: int
    errors: int
    refused: int
    least_bytes: int
    most_bytes: int
    first_finish: float
    last_finish: float
    client_cpu: float
    first_byte: list[float]
    latency: list[float]


class Run:
    """One client process at work."""

    def __init__(self, process: "subprocess.Popen[bytes]", patience_seconds: float) -> None:
        self._process = process
        self._patience_seconds = patience_seconds

    @property
    def _output(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdout)

    def wait_for_begin(self) -> None:
        """Return when the warm-up is over."""
        if self._line() != b"begin\n":
            raise ClientError("the client did not begin")

    def wait_for_report(self) -> Report:
        """Return when the time is over; connections stay open until the run is left."""
        line = self._line()
        if not line:
            raise ClientError("the client ended without a report")
        return Report(**json.loads(line))

    def _line(self) -> bytes:
        ready, _, _ = select.select([self._output], [], [], self._patience_seconds)
        if not ready:
            raise ClientError(f"the client said nothing for {self._patience_seconds:.0f} s")
        return self._output.readline()


@dataclass(frozen=True, slots=True)
class Client:
    """The programs to run; native is None where there is no C compiler."""

    native: Path | None
    cores: frozenset[int]

    @property
    def description(self) -> str:
        name = "loadgen.c" if self.native else "loadgen.py (no C compiler found: it costs more)"
        return f"{name}; over TLS loadgen.py"

    @contextlib.contextmanager
    def running(
        self,
        load: Load,
        port: int,
        *,
        seconds: float,
        warm_up_seconds: float = 0.0,
        channel: Channel = Channel.PLAIN,
        cores: frozenset[int] | None = None,
    ) -> Iterator[Run]:
        """A client that works for so long; ended when the context is left, done or not."""
        command = [*self._program(channel), *load.arguments(port, seconds, warm_up_seconds)]
        with pinned(cores or self.cores):
            # Unbuffered: a line that waits in a buffer of ours is not seen by select.
            process = subprocess.Popen(
                command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
            )
        try:
            yield Run(process, seconds + warm_up_seconds + _GRACE_SECONDS)
        finally:
            for stream in (process.stdin, process.stdout):
                cast("IO[bytes]", stream).close()
            end(process)

    def _program(self, channel: Channel) -> list[str]:
        if self.native and channel is Channel.PLAIN:
            return [os.fspath(self.native)]
        return [
            sys.executable,
            os.fspath(_HERE / "loadgen.py"),
            f"tls={int(channel is Channel.TLS)}",
        ]


def prepare_client(scratch: Path, cores: frozenset[int]) -> Client:
    """Compile loadgen.c into scratch where there is a compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    program = scratch / "loadgen"
    if compiler:
        command = [
            *compiler.split(),
            "-O2",
            "-o",
            os.fspath(program),
            os.fspath(_HERE / "loadgen.c"),
        ]
        if subprocess.run(command, check=False).returncode == 0:
            return Client(program, cores)
    return Client(None, cores)
