"""The known entries in memory: every bank with its own radius and pause switch, checked against brute force."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from baken.decisions import Policy, decide_found
from baken.matching import KnownEntries
from baken.model import (
    MAX_RADIUS_BITS,
    Bank,
    BankState,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    Found,
    Match,
    Outcome,
    Purpose,
    Transform,
    Unscreenable,
    UnscreenableReason,
    Verdict,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PDQ = FingerprintKind.PDQ


def bank(bank_id: int, radius_bits: int = 31, state: BankState = BankState.ACTIVE) -> Bank:
    return Bank(bank_id, f"bank-{bank_id}", Purpose.WATCH, radius_bits, Verdict.HOLD, state, None, NOW, NOW)


def random_codes(rng: np.random.Generator, count: int, size_bytes: int = 32) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (count, size_bytes), dtype=np.uint8)


def flipped(rng: np.random.Generator, code: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    unpacked = np.unpackbits(code)
    unpacked[rng.permutation(256)[:bits]] ^= 1
    return np.packbits(unpacked)


def known_with(codes: NDArray[np.uint8], banks: list[Bank], bank_of: NDArray[np.int64]) -> KnownEntries:
    known = KnownEntries()
    known.set_banks(banks)
    known.put_codes(PDQ, np.arange(1, len(codes) + 1, dtype=np.int64), bank_of, codes)
    return known


def asked(code: NDArray[np.uint8]) -> Fingerprint:
    return Fingerprint(PDQ, code.tobytes())


def item(
    orientations: NDArray[np.uint8], unscreenable: Unscreenable | None = None, data: bytes = b"item"
) -> Fingerprints:
    return Fingerprints(
        sha256=hashlib.sha256(data).digest(),
        sha1=hashlib.sha1(data, usedforsecurity=False).digest(),
        md5=hashlib.md5(data, usedforsecurity=False).digest(),
        pdq=orientations[0].tobytes(),
        quality_percent=100,
        unscreenable=unscreenable,
        pdq_orientations=orientations,
    )


def entry_ids(found: Found) -> list[int]:
    return [match.entry_id for match in found.matches]


@pytest.mark.parametrize("radius_bits", range(0, MAX_RADIUS_BITS + 1, 3))
def test_lookup_equals_brute_force_with_each_banks_own_radius(radius_bits: int):
    rng = np.random.default_rng(radius_bits)
    codes = random_codes(rng, 3_000)
    codes[1_000:2_000] = [flipped(rng, codes[0], int(rng.integers(0, 70))) for _ in range(1_000)]
    codes[2_000:2_100] = codes[0]
    bank_of = rng.integers(1, 4, len(codes)).astype(np.int64)
    banks = [bank(1, radius_bits), bank(2, max(0, radius_bits - 5)), bank(3, radius_bits, BankState.PAUSED)]
    known = known_with(codes, banks, bank_of)
    radius_of = {1: radius_bits, 2: max(0, radius_bits - 5), 3: -1}

    queries = np.array([flipped(rng, codes[int(rng.integers(0, 2_100))], int(rng.integers(0, 40))) for _ in range(20)])
    answers = known.lookup([asked(query) for query in queries], max_matches=len(codes))

    for query, answer in zip(queries, answers, strict=True):
        distances = np.unpackbits(codes ^ query, axis=1).sum(axis=1)
        expected = {
            (row + 1, int(distances[row]))
            for row in range(len(codes))
            if distances[row] <= radius_of[int(bank_of[row])]
        }
        assert {(match.entry_id, match.distance_bits) for match in answer.matches} == expected
        assert answer.match_count == len(expected)


def test_answers_come_in_the_order_asked_whatever_the_kinds():
    rng = np.random.default_rng(1)
    codes, digests = random_codes(rng, 4), random_codes(rng, 4, 16)
    known = known_with(codes, [bank(1)], np.ones(4, dtype=np.int64))
    known.put_codes(FingerprintKind.MD5, np.arange(11, 15, dtype=np.int64), np.ones(4, dtype=np.int64), digests)

    questions = []
    for code, digest in zip(codes, digests, strict=True):
        questions += [Fingerprint(FingerprintKind.MD5, digest.tobytes()), asked(code), asked(~code)]
    answers = known.lookup(questions)

    assert [entry_ids(answer) for answer in answers] == [
        [11], [1], [], [12], [2], [], [13], [3], [], [14], [4], [],
    ]  # fmt: skip


def test_a_digest_matches_only_its_own_kind():
    value = bytes(range(16))
    known = KnownEntries()
    known.set_banks([bank(1)])
    one = np.array([1], dtype=np.int64)
    known.put_codes(FingerprintKind.MD5, one, one, np.frombuffer(value, dtype=np.uint8).reshape(1, -1))
    [answer] = known.lookup([Fingerprint(FingerprintKind.SHA1, value + bytes(4))])
    assert answer == Found()


def test_a_search_names_the_transform_of_the_nearest_orientation():
    rng = np.random.default_rng(2)
    orientations = random_codes(rng, 8)
    known = known_with(orientations[[4]], [bank(1)], np.array([1], dtype=np.int64))
    [match] = known.search(item(orientations)).matches
    assert match == Match(1, "bank-1", Purpose.WATCH, Verdict.HOLD, 1, PDQ, 0, Transform.MIRRORED)


def test_an_entry_that_matches_in_several_ways_is_one_match_and_the_exact_digest_is_named():
    rng = np.random.default_rng(3)
    orientations = random_codes(rng, 8)
    known = known_with(orientations[[0]], [bank(1)], np.array([1], dtype=np.int64))
    sha256 = np.frombuffer(item(orientations).sha256, dtype=np.uint8).reshape(1, -1)
    one = np.array([1], dtype=np.int64)
    known.put_codes(FingerprintKind.SHA256, one, one, sha256)
    [match] = known.search(item(orientations)).matches
    assert (match.kind, match.distance_bits) == (FingerprintKind.SHA256, 0)


def test_an_unscreenable_picture_is_compared_by_digest_alone():
    rng = np.random.default_rng(4)
    orientations = random_codes(rng, 8)
    known = known_with(orientations[[0]], [bank(1)], np.array([1], dtype=np.int64))
    flat = Unscreenable(UnscreenableReason.LOW_QUALITY, "quality 3")
    assert known.search(item(orientations, flat)) == Found()


def test_a_removed_entry_matches_no_more_and_its_neighbours_stay():
    rng = np.random.default_rng(5)
    codes = random_codes(rng, 3)
    ones = np.ones(3, dtype=np.int64)
    known = known_with(codes, [bank(1)], ones)
    known.remove_entries(np.array([2], dtype=np.int64), np.array([1], dtype=np.int64))
    found = [entry_ids(answer) for answer in known.lookup([asked(code) for code in codes])]
    assert found == [[1], [], [3]]
    assert len(known) == 2


def test_a_radius_change_counts_at_once():
    rng = np.random.default_rng(6)
    codes = random_codes(rng, 1)
    known = known_with(codes, [bank(1, 10)], np.array([1], dtype=np.int64))
    question = [asked(flipped(rng, codes[0], 20))]
    assert known.lookup(question) == [Found()]
    known.set_banks([bank(1, 20)])
    assert known.lookup(question)[0].match_count == 1


def test_the_largest_ids_survive_the_packing():
    known = KnownEntries()
    largest = bank(2**23 - 1)
    known.set_banks([largest])
    entry_id = 2**40 - 1
    code = np.zeros((1, 32), dtype=np.uint8)
    known.put_codes(PDQ, np.array([entry_id], dtype=np.int64), np.array([largest.id], dtype=np.int64), code)
    [answer] = known.lookup([asked(code[0])])
    assert [(match.bank_id, match.entry_id) for match in answer.matches] == [(largest.id, entry_id)]


def bank_of(purpose: Purpose, bank_id: int, verdict: Verdict, radius_bits: int = 31) -> Bank:
    return Bank(bank_id, purpose.value, purpose, radius_bits, verdict, BankState.ACTIVE, None, NOW, NOW)


CROWD = 20_000
CROWDED_BANKS = [
    bank_of(Purpose.KNOWN_ABUSE, 1, Verdict.BLOCK, 5),
    bank_of(Purpose.OWN_PHOTO, 2, Verdict.HOLD),
    bank_of(Purpose.WATCH, 3, Verdict.ALLOW),
    bank_of(Purpose.BENIGN, 4, Verdict.ALLOW),
]


def crowded(crowd_bank: int, code: NDArray[np.uint8], known: NDArray[np.uint8] | None) -> KnownEntries:
    """A crowd of equal codes in one bank and, if given, one entry of the bank of known abuse, added last."""
    crowd = np.repeat(code.reshape(1, -1), CROWD, axis=0)
    codes = crowd if known is None else np.concatenate([crowd, known.reshape(1, -1)])
    banks = np.full(len(codes), crowd_bank, dtype=np.int64)
    if known is not None:
        banks[-1] = 1
    return known_with(codes, CROWDED_BANKS, banks)


def decided(found: Found, max_matches: int) -> Outcome:
    return decide_found(None, found, Policy(), max_matches)


@pytest.mark.parametrize("max_matches", [1, 100])
@pytest.mark.parametrize("crowd_bank", [2, 3])
def test_a_crowd_of_milder_entries_does_not_hide_one_known_entry(crowd_bank: int, max_matches: int):
    rng = np.random.default_rng(7)
    code = random_codes(rng, 1)[0]
    known = crowded(crowd_bank, code, flipped(rng, code, 5))
    orientations = np.concatenate([code.reshape(1, -1), random_codes(rng, 7)])
    [looked_up] = known.lookup([asked(code)], max_matches)
    for found in (looked_up, known.search(item(orientations), max_matches)):
        outcome = decided(found, max_matches)
        assert (outcome.verdict, outcome.reason) == (Verdict.BLOCK, "matched_known_abuse")
        assert outcome.matches[0].entry_id == CROWD + 1
        assert (len(outcome.matches), outcome.match_count, outcome.is_truncated) == (max_matches, CROWD + 1, True)


def test_a_crowd_of_benign_entries_suppresses_what_is_no_nearer_and_nothing_else():
    rng = np.random.default_rng(8)
    code = random_codes(rng, 1)[0]
    known = crowded(4, code, flipped(rng, code, 5))
    [found] = known.lookup([asked(code)])
    outcome = decided(found, 100)
    assert (outcome.verdict, outcome.reason, len(outcome.suppressed)) == (Verdict.ALLOW, "benign:benign/1", 1)
    assert (outcome.match_count, outcome.is_truncated) == (1, False)
    exact = crowded(4, flipped(rng, code, 5), code)
    [found] = exact.lookup([asked(code)])
    assert decided(found, 100).verdict is Verdict.BLOCK


def test_an_entry_near_in_several_orientations_counts_once_at_its_nearest():
    rng = np.random.default_rng(9)
    code = random_codes(rng, 1)[0]
    orientations = np.stack([flipped(rng, code, bits) for bits in (9, 8, 3, 7, 3, 12, 20, 31)])
    known = crowded(3, code, None)
    found = known.search(item(orientations), 10)
    assert found.match_count == CROWD
    assert {(match.distance_bits, match.transform) for match in found.matches} == {(3, Transform.ROTATED_180)}
    assert [match.entry_id for match in found.matches] == list(range(1, 11))


@pytest.mark.parametrize("crowd_bank", [1, 4])
def test_a_crowd_of_weaker_digests_hides_no_stronger_one(crowd_bank: int):
    rng = np.random.default_rng(10)
    computed = item(random_codes(rng, 8), Unscreenable(UnscreenableReason.TRUNCATED, "cut"))
    known = KnownEntries()
    known.set_banks(CROWDED_BANKS)
    md5 = np.repeat(np.frombuffer(computed.md5, np.uint8).reshape(1, -1), CROWD, axis=0)
    known.put_codes(FingerprintKind.MD5, np.arange(1, CROWD + 1), np.full(CROWD, crowd_bank), md5)
    sha256 = np.frombuffer(computed.sha256, np.uint8).reshape(1, -1)
    known.put_codes(
        FingerprintKind.SHA256, np.array([CROWD, CROWD + 1]), np.full(2, crowd_bank), np.repeat(sha256, 2, 0)
    )
    known.put_codes(FingerprintKind.SHA256, np.array([CROWD + 2]), np.array([3]), sha256)
    found = known.search(computed, 5)
    strong = [match for match in found.matches if match.kind is FingerprintKind.SHA256]
    assert [match.entry_id for match in strong] == [CROWD, CROWD + 1, CROWD + 2]
    assert len(found.matches) == 5 + 3
    assert found.match_count == (CROWD + 2 if crowd_bank == 1 else 1)


@pytest.mark.parametrize("seed", range(6))
def test_a_capped_search_decides_as_an_uncapped_one_and_counts_exactly(seed: int):
    rng = np.random.default_rng(seed)
    centre = random_codes(rng, 1)[0]
    codes = np.array([flipped(rng, centre, int(rng.integers(0, 40))) for _ in range(3_000)])
    banks = rng.integers(1, 5, len(codes)).astype(np.int64)
    known = known_with(codes, CROWDED_BANKS, banks)
    orientations = np.array([flipped(rng, centre, int(rng.integers(0, 30))) for _ in range(8)])
    everything = known.search(item(orientations), len(codes))
    expected = decided(everything, len(codes))
    assert not expected.is_truncated
    for max_matches in (1, 3, 50):
        capped = decided(known.search(item(orientations), max_matches), max_matches)
        assert (capped.verdict, capped.reason, capped.match_count) == (
            expected.verdict,
            expected.reason,
            expected.match_count,
        )
        assert capped.matches == expected.matches[:max_matches]
        assert set(capped.suppressed) <= set(expected.suppressed)
        assert capped.suppressed or capped.matches or not expected.suppressed


def test_no_known_entries_answer_nothing():
    known = KnownEntries()
    assert known.lookup([Fingerprint(PDQ, bytes(32)), Fingerprint(FingerprintKind.MD5, bytes(16))]) == [Found()] * 2
