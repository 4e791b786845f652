"""Matches as JSON keeps them: in screenings and in items of cases."""

from __future__ import annotations

import logging
from dataclasses import astuple, fields
from typing import Any

from baken.copies import FIRST_FRAME, WHOLE_VIEW, Evidence, FrameRef, FrameShares, MatchStage, Region, View, ViewKind
from baken.copies_json import evidence_from_json, evidence_to_json
from baken.errors import InvalidValueError
from baken.model import FingerprintKind, Match, Purpose, Transform, Verdict

_log = logging.getLogger(__name__)

_SIDES = len(fields(Region))


def match_row(match: Match) -> dict[str, Any]:
    """A match as JSON keeps it; what whole pictures found takes as little room as it ever did."""
    row: dict[str, Any] = {
        "bank_id": match.bank_id,
        "bank": match.bank,
        "purpose": match.purpose.value,
        "verdict": match.verdict.value,
        "entry_id": match.entry_id,
        "kind": match.kind.value,
        "distance_bits": match.distance_bits,
        "transform": match.transform.value,
    }
    if match.stage is not MatchStage.FINGERPRINT:
        row["stage"] = match.stage.value
    if match.view != WHOLE_VIEW:
        row["view"] = _packed(match.view)
    if match.entry_view != WHOLE_VIEW or match.entry_view_number:
        row["entry_view"] = _packed(match.entry_view)
        row["entry_view_number"] = match.entry_view_number
    if match.similarity is not None:
        row["similarity"] = match.similarity
    if match.evidence is not None:
        row["evidence"] = evidence_to_json(match.evidence)
    if match.frame_shares is not None:
        row["frame_shares"] = list(astuple(match.frame_shares))
    if not match.shows_whole_entry:
        row["shows_whole_entry"] = False
    return row


def match_of(stored: dict[str, Any]) -> Match:
    """The match that `match_row` kept, in whichever release."""
    return Match(
        bank_id=stored["bank_id"],
        bank=stored["bank"],
        purpose=Purpose(stored["purpose"]),
        verdict=Verdict(stored["verdict"]),
        entry_id=stored["entry_id"],
        kind=FingerprintKind(stored["kind"]),
        distance_bits=stored["distance_bits"],
        transform=Transform(stored["transform"]),
        stage=MatchStage(stored.get("stage", MatchStage.FINGERPRINT)),
        view=_unpacked(stored.get("view")),
        entry_view=_unpacked(stored.get("entry_view")),
        similarity=stored.get("similarity"),
        evidence=_evidence(stored.get("evidence")),
        entry_view_number=stored.get("entry_view_number", 0),
        frame_shares=FrameShares(*stored["frame_shares"]) if "frame_shares" in stored else None,
        shows_whole_entry=stored.get("shows_whole_entry", True),
    )


def _packed(view: View) -> list[Any]:
    frame = () if view.frame == FIRST_FRAME else astuple(view.frame)
    return [view.kind.value, *astuple(view.region), *frame]


def _unpacked(stored: list[Any] | None) -> View:
    if stored is None:
        return WHOLE_VIEW
    kind, region, frame = stored[0], stored[1 : 1 + _SIDES], stored[1 + _SIDES :]
    return View(ViewKind(kind), Region(*region), FrameRef(*frame) if frame else FIRST_FRAME)


def _evidence(stored: str | None) -> Evidence | None:
    """What the check said; a screening whose evidence cannot be read is still a screening."""
    if stored is None:
        return None
    try:
        return evidence_from_json(stored)
    except InvalidValueError as error:
        _log.warning("the evidence of a match is left out: %s", error.message)
        return None
