"""The picture that a viewer shows in colour, for people; screening itself looks at luma alone (`decoding.py`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baken.images.colour import correction_of
from baken.images.container import Container
from baken.images.decoding import attempt, format_of, load, out_of_bounds, reader_of
from baken.images.luma import luma_of, shown
from baken.images.picture import DEFAULT_LIMITS, DecodeLimits
from baken.model import Unscreenable

_WHITE = 255
_COLOURED = frozenset(("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"))


def colours_of(data: bytes, *, limits: DecodeLimits = DEFAULT_LIMITS) -> NDArray[np.uint8] | Unscreenable:
    """The first picture in `data` as a viewer shows it on a white page, upright, in sRGB, at full size.

    Never raises for any bytes.

    Returns:
        uint8[H, W, 3]; uint8[H, W] of a picture without colours; or why there is none.
    """
    name = format_of(data, limits)
    if isinstance(name, Unscreenable):
        return name
    return attempt(name, lambda: _shown(reader_of(name)(data), limits))


def _shown(container: Container, limits: DecodeLimits) -> NDArray[np.uint8] | Unscreenable:
    refusal = out_of_bounds(container, limits)
    if refusal is not None:
        return refusal
    image = load(container, exact=True, in_colour=True)
    if image.mode not in _COLOURED or (container.colour_key is not None and image.mode == "P"):
        return luma_of(image, container).over_white
    opacity = _opacity(image, container)
    channels = _srgb(image, container)
    if container.inverted:
        channels = _WHITE - channels
    # Each channel goes the way of luma: onto the canvas, cropped, upright, and over white.
    planes = [shown(np.ascontiguousarray(channels[..., each]), opacity, container).over_white for each in range(3)]
    return np.ascontiguousarray(np.stack(planes, axis=-1))


def _srgb(image: Image.Image, container: Container) -> NDArray[np.uint8]:
    correction = correction_of(container.profile)
    colours = image if image.mode in ("CMYK", "RGB") else image.convert("RGBA").convert("RGB")
    shown_as = colours.convert("RGB") if correction is None else correction.colours(colours)
    return np.asarray(shown_as)


def _opacity(image: Image.Image, container: Container) -> NDArray[np.uint8] | None:
    if container.colour_key is not None:
        opaque: NDArray[np.bool_] = (np.asarray(image.convert("RGB")) != container.colour_key).any(axis=-1)
        return opaque.astype(np.uint8) * np.uint8(_WHITE)
    if not image.has_transparency_data:
        return None
    return np.asarray(image.convert("RGBA").getchannel("A"))
