"""What banks keep of their pictures beside fingerprints: views, vectors and sealed keypoints, one row an entry each."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, bindparam, delete, func, or_, select, update

from baken.copies import FIRST_FRAME_VIEW, MAX_VIEW_NUMBER, BankViews, FrameRef, Vectors, View
from baken.errors import InvalidValueError
from baken.model import PDQ_BYTES, Bank, BankState, FingerprintKind, NewEntry
from baken.sealing import MAX_SEALED_BYTES
from baken.store import schema
from baken.store.bulk import for_driver, insert_rows
from baken.store.engine import Database
from baken.store.paging import cursor_id, is_database_id, page_limit

MODEL_SHA256_BYTES = 32

# How many entries one query names, and how many lose their keypoints in one transaction, for which others wait.
_ASKED_ENTRIES = 1_000
_FORGOTTEN_ENTRIES = 1_000

_ENTRIES = schema.entries.c
_VIEWS = schema.entry_views.c
_VECTORS = schema.entry_vectors.c
_KEYPOINTS = schema.entry_keypoints.c
_VIEW_COLUMNS = ("entry_id", "bank_id", "width_px", "height_px", "numbers", "frames", "codes")
_VECTOR_COLUMNS = ("model_sha256", "entry_id", "bank_id", "model_id", "views", "components")
_KEYPOINT_COLUMNS = ("entry_id", "bank_id", "sealed")


@dataclass(frozen=True, slots=True)
class KeptCounts:
    """How many entries of a bank, withdrawn ones included, have views, vectors (of any network) and keypoints."""

    views: int
    vectors: int
    keypoints: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of the pictures of some entries, without the data itself.

    Attributes:
        view_numbers: of the entries that have views.
        vectors: of the entries that have vectors, the checksums of the networks that made them.
        keypoints: the entries that have keypoints.
    """

    view_numbers: Mapping[int, frozenset[int]]
    vectors: Mapping[int, frozenset[bytes]]
    keypoints: frozenset[int]


def check_kept(position: int, entry: NewEntry) -> None:
    """Refuse what could not be read back.

    Raises:
        InvalidValueError: an array is of the wrong shape or type, or a size is missing; `position` names the entry.
    """
    if entry.views is not None:
        _check_views(position, entry, entry.views)
    if entry.vectors is not None:
        _check_vectors(position, entry.vectors)
    if entry.keypoints is not None:
        if not 0 < len(entry.keypoints) <= MAX_SEALED_BYTES:
            raise _wrong(position, f"keypoints of {len(entry.keypoints)} bytes", f"1 to {MAX_SEALED_BYTES}, sealed")
        if all(code.kind is not FingerprintKind.SHA256 for code in entry.fingerprints):
            raise _wrong(position, "keypoints and no sha256", "the sha256 of the file they were made of")


def _check_views(position: int, entry: NewEntry, views: BankViews) -> None:
    if not _are_views(views):
        raise _wrong(position, f"views {views.numbers.shape} {views.codes.shape}", "uint8[N] and uint8[N, 32]")
    if np.any(views.numbers == 0) or len(np.unique(views.numbers)) < len(views.numbers):
        raise _wrong(position, "a view numbered 0 or twice", f"distinct numbers from 1 to {MAX_VIEW_NUMBER}")
    others = int((views.numbers >= FIRST_FRAME_VIEW).sum())
    if others != len(views.frames) or (others and views.numbers.max() != FIRST_FRAME_VIEW + others - 1):
        given = f"{others} views of other pictures and {len(views.frames)} names of them"
        raise _wrong(position, given, f"one name each, numbered from {FIRST_FRAME_VIEW}")
    if not (entry.width_px and entry.height_px and entry.width_px > 0 and entry.height_px > 0):
        raise _wrong(position, f"views of {entry.width_px} x {entry.height_px} px", "the size of its picture")


def _check_vectors(position: int, vectors: Vectors) -> None:
    values = vectors.values
    if values.dtype != np.int8 or values.ndim != 2 or not values.size:  # noqa: PLR2004 - vectors and their values
        raise _wrong(position, f"vectors {values.dtype}{values.shape}", "int8[N, D]")
    if len(vectors.views) != len(values) or len(vectors.model_sha256) != MODEL_SHA256_BYTES:
        raise _wrong(position, f"{len(vectors.views)} views of {len(values)} vectors", "one of each, and a sha256")


def _are_views(views: BankViews) -> bool:
    is_typed = views.numbers.dtype == np.uint8 and views.codes.dtype == np.uint8
    return is_typed and views.numbers.ndim == 1 and views.codes.shape == (len(views.numbers), PDQ_BYTES)


