"""Indexes whose ids have member bits, in memory and on disk: an owner counts once, at its nearest code."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from baken._native import GroupMatches, HammingIndex, IdGroups, IndexFolder

Codes = NDArray[np.uint8]
Ids = NDArray[np.int64]

MEMBER_BITS = 8
GROUP_SHIFT = 43
DATABASE = "a database, 8 member bits"
NO_IDS = np.empty(0, np.int64)
BITS_IN_BYTE = np.array([byte.bit_count() for byte in range(256)], np.uint8)

# Above this many codes in one add the index builds tables; below, it keeps them to scan.
TABLE_ROWS = 20_000


def packed(groups: Ids, entries: Ids, members: Ids) -> Ids:
    return (groups << GROUP_SHIFT) | (entries << MEMBER_BITS) | members


def near(rng: np.random.Generator, codes: Codes, bits: NDArray[np.int64]) -> Codes:
    """Each code with so many of its bits flipped."""
    order = np.argsort(rng.random((len(codes), 256)), axis=1)
    flips = np.zeros((len(codes), 256), np.uint8)
    np.put_along_axis(flips, order, (np.arange(256)[None, :] < bits[:, None]).astype(np.uint8), axis=1)
    return np.asarray(codes ^ np.packbits(flips, axis=1))


def crowded(rng: np.random.Generator, rows: int) -> tuple[Codes, Ids]:
    """Codes of three groups: half random, half around few centres, so that owners match in many of their codes."""
    codes = rng.integers(0, 256, (rows, 32), dtype=np.uint8)
    centres = rng.integers(0, 256, (4, 32), dtype=np.uint8)
    half = rows // 2
    codes[:half] = near(rng, centres[rng.integers(0, 4, half)], rng.integers(0, 40, half))
    return codes, packed(rng.integers(1, 4, rows), rng.integers(1, rows // 20, rows), rng.integers(0, 256, rows))


def expected(
    codes: Codes, ids: Ids, queries: Codes, an_item: int, radii: dict[int, int], *, limit: int, excluded: Ids
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]], list[tuple[int, int]]]:
    """By brute force: (query_row, id, distance), (item, group, count) and (item, owner), in the order of an answer."""
    matches, counts, counted = [], [], []
    for item in range(len(queries) // an_item):
        asked = queries[item * an_item : (item + 1) * an_item]
        distances = BITS_IN_BYTE[asked[:, None, :] ^ codes[None, :, :]].sum(axis=2, dtype=np.int32)
        best, least = distances.argmin(axis=0), distances.min(axis=0)
        listed = []
        for group, radius_bits in sorted(radii.items()):
            rows = np.flatnonzero((ids >> GROUP_SHIFT == group) & (least <= radius_bits))
            hits: dict[int, tuple[int, int, int]] = {}
            for row in rows.tolist():
                owner = int(ids[row]) >> MEMBER_BITS
                hit = (int(least[row]), int(ids[row]), item * an_item + int(best[row]))
                if owner not in excluded:
                    hits[owner] = min(hit, hits.get(owner, hit))
            if hits:
                counts.append((item, group, len(hits)))
                counted += [(item, owner) for owner in sorted(hits)]
            listed += sorted(hits.values())[:limit]
        matches += [(query, code_id, bits) for bits, code_id, query in sorted(listed)]
    return matches, counts, counted


def told(found: GroupMatches) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]], list[tuple[int, ...]]]:
    def rows(*columns: NDArray[np.int64] | NDArray[np.int32]) -> list[tuple[int, ...]]:
        return list(zip(*(column.tolist() for column in columns), strict=True))

    return (
        rows(found.query_row, found.id, found.distance_bits),
        rows(found.count_item, found.count_group, found.count),
        rows(found.counted_item, found.counted_owner),
    )


def both(tmp_path: Path, codes: Codes, ids: Ids) -> list[HammingIndex | IndexFolder]:
    """The same codes in memory and on disk, in several parts: segments and a tail."""
    indexes: list[HammingIndex | IndexFolder] = [
        HammingIndex(MEMBER_BITS),
        IndexFolder(str(tmp_path / "views"), DATABASE, reset=True, member_bits=MEMBER_BITS),
    ]
    for index in indexes:
        for first, last in ((0, TABLE_ROWS), (TABLE_ROWS, len(codes) - 500), (len(codes) - 500, len(codes))):
            index.add(codes[first:last], ids[first:last])
    return indexes


@pytest.mark.parametrize("limit", [0, 1, 3, 10**6])
@pytest.mark.parametrize("an_item", [1, 8, 24])
def test_an_owner_counts_once_at_its_nearest_code(tmp_path: Path, an_item: int, limit: int):
    rng = np.random.default_rng(an_item)
    codes, ids = crowded(rng, 2 * TABLE_ROWS)
    radii = {1: 31, 2: 20, 3: 40}
    queries = near(rng, codes[rng.integers(0, TABLE_ROWS, 2 * an_item)], rng.integers(0, 30, 2 * an_item))
    excluded = np.unique(ids[rng.integers(0, TABLE_ROWS, 40)] >> MEMBER_BITS)
    groups = IdGroups(np.array(list(radii)), np.array(list(radii.values()), np.int32), GROUP_SHIFT)

    by_force = expected(codes, ids, queries, an_item, radii, limit=limit, excluded=excluded)
    assert len(by_force[2]) > 20
    for index in both(tmp_path, codes, ids):
        found = index.search_groups(queries, an_item, groups, limit, excluded, lists_counted=True)
        assert told(found) == by_force
        unlisted = index.search_groups(queries, an_item, groups, limit, excluded)
        assert told(unlisted) == (*by_force[:2], [])


def test_removing_an_owner_removes_every_code_of_it_and_no_other(tmp_path: Path):
    rng = np.random.default_rng(7)
    codes, ids = crowded(rng, 2 * TABLE_ROWS)
    gone = np.unique(ids[rng.integers(0, len(ids), 300)] >> MEMBER_BITS)
    kept = ~np.isin(ids >> MEMBER_BITS, gone)
    queries = codes[rng.integers(0, TABLE_ROWS, 8)]
    groups = IdGroups(np.array([1, 2, 3]), np.array([31, 31, 31], np.int32), GROUP_SHIFT)
    by_force = expected(codes[kept], ids[kept], queries, 8, {1: 31, 2: 31, 3: 31}, limit=50, excluded=NO_IDS)
    for index in both(tmp_path, codes, ids):
        assert index.remove(gone) == int((~kept).sum())
        assert len(index) == int(kept.sum())
        assert told(index.search_groups(queries, 8, groups, 50, NO_IDS, lists_counted=True)) == by_force
    reopened = IndexFolder(str(tmp_path / "views"), DATABASE, member_bits=MEMBER_BITS)
    assert told(reopened.search_groups(queries, 8, groups, 50, NO_IDS, lists_counted=True)) == by_force


def test_a_replaced_owner_has_its_new_codes_alone(tmp_path: Path):
    rng = np.random.default_rng(8)
    codes, ids = crowded(rng, 2 * TABLE_ROWS)
    index = both(tmp_path, codes, ids)[1]
    assert isinstance(index, IndexFolder)
    owner = int(ids[0]) >> MEMBER_BITS
    held = ids >> MEMBER_BITS == owner
    new = rng.integers(0, 256, (2, 32), dtype=np.uint8)
    new_ids = np.array([owner << MEMBER_BITS | 3, owner << MEMBER_BITS | 200])

    assert index.replace(np.array([owner]), new, new_ids, 1) == int(held.sum())

    rows, found_ids, _ = index.search(new, 0)
    assert (rows.tolist(), found_ids.tolist()) == ([0, 1], new_ids.tolist())
    assert index.search(codes[held], 0)[1].tolist() == [
        code_id for row in codes[held] for code_id in sorted(ids[~held & (codes == row).all(axis=1)].tolist())
    ]


def test_a_plain_index_lists_every_id_that_counted():
    codes = np.zeros((5, 32), np.uint8)
    index = HammingIndex()
    index.add(codes, np.array([9, 8, 7, 6, 5]))
    groups = IdGroups(np.array([0]), np.array([0], np.int32), GROUP_SHIFT)
    found = index.search_groups(codes[:2], 1, groups, 2, np.array([7]), lists_counted=True)
    assert found.id.tolist() == [5, 6, 5, 6]
    assert found.count.tolist() == [4, 4]
    assert (found.counted_item.tolist(), found.counted_owner.tolist()) == ([0] * 4 + [1] * 4, [5, 6, 8, 9] * 2)


# 4 bytes for each of a million codes; the owners' own 8 bytes and the scratch of a search are far below it.
MOST_CROWD_BYTES = 4 << 20


def test_a_crowd_of_a_million_codes_of_few_owners_is_counted_in_memory_for_the_owners():
    rng = np.random.default_rng(42)
    code = rng.integers(0, 256, (1, 32), dtype=np.uint8)
    codes = np.repeat(code, 1_000_000, axis=0)
    members = rng.permutation(len(codes))
    index = HammingIndex(MEMBER_BITS)
    index.add(codes, packed(np.ones_like(members), members // 250, members % 250))
    groups = IdGroups(np.array([1]), np.array([31], np.int32), GROUP_SHIFT)
    index.search_groups(code, 1, groups, 10, NO_IDS)
    before = peak_bytes()
    found = index.search_groups(code, 1, groups, 10, NO_IDS)
    assert peak_bytes() - before < MOST_CROWD_BYTES
    assert found.count.tolist() == [4_000]
    assert [each >> MEMBER_BITS & 0xFFFFFFFF for each in found.id.tolist()] == list(range(10))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("member_bits", [-1, 63])
def test_member_bits_that_leave_no_owner_are_refused(tmp_path: Path, member_bits: int):
    with pytest.raises(ValueError, match=f"member_bits: got {member_bits}"):
        HammingIndex(member_bits)
    with pytest.raises(ValueError, match=f"member_bits: got {member_bits}"):
        IndexFolder(str(tmp_path), DATABASE, reset=True, member_bits=member_bits)
