"""What is done with a damaged file: everything the service does with its bytes before it compares them."""

from __future__ import annotations

import numpy as np

from baken import fingerprints, images
from baken.images import DecodeLimits, Frames, Picture
from baken.model import Unscreenable

LIMITS = DecodeLimits(max_pixels=2_000_000, max_frame_pixels=4_000_000)
"""Small, so that a damaged width costs milliseconds; the code that keeps limits is the same for large ones."""

BYTES_A_PIXEL = 24


def decode(data: bytes) -> str:
    """Decode, fingerprint and sample a file; the outcome in a word.

    Raises:
        AssertionError: a picture that is not what `Picture` promises.
    """
    picture = images.decode(data, limits=LIMITS)
    _check(picture)
    fingerprints.compute(data, picture)
    frames = images.read_frames(data, limits=LIMITS)
    for frame in frames.sample() if isinstance(frames, Frames) else ():
        _check(frame.picture)
    return picture.format if isinstance(picture, Picture) else picture.reason.value


def _check(picture: Picture | Unscreenable) -> None:
    if isinstance(picture, Unscreenable):
        assert picture.detail, "a reason without words"
        return
    for luma in picture.variants:
        assert luma.dtype == np.uint8, luma.dtype
        assert luma.flags.c_contiguous, "not contiguous"
        assert luma.shape == picture.luma.shape, (luma.shape, picture.luma.shape)
        assert min(luma.shape) >= 5, luma.shape
        assert luma.size <= LIMITS.max_pixels, luma.shape
        assert not picture.exact or luma.shape == (picture.height_px, picture.width_px), luma.shape
