"""Many views of one file, so that a part of a picture, or a whole that something was put around, is found by its PDQ.

A banked picture is seen in the numbered views of `view_table`; an item in the parts that may be the copied picture.
Other pictures of either side's file, frames for example, are views too, each as a whole. Codes of parts are computed
from the working luma (`images.reduced`): PDQ looks at 64 x 64 averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from baken.copies import (
    FIRST_FRAME,
    FIRST_FRAME_VIEW,
    MAX_BANKED_FRAMES,
    WHOLE_VIEW,
    BankViews,
    FrameRef,
    QueryViews,
    Region,
    View,
    ViewKind,
    ViewSet,
)
from baken.fingerprints.content_boxes import MAX_CONTENT_VIEWS, content_views
from baken.fingerprints.content_codes import codes_of, of_frame
from baken.fingerprints.pictures import Shown
from baken.fingerprints.tilt_detection import tilt_degrees_of
from baken.fingerprints.view_table import CROPS, TABLE, TILTED, Tilt
from baken.model import MIN_QUALITY_PERCENT

__all__ = [
    "MAX_QUERY_VIEWS",
    "bank_views",
    "content_views",
    "query_views",
    "view_of",
    "with_banked_frames",
    "with_pictures",
]

# A collage's cells are half of it less half a gap; this is the middle of gaps of 0 to 2 % of a cell.
_TILE_SIDE = 0.4975
_TILES = tuple(
    View(ViewKind.TILE, Region(left, top, left + _TILE_SIDE, top + _TILE_SIDE))
    for top in (0.0, 1.0 - _TILE_SIDE)
    for left in (0.0, 1.0 - _TILE_SIDE)
)

# A crop lies between two banked views more often than on one; these move it a little, each in another way, so that one
# of them lies on one. The first were chosen together with the table; the last two are the first two mirrored.
_FIRST_NUDGES = tuple(
    View(ViewKind.CROPPED, region)
    for region in (
        Region(0.0, 0.0, 0.96, 0.96),
        Region(0.06, 0.0, 1.0, 0.94),
        Region(0.04, 0.04, 1.0, 1.0),
        Region(0.05, 0.0, 1.0, 1.0),
    )
)
_NUDGES = (
    *_FIRST_NUDGES,
    View(ViewKind.CROPPED, Region(0.04, 0.0, 1.0, 0.96)),
    View(ViewKind.CROPPED, Region(0.0, 0.0, 0.94, 0.94)),
)

_SAME_SHARE = 0.004

MAX_QUERY_VIEWS = MAX_CONTENT_VIEWS + 1 + len(_TILES) + len(_NUDGES) + len(_FIRST_NUDGES)


def bank_views(
    luma: NDArray[np.uint8], view_set: ViewSet = ViewSet.FULL, *, min_quality_percent: int = MIN_QUALITY_PERCENT
) -> BankViews:
    """The views of a picture that enters a bank.

    Args:
        luma: uint8[H, W], the working luma.
        view_set: which views; none for `ViewSet.NONE`.
        min_quality_percent: views that are plainer are left out.

    Returns:
        Those that are rich enough and not the whole picture, as an aspect crop of a picture of this aspect is.
    """
    count = {ViewSet.NONE: 0, ViewSet.CROPS: len(CROPS), ViewSet.FULL: len(TABLE)}[view_set]
    height, width = luma.shape
    regions = [view.region(width, height) for view in TABLE[:count]]
    codes, quality = codes_of(luma, regions, repeat_edge=False)
    # Black corners are detail by themselves and alike in all pictures: what counts is the detail of the picture.
    cornered = [row for row, view in enumerate(TABLE[:count]) if isinstance(view, Tilt)]
    _, own_quality = codes_of(luma, [regions[row] for row in cornered], repeat_edge=True)
    quality[cornered] = np.minimum(quality[cornered], own_quality)
    is_kept = (quality >= min_quality_percent) & np.array([not _is_whole(region) for region in regions], bool)
    numbers = np.arange(1, count + 1, dtype=np.uint8)
    return BankViews(numbers[is_kept], np.ascontiguousarray(codes[is_kept, 0]))


def _is_whole(region: Region) -> bool:
    cut = max(region.left, region.top, 1.0 - region.right, 1.0 - region.bottom)
    return cut < _SAME_SHARE and not region.tilt_degrees


def with_banked_frames(
    views: BankViews, others: Sequence[Shown], *, min_quality_percent: int = MIN_QUALITY_PERCENT
) -> BankViews:
    """The views of a banked picture, and the other pictures of its file that are rich enough, each as a whole.

    Where there are more than `MAX_BANKED_FRAMES`, these are spread over them evenly.
    """
    rich = [each for each in others if each.pdq.unscreenable(min_quality_percent) is None]
    rows = np.rint(np.linspace(0, len(rich) - 1, min(len(rich), MAX_BANKED_FRAMES))).astype(int)
    kept = [rich[row] for row in rows]
    numbers = np.arange(FIRST_FRAME_VIEW, FIRST_FRAME_VIEW + len(kept), dtype=np.uint8)
    codes = [views.codes, *(each.pdq.orientations[:1] for each in kept)]
    return BankViews(
        np.concatenate([views.numbers, numbers]), np.concatenate(codes), tuple(each.frame for each in kept)
    )


def view_of(number: int, width_px: int, height_px: int, frames: Sequence[FrameRef] = ()) -> View:
    """What view `number` of a banked picture of this size shows; number 0 is the whole picture.

    Args:
        number: as in `BankViews.numbers`.
        width_px: of the picture, as shown.
        height_px: likewise.
        frames: `BankViews.frames`.

    Raises:
        ValueError: neither the table nor `frames` has such a number.
    """
    if number == 0:
        return WHOLE_VIEW
    if FIRST_FRAME_VIEW <= number < FIRST_FRAME_VIEW + len(frames):
        return replace(WHOLE_VIEW, frame=frames[number - FIRST_FRAME_VIEW])
    if not 1 <= number <= len(TABLE):
        raise ValueError(
            f"number: got {number}, expected 0 to {len(TABLE)}; a newer Baken stored it: upgrade this one."
        )
    view = TABLE[number - 1]
    kind = ViewKind.TILTED if isinstance(view, TILTED) else ViewKind.CROPPED
    return View(kind, view.region(width_px, height_px))


def query_views(
    luma: NDArray[np.uint8], frame: FrameRef = FIRST_FRAME, *, min_quality_percent: int = MIN_QUALITY_PERCENT
) -> QueryViews:
    """The views of an item that is screened: content boxes, the picture turned upright, tiles and nudged crops.

    Args:
        luma: uint8[H, W], the working luma, whatever it shows.
        frame: which of the item's pictures it is.
        min_quality_percent: views that are plainer are left out.

    Returns:
        At most `MAX_QUERY_VIEWS`.
    """
    boxes = content_views(luma)
    degrees = tilt_degrees_of(luma)
    upright = () if degrees is None else (View(ViewKind.TILTED, Region(tilt_degrees=degrees)),)
    # What was cropped and then framed must be found too.
    nudged = tuple(_within(nudge, boxes[0].region) for nudge in _FIRST_NUDGES) if boxes else ()
    views = (*boxes, *upright, *_TILES, *_NUDGES, *nudged)
    codes, quality = codes_of(luma, [view.region for view in views], repeat_edge=True)
    rich = np.flatnonzero(quality >= min_quality_percent)
    return QueryViews(tuple(of_frame(views[row], frame) for row in rich), codes[rich])


def with_pictures(
    queried: QueryViews, others: Sequence[Shown], *, min_quality_percent: int = MIN_QUALITY_PERCENT
) -> QueryViews:
    """The views of an item, and its other pictures that are rich enough: whole, and in their content boxes."""
    views, codes = list(queried.views), [queried.codes]
    for each in others:
        if each.pdq.unscreenable(min_quality_percent) is None:
            views.append(replace(WHOLE_VIEW, frame=each.frame))
            codes.append(each.pdq.orientations[None])
        if each.boxes is not None:
            views += each.boxes.views
            codes.append(each.boxes.codes)
    return QueryViews(tuple(views), np.concatenate(codes)) if others else queried


def _within(view: View, box: Region) -> View:
    width, height = box.right - box.left, box.bottom - box.top
    inner = view.region
    region = Region(
        box.left + inner.left * width,
        box.top + inner.top * height,
        box.left + inner.right * width,
        box.top + inner.bottom * height,
    )
    return View(view.kind, region)