def _wrong(position: int, given: str, expected: str) -> InvalidValueError:
    return InvalidValueError(
        f"entry {position} has {given}, expected {expected}", hint="nothing was added; correct that entry"
    )


def insert_kept(connection: Connection, bank: Bank, new_entries: Iterable[tuple[int, NewEntry]]) -> None:
    """Write what is kept of new entries, given with their ids."""
    rows = list(new_entries)
    _insert_views(connection, bank, rows)
    _insert_vectors(connection, bank, rows)
    _insert_keypoints(connection, bank, rows)


def complete(connection: Connection, bank: Bank, held: Mapping[int, NewEntry]) -> list[int]:
    """Give entries that are held already, by id, what they lack; returns the ids of those that lacked something.

    Views are replaced when the new ones have a number that the old ones lack.
    """
    offered = [entry_id for entry_id, new in held.items() if new.views or new.vectors or new.keypoints]
    if not offered:
        return []
    kept = kept_of(connection, offered)
    views = [
        (entry_id, held[entry_id])
        for entry_id in offered
        if _adds_views(held[entry_id], kept.view_numbers.get(entry_id))
    ]
    vectors = [
        (entry_id, held[entry_id])
        for entry_id in offered
        if (made := held[entry_id].vectors) is not None and made.model_sha256 not in kept.vectors.get(entry_id, ())
    ]
    keypoints = [
        (entry_id, held[entry_id])
        for entry_id in offered
        if bank.keeps_keypoints and held[entry_id].keypoints is not None and entry_id not in kept.keypoints
    ]
    for ids in parts_of([entry_id for entry_id, _ in views if entry_id in kept.view_numbers]):
        connection.execute(delete(schema.entry_views).where(_VIEWS.entry_id.in_(ids)))
    _insert_views(connection, bank, views)
    _insert_vectors(connection, bank, vectors)
    _insert_keypoints(connection, bank, keypoints)
    return sorted({entry_id for entry_id, _ in (*views, *vectors, *keypoints)})


def _adds_views(new: NewEntry, numbers: frozenset[int] | None) -> bool:
    if new.views is None:
        return False
    return numbers is None or not numbers.issuperset(new.views.numbers.tolist())


def _insert_views(connection: Connection, bank: Bank, rows: Sequence[tuple[int, NewEntry]]) -> None:
    written = [
        (
            entry_id,
            bank.id,
            new.width_px,
            new.height_px,
            views.numbers.tobytes(),
            _packed_frames(views.frames),
            views.codes.tobytes(),
        )
        for entry_id, new in rows
        if (views := new.views) is not None
    ]
    insert_rows(connection, schema.entry_views, _VIEW_COLUMNS, written)


def _insert_vectors(connection: Connection, bank: Bank, rows: Sequence[tuple[int, NewEntry]]) -> None:
    model_id = for_driver(connection, schema.entry_vectors, "model_id")
    written = [
        (made.model_sha256, entry_id, bank.id, model_id(made.model_id), _packed(made.views), made.values.tobytes())
        for entry_id, new in rows
        if (made := new.vectors) is not None
    ]
    insert_rows(connection, schema.entry_vectors, _VECTOR_COLUMNS, written)


def _insert_keypoints(connection: Connection, bank: Bank, rows: Sequence[tuple[int, NewEntry]]) -> None:
    # Asked under the change log's lock: a bank that has just stopped keeping them gets none.
    allowed = rows if bank.keeps_keypoints else ()
    written = [(entry_id, bank.id, new.keypoints) for entry_id, new in allowed if new.keypoints is not None]
    insert_rows(connection, schema.entry_keypoints, _KEYPOINT_COLUMNS, written)


def kept_of(connection: Connection, entry_ids: Collection[int]) -> Kept:
    """What is kept of the pictures of these entries."""
    numbers: dict[int, frozenset[int]] = {}
    vectors: dict[int, frozenset[bytes]] = {}
    keypoints: set[int] = set()
    for ids in parts_of(entry_ids):
        query = select(_VIEWS.entry_id, _VIEWS.numbers).where(_VIEWS.entry_id.in_(ids))
        numbers.update({row.entry_id: frozenset(row.numbers) for row in connection.execute(query)})
        made = select(_VECTORS.entry_id, _VECTORS.model_sha256).where(_VECTORS.entry_id.in_(ids))
        for row in connection.execute(made):
            vectors[row.entry_id] = vectors.get(row.entry_id, frozenset()) | {row.model_sha256}
        keypoints.update(connection.execute(readable_keypoints([_KEYPOINTS.entry_id], ids)).scalars())
    return Kept(numbers, vectors, frozenset(keypoints))


