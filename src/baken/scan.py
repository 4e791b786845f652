"""Screening of a back catalogue: walk, fetch, fingerprint in worker processes, judge, record in batches, yield.

Nothing here grows with the number of files: folders are read in runs, and what is on its way is bounded. Where a scan
is, stands in the database, in the transactions that record it (`store/scans.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from baken.model import Fingerprints, ItemMeta, Screening, Unscreenable, UnscreenableReason
from baken.pipeline import Fingerprinted, Gate, judge_many
from baken.scan_pace import Pacer
from baken.scan_steps import Marks, Sources, Step, fetched, steps
from baken.scan_tally import Tally
from baken.scan_walk import FoundFile, SkippedPath, printable
from baken.store import Store
from baken.store.scans import Asked, Position, Scan, ScanBatch, ScanClaim, ScanState
from baken.videos import VideoLimits
from baken.workers import (
    DEFAULT_TIMEOUT_SECONDS,
    Failure,
    FileContent,
    FileFingerprinter,
    FileResult,
    FileSource,
    Isolation,
    in_order,
    released,
    without_picture,
)

BATCH_SCREENINGS = 512
BATCH_SECONDS = 1.0
"""Files are judged and recorded together: so many at most, and so long after the last ones."""

# Where pixels are kept until the check, fewer wait for their verdict.
_WITH_PIXELS = 16

# Why a file could not be compared may pass: the next run of the scan tries these again, although they are unchanged.
_PASSING_REASONS = {UnscreenableReason.UNREADABLE, UnscreenableReason.DECODER_FAILED}


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file and its recorded screening."""

    path: str
    screening: Screening


