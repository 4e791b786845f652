"""What found a match, in words for the person who reviews it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from baken.copies import Evidence, MatchStage, Region, View, ViewKind
from baken.model import FingerprintKind, Match, Purpose, Transform, Verdict
from baken.view_words import match_words, region_words

MATCH = Match(1, "b", Purpose.WATCH, Verdict.HOLD, 1, FingerprintKind.PDQ, 9, Transform.IDENTITY)
SAME = Evidence(is_same=True, inlier_count=83, overlap_fraction=0.551, correlation=0.9, corners=(), is_mirrored=True)
CAPTION_CUT = View(ViewKind.CAPTION_CUT, Region(0.0, 0.1667, 1.0, 1.0))
CROPPED = View(ViewKind.CROPPED, Region(0.05, 0.05, 0.95, 0.95))


@pytest.mark.parametrize(
    ("match", "words"),
    [
        (replace(MATCH, kind=FingerprintKind.MD5), "the same file"),
        (MATCH, "the whole item shows the whole banked picture"),
        (
            replace(MATCH, stage=MatchStage.VIEWS, view=CAPTION_CUT, entry_view=CROPPED),
            (
                "the item without its caption (0 to 100 % across, 17 to 100 % down) shows "
                "a part of the banked picture (5 to 95 % across, 5 to 95 % down)"
            ),
        ),
        (
            replace(MATCH, stage=MatchStage.VIEWS, entry_view=View(ViewKind.CROPPED), evidence=SAME),
            (
                "the whole item shows the whole banked picture; "
                "checked: the same picture, mirrored, 83 points agree, 55 % of it is visible"
            ),
        ),
        (
            replace(MATCH, stage=MatchStage.DESCRIPTOR, similarity=0.813),
            "the whole item resembles the whole banked picture; similarity 0.81",
        ),
        (
            replace(MATCH, stage=MatchStage.VIEWS, evidence=replace(SAME, is_same=False)),
            "the whole item shows the whole banked picture; checked: not the same picture, 83 points agree",
        ),
    ],
)
def test_a_match_is_told_in_one_line(match: Match, words: str):
    assert match_words(match) == words


@pytest.mark.parametrize("kind", ViewKind)
@pytest.mark.parametrize("stage", MatchStage)
def test_every_kind_of_view_has_words_on_both_sides(kind: ViewKind, stage: MatchStage):
    view = View(kind, Region(0.1, 0.2, 0.3, 0.4, -2.5))
    said = match_words(replace(MATCH, stage=stage, view=view, entry_view=view))
    assert said.count("(10 to 30 % across, 20 to 40 % down, turned 2.5° counter-clockwise)") == 2


def test_a_region_is_told_as_a_viewer_sees_it():
    assert region_words(Region()) == ""
    assert region_words(Region(tilt_degrees=3.0)) == "turned 3° clockwise"
    assert region_words(Region(0.0, 0.5, 0.5, 1.0)) == "0 to 50 % across, 50 to 100 % down"
