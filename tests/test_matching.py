"""The known entries in memory: every bank with its own radius and pause switch, checked against brute force."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from baken.matching import KnownEntries
from baken.model import (
    MAX_RADIUS_BITS,
    Bank,
    BankState,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    Match,
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
    answers = known.lookup([asked(query) for query in queries])

    for query, answer in zip(queries, answers, strict=True):
        distances = np.unpackbits(codes ^ query, axis=1).sum(axis=1)
        expected = {
            (row + 1, int(distances[row]))
            for row in range(len(codes))
            if distances[row] <= radius_of[int(bank_of[row])]
        }
        assert {(match.entry_id, match.distance_bits) for match in answer} == expected


def test_answers_come_in_the_order_asked_whatever_the_kinds():
    rng = np.random.default_rng(1)
    codes, digests = random_codes(rng, 4), random_codes(rng, 4, 16)
    known = known_with(codes, [bank(1)], np.ones(4, dtype=np.int64))
    known.put_codes(FingerprintKind.MD5, np.arange(11, 15, dtype=np.int64), np.ones(4, dtype=np.int64), digests)

    questions = []
    for code, digest in zip(codes, digests, strict=True):
        questions += [Fingerprint(FingerprintKind.MD5, digest.tobytes()), asked(code), asked(~code)]
    answers = known.lookup(questions)

    assert [[match.entry_id for match in answer] for answer in answers] == [
        [11], [1], [], [12], [2], [], [13], [3], [], [14], [4], [],
    ]  # fmt: skip


def test_a_digest_matches_only_its_own_kind():
    value = bytes(range(16))
    known = KnownEntries()
    known.set_banks([bank(1)])
    one = np.array([1], dtype=np.int64)
    known.put_codes(FingerprintKind.MD5, one, one, np.frombuffer(value, dtype=np.uint8).reshape(1, -1))
    [answer] = known.lookup([Fingerprint(FingerprintKind.SHA1, value + bytes(4))])
    assert answer == ()


def test_a_search_names_the_transform_of_the_nearest_orientation():
    rng = np.random.default_rng(2)
    orientations = random_codes(rng, 8)
    known = known_with(orientations[[4]], [bank(1)], np.array([1], dtype=np.int64))
    [match] = known.search(item(orientations))
    assert match == Match(1, "bank-1", Purpose.WATCH, Verdict.HOLD, 1, PDQ, 0, Transform.MIRRORED)


def test_an_entry_that_matches_in_several_ways_is_one_match_and_the_exact_digest_is_named():
    rng = np.random.default_rng(3)
    orientations = random_codes(rng, 8)
    known = known_with(orientations[[0]], [bank(1)], np.array([1], dtype=np.int64))
    sha256 = np.frombuffer(item(orientations).sha256, dtype=np.uint8).reshape(1, -1)
    one = np.array([1], dtype=np.int64)
    known.put_codes(FingerprintKind.SHA256, one, one, sha256)
    [match] = known.search(item(orientations))
    assert (match.kind, match.distance_bits) == (FingerprintKind.SHA256, 0)


def test_an_unscreenable_picture_is_compared_by_digest_alone():
    rng = np.random.default_rng(4)
    orientations = random_codes(rng, 8)
    known = known_with(orientations[[0]], [bank(1)], np.array([1], dtype=np.int64))
    flat = Unscreenable(UnscreenableReason.LOW_QUALITY, "quality 3")
    assert known.search(item(orientations, flat)) == ()


def test_a_removed_entry_matches_no_more_and_its_neighbours_stay():
    rng = np.random.default_rng(5)
    codes = random_codes(rng, 3)
    ones = np.ones(3, dtype=np.int64)
    known = known_with(codes, [bank(1)], ones)
    known.remove_entries(np.array([2], dtype=np.int64), np.array([1], dtype=np.int64))
    found = [[match.entry_id for match in answer] for answer in known.lookup([asked(code) for code in codes])]
    assert found == [[1], [], [3]]
    assert len(known) == 2


def test_a_radius_change_counts_at_once():
    rng = np.random.default_rng(6)
    codes = random_codes(rng, 1)
    known = known_with(codes, [bank(1, 10)], np.array([1], dtype=np.int64))
    question = [asked(flipped(rng, codes[0], 20))]
    assert known.lookup(question) == [()]
    known.set_banks([bank(1, 20)])
    assert len(known.lookup(question)[0]) == 1


def test_the_largest_ids_survive_the_packing():
    known = KnownEntries()
    largest = bank(2**23 - 1)
    known.set_banks([largest])
    entry_id = 2**40 - 1
    code = np.zeros((1, 32), dtype=np.uint8)
    known.put_codes(PDQ, np.array([entry_id], dtype=np.int64), np.array([largest.id], dtype=np.int64), code)
    [answer] = known.lookup([asked(code[0])])
    assert [(match.bank_id, match.entry_id) for match in answer] == [(largest.id, entry_id)]


def test_no_known_entries_answer_nothing():
    known = KnownEntries()
    assert known.lookup([Fingerprint(PDQ, bytes(32)), Fingerprint(FingerprintKind.MD5, bytes(16))]) == [(), ()]
