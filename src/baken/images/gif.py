"""GIF 87a/89a: the first frame as a file of its own, and where it stands on the canvas."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL.GifImagePlugin import GifImageFile

from baken.images.container import Container, CutShortError, DamagedError, Placement

MAX_BLOCKS = 1 << 20
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_HEADER_BYTES = 13


class NoImageError(DamagedError):
    """The file ends where an image should start."""


def read_gif(data: bytes) -> Container:
    """Raises: DamagedError, CutShortError, struct.error and IndexError (cut short)."""
    canvas_width, canvas_height, flags = struct.unpack_from("<HHB", data, 6)
    colours_end = _HEADER_BYTES + _table_bytes(flags)
    image_at, control = _first_image(data, colours_end)
    left, top, width, height = struct.unpack_from("<HHHH", data, image_at + 1)
    # Browsers widen the canvas for a first frame that does not fit it, and so does Pillow.
    canvas = max(canvas_width, left + width), max(canvas_height, top + height)
    frame = Placement(left, top, width, height)
    view = memoryview(data)
    return Container(
        "gif",
        *canvas,
        parts=(
            data[:6] + struct.pack("<HH", width, height),
            view[10:colours_end],
            control,
            b"\x2c\0\0\0\0",
            view[image_at + 5 :],
        ),
        opener=GifImageFile,
        frame=None if (left, top, (width, height)) == (0, 0, canvas) else frame,
    )


def walk_images(data: bytes) -> Iterator[tuple[int, int, memoryview | bytes]]:
    """Where each image descriptor starts, where its data end, and the graphic control before it (empty: none).

    Ends at the trailer, or where the file ends between two blocks. Raises: DamagedError, CutShortError.
    """
    at = _HEADER_BYTES + _table_bytes(data[10])
    while at < len(data):
        try:
            at, control = _first_image(data, at)
        except NoImageError:
            return
        except IndexError:
            return  # stray bytes up to the end
        try:
            end = _after_blocks(data, at + 10 + _table_bytes(data[at + 9]) + 1)
        except IndexError:
            raise CutShortError("it ends inside a frame") from None
        yield at, end, control
        at = end


def one_image(data: bytes, at: int, end: int, control: memoryview | bytes) -> tuple[bytes | memoryview, ...]:
    """The image at byte `at` as a file of its own. Raises: struct.error (cut short)."""
    width, height = struct.unpack_from("<HH", data, at + 5)
    view = memoryview(data)
    colours_end = _HEADER_BYTES + _table_bytes(data[10])
    start = data[:6] + struct.pack("<HH", width, height)
    return start, view[10:colours_end], control, b"\x2c\0\0\0\0", view[at + 5 : end], b";"


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _first_image(data: bytes, at: int) -> tuple[int, memoryview | bytes]:
    control: memoryview | bytes = b""
    for _ in range(MAX_BLOCKS):
        kind = data[at]
        if kind == _IMAGE:
            return at, control
        if kind == _TRAILER:
            raise NoImageError("it has no frame")
        if kind == _EXTENSION:
            end = _after_blocks(data, at + 2)
            if data[at + 1] == _GRAPHIC_CONTROL:
                control = memoryview(data)[at:end]
            at = end
        else:
            at += 1  # stray bytes between blocks are common and every viewer skips them
    raise DamagedError(f"more than {MAX_BLOCKS} blocks stand before the first frame")


def _after_blocks(data: bytes, at: int) -> int:
    for _ in range(MAX_BLOCKS):
        size = data[at]
        at += 1 + size
        if size == 0:
            return at
        if at >= len(data):
            raise CutShortError("it ends inside an extension")
    raise DamagedError(f"an extension has more than {MAX_BLOCKS} blocks")
