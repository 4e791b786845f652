"""The rules of docs/reference/decisions.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baken.copies import WHOLE_VIEW, Evidence, MatchStage, Region, View, ViewKind
from baken.decisions import Policy, decide, verdict_of
from baken.model import (
    Finding,
    FingerprintKind,
    Match,
    Outcome,
    Purpose,
    Transform,
    Unscreenable,
    UnscreenableReason,
    Verdict,
)

TILE = View(ViewKind.TILE, Region(0.0, 0.0, 0.5, 0.5))
BOX = View(ViewKind.TRIMMED, Region(0.1, 0.1, 0.9, 0.9))
SAME = Evidence(is_same=True, inlier_count=80, overlap_fraction=0.5, correlation=0.9, corners=())
NOT_THE_SAME = Evidence(is_same=False, inlier_count=20, overlap_fraction=0.5, correlation=0.1, corners=())
POLICY = Policy()
PDQ = FingerprintKind.PDQ
SHA256 = FingerprintKind.SHA256
TRUNCATED = Unscreenable(UnscreenableReason.TRUNCATED, "stops after 10 bytes")


def match(
    purpose: Purpose = Purpose.KNOWN_ABUSE,
    distance_bits: int = 0,
    *,
    verdict: Verdict = Verdict.BLOCK,
    kind: FingerprintKind = PDQ,
    entry_id: int = 1,
    stage: MatchStage = MatchStage.FINGERPRINT,
    view: View = WHOLE_VIEW,
    evidence: Evidence | None = None,
    similarity: float | None = None,
    shows_whole_entry: bool = True,
) -> Match:
    plain = Match(1, f"bank-{purpose}", purpose, verdict, entry_id, kind, distance_bits, Transform.IDENTITY)
    plain = replace(plain, shows_whole_entry=shows_whole_entry)
    return replace(plain, stage=stage, view=view, evidence=evidence, similarity=similarity)


matches = st.builds(
    Match,
    bank_id=st.integers(1, 3),
    bank=st.sampled_from(["a", "b", "c"]),
    purpose=st.sampled_from(Purpose),
    verdict=st.sampled_from(Verdict),
    entry_id=st.integers(1, 9),
    kind=st.sampled_from(FingerprintKind),
    distance_bits=st.integers(0, 64),
    transform=st.sampled_from(Transform),
    stage=st.sampled_from(MatchStage),
    view=st.sampled_from([WHOLE_VIEW, TILE, BOX]),
    similarity=st.sampled_from([None, 0.4, 0.6]),
    evidence=st.sampled_from([None, SAME, NOT_THE_SAME]),
    shows_whole_entry=st.booleans(),
).map(lambda made: replace(made, stage=MatchStage.FINGERPRINT, view=WHOLE_VIEW) if made.kind.is_exact else made)
unscreenables = st.none() | st.builds(Unscreenable, st.sampled_from(UnscreenableReason), st.just("why"))


def test_nothing_found_is_clear_and_allowed():
    assert decide(None, [], POLICY) == Outcome(Finding.CLEAR, Verdict.ALLOW, None)


def test_a_match_gives_its_banks_verdict_and_purpose():
    outcome = decide(None, [match()], POLICY)
    assert (outcome.finding, outcome.verdict, outcome.reason) == (Finding.MATCHED, Verdict.BLOCK, "matched_known_abuse")


def test_the_strictest_of_several_verdicts_wins():
    watched = match(Purpose.WATCH, 0, verdict=Verdict.ALLOW)
    held = match(Purpose.KNOWN_ABUSE, 30, verdict=Verdict.HOLD, entry_id=2)
    outcome = decide(None, [watched, held], POLICY)
    assert outcome.verdict is Verdict.HOLD
    assert outcome.matches == (held, watched)


def test_own_photo_never_blocks_even_when_its_bank_says_so():
    outcome = decide(None, [match(Purpose.OWN_PHOTO, verdict=Verdict.BLOCK)], POLICY)
    assert (outcome.finding, outcome.verdict) == (Finding.MATCHED, Verdict.HOLD)


def test_a_benign_entry_suppresses_a_match_and_is_named_as_the_reason():
    benign = match(Purpose.BENIGN, 4, verdict=Verdict.ALLOW, entry_id=7)
    suppressed = match(distance_bits=20)
    outcome = decide(None, [suppressed, benign], POLICY)
    assert (outcome.finding, outcome.verdict, outcome.reason) == (Finding.CLEAR, Verdict.ALLOW, "benign:bank-benign/7")
    assert outcome.suppressed == (suppressed,)


def test_a_benign_entry_does_not_hide_a_match_that_is_nearer_than_itself():
    outcome = decide(None, [match(distance_bits=2), match(Purpose.BENIGN, 25, entry_id=7)], POLICY)
    assert (outcome.finding, outcome.verdict) == (Finding.MATCHED, Verdict.BLOCK)


def test_a_benign_likeness_does_not_outweigh_an_exact_digest():
    outcome = decide(None, [match(kind=SHA256), match(Purpose.BENIGN, 0, entry_id=7)], POLICY)
    assert outcome.finding is Finding.MATCHED


def test_a_benign_digest_suppresses_the_same_digest():
    outcome = decide(None, [match(kind=SHA256), match(Purpose.BENIGN, 0, kind=SHA256, entry_id=7)], POLICY)
    assert (outcome.finding, outcome.reason) == (Finding.CLEAR, "benign:bank-benign/7")


@pytest.mark.parametrize(
    ("known", "benign", "finding"),
    [
        (FingerprintKind.MD5, SHA256, Finding.CLEAR),
        (FingerprintKind.MD5, FingerprintKind.MD5, Finding.CLEAR),
        (SHA256, FingerprintKind.MD5, Finding.MATCHED),
        (FingerprintKind.SHA1, FingerprintKind.MD5, Finding.MATCHED),
    ],
)
def test_a_weaker_benign_digest_does_not_outweigh_a_stronger_one(
    known: FingerprintKind, benign: FingerprintKind, finding: Finding
):
    assert decide(None, [match(kind=known), match(Purpose.BENIGN, kind=benign, entry_id=7)], POLICY).finding is finding


def test_a_benign_entry_alone_is_plain_clear():
    outcome = decide(None, [match(Purpose.BENIGN, 3)], POLICY)
    assert (outcome.finding, outcome.verdict, outcome.reason) == (Finding.CLEAR, Verdict.ALLOW, None)


@pytest.mark.parametrize("reason", UnscreenableReason)
def test_every_unscreenable_reason_is_named_and_held_except_low_quality(reason: UnscreenableReason):
    outcome = decide(Unscreenable(reason, "why"), [], POLICY)
    expected = Verdict.ALLOW if reason is UnscreenableReason.LOW_QUALITY else Verdict.HOLD
    assert (outcome.finding, outcome.verdict, outcome.reason) == (Finding.UNSCREENABLE, expected, reason.value)


def test_the_verdict_for_an_unscreenable_reason_is_the_operators():
    policy = Policy(dict.fromkeys(UnscreenableReason, Verdict.BLOCK))
    assert decide(TRUNCATED, [], policy).verdict is Verdict.BLOCK


def test_an_exact_digest_catches_what_cannot_be_decoded():
    outcome = decide(TRUNCATED, [match(kind=SHA256)], POLICY)
    assert (outcome.finding, outcome.verdict) == (Finding.MATCHED, Verdict.BLOCK)


def test_an_undecodable_picture_whose_digest_is_benign_is_still_unscreenable():
    both = [match(kind=SHA256), match(Purpose.BENIGN, 0, kind=SHA256, entry_id=7)]
    assert decide(TRUNCATED, both, POLICY).finding is Finding.UNSCREENABLE


VIEWS, DESCRIPTOR, FINGERPRINT = MatchStage.VIEWS, MatchStage.DESCRIPTOR, MatchStage.FINGERPRINT


@pytest.mark.parametrize(
    ("stage", "evidence", "verdict"),
    [
        (FINGERPRINT, None, Verdict.BLOCK),
        (FINGERPRINT, NOT_THE_SAME, Verdict.BLOCK),
        (VIEWS, None, Verdict.BLOCK),
        (VIEWS, SAME, Verdict.BLOCK),
        (VIEWS, NOT_THE_SAME, Verdict.HOLD),
        (DESCRIPTOR, None, Verdict.HOLD),
        (DESCRIPTOR, NOT_THE_SAME, Verdict.HOLD),
        (DESCRIPTOR, SAME, Verdict.BLOCK),
    ],
)
def test_what_may_block_depends_on_what_found_it(stage: MatchStage, evidence: Evidence | None, verdict: Verdict):
    outcome = decide(None, [match(distance_bits=20, stage=stage, evidence=evidence)], POLICY)
    assert (outcome.finding, outcome.verdict, outcome.reason) == (Finding.MATCHED, verdict, "matched_known_abuse")


@pytest.mark.parametrize(
    ("known", "benign", "is_suppressed"),
    [
        # A benign logo in one corner says nothing of the rest, nor the other way round.
        (match(distance_bits=20, stage=VIEWS, view=BOX), match(Purpose.BENIGN, 3, stage=VIEWS, view=TILE), False),
        (match(distance_bits=20), match(Purpose.BENIGN, 3, stage=VIEWS, view=TILE), False),
        (match(distance_bits=20, stage=VIEWS, view=TILE), match(Purpose.BENIGN, 3), False),
        # Of the same part the nearer one is believed.
        (match(distance_bits=20, stage=VIEWS, view=TILE), match(Purpose.BENIGN, 20, stage=VIEWS, view=TILE), True),
        (match(distance_bits=20, stage=VIEWS, view=TILE), match(Purpose.BENIGN, 21, stage=VIEWS, view=TILE), False),
        (match(distance_bits=20, stage=VIEWS), match(Purpose.BENIGN, 20), True),
        (match(distance_bits=20, stage=VIEWS), match(Purpose.BENIGN, 21), False),
        # Whole pictures are not outweighed by views.
        (match(distance_bits=20), match(Purpose.BENIGN, 3, stage=VIEWS), False),
        # Equal bytes are benign, whatever their parts are like.
        (match(distance_bits=20, stage=VIEWS, view=TILE), match(Purpose.BENIGN, kind=SHA256), True),
        (match(distance_bits=99, stage=DESCRIPTOR, evidence=SAME), match(Purpose.BENIGN, kind=SHA256), True),
        # What a network alone says, a benign picture outweighs; what the check confirmed, it does not.
        (match(distance_bits=99, stage=DESCRIPTOR), match(Purpose.BENIGN, 30), True),
        (match(distance_bits=99, stage=DESCRIPTOR, view=TILE), match(Purpose.BENIGN, 30), False),
        (match(distance_bits=99, stage=DESCRIPTOR, evidence=SAME), match(Purpose.BENIGN, 30), False),
        (
            match(distance_bits=99, stage=DESCRIPTOR, similarity=0.6),
            match(Purpose.BENIGN, 99, stage=DESCRIPTOR, similarity=0.7),
            True,
        ),
        (
            match(distance_bits=99, stage=DESCRIPTOR, similarity=0.6),
            match(Purpose.BENIGN, 99, stage=DESCRIPTOR, similarity=0.5),
            False,
        ),
    ],
)
def test_a_benign_entry_explains_only_what_it_is_at_least_as_near_to_in_the_same_part(
    known: Match, benign: Match, is_suppressed: bool
):
    outcome = decide(None, [known, replace(benign, entry_id=7)], POLICY)
    assert (outcome.suppressed if is_suppressed else outcome.matches) == (known,)
    assert (outcome.reason == "benign:bank-benign/7") is is_suppressed


def test_several_benign_entries_explain_what_any_of_them_explains():
    known = match(distance_bits=20, stage=VIEWS, view=TILE)
    far, near = (match(Purpose.BENIGN, bits, stage=VIEWS, view=TILE, entry_id=bits) for bits in (25, 8))
    for benign in ([far, near], [near, far]):
        assert decide(None, [known, *benign], POLICY).reason == "benign:bank-benign/8"


@pytest.mark.parametrize(
    ("evidence", "verdict"), [(None, Verdict.HOLD), (SAME, Verdict.BLOCK), (NOT_THE_SAME, Verdict.HOLD)]
)
def test_a_part_of_a_banked_picture_blocks_only_when_the_check_confirms_it(evidence: Evidence | None, verdict: Verdict):
    part = match(distance_bits=0, stage=VIEWS, evidence=evidence, shows_whole_entry=False)
    assert decide(None, [part], POLICY).verdict is verdict


@settings(derandomize=True, max_examples=400)
@given(st.lists(matches, max_size=8))
def test_nothing_blocks_that_a_network_or_parts_alone_found_or_the_check_refuted(found: list[Match]):
    for each in found:
        is_guess = each.stage is DESCRIPTOR and each.evidence != SAME
        is_guess |= each.stage is VIEWS and each.evidence is None and not each.shows_whole_entry
        is_refuted = each.stage is VIEWS and each.evidence == NOT_THE_SAME
        assert not ((is_guess or is_refuted) and verdict_of(each) is Verdict.BLOCK)
        assert verdict_of(each).severity <= each.verdict.severity


@settings(derandomize=True, max_examples=400)
@given(st.lists(matches, max_size=6), matches)
def test_one_more_benign_entry_never_makes_a_verdict_stricter(found: list[Match], benign: Match):
    more = [*found, replace(benign, purpose=Purpose.BENIGN)]
    assert decide(None, more, POLICY).verdict.severity <= decide(None, found, POLICY).verdict.severity


@settings(derandomize=True, max_examples=400)
@given(unscreenables, st.lists(matches, max_size=8))
def test_decide_is_total_and_keeps_the_products_promises(unscreenable: Unscreenable | None, found: list[Match]):
    outcome = decide(unscreenable, found, POLICY)
    harmful = [each for each in found if each.purpose is not Purpose.BENIGN]
    assert sorted(map(hash, outcome.matches + outcome.suppressed)) == sorted(map(hash, harmful))
    assert (outcome.finding is Finding.MATCHED) == bool(outcome.matches)
    if outcome.finding is Finding.CLEAR:
        assert unscreenable is None
        assert outcome.verdict is Verdict.ALLOW
    if outcome.matches:
        assert outcome.verdict is max((verdict_of(each) for each in outcome.matches), key=lambda v: v.severity)
        if all(each.purpose is Purpose.OWN_PHOTO for each in outcome.matches):
            assert outcome.verdict is not Verdict.BLOCK


@settings(derandomize=True, max_examples=200)
@given(unscreenables, st.lists(matches, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_matches_does_not_change_the_outcome(
    unscreenable: Unscreenable | None, found: list[Match], random: Random
):
    shuffled = list(found)
    random.shuffle(shuffled)
    first, second = decide(unscreenable, found, POLICY), decide(unscreenable, shuffled, POLICY)
    assert (first.finding, first.verdict, first.reason) == (second.finding, second.verdict, second.reason)


def test_the_tables_in_the_docs_name_every_finding_and_every_stage():
    text = (Path(__file__).parent.parent / "docs" / "reference" / "decisions.md").read_text()
    outcomes, stages, _ = [
        [line.split("|") for line in part.splitlines()[2:]] for part in text.split("\n\n") if part.startswith("| ")
    ]
    assert [row[3].strip() for row in outcomes] == ["`matched`", "`unscreenable`", "`clear`", "`clear`"]
    assert [row[1].strip() for row in stages] == [f"`{stage.value}`" for stage in MatchStage]
    assert ["`hold`" in row[3] for row in stages] == [False, True, True]
