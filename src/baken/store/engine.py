"""Connections and transactions on SQLite or PostgreSQL, with the settings that make an acknowledged write durable.

A `Database` belongs to the process that opened it: neither SQLite nor libpq connections survive a fork, so every use
in another process is refused. Open the store in each worker, after it was forked or spawned.
"""

from __future__ import annotations

import os
import select
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from baken.errors import SettingError, StoreError
from baken.store.address import Address
from baken.store.failures import in_process_busy, translated

_POOL_SIZE = 8
_POOL_OVERFLOW = 24
_CONNECT_TIMEOUT_SECONDS = 10
_ASKED_AFTER_IDLE_SECONDS = 5.0


class Database:
    """One database: a pool of connections, read and write transactions, errors in Baken's words. Thread-safe."""

    def __init__(self, address: Address, *, busy_timeout_seconds: float, may_create: bool = False) -> None:
        self.address = address
        self.is_sqlite = address.path is not None
        self.busy_timeout_seconds = busy_timeout_seconds
        self._process_id = os.getpid()
        self._turn = threading.Lock()
        self.connect: Callable[[], Any]
        if address.path is not None:
            self.connect, self.driver_error = _sqlite_connector(
                address.path, busy_timeout_seconds, may_create=may_create
            )
        else:
            self.connect, self.driver_error = _postgresql_connector(address, busy_timeout_seconds)
        self.engine = _make_engine(self)
        self._writing = self.engine.execution_options(begins_writing=True)
        # Each read of ours is one statement, or several over rows that never change: on PostgreSQL autocommit saves
        # two round trips. On SQLite a connection without BEGIN is in autocommit already.
        self._reading = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees everything committed before each statement."""
        self.check_process()
        with self.failures(), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction: committed durably at the end of the block, rolled back when it raises."""
        self.check_process()
        with self._own_turn(), self.failures(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what SQLAlchemy and the driver raise into Baken's errors."""
        try:
            yield
        except (SQLAlchemyError, self.driver_error) as error:
            raise translated(error, self.address, self.busy_timeout_seconds) from error

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        # SQLite lets one writer in and makes the others sleep and poll (up to 100 ms at a time). Threads of one process
        # queue here instead and wake at once.
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=self.busy_timeout_seconds):
            raise in_process_busy(self.address, self.busy_timeout_seconds)
        try:
            yield
        finally:
            self._turn.release()

    def check_process(self) -> None:
        """Refuse to work in a process that inherited this object by fork.

        Raises:
            StoreError: this is not the process that opened the database.
        """
        if os.getpid() != self._process_id:
            raise StoreError(
                f"{self.address.label} was opened by process {self._process_id} and is used by its fork {os.getpid()}",
                hint="open the store in each worker process, after the fork",
            )

    def close(self) -> None:
        """Close the pooled connections."""
        if os.getpid() == self._process_id:
            self.engine.dispose()


def _make_engine(database: Database) -> Engine:
    engine = create_engine(
        "sqlite://" if database.is_sqlite else database.address.url,
        creator=database.connect,
        poolclass=QueuePool,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=database.busy_timeout_seconds,
        # Rows hold captions and references of people: they have no place in error messages.
        hide_parameters=True,
    )
    if database.is_sqlite:
        event.listen(engine, "begin", _begin_immediate)
    else:
        _replace_lost(engine, database.driver_error)
    return engine


def _replace_lost(engine: Engine, driver_error: type[Exception]) -> None:
    """Have a connection made anew whose server went away, as servers do; a file has not.

    SQLAlchemy's own `pool_pre_ping` asks the server before every read, and a page has dozens. A server that ends or
    restarts closes its connections, which shows without asking; what the network drops silently was idle for long.
    """

    def note_idle(_: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    def check(connection: Any, record: ConnectionPoolEntry, _: object) -> None:  # noqa: ANN401 - psycopg is optional
        now = time.monotonic()
        try:
            if _has_news(connection.fileno()) or now - record.info.get("idle_since", now) > _ASKED_AFTER_IDLE_SECONDS:
                connection.execute("SELECT 1")
                connection.rollback()
        except driver_error as error:
            raise DisconnectionError("the server closed it") from error

    event.listen(engine, "checkin", note_idle)
    event.listen(engine, "checkout", check)


def _has_news(descriptor: int) -> bool:
    """Whether a socket can be read, or is closed; `select` would refuse the descriptors of a busy server."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once when another writer came between
    # (SQLITE_BUSY_SNAPSHOT, no waiting): https://www.sqlite.org/lang_transaction.html
    if connection.get_execution_options().get("begins_writing"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _sqlite_connector(
    path: Path, busy_timeout_seconds: float, *, may_create: bool
) -> tuple[Callable[[], Any], type[Exception]]:
    uri = f"{path.as_uri()}?mode={'rwc' if may_create else 'rw'}"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: we say BEGIN ourselves. One thread at a time uses a connection, not always the same.
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_timeout_seconds, isolation_level=None, check_same_thread=False
        )
        # FULL syncs the write-ahead log at every commit: what was acknowledged survives a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    return connect, sqlite3.Error


def _postgresql_connector(address: Address, busy_timeout_seconds: float) -> tuple[Callable[[], Any], type[Exception]]:
    try:
        import psycopg  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise SettingError(
            f"{address.label} needs psycopg, which is not installed", hint="pip install 'baken[postgres]'"
        ) from error
    parameters = {"connect_timeout": _CONNECT_TIMEOUT_SECONDS, **address.url.translate_connect_args(username="user")}
    parameters["dbname"] = parameters.pop("database", None)
    parameters |= address.url.query

    def connect() -> Any:  # noqa: ANN401 - psycopg is optional, its types are not always there
        connection = psycopg.connect(**parameters, autocommit=True)
        # A server that acknowledges before it has written would make us lie; stricter settings than `on` stay.
        connection.execute(
            "SELECT set_config('lock_timeout', %s, false), set_config('TimeZone', 'UTC', false),"
            " set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
            " ELSE current_setting('synchronous_commit') END, false)",
            (f"{busy_timeout_seconds * 1000:.0f}ms",),
        )
        connection.autocommit = False
        return connection

    return connect, psycopg.Error
