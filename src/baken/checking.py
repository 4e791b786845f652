"""The check of a candidate: is the item this banked picture, altered, or only like it?

First the geometry: keypoints of both that look alike and agree on where the banked picture lies in the item. Then the
looks, without any pixel of the banked picture, which is never kept: the item is warped into the banked picture's frame,
and what it shows there is compared with what is kept of the banked picture, the descriptors of its keypoints and the
codes of its views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from baken import checking_looks as looks
from baken.checking_geometry import Alignment, Matrix, aligned, corners_of, moved
from baken.copies import WHOLE, BankViews, Evidence, Region
from baken.copies_json import MAX_POINTS
from baken.fingerprints.keypoints import Keypoints, keypoints_of, mirrored_keypoints_of, working_luma_of
from baken.fingerprints.views import view_of

__all__ = ["Banked", "CheckedItem", "check", "check_all"]

MAX_CHECKS = 10
"""Candidates of one item that are checked, unless the caller says otherwise."""

ITEM_KEYPOINTS = 1000
"""Of an item twice as many as of a banked picture: it may show the picture small, among other things."""

_SURE_CORRELATION = 0.85
"""The mirrored item is not looked at any more."""

_MIN_CORRELATION = 0.6
_GOOD_CORRELATION = 0.8
_MIN_VIEWS_CORRELATION = 0.62
_MIN_INLIERS = 20
_MIN_SURE_INLIERS = 10
_MIN_OUTSIDE_INLIERS = 25
_MAX_BEND_PX = 1.5
_MANY_INLIERS = 40
_MAX_RESIDUAL_PX = 1.6
_MIN_SEAM_GREY_LEVELS = 4.0
_NEARLY_ALL = 0.97
"""How these were chosen: docs/architecture.md, "The check"."""


@dataclass(frozen=True, slots=True, eq=False)
class Banked:
    """What is kept of a banked picture for the check.

    Attributes:
        keypoints: of the picture.
        width_px: of the picture as it was banked.
        height_px: likewise.
        views: of the picture, where its bank keeps them.
        pdq: 32 bytes, of the whole picture, where it is known.
    """

    keypoints: Keypoints
    width_px: int
    height_px: int
    views: BankViews | None = None
    pdq: bytes | None = None

    def coded_regions(self) -> list[tuple[Region, NDArray[np.uint8]]]:
        """The regions whose PDQ, uint8[32], is known."""
        regions = [] if self.pdq is None else [(WHOLE, np.frombuffer(self.pdq, np.uint8))]
        if self.views is not None:
            for number, code in zip(self.views.numbers.tolist(), self.views.codes, strict=True):
                regions.append((view_of(number, self.width_px, self.height_px).region, code))
        return regions


class CheckedItem:
    """An item to check candidates against; what is computed of it is computed once, when it is first needed.

    Not for several threads at a time.
    """

    def __init__(self, luma: NDArray[np.uint8]) -> None:
        """Take uint8[H, W], reduced first where its longer side is over `WORKING_SIDE_PX`.

        Raises:
            TypeError: `luma` is no uint8 array.
            ValueError: it has other than two dimensions, or no pixel.
        """
        self.luma = working_luma_of(luma)

    @cached_property
    def keypoints(self) -> Keypoints:
        """Of the item as it is."""
        return keypoints_of(self.luma, limit=ITEM_KEYPOINTS)

    @cached_property
    def mirrored_luma(self) -> NDArray[np.uint8]:
        """The item mirrored left to right."""
        return np.ascontiguousarray(self.luma[:, ::-1])

    @cached_property
    def mirrored_keypoints(self) -> Keypoints:
        """Of the item mirrored left to right."""
        return mirrored_keypoints_of(self.luma, self.keypoints)


@dataclass(frozen=True, slots=True, eq=False)
class _Finding:
    """Where the banked picture lies in the item, or in the item mirrored, and how alike the two look there."""

    luma: NDArray[np.uint8]
    keypoints: Keypoints
    alignment: Alignment
    correlation: float
    is_mirrored: bool


def check(item: CheckedItem, banked: Banked) -> Evidence:
    """What the keypoints, and the views where there are some, say of an item and a banked picture."""
    found = _best(item, banked)
    return Evidence(False, 0, 0.0, 0.0, ()) if found is None else _evidence(banked, found)


def check_all(item: CheckedItem, candidates: Sequence[Banked], *, limit: int = MAX_CHECKS) -> tuple[Evidence, ...]:
    """The evidence of the first `limit` candidates, in their order; later ones are not checked."""
    return tuple(check(item, banked) for banked in candidates[:limit])


def _best(item: CheckedItem, banked: Banked) -> _Finding | None:
    """The mirrored item is looked at when the item as it is does not settle it."""
    plain = _found(item.luma, item.keypoints, banked, is_mirrored=False)
    if plain is not None and plain.correlation >= _SURE_CORRELATION:
        return plain
    mirrored = _found(item.mirrored_luma, item.mirrored_keypoints, banked, is_mirrored=True)
    found = [finding for finding in (plain, mirrored) if finding is not None]
    return max(found, key=lambda finding: finding.correlation, default=None)


def _found(luma: NDArray[np.uint8], keypoints: Keypoints, banked: Banked, *, is_mirrored: bool) -> _Finding | None:
    alignment = aligned(banked.keypoints, keypoints)
    if alignment is None:
        return None
    matrix = alignment.banked_to_item
    picture = looks.warped(luma, matrix, banked.keypoints)
    correlation = looks.detail_correlation(picture, luma, matrix, banked.keypoints)
    return _Finding(luma, keypoints, alignment, correlation, is_mirrored)


def _is_same(banked: Banked, found: _Finding, overlap_fraction: float, item_fraction: float) -> bool:
    """Whether what was found is the picture, and not another one or the same scene a moment later.

    A copy is no photograph from another place: nothing is bent, and the item lies within the picture, or the picture
    within the item. A photograph of a screen is bent, but shows where the screen ends. A picture that is cut and framed
    has both, a rest outside the item and the item's frame outside it; so has the next shot of a scene, and more must
    agree.
    """
    count, correlation = len(found.alignment), found.correlation
    frame, matrix = banked.keypoints, found.alignment.banked_to_item
    if correlation < _GOOD_CORRELATION and not _is_supported(banked, found):
        return False
    is_within, is_whole = item_fraction >= _NEARLY_ALL, overlap_fraction >= _NEARLY_ALL
    if looks.bend_px(found.alignment, frame) > _MAX_BEND_PX:
        if correlation < _GOOD_CORRELATION or count < _MIN_OUTSIDE_INLIERS:
            return False
        seam = looks.seam_grey_levels(found.luma, matrix, frame.width_px, frame.height_px)
        return is_within or (is_whole and seam >= _MIN_SEAM_GREY_LEVELS)
    if count < _MANY_INLIERS and _residual_px(found, frame) > _MAX_RESIDUAL_PX:
        return False
    if not is_within and not is_whole:
        return correlation >= _GOOD_CORRELATION and count >= _MIN_OUTSIDE_INLIERS
    return count >= (_MIN_SURE_INLIERS if correlation >= _GOOD_CORRELATION else _MIN_INLIERS)


def _is_supported(banked: Banked, found: _Finding) -> bool:
    """Whether detail that agrees only so far is borne out by the banked views, or by many inliers where it has none."""
    if found.correlation < _MIN_CORRELATION:
        return False
    height, width = found.luma.shape
    in_banked = moved(_inverse(found.alignment.banked_to_item), corners_of(width, height))
    picture = looks.warped(found.luma, found.alignment.banked_to_item, banked.keypoints)
    support = looks.views_correlation(picture, in_banked, banked.coded_regions())
    return len(found.alignment) >= _MIN_OUTSIDE_INLIERS if support is None else support >= _MIN_VIEWS_CORRELATION


def _residual_px(found: _Finding, frame: Keypoints) -> float:
    """How far inliers lie from where the model puts them, in the median: pixels of the item."""
    expected = moved(found.alignment.banked_to_item, frame.positions[found.alignment.banked_rows])
    gaps = np.hypot(*(expected - found.keypoints.positions[found.alignment.item_rows]).T)
    return float(np.median(gaps))


def _evidence(banked: Banked, found: _Finding) -> Evidence:
    frame, matrix = banked.keypoints, found.alignment.banked_to_item
    height, width = found.luma.shape
    corners = _shares(moved(matrix, corners_of(frame.width_px, frame.height_px)), width, height)
    in_item = _shares(found.keypoints.positions[found.alignment.item_rows], width, height)
    in_banked = _shares(frame.positions[found.alignment.banked_rows], frame.width_px, frame.height_px)
    if found.is_mirrored:
        corners[:, 0] = 1.0 - corners[:, 0]
        in_item[:, 0] = 1.0 - in_item[:, 0]
    overlap_fraction = _shared(_inverse(matrix), (width, height), (frame.width_px, frame.height_px))
    item_fraction = _shared(matrix, (frame.width_px, frame.height_px), (width, height))
    step = max(1, -(-len(in_item) // MAX_POINTS))
    return Evidence(
        is_same=_is_same(banked, found, overlap_fraction, item_fraction),
        inlier_count=len(found.alignment),
        overlap_fraction=overlap_fraction,
        correlation=found.correlation,
        corners=tuple((float(x), float(y)) for x, y in corners),
        points=tuple(
            (float(x), float(y), float(banked_x), float(banked_y))
            for (x, y), (banked_x, banked_y) in zip(in_item[::step], in_banked[::step], strict=True)
        ),
        is_mirrored=found.is_mirrored,
    )


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _shares(points: NDArray[np.float64] | NDArray[np.float32], width_px: int, height_px: int) -> NDArray[np.float64]:
    """Pixels, whose centres are whole numbers, as fractions of a picture's width and height."""
    return (points.astype(np.float64) + 0.5) / np.array((width_px, height_px), np.float64)


def _shared(matrix: Matrix, some: tuple[int, int], other: tuple[int, int]) -> float:
    """How much of the `other` picture the first one covers when the matrix moves it there; sizes are width, height."""
    covering = moved(matrix, corners_of(*some))
    if not np.isfinite(covering).all():
        return 0.0
    area, _ = cv2.intersectConvexConvex(corners_of(*other).astype(np.float32), covering.astype(np.float32))
    return float(min(1.0, area / (other[0] * other[1])))
