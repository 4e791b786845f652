"""PNG (ISO/IEC 15948): the header, the transparent colour, the orientation, and the file's critical chunks only."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from PIL.PngImagePlugin import PngImageFile

from baken.images.colour import D65, SRGB_PRIMARIES, colour_profile, grey_profile, inflated, profile_of_codes
from baken.images.container import MAX_PARTS, Container, CutShortError, DamagedError, Placement
from baken.images.exif import UPRIGHT, orientation_of

_SIGNATURE_BYTES = 8
_MAX_CHUNK_BYTES = (1 << 31) - 1
_GREY, _TRUECOLOUR, _INDEXED = 0, 2, 3
_WIDEST_BITS = 16
_WIDENED = {1: 255, 2: 85, 4: 17}
_GREY_KEY_BYTES, _TRUECOLOUR_KEY_BYTES = 2, 6
_COLOUR_CHUNKS = frozenset((b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"))
_GREYS = frozenset((0, 4))
_CODES_BYTES = 4
_GAMMA_SCALE = 100_000
_GAMMAS = range(1_000, 1_000_000)
_END = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(slots=True)
class _Chunks:
    header: tuple[int, int, int, int] | None = None  # width, height, bits, colour type
    head: list[bytes | memoryview] = field(default_factory=list)  # IHDR, PLTE, tRNS
    pixels: list[bytes | memoryview] = field(default_factory=list)  # IDAT
    has_palette: bool = False
    colour_key: tuple[int, ...] | None = None
    orientation: int = UPRIGHT
    colour: dict[bytes, memoryview] = field(default_factory=dict)  # what says which colours the samples are
    ended: bool = False
    animated: bool = False
    frames: int = 0
    frame: Placement | None = None  # the first frame of an animation whose default image is not a part of it
    frame_pixels: list[bytes | memoryview] = field(default_factory=list)


def read_png(data: bytes) -> Container:
    """Raises: DamagedError, CutShortError, struct.error (cut short)."""
    chunks = _Chunks()
    _read_chunks(memoryview(data), chunks)
    if chunks.header is None or not chunks.pixels:
        raise _missing(chunks, "header" if chunks.header is None else "picture data")
    if chunks.header[3] == _INDEXED and not chunks.has_palette:
        raise DamagedError("its colours are palette indices and there is no palette")
    shown = _first_of_animation(chunks) if chunks.frame_pixels else (*chunks.head, *chunks.pixels)
    return Container(
        "png",
        *chunks.header[:2],
        parts=(data[:_SIGNATURE_BYTES], *shown, *([_END] if chunks.ended else [])),
        frame=chunks.frame if chunks.frame_pixels else None,
        opener=PngImageFile,
        orientation=chunks.orientation,
        cut_short=not chunks.ended,
        colour_key=chunks.colour_key,
        profile=_profile(chunks.colour, is_grey=chunks.header[3] in _GREYS),
    )


def _profile(colour: dict[bytes, memoryview], *, is_grey: bool) -> bytes | None:
    """The profile the file has, or the one its colour chunks stand for, in the order of precedence of PNG (11.3.2)."""
    if b"cICP" in colour and len(colour[b"cICP"]) >= _CODES_BYTES:
        return profile_of_codes(colour[b"cICP"][0], colour[b"cICP"][1])
    if b"iCCP" in colour:
        _, _, rest = bytes(colour[b"iCCP"]).partition(b"\0")
        return inflated(rest[1:])
    if b"sRGB" in colour or not colour:
        return None
    gamma = None
    if len(colour.get(b"gAMA", b"")) == 4:  # noqa: PLR2004 - one number
        stored = int.from_bytes(colour[b"gAMA"])
        gamma = _GAMMA_SCALE / stored if stored in _GAMMAS else None
    if is_grey:
        return grey_profile(gamma) if gamma else None
    white, *primaries = D65, *SRGB_PRIMARIES
    if len(colour.get(b"cHRM", b"")) == 32:  # noqa: PLR2004 - four points
        numbers = [value / _GAMMA_SCALE for value in struct.unpack(">8I", colour[b"cHRM"])]
        white, *primaries = zip(numbers[::2], numbers[1::2], strict=True)
    return colour_profile(primaries, white, gamma)


def _missing(chunks: _Chunks, what: str) -> DamagedError | CutShortError:
    return DamagedError(f"it has no {what}") if chunks.ended else CutShortError(f"it ends before its {what}")


def _read_chunks(view: memoryview, chunks: _Chunks) -> None:
    at = _SIGNATURE_BYTES
    for _ in range(MAX_PARTS):
        if at + 8 > len(view):
            return
        length, kind = struct.unpack_from(">I4s", view, at)
        if length > _MAX_CHUNK_BYTES:
            raise DamagedError(f"the chunk at byte {at} gives its length as {length}")
        end = at + 12 + length
        if kind == b"IEND":
            chunks.ended = True
            return
        if kind == b"IDAT" or end <= len(view):  # what there is of the picture may be enough
            _take(chunks, kind, view[at:end])
        at = end
    raise DamagedError(f"it has more than {MAX_PARTS} chunks")


def _take(chunks: _Chunks, kind: bytes, chunk: memoryview) -> None:
    body = chunk[8:-4]
    if kind == b"IHDR" and chunks.header is None:
        chunks.header = struct.unpack_from(">IIBB", body)
        chunks.head.append(chunk)
    elif kind == b"PLTE" and not chunks.has_palette:
        chunks.has_palette = True
        chunks.head.append(chunk)
    elif kind == b"tRNS":
        _take_transparency(chunks, chunk)
    elif kind == b"IDAT":
        chunks.pixels.append(chunk)
    elif kind in _COLOUR_CHUNKS and not chunks.pixels:
        chunks.colour.setdefault(kind, body)
    elif kind == b"eXIf":
        chunks.orientation = orientation_of(body)
    elif kind in (b"acTL", b"fcTL", b"fdAT"):
        _take_animation(chunks, kind, body)


def _take_animation(chunks: _Chunks, kind: bytes, body: memoryview) -> None:
    if kind == b"acTL":
        chunks.animated = chunks.animated or not chunks.pixels
    elif kind == b"fcTL":
        chunks.frames += 1
        if chunks.animated and chunks.pixels and chunks.frames == 1:
            chunks.frame = _frame(chunks, *struct.unpack_from(">IIII", body, 4))
    elif chunks.frame is not None and chunks.frames == 1:
        chunks.frame_pixels.append(png_chunk(b"IDAT", bytes(body[4:])))


def _frame(chunks: _Chunks, width: int, height: int, left: int, top: int) -> Placement | None:
    if chunks.header is None or left + width > chunks.header[0] or top + height > chunks.header[1]:
        return None
    return Placement(left, top, width, height) if width and height else None


def _first_of_animation(chunks: _Chunks) -> tuple[bytes | memoryview, ...]:
    """The picture an animation starts with, which browsers show in place of a default image that is no part of it."""
    header, *others = chunks.head
    frame = chunks.frame or Placement(0, 0, 0, 0)
    size = struct.pack(">II", frame.width_px, frame.height_px)
    return png_chunk(b"IHDR", size + bytes(header[16:21])), *others, *chunks.frame_pixels


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _take_transparency(chunks: _Chunks, chunk: memoryview) -> None:
    if chunks.header is None or chunks.pixels:
        return
    _, _, bits, colour = chunks.header
    body = chunk[8:-4]
    if colour == _INDEXED:
        chunks.head.append(chunk)
    elif colour == _GREY and len(body) >= _GREY_KEY_BYTES:
        # Pillow widens 1, 2 and 4 bits to 8 and forgets to widen the key.
        (key,) = struct.unpack_from(">H", body)
        chunks.colour_key = ((key & ((1 << bits) - 1)) * _WIDENED.get(bits, 1),)
    elif colour == _TRUECOLOUR and bits < _WIDEST_BITS and len(body) >= _TRUECOLOUR_KEY_BYTES:
        # 16-bit truecolour arrives as 8 bits, where one key would hide 16 million colours: it is left visible.
        chunks.colour_key = struct.unpack_from(">HHH", body)
