"""WebP (RFC 9649): the first frame as a still of its own, and where it stands on the canvas."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL.WebPImagePlugin import WebPImageFile

from baken.images.colour import MAX_PROFILE_BYTES
from baken.images.container import MAX_PARTS, Container, CutShortError, DamagedError, Placement
from baken.images.exif import UPRIGHT, orientation_of

_ALPHA_FLAG = 0x10
_LOSSLESS_START = 0x2F
_FRAME_HEADER_BYTES = 16
_TWO_SIZES_BYTES = 6
_EXIF_PREFIX = b"Exif\0\0"  # not in the specification, and in many files


def read_webp(data: bytes) -> Container:
    """Raises: DamagedError, CutShortError, struct.error (cut short)."""
    chunks = _by_kind(memoryview(data)[12:])
    if b"ANMF" in chunks:
        left, top = (2 * value for value in _two_sizes(chunks[b"ANMF"][8:]))
        still = _by_kind(chunks[b"ANMF"][8 + _FRAME_HEADER_BYTES :])
    else:
        left, top, still = 0, 0, chunks
    kind, pixels = _bitstream(still)
    width, height = _vp8_size(pixels) if kind == b"VP8 " else _vp8l_size(pixels)
    canvas = (width, height)
    if b"VP8X" in chunks:
        width_less_one, height_less_one = _two_sizes(chunks[b"VP8X"][12:])
        canvas = (width_less_one + 1, height_less_one + 1)
    if left + width > canvas[0] or top + height > canvas[1]:
        raise DamagedError(f"a frame of {width} x {height} pixels does not fit its canvas")
    whole = (left, top, (width, height)) == (0, 0, canvas)
    return Container(
        "webp",
        *canvas,
        parts=_still(still.get(b"ALPH") if kind == b"VP8 " else None, pixels, width, height),
        opener=WebPImageFile,
        orientation=_orientation(chunks.get(b"EXIF")),
        profile=bytes(chunks[b"ICCP"][8 : 8 + MAX_PROFILE_BYTES]) if b"ICCP" in chunks else None,
        frame=None if whole else Placement(left, top, width, height),
    )


def frame_still(chunk: memoryview) -> tuple[tuple[bytes | memoryview, ...], tuple[int, int]]:
    """The parts of a file of one frame (`ANMF`), and its width and height. Raises: as `read_webp`."""
    still = _by_kind(chunk[8 + _FRAME_HEADER_BYTES :])
    kind, pixels = _bitstream(still)
    size = _vp8_size(pixels) if kind == b"VP8 " else _vp8l_size(pixels)
    return _still(still.get(b"ALPH") if kind == b"VP8 " else None, pixels, *size), size


def _by_kind(view: memoryview) -> dict[bytes, memoryview]:
    """The first chunk of each kind, with its eight header bytes."""
    first: dict[bytes, memoryview] = {}
    for kind, chunk in webp_chunks(view):
        first.setdefault(kind, chunk)
    return first


def webp_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and bytes, with its eight header bytes, of each chunk. Raises: DamagedError (too many)."""
    at = 0
    for _ in range(MAX_PARTS):
        if at + 8 > len(view):
            return
        kind, size = struct.unpack_from("<4sI", view, at)
        yield kind, view[at : at + 8 + size]
        at += 8 + size + (size & 1)
    raise DamagedError(f"it has more than {MAX_PARTS} chunks")


def _bitstream(chunks: dict[bytes, memoryview]) -> tuple[bytes, memoryview]:
    for kind in (b"VP8 ", b"VP8L"):
        chunk = chunks.get(kind)
        if chunk is None:
            continue
        if len(chunk) < 8 + struct.unpack_from("<I", chunk, 4)[0]:
            raise CutShortError("it ends inside its picture data")
        return kind, chunk
    raise CutShortError("it ends before its picture data")


def _two_sizes(view: memoryview) -> tuple[int, int]:
    if len(view) < _TWO_SIZES_BYTES:
        raise CutShortError("it ends inside a header")
    return int.from_bytes(view[:3], "little"), int.from_bytes(view[3:6], "little")


def _vp8_size(chunk: memoryview) -> tuple[int, int]:
    start, width, height = struct.unpack_from("<3sHH", chunk, 11)
    if start != b"\x9d\x01\x2a":
        raise DamagedError("its picture data do not start as VP8 does")
    return width & 0x3FFF, height & 0x3FFF


def _vp8l_size(chunk: memoryview) -> tuple[int, int]:
    start, bits = struct.unpack_from("<BI", chunk, 8)
    if start != _LOSSLESS_START:
        raise DamagedError("its picture data do not start as lossless VP8 does")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _orientation(chunk: memoryview | None) -> int:
    if chunk is None:
        return UPRIGHT
    body = chunk[8:]
    return orientation_of(body[6:] if body[:6] == _EXIF_PREFIX else body)


def _still(alpha: memoryview | None, pixels: memoryview, width: int, height: int) -> tuple[bytes | memoryview, ...]:
    chunks: list[bytes | memoryview] = []
    if alpha is not None:
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks = [b"VP8X" + struct.pack("<II", 10, _ALPHA_FLAG) + size, alpha, b"\0" * (len(alpha) & 1)]
    chunks += [pixels, b"\0" * (len(pixels) & 1)]
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WEBP", *chunks
