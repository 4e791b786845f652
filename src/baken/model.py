"""The words of docs/glossary.md as types: what every layer may know, and nothing that knows a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from baken.copies import (
    FIRST_FRAME,
    WHOLE_VIEW,
    BankViews,
    Evidence,
    FrameRef,
    FrameShares,
    MatchStage,
    QueryViews,
    Vectors,
    View,
    ViewSet,
)

PDQ_BITS = 256
PDQ_BYTES = PDQ_BITS // 8

# The confident-match radius of the PDQ paper and of every list the field exchanges:
# https://github.com/facebook/ThreatExchange/blob/main/hashing/hashing.pdf, "Using PDQ".
DEFAULT_RADIUS_BITS = 31

# Above this a 256-bit code comes near unrelated ones (expected distance 128, sigma 8); no bank may ask for more.
MAX_RADIUS_BITS = 64

# What the flood breaker allows unless a bank says otherwise: docs/how-to/flood-breaker.md has the reasons.
DEFAULT_FLOOD_ACCOUNTS_PER_HOUR = 100
DEFAULT_FLOOD_FACTOR = 10

# They bound what is kept to tell accounts apart: one short row for each account, entry and hour.
MAX_FLOOD_ACCOUNTS_PER_HOUR = 1_000_000
MAX_FLOOD_FACTOR = 1_000

# PDQ's own quality gate: below it the picture carries too little detail for its fingerprint to be compared.
MIN_QUALITY_PERCENT = 50

# Enough for any person or program to act on; how many there are is counted in any case.
MAX_MATCHES = 100

# How many frames are looked at beside the first, unless a setting says otherwise.
MAX_FRAMES = 16

ID_LIMIT = 1 << 63
"""One past the largest database id: ids are signed 64-bit integers in SQLite, in PostgreSQL and in the index."""


class FingerprintKind(StrEnum):
    """How a fingerprint was computed."""

    PDQ = "pdq"
    SHA256 = "sha256"
    SHA1 = "sha1"
    MD5 = "md5"

    @property
    def size_bytes(self) -> int:
        """The length of a value of this kind."""
        return _SIZE_BYTES[self]

    @property
    def is_exact(self) -> bool:
        """Whether a value matches only itself (a digest of the bytes), not its neighbourhood."""
        return self is not FingerprintKind.PDQ


_SIZE_BYTES = {
    FingerprintKind.PDQ: PDQ_BYTES,
    FingerprintKind.SHA256: 32,
    FingerprintKind.SHA1: 20,
    FingerprintKind.MD5: 16,
}


class Purpose(StrEnum):
    """Why a bank exists; it bounds what a match may cause."""

    KNOWN_ABUSE = "known_abuse"
    OWN_PHOTO = "own_photo"
    BENIGN = "benign"
    WATCH = "watch"


class Verdict(StrEnum):
    """What the platform should do with an item now."""

    ALLOW = "allow"
    HOLD = "hold"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """0 for allow, 1 for hold, 2 for block: the strictest of several verdicts is the largest."""
        return _SEVERITY[self]


_SEVERITY = {Verdict.ALLOW: 0, Verdict.HOLD: 1, Verdict.BLOCK: 2}

DEFAULT_VERDICTS = {
    Purpose.KNOWN_ABUSE: Verdict.BLOCK,
    Purpose.OWN_PHOTO: Verdict.HOLD,
    Purpose.BENIGN: Verdict.ALLOW,
    Purpose.WATCH: Verdict.ALLOW,
}
"""What a bank answers when its creator names no verdict; a family's word alone never blocks."""


class Finding(StrEnum):
    """What a screening found."""

    CLEAR = "clear"
    MATCHED = "matched"
    UNSCREENABLE = "unscreenable"


class UnscreenableReason(StrEnum):
    """Why a picture, or part of its file, could not be compared.

    Each has a verdict in the settings, and none of them reads as clear.
    """

    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown_format"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    LOW_QUALITY = "low_quality"
    UNREADABLE = "unreadable"
    DECODER_FAILED = "decoder_failed"
    PARTLY_SEEN = "partly_seen"


