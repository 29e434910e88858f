"""The figures to reach, row by row: what was measured, what was wanted, reached or not."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from benchmarks.records import Records
from benchmarks.scenarios.loads import RANGES, WHOLE

US = "fileserve"
NGINX, LIGHTTPD, STARLETTE = "nginx", "lighttpd", "starlette"


class Wanted(Enum):
    """On which side of the limit the figure should lie."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Target:
    """One row; figure gives None where the scenario did not run or a server was missing."""

    title: str
    wanted: Wanted
    limit: float
    figure: Callable[[Records], float | None]

    def is_reached_by(self, figure: float) -> bool:
        """Judged as measured, not as rounded for the table."""
        return figure >= self.limit if self.wanted is Wanted.AT_LEAST else figure <= self.limit


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours over theirs, round by round, then the median."""

    scenario: str
    metric: str
    peer: str

    def __call__(self, records: Records) -> float | None:
        return records.ratio(self.scenario, self.metric, US, self.peer)


@dataclass(frozen=True, slots=True)
class Own:
    """A figure of ours, the median of the rounds."""

    scenario: str
    metric: str

    def __call__(self, records: Records) -> float | None:
        summary = records.summary(self.scenario, US, self.metric)
        return summary.median if summary else None


def _least(title: str, limit: float, figure: Callable[[Records], float | None]) -> Target:
    return Target(title, Wanted.AT_LEAST, limit, figure)


def _most(title: str, limit: float, figure: Callable[[Records], float | None]) -> Target:
    return Target(title, Wanted.AT_MOST, limit, figure)


def _whole_file() -> list[Target]:
    rows = []
    for connections in (1, 8, 64):
        scenario, title = WHOLE.format(connections), f"whole file, {connections} conn."
        rows += [
            _least(f"{title}: throughput / nginx", 1.0, Ratio(scenario, "throughput", NGINX)),
            _most(f"{title}: CPU per GiB / nginx", 1.0, Ratio(scenario, "cpu_per_gib", NGINX)),
        ]
    return rows


def _ranges() -> list[Target]:
    rows = []
    per_second = "requests_per_second"
    for connections in (8, 64):
        large, middle, small = (
            RANGES.format(size, connections) for size in ("1MiB", "64KiB", "1KiB")
        )
        of = f"{connections} conn."
        rows += [
            _least(f"1 MiB, {of}: throughput / nginx", 1.0, Ratio(large, "throughput", NGINX)),
            _least(f"64 KiB, {of}: requests / lighttpd", 0.6, Ratio(middle, per_second, LIGHTTPD)),
            _least(f"64 KiB, {of}: requests / Starlette", 10, Ratio(middle, per_second, STARLETTE)),
            _least(f"1 KiB, {of}: requests / Starlette", 8, Ratio(small, per_second, STARLETTE)),
        ]
    return rows


def _chunked() -> list[Target]:
    rows = []
    for scenario, name in (("fuse", "FUSE mount"), ("tls", "TLS")):
        cpu = Ratio(scenario, "cpu_per_gib", STARLETTE)
        throughput = Ratio(scenario, "throughput", STARLETTE)
        rows += [
            _most(f"chunked, {name}: CPU per GiB / Starlette", 0.5, cpu),
            _least(f"chunked, {name}: throughput / Starlette", 2.0, throughput),
        ]
    return rows


TARGETS: tuple[Target, ...] = (
    *_whole_file(),
    *_ranges(),
    _most("slowest / fastest of 8 alike", 1.15, Own("fairness", "slowest_to_fastest")),
    _most("1,000 slow readers: MiB over idle", 40.0, Own("slow-readers", "memory_over_idle")),
    _most("1,000 slow readers: newcomer / idle", 2.0, Own("slow-readers", "newcomer_ratio")),
    *_chunked(),
    _most("64 KiB beside a cold disk: p99 / alone", 2.0, Own("cold-disk", "p99_ratio")),
    _most("64 KiB beside a hung mount: p99 / alone", 1.2, Own("hung-mount", "p99_ratio")),
    _most("64 transfers of 10 GiB: peak MiB", 80.0, Own("memory", "peak_memory")),
)
