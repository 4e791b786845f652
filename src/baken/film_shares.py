"""How much of a film a match is about: frames of the item that show the banked file, and the other way round.

The measure is vPDQ's, over the different frames of both sides; it weighs nothing in a verdict, and tells a reviewer
whether a clip shows one known picture for a second or is a known film.
Source: https://github.com/facebook/ThreatExchange/blob/main/vpdq/cpp/vpdq/cpp/hashing/matchTwoHash.cpp
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from baken.copies import FIRST_FRAME_VIEW, WHOLE, FrameShares, QueryViews, ViewKind
from baken.model import DEFAULT_RADIUS_BITS, PDQ_BYTES, FingerprintKind, Fingerprints, Found, Match
from baken.store import KeptViews

MAX_MEASURED = 16
"""Entries of one item that are measured; the nearest of each bank come first."""


class KeptFrames(Protocol):
    """What is kept of banked files; `Store.kept` has it."""

    def entry_views_of(self, entry_ids: Collection[int]) -> dict[int, KeptViews]:
        """Their views, frames among them."""

    def codes_of(self, kind: FingerprintKind, entry_ids: Collection[int]) -> dict[int, bytes]:
        """Their fingerprints of one kind."""


def with_shares(found: Found, computed: Fingerprints, kept: KeptFrames) -> Found:
    """The same matches, with the shares of frames of those of a film; `found` itself when the item is no film.

    Raises:
        NotReadyError: the database could not be read.
    """
    if computed.frame.time_seconds is None or computed.pdq_orientations is None:
        return found
    alike = [match for match in found.matches if not match.kind.is_exact]
    ids = list(dict.fromkeys(match.entry_id for match in alike))[:MAX_MEASURED]
    if not ids:
        return found
    views, codes = kept.entry_views_of(ids), kept.codes_of(FingerprintKind.PDQ, ids)
    item = _frames_of_item(computed.pdq_orientations, computed.query_views)
    shares = {
        entry_id: _shares(item, _frames_of_entry(codes[entry_id], views.get(entry_id)))
        for entry_id in ids
        if entry_id in codes
    }
    return replace(found, matches=tuple(_with(match, shares) for match in found.matches))


def _with(match: Match, shares: dict[int, FrameShares]) -> Match:
    if match.kind.is_exact or match.entry_id not in shares:
        return match
    return replace(match, frame_shares=shares[match.entry_id])


def _frames_of_item(leading: NDArray[np.uint8], queried: QueryViews | None) -> NDArray[np.uint8]:
    """uint8[N, 8, 32], each whole frame in its eight orientations."""
    if queried is None:
        return leading[None]
    rows = [row for row, view in enumerate(queried.views) if view.kind is ViewKind.WHOLE and view.region == WHOLE]
    return np.concatenate([leading[None], queried.codes[rows]])


def _frames_of_entry(leading: bytes, kept: KeptViews | None) -> NDArray[np.uint8]:
    """uint8[M, 32]."""
    first = np.frombuffer(leading, np.uint8).reshape(1, PDQ_BYTES)
    if kept is None:
        return first
    return np.concatenate([first, kept.views.codes[kept.views.numbers >= FIRST_FRAME_VIEW]])


def _shares(item: NDArray[np.uint8], entry: NDArray[np.uint8]) -> FrameShares:
    item_matched = np.zeros(len(item), bool)
    entry_matched = 0
    for code in entry:
        near = np.bitwise_count(item ^ code).sum(axis=2, dtype=np.int64).min(axis=1) <= DEFAULT_RADIUS_BITS
        item_matched |= near
        entry_matched += bool(near.any())
    return FrameShares(int(item_matched.sum()), len(item), entry_matched, len(entry))
