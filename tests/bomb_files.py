"""Small files that claim to be, or become, far more than a machine holds. All are built here, and show nothing."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from PIL import Image

import heif_files
from baken.images.png import png_chunk
from baken.model import UnscreenableReason as Reason
from baken.samples_files import encoded, huge_png
from picture_files import tiff_file

SIZE_PX = (96, 64)
_MANY = 1_000_000

Bomb = tuple[str, bytes, frozenset[Reason | None]]
"""Name, content, and the reasons it may be refused with; None where it is a picture all the same."""


def bombs() -> Iterator[Bomb]:
    """Each of them, in every format that can hold one."""
    yield "sixty_thousand.png", huge_png(60_000, 60_000), frozenset({Reason.TOO_MANY_PIXELS})
    yield "pixels_of_ten_gigabytes.webp", lossless_webp_of(16_383), frozenset({Reason.TOO_MANY_PIXELS})
    for name in ("avif", "heic"):
        yield f"pixels_of_ten_gigabytes.{name}", claimed(name, 60_000), frozenset({Reason.TOO_MANY_PIXELS})
    yield "rows_of_384_mebibytes.png", endless_rows_png(), frozenset({None, Reason.CORRUPT})
    yield "strip_of_384_mebibytes.tif", endless_strip_tiff(), frozenset({None, Reason.CORRUPT})
    yield "million_frames.gif", gif_of(_MANY), frozenset({None})
    yield "chain_of_directories.tif", chained_tiff(_MANY), frozenset({None})
    yield "folder_within_itself.zip", nested_zip(), frozenset({Reason.UNKNOWN_FORMAT})
    yield "archive_within_itself.gz", gzip.compress(gzip.compress(bytes(1 << 26))), frozenset({Reason.UNKNOWN_FORMAT})


def zeros(size_mebibytes: int) -> bytes:
    """A zlib stream that inflates to this many zeros; a thousandth of them long."""
    stream = zlib.compressobj(9)
    return b"".join(stream.compress(bytes(1 << 20)) for _ in range(size_mebibytes)) + stream.flush()


def lossless_webp_of(side_px: int) -> bytes:
    """A lossless WebP of one colour, the largest that the format has: 26 bytes that are a gigabyte of pixels."""
    tiny = encoded(Image.new("RGB", (8, 8), (9, 9, 9)), "WEBP", lossless=True)
    at = tiny.index(b"VP8L") + 9
    bits = (side_px - 1) | (side_px - 1) << 14
    kept = int.from_bytes(tiny[at : at + 4], "little") >> 28 << 28
    return tiny[:at] + struct.pack("<I", bits | kept) + tiny[at + 4 :]


def claimed(name: str, side_px: int) -> bytes:
    """A good picture whose boxes say that it is this large."""
    whole = heif_files.file_of([heif_files.coded(Image.new("RGB", SIZE_PX), name)], name.encode())
    at = whole.index(b"ispe") + 8
    return whole[:at] + struct.pack(">II", side_px, side_px) + whole[at + 8 :]


def endless_rows_png() -> bytes:
    """A PNG of 96 x 64 pixels whose rows go on for 384 MiB."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *SIZE_PX, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zeros(384)) + png_chunk(b"IEND", b"")


def endless_strip_tiff() -> bytes:
    """A TIFF of 96 x 64 pixels whose one strip inflates to 384 MiB."""
    strip = zeros(384)
    tags = {256: ("H", [96]), 257: ("H", [64]), 258: ("H", [8]), 259: ("H", [8]), 262: ("H", [1]), 278: ("H", [64])}
    return tiff_file(strip, {**tags, 273: ("I", [8]), 279: ("I", [len(strip)])})


def gif_of(frames: int) -> bytes:
    """A GIF of so many frames of one pixel."""
    whole = encoded(Image.new("P", SIZE_PX), "GIF")
    pixel = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0"
    return whole[:-1] + pixel * frames + b";"


def chained_tiff(directories: int) -> bytes:
    """A TIFF with so many directories, each of which names the next."""
    whole = tiff_file(
        bytes(96 * 64),
        {256: ("H", [96]), 257: ("H", [64]), 258: ("H", [8]), 262: ("H", [1]), 273: ("I", [8]), 279: ("I", [96 * 64])},
    )
    (first,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, first)
    end = first + 2 + 12 * count
    start = len(whole) + len(whole) % 2
    entry = struct.pack("<HHHII", 1, 254, 4, 1, 0)
    size = len(entry) + 4
    chain = b"".join(entry + struct.pack("<I", start + size * (number + 1)) for number in range(directories - 1))
    last = entry + struct.pack("<I", start)  # and the last one the first of them
    return whole[:end] + struct.pack("<I", start) + whole[end + 4 :].ljust(start - end - 4, b"\0") + chain + last


def nested_zip() -> bytes:
    """An archive in an archive, ten deep, as those that hold themselves look from outside."""
    inner = bytes(1 << 20)
    for depth in range(10):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as folder:
            folder.writestr(f"{depth}.zip", inner)
        inner = archive.getvalue()
    return inner
