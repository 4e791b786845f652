"""`baken scan …`: the scans there are, how far they are, and forgetting them. `baken screen` runs them."""

from __future__ import annotations

from typing import Annotated

import typer

from baken import assemble
from baken import cli_scan_output as output
from baken.cli_common import AsJson, DataDir, confirm, load_settings
from baken.scan_tally import Tally
from baken.scan_walk import printable
from baken.store.scans import ScanState

app = typer.Typer(no_args_is_help=True, help="See and forget scans of back catalogues; `baken screen` runs them.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The scan's name.", show_default=False)]


@app.command("list")
def list_scans(context: typer.Context, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the scans, the one that recorded last first."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        scans = baken.store.scans.list()
    if as_json:
        output.print_json([output.scan_json(scan) for scan in scans])
        return
    rows: list[list[output.Cell]] = []
    for scan in scans:
        tally = Tally.of(scan.counts)
        counts = [f"{tally.screened_count:,}", f"{tally.unchanged_count:,}"]
        roots = " ".join(printable(root) for root in scan.roots)
        rows.append([scan.name, scan.state.value, scan.run, *counts, output.when(scan.updated_at), roots])
    output.print_table(("scan", "state", "run", "screened", "unchanged", "last recorded", "paths"), rows)


@app.command()
def show(context: typer.Context, name: Name, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show how far a scan is and what it has come to."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        scan = baken.store.scans.one(name)
    document = output.scan_json(scan)
    if as_json:
        output.print_json(document)
        return
    heads = ("name", "state", "run", "ref_prefix", "started_at", "updated_at")
    rows: list[list[output.Cell]] = [[head, str(document[head])] for head in heads]
    rows += [["path", printable(root)] for root in scan.roots]
    output.print_table(("scan", ""), rows)
    for line in output.scan_lines(Tally.of(scan.counts)):
        output.console().print(line, soft_wrap=True)


@app.command()
def forget(
    context: typer.Context,
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Forget how far a scan is and which files it knows. Its screenings stay: they are records."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        scan = baken.store.scans.one(name)
        is_left = " It is unfinished." if scan.state is ScanState.UNFINISHED else ""
        confirm(f"Forget the scan {scan.name}?{is_left}", yes=yes)
        baken.store.scans.forget(name)
    output.console().print(f"{output.clean(name)} forgotten")
