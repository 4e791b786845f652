"""What a case that turned out to be no match does to banks: a benign entry, or a dispute of the entry that matched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from baken.errors import ConflictError, InvalidValueError, NotFoundError
from baken.model import (
    BankState,
    EntryState,
    Fingerprint,
    FingerprintKind,
    NewEntry,
    NoticeKind,
    Provenance,
    Purpose,
)
from baken.store import schema
from baken.store.banks import bank_by_id, live_bank
from baken.store.changes import Mutation
from baken.store.entries import Finder, add_in, set_states_in
from baken.store.notices import has_open, open_notice

_SOURCE = "review"
_MAX_PICTURES = 20

_ITEMS = schema.case_items.c
_SCREENINGS = schema.screenings.c


def add_benign(
    change: Mutation, case_id: str, bank_name: str, item_count: int, *, actor: str, find_active: Finder | None
) -> tuple[int, list[int]]:
    """Add pictures of a case's first items to a bank of benign ones; the bank, and the entries that are new.

    Raises:
        NotFoundError: there is no such bank.
        ConflictError: it is withdrawn, or there is nothing to add.
        InvalidValueError: it is for something else.
    """
    bank = live_bank(change.connection, bank_name)
    if bank.purpose is not Purpose.BENIGN:
        message = f"bank {bank.name!r} is for {bank.purpose.value}, expected one for benign pictures"
        raise InvalidValueError(message, hint="`baken bank create NAME --purpose benign` makes one.")
    pictures = _pictures(change.connection, case_id, item_count)
    if not pictures:
        raise ConflictError("no item of the case has fingerprints", hint="There is nothing to add to a bank.")
    next_id = change.last_entry_id + 1
    provenance = Provenance(_SOURCE, actor, case_id)
    added = add_in(change, bank, pictures, provenance, actor=actor, find_active=find_active)
    return bank.id, sorted({entry_id for entry_id in added.ids if entry_id >= next_id})


def withdraw_benign(change: Mutation, added: Mapping[int, Sequence[int]], *, actor: str, reason: str) -> None:
    """Withdraw entries, by bank, that cases added; what a curator has withdrawn already stays so."""
    for bank_id, entry_ids in added.items():
        bank = bank_by_id(change.connection, bank_id)
        if bank.state is not BankState.WITHDRAWN and entry_ids:
            set_states_in(change, bank, entry_ids, EntryState.WITHDRAWN, actor=actor, reason=reason)


def dispute_entry(change: Mutation, case_id: str, entry_id: int, *, actor: str, reason: str) -> int:
    """Tell the curators that an entry of a case is wrong; it counts until they act. Returns its bank.

    Raises:
        NotFoundError: no item of the case matches such an entry.
        ConflictError: it is disputed already.
    """
    matched, entries = schema.case_entries, schema.entries.c
    query = select(entries.bank_id).join_from(matched, schema.entries, entries.id == matched.c.entry_id)
    bank_id = change.connection.execute(
        query.where(matched.c.case_id == case_id, matched.c.entry_id == entry_id)
    ).scalar_one_or_none()
    if bank_id is None:
        message = f"no item of the case matches an entry {entry_id}"
        raise NotFoundError(message, hint="The case says which entries its items match.")
    if has_open(change, NoticeKind.ENTRY_DISPUTED, entry_id):
        raise ConflictError(f"entry {entry_id} is disputed already", hint="Its curators have been told.")
    facts: dict[str, int | str] = {"case_id": case_id, "actor": actor}
    open_notice(change, NoticeKind.ENTRY_DISPUTED, bank_id=bank_id, entry_id=entry_id, reason=reason, facts=facts)
    return int(bank_id)


def _pictures(connection: Connection, case_id: str, item_count: int) -> list[NewEntry]:
    """Distinct files of a case's first items as entries: what could be compared by its PDQ too, the rest by digests."""
    columns = [_SCREENINGS.sha256, _SCREENINGS.sha1, _SCREENINGS.md5, _SCREENINGS.pdq]
    columns += [_SCREENINGS.quality_percent, _SCREENINGS.unscreenable_reason]
    joined = schema.case_items.join(schema.screenings, _SCREENINGS.id == _ITEMS.screening_id)
    query = select(*columns).select_from(joined).where(_ITEMS.case_id == case_id).order_by(_ITEMS.id)
    found: dict[bytes, NewEntry] = {}
    for row in connection.execute(query.limit(min(item_count, _MAX_PICTURES * 5))):
        if row.sha256 and len(found) < _MAX_PICTURES:
            digests = (FingerprintKind.SHA256, FingerprintKind.SHA1, FingerprintKind.MD5)
            codes = [Fingerprint(kind, bytes(getattr(row, kind.value))) for kind in digests]
            if row.pdq is not None and row.unscreenable_reason is None:
                codes.insert(0, Fingerprint(FingerprintKind.PDQ, bytes(row.pdq), row.quality_percent))
            found.setdefault(bytes(row.sha256), NewEntry(tuple(codes)))
    return list(found.values())
