"""Scans as rows: one for each scan, with its position, which moves in the transaction that records the screenings.

That is why nothing is screened twice and no file is lost: after a kill, a power cut or a full disk, the position is
exactly behind the last screening that is durable. A file that was found and not recorded lies behind the position.

A scan is run by one process at a time. Each batch checks the holder under the row's lock, so that a process that was
taken for dead and lives can record nothing more.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, text, update

from baken.errors import ConflictError, NotFoundError, StoreBusyError, TurnLostError
from baken.model import Screening
from baken.store import schema
from baken.store.engine import Database
from baken.store.screenings import ScreeningBatch

HELD_SECONDS = 180.0
"""After how long of silence another machine may take a scan over; on the same machine a dead process is seen."""

MARK_BYTES = 16

_SCANS = schema.scans.c
_PAGES = schema.scan_pages.c
_PAGES_READ = 16
_START_TIME_FIELD = 19  # of /proc/PID/stat, counted behind the name: proc_pid_stat(5), field 22


class ScanState(StrEnum):
    """How far a scan is."""

    UNFINISHED = "unfinished"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Position:
    """The last file that is dealt with: its root's number and its key; `Position()` is before the first."""

    root_number: int = 0
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan as it stands in the database.

    Attributes:
        id: its row.
        name: what it is called on the command line.
        is_named: whether a person named it; what nobody named is forgotten when it is finished.
        roots: the addresses of files and folders, in order.
        ref_prefix: put before each file's relative path to make its `item_ref`.
        state: whether the run is finished.
        run: how often it was begun, from 1.
        is_whole: whether the run screens unchanged files too.
        started_at: when the run began.
        updated_at: when it last recorded anything.
        position: the last file of the run that is dealt with.
        counts: what the run came to so far; `scan_tally.Tally` says what is in it.
    """

    id: int
    name: str
    is_named: bool
    roots: tuple[str, ...]
    ref_prefix: str
    state: ScanState
    run: int
    is_whole: bool
    started_at: datetime
    updated_at: datetime
    position: Position = field(default_factory=Position)
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which scan to run.

    Attributes:
        name: of the scan.
        roots: what to scan; empty for what the scan has scanned before.
        ref_prefix: as in `Scan`; None leaves what it was, or nothing.
        is_named: as in `Scan`; counts for a new scan only.
        is_whole: as in `Scan`; counts when a run begins.
        is_resumed: whether only an unfinished run is gone on with.
    """

    name: str
    roots: tuple[str, ...] = ()
    ref_prefix: str | None = None
    is_named: bool = True
    is_whole: bool = False
    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class ScanBatch:
    """What one transaction of a scan writes.

    Attributes:
        screenings: of the files that were screened.
        position: the last file that the batch deals with.
        marks: of the files the next run need not screen again, `MARK_BYTES` each, in any order.
        counts: of the whole run up to here.
    """

    screenings: Sequence[Screening]
    position: Position
    marks: bytes
    counts: dict[str, Any]


