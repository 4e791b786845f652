"""The frames of animated GIF, PNG and WebP files, as steps that a canvas takes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from baken.images.container import MAX_PARTS, Container, CutShortError, DamagedError, Placement
from baken.images.gif import one_image, read_gif, walk_images
from baken.images.png import png_chunk, read_png
from baken.images.webp import frame_still, read_webp, webp_chunks

MAX_STEPS = 100_000
"""Frames of one file that are walked; a film of an hour has 90,000."""

_PNG_SIGNATURE_BYTES = 8
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_FRAME_CONTROL_BYTES = 26
_PIXELS_AT = {b"IDAT": 8, b"fdAT": 12}  # behind length and kind, and the number that frames have
_TRANSPARENCY_FLAG = 1
_WEBP_FRAME_BYTES = 24
_RIFF_HEAD_BYTES = 8


class Disposal(Enum):
    """What becomes of a frame's rectangle before the next one is drawn."""

    KEEP = 0
    CLEAR = 1
    RESTORE = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One frame.

    Attributes:
        placement: its rectangle on the canvas, which it may exceed.
        disposal: what happens to the rectangle afterwards.
        blends: whether what is under it shows through its transparent parts; else it replaces them.
        is_opaque: whether it is known to have none.
        container: makes the file of this frame alone. Raises: as `read_gif`, `read_png`, `read_webp`.
    """

    placement: Placement
    disposal: Disposal
    blends: bool
    is_opaque: bool
    container: Callable[[], Container]


@dataclass(frozen=True, slots=True)
class Animation:
    """A file's frames.

    Attributes:
        canvas: size, orientation and format, as the first frame's reader tells them.
        steps: the frames.
        is_complete: whether these are all of them: the file is not cut short, and has no more than are walked.
    """

    canvas: Container
    steps: list[Step]
    is_complete: bool


def read_animation(data: bytes, name: str) -> Animation:
    """The frames of a GIF, PNG or WebP file; a still has one. Raises: as the format's reader."""
    canvas, walk = {"gif": _gif, "png": _png, "webp": _webp}[name](data)
    steps: list[Step] = []
    try:
        for step in walk:
            if len(steps) == MAX_STEPS:
                return Animation(canvas, steps, is_complete=False)
            steps.append(step)
    except CutShortError:
        if not steps:
            raise
        return Animation(canvas, steps, is_complete=False)
    return Animation(canvas, steps, is_complete=True)


def _gif(data: bytes) -> tuple[Container, Iterator[Step]]:
    first = read_gif(data)
    return first, (_gif_step(data, first, *place) for place in walk_images(data))


def _gif_step(data: bytes, first: Container, at: int, end: int, control: memoryview | bytes) -> Step:
    left, top, width, height = struct.unpack_from("<HHHH", data, at + 1)
    flags = control[3] if len(control) > 3 else 0  # noqa: PLR2004 - introducer, label and length stand before
    disposal = {2: Disposal.CLEAR, 3: Disposal.RESTORE}.get(flags >> 2 & 7, Disposal.KEEP)
    placement = Placement(left, top, width, height)

    def container() -> Container:
        return replace(first, parts=one_image(data, at, end, control), frame=placement)

    return Step(placement, disposal, True, not flags & _TRANSPARENCY_FLAG, container)


def _png(data: bytes) -> tuple[Container, Iterator[Step]]:
    first = read_png(data)
    return first, _png_steps(data, first)


@dataclass(slots=True)
class _PngFrame:
    control: memoryview | None = None
    pixels: list[memoryview] | None = None


def _png_steps(data: bytes, first: Container) -> Iterator[Step]:
    """Frames that `fcTL` chunks announce, and a still's picture.

    A default image that none announces comes last: it is no frame, but what a viewer without animation shows.

    Raises: CutShortError, after the frames that are there.
    """
    head, frame, is_animated, found = list[memoryview](), _PngFrame(), False, False
    default: list[memoryview] = []
    for kind, chunk in _png_chunks(memoryview(data)):
        if kind in (b"IHDR", b"PLTE", b"tRNS"):
            head.append(chunk)
        elif kind == b"acTL":
            is_animated = True
        elif kind == b"fcTL" and is_animated:
            if frame.control is not None and frame.pixels:
                found = True
                yield _png_step(data, first, head, frame)
            frame = _PngFrame(chunk[8 : 8 + _FRAME_CONTROL_BYTES], [])
        elif kind in _PIXELS_AT:
            (default if frame.pixels is None else frame.pixels).append(chunk[_PIXELS_AT[kind] : -4])
    if frame.control is not None and frame.pixels:
        found = True
        yield _png_step(data, first, head, frame)
    yield from _png_still(data, first, head, default if found else None)
    if is_animated and first.cut_short:
        raise CutShortError("it ends before its last frame does")


