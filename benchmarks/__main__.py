"""The bench's command line: which scenarios, which peers, how long; then runs them."""

import argparse
import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from benchmarks import machine, results
from benchmarks.bench import LEFT_OUT, Bench, Plan, say
from benchmarks.client import prepare_client
from benchmarks.peers import MEASURES, PEERS
from benchmarks.peers.offer import Peer
from benchmarks.processes import Cores
from benchmarks.records import Records
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.scenario import Scenario
from benchmarks.workshop import Workshop, WorkshopError, workshop

_RESULTS = Path(__file__).parent / "results"
_OPEN_FILES = 16_384
_ENDING = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 also when something was left out, for the table says so."""
    options = _parser().parse_args(arguments)
    for number in _ENDING:
        signal.signal(number, _leave)
    _raise_open_files()
    records = Records()
    scenarios = [SCENARIOS[name] for name in options.scenario or SCENARIOS]
    plan = _plan(options, records)
    with workshop(options.folder) as place, contextlib.ExitStack() as resources:
        bench = _bench(plan, place, records, resources)
        facts = machine.facts(plan.peers, bench.cores, bench.client)
        facts["rounds"] = f"{plan.rounds} of {plan.seconds} s, {plan.warm_up_seconds} s warm-up"
        for scenario in scenarios:
            _run(bench, scenario)
            # After each, so that a run that is broken off leaves what it has.
            table = results.write(options.results, records, scenarios, facts)
    print(table)
    say(f"written to {options.results}")
    return 0


def _run(bench: Bench, scenario: Scenario) -> None:
    say(f"{scenario.name}: {scenario.title}")
    began = time.monotonic()
    try:
        scenario.measure(bench, scenario)
    except (WorkshopError, *LEFT_OUT) as error:
        bench.records.note(f"{scenario.name}: left out: {error}")
        say(f"  left out: {error}")
    say(f"  {time.monotonic() - began:.0f} s")


def _bench(plan: Plan, place: Workshop, records: Records, resources: contextlib.ExitStack) -> Bench:
    cores = Cores.apart()
    # What the bench itself does shall cost the servers nothing.
    os.sched_setaffinity(0, cores.client)
    client = prepare_client(place.path, cores.client)
    return Bench(plan, cores, client, place, records, resources, {})


def _plan(options: argparse.Namespace, records: Records) -> Plan:
    named = options.peers or (MEASURES if options.quick else tuple(PEERS))
    rounds = options.rounds or (2 if options.quick else 3)
    costly_rounds = options.rounds or (1 if options.quick else 3)
    seconds = options.seconds or (0.35 if options.quick else 1.75)
    # Ours is always there: the bench is about it.
    wanted = [peer for peer in PEERS.values() if peer.name in (*named, "fileserve")]
    peers = tuple(_present(wanted, records))
    return Plan(rounds, costly_rounds, seconds, min(0.3, seconds / 2), peers)


def _present(peers: Sequence[Peer], records: Records) -> Iterator[Peer]:
    for peer in peers:
        reason = peer.missing()
        if reason is None:
            yield peer
        else:
            records.note(f"{peer.title}: {reason}")
            say(f"{peer.title} is left out: {reason}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 3 minutes, fewer peers")
    parser.add_argument(
        "--scenario", action="append", choices=SCENARIOS, metavar="NAME",
        help=f"only this one; may be repeated: {', '.join(SCENARIOS)}",
    )  # fmt: skip
    parser.add_argument(
        "--peers", type=_peer_names, metavar="NAMES",
        help=f"only these beside fileserve, with commas: {', '.join(PEERS)}",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--seconds", type=float, help="how long each measurement is")
    parser.add_argument("--folder", type=Path, help="where the files are made (1.5 GiB, local)")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="where the results go")
    return parser


def _peer_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}")
    return names


def _leave(number: int, frame: FrameType | None) -> None:
    """Either signal ends the run; a second one shall not disturb what is stopped on the way out."""
    for ignored in _ENDING:
        signal.signal(ignored, signal.SIG_IGN)
    raise KeyboardInterrupt


def _raise_open_files() -> None:
    """A thousand readers need as many descriptors, here and in every server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
