"""The kernel's own record that bytes of files leave by sendfile, all of them and nothing else."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fileserve.http.ranges import Span
from tests.clients.access_log import access_lines, wait_for_access_lines
from tests.clients.programs import PATIENCE_SECONDS, finish, not_tested, require, wait_until
from tests.clients.samples import MIB, write_random
from tests.running_server import RunningServer, running_server

SIZE = 8 * MIB
# `sendfile(15, 14, [262144] => [524288], 262144) = 262144`, perhaps with a thread's id before it.
_CALL = re.compile(r"sendfile\(\d+, \d+, \[(\d+)\](?: => \[\d+\])?, \d+\)\s+= (\d+)")
_ATTACHED = re.compile(r"Process \d+ attached")

REQUESTS = [
    # Range field value                              what sendfile has to cover
    pytest.param(None, [Span(0, SIZE)], id="whole-file"),
    pytest.param("bytes=0-0", [Span(0, 1)], id="one-byte"),
    pytest.param("bytes=1000000-3999999", [Span(1_000_000, 4_000_000)], id="single-range"),
    pytest.param("bytes=-500000", [Span(SIZE - 500_000, SIZE)], id="suffix-range"),
    pytest.param(
        "bytes=0-999999, 3000000-4999999, -700000",
        [Span(0, 1_000_000), Span(3_000_000, 5_000_000), Span(SIZE - 700_000, SIZE)],
        id="every-part-of-a-multi-range",
    ),
]


@dataclass(frozen=True, slots=True)
class Traced:
    """A server and the one file it has to offer."""

    server: RunningServer
    path: Path


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    require("strace", "curl")
    root = tmp_path_factory.mktemp("root")
    write_random(root / "film.iso", SIZE)
    with running_server(root) as server:
        yield Traced(server, root / "film.iso")


@pytest.mark.parametrize(("range_field", "expected"), REQUESTS)
def test_every_byte_of_a_file_leaves_by_sendfile(
    range_field: str | None, expected: list[Span], traced: Traced, tmp_path: Path
) -> None:
    trace, answer = tmp_path / "trace", tmp_path / "answer"
    before = len(access_lines(traced.server, "/film.iso"))
    with _strace(traced.server.pid, trace):
        asked = [] if range_field is None else ["-H", f"Range: {range_field}"]
        done = finish(
            ["curl", "-sS", "--fail", *asked, "-o", answer, f"{traced.server.url}film.iso"]
        )
        assert done.returncode == 0, done.stderr
        # Only then has the server come back from its last call, and strace has seen that.
        wait_for_access_lines(traced.server, "/film.iso", before + 1)
    assert _covered(trace.read_text()) == expected
    content, file = answer.read_bytes(), traced.path.read_bytes()
    assert all(file[span.start : span.stop] in content for span in expected)


def test_a_chunked_file_leaves_without_sendfile(traced: Traced, tmp_path: Path) -> None:
    """That the others see sendfile is no accident of how they look."""
    trace = tmp_path / "trace"
    with (
        running_server(traced.path.parent, "--chunked", "film.iso") as server,
        _strace(server.pid, trace),
    ):
        done = finish(["curl", "-sS", "--fail", "-o", tmp_path / "a", f"{server.url}film.iso"])
        assert done.returncode == 0, done.stderr
    assert _covered(trace.read_text()) == []
    assert (tmp_path / "a").read_bytes() == traced.path.read_bytes()


@contextlib.contextmanager
def _strace(pid: int, trace: Path) -> Iterator[None]:
    """Records the sendfile calls of a process while the block runs."""
    messages = trace.with_suffix(".messages")
    with messages.open("wb") as log:
        process = subprocess.Popen(
            ["strace", "-f", "-e", "trace=sendfile", "-o", trace, "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        wait_until(lambda: _is_attached(process, pid, messages), "strace to attach")
        yield
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_SECONDS)
    finally:
        # A tracer that is killed lets go of the traced.
        process.kill()
        process.wait(PATIENCE_SECONDS)


def _is_attached(process: "subprocess.Popen[bytes]", pid: int, messages: Path) -> bool:
    if process.poll() is not None:
        not_tested(f"strace may not look at a process of ours: {messages.read_text().strip()}")
    threads = len(os.listdir(f"/proc/{pid}/task"))
    text = messages.read_text()
    return len(_ATTACHED.findall(text)) >= 1 and _traced_threads(pid, process.pid) == threads


def _traced_threads(pid: int, tracer: int) -> int:
    traced = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            status = Path(f"/proc/{pid}/task/{thread}/status").read_text()
            traced += f"TracerPid:\t{tracer}\n" in status
    return traced


def _covered(trace: str) -> list[Span]:
    """What the calls sent, in the order of the file, touching pieces joined."""
    sent = sorted((int(start), int(start) + int(count)) for start, count in _CALL.findall(trace))
    spans: list[Span] = []
    for start, stop in sent:
        if spans and spans[-1].stop == start:
            spans[-1] = Span(spans[-1].start, stop)
        elif start < stop:
            spans.append(Span(start, stop))
    return spans
