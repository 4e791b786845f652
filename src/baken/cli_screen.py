"""`baken screen` and `baken fingerprint`: files and folders through the gate, or only measured."""

from __future__ import annotations

import secrets
import sys
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from baken import assemble
from baken import cli_scan_output as output
from baken.assemble import Baken
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
from baken.cli_scan_progress import ScanProgress
from baken.copies import MAX_BANKED_FRAMES
from baken.errors import NotReadyError, UsageError
from baken.fingerprints import Asked as ComputedAsked
from baken.images import DecodeLimits
from baken.model import Finding, Fingerprints, Screening
from baken.scan import Remembered, Scanner, ScanOptions, foreseen
from baken.scan_steps import Sources
from baken.scan_survey import survey
from baken.scan_tally import Tally
from baken.scan_walk import SkippedPath, SkipReason, check_roots, printable
from baken.scan_walk import files as walked_files
from baken.store.scans import Asked, Scan, ScanState
from baken.view_words import match_words
from baken.workers import DEFAULT_TIMEOUT_SECONDS, Failure, FileFingerprinter, in_order, released, without_picture

MAX_ROWS = 50
"""How many files the table at the end shows; all of them are counted, and recorded."""

_COLUMNS = ("file", "finding", "verdict", "reason", "bank", "distance", "transform", "found by", "what")

