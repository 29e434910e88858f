"""Files that come in: PUT on one connection and on eight, until the last is acknowledged."""

import contextlib
import http.client
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.client import ClientError
from benchmarks.metrics import GIB, MIB
from benchmarks.peers.uploading import SECRET, UPLOADERS
from benchmarks.scenarios.scenario import Scenario
from benchmarks.servers import Server
from benchmarks.workshop import LARGE_BYTES, SMALL, random_file

UPLOAD = "upload-{}"
_ANSWER_SECONDS = 120.0
_CREATED = (200, 201, 204)
# Who asks without a token is refused; who does not know tokens takes no notice.
_FIELDS = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/octet-stream"}
_SHOWN = ("throughput", "cpu_per_gib", "memory", "server_busy")


def _measured_by(connections: int) -> Callable[[Bench, Scenario], None]:
    def measure(bench: Bench, scenario: Scenario) -> None:
        peers = [UPLOADERS[peer.name] for peer in bench.plan.peers if peer.name in UPLOADERS]
        size = LARGE_BYTES // connections
        source = random_file(bench.workshop.path / f"source-{size}", size)
        root = bench.workshop.new_folder("uploads")
        random_file(root / SMALL.strip("/"), 4096)
        for number, peer in bench.alternate(scenario.name, peers):
            with (
                bench.attempt(scenario.name, peer),
                bench.new_server(peer, root=root) as server,
            ):
                _upload(server, source, root, 1)  # warms up
                figures = _figures(bench, server, source, root, connections)
                bench.record(scenario.name, peer.name, number, figures, scenario.headline)

    return measure


def _figures(
    bench: Bench, server: Server, source: Path, root: Path, connections: int
) -> dict[str, float]:
    """What the uploads took, without what the disk still had to do for those before."""
    os.sync()
    cpu, began = server.cpu_seconds(), time.perf_counter()
    memory = _upload(server, source, root, connections)
    seconds, cpu = time.perf_counter() - began, server.cpu_seconds() - cpu
    total = source.stat().st_size * connections
    return {
        "throughput": total / MIB / seconds,
        "cpu_per_gib": cpu / (total / GIB),
        "server_busy": 100 * cpu / seconds,
        "memory": memory / MIB,
    }


def _upload(server: Server, source: Path, root: Path, connections: int) -> int:
    """Put the source under as many new names at once, and remove it; the memory in between."""
    names = [f"new-{time.monotonic_ns()}-{number}.bin" for number in range(connections)]
    try:
        with ThreadPoolExecutor(connections) as threads:
            uploads = [threads.submit(_put, server.port, f"/{name}", source) for name in names]
            for upload in uploads:
                upload.result()
        return server.proportional_bytes()
    finally:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (root / name).unlink()


def _put(port: int, target: str, source: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    with contextlib.closing(connection), source.open("rb") as file:
        connection.putrequest("PUT", target)
        for name, value in (*_FIELDS.items(), ("Content-Length", f"{source.stat().st_size}")):
            connection.putheader(name, value)
        connection.endheaders()
        connection.sock.sendfile(file)
        response = connection.getresponse()
        content = response.read(200)
        if response.status not in _CREATED:
            raise ClientError(f"PUT was answered with {response.status} {content!r}")


def _scenario(connections: int) -> Scenario:
    size = LARGE_BYTES // MIB // connections
    several = "" if connections == 1 else "s, each"
    title = f"PUT of {size} MiB, {connections} connection{several}"
    return Scenario(UPLOAD.format(connections), title, _SHOWN, _measured_by(connections))


SCENARIOS: tuple[Scenario, ...] = (_scenario(1), _scenario(8))
