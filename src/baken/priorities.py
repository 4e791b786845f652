"""Which case comes first, and why: points that are a sum of named factors, never a bare number.

The harm that the bank stands for, how far the copies have spread, how public they are, what else is known of the
accounts, and how long the case has waited. Age counts the same for every day and without an end, so that the order of
two cases never changes by waiting: a rank that is stored stays right (`rank_of`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from baken.cases import Case, Signal
from baken.errors import InvalidValueError
from baken.model import Purpose, Visibility

_SECONDS_OF_A_DAY = 86_400
_MAX_WEIGHT = 100_000.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIST = "docs/how-to/queue-and-priority.md lists every weight"


class FactorName(StrEnum):
    """What points are given for."""

    PURPOSE = "purpose"
    ITEMS = "items"
    ACCOUNTS = "accounts"
    VISIBILITY = "visibility"
    ESCALATED = "escalated"
    REPEAT_ACCOUNT = "repeat_account"
    FURTHER_ALBUMS = "further_albums"
    AGE = "age"


SIGNAL_KINDS = (FactorName.REPEAT_ACCOUNT, FactorName.FURTHER_ALBUMS)
"""The kinds of signals that are derived from a case's items, and have a weight."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How many points each thing counts; each is a number from 0 to 100,000.

    Attributes:
        known_abuse: a case of this purpose.
        own_photo: likewise.
        watch: likewise.
        per_doubling_of_items: two items count this once, four twice, eight three times.
        per_doubling_of_accounts: likewise, of accounts.
        public: some copy can be seen by everyone.
        shared: some copy stands in an album that is shared, and none is public.
        locked: some copy stands behind a password, and none is public or shared.
        unknown: the platform has not said who can see any copy.
        escalated: somebody escalated the case.
        repeat_account: an account of this case stands in another one that was confirmed; three such accounts count
            twice, seven three times.
        further_albums: the copies stand in two albums; four albums count twice.
        per_day: every day that the case has waited.
    """

    known_abuse: float = 100.0
    own_photo: float = 60.0
    watch: float = 20.0
    per_doubling_of_items: float = 10.0
    per_doubling_of_accounts: float = 15.0
    public: float = 15.0
    shared: float = 10.0
    locked: float = 12.0
    unknown: float = 5.0
    escalated: float = 80.0
    repeat_account: float = 25.0
    further_albums: float = 5.0
    per_day: float = 5.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Weights from `known_abuse=120, per_day=10`: those not named keep their defaults.

        Raises:
            InvalidValueError: a part is no `name=number`, a name is unknown or given twice, or a number is out of
                bounds.
        """
        known = [each.name for each in fields(cls)]
        given: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, number = (each.strip() for each in part.partition("="))
            if not equals:
                message = f"{part!r} is no weight, expected name=number"
                raise InvalidValueError(message, hint=f"Write known_abuse=100,per_day=5. {_LIST}.")
            if name not in known:
                message = f"there is no weight {name!r}, expected one of {', '.join(known)}"
                raise InvalidValueError(message, hint=f"{_LIST}.")
            if name in given:
                raise InvalidValueError(f"the weight {name!r} is given twice", hint="Leave one of them out.")
            given[name] = _weight(name, number)
        return cls(**given)

    def __str__(self) -> str:
        """The whole list, in the form that `parse` takes."""
        return ",".join(f"{name}={value:g}" for name, value in self.by_name().items())

    def by_name(self) -> dict[str, float]:
        """Every weight by its name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Factor:
    """Why a case has some of its points; `facts` are what a sentence about it needs."""

    name: FactorName
    points: float
    facts: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Points:
    """A case's points and what they are the sum of, the weightiest first."""

    total: float
    factors: tuple[Factor, ...]


def points_of(case: Case, weights: Weights, now: datetime) -> Points:
    """How urgent a case is, and why."""
    days = max(0.0, (now - case.opened_at).total_seconds() / _SECONDS_OF_A_DAY)
    age = Factor(FactorName.AGE, weights.per_day * days, {"days": days})
    factors = [factor for factor in [*_lasting_factors(case, weights), age] if factor.points]
    factors.sort(key=lambda factor: -factor.points)
    return Points(math.fsum(factor.points for factor in factors), tuple(factors))


def rank_of(case: Case, weights: Weights) -> float:
    """What sorts a case among others, the largest first: its points as they would be at the beginning of 1970.

    At any time the points of two cases differ by as much as their ranks do, but for a case of the future.
    """
    waited_days = (_EPOCH - case.opened_at).total_seconds() / _SECONDS_OF_A_DAY
    lasting = math.fsum(factor.points for factor in _lasting_factors(case, weights))
    return lasting + weights.per_day * waited_days


def signals_of(*, repeat_account_count: int, album_count: int) -> tuple[Signal, ...]:
    """The signals that a case's items give: accounts with a confirmed case, and albums beside the first."""
    counts = {FactorName.REPEAT_ACCOUNT: repeat_account_count, FactorName.FURTHER_ALBUMS: album_count - 1}
    return tuple(Signal(kind.value, counts[kind]) for kind in SIGNAL_KINDS if counts[kind] > 0)


def widest(visibilities: Sequence[Visibility]) -> Visibility | None:
    """The most public one; what is not known is the least."""
    return min(visibilities, key=list(Visibility).index, default=None)


def _lasting_factors(case: Case, weights: Weights) -> list[Factor]:
    """What does not change by waiting."""
    harm = {
        Purpose.KNOWN_ABUSE: weights.known_abuse,
        Purpose.OWN_PHOTO: weights.own_photo,
        Purpose.WATCH: weights.watch,
    }
    seen_by = {
        Visibility.PUBLIC: weights.public,
        Visibility.SHARED: weights.shared,
        Visibility.LOCKED: weights.locked,
        Visibility.UNKNOWN: weights.unknown,
    }
    visibility = case.widest_visibility or Visibility.UNKNOWN
    spread = [
        Factor(
            FactorName.ITEMS, weights.per_doubling_of_items * _doublings(case.item_count), {"items": case.item_count}
        ),
        Factor(
            FactorName.ACCOUNTS,
            weights.per_doubling_of_accounts * _doublings(case.account_count),
            {"accounts": case.account_count},
        ),
    ]
    signal_weights = {
        FactorName.REPEAT_ACCOUNT: weights.repeat_account,
        FactorName.FURTHER_ALBUMS: weights.further_albums,
    }
    signals = [
        Factor(kind, signal_weights[kind] * math.log2(1 + signal.count), {"count": signal.count})
        for kind in SIGNAL_KINDS
        for signal in case.signals
        if signal.kind == kind
    ]
    return [
        Factor(FactorName.PURPOSE, harm.get(case.purpose, 0.0), {"purpose": case.purpose.value}),
        *spread,
        Factor(FactorName.VISIBILITY, seen_by[visibility], {"visibility": visibility.value}),
        Factor(FactorName.ESCALATED, weights.escalated if case.is_escalated else 0.0),
        *signals,
    ]


def _doublings(count: int) -> float:
    return math.log2(max(1, count))


def _weight(name: str, number: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 <= weight <= _MAX_WEIGHT:
        message = f"the weight {name} is {number!r}, expected a number from 0 to {_MAX_WEIGHT:,.0f}"
        raise InvalidValueError(message, hint="0 lets it count nothing; write 12.5, not 12,5.")
    return weight
