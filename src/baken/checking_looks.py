"""Whether an item, warped into the frame of a banked picture, shows what that picture shows: without its pixels.

The banked picture is known by the descriptors of its keypoints, 256 bits of fine detail at up to 500 places, and by the
codes of its views, 256 bits of the coarse light and dark of each. The same are computed of the warped item.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from baken import _native
from baken.checking_geometry import Alignment, Matrix, Points, corners_of, hamming, moved, straightened
from baken.copies import Region
from baken.fingerprints.keypoints import Keypoints, descriptors_at

MAX_REGIONS = 12
"""Banked views that are compared: the smallest in the overlap, since what is drawn over a picture spoils large ones."""

CODE_BITS = 256

_PATCH_REACH_PX = 20.0
_OCTAVE_SCALE = 1.2
_MIN_RESOLUTION = 0.8
_MIN_PLACES = 20
_EDGE_TOLERANCE_PX = 4.0

_SEAM_SAMPLES = 64
_SEAM_REACH_PX = 6
_MIN_SEAM_SAMPLES = 16


def warped(luma: NDArray[np.uint8], banked_to_item: Matrix, banked: Keypoints) -> NDArray[np.uint8]:
    """The item as the banked picture's frame shows it, black where the item has nothing."""
    size = banked.width_px, banked.height_px
    picture = cv2.warpPerspective(luma, banked_to_item, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(picture, np.uint8)


def scale_of(banked_to_item: Matrix) -> float:
    """Pixels of the item to a pixel of the banked picture, about its upper left corner."""
    return float(np.sqrt(abs(np.linalg.det(banked_to_item[:2, :2]))))


def detail_correlation(
    picture: NDArray[np.uint8], luma: NDArray[np.uint8], banked_to_item: Matrix, banked: Keypoints
) -> float:
    """How alike both look around the banked keypoints that the item shows: the better half of them, -1 to 1.

    All are compared, not only those that were found again: what is drawn over a part of the picture spoils the worse
    half, and in another picture the better half is little better than chance. Octaves finer than the item are left out
    where enough others remain.

    Args:
        picture: uint8[h, w], the item warped into the banked picture's frame.
        luma: uint8[H, W], the item.
        banked_to_item: the homography.
        banked: the banked picture's keypoints.
    """
    rows, descriptors = descriptors_at(picture, banked)
    scales = scale_of(banked_to_item) * _OCTAVE_SCALE ** banked.octaves[rows].astype(np.float64)
    places, reach = moved(banked_to_item, banked.positions[rows]), _PATCH_REACH_PX * scales[:, None]
    height, width = luma.shape
    inside = ((places >= reach) & (places <= np.array((width - 1, height - 1)) - reach)).all(axis=1)
    sharp = inside & (scales >= _MIN_RESOLUTION)
    compared = sharp if sharp.sum() >= _MIN_PLACES else inside
    distances = np.sort(hamming(descriptors[compared], banked.descriptors[rows[compared]]))
    if not len(distances):
        return 0.0
    return 1.0 - 2.0 * float(distances[: (len(distances) + 1) // 2].mean()) / CODE_BITS


def views_correlation(
    picture: NDArray[np.uint8], overlap: Points, views: Sequence[tuple[Region, NDArray[np.uint8]]]
) -> float | None:
    """How alike the most alike banked view looks, -1 to 1; None when the overlap holds no banked view.

    Args:
        picture: uint8[h, w], the item warped into the banked picture's frame.
        overlap: float64[4, 2], the item's corners in that frame, in pixels.
        views: the regions of banked views, each with its PDQ, uint8[32].
    """
    height, width = picture.shape
    held = [(region, code) for region, code in views if _holds(overlap, region, width, height)]
    held.sort(key=lambda view: (view[0].right - view[0].left) * (view[0].bottom - view[0].top))
    held = held[:MAX_REGIONS]
    if not held:
        return None
    sides = [(part.left, part.top, part.right, part.bottom, part.tilt_degrees) for part, _ in held]
    codes, _ = _native.pdq_regions(picture, np.array(sides, np.float64))
    distances = hamming(codes[:, 0], np.stack([code for _, code in held]))
    return 1.0 - 2.0 * float(distances.min()) / CODE_BITS


def bend_px(alignment: Alignment, banked: Keypoints) -> float:
    """How far the model moves its inliers from where no perspective and no shear would: pixels of the item.

    A copy is turned, stretched and cut; only a photograph of a screen or print, or the same scene from another place,
    is bent. The ninth decile of all inliers.
    """
    points = banked.positions[alignment.banked_rows].astype(np.float64)
    targets = moved(alignment.banked_to_item, points)
    straight = moved(straightened(points, targets), points)
    return float(np.quantile(np.hypot(*(straight - targets).T), 0.9))


def seam_grey_levels(luma: NDArray[np.uint8], banked_to_item: Matrix, width_px: int, height_px: int) -> float:
    """How clear an edge runs along the banked picture's clearest side in the item, in grey levels; 0 for none.

    Where a picture was put into another one, one ends and the other begins; a scene goes on past the frame of a
    photograph of it.
    """
    height, width = luma.shape
    corners = corners_of(width_px, height_px)
    clearest = 0.0
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = end - start
        outward = np.array((along[1], -along[0])) / np.hypot(*along)
        line = start + along * np.linspace(0.02, 0.98, _SEAM_SAMPLES)[:, None]
        here = moved(banked_to_item, line)
        across = moved(banked_to_item, line + outward) - here
        with np.errstate(divide="ignore", invalid="ignore"):
            across = across / np.hypot(*across.T)[:, None]
        offsets = np.arange(-_SEAM_REACH_PX, _SEAM_REACH_PX + 1)
        places = here[:, None] + across[:, None] * offsets[None, :, None]
        inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(axis=(1, 2))
        if inside.sum() < _MIN_SEAM_SAMPLES:
            continue
        x, y = places[inside].astype(np.float32).transpose(2, 0, 1)
        grey = np.asarray(cv2.remap(luma, x, y, cv2.INTER_LINEAR), np.float32)
        steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
        beside = np.median(np.concatenate((steps[:3], steps[-3:])))
        clearest = max(clearest, float(steps[4:8].max() - beside))
    return clearest


def _holds(overlap: Points, region: Region, width_px: int, height_px: int) -> bool:
    """Whether a region of the banked picture, as far as it lies within the picture, lies within the overlap."""
    sides = np.array((width_px, height_px))
    centre = np.array((region.left + region.right, region.top + region.bottom)) / 2 * sides
    half = np.array((region.right - region.left, region.bottom - region.top)) / 2 * sides
    angle = np.radians(region.tilt_degrees)
    turn = np.array(((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))
    corners = np.clip((np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * half) @ turn + centre, 0, sides)
    if not np.isfinite(overlap).all():
        return False
    polygon = overlap.astype(np.float32)
    return all(
        cv2.pointPolygonTest(polygon, (float(x), float(y)), measureDist=True) >= -_EDGE_TOLERANCE_PX for x, y in corners
    )
