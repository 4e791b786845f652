"""What is done with a damaged file: everything the service does with its bytes before it compares them."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from baken import fingerprints, images
from baken.films import is_video
from baken.images import DecodeLimits, Frames, Picture
from baken.images.sniffing import SNIFFED_BYTES
from baken.model import Unscreenable
from baken.videos import Film, VideoLimits, opened_video

LIMITS = DecodeLimits(max_pixels=2_000_000, max_frame_pixels=4_000_000)
"""Small, so that a damaged width costs milliseconds; the code that keeps limits is the same for large ones."""

VIDEO_LIMITS = VideoLimits(max_pixels=500_000, max_processor_seconds=5.0, max_elapsed_seconds=10.0, threads=1)

BYTES_A_PIXEL = 24


def decode(data: bytes) -> str:
    """Decode, fingerprint and sample a file; the outcome in a word.

    Raises:
        AssertionError: a picture that is not what `Picture` promises.
    """
    if is_video(data[:SNIFFED_BYTES]):
        return _look_at(data)
    picture = images.decode(data, limits=LIMITS)
    _check(picture)
    fingerprints.compute(data, picture)
    frames = images.read_frames(data, limits=LIMITS)
    for frame in frames.sample() if isinstance(frames, Frames) else ():
        _check(frame.picture)
    return picture.format if isinstance(picture, Picture) else picture.reason.value


def _look_at(data: bytes) -> str:
    with opened_video(BytesIO(data), VIDEO_LIMITS) as opened:
        if isinstance(opened, Unscreenable):
            _check(opened)
            return opened.reason.value
        film = Film(opened, VIDEO_LIMITS)
        frames = list(film.sample())
        assert frames, "a film without a frame or a reason"
        for frame in frames:
            _check(frame.picture)
        return film.format


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
