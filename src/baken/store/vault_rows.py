"""What the vault holds, as rows: an object's key, sealed, until it is destroyed, and that it was there ever after."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from baken.audit import NewEvent
from baken.errors import ConflictError, NotFoundError, StoreBusyError
from baken.model import Purpose
from baken.store import schema, schema_review
from baken.store.audit import AuditedWrite, audited
from baken.store.engine import Database
from baken.store.paging import page_limit

_TABLE = schema_review.vault_objects
_OBJECTS = _TABLE.c
_STATE = schema_review.vault_state.c
_CASES = schema_review.cases.c
_ITEMS = schema_review.case_items.c
_SCREENINGS = schema.screenings.c
_CHUNK_ROWS = 500


@dataclass(frozen=True, slots=True)
class VaultObject:
    """Bytes that are held, or were.

    Attributes:
        id: `vlt_` and hexadecimal digits; ids sort by time.
        sha256: of the bytes.
        size_bytes: how many.
        format: as `Fingerprints.format`.
        purposes: all for which they are known to have matched; only ever more.
        reason: why they are held.
        held_at: since when.
        ends_at: until when; they are destroyed then.
        destroyed_at: when they were destroyed; None while they are held.
        key_sealed: their key; None once they are destroyed.
    """

    id: str
    sha256: bytes
    size_bytes: int
    format: str | None
    purposes: frozenset[Purpose]
    reason: str
    held_at: datetime
    ends_at: datetime
    destroyed_at: datetime | None = None
    key_sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """An item that joined a case.

    Attributes:
        item_id: grows with time.
        purpose: of the case.
        sha256: of the item's bytes; None when its screening was deleted, so that nobody knows them any more.
    """

    item_id: int
    purpose: Purpose
    sha256: bytes | None


class VaultRows:
    """The vault's tables; `Store.vault`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: VaultObject, *, actor: str) -> VaultObject:
        """Keep a new object's row; what is held already with the same bytes is given instead."""
        with audited(self._database) as write:
            insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
            adding = insert(_TABLE).values(_row_of(new)).on_conflict_do_nothing().returning(_OBJECTS.id)
            if write.connection.execute(adding).first() is not None:
                _tell(write, "vault.held", new, actor, reason=new.reason)
                return new
            present = _held(write.connection, new.sha256)
        if present is None:
            message = f"the object with sha256 {new.sha256.hex()} was destroyed while it was added"
            raise StoreBusyError(message, hint="Try again.")
        return present

    def object(self, object_id: str) -> VaultObject:
        """One object, destroyed or not.

        Raises:
            NotFoundError: there never was one.
        """
        with self._database.read() as connection:
            return _object(connection, object_id)

    def held(self, sha256: bytes) -> VaultObject | None:
        """The object that holds these bytes now."""
        with self._database.read() as connection:
            return _held(connection, sha256)

    def objects(
        self, *, before_id: str | None = None, limit: int = 100, with_destroyed: bool = False
    ) -> list[VaultObject]:
        """Objects, the newest first, those before `before_id`, at most `limit`."""
        query = select(_TABLE).order_by(_OBJECTS.id.desc()).limit(page_limit(limit))
        if before_id is not None:
            query = query.where(_OBJECTS.id < before_id)
        if not with_destroyed:
            query = query.where(_OBJECTS.destroyed_at.is_(None))
        with self._database.read() as connection:
            return [_of(row) for row in connection.execute(query)]

    def ended(self, now: datetime, limit: int = _CHUNK_ROWS) -> list[VaultObject]:
        """Objects that are held beyond their end, the longest overdue first."""
        overdue = select(_TABLE).where(_OBJECTS.destroyed_at.is_(None), _OBJECTS.ends_at <= now)
        with self._database.read() as connection:
            return [_of(row) for row in connection.execute(overdue.order_by(_OBJECTS.ends_at).limit(limit))]

    def held_of(self, object_ids: Collection[str]) -> set[str]:
        """Which of these objects are held."""
        query = select(_OBJECTS.id).where(_OBJECTS.id.in_(object_ids), _OBJECTS.destroyed_at.is_(None))
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def change(
        self, object_id: str, change: Callable[[VaultObject], VaultObject], *, actor: str, reason: str
    ) -> VaultObject:
        """Give an object the purposes and the end that `change` makes of it, which sees it under the lock.

        Raises:
            ConflictError: it is destroyed.
            NotFoundError: there never was one.
        """
        with audited(self._database) as write:
            before = _object(write.connection, object_id, for_update=True)
            if before.destroyed_at is not None:
                message = f"the object {object_id!r} was destroyed at {before.destroyed_at.isoformat()}"
                raise ConflictError(message, hint="Nothing brings it back.")
            after = change(before)
            if after != before:
                values = {"purposes": sorted(after.purposes), "ends_at": after.ends_at}
                write.connection.execute(update(_TABLE).where(_OBJECTS.id == object_id).values(values))
                kind = "vault.extended" if after.ends_at > before.ends_at else "vault.restricted"
                _tell(write, kind, before, actor, reason=reason, purposes=values["purposes"], until=after.ends_at)
            return after

    def destroy(self, object_id: str, *, actor: str, reason: str) -> VaultObject:
        """Delete the key and say when; the file is worth nothing from then on. Repeating it does nothing.

        Raises:
            NotFoundError: there never was one.
        """
        with audited(self._database) as write:
            before = _object(write.connection, object_id, for_update=True)
            if before.destroyed_at is not None:
                return before
            gone = update(_TABLE).where(_OBJECTS.id == object_id).values(key_sealed=None, destroyed_at=write.at)
            write.connection.execute(gone)
            _tell(write, "vault.destroyed", before, actor, reason=reason)
            return _object(write.connection, object_id)

    def holding(self, digests: Collection[bytes]) -> dict[bytes, VaultObject]:
        """The objects that hold bytes with these SHA-256 digests now, by digest."""
        query = select(_TABLE).where(_OBJECTS.sha256.in_(digests), _OBJECTS.destroyed_at.is_(None))
        with self._database.read() as connection:
            found = [_of(row) for row in connection.execute(query)]
        return {each.sha256: each for each in found}

    def joined(self, *, limit: int = _CHUNK_ROWS) -> list[Joined]:
        """Items that joined cases and were not followed yet (`follow_to`), in the order in which they joined."""
        query = select(_ITEMS.id, _CASES.purpose, _SCREENINGS.sha256).join(schema.cases, _CASES.id == _ITEMS.case_id)
        query = query.outerjoin(schema.screenings, _SCREENINGS.id == _ITEMS.screening_id)
        query = query.where(_ITEMS.id > select(_STATE.followed_item_id).scalar_subquery())
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_ITEMS.id).limit(page_limit(limit))).all()
        return [Joined(row.id, Purpose(row.purpose), row.sha256 and bytes(row.sha256)) for row in rows]

    def follow_to(self, item_id: int) -> None:
        """Note that the items up to this one were followed; another process may be further already."""
        with self._database.write() as connection:
            behind = update(schema_review.vault_state).where(_STATE.followed_item_id < item_id)
            connection.execute(behind.values(followed_item_id=item_id))

    def has_keys(self) -> bool:
        """Whether any key is sealed here."""
        with self._database.read() as connection:
            query = select(_OBJECTS.id).where(_OBJECTS.key_sealed.is_not(None)).limit(1)
            return connection.execute(query).first() is not None

    def sealed_keys(self) -> Iterator[tuple[str, bytes]]:
        """Every object that is held, with its sealed key."""
        after = ""
        while True:
            query = select(_OBJECTS.id, _OBJECTS.key_sealed).where(_OBJECTS.key_sealed.is_not(None))
            query = query.where(_OBJECTS.id > after)
            with self._database.read() as connection:
                rows = connection.execute(query.order_by(_OBJECTS.id).limit(_CHUNK_ROWS)).all()
            yield from ((row.id, bytes(row.key_sealed)) for row in rows)
            if len(rows) < _CHUNK_ROWS:
                return
            after = rows[-1].id

    def reseal(self, object_id: str, before: bytes, after: bytes) -> bool:
        """Put a key that was sealed anew in the place of the same key; whether it was still there."""
        same = update(_TABLE).where(_OBJECTS.id == object_id, _OBJECTS.key_sealed == before)
        with self._database.write() as connection:
            return connection.execute(same.values(key_sealed=after)).rowcount == 1


