"""What decoding gives, and the bounds it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What a file may ask of this machine; both are checked before any pixel is decoded.

    A decode holds the file twice, 64 MiB, and at most 16 bytes a pixel (WebP and AVIF; 12 for TIFF and HEIC, 9 for
    JPEG, 8 for everything else).

    Attributes:
        max_size_bytes: larger files are `too_large` and are not read.
        max_pixels: pictures whose header claims more are `too_many_pixels`. Formats other than JPEG also keep Pillow's
            own bound (`PIL.Image.MAX_IMAGE_PIXELS`, 89 million unless changed).
        max_frame_pixels: pixels of all frames or pages of one file that are decoded together, each frame counted as at
            least 20,000. What is beyond is drawn without the frames before it.
    """

    max_size_bytes: int = 64 * MEBIBYTE
    max_pixels: int = 100_000_000
    max_frame_pixels: int = 200_000_000


DEFAULT_LIMITS = DecodeLimits()


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture a viewer shows.

    Attributes:
        luma: uint8[H, W], C-contiguous: ITU-R BT.601 luma of the colours in sRGB, with orientation applied and
            transparency over white.
            Smaller by 2, 4 or 8 when a JPEG was decoded at reduced size, and then placed so that its PDQ stays.
        format: `avif`, `bmp`, `gif`, `heic`, `jpeg`, `png`, `tiff` or `webp`, told from the content.
        width_px: width as shown, at full size.
        height_px: height as shown, at full size.
        exact: whether `luma` has the full size.
        over_black: like `luma`, over black, when it has transparent parts; else None.
    """

    luma: NDArray[np.uint8]
    format: str
    width_px: int
    height_px: int
    exact: bool
    over_black: NDArray[np.uint8] | None = None

    @property
    def variants(self) -> tuple[NDArray[np.uint8], ...]:
        """What viewers show of it: `luma`, and `over_black` where a dark page makes another picture of it."""
        return (self.luma,) if self.over_black is None else (self.luma, self.over_black)
