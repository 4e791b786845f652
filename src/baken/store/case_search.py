"""Cases and accounts by what names them: references, screenings, pictures. Every read is bounded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select, union, union_all

from baken.model import Finding, Purpose, Verdict
from baken.store import schema
from baken.store.engine import Database
from baken.store.paging import page_limit
from baken.store.queues import Asker

_CASES = schema.cases.c
_ITEMS = schema.case_items.c
_KEYS = schema.case_keys.c
_MATCHED = schema.case_entries.c
_SEEN = schema.seen_items.c
_SCREENINGS = schema.screenings.c

_MAX_ITEMS = 2_000
"""Of how many items with one reference, the latest ones, it is asked in which cases they are."""

_MAX_CASES = 500
"""How many cases of the entries that one picture matches are looked at, the newest ones."""


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
        case_ids: the cases that it is in, of those that the person may see.
    """

    screening_id: str
    item_ref: str | None
    album_ref: str | None
    seen_at: datetime
    finding: Finding | None = None
    verdict: Verdict | None = None
    case_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkedAccount:
    """An account that stands in the same cases as another one."""

    account_ref: str
    shared_case_count: int


class CaseSearchRows:
    """Cases and accounts in one database, by what names them; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def with_item(self, item_ref: str) -> set[str]:
        """The cases with an item of this reference."""
        return self._cases_of(_ITEMS.item_ref == item_ref, _ITEMS.id)

    def with_account(self, account_ref: str) -> set[str]:
        """The cases with an item of this account."""
        return self._cases_of(_ITEMS.account_ref == account_ref, _ITEMS.screening_id)

    def with_screenings(self, screening_ids: Sequence[str]) -> set[str]:
        """The cases that screenings are in."""
        return self._cases_of(_ITEMS.screening_id.in_(screening_ids), _ITEMS.screening_id)

    def with_pictures(self, cluster_ids: Collection[int], entry_ids: Collection[int]) -> set[str]:
        """The cases of clusters and of entries."""
        of_cluster = _KEYS.purpose.in_([purpose.value for purpose in Purpose]) & (_KEYS.kind == "cluster")
        by_cluster = select(_KEYS.case_id).where(of_cluster, _KEYS.key_id.in_(sorted(cluster_ids)))
        by_entry = select(_MATCHED.case_id).where(_MATCHED.entry_id.in_(sorted(entry_ids)))
        newest = by_entry.order_by(_MATCHED.case_id.desc()).limit(_MAX_CASES)
        with self._database.read() as connection:
            return {case_id for query in (by_cluster, newest) for case_id in connection.execute(query).scalars()}

    def _cases_of(self, condition: ColumnElement[bool], latest_by: ColumnElement[Any]) -> set[str]:
        latest = select(_ITEMS.case_id).where(condition).order_by(latest_by.desc()).limit(_MAX_ITEMS).subquery()
        with self._database.read() as connection:
            return set(connection.execute(select(latest.c.case_id).distinct()).scalars())

    # Accounts

    def screenings_of(
        self, account_ref: str, asker: Asker, *, before_id: str | None, limit: int
    ) -> list[AccountScreening]:
        """What was screened of an account and is remembered, or stands in a case; the latest first."""
        merged: dict[str, AccountScreening] = {}
        with self._database.read() as connection:
            for table in (_SEEN, _ITEMS):
                query = select(table.screening_id, table.item_ref, table.album_ref, table.seen_at).distinct()
                query = query.where(table.account_ref == account_ref)
                if before_id is not None:
                    query = query.where(table.screening_id < before_id)
                latest = query.order_by(table.screening_id.desc()).limit(page_limit(limit))
                merged |= {row.screening_id: AccountScreening(*row) for row in connection.execute(latest)}
            shown = sorted(merged, reverse=True)[:limit]
            found = {row.id: row for row in connection.execute(_findings(shown))}
            cases: dict[str, list[str]] = defaultdict(list)
            in_cases = select(_ITEMS.screening_id, _ITEMS.case_id).join(schema.cases, _CASES.id == _ITEMS.case_id)
            in_cases = in_cases.where(_ITEMS.screening_id.in_(shown), *asker.reaches()).order_by(_ITEMS.case_id)
            for screening_id, case_id in connection.execute(in_cases):
                cases[screening_id].append(case_id)
        return [
            AccountScreening(
                *(each.screening_id, each.item_ref, each.album_ref, each.seen_at),
                Finding(found[each.screening_id].finding) if each.screening_id in found else None,
                Verdict(found[each.screening_id].verdict) if each.screening_id in found else None,
                tuple(cases[each.screening_id]),
            )
            for each in (merged[screening_id] for screening_id in shown)
        ]

    def screening_count(self, account_ref: str, *, at_most: int) -> int:
        """How many screenings of an account there are, counted up to `at_most`."""
        parts = [
            select(select(table.screening_id).where(table.account_ref == account_ref).limit(at_most).subquery().c[0])
            for table in (_SEEN, _ITEMS)
        ]
        with self._database.read() as connection:
            counted: int = connection.execute(select(func.count()).select_from(union(*parts).subquery())).scalar_one()
        return min(counted, at_most)

    def seen_between(self, account_ref: str) -> tuple[datetime, datetime] | None:
        """When an account was first and last seen, by its oldest and newest screening; None if it never was."""
        times: list[datetime] = []
        with self._database.read() as connection:
            for table in (_SEEN, _ITEMS):
                for by in (table.screening_id.asc(), table.screening_id.desc()):
                    query = select(table.seen_at).where(table.account_ref == account_ref).order_by(by).limit(1)
                    times += connection.execute(query).scalars()
        return (min(times), max(times)) if times else None

    def linked(self, account_ref: str, case_ids: Collection[str], *, of_each_case: int) -> list[LinkedAccount]:
        """The other accounts in these cases, those that share most first; of each case at most `of_each_case`."""
        if not case_ids:
            return []
        parts = []
        for case_id in sorted(case_ids):
            others = select(_ITEMS.account_ref).distinct().where(_ITEMS.case_id == case_id)
            others = others.where(_ITEMS.account_ref.is_not(None), _ITEMS.account_ref != account_ref)
            some = others.order_by(_ITEMS.account_ref).limit(of_each_case).subquery()
            parts.append(select(some.c.account_ref))
        with self._database.read() as connection:
            shared = Counter(connection.execute(union_all(*parts)).scalars())
        return [LinkedAccount(ref, count) for ref, count in sorted(shared.items(), key=lambda one: (-one[1], one[0]))]


def _findings(screening_ids: Sequence[str]) -> Select[Any]:
    query = select(_SCREENINGS.id, _SCREENINGS.finding, _SCREENINGS.verdict)
    return query.where(_SCREENINGS.id.in_(screening_ids)) if screening_ids else query.where(literal(value=False))