def _tell(write: AuditedWrite, kind: str, object_: VaultObject, actor: str, **facts: object) -> None:
    about = {"sha256": object_.sha256.hex(), "purposes": sorted(object_.purposes), "ends_at": object_.ends_at, **facts}
    write.tell(NewEvent(kind, actor, f"vault:{object_.id}", about))


def _object(connection: Connection, object_id: str, *, for_update: bool = False) -> VaultObject:
    query = select(_TABLE).where(_OBJECTS.id == object_id)
    row = connection.execute(query.with_for_update() if for_update else query).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no object {object_id!r} in the vault", hint="`baken vault list` shows them.")
    return _of(row)


def _held(connection: Connection, sha256: bytes) -> VaultObject | None:
    query = select(_TABLE).where(_OBJECTS.sha256 == sha256, _OBJECTS.destroyed_at.is_(None))
    row = connection.execute(query).one_or_none()
    return None if row is None else _of(row)


def _row_of(object_: VaultObject) -> dict[str, Any]:
    fields = {column.name: getattr(object_, column.name) for column in _TABLE.columns}
    fields["purposes"] = sorted(object_.purposes)
    return fields


def _of(row: Row[Any]) -> VaultObject:
    fields = dict(row._mapping)
    fields["purposes"] = frozenset(map(Purpose, row.purposes))
    fields["sha256"] = bytes(row.sha256)
    fields["key_sealed"] = None if row.key_sealed is None else bytes(row.key_sealed)
    return VaultObject(**fields)
