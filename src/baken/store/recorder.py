"""Group commit: one thread writes what all others ask to record, and one sync to disk serves everyone who waits.

While a transaction is being synced, new screenings gather in the queue; the next transaction takes them all. Alone, a
caller pays one sync; with many callers the sync is shared, so throughput grows with load instead of collapsing.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from baken.errors import NotReadyError, StoreError
from baken.model import Idempotency, Screening
from baken.store import schema
from baken.store.engine import Database
from baken.store.screenings import first_answer, row_of

_BATCH_ROWS = 500
_SCREENINGS = schema.screenings.c
_TOKEN = (_SCREENINGS.idempotency_key_id, _SCREENINGS.idempotency_token)


@dataclass(frozen=True, slots=True)
class _Job:
    """A row to write; `written` becomes True when it is durable, False when its token was taken before."""

    row: dict[str, Any]
    written: Future[bool] = field(default_factory=Future)

    @property
    def token(self) -> tuple[str, str] | None:
        key_id, token = self.row["idempotency_key_id"], self.row["idempotency_token"]
        return None if token is None else (key_id, token)


class Recorder:
    """Writes screenings for any number of threads. The writing thread starts with the first one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        # The engine's own INSERT; both skip a row whose token is taken instead of failing the transaction.
        dialect_insert = sqlite.insert if database.is_sqlite else postgresql.insert
        skipping: Any = dialect_insert(schema.screenings)
        self._insert_new_tokens = skipping.on_conflict_do_nothing(index_elements=list(_TOKEN))

    def record(self, screening: Screening, idempotency: Idempotency | None) -> Screening:
        """Write one screening and return when it is durable; see `Store.record`."""
        self._database.check_process()
        job = _Job(row_of(screening, idempotency))
        self._enqueue(job)
        if job.written.result() or idempotency is None:
            return screening
        first = first_answer(self._database, idempotency)
        if first is None:
            raise StoreError(
                f"the screening that took idempotency key {idempotency.token!r} went away while it was read",
                hint="send the request again",
            )
        return first

    def _enqueue(self, job: _Job) -> None:
        with self._gate:
            if self._closed:
                raise StoreError("the store is closed", hint="open it again before recording")
            if self._thread is None:
                # A daemon: a program that forgets close() still ends, and nothing acknowledged is lost by that.
                self._thread = threading.Thread(target=self._run, name="baken-recorder", daemon=True)
                self._thread.start()
            self._queue.put(job)

    def close(self) -> None:
        """Write what is queued and stop the thread."""
        with self._gate:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._write(batch)

    def _next_batch(self) -> list[_Job]:
        """All that waits, at least one job; empty when the recorder was closed."""
        batch: list[_Job] = []
        while not batch or (len(batch) < _BATCH_ROWS and not self._queue.empty()):
            job = self._queue.get()
            if job is None:
                # The mark of close() comes last: it is found again when this batch is written.
                if batch:
                    self._queue.put(None)
                break
            batch.append(job)
        return batch

    def _write(self, batch: list[_Job]) -> None:
        try:
            written = self._commit(batch)
        except NotReadyError as error:
            for job in batch:
                job.written.set_exception(copy(error))
        except Exception as error:  # noqa: BLE001 - the edge of a worker loop: the caller who waits must hear of it
            if len(batch) == 1:
                batch[0].written.set_exception(error)
                return
            # One row that cannot be stored must not take its neighbours along.
            for job in batch:
                self._write([job])
        else:
            for job, was_written in zip(batch, written, strict=True):
                job.written.set_result(was_written)

    def _commit(self, batch: list[_Job]) -> list[bool]:
        # Sorted, so that two processes that meet over the same tokens lock them in the same order and cannot deadlock.
        rows = [job.row for job in sorted(batch, key=lambda job: job.token or ("", ""))]
        tokens = {job.token for job in batch if job.token is not None}
        with self._database.write() as connection:
            if connection.execute(self._insert_new_tokens, rows).rowcount == len(rows):
                return [True] * len(batch)
            winners = {token: _winner(connection, *token) for token in tokens}
        return [job.token is None or winners[job.token] == job.row["id"] for job in batch]


def _winner(connection: Connection, key_id: str, token: str) -> str | None:
    """The screening that took this token, now or earlier."""
    query = select(_SCREENINGS.id).where(_SCREENINGS.idempotency_key_id == key_id)
    return connection.execute(query.where(_SCREENINGS.idempotency_token == token)).scalar_one_or_none()
