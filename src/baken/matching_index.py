"""What a search of the known entries needs of an index, whether it lies in memory or on disk."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from baken._native import GroupMatches, IdGroups, NearestMatches, SearchPlan


class CodeIndex(Protocol):
    """`HammingIndex` and `IndexFolder` have it."""

    @property
    def memory_bytes(self) -> int:
        """Memory of this process."""

    def __len__(self) -> int: ...

    def add(self, codes: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        """Add codes under ids."""

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove every code of the ids, or owners."""

    def search(
        self, codes: NDArray[np.uint8], radius_bits: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Find every code at most `radius_bits` from each query."""

    def search_nearest(self, codes: NDArray[np.uint8], radius_bits: int, limit: int) -> NearestMatches:
        """Find the nearest codes of each query, and count the others."""

    def search_groups(
        self,
        codes: NDArray[np.uint8],
        codes_an_item: int,
        groups: IdGroups,
        limit: int,
        excluded_ids: NDArray[np.int64],
        *,
        lists_counted: bool = False,
    ) -> GroupMatches:
        """Find the nearest codes of each group for each item, and count the others."""

    def explain(self, radius_bits: int) -> list[SearchPlan]:
        """How each part would be searched."""
