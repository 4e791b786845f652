"""Figures as text for the terminal, and in the documentation: a table between two markers, and a picture."""

from __future__ import annotations

from pathlib import Path

from bench.plot import PLOT_PATH, draw
from bench.results import Result
from bench.scenario import Figure, Goal, GoalKind

DOCS_PATH = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN_MARKER = "<!-- bench:begin -->"
END_MARKER = "<!-- bench:end -->"

_GOAL_TEXT = {
    GoalKind.RATIO_AT_LEAST: "≥ {limit:g}x",
    GoalKind.OURS_AT_LEAST: "≥ {limit:,g} {unit}",
    GoalKind.OURS_AT_MOST: "≤ {limit:,g} {unit}",
}
_MET_TEXT = {True: "yes", False: "**no**", None: "-"}


def lines_of(result: Result) -> list[str]:
    """A result for the terminal: ratios first."""
    lines = [f"{result.scenario}: {result.question}", f"  goal: {result.goal}"]
    lines += [f"  {_ratio_text(figure):24} {figure.name:44} {_sides_text(figure)}" for figure in result.figures]
    lines.append(f"  sizes: {_sizes_text(result)}")
    lines += [f"  note: {note}" for note in result.notes]
    return [*lines, f"  goal met: {_MET_TEXT[result.met].strip('*')}"]


def render_table(results: list[Result]) -> str:
    """The Markdown between the markers: one table of all figures, then where each was taken."""
    header = [
        "| scenario | figure | ratio (lowest to highest) | ours | peer | goal | met |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [_row(result, figure) for result in results for figure in result.figures]
    return "\n".join([*header, *rows, "", *(_origin(result) for result in results)])


def write_docs(results: list[Result], path: Path = DOCS_PATH, plot_path: Path = PLOT_PATH) -> None:
    """Put the newest results between the markers, and into the picture."""
    path.write_text(_with_table(path.read_text(encoding="utf-8"), results), encoding="utf-8")
    plot_path.write_text(draw(results), encoding="utf-8")


def stale_docs(results: list[Result], path: Path = DOCS_PATH, plot_path: Path = PLOT_PATH) -> list[Path]:
    """The files of the documentation that are not what these results give."""
    text = path.read_text(encoding="utf-8")
    plot = plot_path.read_text(encoding="utf-8") if plot_path.exists() else None
    is_current = {path: text == _with_table(text, results), plot_path: plot == draw(results)}
    return [each for each, current in is_current.items() if not current]


def _with_table(text: str, results: list[Result]) -> str:
    head, begin, rest = text.partition(BEGIN_MARKER)
    _, end, tail = rest.partition(END_MARKER)
    if not begin or not end:
        message = f"no {BEGIN_MARKER} ... {END_MARKER} in the text: put both markers where the table belongs"
        raise ValueError(message)
    return f"{head}{BEGIN_MARKER}\n{render_table(results)}\n{END_MARKER}{tail}"


def _row(result: Result, figure: Figure) -> str:
    cells = [
        f"`{result.scenario}`",
        figure.name,
        _ratio_text(figure),
        _number(figure.ours, figure.unit),
        "-" if figure.peer is None else _number(figure.peer, figure.unit),
        "-" if figure.goal is None else _goal_text(figure.goal, figure.unit),
        _MET_TEXT[figure.met],
    ]
    return f"| {' | '.join(cells)} |"


def _origin(result: Result) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result.peers.items())) or "no peer"
    machine = f"{result.machine.cpu}, {result.machine.cores} cores, {result.machine.instruction_path or 'no'} path"
    notes = "".join(f" {note}" for note in result.notes)
    return f"- `{result.scenario}` ({result.date}; {machine}; {versions}; {_sizes_text(result)}).{notes}"


def _sizes_text(result: Result) -> str:
    return ", ".join(f"{name} {size:,}" for name, size in result.sizes.items())


def _ratio_text(figure: Figure) -> str:
    if figure.ratio is None:
        return "-"
    return f"{figure.ratio.median:.3g}x ({figure.ratio.low:.3g} to {figure.ratio.high:.3g})"


def _sides_text(figure: Figure) -> str:
    peer = "" if figure.peer is None else f" against {_number(figure.peer, figure.unit)}"
    goal = "" if figure.goal is None else f"   goal {_goal_text(figure.goal, figure.unit)}"
    missed = "  MISSED" if figure.met is False else ""
    turns = f"   ({len(figure.raw.ours)} turns)" if figure.raw and len(figure.raw.ours) > 1 else ""
    return f"{_number(figure.ours, figure.unit)}{peer}{goal}{missed}{turns}"


def _goal_text(goal: Goal, unit: str) -> str:
    return _GOAL_TEXT[goal.kind].format(limit=goal.limit, unit=unit)


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if abs(value) >= 1000 else f"{value:.3g} {unit}"