class Transform(StrEnum):
    """What was done to the banked picture to get the item."""

    IDENTITY = "identity"
    ROTATED_90 = "rotated_90"
    ROTATED_180 = "rotated_180"
    ROTATED_270 = "rotated_270"
    MIRRORED = "mirrored"
    MIRRORED_ROTATED_90 = "mirrored_rotated_90"
    MIRRORED_ROTATED_180 = "mirrored_rotated_180"
    MIRRORED_ROTATED_270 = "mirrored_rotated_270"


class BankState(StrEnum):
    """Whether a bank's entries count."""

    ACTIVE = "active"
    PAUSED = "paused"
    WITHDRAWN = "withdrawn"


class EntryState(StrEnum):
    """Whether an entry counts. Only `active` entries match."""

    ACTIVE = "active"
    PAUSED = "paused"
    QUARANTINED = "quarantined"
    WITHDRAWN = "withdrawn"


class NoticeKind(StrEnum):
    """What a notice tells a person."""

    ENTRY_QUARANTINED = "entry_quarantined"
    ENTRY_DISPUTED = "entry_disputed"


class Visibility(StrEnum):
    """Who can see the item on the platform."""

    PUBLIC = "public"
    SHARED = "shared"
    LOCKED = "locked"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """What an API key may do. `admin` may do everything."""

    SCREEN = "screen"
    LOOKUP = "lookup"
    BANKS = "banks"
    CASES = "cases"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Unscreenable:
    """A picture that could not be compared, and why; `detail` is for people, `reason` for programs."""

    reason: UnscreenableReason
    detail: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One fingerprint: its kind, its value (`kind.size_bytes` bytes) and, for perceptual kinds, its quality."""

    kind: FingerprintKind
    value: bytes
    quality_percent: int | None = None


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Everything computed from one file.

    What stands here of "the picture" is of the file's *leading* picture: its first, or, where that is too plain to be
    compared or cannot be decoded, the first of its frames that can.

    Attributes:
        sha256: 32 bytes, of the file as given (FIPS 180-4).
        sha1: 20 bytes, likewise.
        md5: 16 bytes, likewise (RFC 1321).
        pdq: 32 bytes in the field's order (`pdq.hex()` is what lists exchange), or None when no picture was decoded.
        quality_percent: PDQ quality, 0 to 100, or None when no picture was decoded.
        unscreenable: why `pdq` must not be compared (undecodable or low quality), or None when it may be.
        format: what the content is, `jpeg` for example, or None when it is no picture.
        width_px: width as a viewer shows the picture, orientation applied; None when undecoded.
        height_px: height, likewise.
        pdq_orientations: uint8[8, 32], the PDQ of the picture undone by each `Transform` in the order of the enum
            (row 0 equals `pdq`): a banked code found near row i says the item is the banked picture with transform i.
        query_views: of an item that is screened, its other views; None when none were asked for.
        bank_views: of a picture that enters a bank, likewise.
        vectors: what the descriptor network made of it; None without the network.
        working_luma: uint8[H, W], the picture with its longer side at most `WORKING_SIDE_PX`, for the check; it never
            leaves the process that decoded it, but for the one that asked it to.
        frame: which of the file's pictures the leading one is.
        unseen: what of the file could not be seen, although the leading picture may be compared: frames that cannot
            be decoded, or more than are walked. None when all that was looked for was seen.
        frame_lumas: like `working_luma`, of the other pictures that were asked.
    """

    sha256: bytes
    sha1: bytes
    md5: bytes
    pdq: bytes | None
    quality_percent: int | None
    unscreenable: Unscreenable | None
    format: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    pdq_orientations: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    query_views: QueryViews | None = field(default=None, repr=False, compare=False)
    bank_views: BankViews | None = field(default=None, repr=False, compare=False)
    vectors: Vectors | None = field(default=None, repr=False, compare=False)
    working_luma: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    frame: FrameRef = FIRST_FRAME
    unseen: Unscreenable | None = None
    frame_lumas: tuple[tuple[FrameRef, NDArray[np.uint8]], ...] = field(default=(), repr=False, compare=False)

    @property
    def not_checked(self) -> Unscreenable | None:
        """Why the file is not clear even if nothing matches: part of it was not seen, or nothing could be compared."""
        return self.unseen or self.unscreenable

    @property
    def lumas(self) -> dict[FrameRef, NDArray[np.uint8]]:
        """The working luma of each picture of which it is at hand."""
        lumas = dict(self.frame_lumas)
        return lumas if self.working_luma is None else {self.frame: self.working_luma, **lumas}

    def digests(self) -> tuple[Fingerprint, ...]:
        """The exact digests, strongest first."""
        return (
            Fingerprint(FingerprintKind.SHA256, self.sha256),
            Fingerprint(FingerprintKind.SHA1, self.sha1),
            Fingerprint(FingerprintKind.MD5, self.md5),
        )


