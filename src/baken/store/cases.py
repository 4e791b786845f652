"""Cases as rows, read; `case_joining.py` and `case_events.py` write them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, func, select

from baken.cases import Awaits, Case, CaseItem, CaseState, DecisionKind, MatchOrigin, Signal
from baken.errors import NotFoundError
from baken.model import Purpose, Visibility
from baken.store import schema
from baken.store.engine import Database
from baken.store.match_rows import match_of
from baken.store.paging import cursor_id, page_limit

_CASES = schema.cases.c
_MATCHED = schema.case_entries.c
_ITEMS = schema.case_items.c
_SCREENINGS = schema.screenings.c

_ENUMS: Mapping[str, type[StrEnum]] = {
    "purpose": Purpose,
    "state": CaseState,
    "awaits": Awaits,
    "decision": DecisionKind,
    "widest_visibility": Visibility,
}


class CaseRows:
    """Cases in one database; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def case(self, case_id: str) -> Case:
        """One case.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as connection:
            row = connection.execute(select(schema.cases).where(_CASES.id == case_id)).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no case {case_id!r}", hint="`baken case list` shows the cases")
            return read_cases(connection, [row])[0]

    def cases(self, *, before_id: str | None = None, limit: int = 100) -> list[Case]:
        """Cases, the newest first, those opened before the case `before_id`, at most `limit`."""
        query = select(schema.cases).order_by(_CASES.id.desc()).limit(page_limit(limit))
        if before_id is not None:
            query = query.where(_CASES.id < before_id)
        with self._database.read() as connection:
            return read_cases(connection, connection.execute(query).all())

    def items(self, case_id: str, *, after_id: int = 0, limit: int = 100) -> list[CaseItem]:
        """The items of a case in the order in which they joined, those after `after_id`, at most `limit`.

        Raises:
            NotFoundError: there is no such case.
        """
        query = select(schema.case_items).where(_ITEMS.case_id == case_id, _ITEMS.id > cursor_id(after_id))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_ITEMS.id).limit(page_limit(limit))).all()
        if not rows:
            self.case(case_id)  # every case has items: this page is empty because it is the last one, or there is none
        return [_case_item(row) for row in rows]

    def known_entries(self, screening_ids: Sequence[str]) -> dict[str, set[int]]:
        """The entries that each screening was known to match, when it was screened or by a case since."""
        with self._database.read() as connection:
            return known_entries_of(connection, screening_ids)

    def joined_since(self, bank_id: int, since: datetime) -> list[tuple[Case, int]]:
        """The cases that hold matches of a bank, with how many items of the past joined each since then, if any did."""
        of_bank = select(schema.case_banks.c.case_id).where(schema.case_banks.c.bank_id == bank_id)
        query = select(schema.cases).where(_CASES.updated_at >= since, _CASES.id.in_(of_bank)).order_by(_CASES.id)
        with self._database.read() as connection:
            cases = read_cases(connection, connection.execute(query).all())
            counts = select(_ITEMS.case_id, func.count().label("joined")).where(_ITEMS.joined_at >= since)
            counts = counts.where(_ITEMS.origin == MatchOrigin.RETROACTIVE.value)
            counts = counts.where(_ITEMS.case_id.in_([case.id for case in cases])).group_by(_ITEMS.case_id)
            joined: dict[str, int] = {row.case_id: row.joined for row in connection.execute(counts)}
        return [(case, joined[case.id]) for case in cases if case.id in joined]


def known_entries_of(connection: Connection, screening_ids: Sequence[str]) -> dict[str, set[int]]:
    """The entries that each screening was known to match; see `CaseRows.known_entries`."""
    known: dict[str, set[int]] = {screening_id: set() for screening_id in screening_ids}
    live = select(_SCREENINGS.id, _SCREENINGS.matches).where(_SCREENINGS.id.in_(screening_ids))
    retroactive = select(_ITEMS.screening_id, _ITEMS.matches).where(_ITEMS.screening_id.in_(screening_ids))
    for query in (live, retroactive):
        for screening_id, matches in connection.execute(query):
            known[screening_id] |= {match["entry_id"] for match in matches}
    return known


def new_case_id(now: datetime) -> str:
    """A new id: `case_`, 48 bits of milliseconds so that ids sort by time, and 56 random bits, in hexadecimal."""
    return f"case_{int(now.timestamp() * 1000):012x}{os.urandom(7).hex()}"


def read_cases(
    connection: Connection, rows: Sequence[Row[Any]], within_banks: Collection[int] | None = None
) -> list[Case]:
    """Rows of `cases` as values, with their entries and banks; of other banks than `within_banks`, they have none."""
    ids = [row.id for row in rows]
    entries: dict[str, list[tuple[str, int]]] = {case_id: [] for case_id in ids}
    banks, known, reach = schema.banks.c, schema.entries.c, schema.case_banks.c
    joined = schema.case_entries.join(schema.entries, known.id == _MATCHED.entry_id)
    joined = joined.join(schema.banks, banks.id == known.bank_id)
    query = select(_MATCHED.case_id, banks.name, known.id).select_from(joined)
    reached = select(reach.case_id, reach.bank_id).where(reach.case_id.in_(ids))
    if within_banks is not None:
        query = query.where(banks.id.in_(sorted(within_banks)))
        reached = reached.where(reach.bank_id.in_(sorted(within_banks)))
    for case_id, bank, entry_id in connection.execute(query.where(_MATCHED.case_id.in_(ids)).order_by(known.id)):
        entries[case_id].append((bank, entry_id))
    bank_ids: dict[str, list[int]] = {case_id: [] for case_id in ids}
    for case_id, bank_id in connection.execute(reached.order_by(reach.bank_id)):
        bank_ids[case_id].append(bank_id)
    return [case_of(row, entries[row.id], bank_ids[row.id]) for row in rows]


def case_of(row: Row[Any], entries: Sequence[tuple[str, int]] = (), bank_ids: Sequence[int] = ()) -> Case:
    """A row of `cases` as a value."""
    fields = dict(row._mapping)
    del fields["ranked_at"]
    for name, kind in _ENUMS.items():
        fields[name] = None if fields[name] is None else kind(fields[name])
    fields["signals"] = tuple(Signal(**signal) for signal in fields["signals"] or ())
    return Case(**fields, entries=tuple(entries), bank_ids=tuple(bank_ids))


def _case_item(row: Row[Any]) -> CaseItem:
    fields = dict(row._mapping)
    fields["origin"] = MatchOrigin(row.origin)
    fields["visibility"] = None if row.visibility is None else Visibility(row.visibility)
    fields["matches"] = tuple(match_of(stored) for stored in row.matches)
    return CaseItem(**fields)
