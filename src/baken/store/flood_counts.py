"""How many distinct accounts matched an entry in each hour: counted while screenings are recorded, read by the breaker.

What is kept is bounded. An entry has one row for each hour in which it matched, for as long as its history reaches, and
in the current hour one row for each account, at most as many as its limit allows plus one batch of screenings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, and_, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from baken.flood import HISTORY_HOURS, FloodFacts, FloodLimits, Tally, hour_start, is_flood, limit_of
from baken.model import BankState, EntryState
from baken.store import schema

_BATCH_ENTRIES = 10_000

_HOURS = schema.flood_hours.c
_SIGHTINGS = schema.flood_sightings.c


@dataclass(frozen=True, slots=True)
class Sighting:
    """A screening that was near an entry; equal keys in one hour count once."""

    hour: int
    entry_id: int
    key: bytes
    has_account: bool


@dataclass(frozen=True, slots=True)
class EntryTally:
    """What was counted for one entry in one hour, and what its bank allows."""

    entry_id: int
    bank_id: int
    hour: int
    limits: FloodLimits
    tally: Tally
    without_account_count: int

    @property
    def is_flood(self) -> bool:
        """Whether it is more than the entry's history allows."""
        return is_flood(self.limits, self.tally)

    def facts(self) -> FloodFacts:
        """What a notice says of it."""
        return FloodFacts(
            counted="accounts in one hour",
            count=self.tally.count,
            limit=limit_of(self.limits, self.tally) or 0,
            busiest_count=self.tally.busiest_count,
            history_hours=HISTORY_HOURS,
            hour=hour_start(self.hour),
            without_account_count=self.without_account_count,
        )


