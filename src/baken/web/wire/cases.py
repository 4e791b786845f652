"""Cases and their items."""

from __future__ import annotations

from datetime import datetime

import msgspec

from baken import cases
from baken.cases import Awaits, CaseState, DecisionKind, MatchOrigin
from baken.model import Purpose, Visibility
from baken.priorities import FactorName
from baken.queues import QueueRow
from baken.web.wire.matches import Match, match


class CaseEntry(msgspec.Struct):
    """An entry that items of a case match."""

    bank: str
    entry_id: int


class Factor(msgspec.Struct):
    """What a case has some of its points for."""

    name: FactorName
    points: float
    facts: dict[str, int | float | str]


class Points(msgspec.Struct):
    """How urgent a case is now, and why, the weightiest factor first."""

    total: float
    factors: list[Factor]


class Case(msgspec.Struct):
    """The unit of review: one picture, or one entry, with all its items.

    `state` is `claimed` while a person works on it. `awaits` says whose decision an undecided case waits for.
    """

    id: str
    purpose: Purpose
    state: CaseState
    opened_at: datetime
    updated_at: datetime
    item_count: int
    account_count: int
    entries: list[CaseEntry]
    awaits: Awaits | None
    is_escalated: bool
    visibility: Visibility | None
    decision: DecisionKind | None
    category: str | None
    decided_at: datetime | None
    points: Points


class CasePage(msgspec.Struct):
    """Cases, in the order that was asked for; `next_cursor` is null on the last page."""

    cases: list[Case]
    next_cursor: str | None


class CaseItem(msgspec.Struct):
    """An item of a case, and why it is there."""

    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    seen_at: datetime
    joined_at: datetime
    origin: MatchOrigin
    matches: list[Match]


class CaseItemPage(msgspec.Struct):
    """Items in the order in which they joined; `next_cursor` is null on the last page."""

    items: list[CaseItem]
    next_cursor: str | None


def case(row: QueueRow) -> Case:
    """A case as it is answered."""
    given = row.case
    factors = [Factor(factor.name, factor.points, dict(factor.facts)) for factor in row.points.factors]
    return Case(
        given.id,
        given.purpose,
        row.state,
        given.opened_at,
        given.updated_at,
        given.item_count,
        given.account_count,
        [CaseEntry(bank_name, entry_id) for bank_name, entry_id in given.entries],
        given.awaits,
        given.is_escalated,
        given.widest_visibility,
        given.decision,
        given.category,
        given.decided_at,
        Points(row.points.total, factors),
    )


def case_item(given: cases.CaseItem) -> CaseItem:
    """An item of a case as it is answered."""
    return CaseItem(
        given.screening_id,
        given.item_ref,
        given.account_ref,
        given.album_ref,
        given.seen_at,
        given.joined_at,
        given.origin,
        [match(each) for each in given.matches],
    )
