"""Peak memory while 64 clients read a file of 10 GiB."""

import time

from benchmarks.bench import Bench
from benchmarks.client import Load
from benchmarks.metrics import MIB
from benchmarks.peers import COMPANY
from benchmarks.scenarios.scenario import Scenario
from benchmarks.servers import Server
from benchmarks.workshop import SPARSE

_READERS = Load(SPARSE, 64)
_SAMPLE_SECONDS = 0.2
_LEAST_SECONDS = 2.0


def _measure(bench: Bench, scenario: Scenario) -> None:
    bench.workshop.sparse_file()
    for number, peer in bench.alternate_costly(scenario.name, bench.peers(among=COMPANY)):
        with bench.attempt(scenario.name, peer), bench.new_server(peer) as server:
            figures = _figures(bench, server)
            bench.record(scenario.name, peer.name, number, figures, scenario.headline)


def _figures(bench: Bench, server: Server) -> dict[str, float]:
    seconds = max(bench.plan.seconds, _LEAST_SECONDS)
    idle = peak = server.proportional_bytes()
    with bench.client.running(_READERS, server.port, seconds=seconds) as run:
        run.wait_for_begin()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            peak = max(peak, server.proportional_bytes())
            time.sleep(_SAMPLE_SECONDS)
        report = run.wait_for_report()
        peak = max(peak, server.proportional_bytes())
    return {
        "peak_memory": peak / MIB,
        "memory_over_idle": (peak - idle) / MIB,
        "throughput": report.bytes / MIB / report.seconds,
        "errors": float(report.errors),
    }


SCENARIO = Scenario(
    "memory",
    "Peak memory, 64 transfers of a sparse file of 10 GiB",
    ("peak_memory", "memory_over_idle", "throughput", "errors"),
    _measure,
)
