"""All figures of one run: by scenario, server, metric and round; their medians and spreads."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Rounds = dict[int, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """The median of the rounds, and how far they went."""

    median: float
    least: float
    most: float
    rounds: int


@dataclass(slots=True)
class Records:
    """Filled while the scenarios run, read by tables, plots and targets."""

    figures: dict[str, dict[str, dict[str, Rounds]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, scenario: str, series: str, number: int, figures: Mapping[str, float]) -> None:
        """The figures of one server in one round."""
        metrics = self.figures.setdefault(scenario, {}).setdefault(series, {})
        for metric, value in figures.items():
            metrics.setdefault(metric, {})[number] = value

    def note(self, sentence: str) -> None:
        """What was left out, and why; once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def series(self, scenario: str) -> list[str]:
        """The servers that were measured in a scenario, in their order."""
        return list(self.figures.get(scenario, ()))

    def summary(self, scenario: str, series: str, metric: str) -> Summary | None:
        """None where that was not measured."""
        rounds = self._rounds(scenario, series, metric)
        if not rounds:
            return None
        values = list(rounds.values())
        return Summary(statistics.median(values), min(values), max(values), len(values))

    def ratio(self, scenario: str, metric: str, over: str, under: str) -> float | None:
        """The median of the ratios of each round: what slows a round down slows both."""
        ours, theirs = (self._rounds(scenario, series, metric) for series in (over, under))
        ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return statistics.median(ratios) if ratios else None

    def rows(self) -> Iterator[tuple[str, str, str, Rounds]]:
        """Scenario, server, metric, rounds."""
        for scenario, by_series in self.figures.items():
            for series, by_metric in by_series.items():
                for metric, rounds in by_metric.items():
                    yield scenario, series, metric, rounds

    def _rounds(self, scenario: str, series: str, metric: str) -> Rounds:
        return self.figures.get(scenario, {}).get(series, {}).get(metric, {})
