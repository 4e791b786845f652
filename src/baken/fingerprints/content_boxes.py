"""Where the copied picture may lie within an item: inside borders, bars, frames and what a phone draws around it.

Two signs are looked for, again inside of what they leave: paper, which is one colour that reaches the item's edge and
that words and icons stand on, and lines, where all columns step at once, as where a picture was pasted onto its own
blurred likeness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from baken.copies import Region, View, ViewKind
from baken.fingerprints.edge_lines import Lines, lines_across

MAX_CONTENT_VIEWS = 8
"""At most so many boxes are looked at: each costs a fingerprint and eight questions to the index."""

# JPEG and the reduction leave a paper's pixels within this of one value.
_PAPER_TOLERANCE = 7
# An edge of the item is paper when this much of it is: a status bar's icons or a phone's round corners may stand on it.
_PAPER_EDGE_SHARE = 0.6
# A row is picture when less of it is paper than this: nearly all for plain borders, half where words stand on paper.
_BORDER_SHARE = 0.97
_PAGE_SHARE = 0.5
_MIN_SIDE_PX = 32
_MIN_AREA_SHARE = 0.05
# Two boxes whose edges differ by less than this share of their sides give the same fingerprint.
_SAME_SHARE = 0.004
# A picture in a frame on a page on a desk.
_DEPTH = 3
_WIDTH = 2
_LIKELY_LINES = 3


_Run = Callable[[NDArray[np.bool_]], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the luma in pixels; edges need not be whole."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """How wide it is."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """How high it is."""
        return self.bottom - self.top

    def pixels(self, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The whole pixels in it."""
        return luma[int(np.ceil(self.top)) : int(self.bottom), int(np.ceil(self.left)) : int(self.right)]

    def is_like(self, other: Box) -> bool:
        """Whether the two would give the same fingerprint."""
        across, down = _SAME_SHARE * self.width, _SAME_SHARE * self.height
        return (
            abs(self.left - other.left) <= across
            and abs(self.right - other.right) <= across
            and abs(self.top - other.top) <= down
            and abs(self.bottom - other.bottom) <= down
        )


def content_views(luma: NDArray[np.uint8]) -> tuple[View, ...]:
    """The parts of an item that look like a picture with something put around it, the likeliest first.

    Args:
        luma: uint8[H, W], the working luma, whatever it shows.

    Returns:
        At most `MAX_CONTENT_VIEWS`: `caption_cut` where a band above or below was cut off, else `trimmed`.
    """
    height, width = luma.shape
    whole = Box(0.0, 0.0, float(width), float(height))
    boxes = [whole]
    for box in _inner_boxes(luma, whole):
        if len(boxes) > MAX_CONTENT_VIEWS:
            break
        if box.width * box.height >= _MIN_AREA_SHARE * width * height and not any(box.is_like(old) for old in boxes):
            boxes.append(box)
    return tuple(_view_of(box, width, height) for box in boxes[1:])


def _view_of(box: Box, width: int, height: int) -> View:
    is_band = box.left == 0.0 and box.right == width and (box.top == 0.0) != (box.bottom == height)
    region = Region(box.left / width, box.top / height, box.right / width, box.bottom / height)
    return View(ViewKind.CAPTION_CUT if is_band else ViewKind.TRIMMED, region)


def _inner_boxes(luma: NDArray[np.uint8], whole: Box) -> Iterator[Box]:
    """Boxes without paper and boxes between lines, and boxes in these: the likeliest of each kind before the rest."""
    level = _boxes_in(luma, whole, _off_the_paper)
    yield from level
    between = _boxes_in(luma, whole, _between_lines)
    yield from between[:_LIKELY_LINES]
    first = level[:1]
    for _ in range(_DEPTH - 1):
        level = [box for outer in level[:_WIDTH] for box in _boxes_in(luma, outer, _off_the_paper)]
        yield from level
    yield from (box for outer in first for box in _boxes_in(luma, outer, _between_lines))
    yield from between[_LIKELY_LINES:]


def _boxes_in(luma: NDArray[np.uint8], outer: Box, find: Callable[[NDArray[np.uint8]], Iterator[Box]]) -> list[Box]:
    part = outer.pixels(luma)
    if min(part.shape) < _MIN_SIDE_PX:
        return []
    return [_placed(box, outer, part) for box in find(part) if min(box.width, box.height) >= _MIN_SIDE_PX]


def _placed(box: Box, outer: Box, part: NDArray[np.uint8]) -> Box:
    """A box of a part as a box of the luma; an edge that was not moved stays exactly where it was."""
    height, width = part.shape
    left, top = float(np.ceil(outer.left)), float(np.ceil(outer.top))
    return Box(
        outer.left if box.left == 0.0 else left + box.left,
        outer.top if box.top == 0.0 else top + box.top,
        outer.right if box.right == width else left + box.right,
        outer.bottom if box.bottom == height else top + box.bottom,
    )