class ScanRows:
    """The scans of one database; thread-safe."""

    def __init__(self, database: Database, *, remembers: bool) -> None:
        self._database = database
        self._remembers = remembers

    def claim(self, asked: Asked) -> ScanClaim:
        """Begin a scan, begin its next run, or go on with the unfinished one, as its row says; hold it.

        Raises:
            ConflictError: it is unfinished, or remembered, with other roots or another prefix; or it is finished and
                was to be resumed.
            NotFoundError: there is no such scan, and no roots to begin one.
            StoreBusyError: another process runs it.
        """
        holder = f"{_this_process()}/{secrets.token_hex(4)}"
        with self._database.write() as connection:
            if not self._database.is_sqlite:
                connection.execute(text("LOCK TABLE scans IN SHARE ROW EXCLUSIVE MODE"))  # two may make the same name
            row = _row(connection, asked.name)
            now = _now(self._database, connection)
            if row is None:
                _insert(connection, asked)
            else:
                _check_free(row, now)
                _begin_or_go_on(connection, _scan(row), asked)
            mine = update(schema.scans).where(_SCANS.name == asked.name)
            connection.execute(mine.values(holder=holder, held_until=now + HELD_SECONDS))
            scan = _scan(_needed_row(connection, asked.name))
        return ScanClaim(self._database, scan, holder, remembers=self._remembers)

    def one(self, name: str) -> Scan:
        """A scan by its name.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as connection:
            return _scan(_needed_row(connection, name))

    def list(self) -> list[Scan]:
        """Every scan, the one that recorded last first."""
        with self._database.read() as connection:
            rows = connection.execute(select(schema.scans).order_by(_SCANS.updated_at.desc(), _SCANS.id.desc()))
            return [_scan(row) for row in rows]

    def marks(self, scan_id: int, run: int, after: Position) -> Iterator[tuple[int, bytes, bytes]]:
        """The pages of a run behind `after`, in order: number of the root, last key, marks of the files up to it."""
        while True:
            behind = (_PAGES.root_number > after.root_number) | (
                (_PAGES.root_number == after.root_number) & (_PAGES.last_key > after.key)
            )
            query = select(_PAGES.root_number, _PAGES.last_key, _PAGES.marks)
            query = query.where(_PAGES.scan_id == scan_id, _PAGES.run == run, behind)
            query = query.order_by(_PAGES.root_number, _PAGES.last_key).limit(_PAGES_READ)
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                yield row.root_number, row.last_key, row.marks
            if len(rows) < _PAGES_READ:
                return
            after = Position(rows[-1].root_number, rows[-1].last_key)

    def forget(self, name: str) -> None:
        """Forget how far a scan is and what it has seen; its screenings stay.

        Raises:
            NotFoundError: there is none.
            StoreBusyError: a process runs it.
        """
        with self._database.write() as connection:
            row = _needed_row(connection, name)
            _check_free(row, _now(self._database, connection))
            _delete(connection, row.id)


class ScanClaim:
    """A scan that this process runs."""

    def __init__(self, database: Database, scan: Scan, holder: str, *, remembers: bool) -> None:
        self._database = database
        self._holder = holder
        self._remembers = remembers
        self.scan = scan

    def record(self, batch: ScanBatch) -> None:
        """Write the screenings, move the position behind them and keep the marks, all or nothing.

        Raises:
            TurnLostError: another process runs the scan now; nothing is written.
            NotReadyError: the database failed; nothing is written.
        """
        ready = ScreeningBatch(self._database, batch.screenings, remembers=self._remembers)
        with self._database.write() as connection:
            held_until = self._check_held(connection)
            ready.write(connection)
            if batch.marks and self.scan.is_named:
                connection.execute(insert(schema.scan_pages).values(self._page(batch)))
            values = {"root_number": batch.position.root_number, "cursor": batch.position.key, "counts": batch.counts}
            self._update(connection, held_until=held_until, **values)
        self.scan = replace(self.scan, position=batch.position, counts=batch.counts)

    def finish(self) -> None:
        """Say that the run is complete: an unnamed scan is forgotten, of a named one the marks of older runs go.

        Raises:
            TurnLostError: another process runs the scan now.
        """
        with self._database.write() as connection:
            self._check_held(connection)
            if not self.scan.is_named:
                _delete(connection, self.scan.id)
            else:
                older = delete(schema.scan_pages).where(_PAGES.scan_id == self.scan.id)
                connection.execute(older.where(_PAGES.run != self.scan.run))
                self._update(connection, held_until=0.0, state=ScanState.FINISHED.value)
        self.scan = replace(self.scan, state=ScanState.FINISHED)

    def let_go(self) -> None:
        """Let another process run the scan at once; does nothing when it is not ours any more."""
        with self._database.write() as connection:
            mine = update(schema.scans).where(_SCANS.id == self.scan.id, _SCANS.holder == self._holder)
            connection.execute(mine.values(holder=None, held_until=0.0))

    def _page(self, batch: ScanBatch) -> dict[str, Any]:
        return {
            "scan_id": self.scan.id,
            "run": self.scan.run,
            "root_number": batch.position.root_number,
            "last_key": batch.position.key,
            "marks": batch.marks,
        }

    def _check_held(self, connection: Connection) -> float:
        holder = select(_SCANS.holder).where(_SCANS.id == self.scan.id).with_for_update()
        if connection.execute(holder).scalar_one_or_none() != self._holder:
            message = f"another process runs the scan {self.scan.name!r} now, or it was forgotten"
            raise TurnLostError(message, hint="What was told is recorded; `baken scan list` shows the scans.")
        return _now(self._database, connection) + HELD_SECONDS

    def _update(self, connection: Connection, **values: object) -> None:
        mine = update(schema.scans).where(_SCANS.id == self.scan.id)
        connection.execute(mine.values(updated_at=datetime.now(UTC), **values))


def _insert(connection: Connection, asked: Asked) -> None:
    if not asked.roots:
        raise _unknown(asked.name)
    now = datetime.now(UTC)
    row = {
        "name": asked.name,
        "is_named": asked.is_named,
        "roots": _roots_bytes(asked.roots),
        "ref_prefix": asked.ref_prefix or "",
        "state": ScanState.UNFINISHED.value,
        "run": 1,
        "is_whole": asked.is_whole,
        "started_at": now,
        "updated_at": now,
        "root_number": 0,
        "cursor": b"",
        "counts": {},
        "held_until": 0.0,
    }
    connection.execute(insert(schema.scans).values(row))


def _begin_or_go_on(connection: Connection, scan: Scan, asked: Asked) -> None:
    if asked.roots and asked.roots != scan.roots:
        message = f"the scan {scan.name!r} is of {len(scan.roots)} other paths than those that were named"
        hint = f"Leave the paths out, take another name, or `baken scan forget {scan.name}` first."
        raise ConflictError(message, hint=hint)
    if asked.ref_prefix is not None and asked.ref_prefix != scan.ref_prefix:
        message = f"the scan {scan.name!r} has the --ref-prefix {scan.ref_prefix!r}, not {asked.ref_prefix!r}"
        raise ConflictError(message, hint="Leave it out, or take another name for the scan.")
    if scan.state is ScanState.UNFINISHED:
        return
    if asked.is_resumed:
        message = f"the scan {scan.name!r} is finished, there is nothing to resume"
        raise ConflictError(message, hint=f"`baken screen --scan {scan.name}` screens what is new or changed since.")
    next_run = update(schema.scans).where(_SCANS.id == scan.id)
    values = {"run": scan.run + 1, "is_whole": asked.is_whole, "state": ScanState.UNFINISHED.value}
    begun = {"started_at": datetime.now(UTC), "root_number": 0, "cursor": b"", "counts": {}}
    connection.execute(next_run.values(values | begun))


def _check_free(row: Row[Any], now: float) -> None:
    if row.holder is None or row.held_until <= now or _has_ended(row.holder):
        return
    node, process_id, *_ = row.holder.split("/")
    raise StoreBusyError(
        f"the scan {row.name!r} is being run by process {process_id} on {node}",
        hint="Wait for it, or stop it. If that machine is gone, the scan may be taken over "
        f"{HELD_SECONDS:g} seconds after it last recorded anything.",
    )


def _has_ended(holder: str) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    node, process_id, start_time, _ = holder.split("/")
    return node == os.uname().nodename and _start_time(int(process_id)) != start_time


def _this_process() -> str:
    return f"{os.uname().nodename}/{os.getpid()}/{_start_time(os.getpid())}"


def _start_time(process_id: int) -> str:
    """When a process began, in ticks since the machine's start: a number that is used again is not the same process."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[_START_TIME_FIELD]


