"""Group commit: one thread writes what all others ask to record, and one sync to disk serves everyone who waits.

While a transaction is being synced, new screenings gather in the queue; the next transaction takes them all. Under load
a commit also waits for company: a row alone costs six times what it costs among eight.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from baken.errors import BakenError, NotReadyError, StoreError
from baken.model import Idempotency, Screening
from baken.store import schema
from baken.store.case_queue import queue_matched
from baken.store.driver_insert import DriverInsert
from baken.store.engine import Database
from baken.store.flood_breaker import FloodBreaker
from baken.store.screenings import first_answer, row_of
from baken.store.seen_queue import queue_seen

_BATCH_ROWS = 500

_log = logging.getLogger(__name__)

# How long after a commit the next one waits while callers say that other screenings are on their way. A screening that
# comes without company is committed at once, with all that wait.
_COMPANY_SECONDS = 0.025

_SCREENINGS = schema.screenings.c
_TOKEN = (_SCREENINGS.idempotency_key_id, _SCREENINGS.idempotency_token)


@dataclass(frozen=True, slots=True)
class _Job:
    """A screening to write; `recorded` gets what `Store.record` returns or raises once that is durable."""

    screening: Screening
    idempotency: Idempotency | None
    bound_row: Any
    has_company: bool
    recorded: Future[Screening] = field(default_factory=Future)

    @property
    def token(self) -> tuple[str, str] | None:
        return None if self.idempotency is None else (self.idempotency.api_key_id, self.idempotency.token)


class Recorder:
    """Writes screenings for any number of threads. The writing thread starts with the first one."""

    def __init__(self, database: Database, *, remembers: bool) -> None:
        self._database = database
        self._remembers = remembers
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._committed_at = 0.0
        self._nobody_follows = threading.Event()
        self._breaker = FloodBreaker(database)
        # The engine's own INSERT; both skip a row whose token is taken instead of failing the transaction.
        dialect_insert = sqlite.insert if database.is_sqlite else postgresql.insert
        skipping = dialect_insert(schema.screenings).on_conflict_do_nothing(
            index_elements=list(_TOKEN), index_where=schema.has_token
        )
        self._insert_new_tokens = DriverInsert(skipping, database.engine.dialect)

    def record_later(
        self, screening: Screening, idempotency: Idempotency | None, *, has_company: bool
    ) -> Future[Screening]:
        """Queue one screening; see `Store.record_later`."""
        self._database.check_process()
        bound_row = self._insert_new_tokens.bound(row_of(screening, idempotency))
        job = _Job(screening, idempotency, bound_row, has_company)
        job.recorded.set_running_or_notify_cancel()  # from here on it is written, whoever stops waiting
        self._enqueue(job)
        return job.recorded

    def _enqueue(self, job: _Job) -> None:
        with self._gate:
            if self._closed:
                raise StoreError("the store is closed", hint="open it again before recording")
            if self._thread is None:
                # A daemon: a program that forgets close() still ends, and nothing acknowledged is lost by that.
                self._thread = threading.Thread(target=self._run, name="baken-recorder", daemon=True)
                self._thread.start()
            self._queue.put(job)
        if not job.has_company:
            self._nobody_follows.set()

    def close(self) -> None:
        """Write what is queued and stop the thread."""
        with self._gate:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)
                self._nobody_follows.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._write(batch)

    def _next_batch(self) -> list[_Job]:
        """All that waits, at least one job; empty when the recorder was closed."""
        job = self._queue.get()
        if job is not None and job.has_company:
            # Not waiting on the queue: being woken for every row would cost what the company saves.
            self._nobody_follows.wait(self._committed_at + _COMPANY_SECONDS - time.monotonic())
        self._nobody_follows.clear()
        batch: list[_Job] = []
        while job is not None:
            batch.append(job)
            if len(batch) == _BATCH_ROWS or self._queue.empty():
                return batch
            job = self._queue.get()
        if batch:
            self._queue.put(None)  # the mark of close() comes last: it is found again when this batch is written
        return batch

    def _write(self, batch: list[_Job]) -> None:
        try:
            written = self._commit(batch)
        except NotReadyError as error:
            for job in batch:
                job.recorded.set_exception(copy(error))
        except Exception as error:  # noqa: BLE001 - the edge of a worker loop: the caller who waits must hear of it
            if len(batch) == 1:
                batch[0].recorded.set_exception(error)
                return
            # One row that cannot be stored must not take its neighbours along.
            for job in batch:
                self._write([job])
        else:
            self._committed_at = time.monotonic()
            self._act_on_floods()
            for job, was_written in zip(batch, written, strict=True):
                self._answer(job, was_written=was_written)

    def _act_on_floods(self) -> None:
        # Before the answers, so that whoever got one finds the entry quarantined. What fails here takes nothing from
        # the screenings, which are durable: the count stands in the database, and the entry's next match tries again.
        try:
            self._breaker.act()
        except Exception:  # noqa: BLE001 - the edge of a worker loop, as above
            _log.exception("an entry that matched too much could not be quarantined; its next match tries again")

    def _answer(self, job: _Job, *, was_written: bool) -> None:
        if was_written or job.idempotency is None:
            job.recorded.set_result(job.screening)
            return
        try:
            job.recorded.set_result(self._first_answer(job.idempotency))
        except BakenError as error:
            job.recorded.set_exception(error)

    def _first_answer(self, idempotency: Idempotency) -> Screening:
        first = first_answer(self._database, idempotency)
        if first is None:
            raise StoreError(
                f"the screening that took idempotency key {idempotency.token!r} went away while it was read",
                hint="send the request again",
            )
        return first

    def _commit(self, batch: list[_Job]) -> list[bool]:
        with self._database.write() as connection:
            written = self._insert(connection, batch)
            new = [job.screening for job, was_written in zip(batch, written, strict=True) if was_written]
            if self._remembers:
                queue_seen(connection, new)
            matched = [screening for screening in new if screening.outcome.matches]
            if matched:
                queue_matched(connection, matched)
                self._breaker.count(connection, matched)
        return written

    def _insert(self, connection: Connection, batch: list[_Job]) -> list[bool]:
        """Write the rows; whether each was new, or an earlier one had taken its token."""
        # Sorted, so that two processes that meet over the same tokens lock them in the same order and cannot deadlock.
        rows = [job.bound_row for job in sorted(batch, key=lambda job: job.token or ("", ""))]
        tokens = {job.token for job in batch if job.token is not None}
        if self._insert_new_tokens.execute(connection, rows) == len(rows):
            return [True] * len(batch)
        winners = {token: _winner(connection, *token) for token in tokens}
        return [job.token is None or winners[job.token] == job.screening.id for job in batch]


def _winner(connection: Connection, key_id: str, token: str) -> str | None:
    """The screening that took this token, now or earlier."""
    query = select(_SCREENINGS.id).where(_SCREENINGS.idempotency_key_id == key_id)
    return connection.execute(query.where(_SCREENINGS.idempotency_token == token)).scalar_one_or_none()
