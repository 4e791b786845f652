"""What a person is shown of a picture: derived from the decoded pixels and encoded anew, never the file's own bytes.

Metadata, other frames and whatever else a file carries end here. A worker process runs this on hostile files
(`PreviewMaker` is its job), so what comes back is checked before it is sent (`checked`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from baken import images
from baken.cases import Level
from baken.images import DecodeLimits, Frames, Picture
from baken.images.colours import colours_of
from baken.images.decoding import attempt
from baken.images.jpeg import read_jpeg
from baken.images.sniffing import SNIFFED_BYTES, video_format
from baken.model import Unscreenable, UnscreenableReason
from baken.videos import DEFAULT_VIDEO_LIMITS, Film, VideoLimits, opened_video

MEDIA_TYPE = "image/jpeg"

LARGEST_SIDE_PX = {Level.PREVIEW: 160, Level.CLEARER: 480, Level.ORIGINAL: 4096}
"""The longer side at each level. The last one is more than a screen shows, and bounds what a worker sends back."""

BLUR_PX = {Level.PREVIEW: 4.0, Level.CLEARER: 0.0, Level.ORIGINAL: 0.0}
"""The standard deviation of the blur: at level 1, what is smaller than a twentieth of the picture is gone."""

_QUALITY = {Level.PREVIEW: 70, Level.CLEARER: 80, Level.ORIGINAL: 92}
_FURTHER_FRAMES = 16
_FLAT_LEVELS = 4.0
"""A frame whose greys spread less shows nothing: fade-ins begin black."""


@dataclass(frozen=True, slots=True)
class Preview:
    """An encoded picture, `MEDIA_TYPE`, of which no pixel is larger or clearer than its level allows."""

    data: bytes = field(repr=False)
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class PreviewMaker:
    """The job of a worker: a file in, its preview at one level out; or, as text, why it cannot be shown.

    Attributes:
        level: how much is shown, from 1.
        limits: what a picture may ask of this machine.
        videos: what a video may.
    """

    level: Level
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    videos: VideoLimits = DEFAULT_VIDEO_LIMITS

    def __call__(self, source: bytes | BinaryIO) -> Preview | str:
        """Decode one file and show its leading frame."""
        pixels = self._pixels(source)
        return pixels.detail if isinstance(pixels, Unscreenable) else derive(pixels, self.level)

    def _pixels(self, source: bytes | BinaryIO) -> NDArray[np.uint8] | Unscreenable:
        if not isinstance(source, bytes) or video_format(source[:SNIFFED_BYTES]) is not None:
            with opened_video(BytesIO(source) if isinstance(source, bytes) else source, self.videos) as opened:
                if isinstance(opened, Unscreenable):
                    return opened
                return _leading(frame.picture for frame in Film(opened, self.videos).sample())
        first = images.decode(source, limits=self.limits, exact=True)
        if isinstance(first, Picture) and not _is_flat(first.luma):
            return colours_of(source, limits=self.limits) if self.level is Level.ORIGINAL else first.luma
        frames = images.further_frames(source, first, limits=self.limits)
        further = frames.sample(_FURTHER_FRAMES, after_first=True) if isinstance(frames, Frames) else iter(())
        return _leading(chain([first], (frame.picture for frame in further)))


def derive(pixels: NDArray[np.uint8], level: Level) -> Preview:
    """The preview of decoded pixels at a level from 1 on.

    Args:
        pixels: uint8[H, W] or uint8[H, W, 3]; colours are kept at level 3 alone.
        level: how much is shown.
    """
    image = Image.fromarray(pixels)
    if level is not Level.ORIGINAL:
        image = image.convert("L")
    scale = min(1.0, LARGEST_SIDE_PX[level] / max(image.size))
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BOX if level is Level.PREVIEW else Image.Resampling.LANCZOS)
    if BLUR_PX[level]:
        # A small picture has fewer pixels for the same twentieth.
        spread = BLUR_PX[level] * min(1.0, max(image.size) / LARGEST_SIDE_PX[level])
        image = image.filter(ImageFilter.GaussianBlur(spread))
    file = BytesIO()
    image.save(file, "JPEG", quality=_QUALITY[level], subsampling=0)
    return Preview(file.getvalue(), image.width, image.height)


def checked(preview: Preview | str, level: Level) -> Preview | str:
    """The same when it is what a level may show; a worker that a hostile file took over can send anything."""
    if isinstance(preview, str):
        return preview
    header = attempt("jpeg", lambda: read_jpeg(preview.data))
    if isinstance(header, Unscreenable):
        return "the decoding process gave no picture"
    if max(header.width_px, header.height_px) > LARGEST_SIDE_PX[level]:
        return "the decoding process gave another picture than it was asked for"
    return preview


def _leading(pictures: Iterator[Picture | Unscreenable]) -> NDArray[np.uint8] | Unscreenable:
    """The first that is not flat, else the first that can be decoded, else why the first cannot."""
    flat: NDArray[np.uint8] | None = None
    failure: Unscreenable | None = None
    for picture in pictures:
        if isinstance(picture, Unscreenable):
            failure = failure or picture
        elif not _is_flat(picture.luma):
            return picture.luma
        elif flat is None:
            flat = picture.luma
    if flat is not None:
        return flat
    return failure or Unscreenable(UnscreenableReason.EMPTY, "the file has no picture")


def _is_flat(luma: NDArray[np.uint8]) -> bool:
    step = max(1, math.isqrt(luma.size // 100_000))
    return float(luma[::step, ::step].std()) < _FLAT_LEVELS
