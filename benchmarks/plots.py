"""One scenario as horizontal bars: median of the rounds, a whisker from least to most; SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.metrics import METRICS, format_value
from benchmarks.records import Records, Summary
from benchmarks.scenarios.scenario import Scenario

_WIDTH = 720
_LABEL_WIDTH = 130
_VALUE_WIDTH = 90
_BAR_HEIGHT = 20
_ROW_HEIGHT = 30
_TOP = 56
_BOTTOM = 14
# Both are readable for those who see no red or green; ours stands out.
_OURS, _THEIRS = "#0b6fb8", "#9aa5b1"


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    summary: Summary


def plot(records: Records, scenario: Scenario) -> str | None:
    """The SVG; None where nothing was measured."""
    found = (
        (series, records.summary(scenario.name, series, scenario.headline))
        for series in records.series(scenario.name)
    )
    rows = [_Row(series, summary) for series, summary in found if summary is not None]
    return "\n".join(_picture(scenario, rows)) + "\n" if rows else None


def _picture(scenario: Scenario, rows: Sequence[_Row]) -> Iterator[str]:
    height = _TOP + _ROW_HEIGHT * len(rows) + _BOTTOM
    metric = METRICS[scenario.headline]
    axis = f"{metric.title}, {metric.unit}" if metric.unit else metric.title
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif">'
    yield f"<title>{escape(scenario.title)}: {escape(axis)}</title>"
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    yield _text(14, 22, scenario.title, 'font-size="15" font-weight="bold"')
    yield _text(14, 42, axis, 'font-size="12" fill="#555555"')
    most = max(row.summary.most for row in rows) or 1.0
    for number, row in enumerate(rows):
        yield from _bar(scenario.headline, row, _TOP + _ROW_HEIGHT * number, most)
    yield "</svg>"


def _bar(metric: str, row: _Row, top: float, most: float) -> Iterator[str]:
    room = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    median, least, farthest = (
        _LABEL_WIDTH + room * max(value, 0.0) / most
        for value in (row.summary.median, row.summary.least, row.summary.most)
    )
    middle = top + _BAR_HEIGHT / 2
    colour = _OURS if row.label.startswith("fileserve") else _THEIRS
    place = f'x="{_LABEL_WIDTH}" y="{top}" width="{median - _LABEL_WIDTH:.1f}"'
    yield _text(_LABEL_WIDTH - 8, middle + 4, row.label, 'font-size="13" text-anchor="end"')
    yield f'<rect {place} height="{_BAR_HEIGHT}" fill="{colour}"/>'
    yield f'<path d="M{least:.1f} {middle}H{farthest:.1f}" stroke="#222222" stroke-width="2"/>'
    value = format_value(metric, row.summary.median)
    yield _text(max(farthest, median) + 8, middle + 4, value, 'font-size="13"')


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
