"""The shapes of requests and answers. OpenAPI is made from them, so what /docs says is what is read and written."""

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
    ID_LIMIT,
    MAX_FLOOD_ACCOUNTS_PER_HOUR,
    MAX_FLOOD_FACTOR,
    MAX_RADIUS_BITS,
    BankState,
    CaseState,
    EntryState,
    Finding,
    FingerprintKind,
    MatchOrigin,
    NoticeKind,
    Purpose,
    Transform,
    Verdict,
    Visibility,
)

# PostgreSQL cannot store U+0000 in text, and no name or reason needs it.
_NO_NUL = "^[^\\x00]*$"

Ref = Annotated[str, Meta(max_length=512, pattern=_NO_NUL)]
Caption = Annotated[str, Meta(max_length=10_000, pattern=_NO_NUL)]
Url = Annotated[str, Meta(max_length=2048, pattern=_NO_NUL, description="Kept for people; never fetched.")]
Reason = Annotated[str, Meta(min_length=1, max_length=1000, pattern="^[^\\x00]*[^\\x00\\s][^\\x00]*$")]
Source = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\x00]*[^\\x00\\s][^\\x00]*$")]
Note = Annotated[str, Meta(max_length=2000, pattern=_NO_NUL)]
Label = Annotated[str, Meta(max_length=200, pattern=_NO_NUL)]
Hex = Annotated[str, Meta(max_length=200, description="Hexadecimal, in either case.")]
Percent = Annotated[int, Meta(ge=0, le=100)]
RadiusBits = Annotated[int, Meta(ge=0, le=MAX_RADIUS_BITS)]
FloodAccounts = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_FLOOD_ACCOUNTS_PER_HOUR,
        description="How many accounts an hour may always match one entry before it is quarantined; 0: never.",
    ),
]
FloodFactor = Annotated[
    int,
    Meta(ge=1, le=MAX_FLOOD_FACTOR, description="How many times its busiest earlier hour an entry may match."),
]
NewViewSet = Annotated[ViewSet, Meta(description="Which views of a picture are kept when it is added.")]
KeepsKeypoints = Annotated[
    bool,
    Meta(description="Whether keypoints of pictures are kept, sealed; turning it off deletes those that are there."),
]
MatchCount = Annotated[
    int, Meta(ge=0, description="How many entries matched, suppressed ones included, listed or not; exact.")
]
EntryId = Annotated[int, Meta(ge=1, le=ID_LIMIT - 1)]


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


class Match(msgspec.Struct):
    """An entry near the item. `transform` is what was done to the banked picture to get it."""

    bank: str
    purpose: Purpose
    verdict: Verdict
    entry_id: int
    kind: FingerprintKind
    distance_bits: int
    transform: Transform


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


class CaseEntry(msgspec.Struct):
    """An entry that items of a case match."""

    bank: str
    entry_id: int


class Case(msgspec.Struct):
    """The unit of review: one picture, or one entry, with all its items."""

    id: str
    purpose: Purpose
    state: CaseState
    opened_at: datetime
    updated_at: datetime
    item_count: int
    account_count: int
    entries: list[CaseEntry]


class CasePage(msgspec.Struct):
    """Cases, newest first; `next_cursor` is null on the last page."""

    cases: list[Case]
    next_cursor: str | None


class CaseItem(msgspec.Struct):
    """An item of a case, and why it is there."""

    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    seen_at: datetime
    joined_at: datetime
    origin: MatchOrigin
    matches: list[Match]


class CaseItemPage(msgspec.Struct):
    """Items in the order in which they joined; `next_cursor` is null on the last page."""

    items: list[CaseItem]
    next_cursor: str | None


class SeenStats(msgspec.Struct):
    """How much is remembered of what was screened, and how far behind it is."""

    retention_days: int
    items: int
    files: int
    clusters: int
    oldest_at: datetime | None
    newest_at: datetime | None
    waiting_items: int
    unasked_changes: int
    index_size_bytes: int


class SeenItem(msgspec.Struct):
    """One remembered item; `pdq` is null when its picture could not be compared."""

    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    seen_at: datetime
    cluster_id: int
    fingerprints: Fingerprints


class SeenItemPage(msgspec.Struct):
    """Remembered items in the order in which they were taken over; `next_cursor` is null on the last page."""

    items: list[SeenItem]
    next_cursor: str | None


class SeenCluster(msgspec.Struct):
    """Copies of one picture, or of one file that could not be compared."""

    cluster_id: int
    items: int
    accounts: int
    first_seen_at: datetime
    last_seen_at: datetime


class SeenClusterPage(msgspec.Struct):
    """Clusters, largest first; `next_cursor` is null on the last page."""

    clusters: list[SeenCluster]
    next_cursor: str | None


class Forgetting(msgspec.Struct, forbid_unknown_fields=True):
    """What to forget: exactly one of these."""

    item_ref: Ref | None = None
    account_ref: Ref | None = None
    before: Annotated[datetime, Meta(tz=True)] | None = None
    everything: bool = False


class Forgotten(msgspec.Struct):
    """How many items were forgotten."""

    forgotten: int


class Status(msgspec.Struct):
    """Whether the process lives or is ready."""

    status: str


encode = msgspec.json.Encoder().encode
"""Any of these shapes as JSON bytes."""


def match(given: model.Match) -> Match:
    """A match as it is answered."""
    return Match(
        given.bank,
        given.purpose,
        given.verdict,
        given.entry_id,
        given.kind,
        given.distance_bits,
        given.transform,
    )


def screening(given: model.Screening) -> Screening:
    """A screening as it is answered."""
    outcome, computed = given.outcome, given.fingerprints
    unscreenable = computed.unscreenable
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


def case(given: model.Case) -> Case:
    """A case as it is answered."""
    return Case(
        given.id,
        given.purpose,
        given.state,
        given.opened_at,
        given.updated_at,
        given.item_count,
        given.account_count,
        [CaseEntry(bank_name, entry_id) for bank_name, entry_id in given.entries],
    )


def case_item(given: model.CaseItem) -> CaseItem:
    """An item of a case as it is answered."""
    return CaseItem(
        given.screening_id,
        given.item_ref,
        given.account_ref,
        given.album_ref,
        given.seen_at,
        given.joined_at,
        given.origin,
        [match(each) for each in given.matches],
    )


def seen_item(given: model.SeenItem) -> SeenItem:
    """A remembered item as it is answered."""
    pdq = None if given.pdq is None else given.pdq.hex()
    return SeenItem(
        given.screening_id,
        given.item_ref,
        given.account_ref,
        given.album_ref,
        given.seen_at,
        given.cluster_id,
        Fingerprints(pdq, given.quality_percent, given.sha256.hex(), given.sha1.hex(), given.md5.hex()),
    )


def seen_cluster(given: model.SeenCluster) -> SeenCluster:
    """A cluster as it is answered."""
    return SeenCluster(given.id, given.item_count, given.account_count, given.first_seen_at, given.last_seen_at)


def seen_stats(given: model.SeenStats, *, retention_days: int, index_size_bytes: int) -> SeenStats:
    """How much is remembered, as it is answered."""
    return SeenStats(
        retention_days,
        given.item_count,
        given.file_count,
        given.cluster_count,
        given.oldest_at,
        given.newest_at,
        given.waiting_count,
        given.head_seq - given.asked_seq,
        index_size_bytes,
    )
