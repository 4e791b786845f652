"""Cases by what names them: references, screenings, pictures. Every read is bounded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from baken.model import Purpose
from baken.store import schema
from baken.store.engine import Database

_ITEMS = schema.case_items.c
_KEYS = schema.case_keys.c
_MATCHED = schema.case_entries.c

_MAX_ITEMS = 2_000
"""Of how many items with one reference, the latest ones, it is asked in which cases they are."""

_MAX_CASES = 500
"""How many cases of the entries that one picture matches are looked at, the newest ones."""


@dataclass(frozen=True, slots=True)
class NamedCases:
    """The ids of the cases that a name leads to; `is_cut` says that there may be more, of older items."""

    ids: frozenset[str]
    is_cut: bool = False

    def __or__(self, other: NamedCases) -> NamedCases:
        return NamedCases(self.ids | other.ids, self.is_cut or other.is_cut)


class CaseSearchRows:
    """Cases in one database, by what names them; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def with_item(self, item_ref: str) -> NamedCases:
        """The cases with an item of this reference."""
        with self._database.read() as connection:
            return _cases_with(connection, _ITEMS.item_ref == item_ref, _ITEMS.id)

    def with_account(self, account_ref: str) -> NamedCases:
        """The cases with an item of this account."""
        with self._database.read() as connection:
            return cases_with_account(connection, account_ref)

    def with_screenings(self, screening_ids: Sequence[str]) -> NamedCases:
        """The cases that screenings are in."""
        with self._database.read() as connection:
            return _cases_with(connection, _ITEMS.screening_id.in_(screening_ids), _ITEMS.screening_id)

    def with_pictures(self, cluster_ids: Collection[int], entry_ids: Collection[int]) -> NamedCases:
        """The cases of clusters and of entries."""
        of_cluster = _KEYS.purpose.in_([purpose.value for purpose in Purpose]) & (_KEYS.kind == "cluster")
        by_cluster = select(_KEYS.case_id).where(of_cluster, _KEYS.key_id.in_(sorted(cluster_ids)))
        by_entry = select(_MATCHED.case_id).where(_MATCHED.entry_id.in_(sorted(entry_ids)))
        newest = by_entry.order_by(_MATCHED.case_id.desc()).limit(_MAX_CASES + 1)
        with self._database.read() as connection:
            of_entries = connection.execute(newest).scalars().all()
            found = {*connection.execute(by_cluster).scalars(), *of_entries[:_MAX_CASES]}
        return NamedCases(frozenset(found), len(of_entries) > _MAX_CASES)


def cases_with_account(connection: Connection, account_ref: str) -> NamedCases:
    """The cases with an item of an account; see `CaseSearchRows.with_account`."""
    return _cases_with(connection, _ITEMS.account_ref == account_ref, _ITEMS.screening_id)


def _cases_with(connection: Connection, condition: ColumnElement[bool], latest_by: ColumnElement[Any]) -> NamedCases:
    latest = select(_ITEMS.case_id).where(condition).order_by(latest_by.desc()).limit(_MAX_ITEMS + 1).subquery()
    counted = select(latest.c.case_id, func.count().label("items")).group_by(latest.c.case_id)
    rows = connection.execute(counted).all()
    return NamedCases(frozenset(row.case_id for row in rows), sum(row.items for row in rows) > _MAX_ITEMS)
