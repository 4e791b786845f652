"""What the database drivers raise, in Baken's words: which database, what happened, what to do next."""

from __future__ import annotations

import sqlite3

from sqlalchemy import exc

from baken.errors import (
    BakenError,
    ConflictError,
    InvalidValueError,
    NotInitialisedError,
    StoreBusyError,
    StoreError,
)
from baken.store.address import Address

_PRIMARY_CODE_MASK = 0xFF

_SQLITE_HINTS = {
    sqlite3.SQLITE_FULL: "the disk is full: free space on it, then try again; nothing that was acknowledged is lost",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only for this user: check owner, mode and mount options",
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists and that this user may write in it",
    sqlite3.SQLITE_PERM: "check owner and mode of the file and its folder",
    sqlite3.SQLITE_NOTADB: "this file is no SQLite database: name another file, or move it away and run `baken init`",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a backup, or save what is left with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_IOERR: "the disk could not be read or written: check space, quota and the system log",
}

_POSTGRESQL_BUSY = {
    "55P03": "another session holds a lock",  # lock_not_available
    "40P01": "two sessions waited for each other",  # deadlock_detected
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_HINTS = {
    "42501": "this user lacks a right: make it the owner of the database",
    "53100": "the server's disk is full: free space on it, then try again; nothing that was acknowledged is lost",
    "25006": "the server is read-only (a standby?): name the primary in the database URL",
}

_CHECK_VIOLATION = "23514"
_UNEXPECTED = "run `baken check`; if it persists, report it with this message"
_NO_CONNECTION = (
    "check that the server runs, that the database exists (`createdb NAME`), and that host, port, user and password in"
    " the database URL are right"
)


def translated(error: BaseException, address: Address, busy_timeout_seconds: float) -> BakenError:
    """The Baken error that says what `error`, raised by SQLAlchemy or by a driver, means for people."""
    if isinstance(error, exc.TimeoutError):
        return _busy(address, busy_timeout_seconds, "every pooled connection was in use")
    cause = error.orig if isinstance(error, exc.StatementError) and error.orig is not None else error
    if isinstance(cause, BakenError):
        return cause
    if isinstance(cause, sqlite3.Error):
        return _from_sqlite(cause, address, busy_timeout_seconds)
    return _from_postgresql(cause, address, busy_timeout_seconds)


def _busy(address: Address, busy_timeout_seconds: float, what: str) -> StoreBusyError:
    return StoreBusyError(
        f"{address.label} is busy: {what} for longer than {busy_timeout_seconds:g} s",
        hint="wait for the other writer (a bulk import, a second `baken serve`) or stop it, then try again",
    )


def in_process_busy(address: Address, busy_timeout_seconds: float) -> StoreBusyError:
    """The error for a thread that waited too long behind another thread of this process."""
    return _busy(address, busy_timeout_seconds, "another thread of this process kept writing")


def _from_sqlite(error: sqlite3.Error, address: Address, busy_timeout_seconds: float) -> BakenError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = code & _PRIMARY_CODE_MASK
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return _busy(address, busy_timeout_seconds, "another process held the file locked")
    if code == sqlite3.SQLITE_CONSTRAINT_CHECK:
        return _invalid(str(error))
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return _conflict(str(error))
    if "no such table" in str(error):
        return not_initialised(address, "it has no Baken tables")
    hint = _SQLITE_HINTS.get(primary, _UNEXPECTED)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreError(f"{address.label}: the database failed: {error} ({name})", hint=hint)


def _from_postgresql(error: BaseException, address: Address, busy_timeout_seconds: float) -> BakenError:
    state = getattr(error, "sqlstate", None) or ""
    said = address.redacted(" ".join(str(error).split()))
    if state in _POSTGRESQL_BUSY:
        return _busy(address, busy_timeout_seconds, _POSTGRESQL_BUSY[state])
    if state == _CHECK_VIOLATION:
        return _invalid(said)
    if state.startswith("23"):
        return _conflict(said)
    if state == "42P01":
        return not_initialised(address, "it has no Baken tables")
    # libpq gives no code when connecting fails, and its words depend on the server's language.
    hint = _UNEXPECTED if state else _NO_CONNECTION
    return StoreError(f"{address.label}: the database failed: {said}", hint=_POSTGRESQL_HINTS.get(state, hint))


def _invalid(said: str) -> InvalidValueError:
    return InvalidValueError(f"a value breaks a rule of the schema: {said}", hint="correct the value the rule names")


def _conflict(said: str) -> ConflictError:
    return ConflictError(
        f"contradicts what is stored: {said}", hint="give it an id of its own; rows are never replaced"
    )


def not_initialised(address: Address, why: str) -> NotInitialisedError:
    """The error for a database this version of Baken cannot work with yet."""
    return NotInitialisedError(f"{address.label}: {why}", hint="run `baken init`")
