"""What a scenario stands on: the peers, the client, the files, the cores and the rounds."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Client, ClientError, Load
from benchmarks.metrics import format_value, of_cost, of_report
from benchmarks.peers.offer import Ability, Certificate, Peer
from benchmarks.processes import Cores, StartError, busy_seconds
from benchmarks.records import Records
from benchmarks.servers import Server, serving
from benchmarks.workshop import LARGE, SMALL, Workshop, read_through

# What may go wrong with one server or one part of the machine; the rest goes on.
LEFT_OUT = (ClientError, StartError, OSError, subprocess.SubprocessError)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and with whom; costly_rounds are those of scenarios that take long."""

    rounds: int
    costly_rounds: int
    seconds: float
    warm_up_seconds: float
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class Bench:
    """One run; resources is where servers are kept that serve several scenarios."""

    plan: Plan
    cores: Cores
    client: Client
    workshop: Workshop
    records: Records
    resources: contextlib.ExitStack
    fleet: dict[str, Server]

    def peers(self, *abilities: Ability, among: Sequence[str] = ()) -> list[Peer]:
        """Those of the run that have all these abilities, and are among the named."""
        return [
            peer
            for peer in self.plan.peers
            if peer.can.issuperset(abilities) and (not among or peer.name in among)
        ]

    def alternate(self, scenario: str, peers: Sequence[Peer]) -> Iterator[tuple[int, Peer]]:
        """Round and peer; each round begins with another one, so that no place is better."""
        return self._alternate(scenario, peers, self.plan.rounds)

    def alternate_costly(self, scenario: str, peers: Sequence[Peer]) -> Iterator[tuple[int, Peer]]:
        """The same for scenarios that take long."""
        return self._alternate(scenario, peers, self.plan.costly_rounds)

    @contextlib.contextmanager
    def attempt(self, scenario: str, peer: Peer) -> Iterator[None]:
        """What fails inside leaves this peer out of this scenario, with a note."""
        try:
            yield
        except LEFT_OUT as error:
            self.records.note(f"{scenario}: {peer.title} left out: {error}")
            say(f"  {scenario}: {peer.title} left out: {error}")

    def standing_server(self, peer: Peer) -> Server:
        """A server of the usual root that stands until the run ends."""
        if peer.name not in self.fleet:
            context = self.new_server(peer)
            self.fleet[peer.name] = self.resources.enter_context(context)
        return self.fleet[peer.name]

    def new_server(
        self,
        peer: Peer,
        *,
        root: Path | None = None,
        cores: frozenset[int] | None = None,
        workers: int = 1,
        certificate: Certificate | None = None,
    ) -> contextlib.AbstractContextManager[Server]:
        """A server of its own for one measurement."""
        return serving(
            peer,
            root or self.workshop.root,
            self.workshop.new_folder("servers"),
            cores=cores or self.cores.server,
            probe_path=SMALL,
            workers=workers,
            certificate=certificate,
        )

    def warm_large_file(self) -> int:
        """Make the large file and bring it into memory; its length."""
        path = self.workshop.large_file()
        read_through(path)
        return path.stat().st_size

    def measure(
        self,
        server: Server,
        load: Load,
        *,
        seconds: float | None = None,
        warm_up_seconds: float | None = None,
        cores: frozenset[int] | None = None,
    ) -> dict[str, float]:
        """One load on one server: what the client saw, and what it cost the server."""
        window = self.plan.seconds if seconds is None else seconds
        warm_up = self.plan.warm_up_seconds if warm_up_seconds is None else warm_up_seconds
        if load.path == LARGE:
            # Between two servers a machine may have taken back what lay idle (DAMON does).
            self.warm_large_file()
        with self.client.running(
            load,
            server.port,
            seconds=window,
            warm_up_seconds=warm_up,
            channel=server.channel,
            cores=cores,
        ) as run:
            run.wait_for_begin()
            before = self._clocks(server)
            report = run.wait_for_report()
            cpu, all_busy = (
                now - then for now, then in zip(self._clocks(server), before, strict=True)
            )
            cost = of_cost(report, cpu, server.proportional_bytes())
        figures = {**of_report(report), **cost}
        figures["client_busy"] = 100 * report.client_cpu / (report.seconds + warm_up)
        # Where the client has a core of its own, what the server has not used others have.
        if cores is None and self.cores.server.isdisjoint(self.cores.client):
            figures["others_busy"] = 100 * max(all_busy - cpu, 0.0) / report.seconds
        return figures

    def _clocks(self, server: Server) -> tuple[float, float]:
        """CPU time of the server, and of everybody on the servers' cores."""
        return server.cpu_seconds(), busy_seconds(self.cores.server)

    def record(
        self, scenario: str, series: str, number: int, figures: dict[str, float], headline: str
    ) -> None:
        """Keep the figures; tell the one that counts."""
        self.records.add(scenario, series, number, figures)
        if headline in figures:
            say(f"  {scenario}, round {number + 1}, {series}: {shown(headline, figures)}")

    def _alternate(
        self, scenario: str, peers: Sequence[Peer], rounds: int
    ) -> Iterator[tuple[int, Peer]]:
        for number in range(rounds):
            start = number % max(len(peers), 1)
            for peer in [*peers[start:], *peers[:start]]:
                if not self._gave_up(scenario, peer):
                    yield number, peer

    def _gave_up(self, scenario: str, peer: Peer) -> bool:
        beginning = f"{scenario}: {peer.title} left out:"
        return any(note.startswith(beginning) for note in self.records.notes)


def large_ranges(bench: Bench, range_bytes: int, connections: int) -> Load:
    """Random ranges of the large file."""
    length = bench.warm_large_file()
    return Load(LARGE, connections, range_bytes=range_bytes, file_bytes=length)


def shown(metric: str, figures: dict[str, float]) -> str:
    return f"{metric} {format_value(metric, figures[metric])}"


def say(line: str) -> None:
    """Progress goes to standard error: standard output is the table."""
    print(line, file=sys.stderr, flush=True)
