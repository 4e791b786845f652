"""Screenings as rows: written whole, read whole. No image bytes, and no codes of the other orientations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Row, func, insert, select

from baken.errors import ConflictError, NotFoundError
from baken.model import (
    Finding,
    Fingerprints,
    Idempotency,
    ItemMeta,
    Outcome,
    Screening,
    Unscreenable,
    UnscreenableReason,
    Verdict,
    Visibility,
)
from baken.store import schema
from baken.store.case_queue import queue_matched
from baken.store.driver_insert import DriverInsert
from baken.store.engine import Database
from baken.store.match_rows import match_of, match_row
from baken.store.seen_queue import queue_seen

_SCREENINGS = schema.screenings.c


def row_of(screening: Screening, idempotency: Idempotency | None = None) -> dict[str, Any]:
    """The row that keeps `screening`."""
    meta, fingerprints, outcome = screening.meta, screening.fingerprints, screening.outcome
    unscreenable = fingerprints.not_checked
    return {
        "id": screening.id,
        "created_at": screening.created_at,
        "item_ref": meta.item_ref,
        "account_ref": meta.account_ref,
        "album_ref": meta.album_ref,
        "visibility": None if meta.visibility is None else meta.visibility.value,
        "caption": meta.caption,
        "url": meta.url,
        "sha256": fingerprints.sha256,
        "sha1": fingerprints.sha1,
        "md5": fingerprints.md5,
        "pdq": fingerprints.pdq,
        "quality_percent": fingerprints.quality_percent,
        "unscreenable_reason": None if unscreenable is None else unscreenable.reason.value,
        "unscreenable_detail": None if unscreenable is None else unscreenable.detail,
        "format": fingerprints.format,
        "width_px": fingerprints.width_px,
        "height_px": fingerprints.height_px,
        "finding": outcome.finding.value,
        "verdict": outcome.verdict.value,
        "reason": outcome.reason,
        "matches": [match_row(match) for match in outcome.matches],
        "suppressed": [match_row(match) for match in outcome.suppressed],
        "unlisted_count": outcome.unlisted_count,
        "elapsed_ms": screening.elapsed_ms,
        "case_id": screening.case_id,
        "idempotency_key_id": None if idempotency is None else idempotency.api_key_id,
        "idempotency_token": None if idempotency is None else idempotency.token,
        "idempotency_request_sha256": None if idempotency is None else idempotency.request_sha256,
    }


def record_many(database: Database, screenings: Sequence[Screening], *, remembers: bool) -> None:
    """Write screenings in one transaction; see `Store.record_many`."""
    batch = ScreeningBatch(database, screenings, remembers=remembers)
    if screenings:
        with database.write() as connection:
            batch.write(connection)


class ScreeningBatch:
    """Screenings made ready to be written in a transaction, so that nothing is converted while it is held."""

    def __init__(self, database: Database, screenings: Sequence[Screening], *, remembers: bool) -> None:
        """Convert the rows.

        Raises:
            InvalidValueError: a value that no database can hold.
        """
        self._statement = _insert_screenings(database.engine.dialect)
        self._rows = [self._statement.bound(row_of(screening)) for screening in screenings]
        self._queued = screenings if remembers else ()
        self._matched = [screening for screening in screenings if screening.outcome.matches]

    def write(self, connection: Connection) -> None:
        """Write them, and what the seen index needs of them."""
        if self._rows:
            self._statement.execute(connection, self._rows)
            queue_seen(connection, self._queued)
            queue_matched(connection, self._matched)


@lru_cache(maxsize=8)
def _insert_screenings(dialect: Dialect) -> DriverInsert:
    """The INSERT of a database, compiled once: that takes as long as a dozen rows."""
    return DriverInsert(insert(schema.screenings), dialect)


def screening_by_id(database: Database, screening_id: str) -> Screening:
    """One screening; see `Store.screening`."""
    with database.read() as connection:
        row = _one(connection, _SCREENINGS.id == screening_id)
    if row is None:
        raise NotFoundError(f"there is no screening {screening_id!r}", hint="use the `id` that the screening answered")
    return _screening(row)


def first_answer(database: Database, idempotency: Idempotency) -> Screening | None:
    """The screening that took this token first; see `Store.replay`."""
    with database.read() as connection:
        taken = _SCREENINGS.idempotency_key_id == idempotency.api_key_id
        row = _one(connection, taken & (_SCREENINGS.idempotency_token == idempotency.token))
    if row is None:
        return None
    if row.idempotency_request_sha256 != idempotency.request_sha256:
        raise ConflictError(
            f"idempotency key {idempotency.token!r} was used for another request, answered by screening {row.id}",
            hint="send a new Idempotency-Key with each new request, and the same one only with the same bytes",
        )
    return _screening(row)


def screening_counts(database: Database) -> dict[Finding, int]:
    """How many screenings ended in each finding; see `Store.screening_counts`."""
    counts = dict.fromkeys(Finding, 0)
    query = select(_SCREENINGS.finding, func.count()).group_by(_SCREENINGS.finding)
    with database.read() as connection:
        counts.update({Finding(finding): count for finding, count in connection.execute(query)})
    return counts


def _one(connection: Connection, where: ColumnElement[bool]) -> Row[Any] | None:
    return connection.execute(select(schema.screenings).where(where)).one_or_none()


def _screening(row: Row[Any]) -> Screening:
    return Screening(
        id=row.id,
        created_at=row.created_at,
        meta=ItemMeta(
            item_ref=row.item_ref,
            account_ref=row.account_ref,
            album_ref=row.album_ref,
            visibility=None if row.visibility is None else Visibility(row.visibility),
            caption=row.caption,
            url=row.url,
        ),
        fingerprints=_fingerprints(row),
        outcome=Outcome(
            finding=Finding(row.finding),
            verdict=Verdict(row.verdict),
            reason=row.reason,
            matches=tuple(match_of(stored) for stored in row.matches),
            suppressed=tuple(match_of(stored) for stored in row.suppressed),
            unlisted_count=row.unlisted_count,
        ),
        elapsed_ms=row.elapsed_ms,
        case_id=row.case_id,
    )


def _fingerprints(row: Row[Any]) -> Fingerprints:
    unscreenable = None
    if row.unscreenable_reason is not None:
        unscreenable = Unscreenable(UnscreenableReason(row.unscreenable_reason), row.unscreenable_detail)
    return Fingerprints(
        sha256=row.sha256,
        sha1=row.sha1,
        md5=row.md5,
        pdq=row.pdq,
        quality_percent=row.quality_percent,
        unscreenable=unscreenable,
        format=row.format,
        width_px=row.width_px,
        height_px=row.height_px,
    )