@dataclass(frozen=True, slots=True)
class Bank:
    """A named set of entries with one purpose, one source and one policy.

    `flood_accounts_per_hour` (0: off) and `flood_factor` say when the flood breaker quarantines an entry: `flood.py`.
    `view_set` and `keeps_keypoints` say what is kept of a picture that is added, beside its fingerprints.
    `follows_decisions` says whether new copies of what was decided follow that decision, or open a case again.
    """

    id: int
    name: str
    purpose: Purpose
    radius_bits: int
    verdict: Verdict
    state: BankState
    reason: str | None
    created_at: datetime
    updated_at: datetime
    flood_accounts_per_hour: int = DEFAULT_FLOOD_ACCOUNTS_PER_HOUR
    flood_factor: int = DEFAULT_FLOOD_FACTOR
    view_set: ViewSet = ViewSet.FULL
    keeps_keypoints: bool = False
    follows_decisions: bool = True


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who put an entry into a bank, from where and why."""

    source: str
    added_by: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One content to add to a bank: at least one fingerprint, at most one of a kind.

    Attributes:
        fingerprints: they say what the content is; an entry that has all of them holds it.
        label: what people call it.
        views: of its picture, which then has a width and a height; None when the bank keeps none, or no picture.
        vectors: likewise.
        keypoints: likewise, sealed (`sealing.py`).
        width_px: width as a viewer shows the picture.
        height_px: height, likewise.
    """

    fingerprints: tuple[Fingerprint, ...]
    label: str | None = None
    views: BankViews | None = field(default=None, repr=False, compare=False)
    vectors: Vectors | None = field(default=None, repr=False, compare=False)
    keypoints: bytes | None = field(default=None, repr=False, compare=False)
    width_px: int | None = None
    height_px: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One content in a bank.

    `view_count`, `has_vectors` and `has_keypoints` say what is kept of its picture; the data never leaves that way.
    """

    id: int
    bank_id: int
    bank: str
    state: EntryState
    state_reason: str | None
    label: str | None
    provenance: Provenance
    fingerprints: tuple[Fingerprint, ...]
    created_at: datetime
    updated_at: datetime
    view_count: int = 0
    has_vectors: bool = False
    has_keypoints: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened by itself and that a person should look at.

    Attributes:
        id: grows with time.
        created_at: when it happened.
        kind: what it is about.
        bank_id: the bank.
        bank: its name.
        entry_id: the entry.
        reason: what happened, for people.
        facts: the numbers behind it, for programs: those of `flood.FloodFacts`.
        resolved_at: when a person resumed, paused or withdrew the entry; None while nobody did.
        resolved_by: who did.
    """

    id: int
    created_at: datetime
    kind: NoticeKind
    bank_id: int
    bank: str
    entry_id: int
    reason: str
    facts: Mapping[str, int | str]
    resolved_at: datetime | None
    resolved_by: str | None


