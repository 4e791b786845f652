"""Seen items, their files and clusters, as rows. Only the holder of the turn writes them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, Table, delete, func, insert, select, update

from baken.model import FingerprintKind, SeenCluster, SeenItem, SeenStats
from baken.store import schema
from baken.store.driver_insert import DriverInsert
from baken.store.engine import Database
from baken.store.paging import cursor_id, page_limit
from baken.store.seen_queue import QueuedItem, drop_queued, last_queue_id, queued_count, queued_items
from baken.store.seen_turn import SeenState, Turn, read_state, set_state

_FILES = schema.seen_files.c
_CLUSTERS = schema.seen_clusters.c
_ITEMS = schema.seen_items.c
_REMOVALS = schema.seen_removals.c
_PDQ_BYTES = FingerprintKind.PDQ.size_bytes

# An index on disk that is further behind than this is built again, which takes seconds.
_REMOVALS_KEPT = 1_000_000


@dataclass(frozen=True, slots=True)
class SeenFile:
    """The fingerprints of one distinct file; see `model.Fingerprints` and `seen_queue.QueuedItem`."""

    id: int
    key: bytes
    sha256: bytes
    sha1: bytes
    md5: bytes
    quality_percent: int | None
    mirrorings: bytes | None
    cluster_id: int
    item_count: int = 0


@dataclass(frozen=True, slots=True)
class Gathered:
    """Items to be taken over from the queue.

    Attributes:
        items: the items, with the ids of their files.
        new_files: the files that are new with them, in the order of their ids.
        late_file_ids: the files of items that must join a case at once.
    """

    items: Sequence[tuple[QueuedItem, int]]
    new_files: Sequence[SeenFile]
    late_file_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """What an index on disk must take in to be at `seq`.

    Attributes:
        files: new files, by rising id.
        clusters: new clusters with a leader that can be compared: id and PDQ.
        removed_file_ids: int64[N].
        removed_cluster_ids: int64[N].
    """

    seq: int
    files: Sequence[SeenFile]
    clusters: Sequence[tuple[int, bytes]]
    removed_file_ids: NDArray[np.int64]
    removed_cluster_ids: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which seen items: those that meet everything that is given. Nothing given means all of them."""

    item_ref: str | None = None
    account_ref: str | None = None
    before: datetime | None = None


