"""Altered copies of a picture and files that only claim to be one, for the demo, the docs and the tests."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from baken.images.exif import ORIENTATION_TAG
from baken.images.png import png_chunk

_TURN_CLOCKWISE = 6
"""EXIF orientation: shown after a quarter turn clockwise."""

_PALETTE_COLOURS = 256
_16_BIT_SCALE = 257


def encoded(image: Image.Image, format_name: str, **options: object) -> bytes:
    """`image` as a file of Pillow's `format_name`; the same bytes for the same picture, options and Pillow."""
    file = BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def altered_copies(image: Image.Image) -> Iterator[tuple[str, str, bytes]]:
    """Nine copies of an RGB picture as they turn up on platforms: name, file suffix and content.

    All but `mirrored` show the same picture, so all but that one must match it untransformed.
    """
    yield "jpeg_40", ".jpg", encoded(image, "JPEG", quality=40)
    half = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    yield "half_size", ".jpg", encoded(half, "JPEG", quality=85)
    yield "png_8", ".png", encoded(image.quantize(_PALETTE_COLOURS), "PNG")
    yield "gif", ".gif", encoded(image.quantize(_PALETTE_COLOURS), "GIF")
    yield "cmyk", ".jpg", encoded(image.convert("CMYK"), "JPEG", quality=85)
    yield "exif_rotated", ".jpg", _exif_rotated(image)
    yield "png_16", ".png", encoded(_grey_16(image), "PNG")
    yield "webp", ".webp", encoded(image, "WEBP", quality=75)
    yield "mirrored", ".jpg", encoded(ImageOps.mirror(image), "JPEG", quality=85)


def parted_copies(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """JPEG copies that show a part of an RGB picture, or put it into something else, each with its name.

    Their whole pictures are far from the picture: they are found by views.
    """
    width, height = image.size
    cut_x, cut_y = width // 20, height // 20
    crop = image.crop((cut_x, cut_y, width - cut_x, height - cut_y))
    band = crop.height // 5
    captioned = Image.new("RGB", (crop.width, crop.height + band), "white")
    captioned.paste(crop, (0, band))
    for top, share in ((band // 5, 0.8), (3 * band // 5, 0.6)):
        captioned.paste("black", (crop.width // 10, top, int(crop.width * share), top + band // 5))
    yield "captioned_crop", encoded(captioned, "JPEG", quality=85)
    edge = width // 7
    yield "bordered", encoded(ImageOps.expand(image, edge, (236, 232, 222)), "JPEG", quality=85)


def truncated_jpeg(image: Image.Image) -> bytes:
    """The first half of a JPEG."""
    whole = encoded(image, "JPEG", quality=85)
    return whole[: len(whole) // 2]


def huge_png(width_px: int, height_px: int) -> bytes:
    """A valid-looking PNG of a few bytes whose header claims any size."""
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1024))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def _exif_rotated(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = _TURN_CLOCKWISE
    return encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=85, exif=exif)


def _grey_16(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * _16_BIT_SCALE)
