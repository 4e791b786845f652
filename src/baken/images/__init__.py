"""Bytes to defined pixels: the picture a viewer shows, as luma, whatever the format; or why there is none."""

from __future__ import annotations

from baken.images.decoding import decode, too_large
from baken.images.frames import Frame, Frames, further_frames, read_frames
from baken.images.picture import DEFAULT_LIMITS, DecodeLimits, Picture
from baken.images.reduction import reduced

__all__ = [
    "DEFAULT_LIMITS",
    "DecodeLimits",
    "Frame",
    "Frames",
    "Picture",
    "decode",
    "further_frames",
    "read_frames",
    "reduced",
    "too_large",
]
