"""The numbered table of a banked picture's views: fixed, since numbers are stored with every code."""

from __future__ import annotations

import math
from dataclasses import dataclass

from baken.copies import Region


@dataclass(frozen=True, slots=True)
class Crop:
    """A part in fractions of width and height, whatever the shape of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def region(self, width_px: int, height_px: int) -> Region:  # noqa: ARG002 - the shape does not count
        """The part."""
        return Region(self.left, self.top, self.right, self.bottom)


@dataclass(frozen=True, slots=True)
class AspectCrop:
    """The largest part with a given shape: `aspect` is its width divided by its height.

    `position` is 0 for its place at the left or top, 1 at the right or bottom.
    """

    aspect: float
    position: float = 0.5

    def region(self, width_px: int, height_px: int) -> Region:
        """The part, of a picture of this size."""
        share = self.aspect * height_px / width_px
        if share <= 1.0:
            left = (1.0 - share) * self.position
            return Region(left, 0.0, left + share, 1.0)
        top = (1.0 - 1.0 / share) * self.position
        return Region(0.0, top, 1.0, top + 1.0 / share)


@dataclass(frozen=True, slots=True)
class Tilt:
    """The picture turned by `degrees` (positive: clockwise), as far as a canvas of its own size shows it.

    The corners that the turned picture leaves are black.
    """

    degrees: float

    def region(self, width_px: int, height_px: int) -> Region:  # noqa: ARG002 - the shape does not count
        """What the canvas shows: the rectangle turned the other way, beyond the picture at its corners."""
        return Region(tilt_degrees=-self.degrees)


@dataclass(frozen=True, slots=True)
class InnerTilt:
    """The largest part of the picture's own shape that a turn by `degrees` leaves without corners."""

    degrees: float

    def region(self, width_px: int, height_px: int) -> Region:
        """The part: a smaller rectangle of the same shape, turned the other way."""
        angle = math.radians(abs(self.degrees))
        wide = width_px * math.cos(angle) + height_px * math.sin(angle)
        high = width_px * math.sin(angle) + height_px * math.cos(angle)
        scale = min(width_px / wide, height_px / high)
        cut = (1.0 - scale) / 2.0
        return Region(cut, cut, 1.0 - cut, 1.0 - cut, -self.degrees)


BankView = Crop | AspectCrop | Tilt | InnerTilt


def _centred(share: float) -> Crop:
    """The middle with this share of the area."""
    cut = (1.0 - math.sqrt(share)) / 2.0
    return Crop(cut, cut, 1.0 - cut, 1.0 - cut)


def _cut(side: str, share: float) -> Crop:
    sides = {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}
    sides[side] = share if side in ("left", "top") else 1.0 - share
    return Crop(**sides)


def _grid(side_share: float, steps: int) -> tuple[Crop, ...]:
    starts = [(1.0 - side_share) * step / (steps - 1) for step in range(steps)]
    return tuple(Crop(x, y, x + side_share, y + side_share) for y in starts for x in starts)


CROPS: tuple[BankView, ...] = (
    *(_centred(share) for share in (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45)),
    *(_cut(side, share) for share in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3) for side in ("left", "top", "right", "bottom")),
    *(AspectCrop(aspect, position) for aspect in (1.0, 4 / 5, 5 / 4, 16 / 9, 9 / 16) for position in (0.0, 0.5, 1.0)),
    *_grid(0.5, 3),
)
"""The views of `ViewSet.CROPS`: numbers 1 to their count."""

TILTS: tuple[BankView, ...] = (
    *(Tilt(sign * degrees) for degrees in (1.5, 3, 4.5, 6, 8, 10, 12, 14, 16) for sign in (-1, 1)),
    *(InnerTilt(sign * degrees) for degrees in (1.5, 3, 4.5, 6, 8, 10, 12, 14, 16) for sign in (-1, 1)),
)
"""What `ViewSet.FULL` has more."""

TABLE: tuple[BankView, ...] = CROPS + TILTS
"""View `number` is `TABLE[number - 1]`. Entries are never changed or moved: numbers are stored with every code."""
