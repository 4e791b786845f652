"""Straight edges that go across a whole picture: where something was pasted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MAX_LINES = 4
_CLIPPED_STEP = 32
_MIN_STEP = 5.0
_MIN_RATIO = 2.0
_APART_PX = 6
_NEAR_PX = 10


@dataclass(frozen=True, slots=True)
class Lines:
    """Edges across a picture of H rows.

    Attributes:
        places: the rows that lie just below an edge, ascending; at most four.
        strongest: the one of them with the largest step; 0 when there is none.
        detail: float64[H], how much each row differs from the one before.
    """

    places: tuple[int, ...]
    strongest: int
    detail: NDArray[np.float64]


def lines_across(luma: NDArray[np.uint8]) -> Lines:
    """The strongest edges that cross the whole width between two rows.

    A pasted picture's edge is a step in nearly every column, and only there; a horizon or a roof is uneven, and texture
    steps in all rows near it too. So rows count whose steps, cut off at `_CLIPPED_STEP` so that few columns cannot make
    up for many, are in the mean at least `_MIN_RATIO` times those of the rows around.

    Args:
        luma: uint8[H, W].
    """
    above, below = luma[:-1, ::2], luma[1:, ::2]
    steps = np.minimum(np.maximum(above, below) - np.minimum(above, below), np.uint8(_CLIPPED_STEP))
    detail = np.add.reduce(steps, axis=1, dtype=np.uint32) / max(1, steps.shape[1])
    detail = np.concatenate((detail[:1], detail))
    # Reducing a picture spreads an edge over two rows.
    pairs = detail + np.concatenate((detail[1:], detail[-1:]))
    places: list[int] = []
    for row in np.argsort(-pairs)[: 3 * _MAX_LINES]:
        around = np.concatenate(
            (detail[max(0, row - _NEAR_PX) : max(0, row - 1)], detail[row + 3 : row + 3 + _NEAR_PX])
        )
        is_edge = len(around) and pairs[row] >= max(_MIN_STEP, _MIN_RATIO * 2.0 * float(np.median(around)))
        if is_edge and all(abs(int(row) - other) > _APART_PX for other in places):
            places.append(int(row) + int(row + 1 < len(detail) and detail[row + 1] > detail[row]))
    return Lines(tuple(sorted(places[:_MAX_LINES])), places[0] if places else 0, detail)
