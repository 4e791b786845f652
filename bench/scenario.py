"""What a scenario is: a question, a goal, and a run that answers with figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from bench.measure import Ratio, Turns


class GoalKind(StrEnum):
    """What a goal bounds."""

    RATIO_AT_LEAST = "ratio_at_least"
    OURS_AT_LEAST = "ours_at_least"
    OURS_AT_MOST = "ours_at_most"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on the ratio or on our own figure."""

    kind: GoalKind
    limit: float

    def met_by(self, ours: float, ratio: Ratio | None) -> bool | None:
        """Whether the figure is within the bound; None when the goal is a ratio and no peer was measured."""
        if self.kind is GoalKind.RATIO_AT_LEAST:
            return None if ratio is None else ratio.median >= self.limit
        return ours >= self.limit if self.kind is GoalKind.OURS_AT_LEAST else ours <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a scenario's answer.

    Attributes:
        name: what was measured, with its size.
        unit: of `ours` and `peer`.
        ours: the median of our turns.
        peer: the median of the peer's turns, or None when there is no peer here.
        ratio: how many times better ours was, pair by pair, or None without a peer.
        goal: the bound this release promises, or None for a figure that is only reported.
        met: whether the bound held; None without a goal, or when a ratio could not be taken.
        raw: every recorded turn.
    """

    name: str
    unit: str
    ours: float
    peer: float | None = None
    ratio: Ratio | None = None
    goal: Goal | None = None
    met: bool | None = None
    raw: Turns | None = None


def compared(name: str, unit: str, turns: Turns, *, goal: Goal | None = None, higher_is_better: bool = False) -> Figure:
    """The figure of a measurement taken in turns."""
    ratio = turns.ratio(higher_is_better=higher_is_better)
    ours = statistics.median(turns.ours)
    peer = statistics.median(turns.peer) if turns.peer else None
    return Figure(name, unit, ours, peer, ratio, goal, goal.met_by(ours, ratio) if goal else None, turns)


def plain(name: str, unit: str, ours: float, *, peer: float | None = None, goal: Goal | None = None) -> Figure:
    """A figure that was not taken in turns, such as a distance or a size."""
    return Figure(name, unit, ours, peer, None, goal, goal.met_by(ours, None) if goal else None)


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table, with what it was counted from.

    Attributes:
        value: the number, or None for an empty cell.
        low: lower end of its interval.
        high: upper end of its interval, or alone an upper bound.
        found: how many of `asked` it is, for a share.
        asked: how many were asked.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    found: int | None = None
    asked: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    label: str
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """More figures than lines of an answer can show.

    Attributes:
        name: where the documentation shows it: between `<!-- table:NAME:begin -->` and `<!-- table:NAME:end -->`.
        title: one sentence.
        columns: the first one is that of the labels.
        rows: one cell less than there are columns, each.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run found.

    Attributes:
        figures: one line each.
        sizes: how much work was done, by name.
        peers: installed version of each peer that was measured.
        notes: what a reader must know to judge the figures.
        tables: what is shown whole in the documentation.
    """

    figures: list[Figure]
    sizes: dict[str, int]
    peers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work a run does: `quick` proves that the scenario runs, and its figures mean nothing."""

    quick: bool

    def pick(self, full: int, quick: int) -> int:
        """The size of this run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named measurement.

    Attributes:
        name: what is typed after `python -m bench`.
        question: what the figures answer.
        goal: the promise of this release, in words.
        run: does the work.
        only_when_named: whether a run of everything leaves it out, because of what it takes.
    """

    name: str
    question: str
    goal: str
    run: Callable[[Scale], Answer]
    only_when_named: bool = False
