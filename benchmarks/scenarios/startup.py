"""From the command to the first answer, and to the end of --help."""

import time

from benchmarks.bench import Bench
from benchmarks.metrics import MIB
from benchmarks.peers.offer import python_module
from benchmarks.processes import started, wait_for_exit
from benchmarks.scenarios.scenario import Scenario

_HELP_SECONDS = 60.0


def _measure(bench: Bench, scenario: Scenario) -> None:
    for number, peer in bench.alternate(scenario.name, bench.peers()):
        with bench.attempt(scenario.name, peer):
            with bench.new_server(peer) as server:
                figures = {
                    "ready_seconds": server.start_seconds,
                    "memory": server.proportional_bytes() / MIB,
                }
            if peer.name == "fileserve":
                figures["help_seconds"] = _help_seconds(bench)
            bench.record(scenario.name, peer.name, number, figures, scenario.headline)


def _help_seconds(bench: Bench) -> float:
    log = bench.workshop.path / "help.log"
    began = time.perf_counter()
    with started(python_module("cli", "--help"), cores=bench.cores.server, log=log) as process:
        wait_for_exit(process, _HELP_SECONDS)
        return time.perf_counter() - began


SCENARIO = Scenario(
    "start-up",
    "From the command to the first answer, and of --help to its end",
    ("ready_seconds", "help_seconds", "memory"),
    _measure,
)
