"""The peer of the lookups: faiss's flat scan, which looks at every code and so cannot miss one either."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from baken.model import DEFAULT_RADIUS_BITS, PDQ_BITS
from bench.codes import Codes

Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]
"""Query row, id and distance in bits of each match, as `HammingIndex.search` returns them."""


class FlatScan:
    """`IndexBinaryFlat` on one thread; an id is a row of the codes of all chunks."""

    def __init__(self, faiss: ModuleType, chunks: Iterable[Codes]) -> None:
        faiss.omp_set_num_threads(1)
        self._index = faiss.IndexBinaryFlat(PDQ_BITS)
        for codes in chunks:
            self._index.add(codes)

    def search(self, queries: Codes) -> object:
        """Everything within Baken's default radius, in faiss's own form: what is timed."""
        # faiss counts distances below its radius, Baken distances up to it.
        return self._index.range_search(queries, DEFAULT_RADIUS_BITS + 1)

    def found(self, queries: Codes) -> Found:
        """The same in Baken's form, in any order."""
        limits, distances, ids = self._index.range_search(queries, DEFAULT_RADIUS_BITS + 1)
        rows = np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64)))
        return rows, ids, distances.astype(np.int32)


def count_differing(ours: Found, theirs: Found) -> int:
    """How many matches only one side found, or found at another distance."""
    return int(np.setxor1d(_packed(ours), _packed(theirs)).size)


def _packed(found: Found) -> NDArray[np.int64]:
    """One number a match: 9 bits of distance, 32 of id, the rest query row."""
    rows, ids, distances = found
    packed: NDArray[np.int64] = (rows << 41) | (ids << 9) | distances
    return packed
