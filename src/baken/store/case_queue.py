"""What every screening that matched leaves for review, written in its own transaction, and how it is taken over later.

The row is as narrow as can be: all of it stands in the screening's row, which is read when the item joins its case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, func, insert, select

from baken.model import Purpose, Screening
from baken.store import schema
from baken.store.case_joining import Found, ScreenedItem
from baken.store.engine import Database
from baken.store.match_rows import match_of
from baken.store.paging import page_limit

_QUEUE = schema.case_queue.c
_SCREENINGS = schema.screenings.c
_SEEN = schema.seen_items.c
_FILES = schema.seen_files.c


def queue_matched(connection: Connection, screenings: Sequence[Screening]) -> None:
    """Leave those of these screenings whose items must join a case."""
    rows = [
        {"screening_id": screening.id}
        for screening in screenings
        if any(match.purpose is not Purpose.BENIGN for match in screening.outcome.matches)
    ]
    if rows:
        connection.execute(insert(schema.case_queue), rows)


class CaseQueueRows:
    """Matched screenings that wait for a case, in one database; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def first_id(self) -> int | None:
        """The queue id of the one that waits longest, or None."""
        with self._database.read() as connection:
            first: int | None = connection.execute(select(func.min(_QUEUE.id))).scalar_one()
            return first

    def last_id(self) -> int:
        """The queue id of the one that came last, or 0."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(_QUEUE.id))).scalar_one() or 0

    def waiting(self, limit: int) -> dict[int, Found]:
        """Those that wait longest by queue id, at most `limit`, without those that the seen index takes over first.

        Rows are taken by looking for them, not by counting up: on PostgreSQL a row may become visible after a later
        one.
        """
        columns = [_QUEUE.id, _SCREENINGS.id.label("screening_id"), _SCREENINGS.item_ref, _SCREENINGS.account_ref]
        columns += [_SCREENINGS.album_ref, _SCREENINGS.created_at, _SCREENINGS.matches]
        joined = schema.case_queue.join(schema.screenings, _SCREENINGS.id == _QUEUE.screening_id)
        query = select(*columns).select_from(joined).order_by(_QUEUE.id).limit(page_limit(limit))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            items = {row.id: ScreenedItem(*row[1:6]) for row in rows}
            clusters = _clusters_of(connection, list(items.values()))
            unknown = [item.screening_id for item in items.values() if item.screening_id not in clusters]
            early = _not_taken_over(connection, unknown)
        return {
            row.id: Found(
                replace(items[row.id], cluster_id=clusters.get(row.screening_id)),
                [match_of(stored) for stored in row.matches],
            )
            for row in rows
            if row.screening_id not in early
        }


def drop_joined(connection: Connection, queue_ids: Sequence[int]) -> None:
    """Take rows out of the queue."""
    connection.execute(delete(schema.case_queue).where(_QUEUE.id.in_(queue_ids)))


def _clusters_of(connection: Connection, items: Sequence[ScreenedItem]) -> dict[str, int]:
    """The cluster of each item that the seen index has taken over, by screening."""
    joined = schema.seen_items.join(schema.seen_files, _FILES.id == _SEEN.file_id)
    query = select(_SEEN.screening_id, _FILES.cluster_id)
    found: dict[str, int] = {}
    # By account, since that leads the index of seen items that has their screenings.
    named = [item.screening_id for item in items if item.account_ref is not None]
    same = (_SCREENINGS.id == _SEEN.screening_id) & (_SCREENINGS.account_ref == _SEEN.account_ref)
    unnamed = [item.screening_id for item in items if item.account_ref is None]
    for wanted in (
        query.select_from(joined.join(schema.screenings, same)).where(_SCREENINGS.id.in_(named)),
        query.select_from(joined).where(_SEEN.account_ref.is_(None), _SEEN.screening_id.in_(unnamed)),
    ):
        found.update({row.screening_id: row.cluster_id for row in connection.execute(wanted)})
    return found


def _not_taken_over(connection: Connection, screening_ids: Sequence[str]) -> set[str]:
    if not screening_ids:
        return set()
    queue = schema.seen_queue.c
    return set(connection.execute(select(queue.screening_id).where(queue.screening_id.in_(screening_ids))).scalars())
