"""Where sendfile cannot be used or trusted: a file on a FUSE mount, and TLS."""

import contextlib
from collections.abc import Callable, Sequence

from benchmarks.bench import Bench
from benchmarks.client import Load
from benchmarks.mounts import mounted
from benchmarks.peers.offer import Ability, Peer
from benchmarks.scenarios.loads import TRANSFER
from benchmarks.scenarios.scenario import Scenario
from benchmarks.servers import Server
from benchmarks.workshop import LARGE, LARGE_BYTES, MIB, SMALL, random_file, read_through

CONNECTIONS = 8
_MOUNTED_BYTES = 256 * MIB
_FILE_NAME = "film.bin"
# The mount keeps what it has read: the servers are measured, not sshfs.
_CACHING = "kernel_cache,entry_timeout=3600,attr_timeout=3600,dcache_timeout=3600"

Start = Callable[[Peer], contextlib.AbstractContextManager[Server]]


def _measure_tls(bench: Bench, scenario: Scenario) -> None:
    bench.warm_large_file()
    certificate = bench.workshop.certificate()

    def start(peer: Peer) -> contextlib.AbstractContextManager[Server]:
        return bench.new_server(peer, certificate=certificate)

    _alternate(bench, scenario, Load(LARGE, CONNECTIONS), bench.peers(Ability.TLS), start)


def _measure_fuse(bench: Bench, scenario: Scenario) -> None:
    root = bench.workshop.new_folder("fuse")
    random_file(root / SMALL.strip("/"), 4096)
    scratch = bench.workshop.new_folder("fuse-scratch")
    with mounted(root / "nas", scratch, bench.cores.client, _CACHING) as mount:
        random_file(mount.source / _FILE_NAME, _MOUNTED_BYTES)
        read_through(mount.point / _FILE_NAME)

        def start(peer: Peer) -> contextlib.AbstractContextManager[Server]:
            return bench.new_server(peer, root=root)

        _alternate(bench, scenario, Load(f"/nas/{_FILE_NAME}", CONNECTIONS), bench.peers(), start)


def _alternate(
    bench: Bench, scenario: Scenario, load: Load, peers: Sequence[Peer], start: Start
) -> None:
    """One load on servers that stand as long as this scenario does."""
    servers: dict[str, Server] = {}
    with contextlib.ExitStack() as stack:
        for number, peer in bench.alternate(scenario.name, peers):
            with bench.attempt(scenario.name, peer):
                if peer.name not in servers:
                    servers[peer.name] = stack.enter_context(start(peer))
                figures = bench.measure(servers[peer.name], load)
                bench.record(scenario.name, peer.name, number, figures, scenario.headline)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "tls",
        f"TLS: whole file of {LARGE_BYTES // MIB} MiB, {CONNECTIONS} connections",
        TRANSFER,
        _measure_tls,
    ),
    Scenario(
        "fuse",
        f"A FUSE mount: whole file of {_MOUNTED_BYTES // MIB} MiB, {CONNECTIONS} connections",
        TRANSFER,
        _measure_fuse,
    ),
)
