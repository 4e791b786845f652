"""The flow of one item, top to bottom: bytes in, a recorded verdict out. Start reading Baken here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import BinaryIO, Protocol

from baken import decisions
from baken.candidates import CandidateChecker
from baken.checking import MAX_CHECKS
from baken.decisions import Policy
from baken.fingerprints import Asked
from baken.images import DecodeLimits
from baken.known import KnownFollower
from baken.matching import KnownEntries
from baken.model import (
    MAX_FRAMES,
    MAX_MATCHES,
    MIN_QUALITY_PERCENT,
    Fingerprints,
    Found,
    Idempotency,
    ItemMeta,
    Outcome,
    Screening,
)
from baken.vectors import ItemDescriber, VectorStage
from baken.videos import DEFAULT_VIDEO_LIMITS, VideoLimits
from baken.workers import Failure, FileFingerprinter, without_picture
from baken.workers_pool import Decoding, InProcess


class Recorder(Protocol):
    """Where screenings are kept; `Store` is one."""

    def record(self, screening: Screening, idempotency: Idempotency | None = None) -> Screening:
        """Keep a screening durably; return it, or the first one made under the same idempotency token."""
        ...


@dataclass(frozen=True, slots=True)
class Gate:
    """What a screening needs: the known entries, the policy, the limits and a clock. Built once in `assemble.py`.

    Attributes:
        known: the known entries.
        candidates: what checks candidates and says which part of a banked picture a view is; None does neither.
        vectors: the descriptor stage; None leaves it out.
        decoding: where files are decoded: in worker processes, or here when whoever calls trusts them.
        policy: the verdicts that the operator chose.
        limits: what a file may ask of this machine.
        min_quality_percent: below it a picture, or a view, is too plain to be compared.
        max_matches: how many matches a screening keeps.
        uses_views: whether the views of an item are searched beside the whole.
        uses_check: whether candidates are checked.
        max_frames: how many frames or pages of an item are looked at beside its first picture.
        videos: what a video may ask of this machine.
        now: the clock.
    """

    known: KnownFollower
    candidates: CandidateChecker | None = None
    vectors: VectorStage | None = None
    decoding: Decoding = field(default_factory=InProcess)
    policy: Policy = field(default_factory=Policy)
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    min_quality_percent: int = MIN_QUALITY_PERCENT
    max_matches: int = MAX_MATCHES
    uses_views: bool = True
    uses_check: bool = True
    max_frames: int = MAX_FRAMES
    videos: VideoLimits = DEFAULT_VIDEO_LIMITS
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def load(self) -> KnownEntries:
        """Load what is searched, so that the first item need not wait for it; return the known entries.

        Raises:
            NotReadyError: the database could not be read, or another process is still building an index.
            ModelFileError: the file of the descriptor network is not what it should be.
        """
        known = self.known.refresh()
        if self.vectors is not None:
            self.vectors.is_asked()
        return known

    def check_history(self) -> None:
        """Have the descriptor stage begin anew when the database was restored; the known entries have a guard."""
        if self.vectors is not None:
            self.vectors.check_history()

    @property
    def max_found(self) -> int:
        """How many matches of each bank a search keeps.

        A check may lessen the weight of some: more are taken, so that the weightiest of every bank is among them.
        """
        return max(self.max_matches, MAX_CHECKS + 1)

    @property
    def asked(self) -> Asked:
        """What is computed of an item: its pixels are kept for the check alone, and only while a bank allows any."""
        needs_luma = self._needs_pixels or self._needs_vectors
        return Asked(query_views=self.uses_views, working_luma=needs_luma, max_frames=self.max_frames)

    @property
    def item_fingerprinter(self) -> FileFingerprinter:
        """What computes an item's fingerprints within the limits, on the fast decoding path; it goes to workers."""
        return FileFingerprinter(
            self.limits,
            self.min_quality_percent,
            asked=self.asked,
            describe=self.item_describer,
            videos=self.videos,
        )

    @property
    def item_describer(self) -> ItemDescriber | None:
        """What makes an item's vectors; None while there is nothing to compare them with."""
        if self.vectors is None or not self._needs_vectors:
            return None
        return ItemDescriber(self.vectors.describer, self._needs_pixels)

    @property
    def _needs_pixels(self) -> bool:
        return self.uses_check and self.candidates is not None and bool(self.known.latest.keeping_banks)

    @property
    def _needs_vectors(self) -> bool:
        return self.vectors is not None and self.vectors.is_asked()

    def named(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The same outcomes, with the region of each banked view that matched."""
        return list(outcomes) if self.candidates is None else self.candidates.named(outcomes)


def screen(
    data: bytes | BinaryIO, meta: ItemMeta, gate: Gate, recorder: Recorder, *, idempotency: Idempotency | None = None
) -> Screening:
    """Screen one item and record the result.

    Args:
        data: the file's bytes, hostile or not, or a video that is open. They are not kept.
        meta: what the platform says about the item.
        gate: known entries, policy and limits.
        recorder: where the screening is kept before this function returns.
        idempotency: the request's idempotency token, if it came with one.

    Raises:
        NotReadyError: the known entries or the recorder could not be reached. A bad picture raises nothing.
        ConflictError: the idempotency token was used for another request.
    """
    return recorder.record(examine(data, meta, gate), idempotency)


def examine(data: bytes | BinaryIO, meta: ItemMeta, gate: Gate) -> Screening:
    """Everything of `screen` but the recording, for callers that record in their own way before they answer."""
    started = time.perf_counter()
    return judge(fingerprint(data, gate), meta, gate, started)


def fingerprint(data: bytes | BinaryIO, gate: Gate) -> Fingerprints:
    """Compute an item's fingerprints where the gate says; a file that no worker gets through keeps its digests.

    Raises:
        NotReadyError: no worker process starts.
    """
    result = gate.decoding.run(gate.item_fingerprinter, data)
    return without_picture(data, result) if isinstance(result, Failure) else result.fingerprints


def judge(computed: Fingerprints, meta: ItemMeta, gate: Gate, started: float) -> Screening:
    """Search, check candidates and decide; `started` is the `time.perf_counter()` at which the item's work began.

    The item's pixels and views end here.
    """
    known = gate.known.refresh()
    known_seq = known.seq  # read before the search: the entries may be newer than it says, never older
    return _judged(computed, meta, gate, _Search(known, known_seq, known.search(computed, gate.max_found)), started)


@dataclass(frozen=True, slots=True)
class Fingerprinted:
    """An item before it is judged, and the seconds that it took so far."""

    fingerprints: Fingerprints
    meta: ItemMeta
    seconds: float


def judge_many(items: Sequence[Fingerprinted], gate: Gate) -> list[Screening]:
    """`judge` for many items, all with what is known now; searching for all together costs a part of it.

    Raises:
        NotReadyError: as `judge` does.
    """
    began = time.perf_counter()
    known = gate.known.refresh()
    known_seq = known.seq
    found = known.search_many([each.fingerprints for each in items], gate.max_found)
    share_seconds = (time.perf_counter() - began) / max(1, len(items))
    screenings: list[Screening] = []
    for each, of_item in zip(items, found, strict=True):
        started = time.perf_counter() - each.seconds - share_seconds
        screenings.append(_judged(each.fingerprints, each.meta, gate, _Search(known, known_seq, of_item), started))
    return screenings


@dataclass(frozen=True, slots=True)
class _Search:
    """What was found for an item, where, and the change of the database's log that counted at least."""

    known: KnownEntries
    known_seq: int
    found: Found


def _judged(computed: Fingerprints, meta: ItemMeta, gate: Gate, search: _Search, started: float) -> Screening:
    """Everything of `judge` behind the search."""
    found = search.found
    if gate.vectors is not None:
        found = gate.vectors.added(found, computed, search.known)
    if gate.candidates is not None and (lumas := computed.lumas):
        found = gate.candidates.with_evidence(found, lumas, search.known.keeping_banks)
    if gate.vectors is not None:
        found = gate.vectors.settled(found)
    if gate.candidates is not None:
        found = gate.candidates.with_shares(found, computed)
    outcome = decisions.decide_found(computed.not_checked, found, gate.policy, gate.max_matches)
    [outcome] = gate.named([outcome])
    kept = replace(computed, query_views=None, vectors=None, working_luma=None, frame_lumas=())
    now = gate.now()
    elapsed_ms = (time.perf_counter() - started) * 1000.0
    return Screening(new_screening_id(now), now, meta, kept, outcome, elapsed_ms, known_seq=search.known_seq)


def new_screening_id(now: datetime) -> str:
    """A new id: `scr_`, 48 bits of milliseconds so that ids sort by time, and 56 random bits, in hexadecimal."""
    return f"scr_{int(now.timestamp() * 1000):012x}{os.urandom(7).hex()}"
