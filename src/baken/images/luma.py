"""Decoded pixels of any mode to the luma a viewer's picture has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baken._native import arrow_uint8
from baken.images.container import Container
from baken.images.exif import SWAPS_SIDES

_STRIP_PIXELS = 1 << 22
"""Conversions work on strips, so that they never hold a second full-size picture."""

_WHITE = 255
_WHITE_16 = 65535
_UNIT_FLOAT = 1.0
_GREY_16 = frozenset(("I;16", "I;16L", "I;16B", "I;16N"))
_WIDE = frozenset(("I", "F"))


def luma_of(image: Image.Image, container: Container) -> NDArray[np.uint8]:
    """uint8[H, W], C-contiguous: the canvas upright, ITU-R BT.601, transparency over white."""
    if image.mode == "L" and container.colour_key is None and not image.has_transparency_data:
        luma = _pixels(image)
    else:
        luma = _by_strips(image, container)
    if container.inverted:
        luma = _WHITE - luma
    return upright(_on_canvas(luma, container), container.orientation)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """uint8[H, W] of an "L" picture: a view of Pillow's memory where that is in one piece (to 16 MB), else a copy."""
    try:
        return arrow_uint8(image).reshape(image.height, image.width)
    except ValueError:
        return np.asarray(image)


def upright(luma: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undoes an EXIF orientation (1 to 8)."""
    turned = luma
    if orientation in SWAPS_SIDES:
        turned = turned.T
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return np.ascontiguousarray(turned)


def _on_canvas(luma: NDArray[np.uint8], container: Container) -> NDArray[np.uint8]:
    frame = container.frame
    if frame is None:
        return luma
    canvas = np.full((container.height_px, container.width_px), _WHITE, dtype=np.uint8)
    canvas[frame.top_px : frame.top_px + frame.height_px, frame.left_px : frame.left_px + frame.width_px] = luma
    return canvas


def _by_strips(image: Image.Image, container: Container) -> NDArray[np.uint8]:
    width, height = image.size
    luma = np.empty((height, width), dtype=np.uint8)
    levels = _levels(image) if image.mode in _WIDE else None
    for top, strip in _strips(image):
        part = luma[top : top + strip.height]
        if levels is not None:
            part[:] = _levelled(strip, *levels)
        elif strip.mode in _GREY_16:
            part[:] = np.asarray(strip) >> (container.grey_bits - 8)
        else:
            part[:] = np.asarray(_to_grey(strip))
        if container.colour_key is not None:
            part[_keyed(strip, container.colour_key)] = _WHITE
    return luma


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        return image.getchannel("L")  # lightness; converting through a profile would bring in colour management
    if not image.has_transparency_data:
        return image.convert("L")
    shown = image.convert("LA" if image.mode == "La" else "RGBA")
    # Luma is linear in the colours, so blending it with white is blending the colours with white.
    return Image.composite(shown.convert("L"), Image.new("L", image.size, _WHITE), shown.getchannel("A"))


def _keyed(strip: Image.Image, key: tuple[int, ...]) -> NDArray[np.bool_]:
    samples = np.asarray(strip.convert("L") if strip.mode == "1" else strip)
    hidden: NDArray[np.bool_] = samples == key[0] if len(key) == 1 else (samples == key).all(axis=-1)
    return hidden


def _levels(image: Image.Image) -> tuple[float, float]:
    """The samples that become black and white, for 32-bit integers and floats, whose range no header tells.

    0 to 1 (floats), 0 to 255 and 0 to 65,535 (integers) are taken as what they are usually written for; anything else
    is stretched from its least to its greatest value, as scientific viewers do.
    """
    low, high = _extremes(image)
    if low >= 0 and image.mode == "F" and high <= _UNIT_FLOAT:
        return 0, 1
    if low >= 0 and high <= _WHITE:
        return 0, _WHITE
    if low >= 0 and image.mode == "I" and high <= _WHITE_16:
        return 0, _WHITE_16
    return low, high


def _extremes(image: Image.Image) -> tuple[float, float]:
    lows, highs = [], []
    for _, strip in _strips(image):
        samples = np.asarray(strip)
        known = samples[np.isfinite(samples)]
        if known.size:
            lows.append(float(known.min()))
            highs.append(float(known.max()))
    return (min(lows), max(highs)) if lows else (0.0, 0.0)


def _levelled(strip: Image.Image, black: float, white: float) -> NDArray[np.uint8]:
    samples = np.nan_to_num(np.asarray(strip, dtype=np.float64), nan=black, posinf=white, neginf=black)
    scale = _WHITE / (white - black) if white > black else 0.0
    return np.clip(np.rint((samples - black) * scale), 0, _WHITE).astype(np.uint8)