@dataclass(frozen=True, slots=True)
class _Taken:
    """A file that has its fingerprints and no verdict yet."""

    found: FoundFile
    step: Step
    result: FileResult


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How a scan runs.

    Attributes:
        processes: see `workers.in_order`.
        timeout_seconds: likewise.
        isolation: likewise.
        ref_prefix: stands before every `item_ref`.
        files_per_second: at most so many; 0 means as many as can be.
        bytes_per_second: likewise, by the files' sizes.
    """

    processes: int = 0
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    isolation: Isolation = field(default_factory=Isolation)
    ref_prefix: str = ""
    files_per_second: float = 0.0
    bytes_per_second: float = 0.0


_START = Position()


class Journal(Protocol):
    """Where a scan is recorded, and where it goes on."""

    @property
    def begins_after(self) -> Position:
        """The last file that is dealt with already."""
        ...

    @property
    def marks(self) -> Marks | None:
        """What an earlier run marked, whose files are passed if they are unchanged; None screens everything."""
        ...

    def record(self, batch: ScanBatch) -> None:
        """Keep a batch durably, all or nothing."""
        ...

    def finish(self) -> None:
        """Take note that nothing is left."""
        ...


class Remembered:
    """A scan whose position and marks are kept in the database."""

    def __init__(self, store: Store, claim: ScanClaim) -> None:
        self.begins_after = claim.scan.position
        self.marks = marks_before(store, claim.scan)
        self.record = claim.record
        self.finish = claim.finish


class Unremembered:
    """A scan of which only the screenings are kept, or, without a store, nothing."""

    def __init__(self, store: Store | None, begins_after: Position = _START, marks: Marks | None = None) -> None:
        self._store = store
        self.begins_after = begins_after
        self.marks = marks

    def record(self, batch: ScanBatch) -> None:
        """Keep the screenings."""
        if self._store is not None:
            self._store.record_many(batch.screenings)

    def finish(self) -> None:
        """Nothing to say."""


def marks_before(store: Store, scan: Scan) -> Marks | None:
    """What the run before this one marked, unless this one screens everything."""
    if scan.is_whole or scan.run == 1:
        return None
    return Marks(store.scans.marks(scan.id, scan.run - 1, scan.position))


def foreseen(store: Store, scan: Scan | None, asked: Asked) -> Unremembered:
    """Where the scan would begin that was asked for, and what it would pass; None is a new one. Nothing is kept."""
    if scan is None:
        return Unremembered(None)
    if scan.state is ScanState.UNFINISHED:
        return Unremembered(None, scan.position, marks_before(store, scan))
    marks = None if asked.is_whole else Marks(store.scans.marks(scan.id, scan.run, _START))
    return Unremembered(None, _START, marks)


class Scanner:
    """One run of a scan, or the rest of it.

    Attributes:
        tally: what the run has come to, with what was recorded before it was resumed.
        is_complete: whether nothing is left.
        done_count: how many files this process has dealt with.
    """

    def __init__(
        self,
        sources: Sources,
        gate: Gate,
        journal: Journal,
        options: ScanOptions,
        *,
        on_skip: Callable[[SkippedPath], None],
        should_stop: Callable[[], bool] = lambda: False,
        tally: Tally | None = None,
    ) -> None:
        """Load what is searched.

        Args:
            sources: files, folders and addresses.
            gate: known entries, policy and limits.
            journal: where it is recorded.
            options: see there.
            on_skip: told of every path that is no file to screen.
            should_stop: asked between files; once true, what is finished is still recorded and yielded.
            tally: what the run has come to before.

        Raises:
            NotReadyError: the database failed.
        """
        self.tally = tally or Tally()
        self.is_complete = False
        self.done_count = 0
        self._sources = sources
        self._gate = gate
        self._journal = journal
        self._options = options
        self._on_skip = on_skip
        self._should_stop = should_stop
        self._position = journal.begins_after
        self._taken: list[_Taken] = []
        self._batch: list[ScannedFile] = []
        self._marks: list[bytes] = []
        self._is_moved = False
        self._since = 0.0
        gate.load()  # before the first file, so that its `elapsed_ms` is its own

    def run(
        self, walked: Iterator[Step] | None = None, *, batch_files: int = BATCH_SCREENINGS
    ) -> Generator[ScannedFile, None, None]:
        """Screen the files and yield each once it is recorded, in the order of the walk.

        Args:
            walked: what to screen instead of everything that is left.
            batch_files: how many are recorded at once.

        Raises:
            NotReadyError: the database failed, no worker process starts, or an address cannot be read any more. What
                was yielded is recorded. A bad file raises nothing.
        """
        gate, options = self._gate, self._options
        pacer = Pacer(options.files_per_second, options.bytes_per_second)
        limit = gate.limits.max_size_bytes
        if walked is None:
            walked = steps(self._sources, self._journal.begins_after, self._journal.marks, limit, self._on_skip)
        job = ScanJob(gate.item_fingerprinter)
        most_taken = _WITH_PIXELS if job.fingerprint.asked.working_luma else batch_files
        results = in_order(
            job,
            fetched(walked, pacer, self._should_stop),
            load=self._handed,
            processes=options.processes,
            timeout_seconds=options.timeout_seconds,
            isolation=options.isolation,
            should_stop=self._should_stop,
        )
        self._since = asked = time.perf_counter()
        due = asked + BATCH_SECONDS
        for step, result in results:
            self._spend("waiting", time.perf_counter() - asked)
            self._take(step, result)
            if len(self._taken) >= most_taken:
                self._judge()
            if len(self._batch) >= batch_files or time.perf_counter() >= due:
                yield from self._recorded()
                due = time.perf_counter() + BATCH_SECONDS
            asked = time.perf_counter()
        yield from self._recorded()
        if self.is_complete:
            self._journal.finish()

    def remaining_count(self, should_stop: Callable[[], bool]) -> int | None:
        """Walk over what was left when this began and count the files; None when it was stopped.

        Raises:
            NotReadyError: an address cannot be listed.
        """
        count = 0
        for _, found in self._sources.walk(self._journal.begins_after):
            count += not isinstance(found, SkippedPath)
            if should_stop():
                return None
        return count

    def _handed(self, step: Step) -> FileContent | None:
        return step.handed(self._gate.limits.max_size_bytes)

    def _take(self, step: Step, result: FileResult | Failure | None) -> None:
        self._position = step.position
        self._is_moved = True
        self._marks += step.passed_marks
        self.tally.unchanged_count += len(step.passed_marks)
        self.tally.skips.update(step.skips)
        self.is_complete = self.is_complete or step.is_last
        self.done_count += len(step.passed_marks)
        if step.found is None:
            return
        self.done_count += 1
        if not isinstance(result, FileResult):
            result = FileResult(self._without_picture(step, result), 0.0)
        self._taken.append(_Taken(step.found, step, result))

    def _judge(self) -> None:
        """Judge what was taken, all together."""
        started = time.perf_counter()
        taken, self._taken = self._taken, []
        prefix = self._options.ref_prefix
        items = [
            Fingerprinted(
                each.result.fingerprints,
                ItemMeta(item_ref=printable(prefix + each.found.relative)),
                each.result.elapsed_ms / 1000.0,
            )
            for each in taken
        ]
        for each, screening in zip(taken, judge_many(items, self._gate), strict=True):
            self._note(each, screening)
        self._spend("searching", time.perf_counter() - started)

    def _note(self, taken: _Taken, screening: Screening) -> None:
        """Keep a screening for the record, and count it."""
        found, step, result = taken.found, taken.step, taken.result
        self._batch.append(ScannedFile(found.path, screening))
        why = result.fingerprints.unscreenable
        if step.mark and (why is None or why.reason not in _PASSING_REASONS):
            self._marks.append(step.mark)
        seconds, decoding_seconds = result.elapsed_ms / 1000.0, result.decoding_ms / 1000.0
        self.tally.add(screening, found.size_bytes or 0, seconds)
        self._spend("reading", step.read_seconds)
        self._spend("decoding", decoding_seconds)
        self._spend("fingerprinting", seconds - decoding_seconds)

    def _without_picture(self, step: Step, failure: Failure | None) -> Fingerprints:
        """What a file is recorded with that no worker got through.

        It is read again: its digests need no decoder, and an entry may have them.
        """
        nothing = Unscreenable(UnscreenableReason.UNREADABLE, "nothing was read")
        with released(step.handed(self._gate.limits.max_size_bytes)) as content:
            found = nothing if content is None else content
            return without_picture(found, failure or Failure("the decoding process gave no answer"))

    def _recorded(self) -> Iterator[ScannedFile]:
        if self._taken:
            self._judge()
        if self._is_moved:
            started = time.perf_counter()
            self.tally.elapsed_seconds += started - self._since
            self._since = started
            screenings = [scanned.screening for scanned in self._batch]
            self._journal.record(ScanBatch(screenings, self._position, b"".join(self._marks), self.tally.counts()))
            self._spend("recording", time.perf_counter() - started)
        batch, self._batch, self._marks, self._is_moved = self._batch, [], [], False
        yield from batch

    def _spend(self, stage: str, seconds: float) -> None:
        self.tally.stage_seconds[stage] += seconds


@dataclass(frozen=True, slots=True)
class ScanJob:
    """The job of a worker: the fingerprints of what it is handed, and nothing for a step without a file."""

    fingerprint: FileFingerprinter

    @property
    def reads(self) -> tuple[str, ...]:
        """Files that it opens."""
        return self.fingerprint.reads

    @property
    def videos(self) -> VideoLimits:
        """What a video may ask of this machine."""
        return self.fingerprint.videos

    def __call__(self, source: FileSource | None) -> FileResult | None:
        """Decode and fingerprint one file; one that cannot be read is unscreenable, not an error."""
        return None if source is None else self.fingerprint(source)
