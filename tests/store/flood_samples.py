"""Screenings that matched, for the tests of the flood breaker: who uploaded, when, and which entry it was near."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from store_samples import START, add, screening

from baken.flood import FloodLimits
from baken.model import (
    Finding,
    FingerprintKind,
    ItemMeta,
    Match,
    Outcome,
    Purpose,
    Screening,
    Transform,
    Verdict,
)
from baken.store import Store

LIMIT = 5
"""How many accounts an hour the bank of `flooding_bank` allows."""


def flooding_bank(store: Store, *, accounts_per_hour: int = LIMIT, factor: int = 2) -> int:
    """A bank with small limits and one entry; the entry's id."""
    limits = FloodLimits(accounts_per_hour, factor)
    purpose, verdict = Purpose.KNOWN_ABUSE, Verdict.HOLD
    store.create_bank("known", purpose, radius_bits=31, verdict=verdict, flood=limits, actor="alice")
    [entry_id] = add(store, 1)
    return entry_id


def match(entry_id: int, kind: FingerprintKind = FingerprintKind.PDQ) -> Match:
    distance_bits = 0 if kind.is_exact else 12
    return Match(1, "known", Purpose.KNOWN_ABUSE, Verdict.HOLD, entry_id, kind, distance_bits, Transform.IDENTITY)


def matched(
    number: int,
    *matches: Match,
    account: str | None = None,
    at: datetime = START,
    name: str = "",
) -> Screening:
    """A screening of file `number` that was near these entries."""
    return replace(
        screening(number, name=name),
        created_at=at,
        meta=ItemMeta(account_ref=account),
        outcome=Outcome(Finding.MATCHED, Verdict.HOLD, "matched_known_abuse", matches),
    )


def hours(count: float) -> datetime:
    return START + timedelta(hours=count)
