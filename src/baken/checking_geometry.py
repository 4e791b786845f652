"""Where a banked picture lies in an item, from the keypoints of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from baken import _native
from baken.fingerprints.keypoints import Keypoints

MIN_INLIERS = 8
"""Fewer agree on a place by accident: of unrelated pictures up to 7 do (docs/architecture.md, "The check")."""

_MAX_DISTANCE_BITS = 80
_RATIO = 0.85
"""Lowe's ratio test: the nearest descriptor counts when the second nearest is clearly further."""

_SIMILARITY_REACH_PX = 6.0
_FINE_REACH_PX = 3.0
_GUIDED_REACH_PX = 8.0
_ENOUGH_FOR_BENT = 40
_BENT_SURPLUS = 6
_BENT_SHARE = 0.95
_RANSAC_ROUNDS = 1500
_RANSAC_CONFIDENCE = 0.995

_MIN_SCALE = 0.1
_MAX_SCALE = 8.0
_MAX_STRETCH = 1.8
_MAX_PERSPECTIVE = 2.5

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A geometric model, and the keypoints that agree on it.

    Attributes:
        banked_to_item: float64[3, 3], a homography from pixels of the banked picture's working size to the item's.
        banked_rows: intp[N], the inliers among the banked keypoints.
        item_rows: intp[N], among the item's.
    """

    banked_to_item: Matrix
    banked_rows: NDArray[np.intp]
    item_rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.banked_rows)


def aligned(banked: Keypoints, item: Keypoints) -> Alignment | None:
    """Where the banked picture lies in the item, or None when no place has `MIN_INLIERS` keypoints in agreement.

    A similarity (turn, scale, shift) is found first, by RANSAC over distinctive descriptors; around it more keypoints
    are matched by where they should lie, and a finer model is fitted to those. Models no copy has are refused: mirrored
    (ask with mirrored keypoints), stretched, folded over, or far too small or large.
    """
    banked_rows, item_rows = _distinctive_matches(banked.descriptors, item.descriptors)
    if len(banked_rows) < MIN_INLIERS // 2:
        return None
    similarity, inliers = cv2.estimateAffinePartial2D(
        banked.positions[banked_rows],
        item.positions[item_rows],
        method=cv2.RANSAC,
        ransacReprojThreshold=_SIMILARITY_REACH_PX,
        maxIters=_RANSAC_ROUNDS,
        confidence=_RANSAC_CONFIDENCE,
    )
    if similarity is None or inliers.sum() < MIN_INLIERS // 2:
        return None
    start = np.vstack((similarity, (0.0, 0.0, 1.0)))
    return _refined(banked, item, start)


def moved(matrix: Matrix, points: NDArray[Any]) -> Points:
    """Points, float[N, 2], moved by a homography; infinite where it has none."""
    places = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(places[:, 2:] > 0, places[:, :2] / places[:, 2:], np.inf))


def corners_of(width_px: float, height_px: float) -> Points:
    """Upper left, upper right, lower right, lower left of a picture, in pixels whose centres are whole numbers."""
    left, top, right, bottom = -0.5, -0.5, width_px - 0.5, height_px - 0.5
    return np.array(((left, top), (right, top), (right, bottom), (left, bottom)))


def is_plausible(matrix: Matrix, width_px: float, height_px: float) -> bool:
    """Whether a copy of a picture of this size can lie where the homography puts it."""
    corners = moved(matrix, corners_of(width_px, height_px))
    if not np.isfinite(corners).all():
        return False
    sides = np.roll(corners, -1, axis=0) - corners
    turns = sides[:, 0] * np.roll(sides[:, 1], -1) - sides[:, 1] * np.roll(sides[:, 0], -1)
    if (turns <= 0).any():  # folded over or mirrored: y grows downwards, so a copy's corners turn clockwise
        return False
    scales = np.hypot(*sides.T) / np.array((width_px, height_px, width_px, height_px))
    if scales.min() < _MIN_SCALE or scales.max() > _MAX_SCALE:
        return False
    across, down = scales[0::2], scales[1::2]
    stretch = max(across.mean() / down.mean(), down.mean() / across.mean())
    perspective = max(across.max() / across.min(), down.max() / down.min())
    # The sine of each corner's angle: a sheared picture has acute ones.
    sines = turns / (np.hypot(*sides.T) * np.hypot(*np.roll(sides, -1, axis=0).T))
    return bool(stretch <= _MAX_STRETCH and perspective <= _MAX_PERSPECTIVE and sines.min() > 0.8)  # noqa: PLR2004 - 53 degrees


def _distinctive_matches(
    banked: NDArray[np.uint8], item: NDArray[np.uint8]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of descriptors that are each other's: clearly the nearest in the item, to which no banked one is nearer."""
    if not len(banked) or len(item) < 2:  # noqa: PLR2004 - a nearest and a second nearest
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    item_rows, nearest_bits, second_bits = _native.nearest_two(banked, item)
    kept = np.flatnonzero((nearest_bits <= _MAX_DISTANCE_BITS) & (nearest_bits < _RATIO * second_bits))
    kept = kept[np.argsort(nearest_bits[kept], kind="stable")]
    _, first = np.unique(item_rows[kept], return_index=True)
    kept = kept[np.sort(first)]
    return kept, item_rows[kept].astype(np.intp)


