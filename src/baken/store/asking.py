"""What a change of the log asks the past: the codes of the entries because of which an old item may match now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from baken.model import ID_LIMIT, Bank, BankState, FingerprintKind, Purpose
from baken.store import schema
from baken.store.banks import bank_by_id
from baken.store.changes import Change
from baken.store.engine import Database

_ENTRIES = schema.entries.c
_CODES = schema.fingerprints.c
_KINDS = [kind.value for kind in FingerprintKind]


@dataclass(frozen=True, slots=True)
class Question:
    """Codes to look for among what was seen.

    Attributes:
        bank: whose entries they are, as it is now.
        codes: entry id, kind and value of each.
        last_entry_id: the last entry that was looked at.
        is_complete: whether the change has no entry after it.
    """

    bank: Bank
    codes: Sequence[tuple[int, FingerprintKind, bytes]]
    last_entry_id: int
    is_complete: bool


def question_of(database: Database, change: Change, *, after_entry_id: int, limit: int) -> Question | None:
    """The entries of one change that may make old items match, those after `after_entry_id`, at most `limit`.

    An entry of a benign bank matters when it no longer counts: what it explained away may count then. Every other entry
    matters when it counts. None when the change cannot make anything match.
    """
    if change.bank_id is None or change.kind == "key":
        return None
    first, last = change.first_entry_id or 1, change.last_entry_id or ID_LIMIT - 1
    after = max(after_entry_id, first - 1)
    with database.read() as connection:
        bank = bank_by_id(connection, change.bank_id)
        is_active = bank.state is BankState.ACTIVE
        is_benign = bank.purpose is Purpose.BENIGN
        if not is_active and not is_benign:
            return None
        ids = _entry_ids(connection, bank, after, last, limit)
        query = select(_CODES.entry_id, _CODES.kind, _CODES.value)
        query = query.where(_CODES.kind.in_(_KINDS), _CODES.entry_id.in_(ids))
        if is_active:
            query = query.where(_CODES.active.is_not(is_benign))
        codes = [(row.entry_id, FingerprintKind(row.kind), row.value) for row in connection.execute(query)]
    is_complete = len(ids) < limit
    return Question(bank, codes, ids[-1] if ids else after, is_complete)


def _entry_ids(connection: Connection, bank: Bank, after: int, last: int, limit: int) -> list[int]:
    query = select(_ENTRIES.id).where(_ENTRIES.bank_id == bank.id, _ENTRIES.id > after, _ENTRIES.id <= last)
    return list(connection.execute(query.order_by(_ENTRIES.id).limit(limit)).scalars())
