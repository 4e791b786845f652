"""Whose turn it is to keep the seen index: one process among all that share the database.

The turn is a lease with an end, so that a process that dies gives it back by doing nothing. Being the holder is checked
again in every transaction that writes, under the lock of the row: a process that slept through the end of its turn
cannot write what another has written since.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select, text, update

from baken.errors import TurnLostError
from baken.store import schema
from baken.store.engine import Database

TURN_SECONDS = 10.0

_STATE = schema.seen_state.c
_COLUMNS = (
    _STATE.database_id,
    _STATE.seq,
    _STATE.last_item_id,
    _STATE.removals_after,
    _STATE.asked_seq,
    _STATE.asked_entry_id,
)


@dataclass(frozen=True, slots=True)
class SeenState:
    """How far the seen index is.

    Attributes:
        database_id: what tells this database's seen index from every other one's.
        seq: the last number given to a file or to a removal; an index on disk follows these numbers.
        last_item_id: the last id given to an item.
        removals_after: removals up to this number are no longer listed; an index that is behind it is built again.
        asked_seq: the change of the log up to which the past has been asked.
        asked_entry_id: within the change after it, the entry up to which the past has been asked.
    """

    database_id: str
    seq: int
    last_item_id: int
    removals_after: int
    asked_seq: int
    asked_entry_id: int


class Turn:
    """One process's claim to the turn; thread-safe as long as one thread works under it."""

    def __init__(self, database: Database, *, seconds: float = TURN_SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self._holder = f"{os.uname().nodename}/{os.getpid()}/{secrets.token_hex(4)}"

    def take(self) -> bool:
        """Take the turn if nobody else has it, or keep it; whether it is ours now."""
        with self._database.write() as connection:
            row = connection.execute(select(_STATE.holder, _STATE.held_until).with_for_update()).one()
            now = _now(self._database, connection)
            if row.holder not in {None, self._holder} and row.held_until > now:
                return False
            self._set(connection, self._holder, now + self._seconds)
            return True

    def prolong(self) -> None:
        """Keep the turn through work that writes nothing.

        Raises:
            TurnLostError: it is another process's now.
        """
        with self.write():
            pass

    def give_back(self) -> None:
        """Let others have it at once."""
        with self._database.write() as connection:
            mine = update(schema.seen_state).where(_STATE.holder == self._holder)
            connection.execute(mine.values(holder=None, held_until=0.0))

    @contextmanager
    def write(self) -> Iterator[tuple[Connection, SeenState]]:
        """A transaction of the holder, which also prolongs the turn.

        Raises:
            TurnLostError: the turn is another process's now; nothing is written.
        """
        with self._database.write() as connection:
            row = connection.execute(select(_STATE.holder, *_COLUMNS).with_for_update()).one()
            if row.holder != self._holder:
                raise TurnLostError("another process keeps the seen index now", hint="it does the rest; try again")
            self._set(connection, self._holder, _now(self._database, connection) + self._seconds)
            yield connection, SeenState(*row[1:])

    def _set(self, connection: Connection, holder: str, until: float) -> None:
        connection.execute(update(schema.seen_state).values(holder=holder, held_until=until))


def read_state(database: Database) -> SeenState:
    """How far the seen index is."""
    with database.read() as connection:
        return SeenState(*connection.execute(select(*_COLUMNS)).one())


def set_state(connection: Connection, **values: int) -> None:
    """Move some of the numbers of `SeenState`."""
    connection.execute(update(schema.seen_state).values(**values))


def _now(database: Database, connection: Connection) -> float:
    """Seconds since the epoch by the one clock that all processes share: this machine's, or the server's."""
    if database.is_sqlite:
        return time.time()
    return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
