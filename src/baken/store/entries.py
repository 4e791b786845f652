"""Entries of banks: added in bulk, read in pages, paused and withdrawn, and their codes streamed into the index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Select, insert, select, update

from baken.errors import ConflictError, InvalidValueError, NotFoundError, StoreError, TooLargeError
from baken.model import (
    ID_LIMIT,
    Bank,
    BankState,
    Entry,
    EntryState,
    Fingerprint,
    FingerprintKind,
    NewEntry,
    Provenance,
)
from baken.store import schema
from baken.store.banks import add_event, bank_named, live_bank
from baken.store.bulk import for_driver, insert_rows
from baken.store.changes import Mutation, mutation
from baken.store.engine import Database
from baken.store.flood_counts import approve
from baken.store.kept import Kept, check_kept, complete, forget_of_entries, insert_kept, kept_of
from baken.store.notices import resolve_disputes, resolve_for_entries
from baken.store.paging import cursor_id, is_database_id, page_limit

MAX_BATCH_ENTRIES = 10_000
"""The most entries one call adds or changes: it bounds how long others wait and how much a follower reads again."""

_MAX_QUALITY_PERCENT = 100

# Ids this near share one line of the change log: for followers, reading some unchanged entries again is cheaper than
# another line. Only ids of one add are joined: those have no gaps, so a line never covers another bank's entries.
_RUN_GAP_IDS = 64

_CodeRow = tuple[int, int, bytes]

_ENTRIES = schema.entries.c
_CODES = schema.fingerprints.c
_KINDS = [kind.value for kind in FingerprintKind]
_ENTRY_COLUMNS = ("id", "bank_id", "provenance_id", "state", "label", "created_at", "updated_at")
_CODE_COLUMNS = ("kind", "entry_id", "bank_id", "active", "value", "quality_percent")
_NOBODY: set[int] = set()


@dataclass(frozen=True, slots=True)
class CodeChunk:
    """Fingerprints of one kind, for an index.

    Attributes:
        entry_ids: int64[N], rising.
        bank_ids: int64[N].
        values: uint8[N, kind.size_bytes].
    """

    entry_ids: NDArray[np.int64]
    bank_ids: NDArray[np.int64]
    values: NDArray[np.uint8]


Finder = Callable[[int, Sequence[NewEntry]], Sequence[int | None]]
"""Given a bank's id and entries, the id of an active entry of that bank that has all fingerprints of each, or None."""


@dataclass(frozen=True, slots=True)
class AddedEntries:
    """What adding made of entries.

    Attributes:
        ids: the id of each, in the order given: its own, or that of the entry that was there already.
        added_count: how many are new.
        completed_count: how many were there already without views, vectors or keypoints that they have now.
    """

    ids: list[int]
    added_count: int
    completed_count: int = 0


def add_entries(
    database: Database, bank_name: str, new_entries: Sequence[NewEntry], provenance: Provenance, *, actor: str
) -> list[int]:
    """Add entries in one transaction; see `Store.add_entries`."""
    return _add(database, bank_name, new_entries, provenance, actor=actor, find_active=None).ids


def add_missing_entries(
    database: Database,
    bank_name: str,
    new_entries: Sequence[NewEntry],
    provenance: Provenance,
    *,
    find_active: Finder,
    actor: str,
) -> AddedEntries:
    """Add entries that the bank does not hold yet; see `Store.add_missing_entries`."""
    return _add(database, bank_name, new_entries, provenance, actor=actor, find_active=find_active)


def _add(
    database: Database,
    bank_name: str,
    new_entries: Sequence[NewEntry],
    provenance: Provenance,
    *,
    actor: str,
    find_active: Finder | None,
) -> AddedEntries:
    _check_batch_size(len(new_entries))
    for position, entry in enumerate(new_entries):
        _check_new_entry(position, entry)
    with mutation(database) as change:
        bank = live_bank(change.connection, bank_name)
        return add_in(change, bank, new_entries, provenance, actor=actor, find_active=find_active)


