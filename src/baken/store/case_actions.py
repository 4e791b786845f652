"""What is to be done because of decisions: pending until it is due, taken by the platform, final or cancelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, literal, select, update

from baken.cases import ActionKind, ActionState, CaseAction, DecisionKind
from baken.errors import NotFoundError
from baken.model import Purpose
from baken.store import schema
from baken.store.engine import Database
from baken.store.paging import cursor_id, page_limit
from baken.store.schema_review import is_pending_action

_ACTIONS = schema.case_actions.c
_ITEMS = schema.case_items.c


class ActionFilter(StrEnum):
    """Which actions a list is of: as their state says, or those pending ones whose time has come."""

    PENDING = "pending"
    DUE = "due"
    FINAL = "final"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ActionOfItem:
    """An action, with what the platform calls the item it is for, and what was decided."""

    action: CaseAction
    purpose: Purpose
    decision: DecisionKind | None
    category: str | None
    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None


class CaseActionRows:
    """Actions in one database; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_case(self, case_id: str, *, after_id: int = 0, limit: int = 1000) -> list[CaseAction]:
        """The actions of a case in the order of their ids, those after `after_id`, at most `limit`."""
        query = select(schema.case_actions).where(_ACTIONS.case_id == case_id, _ACTIONS.id > cursor_id(after_id))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_ACTIONS.id).limit(page_limit(limit)))
            return [_action(row) for row in rows]

    def page(self, which: ActionFilter, now: datetime, *, after_id: int = 0, limit: int = 100) -> list[ActionOfItem]:
        """Actions of every case in the order of their ids, those after `after_id`, at most `limit`."""
        state = ActionState.PENDING if which is ActionFilter.DUE else ActionState(which.value)
        query = _with_items().where(_ACTIONS.state == state.value, _ACTIONS.id > cursor_id(after_id))
        if which is ActionFilter.DUE:
            query = query.where(_ACTIONS.due_at <= now)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_ACTIONS.id).limit(page_limit(limit)))
            return [_action_of_item(row) for row in rows]

    def counts(self, case_id: str) -> dict[tuple[ActionKind, ActionState], int]:
        """How many actions a case has of each kind and state."""
        query = select(_ACTIONS.kind, _ACTIONS.state, func.count()).where(_ACTIONS.case_id == case_id)
        with self._database.read() as connection:
            rows = connection.execute(query.group_by(_ACTIONS.kind, _ACTIONS.state)).all()
        return {(ActionKind(kind), ActionState(state)): count for kind, state, count in rows}

    def action(self, action_id: int) -> ActionOfItem:
        """One action.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as connection:
            row = connection.execute(_with_items().where(_ACTIONS.id == cursor_id(action_id))).first()
        if row is None:
            raise NotFoundError(f"there is no action {action_id}", hint="`baken action list` shows the actions")
        return _action_of_item(row)


def add_actions(
    connection: Connection,
    case_id: str,
    event_seq: int,
    kinds: Sequence[ActionKind],
    due_at: datetime,
    *,
    once: Collection[ActionKind],
    item_ids: Sequence[int] | None = None,
) -> dict[str, int]:
    """An action of each kind for each item of a locked case, or for those given; how many of each kind.

    Of the kinds `once`, an item that has one already that is final gets no other.
    """
    counts = {}
    for kind in kinds:
        columns = [_ITEMS.case_id, literal(event_seq), _ITEMS.id, literal(kind.value)]
        columns += [literal(ActionState.PENDING.value), literal(due_at, _ACTIONS.due_at.type)]
        rows = select(*columns).where(_ITEMS.case_id == case_id)
        if item_ids is not None:
            rows = rows.where(_ITEMS.id.in_(item_ids))
        if kind in once:
            # One set for all items: asked anew for each of a crowd, it would take minutes.
            done = select(_ACTIONS.item_id).where(_ACTIONS.case_id == case_id, _ACTIONS.kind == kind.value)
            rows = rows.where(_ITEMS.id.not_in(done.where(_ACTIONS.state == ActionState.FINAL.value)))
        names = ("case_id", "event_seq", "item_id", "kind", "state", "due_at")
        statement = insert(schema.case_actions).from_select(names, rows.order_by(_ITEMS.id))
        counts[kind.value] = connection.execute(statement).rowcount
    return counts


def action_counts(connection: Connection, case_id: str, event_seqs: Collection[int]) -> Counter[ActionState]:
    """How many actions of a case's decisions are how far."""
    query = select(_ACTIONS.state, func.count()).where(_ACTIONS.case_id == case_id, _ACTIONS.event_seq.in_(event_seqs))
    return Counter({ActionState(state): count for state, count in connection.execute(query.group_by(_ACTIONS.state))})


