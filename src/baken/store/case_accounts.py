"""What is known of an account of the platform: its screenings, its cases, and who stands in them with it.

Every read is bounded, and all that a page shows is read over one connection.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Table, func, literal, select, union, union_all

from baken.cases import Case
from baken.model import Finding, Match, Verdict
from baken.store import schema
from baken.store.case_search import cases_with_account
from baken.store.engine import Database
from baken.store.match_rows import match_of
from baken.store.paging import page_limit
from baken.store.queues import Asker, newest_cases

_CASES = schema.cases.c
_ITEMS = schema.case_items.c
_SEEN = schema.seen_items.c
_SCREENINGS = schema.screenings.c


@dataclass(frozen=True, slots=True)
class AccountScreening:
    """A screening of an account.

    Attributes:
        screening_id: sorts by time.
        item_ref: what the platform calls the item.
        album_ref: likewise, its album.
        seen_at: when it was screened.
        finding: what was found then; None when the screening is not kept here.
        verdict: likewise.
        matches: likewise, what it was found to match, of any bank.
        case_ids: the cases that it is in, of those that the person may see.
    """

    screening_id: str
    item_ref: str | None
    album_ref: str | None
    seen_at: datetime
    finding: Finding | None = None
    verdict: Verdict | None = None
    matches: tuple[Match, ...] = ()
    case_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkedAccount:
    """An account that stands in the same cases as another one."""

    account_ref: str
    shared_case_count: int


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """How much of an account is read: screenings, cases, accounts of each case; up to what screenings are counted."""

    screenings: int
    counted_screenings: int
    cases: int
    accounts_of_each_case: int


@dataclass(frozen=True, slots=True)
class AccountRows:
    """What was read of an account.

    Attributes:
        seen_between: when it was first and last seen, by its oldest and newest screening.
        screenings: the latest ones first, at most as many as were asked for.
        screening_count: how many there are, counted as far as was asked.
        cases: the newest ones first, at most as many as were asked for.
        are_cases_cut: whether there may be more: of very many items, the latest alone are asked.
        linked: the other accounts in these cases, those that share most first.
    """

    seen_between: tuple[datetime, datetime]
    screenings: Sequence[AccountScreening]
    screening_count: int
    cases: Sequence[Case]
    are_cases_cut: bool
    linked: Sequence[LinkedAccount]


class CaseAccountRows:
    """Accounts of the platform in one database; thread-safe.

    A screening is part of an account when it is remembered, or stands in a case that the person may see.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_known(self, account_ref: str, asker: Asker) -> bool:
        """Whether anything was screened of an account, as far as the person may know."""
        with self._database.read() as connection:
            return _seen_between(connection, account_ref, asker) is not None

    def account(
        self, account_ref: str, asker: Asker, limits: AccountLimits, *, before_id: str | None = None
    ) -> AccountRows | None:
        """What is known of an account, with its screenings before `before_id`; None when that is nothing."""
        with self._database.read() as connection:
            between = _seen_between(connection, account_ref, asker)
            if between is None:
                return None
            named = cases_with_account(connection, account_ref)
            found = newest_cases(connection, named.ids, asker, limits.cases + 1)
            cases = found[: limits.cases]
            return AccountRows(
                between,
                _screenings(connection, account_ref, asker, before_id, limits.screenings),
                _screening_count(connection, account_ref, asker, limits.counted_screenings),
                cases,
                named.is_cut or len(found) > limits.cases,
                _linked(connection, account_ref, [case.id for case in cases], limits.accounts_of_each_case),
            )


def _of_account(account_ref: str, asker: Asker) -> list[tuple[Table, list[ColumnElement[bool]]]]:
    """Where the screenings of an account stand, and which of the rows are the person's to see."""
    return [
        (schema.seen_items, [_SEEN.account_ref == account_ref]),
        (schema.case_items, [_ITEMS.account_ref == account_ref, *asker.reaches(_ITEMS.case_id)]),
    ]


def _seen_between(connection: Connection, account_ref: str, asker: Asker) -> tuple[datetime, datetime] | None:
    ends = [
        select(select(table.c.seen_at).where(*conditions).order_by(by).limit(1).subquery())
        for table, conditions in _of_account(account_ref, asker)
        for by in (table.c.screening_id.asc(), table.c.screening_id.desc())
    ]
    times: list[datetime] = list(connection.execute(union_all(*ends)).scalars())
    return (min(times), max(times)) if times else None


