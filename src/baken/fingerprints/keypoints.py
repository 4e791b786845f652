"""Keypoints of a picture: where it has corners, and what each looks like, for the check of a candidate.

ORB: Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011. OpenCV computes it; it only ever gets
pixels that `baken.images` decoded, none of its own decoders is called.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import repeat

import cv2
import numpy as np
from numpy.typing import NDArray

from baken.copies import WORKING_SIDE_PX
from baken.errors import InvalidValueError
from baken.images import reduced

__all__ = [
    "MAX_KEYPOINTS",
    "Keypoints",
    "descriptors_at",
    "from_bytes",
    "keypoints_of",
    "mirrored_keypoints_of",
    "to_bytes",
    "working_luma_of",
]

MAX_KEYPOINTS = 500
"""Kept of a picture: 19 kB. The check's cost grows with the square."""

DESCRIPTOR_BYTES = 32

# One thread a call: callers are threads and processes themselves, one for each core.
cv2.setNumThreads(1)

_CANDIDATES = 8000
"""So many that a plain part of the picture keeps its own beside a busy one: a collage, words across a photo."""
_OCTAVES = 8
_OCTAVE_SCALE = 1.2
_FAST_THRESHOLD = 7
_EDGE_PX = 16
_ANY_SIZE = 1.0
"""ORB goes by the octave of a keypoint, and leaves its size alone."""
_MIN_SIDE_PX = 40
"""A patch, and room to move it: below this a picture has no keypoints."""

_CELL_PX = 48
_POSITION_STEPS = 64
_ANGLE_STEPS = 256
_FULL_TURN_DEGREES = 360.0

_MAGIC = b"BKKP"
_VERSION = 1
_HEADER = struct.Struct("<4sBxHHH")
_CHECKSUM = struct.Struct("<I")
_KEYPOINT_BYTES = 2 + 2 + 1 + 1 + DESCRIPTOR_BYTES
_HINT = "Restore it from a backup, or bank the picture again; the entry's fingerprints match without it."


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """The keypoints of one picture, at most `MAX_KEYPOINTS`, the most telling first.

    Attributes:
        width_px: of the picture they were found on, its longer side at most `WORKING_SIDE_PX`.
        height_px: likewise.
        positions: float32[N, 2], x and y in pixels of that picture, 0 at the centre of the upper left one, in steps of
            1/64.
        angles_degrees: float32[N], the direction of each, clockwise from the right, in steps of 360/256.
        octaves: uint8[N], 0 to 7: found on the picture reduced by 1.2 to that power.
        descriptors: uint8[N, 32], 256 bits each; compared by Hamming distance.
    """

    width_px: int
    height_px: int
    positions: NDArray[np.float32]
    angles_degrees: NDArray[np.float32]
    octaves: NDArray[np.uint8]
    descriptors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.positions)