def add_in(
    change: Mutation,
    bank: Bank,
    new_entries: Sequence[NewEntry],
    provenance: Provenance,
    *,
    actor: str,
    find_active: Finder | None,
) -> AddedEntries:
    """Add entries, which were checked, to a live bank, in the transaction of something else that changes with it."""
    first_id = change.last_entry_id + 1
    if find_active is None:
        given, missing = list(range(first_id, first_id + len(new_entries))), new_entries
    else:
        given, missing = _missing(change.connection, bank, new_entries, find_active, first_id)
    if missing:
        ids = change.take_entry_ids(len(missing))
        _insert_entries(change, bank, ids, missing, provenance)
        add_event(change, bank.id, "entries_added", actor=actor, reason=provenance.note, entry_ids=ids)
        change.log("entries", bank_id=bank.id, first_entry_id=ids[0], last_entry_id=ids[-1])
    held = {entry_id: entry for entry_id, entry in zip(given, new_entries, strict=True) if entry_id < first_id}
    completed = _complete(change, bank, held, actor)
    return AddedEntries(given, len(missing), completed)


def _complete(change: Mutation, bank: Bank, held: Mapping[int, NewEntry], actor: str) -> int:
    """Give held entries the views, vectors and keypoints that they lack; how many lacked something."""
    ids = complete(change.connection, bank, held)
    if ids:
        add_event(change, bank.id, "entries_completed", actor=actor, reason=None, entry_ids=ids)
        for first, last in _runs(_known_entries(change.connection, bank, ids)):
            change.log("entries", bank_id=bank.id, first_entry_id=first, last_entry_id=last)
    return len(ids)


def _missing(
    connection: Connection, bank: Bank, new_entries: Sequence[NewEntry], find_active: Finder, next_id: int
) -> tuple[list[int], list[NewEntry]]:
    """The id of each entry, given out from `next_id` on where the bank does not hold it, and the entries it does not.

    Under the change log's lock: what `find_active` sees is everything there is, and nobody adds beside us.
    """
    ids: list[int] = []
    missing: list[NewEntry] = []
    holders = _stopped_holders(connection, bank, new_entries)
    for entry, active_id in zip(new_entries, find_active(bank.id, new_entries), strict=True):
        codes = [(code.kind, code.value) for code in entry.fingerprints]
        held_id = active_id or _holder(holders, codes)
        if held_id is None:
            held_id = next_id + len(missing)
            missing.append(entry)
            for code in codes:  # the same content may stand in the list again
                holders.setdefault(code, set()).add(held_id)
        ids.append(held_id)
    return ids, missing


_Code = tuple[FingerprintKind, bytes]


def _holder(holders: Mapping[_Code, set[int]], codes: Sequence[_Code]) -> int | None:
    """The smallest id among the entries that hold all of the codes, or None."""
    ids = holders.get(codes[0])
    for code in codes[1:]:
        if not ids:
            return None
        ids = ids & holders.get(code, _NOBODY)
    return min(ids) if ids else None


def _stopped_holders(connection: Connection, bank: Bank, new_entries: Sequence[NewEntry]) -> dict[_Code, set[int]]:
    """Which paused and quarantined entries of the bank hold the codes of these entries.

    They are there already: adding their content again would undo what a person or the flood breaker did.
    """
    stopped = _ENTRIES.state.in_([EntryState.PAUSED.value, EntryState.QUARANTINED.value])
    any_stopped = select(_ENTRIES.id).where(_ENTRIES.bank_id == bank.id, stopped).limit(1)
    holders: dict[_Code, set[int]] = {}
    if connection.execute(any_stopped).first() is None:
        return holders
    joined = schema.fingerprints.join(schema.entries, _ENTRIES.id == _CODES.entry_id)
    for kind in FingerprintKind:
        values = [code.value for entry in new_entries for code in entry.fingerprints if code.kind is kind]
        query = (
            select(_CODES.kind, _CODES.value, _CODES.entry_id).select_from(joined).where(schema.is_inactive, stopped)
        )
        # Without naming the kind: SQLite would take the primary key then, and read all codes of that kind.
        wanted = query.where(_CODES.value.in_(values), _CODES.bank_id == bank.id)
        for found_kind, value, entry_id in connection.execute(wanted) if values else ():
            holders.setdefault((FingerprintKind(found_kind), value), set()).add(entry_id)
    return holders


