"""A drawing of a match for the person who reviews it: which part of the item shows which part of the banked picture.

Both are drawn as empty frames: of neither are pixels kept. Corners carry the same number on both sides, which says how
the picture was turned or mirrored; patterns and shapes differ, not only colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self
from xml.sax.saxutils import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from baken.copies import Evidence, MatchStage, Region, View
from baken.model import Match, Transform
from baken.view_words import frame_words

__all__ = ["OverlayWords", "overlay_svg"]

_WIDTH, _HEIGHT = 960, 530
_PANEL_WIDTH, _PANEL_HEIGHT = 420, 310
_PANEL_TOP = 62
_PANEL_LEFTS = (20, 520)
_MAX_ASPECT = 6.0
_MAX_LINES = 24
_MAX_POINTS = 64
_FARTHEST = 4000.0
_HARDLY_A_CORNER = 0.02

_STYLE = (
    "text{font-family:system-ui,'DejaVu Sans',Arial,sans-serif;fill:#1a1a1a;font-size:15px}"
    ".head{font-weight:bold;font-size:18px}.small{font-size:13px;fill:#444}.strong{font-weight:bold}"
    ".frame{fill:#f3f3f3;stroke:#1a1a1a;stroke-width:1.5}"
    ".region{fill:url(#hatch);stroke:#00457a;stroke-width:3;stroke-linejoin:round}"
    ".link{stroke:#9a3b00;stroke-width:1;stroke-opacity:.6;fill:none}"
    ".point{fill:#fff;stroke:#9a3b00;stroke-width:1.8}"
    ".corner{fill:#00457a}.number{fill:#fff;font-size:12px;font-weight:bold;text-anchor:middle}"
)

_HATCH = (
    '<pattern id="hatch" width="9" height="9" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="9" height="9" fill="#cfe3f5"/><path d="M0 0V9" stroke="#00457a" stroke-width="1.6"/></pattern>'
)
_FOR_READERS = 'role="img" aria-labelledby="title desc"'

# Where the banked picture's corners (upper left, upper right, lower right, lower left) come to lie in the item.
_CORNERS_OF: dict[Transform, tuple[int, int, int, int]] = {
    Transform.IDENTITY: (0, 1, 2, 3),
    Transform.ROTATED_90: (1, 2, 3, 0),
    Transform.ROTATED_180: (2, 3, 0, 1),
    Transform.ROTATED_270: (3, 0, 1, 2),
    Transform.MIRRORED: (1, 0, 3, 2),
    Transform.MIRRORED_ROTATED_90: (2, 1, 0, 3),
    Transform.MIRRORED_ROTATED_180: (3, 2, 1, 0),
    Transform.MIRRORED_ROTATED_270: (0, 3, 2, 1),
}

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a picture is drawn, in units of the drawing."""

    left: float
    top: float
    width: float
    height: float

    def place(self, point: Sequence[float]) -> Point:
        """A point in fractions of the picture, in units of the drawing."""
        return self.left + _known(point[0]) * self.width, self.top + _known(point[1]) * self.height


@dataclass(frozen=True, slots=True)
class OverlayWords:
    """What a drawing says, in the language of who reads it: its title, what each frame is, the facts, and a note."""

    title: str
    item: str
    banked: str
    lines: tuple[str, ...]
    note: str

    @classmethod
    def of(cls, match: Match) -> Self:
        """In English."""
        return cls(
            f"Entry {int(match.entry_id)} of bank {match.bank}: what the item shows of it",
            "Item",
            "Banked picture",
            tuple(_words(match)),
            "Corners with one number are one place. No pixels are kept of either picture.",
        )


def overlay_svg(
    match: Match,
    *,
    item_width_px: int,
    item_height_px: int,
    banked_width_px: int,
    banked_height_px: int,
    words: OverlayWords | None = None,
) -> str:
    """The match as an SVG document: nothing in it is loaded or run, and any numbers give a drawing.

    With evidence of a check: where the banked picture lies in the item, what part of it the item shows, and the
    keypoints that agree, joined. Without: the two views whose codes are near.

    Args:
        match: the match.
        item_width_px: as a viewer shows the item, likewise the other sizes; they give the frames their shapes.
        item_height_px: of the item.
        banked_width_px: of the banked picture.
        banked_height_px: of the banked picture.
        words: what the drawing says; English without them.
    """
    said = words or OverlayWords.of(match)
    item = _frame(_PANEL_LEFTS[0], item_width_px, item_height_px)
    banked = _frame(_PANEL_LEFTS[1], banked_width_px, banked_height_px)
    evidence = match.evidence if match.evidence is not None and len(match.evidence.corners) == 4 else None  # noqa: PLR2004
    if evidence is None:
        item_shape, banked_shape = _view_shapes(match, item, banked)
        points: list[tuple[Point, Point]] = []
    else:
        item_shape, banked_shape = _evidence_shapes(evidence, item, banked)
        points = [(item.place(p[:2]), banked.place(p[2:])) for p in evidence.points[:_MAX_POINTS]]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FOR_READERS}>',
        f'<title id="title">{_text(said.title)}</title><desc id="desc">{_text(" ".join(said.lines))}</desc>',
        f"<style>{_STYLE}</style>",
        f"<defs>{_HATCH}",
        *(_clip(name, frame) for name, frame in (("in-item", item), ("in-banked", banked))),
        f'</defs><rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        *_panel(said.item, "in-item", item, item_shape, (item_width_px, item_height_px)),
        *_panel(said.banked, "in-banked", banked, banked_shape, (banked_width_px, banked_height_px)),
        *_links(points),
        *(_corners(item, item_shape)),
        *(_corners(banked, banked_shape)),
        *_legend(said),
        "</svg>",
    ]
    return "\n".join(parts)