def _png_still(
    data: bytes, first: Container, head: list[memoryview], default: list[memoryview] | None
) -> Iterator[Step]:
    """What is shown without animation: beside the frames their default image, or all there is where there are none."""
    whole = Placement(0, 0, first.width_px, first.height_px)
    if default is None:
        yield Step(first.frame or whole, Disposal.KEEP, True, False, lambda: first)
    elif default:
        parts: tuple[bytes | memoryview, ...]
        parts = (data[:_PNG_SIGNATURE_BYTES], *head, png_chunk(b"IDAT", b"".join(default)), _PNG_END)
        yield Step(whole, Disposal.KEEP, False, False, lambda: replace(first, parts=parts, frame=None))


def _png_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = _PNG_SIGNATURE_BYTES
    for _ in range(MAX_PARTS):
        if at + 8 > len(view):
            return
        length, kind = struct.unpack_from(">I4s", view, at)
        if kind == b"IEND" or at + 12 + length > len(view):
            return
        yield kind, view[at : at + 12 + length]
        at += 12 + length


def _png_step(data: bytes, first: Container, head: list[memoryview], frame: _PngFrame) -> Step:
    assert frame.control is not None  # noqa: S101 - the caller saw it
    pixels = frame.pixels or []
    if len(frame.control) < _FRAME_CONTROL_BYTES:
        raise CutShortError("it ends inside a frame's header")
    width, height, left, top, disposal, blend = struct.unpack_from(">4xIIII4xBB", frame.control)
    placement = Placement(left, top, width, height)

    def container() -> Container:
        header = png_chunk(b"IHDR", struct.pack(">II", width, height) + bytes(head[0][16:21]))
        parts: tuple[bytes | memoryview, ...]
        parts = (data[:_PNG_SIGNATURE_BYTES], header, *head[1:], png_chunk(b"IDAT", b"".join(pixels)), _PNG_END)
        return replace(first, parts=parts, frame=placement)

    kind = {1: Disposal.CLEAR, 2: Disposal.RESTORE}.get(disposal, Disposal.KEEP)
    return Step(placement, kind, blend == 1, False, container)


def _webp(data: bytes) -> tuple[Container, Iterator[Step]]:
    first = read_webp(data)
    return first, _webp_steps(data, first)


def _webp_steps(data: bytes, first: Container) -> Iterator[Step]:
    found = False
    for kind, chunk in webp_chunks(memoryview(data)[12:]):
        if kind != b"ANMF":
            continue
        if len(chunk) < _WEBP_FRAME_BYTES:
            raise CutShortError("it ends inside a frame's header")
        found = True
        yield _webp_step(chunk, first)
    if not found:
        whole = Placement(0, 0, first.width_px, first.height_px)
        yield Step(whole, Disposal.KEEP, True, False, lambda: first)
    elif _RIFF_HEAD_BYTES + int.from_bytes(data[4:8], "little") > len(data) + 1:  # the last chunk may lack its padding
        raise CutShortError("it ends before its last frame does")


def _webp_step(chunk: memoryview, first: Container) -> Step:
    left, top, width, height = (int.from_bytes(chunk[at : at + 3], "little") for at in (8, 11, 14, 17))
    placement = Placement(2 * left, 2 * top, width + 1, height + 1)
    flags = chunk[23]

    def container() -> Container:
        parts, size = frame_still(chunk)
        if size != (placement.width_px, placement.height_px):
            raise DamagedError(f"its headers disagree: a frame of {size} in a place of another size")
        return replace(first, parts=parts, frame=placement)

    return Step(placement, Disposal.CLEAR if flags & 1 else Disposal.KEEP, not flags & 2, False, container)
