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

from baken.checking_geometry import Alignment, aligned, corners_of, hamming, moved
from baken.copies import BankViews, Evidence
from baken.fingerprints.keypoints import Keypoints, descriptors_at, keypoints_of, mirrored_keypoints_of, working_luma_of

__all__ = ["Banked", "CheckedItem", "check", "check_all"]

MAX_CHECKS = 10
"""Candidates of one item that are checked, unless the caller says otherwise."""

ITEM_KEYPOINTS = 1000
"""Of an item twice as many as of a banked picture: it may show the picture small, among other things."""

MAX_POINTS = 64
"""Inliers that evidence lists."""

_MIN_CORRELATION = 0.4
_SURE_CORRELATION = 0.6
_CODE_BITS = 256
_PATCH_REACH_PX = 20.0
_OCTAVE_SCALE = 1.2


@dataclass(frozen=True, slots=True, eq=False)
class Banked:
    """What is kept of a banked picture for the check.

    Attributes:
        keypoints: of the picture.
        width_px: of the picture as it was banked.
        height_px: likewise.
        views: of the picture, where its bank keeps them.
        pdq: uint8[32], of the whole picture, where it is known.
    """

    keypoints: Keypoints
    width_px: int
    height_px: int
    views: BankViews | None = None
    pdq: NDArray[np.uint8] | None = None


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
    """What was found in the item, or in the item mirrored."""

    alignment: Alignment
    correlation: float
    is_mirrored: bool


def check(item: CheckedItem, banked: Banked) -> Evidence:
    """What the keypoints, and the views where there are some, say of an item and a banked picture."""
    found = _best(item, banked)
    if found is None:
        return Evidence(False, 0, 0.0, 0.0, ())
    is_same = found.correlation >= _MIN_CORRELATION
    return _evidence(item, banked, found, is_same=is_same)


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
    return _Finding(alignment, _detail_correlation(luma, alignment.banked_to_item, banked.keypoints), is_mirrored)


def _detail_correlation(luma: NDArray[np.uint8], banked_to_item: NDArray[np.float64], banked: Keypoints) -> float:
    """How alike both look around the banked keypoints that the item shows: the better half of them, -1 to 1.

    All of them are compared, not only those that were found again: what is drawn over a part of the picture spoils the
    worse half, and in another picture the better half is no better than chance.
    """
    size = banked.width_px, banked.height_px
    warped = cv2.warpPerspective(luma, banked_to_item, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    rows, descriptors = descriptors_at(np.asarray(warped, np.uint8), banked)
    height, width = luma.shape
    places = moved(banked_to_item, banked.positions)[rows]
    scale = float(np.sqrt(abs(np.linalg.det(banked_to_item[:2, :2]))))
    reach = (_PATCH_REACH_PX * scale * _OCTAVE_SCALE ** banked.octaves[rows].astype(np.float64))[:, None]
    inside = ((places >= reach) & (places <= np.array((width, height)) - 1 - reach)).all(axis=1)
    distances = np.sort(hamming(descriptors[inside], banked.descriptors[rows[inside]]))
    if not len(distances):
        return 0.0
    return 1.0 - 2.0 * float(distances[: (len(distances) + 1) // 2].mean()) / _CODE_BITS


def _evidence(item: CheckedItem, banked: Banked, found: _Finding, *, is_same: bool) -> Evidence:
    matrix = found.alignment.banked_to_item
    frame = banked.keypoints
    height, width = item.luma.shape
    corners = _shares(moved(matrix, corners_of(frame.width_px, frame.height_px)), width, height)
    in_item = _shares(_item_positions(item, found), width, height)
    in_banked = _shares(frame.positions[found.alignment.banked_rows], frame.width_px, frame.height_px)
    if found.is_mirrored:
        corners[:, 0] = 1.0 - corners[:, 0]
        in_item[:, 0] = 1.0 - in_item[:, 0]
    return Evidence(
        is_same=is_same,
        inlier_count=len(found.alignment),
        overlap_fraction=_overlap(matrix, frame, width, height),
        correlation=found.correlation,
        corners=tuple((float(x), float(y)) for x, y in corners),
        points=tuple(
            (float(x), float(y), float(banked_x), float(banked_y))
            for (x, y), (banked_x, banked_y) in zip(in_item[:MAX_POINTS], in_banked[:MAX_POINTS], strict=True)
        ),
        is_mirrored=found.is_mirrored,
    )


def _item_positions(item: CheckedItem, found: _Finding) -> NDArray[np.float32]:
    keypoints = item.mirrored_keypoints if found.is_mirrored else item.keypoints
    return keypoints.positions[found.alignment.item_rows]


def _shares(points: NDArray[np.float64] | NDArray[np.float32], width_px: int, height_px: int) -> NDArray[np.float64]:
    """Pixels, whose centres are whole numbers, as fractions of a picture's width and height."""
    return (points.astype(np.float64) + 0.5) / np.array((width_px, height_px), np.float64)


def _overlap(banked_to_item: NDArray[np.float64], banked: Keypoints, width_px: int, height_px: int) -> float:
    """How much of the banked picture lies within the item, 0 to 1."""
    item_in_banked = moved(np.asarray(np.linalg.inv(banked_to_item), np.float64), corners_of(width_px, height_px))
    if not np.isfinite(item_in_banked).all():
        return 0.0
    frame = corners_of(banked.width_px, banked.height_px)
    area, _ = cv2.intersectConvexConvex(frame.astype(np.float32), item_in_banked.astype(np.float32))
    return float(min(1.0, area / (banked.width_px * banked.height_px)))
