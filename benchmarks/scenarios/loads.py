"""One load on one standing server: whole files, ranges, players, newcomers, a long listing."""

from collections.abc import Callable
from dataclasses import replace

from benchmarks.bench import Bench
from benchmarks.client import ClientError, Habit, Load
from benchmarks.peers.offer import Ability
from benchmarks.scenarios.scenario import Scenario
from benchmarks.servers import Server
from benchmarks.workshop import FOLDER, LARGE, LARGE_BYTES, MIB

KIB = 1 << 10
WHOLE = "whole-{}"
RANGES = "ranges-{}-{}"
RANGE_SIZES = {"1MiB": MIB, "64KiB": 64 * KIB, "1KiB": KIB}

TRANSFER = (
    "throughput",
    "cpu_per_gib",
    "memory",
    "first_byte_p50",
    "first_byte_p99",
    "bytes_ratio",
    "server_busy",
    "client_busy",
    "others_busy",
    "errors",
)
_REQUESTS = (
    "requests_per_second",
    "cpu_per_request",
    "throughput",
    "memory",
    "first_byte_p99",
    "latency_p50",
    "latency_p99",
    "latency_p999",
    "server_busy",
    "client_busy",
    "others_busy",
    "errors",
)
# For loads that end by themselves.
_PATIENCE_SECONDS = 60.0


def _measured_by(load: Load, *abilities: Ability) -> Callable[[Bench, Scenario], None]:
    def measure(bench: Bench, scenario: Scenario) -> None:
        bench.warm_large_file()
        for number, peer in bench.alternate(scenario.name, bench.peers(*abilities)):
            with bench.attempt(scenario.name, peer):
                figures = bench.measure(bench.standing_server(peer), load)
                bench.record(scenario.name, peer.name, number, figures, scenario.headline)

    return measure


def _whole(connections: int) -> Scenario:
    several = "" if connections == 1 else "s"
    title = f"Whole file of {LARGE_BYTES // MIB} MiB, {connections} connection{several}"
    load = Load(LARGE, connections)
    return Scenario(WHOLE.format(connections), title, TRANSFER, _measured_by(load))


def _ranges(size: str, connections: int) -> Scenario:
    load = Load(LARGE, connections, range_bytes=RANGE_SIZES[size], file_bytes=LARGE_BYTES)
    title = f"Random ranges of {size[:-3]} {size[-3:]}, {connections} connections"
    shown = ("throughput", *_REQUESTS[:2], *_REQUESTS[3:]) if size == "1MiB" else _REQUESTS
    return Scenario(RANGES.format(size, connections), title, shown, _measured_by(load))


def _measure_fairness(bench: Bench, scenario: Scenario) -> None:
    bench.warm_large_file()
    load = Load(LARGE, 8, requests_each=1)
    for number, peer in bench.alternate_costly(scenario.name, bench.peers()):
        with bench.attempt(scenario.name, peer):
            figures = _until_done(bench, bench.standing_server(peer), load)
            bench.record(scenario.name, peer.name, number, figures, scenario.headline)


def _measure_listing(bench: Bench, scenario: Scenario) -> None:
    bench.workshop.large_folder()
    for number, peer in bench.alternate_costly(scenario.name, bench.peers(Ability.LISTING)):
        with bench.attempt(scenario.name, peer):
            server = bench.standing_server(peer)
            # The first one warms up: the kernel's names, and whatever the server remembers.
            _until_done(bench, server, replace(_LISTING, requests_each=1))
            figures = _until_done(bench, server, _LISTING)
            figures["listing_mib"] = figures["throughput"] / figures["requests_per_second"]
            bench.record(scenario.name, peer.name, number, figures, scenario.headline)


def _until_done(bench: Bench, server: Server, load: Load) -> dict[str, float]:
    """The load until each connection has what it wants; cut off when that takes too long."""
    figures = bench.measure(server, load, seconds=_PATIENCE_SECONDS, warm_up_seconds=0.0)
    if not figures["requests_per_second"]:
        raise ClientError(f"nothing was complete within {_PATIENCE_SECONDS:.0f} s")
    return figures


_PLAYER = Load(LARGE, 8, habit=Habit.DROPS_EARLY, file_bytes=LARGE_BYTES)
_CHURN = Load(LARGE, 8, range_bytes=KIB, file_bytes=LARGE_BYTES, habit=Habit.CLOSES)
_LISTING = Load(FOLDER, 1, habit=Habit.CLOSES, requests_each=3, accept="text/html")
_LISTED = ("latency_p50", "first_byte_p50", "listing_mib", "cpu_per_request", "memory", "errors")

SCENARIOS: tuple[Scenario, ...] = (
    *(_whole(connections) for connections in (1, 8, 64)),
    Scenario(
        "fairness",
        "Eight alike, each downloads the whole file once",
        ("slowest_to_fastest", "throughput", "cpu_per_gib", "first_byte_p99", "errors"),
        _measure_fairness,
    ),
    *(_ranges(size, connections) for size in RANGE_SIZES for connections in (8, 64)),
    Scenario(
        "player",
        "Players: open-ended ranges, dropped after 1 to 4 MiB, 8 at a time",
        _REQUESTS,
        _measured_by(_PLAYER),
    ),
    Scenario(
        "churn",
        "A connection for each request of 1 KiB, 8 at a time",
        _REQUESTS,
        _measured_by(_CHURN),
    ),
    Scenario("listing", "A folder of 50,000 entries, for a browser", _LISTED, _measure_listing),
)
