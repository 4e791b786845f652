"""The pictures of one file: its first over white and over black, and what its frames or pages show beside that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from baken.copies import WORKING_SIDE_PX, FrameRef
from baken.fingerprints.asked import Asked
from baken.fingerprints.pdq import Pdq, pdq_of
from baken.images import Frames, Picture, reduced
from baken.model import Unscreenable, UnscreenableReason

SAME_BITS = 8
"""Pictures of one file whose PDQ differ by at most this many bits are asked once."""

_MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a file.

    Attributes:
        frame: which.
        pdq: of the whole of it.
        luma: uint8[H, W], its working luma; empty when none was asked for.
        size_px: its width and height at full size, as shown.
    """

    frame: FrameRef
    pdq: Pdq
    luma: NDArray[np.uint8]
    size_px: tuple[int, int]


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
    frames: Frames | Unscreenable | None,
    asked: Asked,
    min_quality_percent: int,
) -> Pictures | Unscreenable:
    """The different pictures of a file, the leading one first: the first that is rich enough to compare.

    Args:
        picture: the first, as `images.decode` gave it; None for a file that has frames and no first picture.
        frames: all of them, where there are more than the first.
        asked: how many are looked at beside the first, and whether they are needed reduced.
        min_quality_percent: the quality gate.

    Returns:
        Why nothing could be seen, when nothing could.
    """
    shown = list(_shown(picture, FrameRef(), asked)) if isinstance(picture, Picture) else []
    lost = [(0, picture)] if isinstance(picture, Unscreenable) else []
    if isinstance(frames, Frames) and asked.max_frames:
        for frame in frames.sample(asked.max_frames, after_first=picture is not None):
            if isinstance(frame.picture, Unscreenable):
                lost.append((frame.number, frame.picture))
                continue
            if frame.is_partial:
                lost.append((frame.number, _partial()))
            shown += _unlike(shown, _shown(frame.picture, FrameRef(frame.number, frame.time_seconds), asked))
    if not shown:
        return lost[0][1] if lost else _nothing()
    name = picture.format if isinstance(picture, Picture) else frames.format if isinstance(frames, Frames) else ""
    leading = next((each for each in shown if each.pdq.unscreenable(min_quality_percent) is None), shown[0])
    others = [each for each in shown if each is not leading]
    return Pictures((leading, *others), name, _unseen(lost, frames) if asked.max_frames else None)


def _shown(picture: Picture, frame: FrameRef, asked: Asked) -> Iterator[Shown]:
    size_px = (picture.width_px, picture.height_px)
    for luma, is_over_black in zip(picture.variants, (False, True), strict=False):
        small = reduced(luma, WORKING_SIDE_PX) if asked.needs_luma else luma[:0]
        yield Shown(replace(frame, is_over_black=is_over_black), pdq_of(luma), small, size_px)


def _unlike(shown: Sequence[Shown], more: Iterator[Shown]) -> Iterator[Shown]:
    """Those of `more` that say something new."""
    kept = list(shown)
    for each in more:
        code = each.pdq.orientations[0]
        if not any(np.bitwise_count(code ^ other.pdq.orientations[0]).sum() <= SAME_BITS for other in kept):
            kept.append(each)
            yield each


def _unseen(lost: Sequence[tuple[int, Unscreenable]], frames: Frames | Unscreenable | None) -> Unscreenable | None:
    """What of the file was not seen, in words."""
    if isinstance(frames, Unscreenable):
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
