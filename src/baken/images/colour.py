"""From the colours of a file to the sRGB a viewer shows, by its ICC profile or what stands for one.

The readers take the profile out of the file, bounded; it never reaches Pillow's readers. A profile that is broken, too
large or of another kind than the pixels is ignored, as viewers do.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms

MAX_PROFILE_BYTES = 4 << 20
"""The large ones, for print, have 0.5 to 2.5 MB."""

_HEADER_BYTES = 128
_SMALL_PROFILE_BYTES = 64 << 10
_SAME_LEVELS, _SAME_MEAN_LEVELS = 8, 1.5
"""What changes colours less is sRGB in other words: a curve of 2.2 is 6 levels off at most, and 1.3 on average."""

_NO_CHANGE = 128
_MODES = {b"RGB ": "RGB", b"CMYK": "CMYK", b"GRAY": "L"}
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65 = (0.3127, 0.3290)
SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_PRIMARIES = {  # ITU-T H.273, table 2
    1: SRGB_PRIMARIES,
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_SRGB_LIKE_TRANSFERS = frozenset((1, 6, 13, 14, 15))
"""The BT.709 family is shown with the curve of sRGB by browsers."""

_SRGB_CURVE = struct.pack(">4sIHH5i", b"para", 0, 3, 0, 157286, 62119, 3417, 5072, 2651)
Chromaticity = tuple[float, float]


class Correction:
    """How the samples of one profile become sRGB. Safe to use from many threads."""

    def __init__(self, mode: str, transform: ImageCms.ImageCmsTransform) -> None:
        """A transform of pictures of a mode, "RGB", "CMYK" or "L", to sRGB."""
        self._mode = mode
        self._transform = transform
        self._levels = np.arange(256, dtype=np.uint8)
        if mode != "CMYK":
            greys = Image.fromarray(self._levels[None, :]).convert(mode)
            self._levels = np.asarray(transform.apply(greys).convert("L"))[0]
        self._table = self._levels.tolist()

    def luma(self, image: Image.Image, block_px: int = 1) -> Image.Image:
        """The luma of an "RGB" or "CMYK" picture in sRGB; one of another kind than the profile is taken as it is.

        Args:
            image: the picture.
            block_px: above 1, each pixel of "RGB" is corrected like a grey of its lightness, and what that leaves is
                computed of the mean colours of blocks of so many pixels: it follows the colours, which change more
                slowly over a picture than light and dark do.
        """
        if image.mode != self._mode:
            return image.convert("L")
        if block_px == 1 or image.mode != "RGB":
            return self._transform.apply(image).convert("L")
        means = image.reduce(block_px)
        left = ImageChops.subtract(self._transform.apply(means).convert("L"), self._as_grey(means), 1, _NO_CHANGE)
        seen = (0, 0, image.width / block_px, image.height / block_px)
        left = left.resize(image.size, Image.Resampling.NEAREST, seen)
        return ImageChops.add(self._as_grey(image), left, 1, -_NO_CHANGE)

    def _as_grey(self, image: Image.Image) -> Image.Image:
        return image.convert("L").point(self._table)

    def colours(self, image: Image.Image) -> Image.Image:
        """An "RGB" or "CMYK" picture in sRGB; one of another kind than the profile is taken as it is."""
        return self._transform.apply(image) if image.mode == self._mode else image.convert("RGB")

    def greys(self, samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Grey samples in the grey of sRGB; as they are when the profile is of colours."""
        return self._levels[samples] if self.is_of_greys else samples

    @property
    def is_of_greys(self) -> bool:
        """Whether the profile is of grey samples."""
        return self._mode == "L"


def correction_of(profile: bytes | None) -> Correction | None:
    """What an ICC profile asks for; None when it changes nothing, or cannot be used."""
    if profile is None or not _HEADER_BYTES < len(profile) <= MAX_PROFILE_BYTES:
        return None
    return (_small if len(profile) <= _SMALL_PROFILE_BYTES else _large)(profile)


