"""Cases as a queue: those a query asks for, in a stable order, page by page, of the banks that somebody reaches.

Every page is read along an index in its order, for each stored state on its own: nothing is sorted that is not shown.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, false, func, literal, or_, select

from baken.cases import Case, CaseState
from baken.cases_query import CaseSort, QueueQuery, utc_time
from baken.errors import InvalidValueError
from baken.store import schema
from baken.store.cases import case_of, read_cases
from baken.store.engine import Database
from baken.store.paging import page_limit

_CASES = schema.cases.c
_BANKS = schema.case_banks.c

COUNT_LIMIT = 1_000
"""Up to how many cases are counted: beyond, it is said that there are more. Each costs a look at an index."""

_IDS_AT_ONCE = 200

_SORTED_BY = {
    CaseSort.PRIORITY: _CASES.rank,
    CaseSort.NEWEST: _CASES.opened_at,
    CaseSort.OLDEST: _CASES.opened_at,
    CaseSort.DECIDED: _CASES.decided_at,
}
_RISING = {CaseSort.OLDEST}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the banks that are reached, None for every one; `user_id` for what is somebody's own."""

    bank_ids: frozenset[int] | None = None
    user_id: str | None = None

    def reaches(self, case_id: ColumnElement[str] = _CASES.id) -> list[ColumnElement[bool]]:
        """What a case, or what names one by `case_id`, must meet so that this person may see it."""
        if self.bank_ids is None:
            return []
        return [_has_bank(select(_BANKS.case_id).where(_BANKS.bank_id.in_(sorted(self.bank_ids))), case_id)]


@dataclass(frozen=True, slots=True)
class QueueKey:
    """Where a page ends: what the last case was sorted by, and its id."""

    value: float | datetime
    case_id: str

    @classmethod
    def of(cls, case: Case, sort: CaseSort) -> Self:
        """The key of a case in an order.

        Raises:
            InvalidValueError: the case does not stand in that order, because it is not decided.
        """
        value = getattr(case, _SORTED_BY[sort].key)
        if value is None:
            message = f"the case {case.id} is not decided, and has no place in the order of decisions"
            raise InvalidValueError(message, hint="name a decided case, or ask for another order")
        return cls(value, case.id)

    @classmethod
    def parse(cls, cursor: str, sort: CaseSort) -> Self:
        """The key that `str` made a cursor of.

        Raises:
            InvalidValueError: no list in this order gave this cursor.
        """
        text, _, case_id = cursor.partition("~")
        value = _float_in(text) if sort is CaseSort.PRIORITY else utc_time(text)
        if value is None or not case_id.isascii() or "\0" in case_id:
            message = "cursor is not one that this list gave"
            raise InvalidValueError(message, hint="Use the next_cursor of the page before, or none.")
        return cls(value, case_id)

    def __str__(self) -> str:
        """A cursor: opaque, exact, and the same in an address as out of it."""
        text = self.value.hex() if isinstance(self.value, float) else self.value.isoformat()
        return f"{text.replace('+00:00', 'Z').replace('p+', 'p')}~{self.case_id}"  # a plus sign would become a space


def _float_in(text: str) -> float | None:
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(value) else value


@dataclass(frozen=True, slots=True)
class _Way:
    """Which way a list is read: whether what it is sorted by rises, and whether the ids of equals do.

    Among equals in points or in age the older come first, among new ones the newer.
    """

    values_rise: bool
    ids_rise: bool

    @classmethod
    def of(cls, sort: CaseSort) -> Self:
        """The way of an order."""
        return cls(sort in _RISING, sort in {CaseSort.PRIORITY, CaseSort.OLDEST})

    def back(self) -> Self:
        """The other way round."""
        return replace(self, values_rise=not self.values_rise, ids_rise=not self.ids_rise)

    def order(self, by: Any) -> list[ColumnElement[Any]]:  # noqa: ANN401 - a column
        """What to sort by."""
        return [by if self.values_rise else by.desc(), _CASES.id if self.ids_rise else _CASES.id.desc()]

    def behind(self, by: Any, key: QueueKey) -> list[ColumnElement[bool]]:  # noqa: ANN401 - a column
        """What comes after a key, said so that an index is entered at the key."""
        entered, beyond = (by >= key.value, by > key.value) if self.values_rise else (by <= key.value, by < key.value)
        equals = _CASES.id > key.case_id if self.ids_rise else _CASES.id < key.case_id
        return [entered, or_(beyond, equals)]