def _insert_entries(
    change: Mutation, bank: Bank, ids: Sequence[int], new_entries: Sequence[NewEntry], provenance: Provenance
) -> None:
    origin = {"source": provenance.source, "added_by": provenance.added_by, "note": provenance.note}
    statement = insert(schema.provenances).values(origin).returning(schema.provenances.c.id)
    connection = change.connection
    provenance_id = connection.execute(statement).scalar_one()
    label_of = for_driver(connection, schema.entries, "label")
    at = for_driver(connection, schema.entries, "created_at")(change.at)
    state = EntryState.ACTIVE.value
    rows = [
        (entry_id, bank.id, provenance_id, state, label_of(entry.label), at, at)
        for entry_id, entry in zip(ids, new_entries, strict=True)
    ]
    insert_rows(connection, schema.entries, _ENTRY_COLUMNS, rows)
    is_active = for_driver(connection, schema.fingerprints, "active")(True)
    codes = [
        (code.kind.value, entry_id, bank.id, is_active, code.value, code.quality_percent)
        for entry_id, entry in zip(ids, new_entries, strict=True)
        for code in entry.fingerprints
    ]
    insert_rows(connection, schema.fingerprints, _CODE_COLUMNS, codes)
    insert_kept(connection, bank, zip(ids, new_entries, strict=True))


def set_entry_states(
    database: Database, bank_name: str, entry_ids: Sequence[int], state: EntryState, *, actor: str, reason: str | None
) -> int:
    """Change the state of entries in one transaction; see `Store.set_entry_states`."""
    _check_batch_size(len(entry_ids))
    with mutation(database) as change:
        bank = live_bank(change.connection, bank_name)
        return set_states_in(change, bank, entry_ids, state, actor=actor, reason=reason)


def set_states_in(
    change: Mutation, bank: Bank, entry_ids: Sequence[int], state: EntryState, *, actor: str, reason: str | None
) -> int:
    """Change the state of entries of a live bank, in the transaction of something else that changes with it."""
    known = _known_entries(change.connection, bank, entry_ids)
    resolve_disputes(change, [row.id for row in known], actor=actor)  # also of those that are left as they are
    differing = [row for row in known if row.state != state.value]
    if not differing:
        return 0
    _refuse_withdrawn(bank, differing)
    changing = [row.id for row in differing]
    write_states(change, changing, state, reason)
    if state is EntryState.WITHDRAWN:
        forget_of_entries(change.connection, changing)
    _end_quarantine(change, differing, state, actor)
    add_event(change, bank.id, f"entries_{state.value}", actor=actor, reason=reason, entry_ids=changing)
    for first, last in _runs(differing):
        change.log("entries", bank_id=bank.id, first_entry_id=first, last_entry_id=last)
    return len(changing)


