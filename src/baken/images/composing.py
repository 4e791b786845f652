"""Drawing the frames of an animation over each other, in luma: opacity blends luma as it blends the colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from baken.images.animation import Disposal, Step
from baken.images.container import Container, Placement
from baken.images.luma import Lumas, shown

Bytes2d = NDArray[np.uint8]
_OPAQUE, _CLEAR = 255, 0


class Canvas:
    """What a viewer has drawn so far: straight luma and opacity, uint8[H, W] each."""

    def __init__(self, size: Container) -> None:
        shape = (size.height_px, size.width_px)
        self._container = replace(size, frame=None, crop=None)
        self._luma, self._opacity = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8)
        self._after: tuple[tuple[slice, slice], Bytes2d | int, Bytes2d | int] | None = None

    def clear(self) -> None:
        """Back to the empty canvas."""
        self._luma[:], self._opacity[:], self._after = _CLEAR, _CLEAR, None

    def draw(self, step: Step, luma: Bytes2d, opacity: Bytes2d | None) -> None:
        """One frame, after what its predecessor asked for is done; what lies beyond the canvas is left out."""
        self.dispose()
        where = self._area(step.placement)
        under_luma, under_opacity = self._luma[where], self._opacity[where]
        height, width = under_luma.shape
        luma = luma[:height, :width]
        opacity = np.full_like(luma, _OPAQUE) if opacity is None else opacity[:height, :width]
        if step.disposal is Disposal.RESTORE:
            self._after = (where, under_luma.copy(), under_opacity.copy())
        elif step.disposal is Disposal.CLEAR:
            self._after = (where, _CLEAR, _CLEAR)
        if step.blends:
            luma, opacity = _over(luma, opacity, under_luma, under_opacity)
        self._luma[where], self._opacity[where] = luma, opacity

    def dispose(self) -> None:
        """What the last frame asked for; drawing does it by itself."""
        if self._after is not None:
            where, luma, opacity = self._after
            self._luma[where], self._opacity[where], self._after = luma, opacity, None

    def shown(self) -> Lumas:
        """What a viewer sees now."""
        opacity = None if int(self._opacity.min()) == _OPAQUE else self._opacity
        lumas = shown(self._luma, opacity, self._container)
        return Lumas(lumas.over_white.copy()) if np.shares_memory(lumas.over_white, self._luma) else lumas

    def _area(self, place: Placement) -> tuple[slice, slice]:
        return slice(place.top_px, place.top_px + place.height_px), slice(place.left_px, place.left_px + place.width_px)


def _over(luma: Bytes2d, opacity: Bytes2d, under_luma: Bytes2d, under_opacity: Bytes2d) -> tuple[Bytes2d, Bytes2d]:
    """Porter and Duff's over, on straight (not premultiplied) samples."""
    if not ((opacity != _CLEAR) & (opacity != _OPAQUE)).any():
        seen = opacity == _OPAQUE
        return np.where(seen, luma, under_luma), np.where(seen, opacity, under_opacity)
    top = opacity.astype(np.float32) / _OPAQUE
    below = under_opacity.astype(np.float32) / _OPAQUE * (1 - top)
    both = top + below
    mixed = (luma * top + under_luma * below) / np.where(both > 0, both, 1)
    return np.rint(mixed).astype(np.uint8), np.rint(both * _OPAQUE).astype(np.uint8)