def working_luma_of(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, reduced where its longer side is over `WORKING_SIDE_PX`: uint8[H, W], contiguous.

    Raises:
        TypeError: `luma` is no uint8 array.
        ValueError: it has other than two dimensions, or no pixel.
    """
    if luma.dtype != np.uint8:
        raise TypeError(f"luma is an array of {luma.dtype}, expected uint8; convert it first")
    if luma.ndim != 2 or not luma.size:  # noqa: PLR2004 - height and width
        raise ValueError(f"luma has the shape {luma.shape}, expected height and width of at least 1; pass one channel")
    return reduced(luma, WORKING_SIDE_PX)


def keypoints_of(luma: NDArray[np.uint8], *, limit: int = MAX_KEYPOINTS) -> Keypoints:
    """The keypoints of a greyscale picture, spread over all of it: the same for the same pixels, in any thread.

    Args:
        luma: uint8[H, W]; reduced first where its longer side is over `WORKING_SIDE_PX`.
        limit: how many at most; only `MAX_KEYPOINTS` of them can be kept as bytes.

    Returns:
        None at all for a picture without corners, or with a side below 40 pixels.

    Raises:
        TypeError: `luma` is no uint8 array.
        ValueError: it has other than two dimensions, or no pixel.
    """
    picture = working_luma_of(luma)
    height, width = picture.shape
    if min(height, width) < _MIN_SIDE_PX:
        return _rows_of(np.zeros((0, 4), np.float32), picture.shape)
    found = _orb(_CANDIDATES).detect(picture, None)
    points = np.asarray(cv2.KeyPoint.convert(found), np.float32).reshape(-1, 2)
    order = _spread(points, np.array([point.response for point in found], np.float32), width)[:limit]
    # Only of those that are taken: asking a keypoint for its parts is slow.
    parts = [(found[row].angle, found[row].octave & 0xFF) for row in order.tolist()]
    rows = np.column_stack((points[order], np.array(parts, np.float32).reshape(-1, 2)))
    return _described(picture, _rows_of(rows, picture.shape))


def mirrored_keypoints_of(luma: NDArray[np.uint8], keypoints: Keypoints) -> Keypoints:
    """The keypoints of the picture mirrored left to right, from the picture and its keypoints; positions in the mirror.

    Descriptors have no mirror symmetry and are computed anew; where the keypoints lie is known.

    Raises:
        TypeError, ValueError: as `keypoints_of`.
    """
    picture = np.ascontiguousarray(working_luma_of(luma)[:, ::-1])
    x, y = keypoints.positions.T
    angles = _FULL_TURN_DEGREES / 2 - keypoints.angles_degrees
    rows = np.column_stack((picture.shape[1] - 1 - x, y, angles, keypoints.octaves)).astype(np.float32)
    return _described(picture, _rows_of(rows, picture.shape))


def descriptors_at(luma: NDArray[np.uint8], keypoints: Keypoints) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """What a picture looks like where another one has its keypoints.

    Args:
        luma: uint8[H, W], of the size of the picture that `keypoints` are of.
        keypoints: where to look, in which direction and on which octave.

    Returns:
        intp[M], which of the keypoints could be described, in ascending order (not those whose patch reaches over an
        edge); uint8[M, 32], the descriptor of each.
    """
    across, down = keypoints.positions.T.tolist()
    angles, octaves = keypoints.angles_degrees.tolist(), keypoints.octaves.tolist()
    numbers = range(len(keypoints))
    # Mapped over columns: a loop that makes each takes longer than describing them.
    turned = tuple(map(cv2.KeyPoint, across, down, repeat(_ANY_SIZE), angles, repeat(0.0), octaves, numbers))
    kept, descriptors = _orb(MAX_KEYPOINTS).compute(luma, turned) if turned else ((), None)
    if descriptors is None:
        return np.zeros(0, np.intp), np.zeros((0, DESCRIPTOR_BYTES), np.uint8)
    rows = np.array([point.class_id for point in kept], np.intp)
    order = np.argsort(rows)
    return rows[order], np.asarray(descriptors, np.uint8)[order]


def to_bytes(keypoints: Keypoints) -> bytes:
    """The keypoints as at most 19,016 bytes: a header, one column after the other, a CRC-32. `from_bytes` reads them.

    Raises:
        ValueError: there are more than `MAX_KEYPOINTS`.
    """
    if len(keypoints) > MAX_KEYPOINTS:
        raise ValueError(f"got {len(keypoints)} keypoints, expected at most {MAX_KEYPOINTS}; find them with that limit")
    positions = np.rint(keypoints.positions * _POSITION_STEPS).astype("<u2")
    angles = np.rint(keypoints.angles_degrees * (_ANGLE_STEPS / _FULL_TURN_DEGREES)).astype(np.int64) % _ANGLE_STEPS
    body = b"".join(
        (
            _HEADER.pack(_MAGIC, _VERSION, keypoints.width_px, keypoints.height_px, len(keypoints)),
            positions.tobytes(),
            angles.astype(np.uint8).tobytes(),
            keypoints.octaves.tobytes(),
            keypoints.descriptors.tobytes(),
        )
    )
    return body + _CHECKSUM.pack(zlib.crc32(body))


def from_bytes(data: bytes) -> Keypoints:
    """What `to_bytes` wrote.

    Raises:
        InvalidValueError: the bytes are cut off, damaged, or of another version or kind.
    """
    count = _checked_count(data)
    _, _, width, height, _ = _HEADER.unpack_from(data)
    start = _HEADER.size
    positions = np.frombuffer(data, "<u2", 2 * count, start).reshape(count, 2) / _POSITION_STEPS
    angles = np.frombuffer(data, np.uint8, count, start + 4 * count)
    octaves = np.frombuffer(data, np.uint8, count, start + 5 * count)
    descriptors = np.frombuffer(data, np.uint8, DESCRIPTOR_BYTES * count, start + 6 * count)
    if count and (octaves.max() >= _OCTAVES or (positions >= (width, height)).any()):
        message = f"keypoints of a picture of {width} x {height} px lie outside it or on an octave above {_OCTAVES - 1}"
        raise InvalidValueError(message, hint=_HINT)
    return Keypoints(
        width_px=width,
        height_px=height,
        positions=positions.astype(np.float32),
        angles_degrees=angles.astype(np.float32) * np.float32(_FULL_TURN_DEGREES / _ANGLE_STEPS),
        octaves=octaves,
        descriptors=descriptors.reshape(count, DESCRIPTOR_BYTES),
    )


def _checked_count(data: bytes) -> int:
    """How many keypoints the bytes hold, once length, kind, version, bounds and checksum are found right."""
    least = _HEADER.size + _CHECKSUM.size
    if len(data) < least:
        raise InvalidValueError(f"keypoints are {len(data)} bytes long, expected at least {least}", hint=_HINT)
    magic, version, width, height, count = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise InvalidValueError(f"keypoints begin with {magic!r}, expected {_MAGIC!r}", hint=_HINT)
    if version != _VERSION:
        message = f"keypoints are of version {version}, expected {_VERSION}"
        raise InvalidValueError(message, hint="Update Baken, or bank the picture again.")
    if len(data) != least + count * _KEYPOINT_BYTES:
        message = f"{count} keypoints are {len(data)} bytes long, expected {least + count * _KEYPOINT_BYTES}"
        raise InvalidValueError(message, hint=_HINT)
    if zlib.crc32(data[: -_CHECKSUM.size]) != _CHECKSUM.unpack_from(data, len(data) - _CHECKSUM.size)[0]:
        raise InvalidValueError("the checksum of keypoints is wrong", hint=_HINT)
    if count > MAX_KEYPOINTS or not 1 <= width <= WORKING_SIDE_PX or not 1 <= height <= WORKING_SIDE_PX:
        message = (
            f"there are {count} keypoints of a picture of {width} x {height} px, "
            f"expected at most {MAX_KEYPOINTS} and 1 to {WORKING_SIDE_PX} px"
        )
        raise InvalidValueError(message, hint=_HINT)
    return int(count)


def _orb(count: int) -> cv2.ORB:
    # Made for each call: the object keeps state, and making it costs nothing beside its work.
    return cv2.ORB.create(
        nfeatures=count,
        scaleFactor=_OCTAVE_SCALE,
        nlevels=_OCTAVES,
        edgeThreshold=_EDGE_PX,
        fastThreshold=_FAST_THRESHOLD,
    )


def _spread(points: NDArray[np.float32], strengths: NDArray[np.float32], width: int) -> NDArray[np.intp]:
    """The order to take keypoints in: the strongest of every cell of the picture, then the second of every cell.

    The strongest of the whole picture would lie on one textured thing, and a crop or a sticker would take them all.
    """
    x, y = points.T
    cells = (y // _CELL_PX).astype(np.int64) * (width // _CELL_PX + 1) + (x // _CELL_PX).astype(np.int64)
    order = np.lexsort((y, x, -strengths, cells))
    ranks = np.arange(len(order)) - np.searchsorted(cells[order], cells[order], side="left")
    return order[np.lexsort((-strengths[order], ranks))]


def _rows_of(rows: NDArray[np.float32], shape: tuple[int, ...]) -> Keypoints:
    """Keypoints without descriptors, of x, y, angle and octave, rounded to what `to_bytes` keeps.

    So that kept keypoints check as fresh ones do, they are rounded before they are described.
    """
    height, width = shape
    steps = np.clip(np.rint(rows[:, :2] * _POSITION_STEPS), 0, np.array((width, height)) * _POSITION_STEPS - 1)
    turns = np.rint(rows[:, 2] * (_ANGLE_STEPS / _FULL_TURN_DEGREES)) % _ANGLE_STEPS
    return Keypoints(
        width_px=width,
        height_px=height,
        positions=(steps / _POSITION_STEPS).astype(np.float32),
        angles_degrees=(turns * (_FULL_TURN_DEGREES / _ANGLE_STEPS)).astype(np.float32),
        octaves=rows[:, 3].astype(np.uint8),
        descriptors=np.zeros((len(rows), DESCRIPTOR_BYTES), np.uint8),
    )


def _described(picture: NDArray[np.uint8], keypoints: Keypoints) -> Keypoints:
    """The keypoints that can be described, with their descriptors."""
    kept, descriptors = descriptors_at(picture, keypoints)
    return Keypoints(
        width_px=keypoints.width_px,
        height_px=keypoints.height_px,
        positions=keypoints.positions[kept],
        angles_degrees=keypoints.angles_degrees[kept],
        octaves=keypoints.octaves[kept],
        descriptors=descriptors,
    )