Addresses = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Files, folders, s3://BUCKET/PREFIX or sftp://USER@HOST/PATH."),
]
RefPrefix = Annotated[
    str | None,
    typer.Option("--ref-prefix", metavar="TEXT", help="Put before each file's path to make its `item_ref`."),
]
ScanName = Annotated[
    str | None,
    typer.Option(
        "--scan",
        metavar="NAME",
        help="Keep under this name what was screened. An unfinished scan of this name is gone on with; of a finished "
        "one, files that are as they were are passed. PATH may be left out then.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the scan that is unfinished; with --scan if there are several.")
]
Everything = Annotated[bool, typer.Option("--all", help="Screen unchanged files of a named scan again as well.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Count what would be screened and estimate the time from a sample; record nothing."),
]
JsonSummary = Annotated[
    bool, typer.Option("--json-summary", help="Print nothing for each file, and the summary at the end as JSON.")
]
Rate = Annotated[float, typer.Option("--rate", min=0, help="Screen at most so many files a second; 0: no limit.")]
RateBytes = Annotated[
    float, typer.Option("--rate-bytes", min=0, help="Read at most so many bytes a second; 0: no limit.")
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
class _Shown:
    """What this process prints of a scan; the rows to show are few, the counts complete."""

    prints_files: bool
    is_for_people: bool
    rows: list[list[output.Cell]] = field(default_factory=list)
    hidden_count: int = 0
    matched_count: int = 0
    skips: Counter[SkipReason] = field(default_factory=Counter)

    def add(self, path: str, screening: Screening) -> None:
        finding = screening.outcome.finding
        self.matched_count += finding is Finding.MATCHED
        if self.prints_files:
            output.print_json_line(output.screening_json(path, screening))
        elif finding is not Finding.CLEAR and len(self.rows) < MAX_ROWS:
            self.rows.append(_row(path, screening))
        elif finding is not Finding.CLEAR:
            self.hidden_count += 1

    def skip(self, skipped: SkippedPath) -> None:
        self.skips[skipped.reason] += 1
        if self.skips.total() <= MAX_ROWS:
            _note_skip(skipped)

    def print(self, scanner: Scanner, scan: Scan) -> None:
        document = output.scan_json(replace(scan, counts=scanner.tally.counts()))
        if not self.is_for_people:
            if not self.prints_files:
                output.print_json(document)
            for line in output.scan_lines(scanner.tally):
                output.note(line)
            return
        if self.rows:
            output.print_table(_COLUMNS, self.rows)
        lines = [f"and {self.hidden_count:,} more; `--json` prints every file"] if self.hidden_count else []
        for line in [*lines, *output.scan_lines(scanner.tally)]:
            output.console().print(line, soft_wrap=True)

    def exit_code(self, stopper: Stopper) -> int:
        if stopper():
            return stopper.exit_code
        if self.matched_count:
            return EXIT_MATCHED
        return EXIT_FAILURE if self.skips[SkipReason.UNREADABLE_FOLDER] else 0


def _row(path: str, screening: Screening) -> list[output.Cell]:
    outcome = screening.outcome
    shown: list[output.Cell] = [printable(path), outcome.finding, outcome.verdict, outcome.reason]
    if not outcome.matches:
        return [*shown, None, None, None, None, None]
    match = outcome.matches[0]
    distance = match.kind.value if match.kind.is_exact else f"{match.distance_bits} bits"
    return [*shown, match.bank, distance, match.transform.value, match.stage.value, match_words(match)]


def screen(
    context: typer.Context,
    paths: Addresses = None,
    *,
    as_json: AsJson = False,
    json_summary: JsonSummary = False,
    scan: ScanName = None,
    resume: Resume = False,
    everything: Everything = False,
    dry_run: DryRun = False,
    ref_prefix: RefPrefix = None,
    rate: Rate = 0.0,
    rate_bytes: RateBytes = 0.0,
    processes: Processes = 0,
    timeout_seconds: Timeout = DEFAULT_TIMEOUT_SECONDS,
    data_dir: DataDir = None,
) -> None:
    """Screen files, folders, s3:// and sftp:// addresses against the banks, and record every result.

    How far it is stands in the database: after Ctrl-C, a kill or a power cut `--resume` goes on, and no file is lost or
    screened twice. With `--scan NAME` the next run screens only what is new or changed since the last one.

    With --json every file is one JSON object on a line of stdout, in the order of the walk. Exit status: 0 nothing
    matched, 10 something matched, 1 failure (also a folder that could not be listed), 2 wrong use, 130 after Ctrl-C.
    """
    settings = load_settings(context, data_dir)
    with assemble.open_existing(settings) as baken, stopping() as stopper:
        asked = _asked(baken, paths or [], scan, ref_prefix, is_resumed=resume, is_whole=everything)
        options = ScanOptions(
            processes, timeout_seconds, assemble.isolation_of(settings), ref_prefix or "", rate, rate_bytes
        )
        if dry_run:
            _survey(baken, asked, options, stopper, as_json=as_json or json_summary)
            raise typer.Exit(stopper.exit_code if stopper() else 0)
        shown = _Shown(as_json, is_for_people=not (as_json or json_summary))
        _screen(baken, asked, options, shown, stopper)
        take_over(baken, stopper)
    raise typer.Exit(shown.exit_code(stopper))


def _asked(
    baken: Baken, paths: list[str], name: str | None, ref_prefix: str | None, *, is_resumed: bool, is_whole: bool
) -> Asked:
    """Which scan is meant by what was typed."""
    if is_resumed and (paths or is_whole):
        message = "--resume goes on with a scan as it was begun, so it takes neither paths nor --all"
        raise UsageError(message, hint="`baken screen --resume`, with --scan NAME if several are unfinished.")
    if is_resumed and name is None:
        name = _only_unfinished(baken)
    if name is None and not paths:
        raise UsageError("nothing was named to screen", hint="Name files, folders or addresses, or --scan or --resume.")
    is_named = name is not None
    if name is None:
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return Asked(name, tuple(paths), ref_prefix, is_named=is_named, is_whole=is_whole, is_resumed=is_resumed)


def _only_unfinished(baken: Baken) -> str:
    names = [each.name for each in baken.store.scans.list() if each.state is ScanState.UNFINISHED]
    if len(names) != 1:
        message = f"{len(names) or 'no'} scans are unfinished, --resume alone goes on with one"
        hint = f"Add --scan and a name: {', '.join(names[:5])}." if names else "`baken scan list` shows the scans."
        raise UsageError(message, hint=hint)
    return names[0]


def _screen(baken: Baken, asked: Asked, options: ScanOptions, shown: _Shown, stopper: Stopper) -> None:
    sources = Sources(asked.roots or baken.store.scans.one(asked.name).roots)  # reached before anything is written
    claim = baken.store.scans.claim(asked)
    try:
        options = replace(options, ref_prefix=claim.scan.ref_prefix)
        scanner = Scanner(
            sources,
            baken.gate,
            Remembered(baken.store, claim),
            options,
            on_skip=shown.skip,
            should_stop=stopper,
            tally=Tally.of(claim.scan.counts),
        )
        try:
            with ScanProgress(scanner, stopper), closing(scanner.run()) as files:
                for scanned in files:
                    shown.add(scanned.path, scanned.screening)
        finally:
            shown.print(scanner, claim.scan)
            if not scanner.is_complete:
                output.note(f"not finished; go on with: baken screen --resume --scan {claim.scan.name}")
    finally:
        with suppress(NotReadyError):  # it ends by itself with this process
            claim.let_go()


def _survey(baken: Baken, asked: Asked, options: ScanOptions, stopper: Stopper, *, as_json: bool) -> None:
    found = next((each for each in baken.store.scans.list() if each.name == asked.name), None)
    if found is None and not asked.roots:
        found = baken.store.scans.one(asked.name)
    sources = Sources(asked.roots or (found.roots if found else ()))
    journal = foreseen(baken.store, found, asked)
    with output.progress("counting") as bar:
        counted = survey(
            sources,
            baken.gate,
            journal,
            options,
            should_stop=stopper,
            on_progress=lambda count: output.advance(bar, count),
        )
    if as_json:
        output.print_json(output.survey_json(counted))
    else:
        output.print_survey(counted)


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
    wanted = ComputedAsked(max_frames=MAX_BANKED_FRAMES)  # a banked animation is led by the first rich one of these
    videos = assemble.video_limits(settings)
    job = FileFingerprinter(limits, settings.min_quality_percent, exact=True, asked=wanted, videos=videos)
    check_roots(paths)
    with stopping() as stopper:
        files = (found.path for found in walked_files(paths, _note_skip))
        isolation = assemble.isolation_of(settings)
        results = in_order(job, files, load=job.read, processes=processes, isolation=isolation, should_stop=stopper)
        for path, result in results:
            if isinstance(result, Failure):
                with released(job.read(path)) as content:
                    computed = without_picture(content, result)
            else:
                computed = result.fingerprints
            if as_json:
                output.print_json_line(_fingerprints_json(path, computed))
            else:
                _print_fingerprints(path, computed)
    if stopper():
        raise typer.Exit(stopper.exit_code)


def _note_skip(skipped: SkippedPath) -> None:
    path = output.clean(printable(skipped.path))
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
    lines = [f"# {output.clean(printable(path))}"]
    if computed.unscreenable is not None:
        lines.append(
            f"# unscreenable: {computed.unscreenable.reason.value} ({output.clean(computed.unscreenable.detail)})"
        )
    elif computed.pdq is not None:
        lines.append(f"# quality_percent {computed.quality_percent}")
        lines.append(f"pdq {computed.pdq.hex()}")
    lines += [f"{digest.kind.value} {digest.value.hex()}" for digest in computed.digests() if digest.value]
    sys.stdout.write("\n".join(lines) + "\n")
