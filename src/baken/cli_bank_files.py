"""`baken bank add`, `import` and `export`: pictures and lists into a bank, and a list out of it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from baken import assemble, banking
from baken import cli_output as output
from baken.banking import AddSummary, ImportSummary, ListSource
from baken.cli_common import EXIT_FAILURE, DataDir, Roots, actor, load_settings, new_file, stopping
from baken.cli_past import tell_past
from baken.copies import ViewSet
from baken.errors import InvalidValueError
from baken.images import DecodeLimits
from baken.listfiles import ListFormat
from baken.model import FingerprintKind, Provenance
from baken.scan_walk import printable
from baken.workers import FileFingerprinter

Name = Annotated[str, typer.Argument(metavar="NAME", help="The bank's name.", show_default=False)]
Source = Annotated[str, typer.Option("--source", metavar="TEXT", help="Where the entries come from, for the record.")]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why they are added, for the record.")]
Views = Annotated[
    ViewSet | None,
    typer.Option("--views", help="Which views of these pictures to keep; the bank's view set if not given."),
]
ListFile = Annotated[Path, typer.Argument(metavar="FILE", help="The list, plain or gzipped.", show_default=False)]
InFormat = Annotated[
    ListFormat | None,
    typer.Option("--format", help="csv, `kind value` lines, or bare hex; told from the first line unless given."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="WHAT=NAME",
        help="For csv, what stands in which column, `pdq=hash` for example; repeat it. "
        "WHAT is pdq, sha256, sha1, md5, quality_percent, label, or kind and value together.",
    ),
]
BareKind = Annotated[
    FingerprintKind | None,
    typer.Option("--kind", help="The kind of bare hex values; told from their length unless given (64 digits: pdq)."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Read the whole list first, and add nothing if one line is bad.")
]
ListSourceName = Annotated[
    str | None,
    typer.Option("--source", metavar="TEXT", help="Where the list comes from; its file name if not given."),
]


def add(
    context: typer.Context,
    name: Name,
    paths: Roots,
    *,
    source: Source = "files",
    note: Note = None,
    views: Views = None,
    data_dir: DataDir = None,
) -> None:
    """Fingerprint pictures exactly and add an entry for each: pdq, sha256, sha1, md5, labelled with the file's name.

    The bank says what else is kept of a picture: views, vectors (with the extra `deep`), sealed keypoints.

    Pictures that are too flat or cannot be decoded are added by their digests alone, and the summary says which. Empty
    and unreadable files are left out, and so are files that the bank holds already; one whose entry lacks what the bank
    keeps completes it.
    """
    settings = load_settings(context, data_dir)
    limits = DecodeLimits(max_size_bytes=settings.max_upload_size_bytes, max_pixels=settings.max_pixels)
    with (
        assemble.open_existing(settings) as baken,
        stopping() as stopper,
        output.progress(f"adding to {output.clean(name)}") as bar,
    ):
        started_at = datetime.now(UTC)
        summary = banking.add_files(
            baken.store,
            baken.gate.known,
            name,
            paths,
            Provenance(source, actor(), note),
            actor=actor(),
            fingerprinter=FileFingerprinter(limits, settings.min_quality_percent, videos=baken.gate.videos),
            keeping=baken.keeping,
            view_set=views,
            isolation=assemble.isolation_of(settings),
            on_progress=lambda done: output.advance(bar, done),
            should_stop=stopper,
        )
        bar.stop()
        _print_added(name, summary)
        tell_past(baken, name, started_at)
    if stopper():
        raise typer.Exit(stopper.exit_code)


def _print_added(name: str, summary: AddSummary) -> None:
    for path, why in summary.shown:
        output.note(f"{output.clean(printable(path))}: {output.clean(why)}")
    hidden = summary.digests_only.total() + summary.left_out.total() - len(summary.shown)
    if hidden:
        output.note(f"and {hidden:,} more")
    counts = [f"{summary.added:,} entries added to {name}"]
    if summary.completed:
        counts.append(f"{summary.completed:,} that were there completed")
    if summary.held_count:
        counts.append(f"{summary.held_count:,} were there already")
    counts += [f"{count:,} of them by digests only ({reason})" for reason, count in summary.digests_only.items()]
    counts += [f"{count:,} left out ({reason})" for reason, count in summary.left_out.items()]
    output.console().print(", ".join(counts), soft_wrap=True)


def import_list(
    context: typer.Context,
    name: Name,
    file: ListFile,
    *,
    list_format: InFormat = None,
    column: Columns = None,
    kind: BareKind = None,
    strict: Strict = False,
    source: ListSourceName = None,
    note: Note = None,
    data_dir: DataDir = None,
) -> None:
    """Add every fingerprint of a list; bad lines are counted and shown with their number, and the others are added.

    What the bank holds already, active, paused or quarantined, is not added again: an import that was interrupted is
    finished by starting it again. Exit status 1 when a line was bad.
    """
    provenance = Provenance(source or printable(file.name), actor(), note)
    with (
        assemble.open_existing(load_settings(context, data_dir)) as baken,
        stopping() as stopper,
        output.import_progress(f"importing into {output.clean(name)}") as bar,
    ):
        started_at = datetime.now(UTC)
        summary = banking.import_list(
            baken.store,
            baken.gate.known,
            name,
            ListSource(file, list_format, kind, _column_map(column or []), strict),
            provenance,
            actor=actor(),
            on_progress=lambda done: output.advance_import(bar, done),
            should_stop=stopper,
        )
        bar.stop()
        _print_imported(name, summary)
        tell_past(baken, name, started_at)
    if stopper():
        raise typer.Exit(stopper.exit_code)
    if summary.bad_line_count:
        raise typer.Exit(EXIT_FAILURE)


def _column_map(options: list[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for option in options:
        what, separator, column = option.partition("=")
        if not separator or not what.strip() or not column.strip() or what.strip() in columns:
            message = f"the option --column is {option!r}, expected WHAT=NAME, each WHAT once"
            raise InvalidValueError(message, hint="For example `--column pdq=hash --column md5=md5`.")
        columns[what.strip()] = column.strip()
    return columns


def _print_imported(name: str, summary: ImportSummary) -> None:
    for line in summary.bad_lines:
        output.note(f"line {line.number}: {output.clean(line.text)!r}: {output.clean(line.why)}")
    if summary.bad_line_count > len(summary.bad_lines):
        output.note(f"and {summary.bad_line_count - len(summary.bad_lines):,} more bad lines")
    layout = summary.layout
    read_as = f"bare {layout.kind.value} values" if layout.format is ListFormat.HEX else layout.format.value
    if layout.columns:
        read_as += f" with the columns {', '.join(target for target, _ in layout.columns)}"
    if layout.ignored:
        read_as += f" (not read: {', '.join(output.clean(column) for column in layout.ignored)})"
    held = f", {summary.held_count:,} were there already" if summary.held_count else ""
    output.console().print(
        f"{summary.added:,} entries added to {name}{held}, {summary.bad_line_count:,} bad lines; read as {read_as}",
        soft_wrap=True,
    )


def export(
    context: typer.Context,
    name: Name,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="A new file, readable for you only; stdout if not given."),
    ] = None,
    list_format: Annotated[
        ListFormat, typer.Option("--format", help="csv keeps an entry's fingerprints together; lines has one a line.")
    ] = ListFormat.CSV,
    yes_own_photo: Annotated[
        bool,
        typer.Option("--yes-own-photo", help="Allow it for an own_photo bank: you may hand these fingerprints on."),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Write the active entries of a bank as a list that `baken bank import` reads. Treat it as secret."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        write = partial(
            banking.export_entries,
            baken.store,
            name,
            list_format=list_format,
            own_photo_allowed=yes_own_photo,
            actor=actor(),
        )
        if file is None:
            write(output=sys.stdout)
            return
        with new_file(file) as stream:
            count = write(output=stream)
    output.note(f"{count:,} entries of {name} written to {output.clean(str(file))}")
