"""A case's life at rest: events are only added, and each is written together with what all of them come to.

Whoever writes has locked the case's row first, and so has seen every event there is: two persons who claim a case at
once come one after the other, and the second one sees the first one's claim. Cases are locked in the order of their
ids, so that two who want several cannot wait for each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from baken.audit import NewEvent
from baken.cases import Case, CaseEvent, CaseState, CaseStatus, EventKind
from baken.errors import NotFoundError
from baken.store import schema
from baken.store.audit import AuditedWrite, audited
from baken.store.cases import read_cases
from baken.store.changes import Mutation, mutation
from baken.store.engine import Database
from baken.store.paging import cursor_id, page_limit

_CASES = schema.cases.c
_EVENTS = schema.case_events.c

_COLUMNS = (
    "state",
    "event_count",
    "awaits",
    "holder_id",
    "assignee_id",
    "is_escalated",
    "hold_until",
    "decision",
    "category",
    "decided_at",
    "decided_by",
    "undo_until",
)
"""The columns of `cases` that its events determine."""


@dataclass(frozen=True, slots=True)
class LockedCase:
    """A case that nobody else changes before the transaction ends, with the events that were asked for."""

    case: Case
    events: Sequence[CaseEvent]


class CaseEventRows:
    """What happened to cases; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def events(
        self, case_id: str, *, after_seq: int = 0, limit: int | None = None, without: Collection[EventKind] = ()
    ) -> list[CaseEvent]:
        """The events of a case in their order, those after `after_seq`, at most `limit`.

        Raises:
            NotFoundError: there is no such case.
        """
        query = _query([case_id], without).where(_EVENTS.seq > cursor_id(after_seq))
        if limit is not None:
            query = query.limit(page_limit(limit))
        with self._database.read() as connection:
            if connection.execute(select(_CASES.id).where(_CASES.id == case_id)).first() is None:
                raise _not_found(case_id)
            return [_event(row) for row in connection.execute(query)]

    def newest(self, case_id: str, kinds: Collection[EventKind], limit: int) -> list[CaseEvent]:
        """The newest events of some kinds of a case, in their order, at most `limit`."""
        query = select(schema.case_events).where(_EVENTS.case_id == case_id)
        query = query.where(_EVENTS.kind.in_([kind.value for kind in kinds])).order_by(_EVENTS.seq.desc())
        with self._database.read() as connection:
            rows = connection.execute(query.limit(page_limit(limit))).all()
        return [_event(row) for row in reversed(rows)]

    @contextmanager
    def audited(self) -> Iterator[AuditedWrite]:
        """One write transaction, whose events for the audit log are written with it."""
        with audited(self._database) as write:
            yield write

    @contextmanager
    def changing_entries(self) -> Iterator[Mutation]:
        """The same for a step that also changes entries: it has the change log's lock, which is taken first."""
        with mutation(self._database) as change:
            yield change

    def due_holds(self, now: datetime, limit: int) -> list[str]:
        """The cases on hold whose time is over, at most `limit`, those that are over longest first."""
        query = select(_CASES.id).where(_CASES.hold_until <= now, _CASES.state == CaseState.ON_HOLD.value)
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(_CASES.hold_until).limit(page_limit(limit))).scalars())


def events_of_kinds(connection: Connection, case_id: str, kinds: Collection[EventKind]) -> list[CaseEvent]:
    """The events of some kinds of a case, in their order."""
    query = _query([case_id], ()).where(_EVENTS.kind.in_([kind.value for kind in kinds]))
    return [_event(row) for row in connection.execute(query)]


def locked_cases(connection: Connection, case_ids: Collection[str]) -> list[Case]:
    """Lock those of the cases that are there, in the order of their ids, and read them."""
    wanted = select(schema.cases).where(_CASES.id.in_(case_ids)).order_by(_CASES.id).with_for_update()
    return read_cases(connection, connection.execute(wanted).all())


def locked(
    connection: Connection,
    case_ids: Collection[str],
    *,
    without: Collection[EventKind] = (),
    is_there: Callable[[Case], bool] = lambda _: True,
) -> dict[str, LockedCase]:
    """Lock cases, in the order of their ids, and read them with their events, those of the kinds `without` left out.

    Raises:
        NotFoundError: one of them is not there, or not for whom `is_there` speaks: the error does not tell which.
    """
    cases = {case.id: case for case in locked_cases(connection, case_ids) if is_there(case)}
    missing = sorted(set(case_ids) - cases.keys())
    if missing:
        raise _not_found(missing[0])
    events: dict[str, list[CaseEvent]] = defaultdict(list)
    for row in connection.execute(_query(case_ids, without)):
        events[row.case_id].append(_event(row))
    return {case_id: LockedCase(case, events[case_id]) for case_id, case in cases.items()}


def write_event(write: AuditedWrite, event: CaseEvent, status: CaseStatus, *, lease_until: datetime | None) -> None:
    """Add an event to a locked case, keep what all of them come to, and have the audit log tell of it."""
    insert_events(write.connection, [event])
    values = {"updated_at": event.at, "lease_until": lease_until, **columns_of(status)}
    write.connection.execute(update(schema.cases).where(_CASES.id == event.case_id).values(values))
    write.tell(audit_event(event))


def audit_event(event: CaseEvent) -> NewEvent:
    """What the audit log says of an event; `event_seq` is its own number, `seq` that of a decision it is about."""
    facts = {**event.facts, "event_seq": event.seq}
    return NewEvent(f"case.{event.kind.value}", event.actor, f"case:{event.case_id}", facts)


def insert_events(connection: Connection, events: Sequence[CaseEvent]) -> None:
    """Add events to locked cases, whose columns the caller keeps."""
    rows = [
        {
            "case_id": event.case_id,
            "seq": event.seq,
            "at": event.at,
            "kind": event.kind.value,
            "actor": event.actor,
            "facts": dict(event.facts),
        }
        for event in events
    ]
    if rows:
        connection.execute(insert(schema.case_events), rows)


def set_lease(connection: Connection, case_id: str, lease_until: datetime) -> None:
    """Prolong a claim, which leaves no event."""
    connection.execute(update(schema.cases).where(_CASES.id == case_id).values(lease_until=lease_until))


def columns_of(status: CaseStatus) -> Mapping[str, Any]:
    """The columns of `cases` that follow from its events."""
    values = {name: getattr(status, name) for name in _COLUMNS}
    return {name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()}


def _query(case_ids: Collection[str], without: Collection[EventKind]) -> Select[Any]:
    query = select(schema.case_events).where(_EVENTS.case_id.in_(case_ids))
    if without:
        query = query.where(_EVENTS.kind.not_in([kind.value for kind in without]))
    return query.order_by(_EVENTS.case_id, _EVENTS.seq)


def _event(row: Row[Any]) -> CaseEvent:
    return CaseEvent(row.case_id, row.seq, row.at, EventKind(row.kind), row.actor, row.facts)


def _not_found(case_id: str) -> NotFoundError:
    return NotFoundError(f"there is no case {case_id[:100]!r}", hint="`baken case list` shows the cases")
