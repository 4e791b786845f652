"""What an item's views and a bank's views find of each other, in two indexes at once: an entry is one sighting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baken._native import GroupMatches, IdGroups
from baken.matching_ids import ENTRY_BITS, NO_IDS, VIEW_NUMBER_BITS, VIEW_NUMBER_MASK, Ids, owners_of_views, view_owners
from baken.matching_index import CodeIndex
from baken.model import PDQ_BYTES

ORIENTATIONS = 8


@dataclass(frozen=True, slots=True)
class ViewGroups:
    """The banks that count, within the radius for views, as the index of plain codes and that of views want them.

    Attributes:
        plain: for the whole pictures of entries.
        banked: for their views.
        tiles: for their views, when a tile of the item asks: a quarter of one picture is near a quarter of another more
            often than anything else, so this radius is smaller.
    """

    plain: IdGroups
    banked: IdGroups
    tiles: IdGroups


@dataclass(frozen=True, slots=True)
class ViewSightings:
    """Entries that were found; parallel columns, one row an entry.

    Of each bank these are the nearest, and the nearest of those whose whole picture was found: these weigh more.

    Attributes:
        owners: int64[N].
        distance_bits: int64[N].
        numbers: int64[N], the entry's view; 0 for its whole picture.
        rows: int64[N], the item's code: those of the whole item come first, then eight for each of its views.
        shows_whole: bool[N], whether a view of the item is near the entry's whole picture, be another view nearer or
            not. It is said of the nearest such entries of each bank.
        counted_owners: int64[M], everything that matched, listed or not, each once.
    """

    owners: Ids
    distance_bits: NDArray[np.int64]
    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    shows_whole: NDArray[np.bool_]
    counted_owners: Ids


NOTHING_SIGHTED = ViewSightings(NO_IDS, NO_IDS, NO_IDS, NO_IDS, np.empty(0, np.bool_), NO_IDS)


def sight(
    pdq: CodeIndex,
    views: CodeIndex,
    groups: ViewGroups,
    *,
    whole: NDArray[np.uint8],
    parts: NDArray[np.uint8],
    is_tile: NDArray[np.bool_],
    limit: int,
    excluded: Ids,
) -> ViewSightings:
    """The nearest entries of each bank, by whatever view and by their whole pictures, and the owners of all.

    Args:
        pdq: plain codes. Only `parts` are asked here: that the whole item is near a whole picture is no view's merit.
        views: codes of banked views.
        groups: which banks count.
        whole: uint8[W, 32], the codes of the whole item.
        parts: uint8[P, 32], those of its views.
        is_tile: bool[P], which of these are tiles.
        limit: how many entries are listed of each bank, twice.
        excluded: owners that do not count.
    """
    found: list[ViewSightings] = []
    if len(parts):
        near = pdq.search_groups(parts, len(parts), groups.plain, limit, excluded, lists_counted=True)
        found.append(_of_wholes(near, len(whole)))
    codes = np.concatenate([whole, parts]) if len(parts) else whole
    asks_tile = np.concatenate([np.zeros(len(whole), np.bool_), is_tile])
    for rows, banked in ((np.flatnonzero(~asks_tile), groups.banked), (np.flatnonzero(asks_tile), groups.tiles)):
        if len(rows):
            near = views.search_groups(codes[rows], len(rows), banked, limit, view_owners(excluded), lists_counted=True)
            found.append(_of_views(near, rows))
    found = [each for each in found if len(each.counted_owners)]
    return _joined(found, limit) if found else NOTHING_SIGHTED


def _of_wholes(near: GroupMatches, first_row: int) -> ViewSightings:
    bits = near.distance_bits.astype(np.int64)
    numbers, shows_whole = np.zeros_like(near.id), np.ones(len(near.id), np.bool_)
    return ViewSightings(near.id, bits, numbers, near.query_row + first_row, shows_whole, near.counted_owner)


def _of_views(near: GroupMatches, rows: NDArray[np.int64]) -> ViewSightings:
    return ViewSightings(
        owners_of_views(near.id >> VIEW_NUMBER_BITS),
        near.distance_bits.astype(np.int64),
        near.id & VIEW_NUMBER_MASK,
        rows[near.query_row],
        np.zeros(len(near.id), np.bool_),
        owners_of_views(near.counted_owner),
    )


def _joined(found: list[ViewSightings], limit: int) -> ViewSightings:
    owners = np.concatenate([each.owners for each in found])
    bits = np.concatenate([each.distance_bits for each in found])
    numbers = np.concatenate([each.numbers for each in found])
    rows = np.concatenate([each.rows for each in found])
    order = np.lexsort((rows, numbers, bits, owners))
    _, first = np.unique(owners[order], return_index=True)
    best = order[first]  # of each owner
    best = best[np.lexsort((owners[best], bits[best]))]
    shows_whole = np.isin(owners[best], owners[np.concatenate([each.shows_whole for each in found])])
    kept = shows_whole | (_places_in_bank(owners[best] >> ENTRY_BITS) < limit)
    best, shows_whole = best[kept], shows_whole[kept]
    counted = np.unique(np.concatenate([each.counted_owners for each in found]))
    return ViewSightings(owners[best], bits[best], numbers[best], rows[best], shows_whole, counted)


def _places_in_bank(bank_ids: Ids) -> NDArray[np.int64]:
    """How many of the same bank stand before each."""
    order = np.argsort(bank_ids, kind="stable")
    _, first, counts = np.unique(bank_ids[order], return_index=True, return_counts=True)
    places = np.empty(len(bank_ids), np.int64)
    places[order] = np.arange(len(bank_ids)) - np.repeat(first, counts)
    return places


def flat(codes: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """uint8[N, 8, 32], or nothing, as uint8[8 * N, 32]."""
    return np.empty((0, PDQ_BYTES), np.uint8) if codes is None else np.ascontiguousarray(codes).reshape(-1, PDQ_BYTES)
