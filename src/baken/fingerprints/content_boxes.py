"""Where the copied picture may lie within an item: inside borders, bars, frames and what a phone draws around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baken.copies import Region, View, ViewKind

_UNIFORM_RANGE = 12
_MIN_SHARE = 0.2


def content_views(luma: NDArray[np.uint8]) -> tuple[View, ...]:
    """The parts of an item that look like a picture with something put around it, the likeliest first.

    Args:
        luma: uint8[H, W], the working luma.
    """
    height, width = luma.shape
    top, bottom = _inside(luma)
    left, right = _inside(luma[top:bottom].T)
    if (top, bottom, left, right) == (0, height, 0, width):
        return ()
    if bottom - top < _MIN_SHARE * height or right - left < _MIN_SHARE * width:
        return ()
    return (View(ViewKind.TRIMMED, Region(left / width, top / height, right / width, bottom / height)),)


def _inside(luma: NDArray[np.uint8]) -> tuple[int, int]:
    """The first row that is not uniform, and the one after the last."""
    spread = luma.max(axis=1).astype(np.int16) - luma.min(axis=1)
    rows = np.flatnonzero(spread > _UNIFORM_RANGE)
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, len(luma))
