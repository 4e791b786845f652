"""The frames of animations and the pages of documents: a bounded number, spread over the whole file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from baken.images.animation import Animation, Disposal, Step, read_animation
from baken.images.composing import Canvas
from baken.images.container import Container, DamagedError
from baken.images.decoding import attempt, decode, format_of, load, out_of_bounds, picture_of
from baken.images.exif import SWAPS_SIDES
from baken.images.heif import film, read_pictures
from baken.images.luma import luma_of, straight
from baken.images.picture import DEFAULT_LIMITS, DecodeLimits, Picture
from baken.images.sequence import Sequence, read_sequence
from baken.images.tiff import MAX_PAGES, page_offsets, read_page
from baken.model import MAX_FRAMES, Unscreenable, UnscreenableReason

MIN_STEP_PIXELS = 20_000
"""What a frame costs at least: opening its file takes as long as decoding about that many pixels."""

_THUMB_PX = 16
_SAME_LEVELS = 4.0
"""Frames whose 16 x 16 means differ less on average show the same; a cut differs by 30 and more."""

_ANIMATED = frozenset(("gif", "png", "webp"))
_STILL = frozenset(("bmp", "jpeg"))


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame or page as a viewer shows it.

    Attributes:
        number: which, from 0.
        picture: its picture, or why it cannot be decoded.
        is_partial: whether it was drawn without all the frames before it, because they were too much.
        time_seconds: when a film shows it, from the start; None where frames have no such time.
    """

    number: int
    picture: Picture | Unscreenable
    is_partial: bool = False
    time_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one file, before any is decoded.

    Attributes:
        format: as in `Picture.format`.
        count: how many were found; 1 for a still.
        is_complete: whether these are all; False when the file has more than are walked.
    """

    format: str
    count: int
    is_complete: bool
    _sample: Callable[[list[int]], Iterator[Frame]] = field(repr=False)

    def sample(self, max_frames: int = MAX_FRAMES, *, after_first: bool = False) -> Iterator[Frame]:
        """At most `max_frames`: first, last and evenly between, without those that look like one given before.

        Never raises for any bytes. Frames are decoded one at a time, when they are asked for.

        Args:
            max_frames: at least 1.
            after_first: leave the first out, which the caller has from `decode`; it does not count.
        """
        seen: list[NDArray[np.float32]] = []
        spread = np.linspace(0, self.count - 1, min(self.count, max(1, max_frames) + after_first))
        numbers = [int(number) for number in np.rint(spread)][after_first:]
        for frame in self._sample(numbers) if numbers else ():
            if isinstance(frame.picture, Picture):
                thumb = _thumb(frame.picture)
                if any(np.abs(thumb - other).mean() < _SAME_LEVELS for other in seen):
                    continue
                seen.append(thumb)
            yield frame


def read_frames(data: bytes, *, limits: DecodeLimits = DEFAULT_LIMITS) -> Frames | Unscreenable:
    """The frames of an animation, the pages of a document, the pictures of a burst; one of anything else.

    Never raises for any bytes. Nothing is decoded yet.

    Args:
        data: the file.
        limits: `max_pixels` for each frame, `max_frame_pixels` for all that are decoded of one `sample`.
    """
    name = format_of(data, limits)
    if isinstance(name, Unscreenable):
        return name
    if name in _ANIMATED:
        return attempt(name, lambda: _animated(read_animation(data, name), limits))
    if name == "tiff":
        return attempt(name, lambda: _pages(data, limits))
    if name in ("avif", "heic"):
        return attempt(name, lambda: _pictures(data, limits))
    return attempt(name, partial(_still, data, name, limits))


def further_frames(
    data: bytes, picture: Picture | Unscreenable, *, limits: DecodeLimits = DEFAULT_LIMITS
) -> Frames | Unscreenable | None:
    """The frames of a file of which `decode` gave the first; None where there is nothing beyond that.

    Never raises for any bytes. Nothing is decoded yet.

    Args:
        data: the file.
        picture: what `decode` made of it.
        limits: as for `read_frames`.

    Returns:
        All of them, the first included; or why what lies behind the first picture cannot be told.
    """
    if isinstance(picture, Picture) and picture.format in _STILL:
        return None
    frames = read_frames(data, limits=limits)
    if isinstance(frames, Unscreenable):
        # An animation that ends inside its first frame has nothing behind it.
        has_no_more = isinstance(picture, Unscreenable) or (
            picture.format in _ANIMATED and frames.reason is UnscreenableReason.TRUNCATED
        )
        return None if has_no_more else frames
    return frames if frames.count > 1 or not frames.is_complete else None


def _thumb(picture: Picture) -> NDArray[np.float32]:
    height, width = picture.luma.shape
    few = picture.luma[:: max(1, height // (8 * _THUMB_PX)), :: max(1, width // (8 * _THUMB_PX))]
    small = Image.fromarray(few).resize((_THUMB_PX, _THUMB_PX), Image.Resampling.BOX)
    return np.asarray(small).astype(np.float32)


def _still(data: bytes, name: str, limits: DecodeLimits) -> Frames:
    return Frames(name, 1, True, lambda _: iter((Frame(0, decode(data, limits=limits)),)))


def _pages(data: bytes, limits: DecodeLimits) -> Frames:
    offsets = page_offsets(data) or [0]
    makers: list[Callable[[], Container]] = [partial(read_page, data, at) for at in offsets]
    return Frames("tiff", len(offsets), len(offsets) < MAX_PAGES, partial(_separate, "tiff", makers, limits))


def _pictures(data: bytes, limits: DecodeLimits) -> Frames:
    sequence = read_sequence(data)
    if sequence is not None:
        return Frames("avif", len(sequence.samples), sequence.is_complete, partial(_sought, sequence, limits))
    pictures = read_pictures(data)
    name = pictures[0]().format
    return Frames(name, len(pictures), True, partial(_separate, name, pictures, limits))


def _separate(
    name: str, makers: list[Callable[[], Container]], limits: DecodeLimits, numbers: list[int]
) -> Iterator[Frame]:
    """Pictures that do not build on each other, as long as their pixels last."""
    left = limits.max_frame_pixels
    for number in numbers:
        container = attempt(name, makers[number])
        if isinstance(container, Unscreenable):
            yield Frame(number, container)
            continue
        left -= _cost(*container.decoded_size_px)
        if left < 0 and number != numbers[0]:
            yield Frame(number, _too_much(limits))
            return
        yield Frame(number, attempt(name, partial(picture_of, container, limits)))


def _sought(sequence: Sequence, limits: DecodeLimits, numbers: list[int]) -> Iterator[Frame]:
    """Frames of a film that are decoded one after another from the nearest start on, as long as their pixels last."""
    container = film(sequence)
    refused = attempt("avif", partial(out_of_bounds, container, limits))
    if refused is not None:
        yield Frame(0, refused)
        return
    image = attempt("avif", lambda: container.opener(BytesIO(b"".join(container.parts))))
    if isinstance(image, Unscreenable):
        yield Frame(0, image)
        return
    left, each, decoded = limits.max_frame_pixels, _cost(sequence.width_px, sequence.height_px), -1
    for rank, number in enumerate(numbers):
        start = max(decoded + 1, sequence.starts[bisect_right(sequence.starts, number) - 1])
        cost = each * (number - start + 1)
        if cost > left // (len(numbers) - rank) and number != 0:
            yield Frame(number, _too_much(limits))
            continue
        left, decoded = left - cost, number
        yield Frame(number, attempt("avif", partial(_sought_picture, image, container, number)))


def _sought_picture(image: ImageFile, container: Container, number: int) -> Picture:
    image.seek(number)
    image.load()
    if image.size != container.decoded_size_px:
        raise DamagedError(f"its headers disagree: {image.size} and {container.decoded_size_px}")
    luma = luma_of(image, container).over_white
    return Picture(luma, container.format, container.width_px, container.height_px, exact=True)


def _too_much(limits: DecodeLimits) -> Unscreenable:
    detail = f"the frames together have more pixels than are decoded of one file ({limits.max_frame_pixels})"
    return Unscreenable(UnscreenableReason.TOO_MANY_PIXELS, detail)


def _cost(width_px: int, height_px: int) -> int:
    return max(MIN_STEP_PIXELS, width_px * height_px)


def _animated(animation: Animation, limits: DecodeLimits) -> Frames:
    count = len(animation.steps)
    if not count:
        raise DamagedError("it has no frame")
    return Frames(animation.canvas.format, count, animation.is_complete, partial(_composed, animation, limits))


def _composed(animation: Animation, limits: DecodeLimits, numbers: list[int]) -> Iterator[Frame]:
    refused = attempt(animation.canvas.format, lambda: out_of_bounds(animation.canvas, limits))
    if refused is not None:
        yield Frame(0, refused)
        return
    canvas = Canvas(animation.canvas)
    drawn, is_partial, left = -1, False, limits.max_frame_pixels
    shown_cost = _cost(animation.canvas.width_px, animation.canvas.height_px)  # a small frame may show a vast canvas
    for rank, number in enumerate(numbers):
        share = left // (len(numbers) - rank)
        start, cost = _start(animation, drawn + 1, number, share)
        left -= max(cost, shown_cost)
        if left < 0:
            yield Frame(number, _too_much(limits))
            return
        if start != drawn + 1 or _is_fresh(animation, start):
            is_partial = not _is_fresh(animation, start)
            canvas.clear()
        failure = None
        for step in animation.steps[start : number + 1]:
            failure = _draw(canvas, step, animation, limits) or failure
        drawn = number
        yield Frame(number, failure or _picture(canvas, animation.canvas), is_partial)


def _start(animation: Animation, first: int, number: int, share: int) -> tuple[int, int]:
    """From which frame on to draw so as to show `number`, and its cost in pixels: back to `first` or a fresh frame."""
    at, cost = number, _step_cost(animation, number)
    while at > first and not _is_fresh(animation, at):
        before = _step_cost(animation, at - 1)
        if cost + before > share:
            break
        at, cost = at - 1, cost + before
    return at, cost


def _step_cost(animation: Animation, number: int) -> int:
    placement = animation.steps[number].placement
    return _cost(placement.width_px, placement.height_px)


def _is_fresh(animation: Animation, number: int) -> bool:
    """Whether nothing of the frames before shows through this one."""
    if number == 0:
        return True
    step, before = animation.steps[number], animation.steps[number - 1]
    if _covers(step, animation.canvas) and (step.is_opaque or not step.blends):
        return True
    return _covers(before, animation.canvas) and before.disposal is Disposal.CLEAR


def _covers(step: Step, canvas: Container) -> bool:
    place = step.placement
    return (place.left_px, place.top_px) == (0, 0) and (
        place.width_px >= canvas.width_px and place.height_px >= canvas.height_px
    )


def _draw(canvas: Canvas, step: Step, animation: Animation, limits: DecodeLimits) -> Unscreenable | None:
    """Draw one frame; why it could not be drawn, and then the canvas stays as it is."""

    def draw() -> None:
        place = step.placement
        if place.width_px * place.height_px > limits.max_pixels:
            raise DamagedError(f"a frame claims {place.width_px} x {place.height_px} pixels")
        container = step.container()
        canvas.draw(step, *straight(load(container, exact=True), container))

    return attempt(animation.canvas.format, draw)


def _picture(canvas: Canvas, size: Container) -> Picture:
    lumas = canvas.shown()
    turned = size.orientation in SWAPS_SIDES
    return Picture(
        luma=lumas.over_white,
        format=size.format,
        width_px=size.height_px if turned else size.width_px,
        height_px=size.width_px if turned else size.height_px,
        exact=True,
        over_black=lumas.over_black,
    )
