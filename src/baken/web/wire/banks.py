"""Banks, their entries, and notices about them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from baken import model
from baken.copies import ViewSet
from baken.model import (
    DEFAULT_FLOOD_ACCOUNTS_PER_HOUR,
    DEFAULT_FLOOD_FACTOR,
    DEFAULT_RADIUS_BITS,
    BankState,
    EntryState,
    FingerprintKind,
    NoticeKind,
    Purpose,
    Verdict,
)
from baken.web.wire.values import (
    EntryId,
    FloodAccounts,
    FloodFactor,
    FollowsDecisions,
    Hex,
    KeepsKeypoints,
    Label,
    NewViewSet,
    Note,
    Percent,
    RadiusBits,
    Reason,
    Source,
)


class NewBank(msgspec.Struct, forbid_unknown_fields=True):
    """A bank to create; its verdict follows from the purpose unless it is given."""

    name: Annotated[str, Meta(max_length=100)]
    purpose: Purpose
    radius_bits: RadiusBits = DEFAULT_RADIUS_BITS
    verdict: Verdict | None = None
    flood_accounts_per_hour: FloodAccounts = DEFAULT_FLOOD_ACCOUNTS_PER_HOUR
    flood_factor: FloodFactor = DEFAULT_FLOOD_FACTOR
    view_set: NewViewSet = ViewSet.FULL
    keeps_keypoints: KeepsKeypoints = False
    reason: Reason | None = None


class BankChange(msgspec.Struct, forbid_unknown_fields=True):
    """What should change in a bank; a field that is left out, or null, stays as it is."""

    radius_bits: RadiusBits | None = None
    verdict: Verdict | None = None
    flood_accounts_per_hour: FloodAccounts | None = None
    flood_factor: FloodFactor | None = None
    view_set: NewViewSet | None = None
    keeps_keypoints: KeepsKeypoints | None = None
    follows_decisions: FollowsDecisions | None = None
    reason: Reason | None = None


class KeptCounts(msgspec.Struct):
    """How many entries of a bank have views, vectors and keypoints."""

    views: int
    vectors: int
    keypoints: int


class Bank(msgspec.Struct):
    """A named set of entries; `entry_counts` (by state) and `kept_counts` stand where one bank is read."""

    name: str
    purpose: Purpose
    radius_bits: int
    verdict: Verdict
    state: BankState
    reason: str | None
    created_at: datetime
    updated_at: datetime
    flood_accounts_per_hour: int
    flood_factor: int
    view_set: ViewSet
    keeps_keypoints: bool
    follows_decisions: bool
    entry_counts: dict[EntryState, int] | msgspec.UnsetType = msgspec.UNSET
    kept_counts: KeptCounts | msgspec.UnsetType = msgspec.UNSET


class BankPage(msgspec.Struct):
    """Banks, oldest first; `next_cursor` is null on the last page."""

    banks: list[Bank]
    next_cursor: str | None


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """Why a bank or an entry is paused or withdrawn."""

    reason: Reason


class OptionalChange(msgspec.Struct, forbid_unknown_fields=True):
    """Why a bank or an entry counts again, if there is something to say."""

    reason: Reason | None = None


class NewFingerprint(msgspec.Struct, forbid_unknown_fields=True):
    """A fingerprint of an entry; `quality_percent` only where it is known."""

    kind: FingerprintKind
    value: Hex
    quality_percent: Percent | None = None


class NewEntry(msgspec.Struct, forbid_unknown_fields=True):
    """One content: at least one fingerprint, at most one of a kind."""

    fingerprints: Annotated[list[NewFingerprint], Meta(min_length=1, max_length=len(FingerprintKind))]
    label: Label | None = None


class NewProvenance(msgspec.Struct, forbid_unknown_fields=True):
    """Where entries come from and why they are added."""

    source: Source
    note: Note | None = None


class NewEntries(msgspec.Struct, forbid_unknown_fields=True):
    """Entries to add with one provenance; all are added, or none."""

    provenance: NewProvenance
    entries: Annotated[list[NewEntry], Meta(min_length=1)]


class EntryIds(msgspec.Struct):
    """The ids of the entries, in the order given, and how many are new; the others were in the bank already.

    `completed_count` of those got what is kept of their picture.
    """

    entry_ids: list[int]
    added_count: int
    completed_count: int = 0


class Provenance(msgspec.Struct):
    """Who put an entry into a bank, from where and why."""

    source: str
    added_by: str
    note: str | None


class EntryFingerprint(msgspec.Struct):
    """A fingerprint of an entry."""

    kind: FingerprintKind
    value: str
    quality_percent: int | None


class Entry(msgspec.Struct):
    """One content in a bank. The last three say what is kept of its picture; the data itself is never given out."""

    id: int
    bank: str
    state: EntryState
    state_reason: str | None
    label: str | None
    provenance: Provenance
    fingerprints: list[EntryFingerprint]
    created_at: datetime
    updated_at: datetime
    view_count: int
    has_vectors: bool
    has_keypoints: bool


class EntryPage(msgspec.Struct):
    """Entries, oldest first; `next_cursor` is null on the last page."""

    entries: list[Entry]
    next_cursor: str | None


class EntryWithdrawal(msgspec.Struct, forbid_unknown_fields=True):
    """Entries to withdraw, and why."""

    entry_ids: Annotated[list[EntryId], Meta(min_length=1)]
    reason: Reason


class Withdrawn(msgspec.Struct):
    """How many entries changed; one that was withdrawn before does not count."""

    withdrawn: int


class Notice(msgspec.Struct):
    """Something that happened by itself and that a person should look at.

    Resuming, pausing or withdrawing the entry resolves it. `facts` are the numbers behind `reason`.
    """

    id: int
    created_at: datetime
    kind: NoticeKind
    bank: str
    entry_id: int
    reason: str
    facts: dict[str, int | str]
    resolved_at: datetime | None
    resolved_by: str | None


class NoticePage(msgspec.Struct):
    """Notices, oldest first; `next_cursor` is null on the last page."""

    notices: list[Notice]
    next_cursor: str | None


def bank(
    given: model.Bank,
    counts: dict[EntryState, int] | msgspec.UnsetType = msgspec.UNSET,
    kept: KeptCounts | msgspec.UnsetType = msgspec.UNSET,
) -> Bank:
    """A bank as it is answered."""
    return Bank(
        given.name,
        given.purpose,
        given.radius_bits,
        given.verdict,
        given.state,
        given.reason,
        given.created_at,
        given.updated_at,
        given.flood_accounts_per_hour,
        given.flood_factor,
        given.view_set,
        given.keeps_keypoints,
        given.follows_decisions,
        counts,
        kept,
    )


def notice(given: model.Notice) -> Notice:
    """A notice as it is answered."""
    return Notice(
        given.id,
        given.created_at,
        given.kind,
        given.bank,
        given.entry_id,
        given.reason,
        dict(given.facts),
        given.resolved_at,
        given.resolved_by,
    )


def entry(given: model.Entry) -> Entry:
    """An entry as it is answered."""
    return Entry(
        given.id,
        given.bank,
        given.state,
        given.state_reason,
        given.label,
        Provenance(given.provenance.source, given.provenance.added_by, given.provenance.note),
        [EntryFingerprint(each.kind, each.value.hex(), each.quality_percent) for each in given.fingerprints],
        given.created_at,
        given.updated_at,
        given.view_count,
        given.has_vectors,
        given.has_keypoints,
    )
