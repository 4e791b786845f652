"""The rules of docs/reference/decisions.md."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
) -> Match:
    return Match(1, f"bank-{purpose}", purpose, verdict, entry_id, kind, distance_bits, Transform.IDENTITY)


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
)
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


def test_the_table_in_the_docs_names_every_finding_and_every_cap():
    text = (Path(__file__).parent.parent / "docs" / "reference" / "decisions.md").read_text()
    rows = [line.split("|")[3].strip() for line in text.splitlines() if line.startswith("| ") and "`" in line]
    assert rows == ["`matched`", "`unscreenable`", "`clear`", "`clear`"]
