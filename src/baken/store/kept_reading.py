"""What is kept of pictures, read: in chunks for an index, and by entry for the check of a candidate."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, Table, and_, select

from baken.copies import MAX_VIEW_NUMBER, BankViews, FrameRef, Region, Vectors, View, ViewKind
from baken.errors import StoreError
from baken.model import ID_LIMIT, PDQ_BYTES, BankState, EntryState, FingerprintKind
from baken.sealing import Sealed, place_of_keypoints
from baken.store import schema
from baken.store.engine import Database
from baken.store.kept import parts_of, readable_keypoints
from baken.store.paging import cursor_id, page_limit

_ENTRIES = schema.entries.c
_VIEWS = schema.entry_views.c
_VECTORS = schema.entry_vectors.c
_CODES = schema.fingerprints.c
_KEYPOINTS = schema.entry_keypoints.c


@dataclass(frozen=True, slots=True)
class ViewChunk:
    """Views of banked pictures, for an index; those of one entry stand together.

    Attributes:
        entry_ids: int64[N], rising.
        bank_ids: int64[N].
        numbers: uint8[N], of `copies.BankViews`.
        codes: uint8[N, 32], their PDQ.
    """

    entry_ids: NDArray[np.int64]
    bank_ids: NDArray[np.int64]
    numbers: NDArray[np.uint8]
    codes: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VectorChunk:
    """Vectors of banked pictures that one network made, for an index; those of one entry stand together.

    Attributes:
        entry_ids: int64[N], rising.
        bank_ids: int64[N].
        view_indexes: int64[N], which of its entry's `Vectors.views` each is of.
        values: int8[N, D].
    """

    entry_ids: NDArray[np.int64]
    bank_ids: NDArray[np.int64]
    view_indexes: NDArray[np.int64]
    values: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class KeptViews:
    """The views of one entry, and the size of its picture as a viewer shows it."""

    views: BankViews
    width_px: int
    height_px: int


def active_views(
    database: Database, *, first_entry_id: int, last_entry_id: int | None, chunk: int
) -> Iterator[ViewChunk]:
    """Views that may match, in chunks; see `KeptRows.active_views`."""
    query = select(_VIEWS.entry_id, _VIEWS.bank_id, _VIEWS.numbers, _VIEWS.codes)
    for rows in _active(
        database, query, schema.entry_views, first_entry_id=first_entry_id, last_entry_id=last_entry_id, chunk=chunk
    ):
        counts = np.fromiter((len(numbers) for _, _, numbers, _ in rows), np.int64, len(rows))
        codes = _joined(codes for _, _, _, codes in rows)
        if codes.size != counts.sum() * PDQ_BYTES:
            raise _broken(f"{counts.sum()} views hold {codes.size} bytes, expected {PDQ_BYTES} each")
        yield ViewChunk(
            *_spread_ids(rows, counts),
            numbers=_joined(numbers for _, _, numbers, _ in rows),
            codes=codes.reshape(-1, PDQ_BYTES),
        )


def active_vectors(
    database: Database, model_sha256: bytes, *, first_entry_id: int, last_entry_id: int | None, chunk: int
) -> Iterator[VectorChunk]:
    """Vectors of one network that may match, in chunks; see `KeptRows.active_vectors`."""
    columns = select(_VECTORS.entry_id, _VECTORS.bank_id, _VECTORS.views, _VECTORS.components)
    query = columns.where(_VECTORS.model_sha256 == model_sha256)
    for rows in _active(
        database, query, schema.entry_vectors, first_entry_id=first_entry_id, last_entry_id=last_entry_id, chunk=chunk
    ):
        counts = np.fromiter((len(_unpacked(views)) for _, _, views, _ in rows), np.int64, len(rows))
        components = _joined(components for _, _, _, components in rows).view(np.int8)
        sizes = {len(components) // max(count, 1) for (_, _, _, components), count in zip(rows, counts, strict=True)}
        if len(sizes) != 1 or components.size != counts.sum() * max(sizes):
            raise _broken(f"vectors of one network have {sorted(sizes)} values, expected one length")
        starts = np.cumsum(counts) - counts
        yield VectorChunk(
            *_spread_ids(rows, counts),
            view_indexes=np.arange(counts.sum(), dtype=np.int64) - np.repeat(starts, counts),
            values=components.reshape(int(counts.sum()), -1),
        )


def entry_views_of(database: Database, entry_ids: Collection[int]) -> dict[int, KeptViews]:
    """The views of entries; see `KeptRows.entry_views_of`."""
    found: dict[int, KeptViews] = {}
    with database.read() as connection:
        for ids in parts_of(entry_ids):
            for row in connection.execute(select(schema.entry_views).where(_VIEWS.entry_id.in_(ids))):
                codes = np.frombuffer(row.codes, np.uint8)
                if codes.size != len(row.numbers) * PDQ_BYTES:
                    raise _broken(f"the {len(row.numbers)} views of entry {row.entry_id} hold {codes.size} bytes")
                numbers = np.frombuffer(row.numbers, np.uint8)
                views = BankViews(numbers, codes.reshape(-1, PDQ_BYTES), _frames(row.frames))
                found[row.entry_id] = KeptViews(views, row.width_px, row.height_px)
    return found


def vectors_of(database: Database, entry_ids: Collection[int], model_sha256: bytes) -> dict[int, Vectors]:
    """The vectors of entries; see `KeptRows.vectors_of`."""
    found: dict[int, Vectors] = {}
    with database.read() as connection:
        for ids in parts_of(entry_ids):
            query = select(schema.entry_vectors).where(
                _VECTORS.model_sha256 == model_sha256, _VECTORS.entry_id.in_(ids)
            )
            for row in connection.execute(query):
                views = _unpacked(row.views)
                if not views or len(row.components) % len(views):
                    raise _broken(f"the {len(views)} vectors of entry {row.entry_id} hold {len(row.components)} bytes")
                values = np.frombuffer(row.components, np.int8).reshape(len(views), -1)
                found[row.entry_id] = Vectors(row.model_id, model_sha256, views, values)
    return found


def codes_of(database: Database, kind: FingerprintKind, entry_ids: Collection[int]) -> dict[int, bytes]:
    """The fingerprints of entries; see `KeptRows.codes_of`."""
    found: dict[int, bytes] = {}
    with database.read() as connection:
        for ids in parts_of(entry_ids):
            query = select(_CODES.entry_id, _CODES.value).where(_CODES.kind == kind.value, _CODES.entry_id.in_(ids))
            found.update({row.entry_id: bytes(row.value) for row in connection.execute(query)})
    return found


def keypoints_of(database: Database, entry_ids: Collection[int]) -> dict[int, Sealed]:
    """The sealed keypoints of entries; see `KeptRows.keypoints_of`."""
    found: dict[int, Sealed] = {}
    columns = [_KEYPOINTS.entry_id, _KEYPOINTS.bank_id, _KEYPOINTS.sealed, _CODES.value]
    is_file = and_(_CODES.kind == FingerprintKind.SHA256.value, _CODES.entry_id == _KEYPOINTS.entry_id)
    with database.read() as connection:
        for ids in parts_of(entry_ids):
            query = readable_keypoints(columns, ids).join_from(schema.entry_keypoints, schema.fingerprints, is_file)
            for row in connection.execute(query):
                found[row.entry_id] = Sealed(row.sealed, place_of_keypoints(row.bank_id, row.value))
    return found


def _active(
    database: Database,
    query: Select[Any],
    table: Table,
    *,
    first_entry_id: int,
    last_entry_id: int | None,
    chunk: int,
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of `table` of active entries in banks that are not withdrawn, by rising entry id, which stands first.

    An entry has at most `MAX_VIEW_NUMBER` views: so many entries are read at once that these do not exceed `chunk`.
    """
    size = max(page_limit(chunk) // MAX_VIEW_NUMBER, 1)
    last = ID_LIMIT - 1 if last_entry_id is None else cursor_id(last_entry_id)
    after = cursor_id(first_entry_id - 1)
    withdrawn = select(schema.banks.c.id).where(schema.banks.c.state == BankState.WITHDRAWN.value)
    wanted = (
        query.select_from(table.join(schema.entries, _ENTRIES.id == table.c.entry_id))
        .where(_ENTRIES.state == EntryState.ACTIVE.value, table.c.bank_id.not_in(withdrawn))
        .order_by(table.c.entry_id)
        .limit(size)
    )
    while True:
        with database.read() as connection:
            within = wanted.where(table.c.entry_id > after, table.c.entry_id <= last)
            cursor: Any = connection.execute(within).cursor  # the driver's own tuples, as for the codes
            rows = list(cursor.fetchall())
        if rows:
            yield rows
        if len(rows) < size:
            return
        after = rows[-1][0]


def _spread_ids(
    rows: Sequence[tuple[Any, ...]], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The entry's and the bank's id, once for each of its `counts` values."""
    entry_ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    bank_ids = np.fromiter((row[1] for row in rows), np.int64, len(rows))
    return np.repeat(entry_ids, counts), np.repeat(bank_ids, counts)


def _joined(values: Iterable[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(bytearray().join(values), np.uint8)


@lru_cache(maxsize=256)  # most entries have the same views
def _unpacked(text: str) -> tuple[View, ...]:
    try:
        return tuple(View(ViewKind(kind), Region(*map(float, region))) for kind, *region in json.loads(text))
    except (ValueError, TypeError) as error:
        raise _broken(f"the views of vectors are {text[:80]!r}, expected a list of kinds with regions") from error


def _frames(text: str | None) -> tuple[FrameRef, ...]:
    if text is None:
        return ()
    try:
        return tuple(
            FrameRef(int(number), None if time is None else float(time), bool(is_over_black))
            for number, time, is_over_black in json.loads(text)
        )
    except (ValueError, TypeError) as error:
        raise _broken(f"the frames of views are {text[:80]!r}, expected a list of numbers with times") from error


def _broken(what: str) -> StoreError:
    return StoreError(what, hint="another program changed the database: restore a backup")
