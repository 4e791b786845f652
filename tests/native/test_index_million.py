"""A million codes on disk against brute force: what the tables of a large segment find, with rows removed and added."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from baken._native import IndexBuild, IndexFolder

COUNT = 1_000_000
REMOVED = slice(0, COUNT, 7)


@pytest.fixture(scope="module")
def codes() -> NDArray[np.uint8]:
    return np.random.default_rng(20).integers(0, 256, (COUNT, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def index(codes: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> IndexFolder:
    """Built in chunks from a stream, then changed: every seventh code removed, and every hundredth added again."""
    folder = tmp_path_factory.mktemp("million")
    made = IndexFolder(str(folder), "a database", reset=True)
    ids = np.arange(COUNT, dtype=np.int64)
    build = IndexBuild(made)
    for start in range(0, COUNT, 100_000):
        build.add(codes[start : start + 100_000], ids[start : start + 100_000])
    build.finish(1, 0)
    build.close()
    made.remove(np.ascontiguousarray(ids[REMOVED]))
    made.add(np.ascontiguousarray(codes[::100]), np.ascontiguousarray(ids[::100] + COUNT))
    return made


def planted(codes: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Codes of the index with 0 to 45 bits flipped, and as many that are near none."""
    rng = np.random.default_rng(21)
    near = np.unpackbits(codes[rng.integers(0, COUNT, count)], axis=1)
    for row, flipped in enumerate(np.linspace(0, 45, count).astype(int)):
        near[row, rng.choice(256, flipped, replace=False)] ^= 1
    return np.concatenate([np.packbits(near, axis=1), rng.integers(0, 256, (count, 32), dtype=np.uint8)])


@pytest.mark.parametrize("radius_bits", [0, 31, 45])
def test_a_million_codes_are_found_as_brute_force_finds_them(
    index: IndexFolder, codes: NDArray[np.uint8], radius_bits: int
) -> None:
    alive = np.ones(COUNT, bool)
    alive[REMOVED] = False
    held = np.concatenate([np.flatnonzero(alive), np.arange(0, COUNT, 100) + COUNT])
    words = codes.view(np.uint64)[held % COUNT]
    queries = planted(codes, 20)
    expected = []
    for row, query in enumerate(queries.view(np.uint64)):
        bits = np.bitwise_count(words ^ query).sum(axis=1, dtype=np.int64)
        near = np.flatnonzero(bits <= radius_bits)
        expected += sorted(zip([row] * len(near), bits[near].tolist(), held[near].tolist(), strict=True))

    rows, ids, distances = index.search(queries, radius_bits)

    found = list(zip(rows.tolist(), distances.tolist(), ids.tolist(), strict=True))
    assert found == expected
    assert len(expected) >= radius_bits // 3
