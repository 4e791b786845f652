"""Banks: made, listed, paused, resumed and withdrawn, with a line of history for each change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from baken.audit import NewEvent
from baken.copies import ViewSet
from baken.errors import ConflictError, InvalidValueError, NotFoundError
from baken.flood import FloodLimits
from baken.model import Bank, BankState, EntryState, Purpose, Verdict
from baken.store import schema
from baken.store.changes import Mutation, mutation
from baken.store.engine import Database
from baken.store.kept import forget_unkept_keypoints
from baken.store.notices import resolve_for_bank
from baken.store.paging import cursor_id, page_limit

_BANKS = schema.banks.c
_EVENTS = schema.bank_events.c


@dataclass(frozen=True, slots=True)
class BankEvent:
    """One line of a bank's history.

    Attributes:
        id: grows with time.
        bank_id: the bank.
        bank: its name.
        what: `created`, `changed`, `active`, `paused` or `withdrawn` for the bank itself, `entries_added`,
            `entries_completed` or `entries_<state>` for entries in it.
        actor: who did it.
        reason: why, in the actor's words.
        entry_count: how many entries changed, or None when the event is about the bank.
        first_entry_id: the smallest id among them, or None.
        last_entry_id: the largest id among them, or None.
        created_at: when.
        facts: of `changed`, what was before and is now, by name; of a quarantine, the numbers behind it; else None.
    """

    id: int
    bank_id: int
    bank: str
    what: str
    actor: str
    reason: str | None
    entry_count: int | None
    first_entry_id: int | None
    last_entry_id: int | None
    created_at: datetime
    facts: Mapping[str, Any] | None


def create_bank(
    database: Database,
    name: str,
    purpose: Purpose,
    *,
    radius_bits: int,
    verdict: Verdict,
    flood: FloodLimits,
    view_set: ViewSet,
    keeps_keypoints: bool,
    actor: str,
    reason: str | None,
) -> Bank:
    """Make an empty, active bank; see `Store.create_bank`."""
    flood.check()
    if not name:
        raise InvalidValueError("the bank's name is empty, expected a name", hint="name the bank")
    with mutation(database) as change:
        if _newest(change.connection, name, live_only=True) is not None:
            raise ConflictError(f"a bank named {name!r} exists already", hint="take another name, or add to that bank")
        row: dict[str, Any] = {
            "name": name,
            "purpose": purpose.value,
            "radius_bits": radius_bits,
            "verdict": verdict.value,
            "flood_accounts_per_hour": flood.accounts_per_hour,
            "flood_factor": flood.factor,
            "view_set": view_set.value,
            "keeps_keypoints": keeps_keypoints,
            "state": BankState.ACTIVE.value,
            "reason": reason,
            "created_at": change.at,
            "updated_at": change.at,
        }
        bank_id = change.connection.execute(insert(schema.banks).values(row).returning(_BANKS.id)).scalar_one()
        add_event(change, bank_id, "created", actor=actor, reason=reason)
        change.log("bank", bank_id=bank_id)
        return bank_by_id(change.connection, bank_id)


def change_bank(
    database: Database,
    name: str,
    *,
    radius_bits: int | None,
    verdict: Verdict | None,
    flood_accounts_per_hour: int | None,
    flood_factor: int | None,
    view_set: ViewSet | None,
    keeps_keypoints: bool | None,
    follows_decisions: bool | None,
    actor: str,
    reason: str | None,
) -> Bank:
    """Change what a bank matches and answers; see `Store.change_bank`."""
    asked: dict[str, Any] = {
        "radius_bits": radius_bits,
        "verdict": verdict,
        "flood_accounts_per_hour": flood_accounts_per_hour,
        "flood_factor": flood_factor,
        "view_set": view_set,
        "keeps_keypoints": keeps_keypoints,
        "follows_decisions": follows_decisions,
    }
    bank = _changed(database, name, asked, actor=actor, reason=reason)
    if keeps_keypoints is False:
        forget_unkept_keypoints(database)
    return bank


def _changed(database: Database, name: str, asked: Mapping[str, Any], *, actor: str, reason: str | None) -> Bank:
    with mutation(database) as change:
        bank = live_bank(change.connection, name)
        changed = {key: new for key, new in asked.items() if new is not None and new != getattr(bank, key)}
        after = replace(bank, **changed)
        FloodLimits(after.flood_accounts_per_hour, after.flood_factor).check()
        if not changed:
            return bank
        values = {**changed, "updated_at": change.at}
        change.connection.execute(update(schema.banks).where(_BANKS.id == bank.id).values(values))
        facts = {key: {"before": getattr(bank, key), "now": new} for key, new in changed.items()}
        add_event(change, bank.id, "changed", actor=actor, reason=reason, facts=facts)
        change.log("bank", bank_id=bank.id)
        return bank_by_id(change.connection, bank.id)


def set_bank_state(database: Database, name: str, state: BankState, *, actor: str, reason: str | None) -> Bank:
    """Pause, resume or withdraw; see `Store.set_bank_state`."""
    bank = _in_state(database, name, state, actor=actor, reason=reason)
    if state is BankState.WITHDRAWN:
        forget_unkept_keypoints(database)
    return bank


def _in_state(database: Database, name: str, state: BankState, *, actor: str, reason: str | None) -> Bank:
    with mutation(database) as change:
        bank = live_bank(change.connection, name)
        values = {"state": state.value, "reason": reason, "updated_at": change.at}
        change.connection.execute(update(schema.banks).where(_BANKS.id == bank.id).values(values))
        if state is BankState.WITHDRAWN:
            resolve_for_bank(change, bank.id, actor=actor)
        add_event(change, bank.id, state.value, actor=actor, reason=reason)
        change.log("bank", bank_id=bank.id)
        return bank_by_id(change.connection, bank.id)


def add_event(
    change: Mutation,
    bank_id: int,
    what: str,
    *,
    actor: str,
    reason: str | None,
    entry_ids: Iterable[int] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write one line of a bank's history, and the same into the audit log."""
    ids = sorted(entry_ids)
    row = {
        "bank_id": bank_id,
        "what": what,
        "actor": actor,
        "reason": reason,
        "entry_count": len(ids) or None,
        "first_entry_id": ids[0] if ids else None,
        "last_entry_id": ids[-1] if ids else None,
        "created_at": change.at,
        "facts": facts,
    }
    change.connection.execute(insert(schema.bank_events), row)
    _tell(change, row)


