"""Ranges of a local file, alone and while eight clients ask for a file on a mount that hangs."""

import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.client import Load
from benchmarks.metrics import of_company
from benchmarks.mounts import Mount, mounted
from benchmarks.peers import COMPANY
from benchmarks.scenarios.loads import KIB
from benchmarks.scenarios.scenario import Scenario
from benchmarks.servers import Server
from benchmarks.workshop import LARGE, LARGE_BYTES, MIB, SMALL, random_file, read_through

_RANGES = Load(LARGE, 8, range_bytes=64 * KIB, file_bytes=LARGE_BYTES)
_ON_THE_MOUNT = Load("/nas/film.bin", 8)
_MOUNTED_BYTES = 8 * MIB
_SETTLE_SECONDS = 0.5
_LEAST_SECONDS = 1.5
# Nothing is remembered, so that every request needs the mount.
_FORGETTING = "dir_cache=no,entry_timeout=0,attr_timeout=0,negative_timeout=0"


def _measure(bench: Bench, scenario: Scenario) -> None:
    root = _root_with_large_file(bench)
    scratch = bench.workshop.new_folder("hung-scratch")
    for number, peer in bench.alternate_costly(scenario.name, bench.peers(among=COMPANY)):
        # A mount of its own for each: what one server left stuck shall not hinder the next.
        with (
            bench.attempt(scenario.name, peer),
            mounted(root / "nas", scratch, bench.cores.client, _FORGETTING) as mount,
        ):
            random_file(mount.source / "film.bin", _MOUNTED_BYTES)
            with bench.new_server(peer, root=root) as server:
                figures = _figures(bench, server, mount)
            bench.record(scenario.name, peer.name, number, figures, scenario.headline)


def _root_with_large_file(bench: Bench) -> Path:
    """A root of its own: the usual one must not come to hang."""
    bench.warm_large_file()
    root = bench.workshop.new_folder("hung")
    random_file(root / SMALL.strip("/"), 4096)
    large = root / LARGE.strip("/")
    if not large.exists():
        large.hardlink_to(bench.workshop.root / LARGE.strip("/"))
    read_through(large)
    return root


def _figures(bench: Bench, server: Server, mount: Mount) -> dict[str, float]:
    seconds = max(bench.plan.seconds, _LEAST_SECONDS)
    alone = bench.measure(server, _RANGES, seconds=seconds)
    patience = _SETTLE_SECONDS + bench.plan.warm_up_seconds + seconds
    mount.freeze()
    try:
        with bench.client.running(_ON_THE_MOUNT, server.port, seconds=patience) as hanging:
            hanging.wait_for_begin()
            time.sleep(_SETTLE_SECONDS)
            beside = bench.measure(server, _RANGES, seconds=seconds)
            refused = hanging.wait_for_report().refused
    finally:
        mount.thaw()
    return {**of_company(alone, beside), "background_refused": float(refused)}


SCENARIO = Scenario(
    "hung-mount",
    "Cached ranges of 64 KiB (8 connections) while 8 clients wait for a mount that hangs",
    (
        "p99_ratio",
        "alone_p99",
        "beside_p99",
        "alone_requests",
        "beside_requests",
        "background_refused",
        "errors",
    ),
    _measure,
)
