"""Matches as rows keep them: whole, and those of earlier releases too."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from baken.copies import WHOLE_VIEW, Evidence, MatchStage, Region, View, ViewKind
from baken.model import FingerprintKind, Match, Purpose, Transform, Verdict
from baken.store.match_rows import match_of, match_row

SHARES = st.floats(-1, 2, allow_nan=False)
VIEWS = st.just(WHOLE_VIEW) | st.builds(
    View, st.sampled_from(ViewKind), st.builds(Region, SHARES, SHARES, SHARES, SHARES, st.floats(-180, 180))
)
EVIDENCE = Evidence(
    is_same=True,
    inlier_count=40,
    overlap_fraction=0.5,
    correlation=0.75,
    corners=((0.0, 0.25), (1.0, 0.25), (1.0, 1.0), (0.0, 1.0)),
    points=((0.5, 0.5, 0.25, 0.25),),
    is_mirrored=True,
)
MATCHES = st.builds(
    Match,
    bank_id=st.integers(1, 3),
    bank=st.sampled_from(["a", "b"]),
    purpose=st.sampled_from(Purpose),
    verdict=st.sampled_from(Verdict),
    entry_id=st.integers(1, 9),
    kind=st.sampled_from(FingerprintKind),
    distance_bits=st.integers(0, 256),
    transform=st.sampled_from(Transform),
    stage=st.sampled_from(MatchStage),
    view=VIEWS,
    entry_view=VIEWS,
    similarity=st.none() | st.floats(-1, 1),
    evidence=st.none() | st.just(EVIDENCE),
    entry_view_number=st.integers(0, 255),
)


@given(MATCHES)
@settings(derandomize=True, max_examples=200)
def test_a_match_is_read_as_it_was_written(match: Match):
    assert match_of(json.loads(json.dumps(match_row(match)))) == match


def test_a_match_of_whole_pictures_is_kept_as_it_always_was():
    match = Match(1, "b", Purpose.WATCH, Verdict.HOLD, 7, FingerprintKind.PDQ, 9, Transform.MIRRORED)
    earlier = {
        "bank_id": 1,
        "bank": "b",
        "purpose": "watch",
        "verdict": "hold",
        "entry_id": 7,
        "kind": "pdq",
        "distance_bits": 9,
        "transform": "mirrored",
    }
    assert match_row(match) == earlier
    assert match_of(earlier) == match


def test_evidence_that_cannot_be_read_takes_only_itself_away():
    match = Match(1, "b", Purpose.WATCH, Verdict.HOLD, 7, FingerprintKind.PDQ, 9, Transform.IDENTITY)
    row = match_row(match) | {"evidence": '{"version": 99}'}
    assert match_of(row) == match
