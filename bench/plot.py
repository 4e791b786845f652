"""The picture of docs/performance.md, drawn from the newest results: the same results give the same bytes.

Above, every figure whose goal is a ratio against a peer, on a logarithmic axis; below, the time of one lookup by the
number of codes, from every scenario that has such a figure. Colours follow the reader's light or dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bench.results import Result
from bench.scenario import Figure, GoalKind
from bench.scenarios.lookup import AFTER_OTHER_WORK, BACK_TO_BACK

PLOT_PATH = Path(__file__).parent.parent / "docs" / "images" / "performance.svg"

_WIDTH = 960
_MARGIN = 24
_LABEL_WIDTH = 360
_VALUE_WIDTH = 200
_ROW_HEIGHT = 36
_TITLE_HEIGHT = 62
_AXIS_HEIGHT = 40
_LOOKUP_HEIGHT = 320
_LOOKUP_LEFT = 92
_LOOKUP_INSET = 60
_LEGEND_WIDTH = 280
_LEGEND_HEIGHT = 34
_SIZES = (1_000_000, 100_000_000)
"""The axis of the number of codes: as far as Baken promises anything."""

_STYLE = """
text{font-family:system-ui,sans-serif;font-size:12px;fill:var(--text)}
.title{font-size:16px;font-weight:600}.note{fill:var(--muted)}.name{font-family:ui-monospace,monospace;font-weight:600}
.axis{fill:var(--muted);font-size:11px}.value{font-weight:600;font-size:13px}.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:var(--grid)}.one{stroke:var(--muted);stroke-dasharray:3 3}.bar{fill:var(--ours)}.missed{fill:var(--missed)}
.span{stroke:var(--text);stroke-opacity:.55;stroke-width:1.5}.goal{stroke:var(--text);stroke-width:2.5}
.ours,.cold,.peer{fill:none;stroke-width:2.5}.ours,.cold{stroke:var(--ours)}.cold{stroke-dasharray:6 4}
.peer{stroke:var(--peer)}
.dot.ours{fill:var(--ours)}.dot.cold{fill:var(--back);stroke-dasharray:none}.dot.peer{fill:var(--peer)}
.of-ours,.of-cold{fill:var(--ours);font-weight:600}.of-peer{fill:var(--peer);font-weight:600}
.of-missed{fill:var(--missed)}
svg{--back:#fff;--text:#14213d;--muted:#55606e;--grid:#e3e8ef;--ours:#2b68a8;--peer:#b05c00;--missed:#b3261e}
@media(prefers-color-scheme:dark){
svg{--back:#10161f;--text:#e6edf5;--muted:#9fabb8;--grid:#2a3542;--ours:#6cb0f2;--peer:#f0a35e;--missed:#ff8f85}}
"""


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis from `low` at `start` to `high` at `end`, in pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def decades(self) -> Iterator[float]:
        """The powers of ten on the axis."""
        for exponent in range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1):
            yield 10.0**exponent


@dataclass(frozen=True, slots=True)
class _Bar:
    """A ratio with its span and its goal."""

    scenario: str
    name: str
    median: float
    low: float
    high: float
    goal: float
    is_met: bool


@dataclass(frozen=True, slots=True)
class _Line:
    """Microseconds by number of codes, smallest number first; `look` is a class of the style."""

    name: str
    look: str
    points: list[tuple[float, float]]


def draw(results: list[Result]) -> str:
    """The whole SVG document."""
    bars = list(_bars(results))
    lines = [line for line in _lines(results) if line.points]
    bars_height = _TITLE_HEIGHT + len(bars) * _ROW_HEIGHT + _AXIS_HEIGHT if bars else 0
    lookup_height = _TITLE_HEIGHT + _LEGEND_HEIGHT + _LOOKUP_HEIGHT + _AXIS_HEIGHT if lines else 0
    height = bars_height + lookup_height + _MARGIN
    spoken = escape(_spoken(bars, lines))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{spoken}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="var(--back)"/>',
        *(_draw_bars(bars) if bars else ()),
        *(_draw_lookups(lines, bars_height) if lines else ()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bars(results: list[Result]) -> Iterator[_Bar]:
    for result in results:
        for figure in result.figures:
            if figure.goal and figure.ratio and figure.goal.kind is GoalKind.RATIO_AT_LEAST:
                ratio = figure.ratio
                is_met = figure.met is True
                yield _Bar(result.scenario, figure.name, ratio.median, ratio.low, ratio.high, figure.goal.limit, is_met)


def _lines(results: list[Result]) -> list[_Line]:
    def points(name: str, value: Callable[[Figure], float | None]) -> list[tuple[float, float]]:
        found = (
            (float(result.sizes["codes"]), value(figure))
            for result in results
            for figure in result.figures
            if figure.name == name and "codes" in result.sizes
        )
        return sorted((size, time) for size, time in found if time is not None)

    return [
        _Line("Baken, back to back", "ours", points(BACK_TO_BACK, lambda figure: figure.ours)),
        _Line("Baken, caches emptied before it", "cold", points(AFTER_OTHER_WORK, lambda figure: figure.ours)),
        _Line("faiss, flat scan", "peer", points(BACK_TO_BACK, lambda figure: figure.peer)),
    ]


def _spoken(bars: list[_Bar], lines: list[_Line]) -> str:
    """What the picture says, for who does not see it."""
    ratios = [f"{bar.scenario}, {bar.name}: {_short(bar.median)} times, goal {_short(bar.goal)}" for bar in bars]
    times = [
        f"{line.name}, {size:,.0f} codes: {_short(microseconds)} microseconds a lookup"
        for line in lines
        for size, microseconds in line.points
    ]
    return "; ".join([*ratios, *times])


def _draw_bars(bars: list[_Bar]) -> Iterator[str]:
    low = min(1.0, *(min(bar.low, bar.goal) for bar in bars)) / 1.15
    high = max(2.0, *(max(bar.high, bar.goal) for bar in bars)) * 1.1
    axis = _Axis(low, high, _LABEL_WIDTH, _WIDTH - _VALUE_WIDTH)
    bottom = _TITLE_HEIGHT + len(bars) * _ROW_HEIGHT
    yield _text(_MARGIN, 30, "How many times the peer", "title")
    yield _text(_MARGIN, 49, "bar: median; thin line: lowest to highest; thick tick: the goal", "note")
    for value in (each * step for each in axis.decades() for step in (1, 2, 5)):
        if low <= value <= high:
            x = axis.at(value)
            yield _line(x, _TITLE_HEIGHT, x, bottom, "one" if value == 1 else "grid")
            yield _text(x, bottom + 17, f"{value:g}x", "axis middle")
    for row, bar in enumerate(bars):
        yield from _draw_bar(bar, axis, _TITLE_HEIGHT + row * _ROW_HEIGHT)


def _draw_bar(bar: _Bar, axis: _Axis, top: float) -> Iterator[str]:
    middle = top + _ROW_HEIGHT / 2
    begin, end = sorted((axis.at(1), axis.at(bar.median)))
    look = "bar" if bar.is_met else "missed"
    yield _text(_LABEL_WIDTH - 12, middle - 2, bar.scenario, "name end")
    yield _text(_LABEL_WIDTH - 12, middle + 13, bar.name, "axis end")
    yield f'<rect x="{begin:.1f}" y="{middle - 8:.1f}" width="{end - begin:.1f}" height="16" rx="2" class="{look}"/>'
    yield _line(axis.at(bar.low), middle, axis.at(bar.high), middle, "span")
    yield _line(axis.at(bar.goal), middle - 12, axis.at(bar.goal), middle + 12, "goal")
    x = _WIDTH - _VALUE_WIDTH + 16
    yield _text(x, middle + 4, f"{_short(bar.median)}x", "value" if bar.is_met else "value of-missed")
    yield _text(x + 64, middle + 4, f"goal {_short(bar.goal)}x{'' if bar.is_met else ', missed'}", "axis")


def _draw_lookups(lines: list[_Line], top: float) -> Iterator[str]:
    times = [microseconds for line in lines for _, microseconds in line.points]
    left, right = _LOOKUP_LEFT, _WIDTH - _MARGIN
    across = _Axis(*_SIZES, left + _LOOKUP_INSET, right - _LOOKUP_INSET)
    # The axis ends at whole decades.
    low, high = 10.0 ** math.floor(math.log10(min(times))), 10.0 ** math.ceil(math.log10(max(times)))
    begin = top + _TITLE_HEIGHT + _LEGEND_HEIGHT
    up = _Axis(low, high, begin + _LOOKUP_HEIGHT, begin)
    yield _text(_MARGIN, top + 30, "Time of one exact lookup, radius 31, one core", "title")
    yield _text(_MARGIN, top + 49, "by the number of codes; every match is found", "note")
    for size in across.decades():
        yield _line(across.at(size), up.end, across.at(size), up.start, "grid")
        yield _text(across.at(size), up.start + 18, f"{size / 1e6:g} million", "axis middle")
    for microseconds in up.decades():
        yield _line(left, up.at(microseconds), right, up.at(microseconds), "grid")
        yield _text(left - 8, up.at(microseconds) + 4, _time(microseconds), "axis end")
    for column, line in enumerate(lines):
        yield from _draw_legend(line, left + column * _LEGEND_WIDTH, begin - 16)
        places = [(across.at(size), up.at(microseconds)) for size, microseconds in line.points]
        yield f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}" class="{line.look}"/>'
        for (x, y), (_, microseconds) in zip(places, line.points, strict=True):
            yield _dot(x, y, line)
            yield _text(x, y + (21 if line.look == "ours" else -13), _time(microseconds), f"of-{line.look} middle")


def _draw_legend(line: _Line, x: float, y: float) -> Iterator[str]:
    yield _line(x, y, x + 36, y, line.look)
    yield _dot(x + 18, y, line)
    yield _text(x + 44, y + 4, line.name, f"of-{line.look}")


def _dot(x: float, y: float, line: _Line) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="dot {line.look}"/>'


def _text(x: float, y: float, text: str, look: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{look}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{look}"/>'


def _time(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{_short(microseconds)} µs"
    milliseconds = microseconds / 1000
    return f"{_short(milliseconds)} ms" if milliseconds < 1000 else f"{_short(milliseconds / 1000)} s"


def _short(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
