"""Evidence as text that is kept with a match, and back: small, versioned, and never believed without looking."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from baken.copies import Evidence
from baken.errors import InvalidValueError

__all__ = ["MAX_EVIDENCE_BYTES", "evidence_from_json", "evidence_to_json"]

MAX_EVIDENCE_BYTES = 4096
"""Evidence with all of its points takes half of it."""

MAX_POINTS = 64
"""Inliers that evidence lists."""

_VERSION = 1
_DECIMALS = 4
_MAX_INLIERS = 10_000
_FARTHEST = 1000.0
"""A corner may lie far beyond the item: a crop shows a small part of the banked picture."""

Share = Annotated[float, Meta(ge=-_FARTHEST, le=_FARTHEST)]
Corners = Annotated[tuple[tuple[Share, Share], ...], Meta(max_length=4)]
Points = Annotated[tuple[tuple[Share, Share, Share, Share], ...], Meta(max_length=MAX_POINTS)]


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    is_same: bool
    inlier_count: Annotated[int, Meta(ge=0, le=_MAX_INLIERS)]
    overlap_fraction: Annotated[float, Meta(ge=0, le=1)]
    correlation: Annotated[float, Meta(ge=-1, le=1)]
    corners: Corners
    points: Points
    is_mirrored: bool


class _Version(msgspec.Struct):
    version: int


def evidence_to_json(evidence: Evidence) -> str:
    """The evidence as ASCII of at most `MAX_EVIDENCE_BYTES`, places to four decimals. `evidence_from_json` reads it."""
    kept = _Kept(
        version=_VERSION,
        is_same=evidence.is_same,
        inlier_count=min(evidence.inlier_count, _MAX_INLIERS),
        overlap_fraction=_rounded(evidence.overlap_fraction, 0.0, 1.0),
        correlation=_rounded(evidence.correlation, -1.0, 1.0),
        corners=tuple((_place(x), _place(y)) for x, y in evidence.corners[:4]),
        points=tuple((_place(a), _place(b), _place(c), _place(d)) for a, b, c, d in evidence.points[:MAX_POINTS]),
        is_mirrored=evidence.is_mirrored,
    )
    return msgspec.json.encode(kept).decode("ascii")


def evidence_from_json(text: str) -> Evidence:
    """What `evidence_to_json` wrote.

    Raises:
        InvalidValueError: the text is too long, is no evidence, or a later version wrote it.
    """
    if len(text) > MAX_EVIDENCE_BYTES:
        raise _wrong(f"{len(text)} characters long, expected at most {MAX_EVIDENCE_BYTES}")
    try:
        version = msgspec.json.decode(text, type=_Version).version
        if version != _VERSION:
            raise _wrong(f"of version {version}, expected {_VERSION}")
        kept = msgspec.json.decode(text, type=_Kept)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise _wrong(f"damaged: {error}") from None
    if len(kept.corners) not in (0, 4):
        raise _wrong(f"damaged: it has {len(kept.corners)} corners, expected 4 or none")
    return Evidence(
        is_same=kept.is_same,
        inlier_count=kept.inlier_count,
        overlap_fraction=kept.overlap_fraction,
        correlation=kept.correlation,
        corners=kept.corners,
        points=kept.points,
        is_mirrored=kept.is_mirrored,
    )


def _place(value: float) -> float:
    return _rounded(value, -_FARTHEST, _FARTHEST)


def _rounded(value: float, low: float, high: float) -> float:
    return round(min(high, max(low, value)), _DECIMALS)


def _wrong(what: str) -> InvalidValueError:
    return InvalidValueError(
        f"kept evidence is {what}", hint="The match stands without it; screen the item again to have it checked anew."
    )
