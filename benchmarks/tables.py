"""The tables of one run, in Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.metrics import METRICS, format_value
from benchmarks.peers import PEERS
from benchmarks.records import Records, Summary
from benchmarks.scenarios.scenario import Scenario
from benchmarks.targets import TARGETS, Target


def report(records: Records, scenarios: Sequence[Scenario], facts: Mapping[str, str]) -> str:
    """The whole of table.md."""
    lines = ["# fileserve beside its peers", ""]
    lines += [f"* {name}: {fact}" for name, fact in facts.items()]
    lines += ["", "A cell is the median of the rounds, with the least and the most of them.", ""]
    lines += _targets(records)
    for scenario in scenarios:
        if records.series(scenario.name):
            lines += _scenario(records, scenario)
    if records.notes:
        lines += ["## Left out", "", *(f"* {note}" for note in records.notes), ""]
    return "\n".join(lines)


def _targets(records: Records) -> Iterator[str]:
    yield "## Figures to reach"
    yield ""
    yield from _table(["scenario", "wanted", "measured", ""], map(_target, TARGETS, _all(records)))


def _all(records: Records) -> Iterator[Records]:
    while True:
        yield records


def _target(target: Target, records: Records) -> list[str]:
    figure = target.figure(records)
    wanted = f"{target.wanted.value} {target.limit:g}"
    if figure is None:
        return [target.title, wanted, "", "not measured"]
    verdict = "reached" if target.is_reached_by(figure) else "**not reached**"
    return [target.title, wanted, f"{figure:.2f}", verdict]


def _scenario(records: Records, scenario: Scenario) -> Iterator[str]:
    yield f"## {scenario.title}"
    yield ""
    yield f"![{scenario.headline}]({scenario.name}.svg)"
    yield ""
    series = records.series(scenario.name)
    shown = [name for name in scenario.shown if _is_told(records, scenario.name, series, name)]
    heads = [_head(name) for name in shown]
    rows = ([_title(each), *_cells(records, scenario.name, each, shown)] for each in series)
    yield from _table(["server", *heads], rows)


def _is_told(records: Records, scenario: str, series: Sequence[str], metric: str) -> bool:
    """Columns of nothing, and of no errors at all, are left out."""
    found = [records.summary(scenario, each, metric) for each in series]
    if metric in ("errors", "refused"):
        return any(summary and summary.most for summary in found)
    return any(found)


def _head(metric: str) -> str:
    unit = METRICS[metric].unit
    return f"{METRICS[metric].title}, {unit}" if unit else METRICS[metric].title


def _title(series: str) -> str:
    """`nginx x2` is nginx with two workers."""
    name, _, rest = series.partition(" ")
    title = PEERS[name].title if name in PEERS else name  # programs that serve nothing
    return f"{title} {rest}".strip()


def _cells(records: Records, scenario: str, series: str, metrics: Sequence[str]) -> list[str]:
    return [_cell(name, records.summary(scenario, series, name)) for name in metrics]


def _cell(metric: str, summary: Summary | None) -> str:
    if summary is None:
        return ""
    median, least, most = (
        format_value(metric, value) for value in (summary.median, summary.least, summary.most)
    )
    return median if least == most else f"{median} ({least}-{most})"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
