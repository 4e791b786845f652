"""The Hamming index against a NumPy brute-force search."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baken import _native

Codes = NDArray[np.uint8]
Ids = NDArray[np.int64]
Found = tuple[NDArray[np.int64], Ids, NDArray[np.int32]]

# Above this many codes in one add the index builds hash tables; below, it keeps them to scan.
TABLE_ROWS = 20_000

BITS_IN_BYTE = np.array([byte.bit_count() for byte in range(256)], np.uint8)

KINDS = ("random", "clustered", "duplicated", "zero", "one")
RADII = (*range(65), 100, 128, 255, 256)


@pytest.fixture(params=_native.instruction_paths())
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _native.instruction_path()
    _native.set_instruction_path(request.param)
    yield request.param
    _native.set_instruction_path(before)


def random_codes(rng: np.random.Generator, count: int) -> Codes:
    return rng.integers(0, 256, (count, 32), dtype=np.uint8)


def flipped(rng: np.random.Generator, codes: Codes, most_bits: int) -> Codes:
    """Each code with 0 to `most_bits` of its bits flipped."""
    result = codes.copy()
    for row in result:
        for bit in rng.choice(256, rng.integers(0, most_bits + 1), replace=False):
            row[bit // 8] ^= 1 << (bit % 8)
    return result


def codes_of(kind: str, rng: np.random.Generator, count: int) -> Codes:
    match kind:
        case "random":
            return random_codes(rng, count)
        case "clustered":
            centres = random_codes(rng, 8)[rng.integers(0, 8, count)]
            sparse = random_codes(rng, count) & random_codes(rng, count) & random_codes(rng, count)
            return centres ^ (sparse & random_codes(rng, count))  # about 16 of 256 bits flipped
        case "duplicated":
            return random_codes(rng, 3)[rng.integers(0, 3, count)]
        case "zero":
            return np.zeros((count, 32), np.uint8)
        case _:
            return np.full((count, 32), 255, np.uint8)


def queries_for(rng: np.random.Generator, codes: Codes, count: int, most_bits: int = 64) -> Codes:
    planted = flipped(rng, codes[rng.integers(0, len(codes), count)], most_bits)
    return np.concatenate([planted, random_codes(rng, 1)])


def brute_force(codes: Codes, ids: Ids, queries: Codes, radius_bits: int) -> Found:
    distances = BITS_IN_BYTE[queries[:, None, :] ^ codes[None, :, :]].sum(axis=2, dtype=np.int32)
    query_row, row = np.nonzero(distances <= radius_bits)
    distance_bits = distances[query_row, row]
    order = np.lexsort((ids[row], distance_bits, query_row))
    return query_row[order], ids[row][order], distance_bits[order]


def same(found: Found, expected: Found) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(found, expected, strict=True))


def index_of(codes: Codes, ids: Ids) -> _native.HammingIndex:
    index = _native.HammingIndex()
    index.add(codes, ids)
    return index


@pytest.mark.parametrize("kind", KINDS)
def test_every_radius_equals_brute_force(kind: str, path: str) -> None:
    rng = np.random.default_rng(KINDS.index(kind))
    mixed = [codes_of(kind, rng, TABLE_ROWS // 2), random_codes(rng, TABLE_ROWS // 2)]
    codes = np.concatenate(mixed)
    ids = rng.integers(-(2**62), 2**62, len(codes))
    index = index_of(codes, ids)
    queries = queries_for(rng, codes, 2)
    everything = brute_force(codes, ids, queries, 256)
    for radius_bits in RADII:
        within = everything[2] <= radius_bits
        expected = (everything[0][within], everything[1][within], everything[2][within])
        assert same(index.search(queries, radius_bits), expected), (path, radius_bits)


@pytest.mark.parametrize("radius_bits", [0, 5, 10, 11, 31, 40])
def test_a_large_index_finds_every_planted_code(radius_bits: int, path: str) -> None:
    rng = np.random.default_rng(radius_bits)
    codes = random_codes(rng, 150_000)
    ids = np.arange(len(codes))
    queries = queries_for(rng, codes, 3, most_bits=radius_bits)
    found = index_of(codes, ids).search(queries, radius_bits)
    assert same(found, brute_force(codes, ids, queries, radius_bits)), path
    assert len(found[0]) >= 3


# A code exactly `radius_bits` away whose flips are spread evenly over the code is the hardest one for hash tables: no
# stretch of it is closer to the query than the tables must look.
@pytest.mark.parametrize("radius_bits", range(65))
def test_a_code_at_exactly_the_radius_with_spread_flips_is_found(radius_bits: int) -> None:
    rng = np.random.default_rng(radius_bits)
    codes = random_codes(rng, TABLE_ROWS)
    queries = codes[:40].copy()
    for shift, query in enumerate(queries):
        for flip in range(radius_bits):
            bit = (flip * 256 // radius_bits + shift * 7) % 256
            query[bit // 8] ^= 1 << (bit % 8)
    query_row, found, distance_bits = index_of(codes, np.arange(TABLE_ROWS)).search(queries, radius_bits)
    nearest = found[(distance_bits == radius_bits) & (found == query_row)]
    assert np.array_equal(nearest, np.arange(40))


@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(
        st.tuples(st.sampled_from(("add", "remove", "add again")), st.integers(1, 9000), st.sampled_from(KINDS)),
        min_size=1,
        max_size=8,
    ),
    radius_bits=st.sampled_from(RADII),
)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_order_of_adds_and_removals_equals_brute_force(
    seed: int, steps: list[tuple[str, int, str]], radius_bits: int
) -> None:
    rng = np.random.default_rng(seed)
    index = _native.HammingIndex()
    codes, ids = np.empty((0, 32), np.uint8), np.empty(0, np.int64)
    for action, count, kind in steps:
        if action == "remove":
            gone = rng.integers(0, 6000, count // 4)
            kept = ~np.isin(ids, gone)
            assert index.remove(gone) == len(ids) - kept.sum()
            codes, ids = codes[kept], ids[kept]
            continue
        more = codes[: count % 500] if action == "add again" else codes_of(kind, rng, count)
        more_ids = rng.integers(0, 6000, len(more))
        index.add(more, more_ids)
        codes, ids = np.concatenate([codes, more]), np.concatenate([ids, more_ids])
    assert len(index) == len(ids)
    queries = queries_for(rng, codes, 2) if len(codes) else random_codes(rng, 2)
    assert same(index.search(queries, radius_bits), brute_force(codes, ids, queries, radius_bits))


def within(found: Found, limit: int) -> tuple[Found, list[int]]:
    """The first `limit` matches of each query, which are the nearest, and how many each has."""
    queries, place, counts = np.unique(found[0], return_index=True, return_counts=True)
    kept = np.arange(len(found[0])) - np.repeat(place, counts) < limit
    by_query = dict(zip(queries.tolist(), counts.tolist(), strict=True))
    last = int(queries[-1]) + 1 if len(queries) else 0
    return (found[0][kept], found[1][kept], found[2][kept]), [by_query.get(row, 0) for row in range(last)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [0, 1, 7, 1000, 10**9])
def test_the_nearest_are_the_first_of_all_and_the_count_is_exact(kind: str, limit: int) -> None:
    rng = np.random.default_rng(KINDS.index(kind) + 40)
    codes = np.concatenate([codes_of(kind, rng, TABLE_ROWS), random_codes(rng, TABLE_ROWS)])
    ids = rng.integers(0, 5000, len(codes))
    index = index_of(codes, ids)
    gone = rng.integers(0, 5000, 500)
    index.remove(gone)
    kept = ~np.isin(ids, gone)
    queries = queries_for(rng, codes, 6)
    for radius_bits in (0, 11, 31, 64, 128):
        expected, counts = within(brute_force(codes[kept], ids[kept], queries, radius_bits), limit)
        found = index.search_nearest(queries, radius_bits, limit)
        assert same((found.query_row, found.id, found.distance_bits), expected), radius_bits
        assert found.match_count.tolist()[: len(counts)] == counts
        assert not found.match_count[len(counts) :].any()


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    limit=st.sampled_from([0, 1, 3, 10**6]),
    radii=st.lists(st.integers(0, 64), min_size=3, max_size=3),
)
@settings(max_examples=40, derandomize=True, deadline=None)
def test_an_item_of_eight_codes_counts_each_row_once_in_its_group(
    seed: int, kind: str, limit: int, radii: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    codes = np.concatenate([codes_of(kind, rng, 8_000), random_codes(rng, 12_000)])
    ids = (rng.integers(0, 5, len(codes)) << 40) | rng.integers(0, 3000, len(codes))
    groups = np.array([0, 2, 3])
    excluded = ids[rng.integers(0, len(ids), 50)]
    queries = np.concatenate([queries_for(rng, codes, 7), queries_for(rng, codes, 7)])
    argument = _native.IdGroups(groups, np.array(radii, np.int32), 40)
    found = index_of(codes, ids).search_groups(queries, 8, argument, limit, excluded)

    rows, id_rows, bits, counts = [], [], [], []
    for first in (0, 8):
        distances = BITS_IN_BYTE[queries[first : first + 8, None, :] ^ codes[None, :, :]].sum(axis=2, dtype=np.int32)
        best = distances.argmin(axis=0)
        least = distances.min(axis=0)
        hits = []
        for group, radius_bits in zip(groups.tolist(), radii, strict=True):
            counted = np.flatnonzero((ids >> 40 == group) & (least <= radius_bits) & ~np.isin(ids, excluded))
            ranked = sorted((int(least[row]), int(ids[row]), first + int(best[row])) for row in counted)
            hits += ranked[:limit]
            counts += [(first // 8, group, len(counted))] if len(counted) else []
        for distance, code_id, query in sorted(hits):
            rows.append(query)
            id_rows.append(code_id)
            bits.append(distance)
    assert (found.query_row.tolist(), found.id.tolist(), found.distance_bits.tolist()) == (rows, id_rows, bits)
    got = (found.count_item.tolist(), found.count_group.tolist(), found.count.tolist())
    assert list(zip(*got, strict=True)) == counts


def test_a_batch_finds_what_one_query_after_the_other_finds(path: str) -> None:
    rng = np.random.default_rng(41)
    codes = np.concatenate([random_codes(rng, 1_100_000), np.repeat(random_codes(rng, 1), 5_000, axis=0)])
    index = index_of(codes, np.arange(len(codes)))
    # Enough for tables to be gone through slice by slice.
    planted = flipped(rng, codes[rng.integers(0, len(codes), 340)], 31)
    turned = np.packbits(
        np.unpackbits(planted[:100], axis=1).reshape(-1, 16, 16).transpose(0, 2, 1).reshape(100, -1), axis=1
    )
    queries = np.concatenate(
        [planted, turned, random_codes(rng, 250), flipped(rng, np.repeat(codes[-1:], 10, axis=0), 31)]
    )
    batch = index.search_nearest(queries, 31, 5)
    single = [index.search_nearest(query.reshape(1, -1), 31, 5) for query in queries]
    assert batch.id.tolist() == [each for one in single for each in one.id.tolist()], path
    assert batch.match_count.tolist() == [each for one in single for each in one.match_count.tolist()]


# What an answer may take beside the codes: the limit's matches and the scratch of a search, not the crowd's.
MOST_CROWD_BYTES = 8 << 20


@pytest.mark.parametrize("crowd", ["equal", "near", "zero", "one bucket"])
def test_a_crowd_of_a_million_is_counted_in_bounded_memory(crowd: str) -> None:
    rng = np.random.default_rng(42)
    code = random_codes(rng, 1)
    codes = np.repeat(np.zeros((1, 32), np.uint8) if crowd == "zero" else code, 1_000_000, axis=0)
    if crowd == "near":
        codes[np.arange(len(codes)), rng.integers(0, 32, len(codes))] ^= np.uint8(1)
    if crowd == "one bucket":
        codes[:, 3:] = rng.integers(0, 256, (len(codes), 29), dtype=np.uint8)
    index = index_of(codes, np.arange(len(codes))[::-1].copy())
    query = np.zeros((1, 32), np.uint8) if crowd == "zero" else code
    index.search_nearest(query, 31, 10)
    before = peak_bytes()
    found = index.search_nearest(query, 31, 10)
    assert peak_bytes() - before < MOST_CROWD_BYTES
    expected = int((BITS_IN_BYTE[codes ^ query].sum(axis=1) <= 31).sum())
    assert found.match_count.tolist() == [expected]
    if crowd in {"equal", "zero"}:
        assert found.id.tolist() == list(range(10))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_the_plan_of_an_index_says_how_each_part_is_searched(path: str) -> None:
    rng = np.random.default_rng(43)
    index = index_of(random_codes(rng, 300_000), np.arange(300_000))
    index.add(random_codes(rng, 10), np.arange(10))
    index.remove(np.arange(5))
    segment, tail = index.explain(31)
    assert (segment.rows, segment.removed_rows, tail.rows, tail.removed_rows) == (300_000, 5, 10, 5), path
    assert tail.is_scanned
    assert not segment.is_scanned
    assert sum(radius + 1 for radius in segment.table_radii) == 32
    assert 0 < segment.candidates < segment.postings
    assert 0 < segment.cost_us < 300_000
    assert index.explain(256)[0].is_scanned
    assert index.explain(256)[0].table_radii == []
    with pytest.raises(ValueError, match="radius_bits: got 257"):
        index.explain(257)


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_wrong_limit_item_or_group_is_refused(tmp_path: Path, on_disk: bool) -> None:
    index = _native.IndexFolder(str(tmp_path), "a database", reset=True) if on_disk else _native.HammingIndex()
    codes = np.zeros((3, 32), np.uint8)
    groups = _native.IdGroups(np.array([1, 2]), np.array([3, 3], np.int32), 40)
    none = np.empty(0, np.int64)
    with pytest.raises(ValueError, match="limit: got -1"):
        index.search_nearest(codes, 31, -1)
    for codes_an_item in (0, 2, -3):
        with pytest.raises(ValueError, match="codes_an_item"):
            index.search_groups(codes, codes_an_item, groups, 1, none)
    for wrong in (np.array([2, 1]), np.array([1]), np.array([1, 1])):
        with pytest.raises(ValueError, match="groups: expected ascending"):
            _native.IdGroups(wrong, np.array([3, 3], np.int32), 40)


def test_many_small_adds_equal_one_large_add() -> None:
    rng = np.random.default_rng(3)
    codes = codes_of("clustered", rng, 50_000)
    ids = rng.integers(0, 1000, len(codes))
    pieces = _native.HammingIndex()
    for first in range(0, len(codes), 77):
        pieces.add(codes[first : first + 77], ids[first : first + 77])
    queries = queries_for(rng, codes, 20)
    assert len(pieces) == len(codes)
    assert same(pieces.search(queries, 31), index_of(codes, ids).search(queries, 31))


def test_a_removed_code_is_gone_at_once_and_comes_back_when_added_again() -> None:
    rng = np.random.default_rng(4)
    codes = random_codes(rng, TABLE_ROWS)
    index = index_of(codes, np.arange(TABLE_ROWS))
    seven = np.array([7])
    assert index.search(codes[7:8], 0)[1].tolist() == [7]
    assert index.remove(seven) == 1
    assert index.search(codes[7:8], 0)[1].tolist() == []
    assert index.remove(seven) == 0
    index.add(codes[7:8], seven)
    assert index.search(codes[7:8], 0)[1].tolist() == [7]


def test_removing_most_codes_gives_their_memory_back() -> None:
    rng = np.random.default_rng(5)
    codes = random_codes(rng, 100_000)
    index = index_of(codes, np.arange(len(codes)))
    before = index.memory_bytes
    assert index.remove(np.arange(90_000)) == 90_000
    assert index.memory_bytes < before / 3
    assert same(
        index.search(codes[90_000:90_003], 31), (np.arange(3), np.arange(90_000, 90_003), np.zeros(3, np.int32))
    )


def test_every_code_of_a_repeated_id_is_found_and_removed() -> None:
    rng = np.random.default_rng(6)
    codes = random_codes(rng, TABLE_ROWS)
    index = index_of(codes, np.full(TABLE_ROWS, -5))
    assert index.search(codes[[0, 9, TABLE_ROWS - 1]], 31)[1].tolist() == [-5, -5, -5]
    assert index.remove(np.array([-5, -5])) == TABLE_ROWS
    assert len(index) == 0


def test_a_large_index_takes_at_most_96_bytes_an_entry() -> None:
    codes = random_codes(np.random.default_rng(7), 500_000)
    index = index_of(codes, np.arange(len(codes)))
    fixed_bytes = _native.HammingIndex().memory_bytes
    assert (index.memory_bytes - fixed_bytes) / len(codes) <= 96


def test_an_empty_index_or_an_empty_query_finds_nothing() -> None:
    index = _native.HammingIndex()
    codes = random_codes(np.random.default_rng(8), 4)
    assert [column.size for column in index.search(codes, 256)] == [0, 0, 0]
    index.add(codes[:0], np.empty(0, np.int64))
    assert (len(index), index.remove(np.empty(0, np.int64))) == (0, 0)
    index.add(codes, np.arange(4))
    assert [column.size for column in index.search(codes[:0], 31)] == [0, 0, 0]


@pytest.mark.parametrize("radius_bits", [-1, 257, 2**31 - 1])
def test_a_radius_outside_0_to_256_is_refused_with_the_limits(radius_bits: int) -> None:
    with pytest.raises(ValueError, match=f"radius_bits: got {radius_bits}, expected 0 to 256"):
        _native.HammingIndex().search(np.zeros((1, 32), np.uint8), radius_bits)


def test_readers_beside_a_writer_see_at_least_what_was_before_and_at_most_what_is_after() -> None:
    rng = np.random.default_rng(9)
    centre = random_codes(rng, 1)
    index = _native.HammingIndex()
    batches = 60
    started, finished = (
        0,
        0,
    )  # the writer's batches: an id below `finished` is surely in, one from `started` on surely not
    problems: list[str] = []

    def write() -> None:
        nonlocal started, finished
        for batch in range(batches):
            codes = np.concatenate([random_codes(rng, 999), centre])
            started = batch + 1
            index.add(codes, np.full(1000, batch))
            finished = batch + 1

    def read() -> None:
        surely = 0
        while surely < batches:
            surely = finished
            found = set(index.search(centre, 31)[1].tolist())
            possibly = started
            if not set(range(surely)) <= found <= set(range(possibly)):
                problems.append(f"{surely} {possibly} {sorted(found)}")

    threads = [threading.Thread(target=target) for target in (write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert index.search(centre, 0)[1].tolist() == list(range(batches))


def test_concurrent_searches_give_what_one_search_gives() -> None:
    rng = np.random.default_rng(10)
    codes = codes_of("clustered", rng, 40_000)
    index = index_of(codes, np.arange(len(codes)))
    queries = queries_for(rng, codes, 30)
    expected = index.search(queries, 31)
    results: list[Found] = []
    threads = [threading.Thread(target=lambda: results.append(index.search(queries, 31))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(same(result, expected) for result in results)
