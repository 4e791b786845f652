"""How much a person looked at: what counts, when the operator's budget for it is spent, and what the ledger says.

A reveal counts as many points as its level. That, and every budget, is a choice and not science: no study or standard
gives a validated number. What studies support is fewer views (Cook, Cai and Wohn 2022 find that cumulative exposure
dominates), asked for one by one (Das, Dang and Lease 2020), and not blur as such (Lewitzka et al. 2026).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from baken.cases import Level
from baken.model import Purpose

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Budgets:
    """Points that a person may spend in any hour and in any 24 hours; 0 sets no limit."""

    per_hour: int = 0
    per_day: int = 0

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return bool(self.per_hour or self.per_day)


@dataclass(frozen=True, slots=True)
class Spent:
    """Points that were spent at one time."""

    at: datetime
    points: int


@dataclass(frozen=True, slots=True)
class BudgetState:
    """How far a person's budgets are spent now.

    Attributes:
        at: when "now" was.
        hour_points: spent in the last hour.
        day_points: spent in the last 24 hours.
        budgets: what the operator allows.
        extra_points: what leads allowed beyond that, now.
        spent: the newest last; what tells when points come back.
    """

    at: datetime
    hour_points: int
    day_points: int
    budgets: Budgets
    extra_points: int
    spent: tuple[Spent, ...] = ()

    def allows(self, level: Level) -> bool:
        """Whether one more reveal of this level fits."""
        points = points_of(level)
        return all(not most or used + points <= most + self.extra_points for used, most, _ in self._windows())

    def free_at(self, level: Level) -> datetime | None:
        """When a reveal of this level fits again without a lift; None when it fits now, or never will."""
        if self.allows(level):
            return None
        latest: datetime | None = None
        for used, most, window in self._windows():
            over = used + points_of(level) - most - self.extra_points
            if not most or over <= 0:
                continue
            ends = self._when_back(over, window)
            if ends is None:
                return None
            latest = ends if latest is None else max(latest, ends)
        return latest

    def _when_back(self, over: int, window: timedelta) -> datetime | None:
        """When so many of the points in a window have left it; None when all of them are too few."""
        for each in self.spent:
            if each.at > self.at - window:
                over -= each.points
                if over <= 0:
                    return each.at + window
        return None

    def _windows(self) -> tuple[tuple[int, int, timedelta], ...]:
        return (self.hour_points, self.budgets.per_hour, HOUR), (self.day_points, self.budgets.per_day, DAY)


def points_of(level: Level) -> int:
    """What a reveal counts."""
    return int(level)


def points_in(counts: Mapping[Level, int]) -> int:
    """What so many reveals of each level count."""
    return sum(count * points_of(level) for level, count in counts.items())


def state_of(budgets: Budgets, spent: Iterable[Spent], extra_points: int, now: datetime) -> BudgetState:
    """The state of a person's budgets.

    Args:
        budgets: what the operator allows.
        spent: what was spent in the last 24 hours; what is older does not count.
        extra_points: what leads allow beyond that now.
        now: the time.
    """
    recent = tuple(sorted((each for each in spent if each.at > now - DAY), key=lambda each: each.at))
    return BudgetState(
        at=now,
        hour_points=sum(each.points for each in recent if each.at > now - HOUR),
        day_points=sum(each.points for each in recent),
        budgets=budgets,
        extra_points=extra_points,
        spent=recent,
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """Reveals of one day, level and purpose.

    Attributes:
        day: in UTC.
        level: how much was shown.
        purpose: of the cases.
        count: how many.
        shown_seconds: how long they were on screen, as far as said.
    """

    day: date
    level: Level
    purpose: Purpose
    count: int
    shown_seconds: float

    @property
    def points(self) -> int:
        """What they count."""
        return self.count * points_of(self.level)
