"""Cases and their items."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from baken import cases
from baken.cases import ActionKind, ActionState, Awaits, CaseState, DecisionKind, EventKind, MatchOrigin
from baken.model import Purpose, Visibility
from baken.priorities import FactorName
from baken.queues import QueueRow
from baken.store.case_actions import ActionOfItem
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
    hold_until: datetime | None
    decision: DecisionKind | None
    category: str | None
    decided_at: datetime | None
    undo_until: datetime | None
    points: Points


class CasePage(msgspec.Struct):
    """Cases, in the order that was asked for; `next_cursor` is null on the last page."""

    cases: list[Case]
    next_cursor: str | None


class CaseEvent(msgspec.Struct):
    """Something that happened to a case. What `facts` holds follows from `kind`."""

    seq: int
    at: datetime
    kind: EventKind
    actor: str
    facts: dict[str, Any]


class CaseEventPage(msgspec.Struct):
    """Events in their order; `next_cursor` is null on the last page."""

    events: list[CaseEvent]
    next_cursor: str | None


class Action(msgspec.Struct):
    """What is to be done to one item because of a decision, or was. It is due from `due_at` on while it is pending."""

    id: int
    case_id: str
    kind: ActionKind
    state: ActionState
    due_at: datetime
    done_at: datetime | None
    done_by: str | None
    purpose: Purpose
    decision: DecisionKind | None
    category: str | None
    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None


class ActionPage(msgspec.Struct):
    """Actions, oldest first; `next_cursor` is null on the last page."""

    actions: list[Action]
    next_cursor: str | None


class ActionDone(msgspec.Struct, forbid_unknown_fields=True):
    """That an action is done. It is final: what is done cannot be undone."""

    state: Literal["done"]


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
    """A case as it is answered: with the state it has now, which knows whether a claim still holds."""
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
        given.hold_until,
        given.decision,
        given.category,
        given.decided_at,
        given.undo_until,
        Points(row.points.total, factors),
    )


def case_event(given: cases.CaseEvent) -> CaseEvent:
    """An event of a case as it is answered."""
    return CaseEvent(given.seq, given.at, given.kind, given.actor, dict(given.facts))


def action(given: ActionOfItem) -> Action:
    """An action as it is answered."""
    of = given.action
    return Action(
        of.id,
        of.case_id,
        of.kind,
        of.state,
        of.due_at,
        of.done_at,
        of.done_by,
        given.purpose,
        given.decision,
        given.category,
        given.screening_id,
        given.item_ref,
        given.account_ref,
        given.album_ref,
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