def _frame(left: float, width_px: int, height_px: int) -> _Frame:
    aspect = min(_MAX_ASPECT, max(1 / _MAX_ASPECT, max(1, width_px) / max(1, height_px)))
    width = min(_PANEL_WIDTH, _PANEL_HEIGHT * aspect)
    height = width / aspect
    return _Frame(left + (_PANEL_WIDTH - width) / 2, _PANEL_TOP + (_PANEL_HEIGHT - height) / 2, width, height)


def _view_shapes(match: Match, item: _Frame, banked: _Frame) -> tuple[list[Point], list[Point]]:
    """The regions of two views, each from the corner that is the banked picture's upper left one."""
    of_item = _rectangle(match.view.region, item)
    return [of_item[corner] for corner in _CORNERS_OF[match.transform]], _rectangle(match.entry_view.region, banked)


def _rectangle(region: Region, frame: _Frame) -> list[Point]:
    """The corners of a region, turned about its centre, from the upper left one clockwise."""
    sides = frame.place((region.left, region.top)), frame.place((region.right, region.bottom))
    (left, top), (right, bottom) = sides
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    angle = math.radians(_known(region.tilt_degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return [
        (
            middle_x + (x - middle_x) * cosine - (y - middle_y) * sine,
            middle_y + (x - middle_x) * sine + (y - middle_y) * cosine,
        )
        for x, y in corners
    ]


def _evidence_shapes(evidence: Evidence, item: _Frame, banked: _Frame) -> tuple[list[Point], list[Point]]:
    """The banked picture in the item, and the item in the banked picture; corners with one number are one place.

    Both are cut to what both show: the corners of the banked picture where the item holds all of it, else the item's.
    """
    corners = [(_known(x), _known(y)) for x, y in evidence.corners]
    to_banked = _homography(corners, ((0, 0), (1, 0), (1, 1), (0, 1)))
    visible = _cut_to_unit(corners)
    visible = _simplified(visible) if visible else []
    if to_banked is None or len(visible) < 3:  # noqa: PLR2004 - no area
        return [item.place(corner) for corner in corners], []
    shown = [_moved(to_banked, point) for point in visible]
    first = min(range(len(shown)), key=lambda corner: sum(shown[corner]))
    return (
        [item.place(point) for point in visible[first:] + visible[:first]],
        [banked.place(point) for point in shown[first:] + shown[:first]],
    )


def _homography(some: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> NDArray[np.float64] | None:
    """The homography, float64[3, 3], that moves four points to four others; None where there is none."""
    rows: list[tuple[float, ...]] = []
    for (x, y), (u, v) in zip(some, others, strict=True):
        rows.append((x, y, 1, 0, 0, 0, -u * x, -u * y))
        rows.append((0, 0, 0, x, y, 1, -v * x, -v * y))
    try:
        with np.errstate(all="ignore"):
            numbers = np.linalg.solve(np.array(rows, np.float64), np.array(others, np.float64).ravel())
    except np.linalg.LinAlgError:
        return None
    return np.asarray(np.append(numbers, 1.0).reshape(3, 3)) if np.isfinite(numbers).all() else None


def _moved(matrix: NDArray[np.float64], point: Point) -> Point:
    x, y, share = (float(number) for number in matrix @ np.array((*point, 1.0)))
    return (x / share, y / share) if abs(share) > 1e-9 else (0.0, 0.0)  # noqa: PLR2004 - at the horizon


def _cut_to_unit(polygon: list[Point]) -> list[Point]:
    """What of a convex polygon lies in the unit square (Sutherland and Hodgman, 1974)."""
    for axis, limit, sign in ((0, 0.0, 1.0), (0, 1.0, -1.0), (1, 0.0, 1.0), (1, 1.0, -1.0)):
        kept: list[Point] = []
        for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            before, after = (start[axis] - limit) * sign, (end[axis] - limit) * sign
            if before >= 0:
                kept.append(start)
            if (before >= 0) != (after >= 0):
                share = before / (before - after)
                kept.append((start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share))
        polygon = kept
    return polygon


def _simplified(polygon: list[Point]) -> list[Point]:
    """Without corners that are hardly any, as of a crop that was found a pixel off (Douglas and Peucker, 1973)."""
    corners = cv2.approxPolyDP(np.array(polygon, np.float32).reshape(-1, 1, 2), _HARDLY_A_CORNER, closed=True)
    return [(float(x), float(y)) for x, y in corners.reshape(-1, 2)]


def _words(match: Match) -> Iterator[str]:
    """What the drawing says, as lines of text."""
    checked = match.evidence
    if checked is not None:
        same = "the same picture" if checked.is_same else "not shown to be the same picture"
        mirrored = ", mirrored" if checked.is_mirrored else ""
        yield f"Check on keypoints: {same}{mirrored}."
        yield (
            f"{int(checked.inlier_count)} keypoints agree; {_percent(checked.overlap_fraction)} of the banked picture "
            f"lies in the item; correlation {_number(checked.correlation, 2)}."
        )
    found = f"Found by {match.stage.value}, transform {match.transform.value}"
    near = f", similarity {_number(match.similarity, 2)}" if match.similarity is not None else ""
    bits = "" if match.stage is MatchStage.DESCRIPTOR else f", distance {int(match.distance_bits)} bits"
    yield f"{found}{bits}{near}."
    yield f"View of the item: {_view(match.view)}."
    yield f"View of the banked picture: {_view(match.entry_view)}."


def _view(view: View) -> str:
    region = view.region
    which = ", ".join(filter(None, (view.kind.value, frame_words(view.frame))))
    if region == Region():
        return which
    tilt = f", tilt {_number(region.tilt_degrees, 1)}°" if region.tilt_degrees else ""
    return (
        f"{which}, {_percent(region.left)} to {_percent(region.right)} across, "
        f"{_percent(region.top)} to {_percent(region.bottom)} down{tilt}"
    )


def _panel(name: str, clip: str, frame: _Frame, shape: list[Point], size_px: tuple[int, int]) -> Iterator[str]:
    middle = _number(frame.left + frame.width / 2)
    yield f'<text class="head" x="{middle}" y="{_PANEL_TOP - 24}" text-anchor="middle">{_text(name)}</text>'
    size = f"{int(size_px[0])} x {int(size_px[1])} px"
    yield f'<text class="small" x="{middle}" y="{_PANEL_TOP - 7}" text-anchor="middle">{_text(size)}</text>'
    yield f'<rect class="frame" {_rect(frame)}/>'
    if shape:
        yield f'<g clip-path="url(#{clip})"><path class="region" d="{_path(shape)}"/></g>'


def _clip(name: str, frame: _Frame) -> str:
    return f'<clipPath id="{name}"><rect {_rect(frame)}/></clipPath>'


def _links(points: list[tuple[Point, Point]]) -> Iterator[str]:
    """All points, and lines between some of them: many lines would hide what they join."""
    step = max(1, math.ceil(len(points) / _MAX_LINES))
    for start, end in points[::step]:
        yield f'<path class="link" d="M{_pair(start)}L{_pair(end)}"/>'
    for pair in points:
        for x, y in pair:
            yield f'<circle class="point" cx="{_number(x)}" cy="{_number(y)}" r="3"/>'


def _corners(frame: _Frame, shape: list[Point]) -> Iterator[str]:
    for number, (x, y) in enumerate(shape, start=1):
        inside_x = min(frame.left + frame.width, max(frame.left, x))
        inside_y = min(frame.top + frame.height, max(frame.top, y))
        yield f'<circle class="corner" cx="{_number(inside_x)}" cy="{_number(inside_y)}" r="9"/>'
        yield f'<text class="number" x="{_number(inside_x)}" y="{_number(inside_y + 4.5)}">{number}</text>'


def _legend(said: OverlayWords) -> Iterator[str]:
    top = _PANEL_TOP + _PANEL_HEIGHT + 30
    for number, line in enumerate(said.lines):
        weight = "strong" if number == 0 else "small"
        yield f'<text class="{weight}" x="20" y="{top + number * 22}">{_text(line)}</text>'
    yield f'<text class="small" x="20" y="{top + len(said.lines) * 22}">{_text(said.note)}</text>'


def _rect(frame: _Frame) -> str:
    return (
        f'x="{_number(frame.left)}" y="{_number(frame.top)}" '
        f'width="{_number(frame.width)}" height="{_number(frame.height)}"'
    )


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(_pair(point) for point in points) + "Z"


def _pair(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float, decimals: int = 1) -> str:
    """A number that stays in bounds, whatever it was."""
    return f"{_known(value):.{decimals}f}"


def _known(value: float) -> float:
    return min(_FARTHEST, max(-_FARTHEST, value)) if math.isfinite(value) else 0.0


def _percent(share: float) -> str:
    return f"{_number(share * 100, 0)} %"


def _text(words: str) -> str:
    """Text that may stand between tags; XML 1.0 knows no control characters."""
    return escape("".join(letter if letter.isprintable() else " " for letter in words))