def final_counts(
    connection: Connection, case_ids: Collection[str], kinds: Collection[ActionKind]
) -> Counter[tuple[str, ActionKind]]:
    """For how many items of each case an action of each of these kinds is done."""
    count = func.count(_ACTIONS.item_id.distinct())
    query = select(_ACTIONS.case_id, _ACTIONS.kind, count).group_by(_ACTIONS.case_id, _ACTIONS.kind)
    query = query.where(_ACTIONS.case_id.in_(case_ids), _ACTIONS.kind.in_([kind.value for kind in kinds]))
    rows = connection.execute(query.where(_ACTIONS.state == ActionState.FINAL.value))
    return Counter({(case_id, ActionKind(kind)): done for case_id, kind, done in rows})


def cancel_actions(connection: Connection, case_id: str) -> int:
    """Cancel what is pending in a locked case; how many actions."""
    pending = update(schema.case_actions).where(_ACTIONS.case_id == case_id, is_pending_action)
    return connection.execute(pending.values(state=ActionState.CANCELLED.value)).rowcount


def actions_among(connection: Connection, case_id: str, action_ids: Collection[int]) -> list[CaseAction]:
    """These actions of a locked case, as they are now."""
    query = select(schema.case_actions).where(_ACTIONS.case_id == case_id, _ACTIONS.id.in_(action_ids))
    return [_action(row) for row in connection.execute(query.order_by(_ACTIONS.id))]


def finish_actions(connection: Connection, action_ids: Collection[int], at: datetime, actor: str) -> None:
    """Make pending actions of locked cases final."""
    done = update(schema.case_actions).where(_ACTIONS.id.in_(action_ids))
    connection.execute(done.values(state=ActionState.FINAL.value, done_at=at, done_by=actor))


def has_pending(connection: Connection, case_id: str) -> bool:
    """Whether anything of a case is left to be done."""
    query = select(_ACTIONS.id).where(_ACTIONS.case_id == case_id, is_pending_action)
    return connection.execute(query.limit(1)).first() is not None


def _with_items() -> Select[Any]:
    cases = schema.cases.c
    joined = schema.case_actions.join(schema.case_items, _ITEMS.id == _ACTIONS.item_id)
    joined = joined.join(schema.cases, cases.id == _ACTIONS.case_id)
    about = [_ITEMS.screening_id, _ITEMS.item_ref, _ITEMS.account_ref, _ITEMS.album_ref]
    return select(schema.case_actions, *about, cases.purpose, cases.decision, cases.category).select_from(joined)


def _action_of_item(row: Row[Any]) -> ActionOfItem:
    refs = (row.screening_id, row.item_ref, row.account_ref, row.album_ref)
    decision = None if row.decision is None else DecisionKind(row.decision)
    return ActionOfItem(_action(row), Purpose(row.purpose), decision, row.category, *refs)


def _action(row: Row[Any]) -> CaseAction:
    fields = {column.name: getattr(row, column.name) for column in schema.case_actions.columns}
    fields["kind"] = ActionKind(row.kind)
    fields["state"] = ActionState(row.state)
    return CaseAction(**fields)