class QueueRows:
    """Queues of cases in one database; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, query: QueueQuery, asker: Asker, now: datetime, *, after: QueueKey | None, limit: int) -> list[Case]:
        """The cases of a query in its order, those behind `after`, at most `limit`."""
        sort = query.order
        by, way = _SORTED_BY[sort], _Way.of(sort)
        with self._database.read() as connection:
            pages = []
            named = _banks_named(connection, query)
            for stored, states in _stored(query):
                wanted = _conditions(query, asker, states, now, named)
                if after is not None:
                    wanted += way.behind(by, after)
                # The index holds all that is asked; rows are read of those alone that are shown.
                statement = select(_CASES.id, by).where(_CASES.state == stored.value, *wanted)
                pages.append(connection.execute(statement.order_by(*way.order(by)).limit(page_limit(limit))).all())
            ids = [row.id for row in islice(_merged(pages, sort), limit)]
            found = {row.id: row for row in connection.execute(select(schema.cases).where(_CASES.id.in_(ids)))}
            # Who changed a case meanwhile has it where it was; nobody deletes one.
            return read_cases(connection, [found[case_id] for case_id in ids], asker.bank_ids)

    def neighbour(
        self, query: QueueQuery, asker: Asker, now: datetime, key: QueueKey, *, is_before: bool = False
    ) -> str | None:
        """The id of the case of a query that comes next after a place in its order, or next before it."""
        way = _Way.of(query.order) if not is_before else _Way.of(query.order).back()
        by = _SORTED_BY[query.order]
        with self._database.read() as connection:
            found: list[Any] = []
            named = _banks_named(connection, query)
            for stored, states in _stored(query):
                wanted = [
                    _CASES.state == stored.value,
                    *_conditions(query, asker, states, now, named),
                    *way.behind(by, key),
                ]
                statement = select(_CASES.id, by.label("value")).where(*wanted).order_by(*way.order(by)).limit(1)
                found += connection.execute(statement).all()
        found.sort(key=lambda row: row.id, reverse=not way.ids_rise)
        found.sort(key=lambda row: row.value, reverse=not way.values_rise)
        return found[0].id if found else None

    def count(self, query: QueueQuery, asker: Asker, now: datetime, *, at_most: int = COUNT_LIMIT) -> int:
        """How many cases a query has, counted up to `at_most`."""
        counted = 0
        with self._database.read() as connection:
            named = _banks_named(connection, query)
            for stored, states in _stored(query):
                wanted = select(literal(1)).where(
                    _CASES.state == stored.value, *_conditions(query, asker, states, now, named)
                )
                some = wanted.limit(at_most - counted).subquery()
                counted += connection.execute(select(func.count()).select_from(some)).scalar_one()
                if counted >= at_most:
                    break
        return counted

    def cases(self, case_ids: Collection[str], asker: Asker, *, limit: int) -> list[Case]:
        """Those of the cases that are there and may be seen, the newest first, at most `limit`."""
        with self._database.read() as connection:
            return newest_cases(connection, case_ids, asker, limit)

    def undecided(self, limit: int) -> list[Case]:
        """The open cases that come first by their ranks, without banks and entries, at most `limit`."""
        query = select(schema.cases).where(_CASES.state == CaseState.OPEN.value)
        first = query.order_by(_CASES.rank.desc(), _CASES.id).limit(page_limit(limit))
        with self._database.read() as connection:
            return [case_of(row) for row in connection.execute(first)]


def newest_cases(connection: Connection, case_ids: Collection[str], asker: Asker, limit: int) -> list[Case]:
    """Those of the cases that are there and may be seen; see `QueueRows.cases`."""
    left, at_once = sorted(case_ids, reverse=True), min(limit, _IDS_AT_ONCE)
    found: list[Row[Any]] = []
    while left and len(found) < limit:  # an account may have thousands, and few are shown
        some = select(schema.cases).where(_CASES.id.in_(left[:at_once]), *asker.reaches())
        found += connection.execute(some.order_by(_CASES.id.desc()).limit(page_limit(limit - len(found)))).all()
        left, at_once = left[at_once:], _IDS_AT_ONCE
    return read_cases(connection, found, asker.bank_ids)


def _stored(query: QueueQuery) -> list[tuple[CaseState, frozenset[CaseState]]]:
    """The stored states of a query, and which of the states that people see are meant by each."""
    shown = query.shown_states
    open_ones = shown & {CaseState.OPEN, CaseState.CLAIMED}
    stored = [(CaseState.OPEN, open_ones)] if open_ones else []
    return stored + [(state, frozenset({state})) for state in (CaseState.ON_HOLD, CaseState.DECIDED) if state in shown]


def _banks_named(connection: Connection, query: QueueQuery) -> list[int]:
    """The banks of the name that is asked for. Looked up once: in the list's own query it would be for every case."""
    if query.bank is None:
        return []
    banks = schema.banks.c
    return list(connection.execute(select(banks.id).where(banks.name == query.bank)).scalars())


