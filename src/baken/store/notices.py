"""Notices: opened when something happens by itself, resolved when a person acts on what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, insert, select, update

from baken.errors import NotFoundError
from baken.model import Notice, NoticeKind
from baken.store import schema
from baken.store.changes import Mutation
from baken.store.engine import Database
from baken.store.paging import cursor_id, page_limit

_NOTICES = schema.notices.c


def open_notice(
    change: Mutation, kind: NoticeKind, *, bank_id: int, entry_id: int, reason: str, facts: dict[str, int | str]
) -> None:
    """Tell people; the same entry cannot have two open notices of a kind."""
    row = {"created_at": change.at, "kind": kind.value, "bank_id": bank_id, "entry_id": entry_id}
    change.connection.execute(insert(schema.notices), row | {"reason": reason, "facts": facts})


def resolve_for_entries(change: Mutation, entry_ids: Sequence[int], *, actor: str) -> None:
    """Close the open notices about these entries."""
    _resolve(change, _NOTICES.entry_id.in_(entry_ids), actor)


def resolve_disputes(change: Mutation, entry_ids: Sequence[int], *, actor: str) -> None:
    """Close the open disputes of these entries: somebody has looked at them."""
    _resolve(change, _NOTICES.entry_id.in_(entry_ids) & (_NOTICES.kind == NoticeKind.ENTRY_DISPUTED.value), actor)


def has_open(change: Mutation, kind: NoticeKind, entry_id: int) -> bool:
    """Whether an entry has an open notice of a kind."""
    query = select(_NOTICES.id).where(_NOTICES.entry_id == entry_id, _NOTICES.kind == kind.value)
    return change.connection.execute(query.where(_NOTICES.resolved_at.is_(None))).first() is not None


def resolve_for_bank(change: Mutation, bank_id: int, *, actor: str) -> None:
    """Close the open notices about a bank's entries."""
    _resolve(change, _NOTICES.bank_id == bank_id, actor)


def _resolve(change: Mutation, where: ColumnElement[bool], actor: str) -> None:
    values = {"resolved_at": change.at, "resolved_by": actor}
    change.connection.execute(update(schema.notices).where(_NOTICES.resolved_at.is_(None), where).values(values))


def list_notices(
    database: Database, *, after_id: int, limit: int, open_only: bool, kind: NoticeKind | None
) -> list[Notice]:
    """A page of notices; see `Store.notices`."""
    query = _query().where(_NOTICES.id > cursor_id(after_id)).order_by(_NOTICES.id).limit(page_limit(limit))
    if open_only:
        query = query.where(_NOTICES.resolved_at.is_(None))
    if kind is not None:
        query = query.where(_NOTICES.kind == kind.value)
    with database.read() as connection:
        return [_notice(row) for row in connection.execute(query)]


def one_notice(database: Database, notice_id: int) -> Notice:
    """One notice; see `Store.notice`."""
    with database.read() as connection:
        row = connection.execute(_query().where(_NOTICES.id == cursor_id(notice_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no notice {notice_id}", hint="`baken notice list` shows the notices")
    return _notice(row)


def answered_entries(database: Database, entry_ids: Sequence[int]) -> set[int]:
    """Those of the entries whose quarantine a person has answered; see `Store.answered_entries`."""
    query = select(_NOTICES.entry_id).where(_NOTICES.entry_id.in_(entry_ids), _NOTICES.resolved_at.is_not(None))
    query = query.where(_NOTICES.kind == NoticeKind.ENTRY_QUARANTINED.value)
    with database.read() as connection:
        return set(connection.execute(query).scalars())


def open_notice_counts(database: Database) -> dict[NoticeKind, int]:
    """How many notices nobody resolved yet; see `Store.open_notice_counts`."""
    counts = dict.fromkeys(NoticeKind, 0)
    query = select(_NOTICES.kind, func.count()).where(_NOTICES.resolved_at.is_(None)).group_by(_NOTICES.kind)
    with database.read() as connection:
        counts.update({NoticeKind(kind): count for kind, count in connection.execute(query)})
    return counts


def _query() -> Select[Any]:
    banks = schema.banks
    return select(schema.notices, banks.c.name.label("bank")).join_from(
        schema.notices, banks, banks.c.id == _NOTICES.bank_id
    )


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        id=row.id,
        created_at=row.created_at,
        kind=NoticeKind(row.kind),
        bank_id=row.bank_id,
        bank=row.bank,
        entry_id=row.entry_id,
        reason=row.reason,
        facts=row.facts,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
    )
