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
class Part:
    """A smaller rectangle of the picture's own shape: `side` is its share of either side.

    `x` and `y` tell its place: 0 at the left and at the top, 1 at the right and at the bottom.
    """

    side: float
    x: float
    y: float

    def region(self, width_px: int, height_px: int) -> Region:  # noqa: ARG002 - the shape does not count
        """The part."""
        left, top = (1.0 - self.side) * self.x, (1.0 - self.side) * self.y
        return Region(left, top, left + self.side, top + self.side)


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
class StraightenedTilt:
    """The largest part of the picture's own shape that a turn by `degrees` leaves without corners.

    It is what phones leave when somebody straightens a photo.
    """

    degrees: float

    def region(self, width_px: int, height_px: int) -> Region:
        """The part: a smaller rectangle, turned the other way."""
        angle = math.radians(abs(self.degrees))
        wide = width_px * math.cos(angle) + height_px * math.sin(angle)
        high = width_px * math.sin(angle) + height_px * math.cos(angle)
        scale = min(width_px / wide, height_px / high)
        return _middle(scale, scale, -self.degrees)


@dataclass(frozen=True, slots=True)
class InnerTilt:
    """The largest part of any shape that a turn by `degrees` (positive: clockwise) leaves without corners."""

    degrees: float

    def region(self, width_px: int, height_px: int) -> Region:
        """The part: a smaller rectangle, turned the other way.

        Either two opposite corners of it touch the longer sides, or all four corners touch a side each.
        """
        sine, cosine = math.sin(math.radians(abs(self.degrees))), math.cos(math.radians(self.degrees))
        longer, shorter = max(width_px, height_px), min(width_px, height_px)
        if shorter <= 2.0 * sine * cosine * longer:
            along, across = shorter / 2.0 / sine, shorter / 2.0 / cosine
            inner_width, inner_height = (along, across) if width_px >= height_px else (across, along)
        else:
            scale = cosine * cosine - sine * sine
            inner_width = (width_px * cosine - height_px * sine) / scale
            inner_height = (height_px * cosine - width_px * sine) / scale
        return _middle(inner_width / width_px, inner_height / height_px, -self.degrees)


def _middle(width: float, height: float, tilt_degrees: float) -> Region:
    left, top = (1.0 - width) / 2.0, (1.0 - height) / 2.0
    return Region(left, top, 1.0 - left, 1.0 - top, tilt_degrees)


BankView = Part | Crop | AspectCrop | Tilt | InnerTilt | StraightenedTilt
TILTED = (Tilt, InnerTilt, StraightenedTilt)

