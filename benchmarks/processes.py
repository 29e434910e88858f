"""Processes that a measurement starts: pinned to cores, read from /proc, and always ended."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 5.0


class StartError(Exception):
    """A process did not come to serve; the message is a sentence with its last output."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the servers and where the clients run."""

    server: frozenset[int]
    client: frozenset[int]

    @classmethod
    def apart(cls) -> "Cores":
        """One core for each side; the same one where there is no second."""
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(frozenset({first}), frozenset({others[0] if others else first}))

    def together(self) -> "Cores":
        """Both cores for both sides."""
        both = self.server | self.client
        return Cores(both, both)


@contextlib.contextmanager
def started(
    command: Sequence[str],
    *,
    cores: frozenset[int],
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """The process of command, its output appended to log; ended with all its children."""
    with log.open("ab") as output, pinned(cores):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=Path(__file__).parent.parent,
            process_group=0,
        )
    try:
        yield process
    finally:
        end(process)


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """What is started inside runs on these cores: affinity is inherited."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask twice, as a hasty admin does, then kill; the children too, by their ids."""
    family = tree(process.pid)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5 if number == signal.SIGTERM else _STOP_SECONDS)
    if process.poll() is None:
        print(f"process {process.pid} does not end", file=sys.stderr)
    for pid, born in family.items():
        if birth(pid) == born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def tree(pid: int) -> dict[int, str]:
    """A process and all that descend from it now, each with the moment of its birth."""
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        born = birth(current)
        if born and current not in found:
            found[current] = born
            waiting += _children(current)
    return found


def birth(pid: int) -> str:
    """When the process of that id began, in ticks since boot; empty when there is none."""
    fields = _stat_fields(pid)
    return fields[19] if fields else ""


def cpu_seconds(pids: Mapping[int, str]) -> float:
    """User and system time of living processes, and of their children that were waited for."""
    ticks = 0
    for pid in pids:
        fields = _stat_fields(pid)
        ticks += sum(map(int, fields[11:15])) if fields else 0
    return ticks / _TICKS_PER_SECOND


def busy_seconds(cores: frozenset[int]) -> float:
    """For how long these cores have not been idle since boot, whoever used them."""
    names = {f"cpu{core}" for core in cores}
    ticks = 0
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _waiting, *interrupts = map(int, fields[:8])
            ticks += user + nice + system + sum(interrupts)
    return ticks / _TICKS_PER_SECOND


def proportional_bytes(pids: Mapping[int, str]) -> int:
    """Resident memory, pages shared by n processes counted as an nth for each (PSS)."""
    return sum(map(_proportional_bytes, pids))


def state(pid: int) -> str:
    """The state's letter: R, S, D, T, Z ...; empty when there is no such process."""
    fields = _stat_fields(pid)
    return fields[0] if fields else ""


def wait_for_exit(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Return as soon as it ends; raises StartError when it does not end in time, or not well."""
    # Popen.wait with a timeout looks every 50 ms only.
    watched = os.pidfd_open(process.pid)
    try:
        ended, _, _ = select.select([watched], [], [], seconds)
    finally:
        os.close(watched)
    if not ended:
        raise StartError(f"process {process.pid} did not end within {seconds} s")
    if status := process.wait():
        raise StartError(f"process {process.pid} ended with status {status}")


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            text = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
            children += map(int, text.split())
    return children


def _proportional_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024
