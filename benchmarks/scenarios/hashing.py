"""Checksums of the large file in memory: sha256sum, openssl, and ours with and without pieces."""

import shutil
import subprocess
import time
from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.metrics import MIB
from benchmarks.scenarios.scenario import Scenario
from benchmarks.workshop import LARGE
from storage.file_sums import FileSums, read_sums, read_whole_sums

_PROGRAMS = (("sha256sum",), ("openssl", "dgst", "-sha256"))


def _measure(bench: Bench, scenario: Scenario) -> None:
    size = bench.warm_large_file()
    path = str(bench.workshop.root / LARGE.strip("/"))

    def by_program(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run([*command, path], check=True, capture_output=True)

    def by_us(
        read: Callable[[int, Callable[[int], None]], FileSums | None],
    ) -> Callable[[], object]:
        def hash_it() -> object:
            with open(path, "rb") as file:
                return read(file.fileno(), lambda count: None)

        return hash_it

    ways = {command[0]: by_program(*command) for command in _PROGRAMS if shutil.which(command[0])}
    ways["fileserve"] = by_us(read_whole_sums)
    ways["fileserve (and pieces)"] = by_us(read_sums)
    for number in range(bench.plan.rounds):
        for name, hash_it in ways.items():
            began = time.perf_counter()
            hash_it()
            figures = {"throughput": size / MIB / (time.perf_counter() - began)}
            bench.record(scenario.name, name, number, figures, scenario.headline)


SCENARIO = Scenario(
    "hashing", "Checksums of a file in memory, by programs and by us", ("throughput",), _measure
)