CROPS: tuple[BankView, ...] = (
    Part(0.92, 0.5, 0.5),
    Part(0.7746, 0.5, 0.5),
    AspectCrop(1 / 1, 0.5),
    Crop(0.0, 0.5, 0.5, 1.0),
    Part(0.905, 0.75, 0.25),
    Part(0.89, 0.5, 0.5),
    Part(0.8944, 1.0, 0.0),
    Crop(0.5, 0.0, 1.0, 0.5),
    Part(0.9747, 1.0, 0.0),
    Part(0.83, 0.3333, 0.6667),
    Part(0.905, 1.0, 1.0),
    Part(0.845, 0.3333, 0.0),
    Part(0.77, 1.0, 0.0),
    Part(0.77, 1.0, 1.0),
    Part(0.77, 0.0, 1.0),
    Part(0.77, 0.0, 0.0),
    Crop(0.5, 0.5, 1.0, 1.0),
    Crop(0.0513, 0.5257, 0.5257, 1.0),
    Part(0.86, 0.6667, 0.5),
    Crop(0.4743, 0.0513, 0.9487, 0.5257),
    Crop(0.0, 0.0, 0.5, 0.5),
    Part(0.98, 1.0, 1.0),
    Part(0.875, 0.75, 0.25),
    Part(0.875, 0.75, 0.75),
    Part(0.845, 0.3333, 0.1667),
    Part(0.92, 0.5, 0.25),
    AspectCrop(5 / 4, 0.5),
    AspectCrop(5 / 4, 1.0),
    Part(0.8, 0.75, 0.75),
    AspectCrop(3 / 4, 1.0),
    Part(0.86, 0.5, 0.6667),
    AspectCrop(4 / 5, 0.5),
    Part(0.965, 0.0, 0.0),
    Crop(0.5257, 0.4743, 1.0, 0.9487),
    AspectCrop(4 / 3, 0.0),
    Crop(0.0, 0.5257, 0.4743, 1.0),
    AspectCrop(4 / 5, 0.0),
    Part(0.875, 0.5, 0.25),
    Part(0.77, 0.5, 0.75),
    AspectCrop(3 / 4, 0.0),
    AspectCrop(9 / 16, 0.5),
    Part(0.755, 0.5, 0.125),
    Part(0.8, 0.25, 0.375),
    Part(0.8, 0.75, 0.25),
    AspectCrop(1 / 1, 1.0),
    AspectCrop(9 / 16, 1.0),
    Part(0.935, 0.5, 1.0),
    AspectCrop(5 / 4, 0.0),
    AspectCrop(4 / 3, 0.5),
    Part(0.77, 0.75, 0.625),
    AspectCrop(1 / 1, 0.0),
    AspectCrop(16 / 9, 0.0),
    Part(0.845, 0.3333, 0.5),
    Part(0.815, 0.8333, 0.6667),
    Part(0.8, 0.25, 0.625),
    Part(0.815, 0.5, 0.6667),
    Part(0.77, 0.25, 0.125),
    Part(0.77, 0.25, 0.5),
    Crop(0.0, 0.0, 0.4743, 0.4743),
    Part(0.755, 0.75, 0.875),
    Part(0.8, 0.75, 0.375),
    AspectCrop(3 / 4, 0.5),
    AspectCrop(16 / 9, 1.0),
    Part(0.99, 0.5, 0.0),
    Part(0.77, 0.625, 0.25),
    Crop(0.5257, 0.0513, 1.0, 0.5257),
    Part(0.77, 0.875, 0.25),
    Part(0.785, 0.25, 0.75),
    Part(0.845, 0.5, 0.8333),
    Crop(0.0, 0.4743, 0.4743, 0.9487),
    Part(0.785, 0.375, 0.375),
    AspectCrop(16 / 9, 0.5),
    Part(0.755, 0.5, 0.875),
    Part(0.86, 0.6667, 0.1667),
    Part(0.8, 0.875, 0.75),
    Part(0.83, 1.0, 0.5),
    Part(0.755, 0.125, 0.5),
    Part(0.845, 0.5, 0.5),
    Part(0.77, 1.0, 0.75),
    Part(0.74, 0.2, 0.2),
    AspectCrop(9 / 16, 0.0),
    Part(0.83, 0.1667, 0.8333),
    Part(0.8, 0.75, 0.125),
    Part(0.74, 0.8, 0.4),
    Part(0.74, 0.4, 0.5),
    AspectCrop(4 / 3, 0.75),
    Part(0.92, 0.0, 0.25),
    Part(0.845, 0.5, 0.3333),
    Part(0.74, 0.7, 0.5),
    Part(0.74, 0.7, 0.7),
    AspectCrop(5 / 4, 0.25),
    Crop(0.05, 0.0, 0.9, 1.0),
    AspectCrop(16 / 9, 0.25),
    Part(0.8, 0.375, 0.875),
    Part(0.89, 1.0, 0.25),
    Part(0.845, 0.8333, 0.5),
)
"""The views of `ViewSet.CROPS`, the most useful first: numbers 1 to 96."""

