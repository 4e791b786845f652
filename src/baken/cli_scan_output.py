"""Scans in words and in JSON; whatever else a command prints comes from `cli_output`."""

from __future__ import annotations

from baken.cli_output import (
    Cell,
    advance,
    clean,
    console,
    fingerprints_json,
    note,
    print_json,
    print_json_line,
    print_table,
    progress,
    screening_json,
    when,
)
from baken.model import Finding
from baken.scan_pace import duration
from baken.scan_survey import Survey
from baken.scan_tally import STAGES, Tally
from baken.scan_walk import printable
from baken.store.scans import Scan

__all__ = [
    "Cell",
    "advance",
    "clean",
    "console",
    "fingerprints_json",
    "note",
    "print_json",
    "print_json_line",
    "print_survey",
    "print_table",
    "progress",
    "scan_json",
    "scan_lines",
    "screening_json",
    "survey_json",
    "when",
]

_LONG_SECONDS = 10.0
_MEGABYTE = 1_000_000
_MILLISECONDS = 1_000.0


def scan_json(scan: Scan) -> dict[str, object]:
    """A scan, with what its run has come to."""
    tally = Tally.of(scan.counts)
    counts = tally.counts()
    return {
        "name": scan.name,
        "state": scan.state,
        "run": scan.run,
        "roots": [printable(root) for root in scan.roots],
        "ref_prefix": scan.ref_prefix,
        "screens_unchanged": scan.is_whole or scan.run == 1,
        "started_at": scan.started_at.isoformat(),
        "updated_at": scan.updated_at.isoformat(),
        "screened_count": tally.screened_count,
        "files_per_second": round(tally.screened_count / tally.elapsed_seconds, 3) if tally.elapsed_seconds else None,
        **counts,
    }


def scan_lines(tally: Tally) -> list[str]:
    """What a scan has come to, in a few lines; the first says it all."""
    elapsed = max(tally.elapsed_seconds, 1e-9)
    counts = ", ".join(f"{tally.findings[finding.value]:,} {finding.value}" for finding in Finding)
    passed = f", {tally.unchanged_count:,} unchanged" if tally.unchanged_count else ""
    skipped = "".join(f", {count:,} skipped ({reason})" for reason, count in tally.skips.items())
    rate = f"{tally.screened_count / elapsed:,.1f} files/s"
    head = f"{tally.screened_count:,} files in {tally.elapsed_seconds:.1f} s ({rate}): {counts}{passed}{skipped}"
    if tally.elapsed_seconds < _LONG_SECONDS:
        return [head]
    return [line for line in (*_reason_lines(tally), *_time_lines(tally), head) if line]


def _reason_lines(tally: Tally) -> list[str]:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.reasons.most_common())
    return [f"unscreenable: {reasons}"] if reasons else []


def _time_lines(tally: Tally) -> list[str]:
    files = max(tally.screened_count, 1)
    stages = ", ".join(f"{stage} {tally.stage_seconds[stage] / files * _MILLISECONDS:.2f}" for stage in STAGES)
    by_cost = sorted(tally.formats.items(), key=lambda each: -each[1][1])[:3]
    formats = ", ".join(
        f"{name} {seconds / count * _MILLISECONDS:.1f} ({count:,.0f})" for name, (count, seconds) in by_cost
    )
    slowest = ", ".join(f"{clean(ref)} {seconds:.2f} s" for seconds, ref in tally.slowest[:3])
    size = f"{tally.size_bytes / _MEGABYTE:,.0f} MB, {tally.size_bytes / _MEGABYTE / tally.elapsed_seconds:,.1f} MB/s"
    return [
        f"milliseconds a file: {stages}",
        f"milliseconds a file of a worker, by format: {formats}",
        f"slowest: {slowest}",
        f"read: {size}",
    ]


def survey_json(found: Survey) -> dict[str, object]:
    """What a dry run counted and estimates."""
    return {
        "file_count": found.file_count,
        "size_bytes": found.size_bytes,
        "unchanged_count": found.unchanged_count,
        "skips": dict(found.skips),
        "extensions": {name: {"files": files, "size_bytes": size} for name, (files, size) in found.extensions.items()},
        "sample_count": found.sample_count,
        "files_per_second": None if found.files_per_second is None else round(found.files_per_second, 1),
        "estimated_seconds": None if found.estimated_seconds is None else round(found.estimated_seconds, 1),
    }


def print_survey(found: Survey) -> None:
    """The same for people."""
    by_count = sorted(found.extensions.items(), key=lambda each: -each[1][0])
    rows: list[list[Cell]] = [[name, f"{count:,}", f"{size / _MEGABYTE:,.1f}"] for name, (count, size) in by_count]
    if rows:
        print_table(("extension", "files", "MB"), rows)
    skipped = "".join(f", {count:,} skipped ({reason})" for reason, count in found.skips.items())
    passed = f", {found.unchanged_count:,} unchanged" if found.unchanged_count else ""
    size = f"{found.size_bytes / _MEGABYTE:,.1f} MB"
    lines = [f"{found.file_count:,} files to screen ({size}){passed}{skipped}; nothing was recorded"]
    if found.files_per_second is not None:
        rate = f"{found.sample_count:,} of them were screened at {found.files_per_second:,.1f} files/s"
        lines.append(f"about {duration(found.estimated_seconds)}: {rate}")
    for line in lines:
        console().print(line, soft_wrap=True)