def _delete(connection: Connection, scan_id: int) -> None:
    connection.execute(delete(schema.scan_pages).where(_PAGES.scan_id == scan_id))
    connection.execute(delete(schema.scans).where(_SCANS.id == scan_id))


def _row(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(schema.scans).where(_SCANS.name == name)).one_or_none()


def _needed_row(connection: Connection, name: str) -> Row[Any]:
    row = _row(connection, name)
    if row is None:
        raise _unknown(name)
    return row


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"there is no scan {name!r}", hint="`baken scan list` shows the scans there are.")


def _scan(row: Row[Any]) -> Scan:
    return Scan(
        row.id,
        row.name,
        row.is_named,
        tuple(os.fsdecode(root) for root in row.roots.split(b"\0")),
        row.ref_prefix,
        ScanState(row.state),
        row.run,
        row.is_whole,
        row.started_at,
        row.updated_at,
        Position(row.root_number, row.cursor),
        dict(row.counts),
    )


def _roots_bytes(roots: Sequence[str]) -> bytes:
    return b"\0".join(os.fsencode(root) for root in roots)


def _now(database: Database, connection: Connection) -> float:
    """Seconds since the epoch by the one clock that all processes share: this machine's, or the server's."""
    if database.is_sqlite:
        return time.time()
    return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
