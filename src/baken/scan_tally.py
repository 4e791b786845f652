"""What a scan has come to: counts, and where its time went. Kept with the scan, so that it goes on after a resume."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from baken.model import Finding, Screening

STAGES = ("reading", "decoding", "fingerprinting", "searching", "recording", "waiting")
"""What time is counted for: the first three in worker processes (or threads that fetch), the others in the main one."""

_SLOWEST = 5


@dataclass(slots=True)
class Tally:
    """The counts of one run of a scan.

    Attributes:
        findings: screened files by finding.
        reasons: files that could not be compared, by reason.
        skips: paths that were no file to screen, by reason.
        unchanged_count: files that were not screened because they are as an earlier run recorded them.
        size_bytes: of the screened files.
        stage_seconds: by stage, added up over all processes and threads.
        formats: by format, how many files and how many seconds of a worker.
        slowest: the files that took a worker longest: seconds and reference.
        elapsed_seconds: by the clock, over all processes that ran the scan one after the other.
    """

    findings: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)
    unchanged_count: int = 0
    size_bytes: int = 0
    stage_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    formats: dict[str, list[float]] = field(default_factory=dict)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    elapsed_seconds: float = 0.0

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> Tally:
        """What `counts` gave."""
        if not counts:
            return cls()
        counters = {name: Counter(counts[name]) for name in ("findings", "reasons", "skips")}
        return cls(
            **counters,
            unchanged_count=counts["unchanged_count"],
            size_bytes=counts["size_bytes"],
            stage_seconds=dict(counts["stage_seconds"]),
            formats={name: list(each) for name, each in counts["formats"].items()},
            slowest=[(seconds, ref) for seconds, ref in counts["slowest"]],
            elapsed_seconds=counts["elapsed_seconds"],
        )

    @property
    def screened_count(self) -> int:
        """How many files were screened."""
        return self.findings.total()

    @property
    def passed_count(self) -> int:
        """How many files are dealt with."""
        return self.screened_count + self.unchanged_count

    def add(self, screening: Screening, size_bytes: int, seconds: float) -> None:
        """Count a screened file of this size, which took a worker so long."""
        self.findings[screening.outcome.finding.value] += 1
        self.size_bytes += size_bytes
        unscreenable = screening.fingerprints.unscreenable
        if unscreenable is not None:
            self.reasons[unscreenable.reason.value] += 1
        taken = self.formats.setdefault(screening.fingerprints.format or "none", [0, 0.0])
        taken[0] += 1
        taken[1] += seconds
        if len(self.slowest) < _SLOWEST or seconds > self.slowest[-1][0]:
            self.slowest = heapq.nlargest(_SLOWEST, [*self.slowest, (seconds, screening.meta.item_ref or "")])

    def counts(self) -> dict[str, Any]:
        """Everything, as JSON keeps it."""
        return {
            "findings": {finding.value: self.findings[finding.value] for finding in Finding},
            "reasons": dict(self.reasons),
            "skips": dict(self.skips),
            "unchanged_count": self.unchanged_count,
            "size_bytes": self.size_bytes,
            "stage_seconds": {stage: round(self.stage_seconds[stage], 3) for stage in STAGES},
            "formats": {name: [int(count), round(seconds, 3)] for name, (count, seconds) in self.formats.items()},
            "slowest": [[round(seconds, 3), ref] for seconds, ref in self.slowest],
            "elapsed_seconds": round(self.elapsed_seconds, 3),
        }
