"""Matches: which entry, what found it, which part of which picture, and what the check says."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from baken import copies, model
from baken.copies import MatchStage, ViewKind
from baken.model import FingerprintKind, Purpose, Transform, Verdict

_DECIMALS = 4


class Region(msgspec.Struct):
    """A rectangle in fractions of a picture's width and height, turned clockwise about its centre by `tilt_degrees`.

    A tilted one may reach beyond the picture.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    tilt_degrees: float = 0.0


class View(msgspec.Struct):
    """One of a file's pictures, or a part of it, and how that was chosen.

    `frame_number` is that of the frame of an animation or film, or of the page of a document, from 0; a still has only
    frame 0. `time_seconds` is when a film shows it; null where frames have no such time. `is_over_black` says that
    transparent parts were drawn over black; else they are over white.
    """

    kind: ViewKind
    region: Region
    frame_number: int = 0
    time_seconds: float | None = None
    is_over_black: bool = False


class Evidence(msgspec.Struct):
    """What the check on local features says of an item and an entry.

    `correlation` is the agreement of what both show where they overlap, -1 to 1. `corners` are the banked picture's
    upper left, upper right, lower right and lower left in the item, as fractions of its width and height.
    """

    is_same: bool
    inlier_count: int
    overlap_fraction: float
    correlation: float
    corners: list[tuple[float, float]]
    is_mirrored: bool


class FrameShares(msgspec.Struct):
    """Of the different frames of a film, how many show the banked file, and how many of its frames are shown.

    `item_percent` and `entry_percent` are the two shares of vPDQ.
    """

    item_matched: int
    item_count: int
    item_percent: float
    entry_matched: int
    entry_count: int
    entry_percent: float


class Match(msgspec.Struct):
    """An entry that the item copies, or may copy.

    `transform` is what was done to the banked picture to get the item. `stage` is what found it: `fingerprint` (whole
    pictures, or equal bytes), `views` (parts), `descriptor` (a network). `view` is what of the item was compared,
    `entry_view` what of the banked picture. `distance_bits` is that of the two views at stage `views`, else that of
    the whole pictures. `evidence` is null when nothing was checked, `frame_shares` when the item is no film.
    """

    bank: str
    purpose: Purpose
    verdict: Annotated[Verdict, Meta(description="The bank's; the item's is in the screening.")]
    entry_id: int
    kind: FingerprintKind
    distance_bits: int
    transform: Transform
    stage: MatchStage
    view: View
    entry_view: View
    similarity: float | None
    evidence: Evidence | None
    frame_shares: FrameShares | None = None


def match(given: model.Match) -> Match:
    """A match as it is answered."""
    return Match(
        given.bank,
        given.purpose,
        given.verdict,
        given.entry_id,
        given.kind,
        given.distance_bits,
        given.transform,
        given.stage,
        _view(given.view),
        _view(given.entry_view),
        None if given.similarity is None else round(given.similarity, _DECIMALS),
        None if given.evidence is None else _evidence(given.evidence),
        None if given.frame_shares is None else _shares(given.frame_shares),
    )


def _shares(given: copies.FrameShares) -> FrameShares:
    return FrameShares(
        given.item_matched,
        given.item_count,
        round(given.item_percent, 1),
        given.entry_matched,
        given.entry_count,
        round(given.entry_percent, 1),
    )


def _view(given: copies.View) -> View:
    if given == copies.WHOLE_VIEW:
        return _WHOLE
    region = given.region
    return View(
        given.kind,
        Region(
            round(region.left, _DECIMALS),
            round(region.top, _DECIMALS),
            round(region.right, _DECIMALS),
            round(region.bottom, _DECIMALS),
            round(region.tilt_degrees, _DECIMALS),
        ),
        given.frame.number,
        None if given.frame.time_seconds is None else round(given.frame.time_seconds, _DECIMALS),
        given.frame.is_over_black,
    )


_WHOLE = View(ViewKind.WHOLE, Region())


def _evidence(given: copies.Evidence) -> Evidence:
    return Evidence(
        given.is_same,
        given.inlier_count,
        round(given.overlap_fraction, _DECIMALS),
        round(given.correlation, _DECIMALS),
        [(round(x, _DECIMALS), round(y, _DECIMALS)) for x, y in given.corners],
        given.is_mirrored,
    )
