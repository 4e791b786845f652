"""What a search found, looked at more closely: the best candidates are checked, and views get their regions.

Both read the database, a few rows of the entries that were found; nothing is read when nothing was found.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from baken import film_shares
from baken.checking import MAX_CHECKS, Banked, CheckedItem, check
from baken.copies import FIRST_FRAME_VIEW, Evidence, FrameRef, MatchStage, View, ViewKind
from baken.decisions import verdict_of
from baken.errors import InvalidValueError, NotFoundError, SealError
from baken.fingerprints import keypoints
from baken.fingerprints.views import view_of
from baken.model import FingerprintKind, Fingerprints, Found, Match, Outcome, Purpose, Screening, Transform
from baken.overlay import OverlayWords, overlay_svg
from baken.sealing import Sealed, Sealer
from baken.store import KeptViews

_log = logging.getLogger(__name__)

# How many candidates are asked for keypoints, to find the ten best that have any: entries that came from a list of
# hashes into a bank that keeps keypoints have none.
_ASKED_CANDIDATES = 10 * MAX_CHECKS


_ENOUGH_CONFIRMED = 3
"""So many confirmed candidates of a bank say all that it has to say: all its entries have one verdict."""

_TURNED = frozenset(
    {Transform.ROTATED_90, Transform.ROTATED_270, Transform.MIRRORED_ROTATED_90, Transform.MIRRORED_ROTATED_270}
)


class KeptPictures(Protocol):
    """What is kept of banked pictures; `Store.kept` has it."""

    def entry_views_of(self, entry_ids: Collection[int]) -> dict[int, KeptViews]:
        """Their views, with the size of their pictures."""

    def keypoints_of(self, entry_ids: Collection[int]) -> dict[int, Sealed]:
        """Their sealed keypoints."""

    def codes_of(self, kind: FingerprintKind, entry_ids: Collection[int]) -> dict[int, bytes]:
        """Their fingerprints of one kind."""


class CandidateChecker:
    """Checks candidates and names their views; safe to call from any number of threads.

    Attributes:
        checked_count: how many candidates this process has checked.
        checked_seconds: how long that took.
    """

    def __init__(self, kept: KeptPictures, sealer: Sealer) -> None:
        self._kept = kept
        self._sealer = sealer
        self._lock = threading.Lock()
        self.checked_count = 0
        self.checked_seconds = 0.0

    def with_evidence(
        self, found: Found, lumas: Mapping[FrameRef, NDArray[np.uint8]], keeping_banks: Collection[int]
    ) -> Found:
        """Check the best candidates that have keypoints, at most `MAX_CHECKS`, against the picture of the item.

        A candidate of the descriptor stage whose check says that it is not the same picture is none, and leaves.
        Candidates that are not checked (the keys are lost, enough others of their bank were confirmed, or another frame
        of the banked file is what the item is near to) stay as they are.

        Args:
            found: what the search found.
            lumas: uint8[H, W], the working luma of each picture of the item.
            keeping_banks: ids of the banks that keep keypoints.

        Raises:
            NotReadyError: the database could not be read.
        """
        possible = [each for each in found.matches if each.bank_id in keeping_banks and _can_be_checked(each, lumas)]
        candidates = ranked(possible)[:_ASKED_CANDIDATES]
        if not candidates:
            return found
        sealed = self._kept.keypoints_of([match.entry_id for match in candidates])
        chosen = [match for match in candidates if match.entry_id in sealed][:MAX_CHECKS]
        if not chosen:
            return found
        evidence = self._checked(chosen, sealed, lumas)
        return _joined(found, evidence)

    def _checked(
        self, chosen: Sequence[Match], sealed: Mapping[int, Sealed], lumas: Mapping[FrameRef, NDArray[np.uint8]]
    ) -> dict[Match, Evidence]:
        ids = [match.entry_id for match in chosen]
        views, codes = self._kept.entry_views_of(ids), self._kept.codes_of(FingerprintKind.PDQ, ids)
        evidence: dict[Match, Evidence] = {}
        started = time.perf_counter()
        items = {frame: CheckedItem(lumas[frame]) for frame in {match.view.frame for match in chosen}}
        confirmed: Counter[int] = Counter()
        for match in chosen:
            if confirmed[match.bank_id] == _ENOUGH_CONFIRMED:
                continue
            banked = self._banked(sealed[match.entry_id], views.get(match.entry_id), codes.get(match.entry_id))
            if banked is not None:
                evidence[match] = check(items[match.view.frame], banked)
                confirmed[match.bank_id] += evidence[match].is_same
        with self._lock:
            self.checked_count += len(evidence)
            self.checked_seconds += time.perf_counter() - started
        return evidence

    def _banked(self, sealed: Sealed, kept: KeptViews | None, pdq: bytes | None) -> Banked | None:
        """What the check needs of an entry, or None when its keypoints cannot be opened: then it is not checked."""
        try:
            found = keypoints.from_bytes(self._sealer.open(sealed))
        except (SealError, InvalidValueError) as error:
            _log.error("a candidate is not checked: %s; %s", error.message, error.hint)
            return None
        return Banked(
            keypoints=found,
            width_px=found.width_px if kept is None else kept.width_px,
            height_px=found.height_px if kept is None else kept.height_px,
            views=None if kept is None else kept.views,
            pdq=pdq,
        )

    def with_shares(self, found: Found, computed: Fingerprints) -> Found:
        """Say of a film's matches how many of its frames they are about; raises like `with_evidence`."""
        return film_shares.with_shares(found, computed, self._kept)

    def named(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The same with the region of each banked view that matched, which depends on the size of its picture.

        Raises:
            NotReadyError: the database could not be read.
        """
        ids = {match.entry_id for match in _listed(outcomes) if match.entry_view_number}
        if not ids:
            return list(outcomes)
        kept = self._kept.entry_views_of(ids)

        def with_view(match: Match) -> Match:
            return replace(match, entry_view=_view_of(match, kept)) if match.entry_view_number else match

        return [
            replace(
                outcome,
                matches=tuple(map(with_view, outcome.matches)),
                suppressed=tuple(map(with_view, outcome.suppressed)),
            )
            for outcome in outcomes
        ]


def overlay(kept_pictures: KeptPictures, screening: Screening, number: int) -> str:
    """The drawing of one match of a screening, as SVG: which part of the item shows which part of the entry.

    Args:
        kept_pictures: gives the shape of the banked picture.
        screening: as recorded.
        number: the match's place in `matches`, from 0.

    Raises:
        NotFoundError: there is no such match.
        NotReadyError: the database could not be read.
    """
    matches = screening.outcome.matches
    if not 0 <= number < len(matches):
        raise NotFoundError(
            f"screening {screening.id} lists {len(matches)} matches and none with number {number}",
            hint="matches are numbered from 0, in the order of the screening",
        )
    return overlay_of(kept_pictures, matches[number], screening.fingerprints)


def overlay_of(kept_pictures: KeptPictures, match: Match, item: Fingerprints, words: OverlayWords | None = None) -> str:
    """The drawing of a match, as SVG; of `item`, what was screened, only the size is drawn. `words` are what it says.

    Raises:
        NotReadyError: the database could not be read.
    """
    item_px = (item.width_px or 1, item.height_px or 1)
    kept = kept_pictures.entry_views_of([match.entry_id]).get(match.entry_id)
    banked_px = _size_seen(match, item_px) if kept is None else (kept.width_px, kept.height_px)
    return overlay_svg(
        match,
        item_width_px=item_px[0],
        item_height_px=item_px[1],
        banked_width_px=banked_px[0],
        banked_height_px=banked_px[1],
        words=words,
    )


def ranked(matches: Iterable[Match]) -> list[Match]:
    """The candidates among matches, the best first: those of views and those of the descriptor take turns.

    Whole pictures that are near need no check, and neither do benign entries, which only explain others.
    """
    wanted = [match for match in matches if match.purpose is not Purpose.BENIGN and not match.kind.is_exact]
    by_views = sorted((match for match in wanted if match.stage is MatchStage.VIEWS), key=_by_views)
    by_descriptor = sorted((match for match in wanted if match.stage is MatchStage.DESCRIPTOR), key=_by_descriptor)
    return list(_taking_turns(by_views, by_descriptor))


def _taking_turns(first: Sequence[Match], second: Sequence[Match]) -> Iterator[Match]:
    for place in range(max(len(first), len(second))):
        yield from first[place : place + 1]
        yield from second[place : place + 1]


def _by_views(match: Match) -> tuple[int, int, int]:
    return (-verdict_of(match).severity, match.distance_bits, match.entry_id)


def _by_descriptor(match: Match) -> tuple[int, float, int]:
    return (-match.verdict.severity, -(match.similarity or 0.0), match.entry_id)


def _can_be_checked(match: Match, lumas: Mapping[FrameRef, NDArray[np.uint8]]) -> bool:
    """Whether the pictures on both sides are at hand: keypoints are kept of a banked file's leading picture alone."""
    return match.view.frame in lumas and match.entry_view_number < FIRST_FRAME_VIEW


def _joined(found: Found, evidence: Mapping[Match, Evidence]) -> Found:
    kept: list[Match] = []
    gone = 0
    for match in found.matches:
        said = evidence.get(match)
        if said is not None and match.stage is MatchStage.DESCRIPTOR and not said.is_same:
            gone += 1
        else:
            kept.append(match if said is None else replace(match, evidence=said))
    return Found(tuple(kept), found.match_count - gone)


def _size_seen(match: Match, item_px: tuple[int, int]) -> tuple[int, int]:
    """The shape that the banked picture has in the item: all that is known of an entry that came from a list."""
    region = match.view.region
    width = max(1, round((region.right - region.left) * item_px[0]))
    height = max(1, round((region.bottom - region.top) * item_px[1]))
    return (height, width) if match.transform in _TURNED else (width, height)


def _listed(outcomes: Iterable[Outcome]) -> Iterator[Match]:
    for outcome in outcomes:
        yield from outcome.matches
        yield from outcome.suppressed


def _view_of(match: Match, kept: Mapping[int, KeptViews]) -> View:
    """The view of the banked picture; without a region when the table or the picture's size is not known any more."""
    views = kept.get(match.entry_id)
    if views is None:
        return View(ViewKind.CROPPED)
    try:
        return view_of(match.entry_view_number, views.width_px, views.height_px, views.views.frames)
    except ValueError:
        return View(ViewKind.CROPPED)
