"""Made-up rows for the store's tests: every value follows from a number, so that a failure repeats."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from baken.model import (
    Bank,
    Finding,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    Idempotency,
    ItemMeta,
    Match,
    NewEntry,
    Outcome,
    Provenance,
    Purpose,
    Screening,
    Transform,
    Unscreenable,
    UnscreenableReason,
    Verdict,
    Visibility,
)
from baken.store import Store

ORIGIN = Provenance(source="list of 2026", added_by="alice", note="first delivery")
START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def digest(number: int, size_bytes: int = 32) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()[:size_bytes]


def make_bank(store: Store, name: str = "known", purpose: Purpose = Purpose.KNOWN_ABUSE) -> Bank:
    return store.create_bank(name, purpose, radius_bits=31, verdict=Verdict.HOLD, actor="alice", reason="agreement 7")


def pdq_entry(number: int) -> NewEntry:
    return NewEntry((Fingerprint(FingerprintKind.PDQ, digest(number), 90),), label=f"label {number}")


def full_entry(number: int) -> NewEntry:
    codes = tuple(Fingerprint(kind, digest(number, kind.size_bytes)) for kind in FingerprintKind)
    return NewEntry(codes, label=f"label {number}")


def add(store: Store, count: int, bank: str = "known", first: int = 0) -> list[int]:
    return store.add_entries(bank, [pdq_entry(first + number) for number in range(count)], ORIGIN, actor="alice")


def screening(number: int, *, name: str = "", finding: Finding = Finding.CLEAR) -> Screening:
    prints = Fingerprints(
        sha256=digest(number),
        sha1=digest(number, 20),
        md5=digest(number, 16),
        pdq=digest(number),
        quality_percent=88,
        unscreenable=None,
        format="jpeg",
        width_px=1024,
        height_px=768,
    )
    return Screening(
        id=f"scr_{name}{number:08d}",
        created_at=START + timedelta(seconds=number),
        meta=ItemMeta(item_ref=f"item/{number}"),
        fingerprints=prints,
        outcome=Outcome(finding, Verdict.ALLOW, None),
        elapsed_ms=1.5,
    )


def full_screening() -> Screening:
    """One that uses every field."""
    match = Match(
        1, "known", Purpose.KNOWN_ABUSE, Verdict.BLOCK, 5, FingerprintKind.PDQ, 12, Transform.MIRRORED_ROTATED_90
    )
    benign = Match(2, "memes", Purpose.BENIGN, Verdict.ALLOW, 9, FingerprintKind.SHA256, 0, Transform.IDENTITY)
    return Screening(
        id="scr_full",
        created_at=START,
        meta=ItemMeta("item/1", "account/2", "album/3", Visibility.LOCKED, "vakantie é 🏖", "https://example.org/1"),
        fingerprints=Fingerprints(
            sha256=digest(1),
            sha1=digest(1, 20),
            md5=digest(1, 16),
            pdq=digest(2),
            quality_percent=12,
            unscreenable=Unscreenable(UnscreenableReason.LOW_QUALITY, "quality 12 of 100"),
            format="png",
            width_px=300,
            height_px=200,
        ),
        outcome=Outcome(Finding.MATCHED, Verdict.BLOCK, "matched_known_abuse", (match,), (benign,), 1_000_000),
        elapsed_ms=7.25,
        case_id="case_1",
    )


def token(number: int, request: int = 0) -> Idempotency:
    return Idempotency(api_key_id="key_1", token=f"token {number}", request_sha256=digest(request))
