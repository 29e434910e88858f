"""What a scenario is."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bench import Bench


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question to all servers.

    shown are the metrics of its table; the first of them is the plotted one, and the one that is
    told while it runs.
    """

    name: str
    title: str
    shown: tuple[str, ...]
    measure: Callable[[Bench, "Scenario"], None]

    @property
    def headline(self) -> str:
        return self.shown[0]