def _off_the_paper(part: NDArray[np.uint8]) -> Iterator[Box]:
    """What is left without plain borders; then the longest run of rows that are less than half paper, and of columns.

    The rows by themselves too: in a picture with a bright wall or sky, columns may be half paper.
    """
    is_paper_value = _paper_values(part)
    if not is_paper_value.any():
        return
    is_paper = is_paper_value[part]
    border = _kept(is_paper, _BORDER_SHARE, _from_first_to_last)
    page = _kept(is_paper, _PAGE_SHARE, _longest_run)
    rows = _longest_run(_share(is_paper[:, ::2], axis=1) < _PAGE_SHARE)
    height, width = part.shape
    for left, top, right, bottom in (border, (0, rows[0], width, rows[1]), page):
        is_whole = (left, top, right, bottom) == (0, 0, width, height)
        if not is_whole and min(right - left, bottom - top) >= _MIN_SIDE_PX:
            yield _sharpened(part, left, top, right, bottom)


def _kept(is_paper: NDArray[np.bool_], share: float, run: _Run) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the rows and columns that are less than `share` paper, as `run` joins them."""
    height, width = is_paper.shape
    top, bottom, left, right = 0, height, 0, width
    for _ in range(2):
        top, bottom = run(_share(is_paper[:, left:right:2], axis=1) < share)
        left, right = run(_share(is_paper[top:bottom:2], axis=0) < share)
    return left, top, right, bottom


def _paper_values(part: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool[256]: the values of the papers that the part's edges lie on."""
    values = np.zeros(256, bool)
    for line in (part[0], part[-1], part[:, 0], part[:, -1]):
        middle = int(np.median(line))
        low, high = max(0, middle - _PAPER_TOLERANCE), middle + _PAPER_TOLERANCE
        if np.mean((line >= low) & (line <= min(high, 255))) >= _PAPER_EDGE_SHARE:
            values[low : high + 1] = True
    return values


def _share(marked: NDArray[np.bool_], axis: int) -> NDArray[np.float64]:
    counts: NDArray[np.float64] = np.add.reduce(marked, axis=axis, dtype=np.uint32) / max(1, marked.shape[axis])
    return counts


def _from_first_to_last(kept: NDArray[np.bool_]) -> tuple[int, int]:
    places = np.flatnonzero(kept)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(kept))


def _longest_run(kept: NDArray[np.bool_]) -> tuple[int, int]:
    changes = np.flatnonzero(np.diff(kept, prepend=False, append=False))
    if not len(changes):
        return 0, len(kept)
    longest = 2 * int(np.argmax(changes[1::2] - changes[::2]))
    return int(changes[longest]), int(changes[longest + 1])


def _sharpened(part: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> Box:
    """The box with each edge within its outermost pixel, at the share of that pixel which is picture and not paper."""
    height, width = part.shape
    inner = part[top:bottom, left:right].astype(np.int16)
    edges = {
        "left": left + 1 - _picture_share(part[top:bottom, left - 1], inner[:, 0], inner[:, 1]) if left else 0.0,
        "top": top + 1 - _picture_share(part[top - 1, left:right], inner[0], inner[1]) if top else 0.0,
        "right": float(width),
        "bottom": float(height),
    }
    if right < width:
        edges["right"] = right - 1 + _picture_share(part[top:bottom, right], inner[:, -1], inner[:, -2])
    if bottom < height:
        edges["bottom"] = bottom - 1 + _picture_share(part[bottom, left:right], inner[-1], inner[-2])
    return Box(**edges)


def _picture_share(paper: NDArray[np.uint8], edge: NDArray[np.int16], picture: NDArray[np.int16]) -> float:
    """How far from the paper's values, 0, to the picture's, 1, those of the line between them lie."""
    whole = int(np.abs(picture - paper).sum())
    return min(1.0, int(np.abs(edge - paper).sum()) / whole) if whole else 1.0


def _between_lines(part: NDArray[np.uint8]) -> Iterator[Box]:
    height, width = part.shape
    for top, bottom in _stretches(lines_across(part)):
        yield Box(0.0, float(top), float(width), float(bottom))
    for left, right in _stretches(lines_across(part.T)):
        yield Box(float(left), 0.0, float(right), float(height))


def _stretches(lines: Lines) -> list[tuple[int, int]]:
    """Where a picture may lie, the likeliest first.

    In the middle up to the strongest line, as in a story, of whose two edges one is often faint; on one side of that
    line; or wherever there is most detail for its length.
    """
    if not lines.places:
        return []
    count = len(lines.detail)
    strongest = lines.strongest
    middle = min(strongest, count - strongest), max(strongest, count - strongest)
    sums = np.concatenate(([0.0], np.cumsum(lines.detail)))
    side = (0, strongest) if 2 * sums[strongest] > sums[-1] else (strongest, count)
    excess = sums - lines.detail.mean() * np.arange(count + 1)
    pairs = [pair for pair in combinations((0, *lines.places, count), 2) if pair != (0, count)]
    richest = max(pairs, key=lambda pair: float(excess[pair[1]] - excess[pair[0]]))
    return [middle, side, richest]