def kept_counts(database: Database, bank_id: int) -> KeptCounts:
    """How many entries of a bank have what; see `KeptRows.counts`."""
    with database.read() as connection:

        def count(table: Table, what: ColumnElement[int]) -> int:
            query = select(what).select_from(table).where(table.c.bank_id == cursor_id(bank_id))
            return int(connection.execute(query).scalar_one())

        entries_with_vectors = func.count(_VECTORS.entry_id.distinct())
        return KeptCounts(
            views=count(schema.entry_views, func.count()),
            vectors=count(schema.entry_vectors, entries_with_vectors),
            keypoints=count(schema.entry_keypoints, func.count()),
        )


def has_keypoints(database: Database) -> bool:
    """Whether there is any row of keypoints; see `KeptRows.has_keypoints`."""
    with database.read() as connection:
        return connection.execute(select(_KEYPOINTS.entry_id).limit(1)).first() is not None


def sample_of_keypoints(database: Database, limit: int) -> list[int]:
    """Entries with keypoints, the oldest and the newest; see `KeptRows.sample_of_keypoints`."""
    ids = select(_KEYPOINTS.entry_id).limit(page_limit(limit))
    with database.read() as connection:
        oldest = connection.execute(ids.order_by(_KEYPOINTS.entry_id)).scalars().all()
        newest = connection.execute(ids.order_by(_KEYPOINTS.entry_id.desc())).scalars().all()
    return sorted({*oldest, *newest})


def keypoint_entries(database: Database, after_id: int, limit: int) -> list[int]:
    """A page of entries with keypoints; see `KeptRows.keypoint_entries`."""
    query = select(_KEYPOINTS.entry_id).where(_KEYPOINTS.entry_id > cursor_id(after_id)).order_by(_KEYPOINTS.entry_id)
    with database.read() as connection:
        return list(connection.execute(query.limit(page_limit(limit))).scalars())


def reseal_keypoints(database: Database, resealed: Mapping[int, tuple[bytes, bytes]]) -> int:
    """Put other bytes in place of sealed ones; see `KeptRows.reseal_keypoints`."""
    is_unchanged = and_(_KEYPOINTS.entry_id == bindparam("id"), _KEYPOINTS.sealed == bindparam("before"))
    statement = update(schema.entry_keypoints).where(is_unchanged).values(sealed=bindparam("after"))
    with database.write() as connection:
        return sum(
            connection.execute(statement, {"id": entry_id, "before": before, "after": after}).rowcount
            for entry_id, (before, after) in resealed.items()
        )


def forget_of_entries(connection: Connection, entry_ids: Collection[int]) -> None:
    """Delete the keypoints of entries that are withdrawn for good: nothing can need them again."""
    for ids in parts_of(entry_ids):
        connection.execute(delete(schema.entry_keypoints).where(_KEYPOINTS.entry_id.in_(ids)))


def forget_unkept_keypoints(database: Database) -> int:
    """Delete the keypoints of banks that may keep none, part by part so that others wait shortly; how many there were.

    Nobody reads them any more once the bank's row says so: what a killed process leaves, the next call deletes.
    """
    banks = schema.banks.c
    unkept = select(banks.id).where(or_(~banks.keeps_keypoints, banks.state == BankState.WITHDRAWN.value))
    query = select(_KEYPOINTS.entry_id).where(_KEYPOINTS.bank_id.in_(unkept)).limit(_FORGOTTEN_ENTRIES)
    count = 0
    while True:
        with database.write() as connection:
            ids = list(connection.execute(query).scalars())
            forget_of_entries(connection, ids)
        count += len(ids)
        if len(ids) < _FORGOTTEN_ENTRIES:
            return count


def readable_keypoints(columns: Sequence[ColumnElement[Any]], entry_ids: Sequence[int]) -> Select[Any]:
    """Columns of the keypoints of these entries whose bank keeps them."""
    banks = schema.banks.c
    keeping = select(banks.id).where(banks.keeps_keypoints, banks.state != BankState.WITHDRAWN.value)
    return select(*columns).where(_KEYPOINTS.entry_id.in_(entry_ids), _KEYPOINTS.bank_id.in_(keeping))


def _packed_frames(frames: Sequence[FrameRef]) -> str | None:
    return json.dumps([astuple(frame) for frame in frames], separators=(",", ":")) if frames else None


def _packed(views: Sequence[View]) -> str:
    return json.dumps([(view.kind.value, *astuple(view.region)) for view in views], separators=(",", ":"))


def parts_of(entry_ids: Collection[int]) -> Iterator[list[int]]:
    """Those of the ids that a row could have, as many at a time as one query takes."""
    ids = [entry_id for entry_id in entry_ids if is_database_id(entry_id)]
    for start in range(0, len(ids), _ASKED_ENTRIES):
        yield ids[start : start + _ASKED_ENTRIES]
