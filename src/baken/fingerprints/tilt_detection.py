"""By how much an item was turned, from the one-coloured corners that turning leaves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_CORNER_TOLERANCE = 8
_MAX_DISAGREEMENT_DEGREES = 1.5
_MIN_DEGREES = 0.7
_MAX_DEGREES = 30.0
_MIN_LEG_PX = 3


def tilt_degrees_of(luma: NDArray[np.uint8]) -> float | None:
    """The degrees by which the picture in this canvas was turned clockwise; None when its corners do not say.

    Turning a picture in a canvas of its own size leaves a triangle in each corner. All four have the same angle, and
    their longer legs follow one another around the canvas: which way tells which way the picture was turned.

    Args:
        luma: uint8[H, W], the working luma.
    """
    angles = []
    for quarter in range(4):
        # The triangle in the upper left corner, of the picture as it is and turned by quarters.
        legs = _legs(np.rot90(luma, quarter))
        if legs is None:
            return None
        along, down = legs
        longer_is_down = down > along
        degrees = math.degrees(math.atan2(min(along, down), max(along, down)))
        angles.append(degrees if longer_is_down else -degrees)
    degrees = float(np.mean(angles))
    if max(angles) - min(angles) > _MAX_DISAGREEMENT_DEGREES or not _MIN_DEGREES <= abs(degrees) <= _MAX_DEGREES:
        return None
    return degrees


def _legs(luma: NDArray[np.uint8]) -> tuple[float, float] | None:
    """How far the corner's colour goes along the upper edge and down the left one, in pixels; None without a corner."""
    colour = int(luma[0, 0])
    along, down = _run(luma[0], colour), _run(luma[:, 0], colour)
    if min(along, down) < _MIN_LEG_PX or along >= luma.shape[1] or down >= luma.shape[0]:
        return None
    return float(along), float(down)


def _run(line: NDArray[np.uint8], colour: int) -> int:
    other = np.flatnonzero(np.abs(line.astype(np.int16) - colour) > _CORNER_TOLERANCE)
    return int(other[0]) if len(other) else len(line)