class FloodCounts:
    """The statements, made once for the engine."""

    def __init__(self, *, is_sqlite: bool) -> None:
        dialect_insert = sqlite.insert if is_sqlite else postgresql.insert
        sightings: Any = dialect_insert(schema.flood_sightings)
        self._insert_new = sightings.on_conflict_do_nothing().returning(_SIGHTINGS.entry_id, _SIGHTINGS.key)
        hours: Any = dialect_insert(schema.flood_hours)
        adding = hours.on_conflict_do_update(
            index_elements=[_HOURS.entry_id, _HOURS.hour],
            set_={
                "sighting_count": _HOURS.sighting_count + hours.excluded.sighting_count,
                "without_account_count": _HOURS.without_account_count + hours.excluded.without_account_count,
            },
        )
        self._add_counts = adding.returning(_HOURS.entry_id, _HOURS.sighting_count)

    def add(self, connection: Connection, sightings: Sequence[Sighting]) -> list[tuple[int, int]]:
        """Count sightings; the (entry id, hour) of every entry that has matched more than it may.

        Entries that are no longer active, or whose bank has no breaker, are not counted. Rows are locked in the order
        of their keys, so that two processes that count the same entries cannot wait for each other.
        """
        flooded = []
        for hour in sorted({sighting.hour for sighting in sightings}):
            seen = {(each.entry_id, each.key): each for each in sightings if each.hour == hour}
            found = tallies(connection, sorted({entry_id for entry_id, _ in seen}), hour)
            counting = {entry_id for entry_id, tallied in found.items() if not tallied.is_flood}
            new = self._insert(connection, [each for _, each in sorted(seen.items()) if each.entry_id in counting])
            for entry_id, count in self._add(connection, hour, new):
                found[entry_id] = replace(found[entry_id], tally=replace(found[entry_id].tally, count=count))
            flooded += [(entry_id, hour) for entry_id, tallied in found.items() if tallied.is_flood]
        return flooded

    def _insert(self, connection: Connection, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Keep those that are new this hour, and return them."""
        if not sightings:
            return []
        rows = [{"hour": each.hour, "entry_id": each.entry_id, "key": each.key} for each in sightings]
        new = {(row.entry_id, bytes(row.key)) for row in connection.execute(self._insert_new, rows)}
        return [each for each in sightings if (each.entry_id, each.key) in new]

    def _add(self, connection: Connection, hour: int, new: Sequence[Sighting]) -> list[tuple[int, int]]:
        """Add sightings to the counts; (entry id, its count now) for each entry among them."""
        if not new:
            return []
        counts = Counter(each.entry_id for each in new)
        without_account = Counter(each.entry_id for each in new if not each.has_account)
        rows = [
            {
                "entry_id": entry_id,
                "hour": hour,
                "sighting_count": counts[entry_id],
                "without_account_count": without_account[entry_id],
                "approved_count": 0,
            }
            for entry_id in sorted(counts)
        ]
        return [(row.entry_id, row.sighting_count) for row in connection.execute(self._add_counts, rows)]


def tallies(connection: Connection, entry_ids: Sequence[int], hour: int) -> dict[int, EntryTally]:
    """What was counted in one hour for those of the entries that are active, in banks whose breaker is on."""
    found: dict[int, EntryTally] = {}
    for start in range(0, len(entry_ids), _BATCH_ENTRIES):
        asked = {"entry_ids": entry_ids[start : start + _BATCH_ENTRIES], "hour": hour, "first": hour - HISTORY_HOURS}
        for entry_id, bank_id, accounts, factor, *counts in connection.execute(_TALLIES, asked):
            count, without_account_count, approved_count, busiest_count = (each or 0 for each in counts)
            tally = Tally(count, approved_count, busiest_count)
            limits = FloodLimits(accounts, factor)
            found[entry_id] = EntryTally(entry_id, bank_id, hour, limits, tally, without_account_count)
    return found


def _tally_query() -> Select[Any]:
    """Parameters: `entry_ids`, `hour`, and `first`, the first hour of the history."""
    entries, banks, earlier = schema.entries.c, schema.banks.c, schema.flood_hours.alias("earlier")
    hour: BindParameter[int] = bindparam("hour")
    first: BindParameter[int] = bindparam("first")
    busiest = (
        select(func.max(earlier.c.sighting_count))
        .where(earlier.c.entry_id == entries.id, earlier.c.hour >= first, earlier.c.hour < hour)
        .scalar_subquery()
    )
    return (
        select(entries.id, entries.bank_id, banks.flood_accounts_per_hour, banks.flood_factor)
        .add_columns(_HOURS.sighting_count, _HOURS.without_account_count, _HOURS.approved_count, busiest)
        .join_from(schema.entries, schema.banks, banks.id == entries.bank_id)
        .outerjoin(schema.flood_hours, and_(_HOURS.entry_id == entries.id, _HOURS.hour == hour))
        .where(entries.id.in_(bindparam("entry_ids", expanding=True)), entries.state == EntryState.ACTIVE.value)
        .where(banks.state != BankState.WITHDRAWN.value, banks.flood_accounts_per_hour > 0)
    )


# Made once: putting it together takes longer than running it, and it runs for every screening that matches.
_TALLIES = _tally_query()


def approve(connection: Connection, entry_ids: Sequence[int]) -> None:
    """Take what came until now as right, because a person let these entries match again."""
    # Locked in the order in which counting locks them, so that the two cannot wait for each other.
    in_order = select(_HOURS.hour).where(_HOURS.entry_id.in_(entry_ids)).order_by(_HOURS.hour, _HOURS.entry_id)
    connection.execute(in_order.with_for_update())
    statement = update(schema.flood_hours).where(_HOURS.entry_id.in_(entry_ids))
    connection.execute(statement.values(approved_count=_HOURS.sighting_count))


def forget_before(connection: Connection, hour: int) -> None:
    """Delete what no rule asks for any more once `hour` has begun.

    Accounts of the hour before are kept: a screening made at its very end may be recorded only now.
    """
    connection.execute(delete(schema.flood_sightings).where(_SIGHTINGS.hour < hour - 1))
    connection.execute(delete(schema.flood_hours).where(_HOURS.hour < hour - HISTORY_HOURS))