def _made(profile: bytes) -> Correction | None:
    mode = _MODES.get(profile[16:20])
    if mode is None:
        return None
    try:
        return _correction(profile, mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


_small = lru_cache(64)(_made)
_large = lru_cache(4)(_made)


def _correction(profile: bytes, mode: str) -> Correction | None:
    source, target = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, mode, "RGB")
    probe = _probe(mode)
    shown = np.asarray(transform.apply(probe))
    if mode != "CMYK":
        changed = np.abs(shown.astype(int) - np.asarray(probe.convert("RGB")))
        if changed.max() <= _SAME_LEVELS and changed.mean() <= _SAME_MEAN_LEVELS:
            return None
    return Correction(mode, transform)


def _probe(mode: str) -> Image.Image:
    """All greys, or colours spread evenly over the whole cube."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None, :])
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(*[steps] * len(mode), indexing="ij"), axis=-1)
    return Image.frombytes(mode, (cube.size // len(mode), 1), cube.tobytes())


def inflated(data: bytes | memoryview) -> bytes | None:
    """A profile out of its zlib stream; None when that is broken, cut short or more than `MAX_PROFILE_BYTES`."""
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(data, MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if stream.eof else None


def profile_of_codes(primaries: int, transfer: int) -> bytes | None:
    """The profile that code points of ITU-T H.273 stand for; None for sRGB and what is not converted (HDR)."""
    known = _PRIMARIES.get(primaries)
    if known is None or primaries == 1 or transfer not in _SRGB_LIKE_TRANSFERS:
        return None
    return colour_profile(known)


def colour_profile(
    primaries: Sequence[Chromaticity], white: Chromaticity = D65, gamma: float | None = None
) -> bytes | None:
    """An ICC profile of red, green and blue primaries (x, y), for a curve of `gamma` or that of sRGB.

    None when the primaries make no colour space. Source: ICC.1:2022, 8.3 and annex E (Bradford).
    """
    try:
        matrix = _to_xyz(primaries, white)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    if not np.isfinite(matrix).all() or np.abs(matrix).max() > 2:  # noqa: PLR2004 - far outside what a profile can say
        return None
    colorants = [_xyz(*matrix[:, column]) for column in range(3)]
    curve = _curve(gamma)
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    return _profile(b"RGB ", zip(names, (*colorants, curve, curve, curve), strict=True))


def grey_profile(gamma: float) -> bytes:
    """An ICC profile of grey samples with a curve of `gamma`."""
    return _profile(b"GRAY", [(b"kTRC", _curve(gamma))])


def _to_xyz(primaries: Sequence[Chromaticity], white: Chromaticity) -> NDArray[np.float64]:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white_xyz = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
    matrix = columns * np.linalg.solve(columns, white_xyz)
    cones = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white_xyz)
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ (cones[:, None] * (_BRADFORD @ matrix))
    return adapted


def _curve(gamma: float | None) -> bytes:
    if gamma is None:
        return _SRGB_CURVE
    return struct.pack(">4sIHHi", b"para", 0, 0, 0, round(gamma * 65536))


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _profile(space: bytes, tags: Sequence[tuple[bytes, bytes]] | zip[tuple[bytes, bytes]]) -> bytes:
    described = b"mluc" + struct.pack(">5I2s2sII", 0, 1, 12, 0, 0, b"en", b"US", 0, 28)[4:]
    table = [(b"desc", described), (b"wtpt", _xyz(*_D50)), *tags]
    at = _HEADER_BYTES + 4 + 12 * len(table)
    index, body = struct.pack(">I", len(table)), b""
    for name, content in table:
        padded = content + bytes(-len(content) % 4)
        index += struct.pack(">4sII", name, at + len(body), len(content))
        body += padded
    size = _HEADER_BYTES + len(index) + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s", size, 0x04300000, b"mntr", space, b"XYZ ", b"acsp")
    illuminant = struct.pack(">3i", *(round(value * 65536) for value in _D50))
    return (head.ljust(68, b"\0") + illuminant).ljust(_HEADER_BYTES, b"\0") + index + body
