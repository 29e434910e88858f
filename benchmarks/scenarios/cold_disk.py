"""Ranges of a cached file, alone and while another file comes from a disk of 20 MiB/s."""

import time

from benchmarks.bench import Bench, large_ranges
from benchmarks.client import Load
from benchmarks.metrics import of_company
from benchmarks.peers import COMPANY
from benchmarks.scenarios.loads import KIB
from benchmarks.scenarios.scenario import Scenario
from benchmarks.servers import Server
from benchmarks.slow_disk import slow_disk
from benchmarks.workshop import COLD, MIB, drop_from_cache, random_file

_COLD_BYTES = 512 * MIB
# More than the readahead that the first requests are served from.
_SETTLE_SECONDS = 0.5
# Long enough for a stall of a second to show itself.
_LEAST_SECONDS = 1.5


def _measure(bench: Bench, scenario: Scenario) -> None:
    load = large_ranges(bench, 64 * KIB, 8)
    cold = bench.workshop.root / COLD.strip("/")
    random_file(cold, _COLD_BYTES)
    with slow_disk(cold) as disk:
        for number, peer in bench.alternate_costly(scenario.name, bench.peers(among=COMPANY)):
            with bench.attempt(scenario.name, peer), bench.new_server(peer) as server:
                disk.slow_down(server.pids())
                drop_from_cache(cold)
                figures = _figures(bench, server, load)
                bench.record(scenario.name, peer.name, number, figures, scenario.headline)


def _figures(bench: Bench, server: Server, load: Load) -> dict[str, float]:
    seconds = max(bench.plan.seconds, _LEAST_SECONDS)
    alone = bench.measure(server, load, seconds=seconds)
    reading_seconds = _SETTLE_SECONDS + bench.plan.warm_up_seconds + seconds
    reader = Load(COLD, 1)
    with bench.client.running(reader, server.port, seconds=reading_seconds) as cold_reader:
        cold_reader.wait_for_begin()
        time.sleep(_SETTLE_SECONDS)
        beside = bench.measure(server, load, seconds=seconds)
        report = cold_reader.wait_for_report()
    rate = report.bytes / MIB / report.seconds
    return {**of_company(alone, beside), "background_rate": rate}


SCENARIO = Scenario(
    "cold-disk",
    "Cached ranges of 64 KiB (8 connections) while another file comes from a disk of 20 MiB/s",
    (
        "p99_ratio",
        "alone_p99",
        "beside_p99",
        "alone_requests",
        "beside_requests",
        "background_rate",
        "errors",
    ),
    _measure,
)
