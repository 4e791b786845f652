"""The change log: how a follower keeps what it holds in memory equal to the database.

Sequence numbers become visible in order. Every mutation first locks the single row of `change_head` and takes its
numbers from it in the same transaction (on SQLite `BEGIN IMMEDIATE` has the same effect). A later mutation therefore
gets its numbers only after the earlier one committed or rolled back: whoever reads number 7 can read 1 to 6 too, and a
follower that remembers the last number it saw misses nothing. A database sequence would not do: it hands out 7 and 8 to
two open transactions, and when 8 commits first, a follower that reads 8 never comes back for 7.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, insert, select, update

from baken.errors import StoreError
from baken.store import schema
from baken.store.audit import AuditedWrite
from baken.store.engine import Database
from baken.store.paging import cursor_id, page_limit

ChangeKind = Literal["bank", "entries", "key"]

_HEAD_QUERY = "SELECT seq FROM change_head WHERE id = 1"
_IDLE_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the change log.

    Attributes:
        seq: its number; numbers have no gaps and become visible in order.
        kind: `bank` (read the bank again), `entries` (read the range of entry ids again) or `key` (forget cached keys).
        bank_id: the bank, or None for `key`.
        first_entry_id: first id of the range, for `entries`. The range may hold entries that did not change, but only
            entries of this bank.
        last_entry_id: last id of the range, itself included.
        token: tells the change from the one of this number in another history, such as that of the same database after
            an older backup was restored; 1 to 2**64 - 1. It follows from the row, the time to the microsecond included.
    """

    seq: int
    kind: ChangeKind
    bank_id: int | None
    first_entry_id: int | None
    last_entry_id: int | None
    token: int = field(default=0, compare=False)


class Mutation(AuditedWrite):
    """An open transaction that changes what followers hold; it numbers its changes and its new entries."""

    def __init__(self, connection: Connection, seq: int, last_entry_id: int) -> None:
        super().__init__(connection)
        self.seq = seq
        self.last_entry_id = last_entry_id
        self._rows: list[dict[str, Any]] = []

    def take_entry_ids(self, count: int) -> range:
        """The next `count` entry ids, without gaps. An id is given out once, even when its entry should go away."""
        first = self.last_entry_id + 1
        self.last_entry_id += count
        return range(first, first + count)

    def log(
        self,
        kind: ChangeKind,
        *,
        bank_id: int | None = None,
        first_entry_id: int | None = None,
        last_entry_id: int | None = None,
    ) -> None:
        """Add a line to the change log."""
        self.seq += 1
        row = {"seq": self.seq, "kind": kind, "bank_id": bank_id, "created_at": self.at}
        self._rows.append(row | {"first_entry_id": first_entry_id, "last_entry_id": last_entry_id})

    def write_log(self) -> None:
        """Write the lines and move the head."""
        if self._rows:
            self.connection.execute(insert(schema.changes), self._rows)
            head = {"seq": self.seq, "last_entry_id": self.last_entry_id}
            self.connection.execute(update(schema.change_head).where(schema.change_head.c.id == 1).values(head))


@contextmanager
def mutation(database: Database) -> Iterator[Mutation]:
    """One transaction that changes banks, entries or keys; they happen one after the other, see the module's text."""
    with database.write() as connection:
        head = schema.change_head.c
        row = connection.execute(select(head.seq, head.last_entry_id).where(head.id == 1).with_for_update()).one()
        change = Mutation(connection, row.seq, row.last_entry_id)
        yield change
        change.write_log()
        change.write_events()


def last_entry_id(database: Database) -> int:
    """The id of the newest entry; see `Store.last_entry_id`."""
    with database.read() as connection:
        return int(connection.execute(select(schema.change_head.c.last_entry_id)).scalar_one())


def changes_since(database: Database, seq: int, limit: int) -> list[Change]:
    """The changes after number `seq`, in order, at most `limit`."""
    columns = schema.changes.c
    query = _changes().where(columns.seq > cursor_id(seq)).order_by(columns.seq).limit(page_limit(limit))
    with database.read() as connection:
        return [_change(row) for row in connection.execute(query)]


def change_token(database: Database, seq: int) -> int | None:
    """The token of one change; None when there is none of this number."""
    with database.read() as connection:
        row = connection.execute(_changes().where(schema.changes.c.seq == cursor_id(seq))).first()
    return None if row is None else _change(row).token


def _changes() -> Select[Any]:
    columns = schema.changes.c
    return select(
        columns.seq, columns.kind, columns.bank_id, columns.first_entry_id, columns.last_entry_id, columns.created_at
    )


def _change(row: Row[Any]) -> Change:
    text = "|".join(map(str, row[:5])) + "|" + row.created_at.isoformat()
    token = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    return Change(row.seq, row.kind, row.bank_id, row.first_entry_id, row.last_entry_id, max(token, 1))


def history_id(database: Database) -> str:
    """What tells this change log from every other one: its first change. Empty when there is none yet."""
    columns = schema.changes.c
    query = select(columns.seq, columns.created_at).order_by(columns.seq).limit(1)
    with database.read() as connection:
        first = connection.execute(query).first()
    return "" if first is None else f"{first.seq}-{first.created_at.isoformat()}"


class HeadReader:
    """Reads the newest sequence number on connections of its own that stay open, because every request asks for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: deque[Any] = deque()
        self._closed = False

    def seq(self) -> int:
        """The newest sequence number committed by anyone before this call."""
        database = self._database
        database.check_process()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._seq_on_new_connection()
        try:
            row = connection.execute(_HEAD_QUERY).fetchone()
        except database.driver_error:
            # The server may have restarted since: only what a new connection says counts.
            connection.close()
            return self._seq_on_new_connection()
        self._keep(connection)
        return _seq_of(row)

    def _seq_on_new_connection(self) -> int:
        database = self._database
        with database.failures():
            connection = database.connect()
            try:
                if not database.is_sqlite:
                    connection.autocommit = True
                row = connection.execute(_HEAD_QUERY).fetchone()
            except BaseException:
                connection.close()
                raise
        self._keep(connection)
        return _seq_of(row)

    def _keep(self, connection: Any) -> None:  # noqa: ANN401 - either driver's
        if self._closed or len(self._idle) >= _IDLE_CONNECTIONS:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


def _seq_of(row: tuple[int] | None) -> int:
    if row is None:
        raise StoreError("the change log has lost its head row", hint="restore a backup of the database")
    return row[0]
