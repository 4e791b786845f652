"""Cases as rows: matches of the past join the open case of their picture or of their entry, or open one."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from baken.cases import Awaits, Case, CaseItem, CaseState, DecisionKind, MatchOrigin, Signal
from baken.errors import NotFoundError
from baken.model import Match, Purpose, SeenItem, Visibility
from baken.store import schema
from baken.store.engine import Database
from baken.store.match_rows import match_of, match_row
from baken.store.paging import cursor_id, page_limit

_CASES = schema.cases.c
_KEYS = schema.case_keys.c
_ITEMS = schema.case_items.c
_SCREENINGS = schema.screenings.c

_KeyKind = Literal["cluster", "entry"]
_Key = tuple[str, _KeyKind, int]

_ENUMS: Mapping[str, type[StrEnum]] = {
    "purpose": Purpose,
    "state": CaseState,
    "awaits": Awaits,
    "decision": DecisionKind,
    "widest_visibility": Visibility,
}


@dataclass(frozen=True, slots=True)
class Found:
    """A seen item and the entries that it matches now, those it was known to match before among them."""

    item: SeenItem
    matches: Sequence[Match]


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
        self.case(case_id)
        query = select(schema.case_items).where(_ITEMS.case_id == case_id, _ITEMS.id > cursor_id(after_id))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_ITEMS.id).limit(page_limit(limit)))
            return [_case_item(row) for row in rows]

    def known_entries(self, screening_ids: Sequence[str]) -> dict[str, set[int]]:
        """The entries that each screening was known to match, when it was screened or by a case since."""
        with self._database.read() as connection:
            return _known_entries(connection, screening_ids)

    def joined_since(self, bank_id: int, since: datetime) -> list[tuple[Case, int]]:
        """The cases that hold matches of a bank, with how many items joined each since then, if any did."""
        keyed = select(_KEYS.case_id).join(schema.entries, schema.entries.c.id == _KEYS.key_id)
        keyed = keyed.where(_KEYS.kind == "entry", schema.entries.c.bank_id == bank_id)
        query = select(schema.cases).where(_CASES.updated_at >= since, _CASES.id.in_(keyed)).order_by(_CASES.id)
        with self._database.read() as connection:
            cases = read_cases(connection, connection.execute(query).all())
            counts = select(_ITEMS.case_id, func.count().label("joined")).where(_ITEMS.joined_at >= since)
            counts = counts.where(_ITEMS.case_id.in_([case.id for case in cases])).group_by(_ITEMS.case_id)
            joined: dict[str, int] = {row.case_id: row.joined for row in connection.execute(counts)}
        return [(case, joined[case.id]) for case in cases if case.id in joined]


def join_cases(connection: Connection, found: Sequence[Found], at: datetime) -> int:
    """Let items join the cases of what they match and were not known to match; how many items joined one.

    Repeating it changes nothing. Call it under the turn: two at once could open two cases for one picture.
    """
    screening_ids = [each.item.screening_id for each in found]
    known = _known_entries(connection, screening_ids)
    by_purpose: dict[Purpose, list[Found]] = defaultdict(list)
    joined: set[str] = set()
    for each in found:
        fresh: dict[Purpose, list[Match]] = defaultdict(list)
        for match in each.matches:
            if match.entry_id not in known[each.item.screening_id]:
                fresh[match.purpose].append(match)
        for purpose, matches in fresh.items():
            by_purpose[purpose].append(Found(each.item, matches))
            joined.add(each.item.screening_id)
    for purpose in sorted(by_purpose, key=list(Purpose).index):
        _join(connection, purpose, by_purpose[purpose], at)
    return len(joined)


def _known_entries(connection: Connection, screening_ids: Sequence[str]) -> dict[str, set[int]]:
    known: dict[str, set[int]] = {screening_id: set() for screening_id in screening_ids}
    live = select(_SCREENINGS.id, _SCREENINGS.matches).where(_SCREENINGS.id.in_(screening_ids))
    retroactive = select(_ITEMS.screening_id, _ITEMS.matches).where(_ITEMS.screening_id.in_(screening_ids))
    for query in (live, retroactive):
        for screening_id, matches in connection.execute(query):
            known[screening_id] |= {match["entry_id"] for match in matches}
    return known


def _join(connection: Connection, purpose: Purpose, found: Sequence[Found], at: datetime) -> None:
    cases = _case_of_each(connection, purpose, found, at)
    by_case: dict[str, list[Found]] = defaultdict(list)
    for each, case_id in zip(found, cases, strict=True):
        by_case[case_id].append(each)
    for case_id, members in by_case.items():
        _add_items(connection, case_id, members, at)
    pointing = update(schema.screenings).where(_SCREENINGS.id == bindparam("screened"), _SCREENINGS.case_id.is_(None))
    rows = [{"screened": each.item.screening_id, "case": case} for each, case in zip(found, cases, strict=True)]
    connection.execute(pointing.values(case_id=bindparam("case")), rows)


def _case_of_each(connection: Connection, purpose: Purpose, found: Sequence[Found], at: datetime) -> list[str]:
    """The case of each: that of its cluster, else that of an entry it matches, else a new one."""
    keys = {key for each in found for key in _keys_of(purpose, each)}
    case_of = _open_cases(connection, purpose, keys)
    before, chosen, opened = set(case_of), [], []
    for each in found:
        wanted = _keys_of(purpose, each)
        case_id = next((case_of[key] for key in wanted if key in case_of), None)
        if case_id is None:
            case_id = new_case_id(at)
            opened.append(case_id)
        for key in wanted:
            case_of.setdefault(key, case_id)
        chosen.append(case_id)
    if opened:
        same = {"purpose": purpose.value, "state": CaseState.OPEN.value, "opened_at": at, "updated_at": at}
        connection.execute(
            insert(schema.cases), [{"id": each, "item_count": 0, "account_count": 0, **same} for each in opened]
        )
    rows = [
        {"purpose": purpose_, "kind": kind, "key_id": key_id, "case_id": case_of[purpose_, kind, key_id]}
        for purpose_, kind, key_id in sorted(set(case_of) - before)
    ]
    if rows:
        connection.execute(insert(schema.case_keys), rows)
    return chosen


def _keys_of(purpose: Purpose, found: Found) -> list[_Key]:
    keys: list[_Key] = [(purpose.value, "cluster", found.item.cluster_id)]
    return keys + [(purpose.value, "entry", match.entry_id) for match in found.matches]


def _open_cases(connection: Connection, purpose: Purpose, keys: set[_Key]) -> dict[_Key, str]:
    kinds: tuple[_KeyKind, ...] = ("cluster", "entry")
    wanted = [
        (_KEYS.kind == kind) & _KEYS.key_id.in_([key_id for _, kind_, key_id in keys if kind_ == kind])
        for kind in kinds
    ]
    query = select(schema.case_keys).where(_KEYS.purpose == purpose.value, or_(*wanted))
    return {(row.purpose, row.kind, row.key_id): row.case_id for row in connection.execute(query)}


def _add_items(connection: Connection, case_id: str, found: Sequence[Found], at: datetime) -> None:
    ids = [each.item.screening_id for each in found]
    query = select(_ITEMS.screening_id, _ITEMS.matches).where(_ITEMS.screening_id.in_(ids), _ITEMS.case_id == case_id)
    present = {row.screening_id: row.matches for row in connection.execute(query)}
    new = [each for each in found if each.item.screening_id not in present]
    accounts = {each.item.account_ref for each in new} - {None}
    known = select(_ITEMS.account_ref).distinct().where(_ITEMS.case_id == case_id, _ITEMS.account_ref.in_(accounts))
    accounts -= set(connection.execute(known).scalars())
    if new:
        connection.execute(insert(schema.case_items), [_row(case_id, each, at) for each in new])
    for each in found:
        if each.item.screening_id in present:
            matches = present[each.item.screening_id] + [match_row(match) for match in each.matches]
            mine = (_ITEMS.screening_id == each.item.screening_id) & (_ITEMS.case_id == case_id)
            connection.execute(update(schema.case_items).where(mine).values(matches=matches))
    counts = {
        "updated_at": at,
        "item_count": _CASES.item_count + len(new),
        "account_count": _CASES.account_count + len(accounts),
    }
    connection.execute(update(schema.cases).where(_CASES.id == case_id).values(counts))


def _row(case_id: str, found: Found, at: datetime) -> dict[str, Any]:
    item = found.item
    return {
        "case_id": case_id,
        "screening_id": item.screening_id,
        "item_ref": item.item_ref,
        "account_ref": item.account_ref,
        "album_ref": item.album_ref,
        "seen_at": item.seen_at,
        "joined_at": at,
        "origin": MatchOrigin.RETROACTIVE.value,
        "matches": [match_row(match) for match in found.matches],
    }


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
    joined = schema.case_keys.join(schema.entries, known.id == _KEYS.key_id).join(
        schema.banks, banks.id == known.bank_id
    )
    query = select(_KEYS.case_id, banks.name, known.id).select_from(joined).where(_KEYS.kind == "entry")
    reached = select(reach.case_id, reach.bank_id).where(reach.case_id.in_(ids))
    if within_banks is not None:
        query = query.where(banks.id.in_(sorted(within_banks)))
        reached = reached.where(reach.bank_id.in_(sorted(within_banks)))
    for case_id, bank, entry_id in connection.execute(query.where(_KEYS.case_id.in_(ids)).order_by(known.id)):
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
