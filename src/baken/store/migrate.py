"""Making the tables, bringing them up to date, and telling whether they are."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from baken.errors import StoreError
from baken.store.engine import Database
from baken.store.failures import not_initialised, translated
from baken.store.schema import REVISIONS

MIGRATIONS = Path(__file__).parent / "migrations"

# Any constant will do, as long as every process that initialises the same PostgreSQL database takes the same lock.
_ADVISORY_LOCK = 0x62616B656E
_RETRY_SECONDS = 0.02


def initialise(database: Database) -> None:
    """Make the tables or bring them up to date; see `Store.initialise`."""
    if database.address.path is not None:
        _make_file(database.address.path)
        _use_write_ahead_log(database)
    with database.write() as connection:
        # On SQLite the write transaction keeps a second process out; on PostgreSQL no table is there to lock yet.
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        revision = _revision(connection)
        if revision == REVISIONS[-1]:
            return
        if revision not in {None, *REVISIONS}:
            check_revision(database, connection)
        _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command, config  # noqa: PLC0415 - they take 0.1 s to load, which every command would pay too

    where = config.Config()
    where.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    where.attributes["connection"] = connection
    command.upgrade(where, "head")


def check_revision(database: Database, connection: Connection) -> None:
    """Refuse a database whose tables are missing, older or newer than this version works with.

    Raises:
        NotInitialisedError: which of the three it is.
    """
    complaint = revision_complaint(_revision(connection), REVISIONS)
    if complaint is not None:
        raise not_initialised(database.address, complaint)


def revision_complaint(found: str | None, known: Sequence[str]) -> str | None:
    """What is wrong with tables of revision `found` for a version that knows `known`, oldest first; None if nothing."""
    if found is None:
        return "it has no Baken tables"
    if found not in known:
        return f"its tables are newer ({found}) than this version's ({known[-1]}); install the version that made them"
    if found != known[-1]:
        return f"its tables are older ({found}) than this version's ({known[-1]})"
    return None


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Only the owner reads it: a bank is secret. SQLite gives its side files the mode of the main one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(
            f"{path} cannot be made or written: {error.strerror}",
            hint="check owner, mode and mount options of the folder, or name another data folder",
        ) from error


def _use_write_ahead_log(database: Database) -> None:
    # Switching the mode takes a lock that SQLite's own busy timeout does not wait for, so we wait here.
    deadline = time.monotonic() + database.busy_timeout_seconds
    while True:
        try:
            with database.failures():
                connection = database.connect()
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()
        except sqlite3.Error as error:
            failure = translated(error, database.address, database.busy_timeout_seconds)
            busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise failure from error
            time.sleep(_RETRY_SECONDS)
        else:
            return