def _known_entries(connection: Connection, bank: Bank, entry_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """The rows of `schema.entries` for these ids, in the order of ids; every id must be one of the bank's."""
    wanted = set(entry_ids)
    ids = [entry_id for entry_id in wanted if is_database_id(entry_id)]
    query = select(schema.entries).where(_ENTRIES.bank_id == bank.id, _ENTRIES.id.in_(ids))
    rows = connection.execute(query.order_by(_ENTRIES.id)).all()
    missing = sorted(wanted - {row.id for row in rows})
    if missing:
        raise NotFoundError(
            f"bank {bank.name!r} has no entry {', '.join(map(str, missing[:5]))}"
            + (f" and {len(missing) - 5} more of those asked for" if len(missing) > 5 else ""),  # noqa: PLR2004
            hint="nothing was changed; list the bank's entries for their ids",
        )
    return rows


def _refuse_withdrawn(bank: Bank, differing: Sequence[Row[Any]]) -> None:
    withdrawn = [row.id for row in differing if row.state == EntryState.WITHDRAWN.value]
    if withdrawn:
        raise ConflictError(
            f"entry {withdrawn[0]} of bank {bank.name!r} is withdrawn, and that is final",
            hint="nothing was changed; add the content as a new entry if it must match again",
        )


def _end_quarantine(change: Mutation, differing: Sequence[Row[Any]], state: EntryState, actor: str) -> None:
    """Whatever a person does with a quarantined entry answers its notice; letting entries match approves their past."""
    quarantined = [row.id for row in differing if row.state == EntryState.QUARANTINED.value]
    if quarantined:
        resolve_for_entries(change, quarantined, actor=actor)
    if state is EntryState.ACTIVE:
        approve(change.connection, [row.id for row in differing])


def write_states(change: Mutation, changing: Sequence[int], state: EntryState, reason: str | None) -> None:
    """Set the state of entries, and with it whether their codes may match."""
    values = {"state": state.value, "state_reason": reason, "updated_at": change.at}
    change.connection.execute(update(schema.entries).where(_ENTRIES.id.in_(changing)).values(values))
    # Naming every kind lets both engines use the primary key (kind, entry_id).
    codes = update(schema.fingerprints).where(_CODES.kind.in_(_KINDS), _CODES.entry_id.in_(changing))
    change.connection.execute(codes.values(active=state is EntryState.ACTIVE))


def _runs(rows: Sequence[Row[Any]]) -> Iterator[tuple[int, int]]:
    first = last = rows[0]
    for row in rows[1:]:
        if row.id - last.id > _RUN_GAP_IDS or row.provenance_id != last.provenance_id:
            yield first.id, last.id
            first = row
        last = row
    yield first.id, last.id


def one_entry(database: Database, bank_name: str, entry_id: int) -> Entry:
    """One entry; see `Store.entry`."""
    with database.read() as connection:
        bank = bank_named(connection, bank_name)
        query = _entry_query(bank).where(_ENTRIES.id == cursor_id(entry_id))
        found = _entries(connection, bank, query)
    if not found:
        raise NotFoundError(f"bank {bank_name!r} has no entry {entry_id}", hint="list the bank's entries for their ids")
    return found[0]


def list_entries(
    database: Database, bank_name: str, *, after_id: int, limit: int, state: EntryState | None
) -> list[Entry]:
    """A page of a bank's entries; see `Store.entries`."""
    with database.read() as connection:
        bank = bank_named(connection, bank_name)
        query = _entry_query(bank).where(_ENTRIES.id > cursor_id(after_id))
        if state is not None:
            query = query.where(_ENTRIES.state == state.value)
        return _entries(connection, bank, query.order_by(_ENTRIES.id).limit(page_limit(limit)))


def _entry_query(bank: Bank) -> Select[Any]:
    origin = schema.provenances
    joined = schema.entries.join(origin, origin.c.id == _ENTRIES.provenance_id)
    columns = select(schema.entries, origin.c.source, origin.c.added_by, origin.c.note)
    return columns.select_from(joined).where(_ENTRIES.bank_id == bank.id)


def _entries(connection: Connection, bank: Bank, query: Select[Any]) -> list[Entry]:
    rows = connection.execute(query).all()
    codes: dict[int, list[Fingerprint]] = {row.id: [] for row in rows}
    for start in range(0, len(rows), MAX_BATCH_ENTRIES):
        ids = [row.id for row in rows[start : start + MAX_BATCH_ENTRIES]]
        found = select(schema.fingerprints).where(_CODES.kind.in_(_KINDS), _CODES.entry_id.in_(ids))
        for code in connection.execute(found):
            kind = FingerprintKind(code.kind)
            codes[code.entry_id].append(Fingerprint(kind, code.value, code.quality_percent))
    kept = kept_of(connection, codes.keys())
    return [_entry(bank, row, codes[row.id], kept) for row in rows]


def _entry(bank: Bank, row: Row[Any], codes: list[Fingerprint], kept: Kept) -> Entry:
    return Entry(
        id=row.id,
        bank_id=bank.id,
        bank=bank.name,
        state=EntryState(row.state),
        state_reason=row.state_reason,
        label=row.label,
        provenance=Provenance(source=row.source, added_by=row.added_by, note=row.note),
        fingerprints=tuple(sorted(codes, key=lambda code: _KINDS.index(code.kind.value))),
        created_at=row.created_at,
        updated_at=row.updated_at,
        view_count=len(kept.view_numbers.get(row.id, ())),
        has_vectors=row.id in kept.vectors,
        has_keypoints=row.id in kept.keypoints,
    )


def active_codes(
    database: Database, kind: FingerprintKind, *, first_entry_id: int, last_entry_id: int | None, chunk: int
) -> Iterator[CodeChunk]:
    """Codes that may match, in chunks; see `Store.active_codes`."""
    last = ID_LIMIT - 1 if last_entry_id is None else cursor_id(last_entry_id)
    after = cursor_id(first_entry_id - 1)
    while True:
        rows = _code_rows(database, kind, after, last, page_limit(chunk))
        if rows:
            yield _code_chunk(kind, rows)
        if len(rows) < chunk:
            return
        after = rows[-1][0]


def _code_rows(database: Database, kind: FingerprintKind, after: int, last: int, chunk: int) -> list[_CodeRow]:
    withdrawn = select(schema.banks.c.id).where(schema.banks.c.state == BankState.WITHDRAWN.value)
    query = (
        select(_CODES.entry_id, _CODES.bank_id, _CODES.value)
        .where(_CODES.kind == kind.value, _CODES.entry_id > after, _CODES.entry_id <= last, _CODES.active)
        .where(_CODES.bank_id.not_in(withdrawn))
        .order_by(_CODES.entry_id)
        .limit(chunk)
    )
    with database.read() as connection:
        # The driver's own tuples: wrapping each in an SQLAlchemy row would double the time.
        cursor: Any = connection.execute(query).cursor
        return list(cursor.fetchall())


def _code_chunk(kind: FingerprintKind, rows: list[_CodeRow]) -> CodeChunk:
    joined = np.frombuffer(bytearray().join([value for _, _, value in rows]), dtype=np.uint8)
    if joined.size != len(rows) * kind.size_bytes:
        raise StoreError(
            f"{len(rows)} {kind.value} fingerprints hold {joined.size} bytes, expected {kind.size_bytes} each",
            hint="another program changed the database: restore a backup",
        )
    # Column by column: `zip(*rows)` takes longer than reading the rows from disk.
    return CodeChunk(
        entry_ids=np.fromiter((entry_id for entry_id, _, _ in rows), np.int64, len(rows)),
        bank_ids=np.fromiter((bank_id for _, bank_id, _ in rows), np.int64, len(rows)),
        values=joined.reshape(len(rows), kind.size_bytes),
    )


def _check_batch_size(count: int) -> None:
    if count > MAX_BATCH_ENTRIES:
        raise TooLargeError(
            f"{count} entries in one call, at most {MAX_BATCH_ENTRIES} are taken",
            hint=f"split them into batches of {MAX_BATCH_ENTRIES}",
        )


def _check_new_entry(position: int, entry: NewEntry) -> None:
    kinds = {code.kind for code in entry.fingerprints}
    if not kinds or len(kinds) < len(entry.fingerprints):
        given = [code.kind.value for code in entry.fingerprints]
        raise InvalidValueError(
            f"entry {position} has fingerprints {given}, expected one or more, one of a kind",
            hint="nothing was added; correct that entry",
        )
    for code in entry.fingerprints:
        _check_fingerprint(position, code)
    check_kept(position, entry)


def _check_fingerprint(position: int, code: Fingerprint) -> None:
    if len(code.value) != code.kind.size_bytes:
        raise InvalidValueError(
            f"entry {position} has a {code.kind.value} of {len(code.value)} bytes, expected {code.kind.size_bytes}",
            hint="nothing was added; correct that entry",
        )
    if code.quality_percent is not None and not 0 <= code.quality_percent <= _MAX_QUALITY_PERCENT:
        raise InvalidValueError(
            f"entry {position} has quality {code.quality_percent} percent, expected 0 to {_MAX_QUALITY_PERCENT}",
            hint="nothing was added; correct that entry",
        )
