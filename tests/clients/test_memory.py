"""Large files pass through the server without staying in its memory."""

import contextlib
import re
import time
from pathlib import Path

import pytest

from tests.clients.access_log import errors_in, wait_for_access_lines
from tests.clients.programs import IS_BIG, PATIENCE_SECONDS, require, running
from tests.clients.samples import MIB, write_sparse
from tests.running_server import RunningServer, running_server

SIZE = (2048 if IS_BIG else 384) * MIB
CLIENTS = 8
LIMIT = 100 * MIB

SENDINGS = [
    pytest.param(("--zero-copy", "film.iso"), id="zero-copy"),
    pytest.param(("--chunked", "film.iso"), id="chunked"),
    pytest.param(("--zero-copy", "film.iso", "--workers", "2"), id="zero-copy-two-workers"),
    pytest.param(("--chunked", "film.iso", "--workers", "2"), id="chunked-two-workers"),
]


@pytest.mark.parametrize("options", SENDINGS)
def test_eight_downloads_at_once_need_less_than_100_mib(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    require("curl")
    write_sparse(tmp_path / "film.iso", SIZE)
    # As users run it: development mode (-X dev) needs more memory.
    with running_server(tmp_path, *options, python_flags=()) as server:
        began = time.monotonic()
        _download_eight_times(f"{server.url}film.iso")
        seconds = time.monotonic() - began
        lines = wait_for_access_lines(server, "/film.iso", CLIENTS)
        peak = _peak_bytes(server)
        print(
            f"{CLIENTS} x {SIZE} bytes, {' '.join(options)}: "
            f"{peak / MIB:.1f} MiB at most, {seconds:.1f} s"
        )
        assert errors_in(server) == []
    assert [(line.status, line.bytes) for line in lines] == [(200, SIZE)] * CLIENTS
    assert peak < LIMIT


def _download_eight_times(url: str) -> None:
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", url]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running(command)) for _ in range(CLIENTS)]
        assert [client.wait(PATIENCE_SECONDS) for client in clients] == [0] * CLIENTS


def _peak_bytes(server: RunningServer) -> int:
    """The most memory of all processes of the server together, shared pages counted once.

    Peaks are known of each process alone; what they share now is taken off all but one.
    """
    pids = {server.pid, *server.worker_pids()}
    shared = sum(_rollup_bytes(pid, "Rss") - _rollup_bytes(pid, "Pss") for pid in pids)
    return server.peak_resident_bytes() - (shared if len(pids) > 1 else 0)


def _rollup_bytes(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1]) * 1024
