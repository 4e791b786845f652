"""Tables of results: as text for the terminal, and as Markdown between the markers of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.results import Result
from bench.scenario import Cell, Table

TABLES_PATH = Path(__file__).parent.parent / "docs" / "altered-copies.md"

_PLACE = re.compile(r"(<!-- table:([a-z-]+):begin -->\n).*?(<!-- table:\2:end -->)", re.DOTALL)
_NOT_YET = "Not measured yet: `make bench-copies`.\n"
_SMALL = 0.001


def cell_text(cell: Cell) -> str:
    """A cell as text: a share with its interval, a count with its bound, or a number."""
    if cell.value is None:
        return "-"
    if cell.low is not None and cell.high is not None:
        return f"{cell.value:.2f} ({cell.low:.2f} to {cell.high:.2f})"
    if cell.high is not None and cell.found is not None and cell.asked is not None:
        return f"{cell.found:,} of {cell.asked:,} (≤ {cell.high:.1e})"
    if cell.value and abs(cell.value) < _SMALL:
        return f"{cell.value:.1e}"
    return f"{cell.value:,.0f}" if abs(cell.value) >= 1000 or float(cell.value).is_integer() else f"{cell.value:.3g}"


def table_lines(tables: Sequence[Table]) -> list[str]:
    """Tables for the terminal, columns aligned."""
    lines: list[str] = []
    for table in tables:
        rows = [table.columns, *([row.label, *map(cell_text, row.cells)] for row in table.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["", f"{table.name}: {table.title}"]
        lines += [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
    return lines


def render(table: Table) -> str:
    """A table as Markdown, its title first."""
    rows = [table.columns, ["---"] * len(table.columns)]
    rows += [[row.label, *map(cell_text, row.cells)] for row in table.rows]
    return "\n".join([table.title, "", *(f"| {' | '.join(row)} |" for row in rows), ""])


def write_tables(results: Sequence[Result], path: Path = TABLES_PATH) -> None:
    """Put the tables of the newest results between their markers."""
    path.write_text(_with_tables(path.read_text(encoding="utf-8"), results), encoding="utf-8")


def stale_tables(results: Sequence[Result], path: Path = TABLES_PATH) -> list[Path]:
    """The page, when it does not show what these results give."""
    text = path.read_text(encoding="utf-8")
    return [] if text == _with_tables(text, results) else [path]


def _with_tables(text: str, results: Sequence[Result]) -> str:
    """The page with every marked table filled in.

    Raises:
        ValueError: a result has a table that the page has no place for.
    """
    rendered = {
        table.name: f"{render(table)}\nMeasured {result.date} on {result.machine.cpu}. {' '.join(result.notes)}\n"
        for result in results
        for table in result.tables
    }
    if missing := rendered.keys() - {place.group(2) for place in _PLACE.finditer(text)}:
        message = f"no place for {', '.join(sorted(missing))}: put <!-- table:NAME:begin --> and end where each belongs"
        raise ValueError(message)
    return _PLACE.sub(lambda place: f"{place[1]}{rendered.get(place[2], _NOT_YET)}{place[3]}", text)
