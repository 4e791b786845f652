"""The pictures of one file: its first over white and over black, and what its frames or pages show beside that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from baken.copies import WORKING_SIDE_PX, FrameRef, QueryViews
from baken.fingerprints.asked import Asked
from baken.fingerprints.content_codes import content_codes
from baken.fingerprints.pdq import Pdq, pdq_of
from baken.images import Frame, Frames, Picture, reduced
from baken.model import Unscreenable, UnscreenableReason
from baken.videos import Film

SAME_BITS = 8
"""Pictures of one file whose PDQ differ by at most this many bits are asked once."""

MAX_KEPT_LUMAS = 64
"""Of how many pictures beside the leading one the pixels are kept for the check: 10 MB."""

_MAX_NAMED = 3
_FEW_ROWS = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a file.

    Attributes:
        frame: which.
        pdq: of the whole of it.
        luma: uint8[H, W], its working luma; empty when none was asked for, or kept.
        size_px: its width and height at full size, as shown.
        boxes: its content boxes, where views of an item were asked for; the leading picture has more views than these.
    """

    frame: FrameRef
    pdq: Pdq
    luma: NDArray[np.uint8]
    size_px: tuple[int, int]
    boxes: QueryViews | None = None


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of one file that could be seen.

    Attributes:
        shown: at least one, in the order of the file, the leading one first.
        format: as in `Picture.format`.
        unseen: what else there is and could not be seen; None when that is nothing.
    """

    shown: tuple[Shown, ...]
    format: str
    unseen: Unscreenable | None


def pictures_of(
    picture: Picture | Unscreenable | None,
    frames: Frames | Film | Unscreenable | None,
    asked: Asked,
    min_quality_percent: int,
) -> Pictures | Unscreenable:
    """The different pictures of a file, the leading one first: the first that is rich enough to compare.

    Args:
        picture: the first, as `images.decode` gave it; None for a file that has frames and no first picture.
        frames: all of them, where there are more than the first.
        asked: how many are looked at beside the first, but for films, and what is needed of each.
        min_quality_percent: the quality gate.

    Returns:
        Why nothing could be seen, when nothing could.
    """
    found = _Different(asked, min_quality_percent)
    lost = [(0, picture)] if isinstance(picture, Unscreenable) else []
    if isinstance(picture, Picture):
        found.add(picture, FrameRef())
    for frame in _sampled(frames, asked, after_first=picture is not None):
        if isinstance(frame.picture, Unscreenable):
            lost.append((frame.number, frame.picture))
            continue
        if frame.is_partial:
            lost.append((frame.number, _partial()))
        found.add(frame.picture, FrameRef(frame.number, frame.time_seconds))
        if isinstance(frames, Film) and len(found.shown) >= frames.limits.max_frames:
            frames.stop(f"at most {frames.limits.max_frames} different frames are asked")
    if not found.shown:
        return lost[0][1] if lost else _nothing()
    name = picture.format if isinstance(picture, Picture) else getattr(frames, "format", "")
    leading = found.leading
    others = [each for each in found.shown if each is not leading]
    return Pictures(
        (leading, *others), name, _unseen(lost, frames) if asked.max_frames or isinstance(frames, Film) else None
    )


def _sampled(frames: Frames | Film | Unscreenable | None, asked: Asked, *, after_first: bool) -> Iterator[Frame]:
    if isinstance(frames, Film):
        yield from frames.sample()
    elif isinstance(frames, Frames) and asked.max_frames:
        yield from frames.sample(asked.max_frames, after_first=after_first)


@dataclass(slots=True)
class _Different:
    """The pictures of a file that say something new, in its order."""

    asked: Asked
    min_quality_percent: int
    shown: list[Shown] = field(default_factory=list)
    _codes: NDArray[np.uint8] = field(default_factory=lambda: np.empty((_FEW_ROWS, 32), np.uint8))

    @property
    def leading(self) -> Shown:
        return next((each for each in self.shown if self._is_rich(each.pdq)), self.shown[0])

    def add(self, picture: Picture, frame: FrameRef) -> None:
        """Take what viewers show of a picture, over white and over black, unless it was shown before."""
        for luma, is_over_black in zip(picture.variants, (False, True), strict=False):
            pdq = pdq_of(luma)
            if not self._is_new(pdq):
                continue
            small, boxes = luma[:0], None
            if self.asked.needs_luma:
                small = reduced(luma, WORKING_SIDE_PX)
            ref = replace(frame, is_over_black=is_over_black)
            if self.asked.query_views:
                boxes = content_codes(small, ref, min_quality_percent=self.min_quality_percent)
            # The first picture that is rich leads, and may come late, behind any number of plain ones.
            is_kept = len(self.shown) <= MAX_KEPT_LUMAS or (self._is_rich(pdq) and not self._is_rich(self.leading.pdq))
            size_px = (picture.width_px, picture.height_px)
            self.shown.append(Shown(ref, pdq, small if is_kept else luma[:0], size_px, boxes))

    def _is_rich(self, pdq: Pdq) -> bool:
        return pdq.unscreenable(self.min_quality_percent) is None

    def _is_new(self, pdq: Pdq) -> bool:
        count = len(self.shown)
        code = pdq.orientations[0]
        if count and np.bitwise_count(self._codes[:count] ^ code).sum(axis=1).min() <= SAME_BITS:
            return False
        if count == len(self._codes):
            self._codes = np.concatenate([self._codes, np.empty_like(self._codes)])
        self._codes[count] = code
        return True


def _unseen(lost: list[tuple[int, Unscreenable]], frames: Frames | Film | Unscreenable | None) -> Unscreenable | None:
    """What of the file was not seen, in words."""
    if isinstance(frames, Film):
        if frames.unseen is None:
            return None
        detail = frames.unseen
    elif isinstance(frames, Unscreenable):
        detail = f"what follows the first picture was not seen: {frames.detail}"
    elif lost:
        numbers = ", ".join(str(number) for number, _ in lost[:_MAX_NAMED]) + (", …" if len(lost) > _MAX_NAMED else "")
        detail = f"{len(lost)} of the frames looked at were not seen ({numbers}): {lost[0][1].detail}"
    elif frames is not None and not frames.is_complete:
        detail = f"the file goes on after its first {frames.count} frames, where it is cut short or they are too many"
    else:
        return None
    return Unscreenable(UnscreenableReason.PARTLY_SEEN, detail)


def _partial() -> Unscreenable:
    detail = "the frames before it, which it was drawn without, have too many pixels"
    return Unscreenable(UnscreenableReason.TOO_MANY_PIXELS, detail)


def _nothing() -> Unscreenable:
    return Unscreenable(UnscreenableReason.CORRUPT, "the file has no frame")
