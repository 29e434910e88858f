"""One worker and two, with both cores for the server and for the client."""

import contextlib
from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.client import Load
from benchmarks.peers import COMPANY
from benchmarks.peers.offer import Ability
from benchmarks.scenarios.loads import KIB
from benchmarks.scenarios.scenario import Scenario
from benchmarks.servers import Server
from benchmarks.workshop import LARGE, LARGE_BYTES

_COUNTS = (1, 2)
_SHOWN = (
    "throughput",
    "requests_per_second",
    "cpu_per_gib",
    "memory",
    "first_byte_p99",
    "bytes_ratio",
    "server_busy",
    "client_busy",
    "errors",
)


def _measured_by(load: Load) -> Callable[[Bench, Scenario], None]:
    def measure(bench: Bench, scenario: Scenario) -> None:
        bench.warm_large_file()
        both = bench.cores.together()
        servers: dict[str, Server] = {}
        with contextlib.ExitStack() as stack:
            peers = bench.peers(Ability.WORKERS, among=COMPANY)
            for number, peer in bench.alternate_costly(scenario.name, peers):
                for count in _COUNTS:
                    series = f"{peer.name} x{count}"
                    with bench.attempt(scenario.name, peer):
                        if series not in servers:
                            new = bench.new_server(peer, cores=both.server, workers=count)
                            servers[series] = stack.enter_context(new)
                        figures = bench.measure(servers[series], load, cores=both.client)
                        bench.record(scenario.name, series, number, figures, scenario.headline)

    return measure


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "workers-whole",
        "One worker and two on both cores: whole file, 8 connections",
        _SHOWN,
        _measured_by(Load(LARGE, 8)),
    ),
    Scenario(
        "workers-ranges",
        "One worker and two on both cores: ranges of 64 KiB, 64 connections",
        ("requests_per_second", "throughput", *_SHOWN[2:]),
        _measured_by(Load(LARGE, 64, range_bytes=64 * KIB, file_bytes=LARGE_BYTES)),
    ),
)
