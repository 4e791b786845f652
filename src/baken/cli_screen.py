"""`baken screen` and `baken fingerprint`: files and folders through the gate, or only measured."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Annotated

import typer

from baken import assemble, scan
from baken import cli_output as output
from baken.cli_common import (
    EXIT_FAILURE,
    EXIT_MATCHED,
    AsJson,
    DataDir,
    Processes,
    Roots,
    Stopper,
    load_settings,
    stopping,
)
from baken.cli_past import take_over
from baken.copies import MAX_BANKED_FRAMES
from baken.fingerprints import Asked
from baken.images import DecodeLimits
from baken.model import Finding, Fingerprints, Screening
from baken.scan import ScanOptions, SkippedPath, SkipReason
from baken.view_words import match_words
from baken.workers import DEFAULT_TIMEOUT_SECONDS, Failure, FileFingerprinter, in_order, without_picture

MAX_ROWS = 50
"""How many files the table at the end shows; all of them are counted, and recorded."""

_COLUMNS = ("file", "finding", "verdict", "reason", "bank", "distance", "transform", "found by", "what")

RefPrefix = Annotated[
    str, typer.Option("--ref-prefix", metavar="TEXT", help="Put before each file's path to make its `item_ref`.")
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout-seconds",
        min=0.1,
        max=3600,
        help="Give a file up after this long; it becomes unscreenable (decoder_failed).",
    ),
]


@dataclass(slots=True)
class _Tally:
    """What a scan has come to so far; the rows to show are few, the counts complete."""

    as_json: bool
    findings: Counter[Finding] = field(default_factory=Counter)
    skips: Counter[SkipReason] = field(default_factory=Counter)
    rows: list[list[output.Cell]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def files(self) -> int:
        return self.findings.total()

    def add(self, path: str, screening: Screening) -> None:
        finding = screening.outcome.finding
        self.findings[finding] += 1
        if self.as_json:
            output.print_json_line(output.screening_json(path, screening))
        elif finding is not Finding.CLEAR and len(self.rows) < MAX_ROWS:
            self.rows.append(_row(path, screening))

    def skip(self, skipped: SkippedPath) -> None:
        self.skips[skipped.reason] += 1
        if self.skips.total() <= MAX_ROWS:
            _note_skip(skipped)

    def print(self) -> None:
        if self.rows:
            output.print_table(_COLUMNS, self.rows)
        hidden = self.files - self.findings[Finding.CLEAR] - len(self.rows)
        lines = [self._summary()]
        if hidden and not self.as_json:
            lines.insert(0, f"and {hidden:,} more; `--json` prints every file")
        for line in lines:
            if self.as_json:
                output.note(line)
            else:
                output.console().print(line, soft_wrap=True)

    def _summary(self) -> str:
        elapsed_seconds = time.monotonic() - self.started
        rate = self.files / max(elapsed_seconds, 1e-9)
        counts = ", ".join(f"{self.findings[finding]:,} {finding.value}" for finding in Finding)
        skipped = "".join(f", {count:,} skipped ({reason.value})" for reason, count in self.skips.items())
        return f"{self.files:,} files in {elapsed_seconds:.1f} s ({rate:,.1f} files/s): {counts}{skipped}"

    def exit_code(self, stopper: Stopper) -> int:
        if stopper():
            return stopper.exit_code
        if self.findings[Finding.MATCHED]:
            return EXIT_MATCHED
        return EXIT_FAILURE if self.skips[SkipReason.UNREADABLE_FOLDER] else 0


def _row(path: str, screening: Screening) -> list[output.Cell]:
    outcome = screening.outcome
    shown: list[output.Cell] = [scan.printable(path), outcome.finding, outcome.verdict, outcome.reason]
    if not outcome.matches:
        return [*shown, None, None, None, None, None]
    match = outcome.matches[0]
    distance = match.kind.value if match.kind.is_exact else f"{match.distance_bits} bits"
    return [*shown, match.bank, distance, match.transform.value, match.stage.value, match_words(match)]


def screen(
    context: typer.Context,
    paths: Roots,
    *,
    as_json: AsJson = False,
    ref_prefix: RefPrefix = "",
    processes: Processes = 0,
    timeout_seconds: Timeout = DEFAULT_TIMEOUT_SECONDS,
    data_dir: DataDir = None,
) -> None:
    """Screen files and folders against the banks, and record every result.

    With --json every file is one JSON object on a line of stdout, in the order of the walk. Exit status: 0 nothing
    matched, 10 something matched, 1 failure (also a folder that could not be listed), 2 wrong use, 130 after Ctrl-C.
    """
    settings = load_settings(context, data_dir)
    options = ScanOptions(processes, timeout_seconds, assemble.isolation_of(settings), ref_prefix)
    tally = _Tally(as_json)
    with assemble.open_existing(settings) as baken, stopping() as stopper:
        scan.check_roots(paths)
        try:
            with output.progress("screening") as bar:
                files = scan.screen_files(
                    paths, baken.gate, baken.store, options, on_skip=tally.skip, should_stop=stopper
                )
                with closing(files):
                    for scanned in files:
                        tally.add(scanned.path, scanned.screening)
                        output.advance(bar, tally.files, f"screening, {tally.findings[Finding.MATCHED]:,} matched")
        finally:
            tally.print()
        take_over(baken, stopper)
    raise typer.Exit(tally.exit_code(stopper))


def fingerprint(
    context: typer.Context,
    paths: Roots,
    *,
    as_json: AsJson = False,
    processes: Processes = 0,
    data_dir: DataDir = None,
) -> None:
    """Print the fingerprints of files and folders, decoded exactly as entries of banks are; record nothing.

    With --json every file is one JSON object on a line.
    """
    settings = load_settings(context, data_dir)
    limits = DecodeLimits(max_size_bytes=settings.max_upload_size_bytes, max_pixels=settings.max_pixels)
    asked = Asked(max_frames=MAX_BANKED_FRAMES)  # a banked animation is led by the first of these that is rich enough
    job = FileFingerprinter(limits, settings.min_quality_percent, exact=True, asked=asked)
    scan.check_roots(paths)
    with stopping() as stopper:
        files = (found.path for found in scan.files(paths, _note_skip))
        isolation = assemble.isolation_of(settings)
        results = in_order(job, files, load=job.read, processes=processes, isolation=isolation, should_stop=stopper)
        for path, result in results:
            computed = without_picture(job.read(path), result) if isinstance(result, Failure) else result.fingerprints
            if as_json:
                output.print_json_line(_fingerprints_json(path, computed))
            else:
                _print_fingerprints(path, computed)
    if stopper():
        raise typer.Exit(stopper.exit_code)


def _note_skip(skipped: SkippedPath) -> None:
    path = output.clean(scan.printable(skipped.path))
    output.note(f"skipped {path}: {skipped.reason.value} ({skipped.detail})")


def _fingerprints_json(path: str, computed: Fingerprints) -> dict[str, object]:
    why = computed.unscreenable
    return {
        "path": path,
        **output.fingerprints_json(computed),
        "format": computed.format,
        "width_px": computed.width_px,
        "height_px": computed.height_px,
        "unscreenable": None if why is None else {"reason": why.reason, "detail": why.detail},
    }


def _print_fingerprints(path: str, computed: Fingerprints) -> None:
    """One block for each file, in the `kind value` lines that `baken bank import` reads."""
    lines = [f"# {output.clean(scan.printable(path))}"]
    if computed.unscreenable is not None:
        lines.append(
            f"# unscreenable: {computed.unscreenable.reason.value} ({output.clean(computed.unscreenable.detail)})"
        )
    elif computed.pdq is not None:
        lines.append(f"# quality_percent {computed.quality_percent}")
        lines.append(f"pdq {computed.pdq.hex()}")
    lines += [f"{digest.kind.value} {digest.value.hex()}" for digest in computed.digests() if digest.value]
    sys.stdout.write("\n".join(lines) + "\n")
