"""The audit log at rest: events appended in the transaction of what they tell of, one after the other, without gaps.

Whoever appends locks the one row of `audit_head` last of all locks, and keeps it until the commit: so numbers become
visible in order, as in the change log (`changes.py`), and two writers cannot wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from baken.audit import MAX_EVENT_BYTES, AuditHead, AuditRow, NewEvent, canonical_event, digest_after, plain_text
from baken.errors import StoreError, TooLargeError
from baken.store import schema
from baken.store.engine import Database
from baken.store.paging import cursor_id, page_limit

_EVENTS = schema.audit_events.c
_HEAD = schema.audit_head.c
_STAMPS = schema.audit_stamps.c
_CHUNK_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class AuditStamp:
    """A time stamp (RFC 3161) of the log's head.

    Attributes:
        id: grows with time.
        seq: the head's number.
        digest: the head's digest.
        stamped_at: when the authority says it saw it.
        authority: the address that was asked.
        token: the authority's whole answer, DER.
    """

    id: int
    seq: int
    digest: bytes
    stamped_at: datetime
    authority: str
    token: bytes


class AuditedWrite:
    """An open write transaction and the events that it will leave in the audit log."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.at = datetime.now(UTC)
        self._events: list[NewEvent] = []

    def tell(self, event: NewEvent) -> None:
        """Append an event when the transaction ends."""
        self._events.append(event)

    def write_events(self) -> None:
        """Append the events; what takes a lock of its own must have been done before."""
        append(self.connection, self._events)


@contextmanager
def audited(database: Database) -> Iterator[AuditedWrite]:
    """One write transaction whose events stand in the audit log when, and only when, it is committed."""
    with database.write() as connection:
        write = AuditedWrite(connection)
        yield write
        write.write_events()


def append(connection: Connection, events: Sequence[NewEvent]) -> None:
    """Append events to the log, in this transaction.

    Raises:
        StoreError: the log has lost its head.
        TooLargeError: an event is longer than any may be.
    """
    if not events:
        return
    head = connection.execute(select(_HEAD.seq, _HEAD.digest).where(_HEAD.id == 1).with_for_update()).one_or_none()
    if head is None:
        raise StoreError("the audit log has lost its head row", hint="restore a backup of the database")
    seq, digest = head.seq, bytes(head.digest)
    at = datetime.now(UTC)
    rows = []
    for event in events:
        seq += 1
        text = canonical_event(seq, at, event)
        if len(text) > MAX_EVENT_BYTES:
            message = f"an audit event {event.kind!r} has {len(text)} bytes, at most {MAX_EVENT_BYTES} are kept"
            raise TooLargeError(message, hint="this is a fault in Baken: an event tells of a batch, not of its rows")
        digest = digest_after(digest, text)
        rows.append(
            {
                "seq": seq,
                "kind": event.kind,
                "actor": plain_text(event.actor),
                "subject": None if event.subject is None else plain_text(event.subject),
                "event": text.decode(),
                "digest": digest,
            }
        )
    connection.execute(insert(schema.audit_events), rows)
    connection.execute(update(schema.audit_head).where(_HEAD.id == 1).values(seq=seq, digest=digest))


class AuditRows:
    """The audit log; `Store.audit`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, event: NewEvent) -> None:
        """Append one event that no other write belongs to; it is durable when this returns."""
        with audited(self._database) as write:
            write.tell(event)

    def head(self) -> AuditHead | None:
        """The newest event's number and digest; None when the row that says so is gone."""
        with self._database.read() as connection:
            row = connection.execute(select(_HEAD.seq, _HEAD.digest).where(_HEAD.id == 1)).one_or_none()
        return None if row is None else AuditHead(row.seq, bytes(row.digest))

    def page(
        self,
        *,
        before_seq: int | None = None,
        limit: int = 100,
        kind: str | None = None,
        actor: str | None = None,
        subject: str | None = None,
    ) -> list[AuditRow]:
        """Events, newest first, those before `before_seq`, at most `limit`; `kind` may be a beginning, `bank.`."""
        query = select(schema.audit_events).order_by(_EVENTS.seq.desc()).limit(page_limit(limit))
        if before_seq is not None:
            query = query.where(_EVENTS.seq < cursor_id(before_seq))
        if kind is not None:
            named = _EVENTS.kind.startswith(kind, autoescape=True) if kind.endswith(".") else _EVENTS.kind == kind
            query = query.where(named)
        if actor is not None:
            query = query.where(_EVENTS.actor == actor)
        if subject is not None:
            query = query.where(_EVENTS.subject == subject)
        with self._database.read() as connection:
            return [_row(row) for row in connection.execute(query)]

    def before_newest(self, count: int) -> AuditHead | None:
        """The event before the newest `count`, which they follow from; None where there are no more than that."""
        query = select(_EVENTS.seq, _EVENTS.digest).order_by(_EVENTS.seq.desc()).offset(count).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else AuditHead(row.seq, bytes(row.digest))

    def rows(self, *, after_seq: int = 0, chunk: int = _CHUNK_ROWS) -> Iterator[AuditRow]:
        """Every event after `after_seq`, oldest first, read `chunk` rows at a time."""
        while True:
            query = select(schema.audit_events).where(_EVENTS.seq > cursor_id(after_seq))
            with self._database.read() as connection:
                found = connection.execute(query.order_by(_EVENTS.seq).limit(page_limit(chunk))).all()
            yield from map(_row, found)
            if len(found) < chunk:
                return
            after_seq = found[-1].seq

    def add_stamp(
        self, head: AuditHead, stamped_at: datetime, authority: str, token: bytes, *, actor: str
    ) -> AuditStamp:
        """Keep a time stamp of the head, and tell of it."""
        row = {
            "seq": head.seq,
            "digest": head.digest,
            "stamped_at": stamped_at,
            "authority": authority,
            "token": token,
        }
        with audited(self._database) as write:
            statement = insert(schema.audit_stamps).values(row).returning(schema.audit_stamps)
            stamp = write.connection.execute(statement).one()
            facts = {"seq": head.seq, "digest": head.digest.hex(), "stamped_at": stamped_at, "authority": authority}
            write.tell(NewEvent("audit.stamped", actor, None, facts))
        return _stamp(stamp)

    def stamps(self) -> Iterator[AuditStamp]:
        """Every time stamp, by rising number of the head that it stamps."""
        after = (-1, 0)
        while True:
            later = (_STAMPS.seq > after[0]) | ((_STAMPS.seq == after[0]) & (_STAMPS.id > after[1]))
            query = select(schema.audit_stamps).where(later).order_by(_STAMPS.seq, _STAMPS.id).limit(_CHUNK_ROWS)
            with self._database.read() as connection:
                found = connection.execute(query).all()
            yield from map(_stamp, found)
            if len(found) < _CHUNK_ROWS:
                return
            after = (found[-1].seq, found[-1].id)


def _row(row: Row[Any]) -> AuditRow:
    return AuditRow(row.seq, row.kind, row.actor, row.subject, row.event, bytes(row.digest))


def _stamp(row: Row[Any]) -> AuditStamp:
    return AuditStamp(row.id, row.seq, bytes(row.digest), row.stamped_at, row.authority, bytes(row.token))