def _tell(change: Mutation, row: Mapping[str, Any]) -> None:
    bank = bank_by_id(change.connection, row["bank_id"])
    told = {name: row[name] for name in ("reason", "entry_count", "first_entry_id", "last_entry_id")}
    facts = {name: value for name, value in told.items() if value is not None}
    changed = {"facts": row["facts"]} if row["facts"] else {}
    kind = row["what"].replace("_", ".", 1) if row["what"].startswith("entries_") else f"bank.{row['what']}"
    change.tell(NewEvent(kind, row["actor"], f"bank:{bank.id}", {"bank": bank.name, **facts, **changed}))


def bank_named(connection: Connection, name: str) -> Bank:
    """The live bank of this name, else the one withdrawn last.

    Raises:
        NotFoundError: there never was a bank of this name.
    """
    bank = _newest(connection, name, live_only=False)
    if bank is None:
        raise NotFoundError(f"there is no bank named {name!r}", hint="`baken bank list` shows the names")
    return bank


def live_bank(connection: Connection, name: str) -> Bank:
    """The bank of this name, when it may still be changed.

    Raises:
        NotFoundError: there never was a bank of this name.
        ConflictError: it is withdrawn.
    """
    bank = bank_named(connection, name)
    if bank.state is BankState.WITHDRAWN:
        raise ConflictError(f"bank {name!r} is withdrawn, and that is final", hint="create a new bank")
    return bank


def bank_by_id(connection: Connection, bank_id: int) -> Bank:
    """The bank with this id, withdrawn or not.

    Raises:
        NotFoundError: there is none.
    """
    row = connection.execute(select(schema.banks).where(_BANKS.id == cursor_id(bank_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no bank with id {bank_id}", hint="`baken bank list` shows the banks")
    return _bank(row)


def list_banks(database: Database, *, after_id: int, limit: int | None, include_withdrawn: bool) -> list[Bank]:
    """Banks in the order of their ids; see `Store.banks`."""
    query = select(schema.banks).where(_BANKS.id > cursor_id(after_id)).order_by(_BANKS.id)
    if not include_withdrawn:
        query = query.where(_BANKS.state != BankState.WITHDRAWN.value)
    if limit is not None:
        query = query.limit(page_limit(limit))
    with database.read() as connection:
        return [_bank(row) for row in connection.execute(query)]


def bank_counts(database: Database, bank_id: int) -> dict[EntryState, int]:
    """How many entries a bank has in each state; see `Store.bank_counts`."""
    entries = schema.entries.c
    query = select(entries.state, func.count()).where(entries.bank_id == cursor_id(bank_id)).group_by(entries.state)
    counts = dict.fromkeys(EntryState, 0)
    with database.read() as connection:
        counts.update({EntryState(state): count for state, count in connection.execute(query)})
    return counts


def bank_events(database: Database, name: str, *, limit: int) -> list[BankEvent]:
    """The newest lines of a bank's history, newest first; see `Store.bank_events`."""
    with database.read() as connection:
        bank = bank_named(connection, name)
        query = select(schema.bank_events).where(_EVENTS.bank_id == bank.id)
        rows = connection.execute(query.order_by(_EVENTS.id.desc()).limit(page_limit(limit)))
        return [BankEvent(bank=bank.name, **row._mapping) for row in rows]


def _newest(connection: Connection, name: str, *, live_only: bool) -> Bank | None:
    query = select(schema.banks).where(_BANKS.name == name)
    if live_only:
        query = query.where(_BANKS.state != BankState.WITHDRAWN.value)
    # A name has one live bank at most and it is made after its predecessor was withdrawn: the newest is the live one.
    row = connection.execute(query.order_by(_BANKS.id.desc()).limit(1)).one_or_none()
    return None if row is None else _bank(row)


def _bank(row: Row[Any]) -> Bank:
    return Bank(
        id=row.id,
        name=row.name,
        purpose=Purpose(row.purpose),
        radius_bits=row.radius_bits,
        verdict=Verdict(row.verdict),
        state=BankState(row.state),
        reason=row.reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
        flood_accounts_per_hour=row.flood_accounts_per_hour,
        flood_factor=row.flood_factor,
        view_set=ViewSet(row.view_set),
        keeps_keypoints=row.keeps_keypoints,
        follows_decisions=row.follows_decisions,
    )