MORE: tuple[BankView, ...] = (
    Part(0.77, 0.375, 0.125),
    Part(0.86, 0.3333, 0.3333),
    Part(0.815, 0.5, 0.0),
    Part(0.785, 1.0, 0.625),
    Part(0.77, 0.875, 0.125),
    Part(0.77, 0.625, 0.5),
    Part(0.74, 0.3, 0.5),
    Part(0.905, 0.75, 0.5),
    Crop(0.05, 0.0, 0.75, 1.0),
    Part(0.86, 0.1667, 0.6667),
    Part(0.8, 1.0, 0.125),
    Part(0.7, 0.6, 0.8),
    Crop(0.05, 0.0, 0.85, 1.0),
    Part(0.83, 0.6667, 0.1667),
    Crop(0.2, 0.0, 0.95, 1.0),
    Crop(0.08, 0.24, 0.92, 0.92),
    Part(0.86, 1.0, 0.3333),
    Part(0.83, 0.3333, 0.1667),
    Part(0.8, 0.0, 0.75),
    Part(0.8, 0.25, 1.0),
    Part(0.8, 0.875, 1.0),
    Part(0.755, 0.5, 0.0),
    Part(0.755, 0.25, 0.125),
    Part(0.755, 0.125, 0.625),
    Part(0.74, 0.5, 0.3),
    Part(0.74, 0.7, 0.8),
    Part(0.8, 0.75, 0.0),
    Part(0.92, 0.5, 0.75),
    Part(0.785, 0.375, 0.5),
    Part(0.755, 0.5, 0.375),
    Part(0.74, 0.2, 0.4),
    Part(0.74, 0.9, 0.5),
    Crop(0.15, 0.0, 0.9, 1.0),
    AspectCrop(4 / 5, 1.0),
    AspectCrop(3 / 4, 0.75),
    Part(0.83, 0.6667, 0.6667),
    Part(0.815, 0.0, 0.3333),
    Part(0.8, 0.125, 0.125),
    Part(0.8, 0.375, 0.25),
    Part(0.8, 1.0, 0.875),
    Part(0.8, 0.5, 1.0),
    Part(0.785, 0.5, 0.125),
    Part(0.785, 0.75, 0.625),
    Part(0.785, 0.125, 0.875),
    Part(0.785, 0.125, 1.0),
    Part(0.77, 0.125, 0.25),
    Part(0.77, 0.875, 0.5),
    Part(0.77, 0.25, 0.625),
    Part(0.755, 0.875, 0.875),
    Part(0.74, 0.2, 0.7),
    Part(0.74, 0.9, 0.7),
    Part(0.7, 0.3, 0.5),
    Tilt(-15.0),
    Tilt(-14.0),
    Tilt(-11.0),
    Tilt(-10.5),
    Tilt(-7.5),
    Tilt(-6.0),
    Tilt(-3.5),
    Tilt(-2.5),
    Tilt(1.0),
    Tilt(3.5),
    Tilt(5.0),
    Tilt(7.5),
    Tilt(10.0),
    Tilt(13.0),
    Tilt(14.5),
    InnerTilt(-15.5),
    InnerTilt(-14.5),
    InnerTilt(-13.0),
    InnerTilt(-12.5),
    InnerTilt(-10.5),
    InnerTilt(-9.0),
    InnerTilt(-8.5),
    InnerTilt(-6.5),
    InnerTilt(-6.0),
    InnerTilt(-4.0),
    InnerTilt(-3.0),
    InnerTilt(-1.5),
    InnerTilt(2.5),
    InnerTilt(4.0),
    InnerTilt(5.0),
    InnerTilt(6.5),
    InnerTilt(8.0),
    InnerTilt(10.0),
    InnerTilt(11.5),
    InnerTilt(13.5),
    InnerTilt(15.5),
    StraightenedTilt(-15.0),
    StraightenedTilt(-14.0),
    StraightenedTilt(-12.0),
    StraightenedTilt(-10.5),
    StraightenedTilt(-8.5),
    StraightenedTilt(-7.0),
    StraightenedTilt(-5.0),
    StraightenedTilt(-4.0),
    StraightenedTilt(2.0),
    StraightenedTilt(3.5),
    StraightenedTilt(5.5),
    StraightenedTilt(7.0),
    StraightenedTilt(8.5),
    StraightenedTilt(11.0),
    StraightenedTilt(13.0),
    StraightenedTilt(14.5),
)
"""What `ViewSet.FULL` has more: numbers 97 to 200."""

TABLE: tuple[BankView, ...] = CROPS + MORE
"""View `number` is `TABLE[number - 1]`. Entries are never changed or moved: numbers are stored with every code."""