class SeenRows:
    """Everything remembered of screened items, in one database; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def turn(self, *, seconds: float) -> Turn:
        """A claim to the turn, of this process; see `seen_turn.py`."""
        return Turn(self._database, seconds=seconds)

    def state(self) -> SeenState:
        """How far the seen index is."""
        return read_state(self._database)

    def queued(self, limit: int) -> list[QueuedItem]:
        """The recorded screenings that wait longest to be taken over, at most `limit`."""
        return queued_items(self._database, page_limit(limit))

    def last_queue_id(self) -> int:
        """The queue id of the screening that came last, or 0."""
        with self._database.read() as connection:
            return last_queue_id(connection)

    def files_by_key(self, keys: Iterable[bytes]) -> dict[bytes, SeenFile]:
        """The files that are known already."""
        query = select(schema.seen_files).where(_FILES.key.in_(list(keys)))
        with self._database.read() as connection:
            return {row.key: SeenFile(**row._mapping) for row in connection.execute(query)}

    def files(self, file_ids: Iterable[int]) -> list[SeenFile]:
        """The files with these ids, as far as they are there, by rising id."""
        query = select(schema.seen_files).where(_FILES.id.in_(list(file_ids))).order_by(_FILES.id)
        with self._database.read() as connection:
            return [SeenFile(**row._mapping) for row in connection.execute(query)]

    def items_of_files(self, file_ids: Sequence[int], *, after_id: int, limit: int) -> list[SeenItem]:
        """The items of these files in the order of their ids, those after `after_id`, at most `limit`."""
        return self._items(_item_query().where(_ITEMS.file_id.in_(file_ids)), after_id, limit)

    def items(self, *, after_id: int = 0, limit: int = 1000) -> list[SeenItem]:
        """Seen items in the order of their ids, those after `after_id`, at most `limit`."""
        return self._items(_item_query(), after_id, limit)

    def selected(self, selection: Selection, limit: int) -> list[SeenItem]:
        """Items of a selection, at most `limit`, in no order but that of time where one is given."""
        query = _narrowed(_item_query(), selection).limit(page_limit(limit))
        if selection.before is not None:
            # Asked at every step, mostly in vain: in any other order SQLite would read every row to find none.
            query = query.order_by(_ITEMS.seen_at)
        with self._database.read() as connection:
            return [_item(row) for row in connection.execute(query)]

    def selected_count(self, selection: Selection) -> int:
        """How many items a selection has."""
        query = _narrowed(select(func.count()).select_from(schema.seen_items), selection)
        with self._database.read() as connection:
            count: int = connection.execute(query).scalar_one()
        return count

    def _items(self, query: Select[Any], after_id: int, limit: int) -> list[SeenItem]:
        page = query.where(_ITEMS.id > cursor_id(after_id)).order_by(_ITEMS.id).limit(page_limit(limit))
        with self._database.read() as connection:
            return [_item(row) for row in connection.execute(page)]

    def clusters(self, *, limit: int = 100, after: tuple[int, int] | None = None) -> list[SeenCluster]:
        """Clusters, the largest first and the older first among equals, at most `limit`.

        Args:
            limit: how many at most.
            after: item count and id of the last cluster of the page before.
        """
        query = select(schema.seen_clusters).order_by(_CLUSTERS.item_count.desc(), _CLUSTERS.id)
        if after is not None:
            count, cluster_id = after
            same = (_CLUSTERS.item_count == count) & (_CLUSTERS.id > cursor_id(cluster_id))
            query = query.where((_CLUSTERS.item_count < count) | same)
        with self._database.read() as connection:
            rows = connection.execute(query.limit(page_limit(limit))).all()
            facts = {row.cluster_id: row for row in connection.execute(_cluster_facts([row.id for row in rows]))}
        return [
            SeenCluster(row.id, row.pdq, row.item_count, facts[row.id].accounts, *_seen_between(facts[row.id]))
            for row in rows
            if row.id in facts
        ]

    def stats(self, head_seq: int) -> SeenStats:
        """How much is remembered; `head_seq` is the newest change of the log."""
        spans = select(func.count(), func.min(_ITEMS.seen_at), func.max(_ITEMS.seen_at))
        with self._database.read() as connection:
            item_count, oldest_at, newest_at = connection.execute(spans).one()
            file_count = connection.execute(select(func.count()).select_from(schema.seen_files)).scalar_one()
            cluster_count = connection.execute(select(func.count()).select_from(schema.seen_clusters)).scalar_one()
            waiting_count = queued_count(connection)
        asked_seq = self.state().asked_seq
        return SeenStats(
            item_count, file_count, cluster_count, waiting_count, oldest_at, newest_at, asked_seq, head_seq
        )

    def has_work(self, forget_before: datetime | None) -> bool:
        """Whether a screening waits, the log has grown, or an item is older than it may be."""
        head = select(schema.change_head.c.seq).scalar_subquery()
        waiting = select(schema.seen_queue.c.id).limit(1).scalar_subquery()
        oldest = select(func.min(_ITEMS.seen_at)).scalar_subquery()
        query = select(waiting, head, schema.seen_state.c.asked_seq, oldest)
        with self._database.read() as connection:
            waiting_id, head_seq, asked_seq, oldest_at = connection.execute(query).one()
        is_old = oldest_at is not None and (forget_before is None or oldest_at < forget_before)
        return waiting_id is not None or head_seq > asked_seq or is_old

    def index_changes(self, after_seq: int, *, limit: int) -> IndexChanges:
        """What an index at `after_seq` lacks; `limit` bounds how many files come at once."""
        state = self.state()
        with self._database.read() as connection:
            query = select(schema.seen_files).where(_FILES.id > after_seq, _FILES.id <= state.seq)
            rows = connection.execute(query.order_by(_FILES.id).limit(limit)).all()
            seq = rows[-1].id if len(rows) == limit else state.seq
            led = _CLUSTERS.pdq.is_not(None)
            between = select(_CLUSTERS.id, _CLUSTERS.pdq).where(_CLUSTERS.id > after_seq, _CLUSTERS.id <= seq, led)
            clusters = [(row.id, row.pdq) for row in connection.execute(between.order_by(_CLUSTERS.id))]
            gone = select(schema.seen_removals).where(_REMOVALS.seq > after_seq, _REMOVALS.seq <= seq)
            removals = connection.execute(gone).all()
        return IndexChanges(
            seq,
            [SeenFile(**row._mapping) for row in rows],
            clusters,
            _ids(row.file_id for row in removals),
            _ids(row.cluster_id for row in removals),
        )


def write_gathered(connection: Connection, state: SeenState, gathered: Gathered) -> list[SeenItem]:
    """Take items over: files, clusters, items, counts; the queue loses them. Returns those that are late."""
    _insert_files(connection, gathered.new_files)
    statement = DriverInsert(insert(schema.seen_items), connection.dialect)
    rows = [
        {
            "id": item_id,
            "file_id": file_id,
            "screening_id": item.screening_id,
            "item_ref": item.item_ref,
            "account_ref": item.account_ref,
            "album_ref": item.album_ref,
            "seen_at": item.seen_at,
        }
        for item_id, (item, file_id) in enumerate(gathered.items, start=state.last_item_id + 1)
    ]
    statement.execute(connection, [statement.bound(row) for row in rows])
    _count_items(connection, Counter(file_id for _, file_id in gathered.items))
    drop_queued(connection, [item.queue_id for item, _ in gathered.items])
    seq = gathered.new_files[-1].id if gathered.new_files else state.seq
    set_state(connection, seq=seq, last_item_id=state.last_item_id + len(rows))
    if not gathered.late_file_ids:
        return []
    late = (_ITEMS.id > state.last_item_id) & _ITEMS.file_id.in_(gathered.late_file_ids)
    return [_item(row) for row in connection.execute(_item_query().where(late).order_by(_ITEMS.id))]


def remove_items(connection: Connection, state: SeenState, items: Sequence[SeenItem]) -> None:
    """Forget items, with the files and clusters of which nothing is left."""
    connection.execute(delete(schema.seen_items).where(_ITEMS.id.in_([item.id for item in items])))
    counts = Counter(item.file_id for item in items)
    _count_items(connection, Counter({file_id: -count for file_id, count in counts.items()}))
    file_ids = _emptied(connection, _FILES.id, _FILES.item_count, list(counts))
    cluster_ids = _emptied(connection, _CLUSTERS.id, _CLUSTERS.item_count, list({item.cluster_id for item in items}))
    gone: list[dict[str, int | None]] = [{"file_id": file_id, "cluster_id": None} for file_id in file_ids]
    gone += [{"file_id": None, "cluster_id": cluster_id} for cluster_id in cluster_ids]
    if not gone:
        return
    connection.execute(delete(schema.seen_files).where(_FILES.id.in_(file_ids)))
    connection.execute(delete(schema.seen_clusters).where(_CLUSTERS.id.in_(cluster_ids)))
    rows = [{"seq": state.seq + number, **row} for number, row in enumerate(gone, start=1)]
    connection.execute(insert(schema.seen_removals), rows)
    removals_after = max(state.removals_after, rows[-1]["seq"] - _REMOVALS_KEPT)  # type: ignore[operator]
    if removals_after > state.removals_after:
        connection.execute(delete(schema.seen_removals).where(_REMOVALS.seq <= removals_after))
    set_state(connection, seq=state.seq + len(rows), removals_after=removals_after)


def _insert_files(connection: Connection, files: Sequence[SeenFile]) -> None:
    if files:
        statement = DriverInsert(insert(schema.seen_files), connection.dialect)
        names = schema.seen_files.columns.keys()
        statement.execute(
            connection, [statement.bound({name: getattr(each, name) for name in names}) for each in files]
        )
        leaders = [each for each in files if each.cluster_id == each.id]
        rows = [{"id": each.id, "pdq": _pdq_of(each.mirrorings), "item_count": 0} for each in leaders]
        if rows:
            connection.execute(insert(schema.seen_clusters), rows)


def _count_items(connection: Connection, by_file: Counter[int]) -> None:
    """Add to the counts of files, and to those of their clusters."""
    query = select(_FILES.id, _FILES.cluster_id).where(_FILES.id.in_(list(by_file)))
    by_cluster: Counter[int] = Counter()
    for file_id, cluster_id in connection.execute(query):
        by_cluster[cluster_id] += by_file[file_id]
    _add_to_counts(connection, schema.seen_files, by_file)
    _add_to_counts(connection, schema.seen_clusters, by_cluster)


def _add_to_counts(connection: Connection, table: Table, counts: Counter[int]) -> None:
    # Rows that change by the same number change together: nearly always one statement for all.
    by_number: dict[int, list[int]] = defaultdict(list)
    for row_id, number in counts.items():
        by_number[number].append(row_id)
    for number, row_ids in by_number.items():
        changed = update(table).where(table.c.id.in_(sorted(row_ids)))
        connection.execute(changed.values(item_count=table.c.item_count + number))


def _emptied(connection: Connection, row_id: Any, item_count: Any, ids: list[int]) -> list[int]:  # noqa: ANN401
    query = select(row_id).where(row_id.in_(ids), item_count == 0).order_by(row_id)
    return list(connection.execute(query).scalars())


def _item_query() -> Select[Any]:
    columns = [_ITEMS.id, _ITEMS.file_id, _FILES.cluster_id, _ITEMS.screening_id]
    columns += [_ITEMS.item_ref, _ITEMS.account_ref, _ITEMS.album_ref, _ITEMS.seen_at]
    columns += [_FILES.sha256, _FILES.sha1, _FILES.md5, _FILES.mirrorings, _FILES.quality_percent]
    return select(*columns).select_from(schema.seen_items.join(schema.seen_files, _FILES.id == _ITEMS.file_id))


def _item(row: Any) -> SeenItem:  # noqa: ANN401 - a row of `_item_query`
    fields = dict(row._mapping)
    mirrorings = fields.pop("mirrorings")
    return SeenItem(**fields, pdq=_pdq_of(mirrorings))


def _pdq_of(mirrorings: bytes | None) -> bytes | None:
    return None if mirrorings is None else mirrorings[:_PDQ_BYTES]


def _narrowed(query: Select[Any], selection: Selection) -> Select[Any]:
    if selection.item_ref is not None:
        query = query.where(_ITEMS.item_ref == selection.item_ref)
    if selection.account_ref is not None:
        query = query.where(_ITEMS.account_ref == selection.account_ref)
    if selection.before is not None:
        query = query.where(_ITEMS.seen_at < selection.before)
    return query


def _cluster_facts(cluster_ids: list[int]) -> Select[Any]:
    accounts = func.count(_ITEMS.account_ref.distinct()).label("accounts")
    seen = func.min(_ITEMS.seen_at).label("first"), func.max(_ITEMS.seen_at).label("last")
    joined = schema.seen_items.join(schema.seen_files, _FILES.id == _ITEMS.file_id)
    query = select(_FILES.cluster_id, accounts, *seen).select_from(joined)
    return query.where(_FILES.cluster_id.in_(cluster_ids)).group_by(_FILES.cluster_id)


def _seen_between(facts: Any) -> tuple[datetime, datetime]:  # noqa: ANN401 - a row of `_cluster_facts`
    return facts.first, facts.last


def _ids(values: Iterable[int | None]) -> NDArray[np.int64]:
    return np.array([value for value in values if value is not None], np.int64)
