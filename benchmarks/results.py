"""Writes a run's results: results.json, table.md, and a plot for each scenario."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.metrics import METRICS
from benchmarks.plots import plot
from benchmarks.records import Records
from benchmarks.scenarios.scenario import Scenario
from benchmarks.tables import report


def write(
    folder: Path, records: Records, scenarios: Sequence[Scenario], facts: Mapping[str, str]
) -> str:
    """Write all files; the table's text."""
    folder.mkdir(parents=True, exist_ok=True)
    table = report(records, scenarios, facts)
    (folder / "table.md").write_text(table, encoding="utf-8")
    (folder / "results.json").write_text(_document(records, facts), encoding="utf-8")
    for scenario in scenarios:
        picture = plot(records, scenario)
        if picture is not None:
            (folder / f"{scenario.name}.svg").write_text(picture, encoding="utf-8")
    return table


def _document(records: Records, facts: Mapping[str, str]) -> str:
    figures = [
        {
            "scenario": scenario,
            "server": series,
            "metric": metric,
            "unit": METRICS[metric].unit,
            "rounds": [rounds[number] for number in sorted(rounds)],
        }
        for scenario, series, metric, rounds in records.rows()
    ]
    document = {"facts": dict(facts), "left_out": records.notes, "figures": figures}
    return json.dumps(document, indent=1) + "\n"