def _screenings(
    connection: Connection, account_ref: str, asker: Asker, before_id: str | None, limit: int
) -> list[AccountScreening]:
    shown = _latest_ids(connection, account_ref, asker, before_id, limit)
    if not shown:
        return []
    # A range and not a list of ids: PostgreSQL plans for an account like most, whose rows are few, and would read all
    # of this one's to find those of the list.
    seen, in_cases = (
        select(table.c.screening_id, table.c.item_ref, table.c.album_ref, table.c.seen_at).where(
            *conditions, table.c.screening_id.between(shown[-1], shown[0])
        )
        for table, conditions in _of_account(account_ref, asker)
    )
    in_cases = in_cases.add_columns(_ITEMS.case_id).order_by(_ITEMS.case_id)
    screened = select(_SCREENINGS.id, _SCREENINGS.finding, _SCREENINGS.verdict, _SCREENINGS.matches)
    found = {row.id: row for row in connection.execute(screened.where(_SCREENINGS.id.in_(shown)))}
    merged = {row.screening_id: AccountScreening(*row) for row in connection.execute(seen)}
    for *facts, case_id in connection.execute(in_cases):
        known = merged.setdefault(facts[0], AccountScreening(*facts))
        merged[known.screening_id] = replace(known, case_ids=(*known.case_ids, case_id))
    # What was forgotten between two reads is not there any more.
    return [_with_finding(merged[each], found.get(each)) for each in shown if each in merged]


def _latest_ids(connection: Connection, account_ref: str, asker: Asker, before_id: str | None, limit: int) -> list[str]:
    """The latest screenings first. Nothing but their ids is read here: an index alone has them."""
    parts = []
    for table, conditions in _of_account(account_ref, asker):
        screening_id = table.c.screening_id
        some = select(screening_id).distinct().where(*conditions)
        if before_id is not None:
            some = some.where(screening_id < before_id)
        parts.append(select(some.order_by(screening_id.desc()).limit(page_limit(limit)).subquery()))
    latest = union(*parts).subquery().c.screening_id
    return list(connection.execute(select(latest).order_by(latest.desc()).limit(limit)).scalars())


def _with_finding(
    screening: AccountScreening,
    row: Any,  # noqa: ANN401 - a row of `screenings`, or None
) -> AccountScreening:
    """A screening with what was found then, if it is kept."""
    if row is None:
        return screening
    matches = tuple(match_of(stored) for stored in row.matches)
    return replace(screening, finding=Finding(row.finding), verdict=Verdict(row.verdict), matches=matches)


def _screening_count(connection: Connection, account_ref: str, asker: Asker, at_most: int) -> int:
    parts = [
        select(select(table.c.screening_id).distinct().where(*conditions).limit(at_most).subquery())
        for table, conditions in _of_account(account_ref, asker)
    ]
    counted: int = connection.execute(select(func.count()).select_from(union(*parts).subquery())).scalar_one()
    return min(counted, at_most)


def _linked(
    connection: Connection, account_ref: str, case_ids: Collection[str], of_each_case: int
) -> list[LinkedAccount]:
    if not case_ids:
        return []
    other = _accounts_in_turn(case_ids, of_each_case + 1).c.account_ref  # one of them may be the account itself
    query = select(other, func.count()).where(other != account_ref).group_by(other)
    found = [LinkedAccount(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda each: (-each.shared_case_count, each.account_ref))


def _accounts_in_turn(case_ids: Collection[str], of_each_case: int) -> CTE:
    """Each case with its accounts, one after the other, at most `of_each_case`, and at last none.

    From each account the index is entered anew at the next one: what a case costs is bounded by its accounts, where
    DISTINCT would read all of its items.
    """

    def least(*conditions: ColumnElement[bool]) -> ColumnElement[str]:
        return select(func.min(_ITEMS.account_ref)).where(*conditions).scalar_subquery()

    first = least(_ITEMS.case_id == _CASES.id).label("account_ref")
    begun = select(_CASES.id.label("case_id"), first, literal(1).label("number")).where(_CASES.id.in_(sorted(case_ids)))
    stepped = begun.cte("accounts", recursive=True)
    at = stepped.c
    following = least(_ITEMS.case_id == at.case_id, _ITEMS.account_ref > at.account_ref)
    goes_on = (at.account_ref.is_not(None), at.number < of_each_case)
    return stepped.union_all(select(at.case_id, following, at.number + 1).where(*goes_on))
