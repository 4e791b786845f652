"""`decode`: any bytes to a `Picture`, or to an `Unscreenable` that says why not."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import TypeVar

from PIL import Image
from PIL.ImageFile import ImageFile

from baken.images.bmp import read_bmp
from baken.images.colour import correction_of
from baken.images.container import Container, CutShortError, DamagedError, UnsupportedError
from baken.images.exif import SWAPS_SIDES
from baken.images.gif import read_gif
from baken.images.heif import read_heif
from baken.images.jpeg import read_jpeg
from baken.images.luma import luma_of
from baken.images.picture import DEFAULT_LIMITS, DecodeLimits, Picture
from baken.images.png import read_png
from baken.images.reduction import FAST_SIZE_PX, aligned
from baken.images.sniffing import describe, picture_format
from baken.images.tiff import read_tiff
from baken.images.webp import read_webp
from baken.model import Unscreenable, UnscreenableReason

MIN_SIDE_PX = 5
"""PDQ defines no fingerprint below this: https://github.com/facebook/ThreatExchange/blob/main/pdq/cpp/hashing/pdqhashing.cpp."""

_READERS: dict[str, Callable[[bytes], Container]] = {
    "avif": read_heif,
    "bmp": read_bmp,
    "gif": read_gif,
    "heic": read_heif,
    "jpeg": read_jpeg,
    "png": read_png,
    "tiff": read_tiff,
    "webp": read_webp,
}
FORMATS = tuple(_READERS)
"""What Baken decodes."""

Result = TypeVar("Result")

_DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise on damaged bytes: they let whatever broke first through."""


def decode(data: bytes, *, limits: DecodeLimits = DEFAULT_LIMITS, exact: bool = False) -> Picture | Unscreenable:
    """The first picture in `data` as a viewer shows it.

    Never raises for any bytes, and no warning of the decoder escapes. Safe to call from many threads.

    Args:
        data: the file.
        limits: bounds that are checked before any pixel is decoded.
        exact: decode a JPEG at full size. The default is the smallest of 1/1, 1/2, 1/4 and 1/8 that keeps both sides at
            least 720 px, which is faster from 2 megapixels on and moves a PDQ by a few bits (`reduction.py`).
    """
    name = format_of(data, limits)
    if isinstance(name, Unscreenable):
        return name
    return attempt(name, lambda: picture_of(_READERS[name](data), limits, exact=exact))


def reader_of(name: str) -> Callable[[bytes], Container]:
    """What reads a file of one of `FORMATS`. The reader raises what `attempt` takes."""
    return _READERS[name]


def attempt(name: str, make: Callable[[], Result]) -> Result | Unscreenable:
    """What `make` gives, or why a file of format `name` gives nothing."""
    try:
        return make()
    except (MemoryError, *_DECODER_ERRORS) as error:
        return Unscreenable(_reason(error), f"the {name} file cannot be decoded: {_words(error)}")


def picture_of(container: Container, limits: DecodeLimits, *, exact: bool = False) -> Picture | Unscreenable:
    """The picture of one container. Raises: what readers and Pillow raise on damaged bytes; see `attempt`."""
    return out_of_bounds(container, limits) or _decoded(container, exact=exact)


def format_of(data: bytes, limits: DecodeLimits) -> str | Unscreenable:
    """Which of `FORMATS` a file is, or why it is not looked into."""
    if not data:
        return Unscreenable(UnscreenableReason.EMPTY, "the file has no bytes")
    if len(data) > limits.max_size_bytes:
        return too_large(len(data), limits)
    return picture_format(data) or _unknown(data)


def _unknown(data: bytes) -> Unscreenable:
    detail = f"the content is {describe(data)}; Baken decodes {', '.join(FORMATS)}"
    return Unscreenable(UnscreenableReason.UNKNOWN_FORMAT, detail)


def too_large(size_bytes: int, limits: DecodeLimits) -> Unscreenable:
    """What is said of a file over `limits.max_size_bytes`, read or not."""
    detail = f"the file has {size_bytes} bytes; at most {limits.max_size_bytes} are decoded"
    return Unscreenable(UnscreenableReason.TOO_LARGE, detail)


def out_of_bounds(container: Container, limits: DecodeLimits) -> Unscreenable | None:
    """Why a picture of that size is not decoded; None when it is."""
    width, height = container.width_px, container.height_px
    if width <= 0 or height <= 0:
        raise DamagedError(f"its header gives its size as {width} x {height}")
    most = limits.max_pixels
    if container.format != "jpeg" and Image.MAX_IMAGE_PIXELS is not None:
        most = min(most, Image.MAX_IMAGE_PIXELS)
    if max(width * height, math.prod(container.decoded_size_px)) > most:
        detail = f"the header claims {width} x {height} pixels; at most {most} are decoded"
        return Unscreenable(UnscreenableReason.TOO_MANY_PIXELS, detail)
    if min(width, height) < MIN_SIDE_PX:
        detail = f"the picture has {width} x {height} pixels; PDQ needs {MIN_SIDE_PX} on each side"
        return Unscreenable(UnscreenableReason.TOO_SMALL, detail)
    return None


def _decoded(container: Container, *, exact: bool) -> Picture:
    try:
        image = load(container, exact=exact)
    except _DECODER_ERRORS as error:
        if container.cut_short:
            raise CutShortError(str(error)) from error
        raise
    width, height = container.width_px, container.height_px
    turned = container.orientation in SWAPS_SIDES
    full_size = image.size == container.decoded_size_px
    lumas = luma_of(image, container)
    return Picture(
        luma=lumas.over_white if full_size else aligned(lumas.over_white),
        format=container.format,
        width_px=height if turned else width,
        height_px=width if turned else height,
        exact=full_size,
        over_black=lumas.over_black,
    )


def load(container: Container, *, exact: bool, in_colour: bool = False) -> ImageFile:
    """Pillow's picture of a container, its pixels decoded; of a JPEG its colours if asked. Raises: as `picture_of`."""
    image = container.opener(BytesIO(b"".join(container.parts)))
    if image.size != container.decoded_size_px:
        raise DamagedError(f"its headers disagree: {image.size} and {container.decoded_size_px}")
    # Only JPEG readers act on this: luma straight from the file, at a DCT scale unless the full size is asked for.
    correction = correction_of(container.profile)
    is_grey = not in_colour and (correction is None or correction.is_of_greys)
    image.draft("L" if is_grey else "RGB", None if exact else FAST_SIZE_PX)
    image.load()
    return image


def _reason(error: Exception) -> UnscreenableReason:
    # struct.error and IndexError of our own readers mean a field after the end; Pillow says "truncated".
    if isinstance(error, (CutShortError, EOFError, IndexError, struct.error)) or "truncated" in str(error).lower():
        return UnscreenableReason.TRUNCATED
    if isinstance(error, (MemoryError, UnsupportedError)):
        return UnscreenableReason.DECODER_FAILED
    return UnscreenableReason.CORRUPT


def _words(error: Exception) -> str:
    if isinstance(error, (struct.error, IndexError)):
        return "its header points beyond its end"
    return str(error) or type(error).__name__
