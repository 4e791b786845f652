"""The flood breaker: counts matches while they are recorded, and quarantines an entry that matched too much.

Counting is part of the transaction that records the screenings. The quarantine is a transaction of its own directly
after it, because it takes the change log's lock, which others hold while they wait for rows that counting locks. What
decides is the count in the database, not who counted: when a process dies between the two, or two processes count over
the limit at once, the entry's next match quarantines it, and only one of them does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from baken.errors import NotFoundError
from baken.flood import FloodFacts, countable_entries, hour_of, sighting_key
from baken.model import BankState, EntryState, NoticeKind, Screening
from baken.store import schema
from baken.store.banks import add_event
from baken.store.changes import Mutation, mutation
from baken.store.engine import Database
from baken.store.entries import write_states
from baken.store.flood_counts import FloodCounts, Sighting, forget_before, tallies
from baken.store.notices import open_notice
from baken.store.paging import cursor_id

ACTOR = "flood-breaker"

_ENTRIES = schema.entries.c
_log = logging.getLogger(__name__)


class FloodBreaker:
    """Counts for one recorder, which uses it from one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts = FloodCounts(is_sqlite=database.is_sqlite)
        self._flooded: list[tuple[int, int]] = []
        self._hour = 0
        self._cleaned_hour = 0

    def count(self, connection: Connection, screenings: Iterable[Screening]) -> None:
        """Count the matches of screenings that this transaction records."""
        sightings = [
            Sighting(hour_of(each.created_at), entry_id, sighting_key(each), bool(each.meta.account_ref))
            for each in screenings
            for entry_id in countable_entries(each)
        ]
        if sightings:
            self._flooded = self._counts.add(connection, sightings)
            self._hour = max(sighting.hour for sighting in sightings)

    def act(self) -> None:
        """After the commit: quarantine what matched too much, and once an hour delete what is too old to matter."""
        flooded, self._flooded = self._flooded, []
        for entry_id, hour in flooded:
            _quarantine_flooded(self._database, entry_id, hour)
        if self._hour > self._cleaned_hour:
            self._cleaned_hour = self._hour
            with self._database.write() as connection:
                forget_before(connection, self._hour)


def _quarantine_flooded(database: Database, entry_id: int, hour: int) -> None:
    with mutation(database) as change:
        # Asked again under the lock: someone may have quarantined the entry meanwhile, or already resumed it.
        tallied = tallies(change.connection, [entry_id], hour).get(entry_id)
        if tallied is not None and tallied.is_flood:
            _quarantine(change, entry_id, tallied.bank_id, tallied.facts())


def quarantine_entry(database: Database, entry_id: int, facts: FloodFacts) -> bool:
    """Quarantine an entry for a reason of the caller's; see `Store.quarantine_entry`."""
    with mutation(database) as change:
        row = _entry_row(change.connection, entry_id)
        if row.state != EntryState.ACTIVE.value or row.bank_state == BankState.WITHDRAWN.value:
            return False
        _quarantine(change, entry_id, row.bank_id, facts)
        return True


def _entry_row(connection: Connection, entry_id: int) -> Row[Any]:
    banks = schema.banks.c
    columns: Select[Any] = select(_ENTRIES.state, _ENTRIES.bank_id, banks.state.label("bank_state"))
    query = columns.join_from(schema.entries, schema.banks, banks.id == _ENTRIES.bank_id)
    row = connection.execute(query.where(_ENTRIES.id == cursor_id(entry_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no entry {entry_id}", hint="`baken bank show NAME` lists entries with their ids")
    return row


def _quarantine(change: Mutation, entry_id: int, bank_id: int, facts: FloodFacts) -> None:
    write_states(change, [entry_id], EntryState.QUARANTINED, facts.sentence)
    what = f"entries_{EntryState.QUARANTINED.value}"
    add_event(change, bank_id, what, actor=ACTOR, reason=facts.sentence, entry_ids=[entry_id], facts=facts.as_json())
    change.log("entries", bank_id=bank_id, first_entry_id=entry_id, last_entry_id=entry_id)
    kind = NoticeKind.ENTRY_QUARANTINED
    open_notice(change, kind, bank_id=bank_id, entry_id=entry_id, reason=facts.sentence, facts=facts.as_json())
    _log.warning("entry %d of bank %d is quarantined: %s", entry_id, bank_id, facts.sentence)
