"""A thousand readers that take 16 KiB a second, a newcomer beside them, and four fast ones."""

import time

from benchmarks.bench import Bench
from benchmarks.client import ClientError, Habit, Load
from benchmarks.peers import COMPANY
from benchmarks.scenarios.loads import KIB
from benchmarks.scenarios.scenario import Scenario
from benchmarks.servers import Server
from benchmarks.workshop import LARGE, LARGE_BYTES, MIB

_SLOW = Load(LARGE, 1000, bytes_per_second=16 * KIB)
_FAST = Load(LARGE, 4)
_NEWCOMER = Load(
    LARGE, 1, range_bytes=KIB, file_bytes=LARGE_BYTES, habit=Habit.CLOSES, pause_seconds=0.005
)
# All of them have asked and been answered by then, also by a server that is slow at it.
_SETTLE_SECONDS = 2.0
_BACKGROUND_SECONDS = 120.0
# A 99th percentile of one client that pauses needs some hundred requests.
_NEWCOMER_SHARE, _NEWCOMER_LEAST_SECONDS = 1.5, 1.5


def _measure(bench: Bench, scenario: Scenario) -> None:
    bench.warm_large_file()
    for number, peer in bench.alternate_costly(scenario.name, bench.peers(among=COMPANY)):
        # Memory that one round has taken is not given back before the next: a new server each.
        with bench.attempt(scenario.name, peer), bench.new_server(peer) as server:
            figures = _figures(bench, server)
            bench.record(scenario.name, peer.name, number, figures, scenario.headline)


def _figures(bench: Bench, server: Server) -> dict[str, float]:
    idle_p99 = _newcomer_p99(bench, server)
    idle_bytes = server.proportional_bytes()
    with bench.client.running(_SLOW, server.port, seconds=_BACKGROUND_SECONDS) as slow:
        slow.wait_for_begin()
        time.sleep(_SETTLE_SECONDS)
        p99 = _newcomer_p99(bench, server)
        over_idle = server.proportional_bytes() - idle_bytes
        with bench.client.running(_FAST, server.port, seconds=_BACKGROUND_SECONDS) as fast:
            fast.wait_for_begin()
            beside_fast_p99 = _newcomer_p99(bench, server)
        fast_figures = bench.measure(server, _FAST)
    return {
        "memory_over_idle": over_idle / MIB,
        "newcomer_idle_p99": idle_p99,
        "newcomer_p99": p99,
        "newcomer_ratio": p99 / idle_p99,
        "newcomer_fast_p99": beside_fast_p99,
        "fast_throughput": fast_figures["throughput"],
        "memory": idle_bytes / MIB,
        "errors": fast_figures["errors"],
    }


def _newcomer_p99(bench: Bench, server: Server) -> float:
    """From its connect to its first byte, in milliseconds."""
    seconds = max(bench.plan.seconds * _NEWCOMER_SHARE, _NEWCOMER_LEAST_SECONDS)
    figures = bench.measure(server, _NEWCOMER, seconds=seconds)
    if "first_byte_p99" not in figures:
        raise ClientError(f"no newcomer was answered within {seconds:.1f} s")
    return figures["first_byte_p99"]


SCENARIO = Scenario(
    "slow-readers",
    "1,000 slow readers (16 KiB/s each) beside newcomers and four fast readers",
    (
        "memory_over_idle",
        "newcomer_idle_p99",
        "newcomer_p99",
        "newcomer_ratio",
        "newcomer_fast_p99",
        "fast_throughput",
        "memory",
        "errors",
    ),
    _measure,
)
