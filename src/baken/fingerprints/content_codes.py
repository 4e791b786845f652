"""The PDQ of parts of a picture, in all orientations, and those of its content boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from baken import _native
from baken.copies import FIRST_FRAME, FrameRef, QueryViews, Region, View
from baken.fingerprints.content_boxes import content_views


def codes_of(
    luma: NDArray[np.uint8], regions: Sequence[Region], *, repeat_edge: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """PDQ in eight orientations, uint8[N, 8, 32], and quality in percent, uint8[N], of each region."""
    numbers = [(r.left, r.top, r.right, r.bottom, r.tilt_degrees) for r in regions]
    return _native.pdq_regions(luma, np.array(numbers, np.float64).reshape(-1, 5), repeat_edge)


def content_codes(luma: NDArray[np.uint8], frame: FrameRef, *, min_quality_percent: int) -> QueryViews:
    """The content boxes of one of an item's pictures that are rich enough.

    Args:
        luma: uint8[H, W], its working luma.
        frame: which picture it is.
        min_quality_percent: boxes that are plainer are left out.
    """
    boxes = content_views(luma)
    codes, quality = codes_of(luma, [box.region for box in boxes], repeat_edge=True)
    rich = np.flatnonzero(quality >= min_quality_percent)
    return QueryViews(tuple(of_frame(boxes[row], frame) for row in rich), codes[rich])


def of_frame(view: View, frame: FrameRef) -> View:
    """The same view of another of a file's pictures."""
    return view if frame == FIRST_FRAME else replace(view, frame=frame)
