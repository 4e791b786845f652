"""Items, their screenings, and lookups."""

from __future__ import annotations

from datetime import datetime

import msgspec

from baken import model
from baken.model import Finding, FingerprintKind, Verdict, Visibility
from baken.web.wire.matches import Match, match
from baken.web.wire.values import Caption, Hex, MatchCount, Ref, Url


class ItemMeta(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What the platform says about an item; everything is optional."""

    item_ref: Ref | None = None
    account_ref: Ref | None = None
    album_ref: Ref | None = None
    visibility: Visibility | None = None
    caption: Caption | None = None
    url: Url | None = None

    def to_model(self) -> model.ItemMeta:
        """The same as the core's type."""
        return model.ItemMeta(self.item_ref, self.account_ref, self.album_ref, self.visibility, self.caption, self.url)


class Fingerprints(msgspec.Struct):
    """What was computed from the file; `pdq` and `quality_percent` are null when no picture could be decoded."""

    pdq: str | None
    quality_percent: int | None
    sha256: str
    sha1: str
    md5: str


class Screening(msgspec.Struct):
    """One item through the gate, and its result."""

    id: str
    created_at: datetime
    finding: Finding
    verdict: Verdict
    reason: str | None
    detail: str | None
    matches: list[Match]
    suppressed: list[Match]
    match_count: MatchCount
    truncated: bool
    fingerprints: Fingerprints
    case_id: str | None
    elapsed_ms: float
    meta: ItemMeta


class AskedFingerprint(msgspec.Struct, forbid_unknown_fields=True):
    """One fingerprint to look up."""

    kind: FingerprintKind
    value: Hex


class LookupRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Fingerprints to look up."""

    fingerprints: list[AskedFingerprint]


class LookupAnswer(msgspec.Struct):
    """What is known about one fingerprint."""

    kind: FingerprintKind
    value: str
    finding: Finding
    verdict: Verdict
    reason: str | None
    matches: list[Match]
    suppressed: list[Match]
    match_count: MatchCount
    truncated: bool


class LookupAnswers(msgspec.Struct):
    """One answer for each fingerprint, in the order asked."""

    answers: list[LookupAnswer]


def screening(given: model.Screening) -> Screening:
    """A screening as it is answered."""
    outcome, computed = given.outcome, given.fingerprints
    unscreenable = computed.not_checked
    return Screening(
        given.id,
        given.created_at,
        outcome.finding,
        outcome.verdict,
        outcome.reason,
        None if unscreenable is None else unscreenable.detail,
        [match(each) for each in outcome.matches],
        [match(each) for each in outcome.suppressed],
        outcome.match_count,
        outcome.is_truncated,
        fingerprints(computed),
        given.case_id,
        round(given.elapsed_ms, 3),
        item_meta(given.meta),
    )


def fingerprints(given: model.Fingerprints) -> Fingerprints:
    """A file's fingerprints as they are answered."""
    pdq = given.pdq.hex() if given.pdq is not None else None
    return Fingerprints(pdq, given.quality_percent, given.sha256.hex(), given.sha1.hex(), given.md5.hex())


def item_meta(given: model.ItemMeta) -> ItemMeta:
    """What the platform said, as it said it."""
    return ItemMeta(given.item_ref, given.account_ref, given.album_ref, given.visibility, given.caption, given.url)


def lookup_answer(asked: model.Fingerprint, outcome: model.Outcome) -> LookupAnswer:
    """One lookup's answer."""
    return LookupAnswer(
        asked.kind,
        asked.value.hex(),
        outcome.finding,
        outcome.verdict,
        outcome.reason,
        [match(each) for each in outcome.matches],
        [match(each) for each in outcome.suppressed],
        outcome.match_count,
        outcome.is_truncated,
    )
