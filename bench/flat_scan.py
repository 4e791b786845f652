"""faiss's flat scan as the peer that cannot miss: how it is made, and whether an index finds the same."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from baken.model import DEFAULT_RADIUS_BITS, PDQ_BITS
from bench.codes import Codes
from bench.scenario import Figure, Goal, GoalKind, plain


class Searchable(Protocol):
    """An index of ours."""

    def search(self, codes: Codes, radius_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Every (query row, id, distance) within the radius."""


def flat_index(faiss: ModuleType, chunks: Iterable[Codes]) -> Any:  # noqa: ANN401 - faiss has no types
    """A flat index of the codes of all chunks, on one thread."""
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexBinaryFlat(PDQ_BITS)
    for codes in chunks:
        flat.add(codes)
    return flat


def agreement(index: Searchable, flat: Any, queries: Codes) -> Figure:  # noqa: ANN401 - faiss has no types
    """How many matches only one of the two finds; ids of ours are row numbers."""
    rows, ids, distances = index.search(queries, DEFAULT_RADIUS_BITS)
    ours = set(zip(rows.tolist(), ids.tolist(), distances.tolist(), strict=True))
    # faiss counts distances below its radius, Baken distances up to it.
    limits, flat_distances, flat_ids = flat.range_search(queries, DEFAULT_RADIUS_BITS + 1)
    flat_rows = np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64)))
    theirs = set(zip(flat_rows.tolist(), flat_ids.tolist(), flat_distances.astype(np.int64).tolist(), strict=True))
    name = f"matches that differ from the flat scan's {len(theirs):,}"
    return plain(name, "matches", len(ours ^ theirs), goal=Goal(GoalKind.OURS_AT_MOST, 0))
