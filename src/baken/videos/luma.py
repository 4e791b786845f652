"""A decoded frame of any pixel format to the luma that a viewer's picture of it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baken.images.reduction import FAST_SIZE_PX, aligned

if TYPE_CHECKING:
    from av import VideoFrame

_FULL_RANGE = 2
"""`AVCOL_RANGE_JPEG`: https://ffmpeg.org/doxygen/trunk/pixfmt_8h.html."""

_BLACK, _WHITE = 16, 235
_EXPANDED = np.clip(np.rint((np.arange(256) - _BLACK) * (255 / (_WHITE - _BLACK))), 0, 255).astype(np.uint8)
"""Levels of studio range, in which black is 16 and white 235, as a screen shows them."""

_QUARTER_TURN_DEGREES = 90


def luma_of(frame: VideoFrame) -> NDArray[np.uint8]:
    """The frame as a viewer shows it, upright, at full size: uint8[H, W], C-contiguous.

    It is the film's own luma, whatever its colour matrix, expanded to full range: what vPDQ hashes, which turns frames
    into RGB by BT.601 and back again.
    """
    luma = _stored(frame)
    turns = round(frame.rotation / _QUARTER_TURN_DEGREES) % 4
    return np.ascontiguousarray(np.rot90(luma, turns))


def screening_size(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame halved until its smaller side is just above 720 px, placed so that its PDQ stays: uint8[h, w]."""
    height, width = luma.shape
    halvings = 1
    while min(height, width) // (halvings * 2) >= FAST_SIZE_PX[0]:
        halvings *= 2
    if halvings == 1:
        return luma
    size = (width // halvings, height // halvings)
    return aligned(np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), dtype=np.uint8))


def _stored(frame: VideoFrame) -> NDArray[np.uint8]:
    component = frame.format.components[0]
    if frame.format.is_rgb or frame.format.has_palette:
        return np.asarray(Image.fromarray(frame.to_ndarray(format="rgb24")).convert("L"))
    is_full = frame.color_range == _FULL_RANGE or frame.format.name.startswith(("yuvj", "gray"))
    if component.bits != 8 or not frame.format.is_planar:  # noqa: PLR2004 - a byte
        frame = frame.reformat(format="yuvj420p" if is_full else "yuv420p")
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    luma = rows[: frame.height, : frame.width]
    return luma if is_full else np.take(_EXPANDED, luma)
