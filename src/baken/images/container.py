"""What every format's reader gives the decoder: the few bytes that make the first picture, and where it stands.

Metadata never reaches Pillow. That is what keeps text bombs, looping directories, broken EXIF and colour profiles from
costing anything, and Pillow's warnings about them from being raised in threads that did not ask for any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL.ImageFile import ImageFile

MAX_PARTS = 1 << 16
"""Segments, chunks or blocks of one file that are walked in Python. 64 MiB of PNG in 8 KiB chunks has 8,192."""


class DamagedError(ValueError):
    """The bytes contradict their own format."""


class CutShortError(ValueError):
    """The bytes end before the picture does."""


class UnsupportedError(ValueError):
    """The file is of a variant that this decoder does not read."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A rectangle of pixels: where decoded pixels stand on the canvas, or what of them is shown."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Container:
    """One file, understood as far as its header.

    Attributes:
        format: as in `Picture.format`.
        width_px: of the canvas as stored, before orientation.
        height_px: likewise.
        parts: slices of the file that together are a minimal file of the same format with one picture.
        opener: the Pillow class that reads those parts.
        orientation: EXIF orientation, 1 to 8.
        frame: where the picture stands on the canvas; None when it fills it.
        crop: what of the decoded pixels is shown, before orientation; None when all is.
        coded_size_px: width and height of the decoded pixels where they are more than is shown.
        cut_short: whether the file ends before its format says so.
        colour_key: the one sample (or triple) that is transparent, in the values Pillow decodes to.
        grey_bits: significant bits of a sample of more than 8 bits.
        inverted: whether 0 means white.
        profile: the ICC profile of its colours, as the file has it or as its header describes it.
    """

    format: str
    width_px: int
    height_px: int
    parts: tuple[bytes | memoryview, ...]
    opener: Callable[[BytesIO], ImageFile]
    orientation: int = 1
    frame: Placement | None = None
    crop: Placement | None = None
    coded_size_px: tuple[int, int] | None = None
    cut_short: bool = False
    colour_key: tuple[int, ...] | None = None
    grey_bits: int = 16
    inverted: bool = False
    profile: bytes | None = None

    @property
    def decoded_size_px(self) -> tuple[int, int]:
        """Width and height of the pixels Pillow will decode."""
        if self.coded_size_px is not None:
            return self.coded_size_px
        if self.frame is None:
            return self.width_px, self.height_px
        return self.frame.width_px, self.frame.height_px