def _conditions(
    query: QueueQuery, asker: Asker, states: frozenset[CaseState], now: datetime, named: Sequence[int]
) -> list[ColumnElement[bool]]:
    """What a case of one stored state must meet; `named` are the banks of the query."""
    conditions = asker.reaches() + _about_people(query, asker, states, now)
    for column, words in (
        (_CASES.purpose, query.purposes),
        (_CASES.widest_visibility, query.visibility),
        (_CASES.awaits, () if query.awaits is None else (query.awaits,)),
    ):
        if words:
            conditions.append(column.in_([word.value for word in words]))
    for column, least in (
        (_CASES.item_count, query.min_items),
        (_CASES.account_count, query.min_accounts),
        (_CASES.opened_at, query.opened_after),
    ):
        if least is not None:
            conditions.append(column >= least)
    if query.opened_before is not None:
        conditions.append(_CASES.opened_at < query.opened_before)
    if query.escalated:
        conditions.append(_CASES.is_escalated)
    if query.bank is not None:
        conditions.append(_has_bank(select(_BANKS.case_id).where(_BANKS.bank_id.in_(named))))
    return conditions


def _about_people(
    query: QueueQuery, asker: Asker, states: frozenset[CaseState], now: datetime
) -> list[ColumnElement[bool]]:
    """Who works on it, or may."""
    is_leased = and_(_CASES.lease_until.is_not(None), _CASES.lease_until > now)
    is_nobodys = or_(_CASES.lease_until.is_(None), _CASES.lease_until <= now)
    is_my_own = false() if asker.user_id is None else _CASES.assignee_id == asker.user_id
    conditions: list[ColumnElement[bool]] = []
    if states == {CaseState.CLAIMED}:
        conditions.append(is_leased)
    elif states == {CaseState.OPEN}:
        conditions.append(is_nobodys)
    if query.unclaimed:
        conditions += [is_nobodys, or_(_CASES.assignee_id.is_(None), is_my_own)]
    if query.mine:
        conditions.append(or_(and_(_CASES.holder_id == (asker.user_id or ""), is_leased), is_my_own))
    return conditions


def _has_bank(of_banks: Select[Any], case_id: ColumnElement[str] = _CASES.id) -> ColumnElement[bool]:
    return of_banks.where(_BANKS.case_id == case_id).exists()


def _merged(pages: Sequence[Sequence[Row[Any, Any]]], sort: CaseSort) -> Any:  # noqa: ANN401 - an iterator of rows
    name = _SORTED_BY[sort].key
    if sort is CaseSort.PRIORITY:
        return merge(*pages, key=lambda row: (-row.rank, row.id))
    return merge(*pages, key=lambda row: (getattr(row, name), row.id), reverse=sort is not CaseSort.OLDEST)