def straightened(points: Points, targets: Points) -> Matrix:
    """The homography without perspective and shear (turn, two scales, shift) that moves points nearest to targets.

    Args:
        points: float64[N, 2], at least two.
        targets: float64[N, 2].
    """
    centre, middle = points.mean(axis=0), targets.mean(axis=0)
    solution, *_ = np.linalg.lstsq(points - centre, targets - middle, rcond=None)
    right, down = solution
    turn = np.arctan2(right[1], right[0])
    shear = (np.arctan2(down[1], down[0]) - turn - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    cosine, sine = np.cos(turn + shear / 2), np.sin(turn + shear / 2)
    matrix = np.eye(3)
    matrix[:2, :2] = np.array(((cosine, -sine), (sine, cosine))) * (np.hypot(*right), np.hypot(*down))
    matrix[:2, 2] = middle - matrix[:2, :2] @ centre
    return matrix


def _refined(banked: Keypoints, item: Keypoints, start: Matrix) -> Alignment | None:
    """A model near a first similarity, from all keypoints that lie where it expects them.

    Eight numbers fitted to few points go astray between them: with few inliers, a homography must explain clearly more
    than a model without perspective and shear.
    """
    if not is_plausible(start, banked.width_px, banked.height_px):
        return None
    near = _guided_matches(banked, item, start, _GUIDED_REACH_PX)
    if len(near[0]) < MIN_INLIERS:
        return None
    bent = _bent(banked, item, near)
    if bent is not None and len(bent) >= max(_ENOUGH_FOR_BENT + _BENT_SURPLUS, _BENT_SHARE * len(near[0])):
        return bent  # explains so much of what is near that the other model, fitted to the same, could not beat it
    straight = _straight(banked, item, start)
    if straight is None or bent is None:
        return bent if straight is None else straight
    is_few = len(straight) < _ENOUGH_FOR_BENT
    needed = len(straight) + _BENT_SURPLUS if is_few else _BENT_SHARE * len(straight)
    return bent if len(bent) >= needed else straight


def _straight(banked: Keypoints, item: Keypoints, start: Matrix) -> Alignment | None:
    """A model without perspective and shear: the similarity, fitted again to ever nearer keypoints."""
    matrix = start
    for reach_px in (_GUIDED_REACH_PX / 2, _FINE_REACH_PX, _FINE_REACH_PX):
        rows = _guided_matches(banked, item, matrix, reach_px)
        if len(rows[0]) < MIN_INLIERS:
            return None
        points, targets = banked.positions[rows[0]].astype(np.float64), item.positions[rows[1]].astype(np.float64)
        matrix = straightened(points, targets)
    return _alignment(banked, item, matrix)


def _bent(banked: Keypoints, item: Keypoints, near: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Alignment | None:
    """A homography."""
    fitted, _ = cv2.findHomography(
        banked.positions[near[0]],
        item.positions[near[1]],
        cv2.USAC_MAGSAC,
        _FINE_REACH_PX,
        maxIters=_RANSAC_ROUNDS,
        confidence=_RANSAC_CONFIDENCE,
    )
    return None if fitted is None else _alignment(banked, item, np.asarray(fitted, np.float64))


def _alignment(banked: Keypoints, item: Keypoints, matrix: Matrix) -> Alignment | None:
    """A model with its inliers, or None where no copy can lie there, or too few keypoints do."""
    if not np.isfinite(matrix).all() or not is_plausible(matrix, banked.width_px, banked.height_px):
        return None
    rows = _guided_matches(banked, item, matrix, _FINE_REACH_PX)
    return Alignment(matrix, *rows) if len(rows[0]) >= MIN_INLIERS else None


def _guided_matches(
    banked: Keypoints, item: Keypoints, matrix: Matrix, reach_px: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Keypoints that lie within reach of where they are expected, and look alike."""
    with np.errstate(over="ignore"):  # beyond what float32 holds is infinite, which is nowhere
        expected = moved(matrix, banked.positions).astype(np.float32)
    banked_rows, item_rows, _ = _native.pairs_in_reach(
        expected, banked.descriptors, item.positions, item.descriptors, reach_px, _MAX_DISTANCE_BITS
    )
    return banked_rows, item_rows


def hamming(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Bits in which codes, uint8[N, 32], differ, row by row: int64[N]."""
    return np.asarray(np.bitwise_count(some ^ others).sum(axis=1, dtype=np.int64))
