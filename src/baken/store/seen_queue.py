"""What every screening leaves for the seen index, written in its own transaction, and how it is taken over later.

The row is as narrow as can be, because it is paid for at every screening: references and digests stand in the
screening's row already, which the housekeeper reads when it takes the item over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from baken.model import Fingerprints, Screening
from baken.store import schema
from baken.store.engine import Database

_INSERT = "INSERT INTO seen_queue (screening_id, known_seq, mirrorings) VALUES "
_QUEUE = schema.seen_queue.c
_SCREENINGS = schema.screenings.c


@dataclass(frozen=True, slots=True)
class QueuedItem:
    """A recorded screening whose item is not yet in the seen index.

    Attributes:
        queue_id: of the row in the queue.
        screening_id: what was screened.
        known_seq: see `model.Screening`.
        mirrorings: the codes of `fingerprints.orientations.MIRRORINGS`, one behind the other, 4 x 32 bytes; None when
            the picture could not be compared.
    """

    queue_id: int
    screening_id: str
    known_seq: int
    mirrorings: bytes | None
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    seen_at: datetime
    sha256: bytes
    sha1: bytes
    md5: bytes
    quality_percent: int | None


def queue_seen(connection: Connection, screenings: Sequence[Screening]) -> None:
    """Leave what the seen index needs of these screenings; of a file that was never read there is nothing."""
    rows = [
        (each.id, each.known_seq, mirrorings_of(each.fingerprints)) for each in screenings if each.fingerprints.sha256
    ]
    if rows:
        # Past SQLAlchemy's compiler, which would take half of the time of this and every screening waits for it.
        marks = "?, ?, ?" if connection.dialect.name == "sqlite" else "%s, %s, %s"
        connection.exec_driver_sql(_INSERT + f"({marks})", rows)


def mirrorings_of(fingerprints: Fingerprints) -> bytes | None:
    """The four codes that hold all eight orientations (every second one), or None when none may be compared."""
    if fingerprints.unscreenable is not None or fingerprints.pdq_orientations is None:
        return None
    return fingerprints.pdq_orientations[::2].tobytes()


def queued_items(database: Database, limit: int) -> list[QueuedItem]:
    """The items that wait longest, at most `limit`.

    Rows are taken by looking for them, not by counting up: on PostgreSQL a row may become visible after a later one.
    """
    columns = [_QUEUE.id, _QUEUE.screening_id, _QUEUE.known_seq, _QUEUE.mirrorings]
    columns += [_SCREENINGS.item_ref, _SCREENINGS.account_ref, _SCREENINGS.album_ref, _SCREENINGS.created_at]
    columns += [_SCREENINGS.sha256, _SCREENINGS.sha1, _SCREENINGS.md5, _SCREENINGS.quality_percent]
    joined = schema.seen_queue.join(schema.screenings, _SCREENINGS.id == _QUEUE.screening_id)
    query = select(*columns).select_from(joined).order_by(_QUEUE.id).limit(limit)
    with database.read() as connection:
        return [QueuedItem(*row) for row in connection.execute(query)]


def drop_queued(connection: Connection, queue_ids: Sequence[int]) -> None:
    """Take rows out of the queue."""
    connection.execute(delete(schema.seen_queue).where(_QUEUE.id.in_(queue_ids)))


def queued_count(connection: Connection) -> int:
    """How many items wait."""
    count: int = connection.execute(select(func.count()).select_from(schema.seen_queue)).scalar_one()
    return count


def last_queue_id(connection: Connection) -> int:
    """The greatest id in the queue, or 0."""
    return connection.execute(select(func.max(_QUEUE.id))).scalar_one() or 0