@dataclass(frozen=True, slots=True)
class ItemMeta:
    """What the platform says about an item. Everything is optional and nothing of it is fetched."""

    item_ref: str | None = None
    account_ref: str | None = None
    album_ref: str | None = None
    visibility: Visibility | None = None
    caption: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that an item copies, or may copy.

    Attributes:
        distance_bits: between the item's code and the entry's: those of the two views at `stage` views, else those of
            the whole pictures, near or not; 0 for exact digests.
        stage: what found it.
        view: what of the item was compared.
        entry_view: what of the banked picture it was compared with.
        entry_view_number: its number in the table of views (`fingerprints.view_table`), or of another picture of the
            banked file (`copies.FIRST_FRAME_VIEW`); 0 for the whole picture.
        similarity: of the two vectors, -1 to 1, when a descriptor network found it.
        evidence: what the check on local features said, when the entry has keypoints and was checked.
        frame_shares: of a film, how many of its frames show the banked file; None for a still.
        shows_whole_entry: at `stage` views, whether the item, or a view of it, is near the whole of the banked
            picture, though another view of both may be nearer. False when only parts of it were found, and in a
            crowd of entries that are nearer by their whole picture.
    """

    bank_id: int
    bank: str
    purpose: Purpose
    verdict: Verdict
    entry_id: int
    kind: FingerprintKind
    distance_bits: int
    transform: Transform
    stage: MatchStage = MatchStage.FINGERPRINT
    view: View = WHOLE_VIEW
    entry_view: View = WHOLE_VIEW
    similarity: float | None = None
    evidence: Evidence | None = None
    entry_view_number: int = 0
    frame_shares: FrameShares | None = None
    shows_whole_entry: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found for one item.

    Attributes:
        matches: the nearest matches of each bank, benign ones included: all that a verdict can depend on.
        match_count: how many entries lie within their bank's radius, those of benign banks not counted. Exact, and as
            large as `matches` or larger. An entry counts once, however many of its fingerprints match.
    """

    matches: tuple[Match, ...] = ()
    match_count: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `decisions.decide` made of one item.

    Attributes:
        finding: clear, matched or unscreenable.
        verdict: what the platform should do now.
        reason: a stable code: `matched_<purpose>`, `benign:<bank>/<entry_id>`, an `UnscreenableReason`, or None for
            plain clear.
        matches: the matches that count, strictest verdict and nearest first.
        suppressed: matches that a benign entry explains; kept so that a reviewer can see them. Of a bank with more
            matches than are listed, nearer ones that count come first.
        unlisted_count: how many more entries matched than are listed in `matches` and `suppressed`.
    """

    finding: Finding
    verdict: Verdict
    reason: str | None
    matches: tuple[Match, ...] = ()
    suppressed: tuple[Match, ...] = ()
    unlisted_count: int = 0

    @property
    def match_count(self) -> int:
        """How many entries matched, suppressed ones included, listed or not."""
        return len(self.matches) + len(self.suppressed) + self.unlisted_count

    @property
    def is_truncated(self) -> bool:
        """Whether more entries matched than are listed."""
        return self.unlisted_count > 0


@dataclass(frozen=True, slots=True)
class Screening:
    """One item through the gate, and its result, as recorded.

    Attributes:
        known_seq: the item was judged against the known entries as they were once this change of the log had been
            applied, or later. It tells the seen index which entries the item has not met; it is not kept here.
    """

    id: str
    created_at: datetime
    meta: ItemMeta
    fingerprints: Fingerprints
    outcome: Outcome
    elapsed_ms: float
    case_id: str | None = None
    known_seq: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SeenItem:
    """One screened item that is remembered: what the platform called it, and the fingerprints of its file.

    Attributes:
        id: grows with time.
        file_id: items with the same bytes share one seen file.
        cluster_id: files that show the same picture share one cluster.
    """

    id: int
    file_id: int
    cluster_id: int
    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    seen_at: datetime
    sha256: bytes
    sha1: bytes
    md5: bytes
    pdq: bytes | None
    quality_percent: int | None


@dataclass(frozen=True, slots=True)
class SeenCluster:
    """Copies of one picture among the seen items. `pdq` is its leader's; None when the file could not be compared."""

    id: int
    pdq: bytes | None
    item_count: int
    account_count: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class SeenStats:
    """How much is remembered, and how far behind it is.

    Attributes:
        item_count: items remembered.
        file_count: distinct files among them.
        cluster_count: distinct pictures among them.
        waiting_count: screenings that are recorded and not yet taken over.
        oldest_at: when the oldest remembered item was screened, or None.
        newest_at: likewise, the newest.
        asked_seq: the change of the log up to which the past has been asked.
        head_seq: the newest change of the log.
    """

    item_count: int
    file_count: int
    cluster_count: int
    waiting_count: int
    oldest_at: datetime | None
    newest_at: datetime | None
    asked_seq: int
    head_seq: int


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An `Idempotency-Key` as received: whose key, which word, and a digest of the request it came with."""

    api_key_id: str
    token: str
    request_sha256: bytes


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer key as stored: the secret itself is shown once, when it is made, and never kept."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def allows(self, scope: Scope) -> bool:
        """Whether this key may do what `scope` covers."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def is_storable(text: str) -> bool:
    """Whether both databases can keep a text: PostgreSQL takes no NUL, neither takes a lone surrogate."""
    has_surrogate = not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
    return "\0" not in text and not has_surrogate
