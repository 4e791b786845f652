"""The words of altered copies as types: views, vectors, keypoints and what a check of them says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

WORKING_SIDE_PX = 512
"""The longer side of the reduced picture on which views, vectors and keypoints are computed beside the PDQ."""

MAX_VIEW_NUMBER = 255
"""Views of a banked picture are numbered 1 to this; 0 is the whole picture, whose PDQ is a fingerprint of the entry."""

FIRST_FRAME_VIEW = 201
"""Views numbered from here on are other pictures of the banked file, each as a whole; those below, parts of one."""

MAX_BANKED_FRAMES = MAX_VIEW_NUMBER - FIRST_FRAME_VIEW + 1


class MatchStage(StrEnum):
    """What found a match."""

    FINGERPRINT = "fingerprint"
    VIEWS = "views"
    DESCRIPTOR = "descriptor"


class ViewKind(StrEnum):
    """How a view is taken out of a picture."""

    WHOLE = "whole"
    CROPPED = "cropped"
    TILTED = "tilted"
    TRIMMED = "trimmed"
    CAPTION_CUT = "caption_cut"
    TILE = "tile"


class ViewSet(StrEnum):
    """Which views of a picture a bank keeps."""

    NONE = "none"
    CROPS = "crops"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in a picture, in fractions of its width and height as a viewer shows it, turned about its centre.

    `left` and `top` are 0 at the picture's upper left corner; `right` and `bottom` are 1 at the lower right one. A
    tilted rectangle may reach beyond the picture. Positive `tilt_degrees` turn clockwise, as seen by a viewer.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    tilt_degrees: float = 0.0


WHOLE = Region()


@dataclass(frozen=True, slots=True)
class FrameRef:
    """Which of a file's pictures: a frame of an animation or film, a page of a document, or one over black.

    Attributes:
        number: from 0, which is what a viewer that shows no animation shows, and all that a still has.
        time_seconds: when a film shows it, from the start; None where frames have no such time.
        is_over_black: whether transparent parts were drawn over black instead of white.
    """

    number: int = 0
    time_seconds: float | None = None
    is_over_black: bool = False


FIRST_FRAME = FrameRef()


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a file: one of its pictures, or a part of it, and how that was chosen."""

    kind: ViewKind
    region: Region = WHOLE
    frame: FrameRef = FIRST_FRAME


WHOLE_VIEW = View(ViewKind.WHOLE)


@dataclass(frozen=True, slots=True)
class BankViews:
    """The views of one banked picture that are rich enough to compare.

    Attributes:
        numbers: uint8[N], which view of the numbered table (`fingerprints.views`) each code is of; never 0. From
            `FIRST_FRAME_VIEW` on they are other pictures of the file.
        codes: uint8[N, 32], the PDQ of each.
        frames: which pictures `FIRST_FRAME_VIEW` and those after it are; at most `MAX_BANKED_FRAMES`.
    """

    numbers: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    frames: tuple[FrameRef, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryViews:
    """The views of one item that are rich enough to compare, its whole leading picture left out.

    Attributes:
        views: N of them.
        codes: uint8[N, 8, 32], the PDQ of each in the eight orientations of `Fingerprints.pdq_orientations`.
    """

    views: tuple[View, ...]
    codes: NDArray[np.uint8]


NO_VIEWS = QueryViews((), np.empty((0, 8, 32), np.uint8))


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a descriptor network made of the views of one picture.

    Attributes:
        model_id: name and version of the network.
        model_sha256: 32 bytes, of its file: vectors of other files are never compared.
        views: N of them.
        values: int8[N, D]: unit vectors times 127.
    """

    model_id: str
    model_sha256: bytes
    views: tuple[View, ...]
    values: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class FrameShares:
    """How many of the different frames of a film show a banked file, and how many of the file's are shown.

    Attributes:
        item_matched: frames of the item that are near a frame of the banked file, or near the banked picture.
        item_count: different frames of the item.
        entry_matched: frames of the banked file that are near a frame of the item.
        entry_count: frames kept of the banked file; 1 for a picture.
    """

    item_matched: int
    item_count: int
    entry_matched: int
    entry_count: int

    @property
    def item_percent(self) -> float:
        """VPDQ's share of the query."""
        return 100.0 * self.item_matched / self.item_count

    @property
    def entry_percent(self) -> float:
        """VPDQ's share of what it is compared with."""
        return 100.0 * self.entry_matched / self.entry_count


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the check of one candidate on local features says.

    Attributes:
        is_same: whether it is the same picture, altered, and not only the same scene.
        inlier_count: keypoints of the item that lie where the geometric model puts those of the banked picture.
        overlap_fraction: how much of the banked picture is in the item, 0 to 1.
        correlation: agreement of what both show in the overlap, -1 to 1; about 0 between unrelated pictures.
        corners: where the banked picture's four corners (upper left, upper right, lower right, lower left) lie in the
            item, x and y in fractions of its width and height.
        points: the inliers, at most 64: x, y in the item and x, y in the banked picture, in the same fractions.
        is_mirrored: whether the item shows the picture mirrored.
    """

    is_same: bool
    inlier_count: int
    overlap_fraction: float
    correlation: float
    corners: tuple[tuple[float, float], ...]
    points: tuple[tuple[float, float, float, float], ...] = field(default=(), repr=False)
    is_mirrored: bool = False
