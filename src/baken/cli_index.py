"""`baken index …`: what an operator asks of the index of the known entries."""

from __future__ import annotations

from dataclasses import asdict

import typer

from baken import assemble, known_inspection
from baken import cli_output as output
from baken.cli_common import EXIT_FAILURE, AsJson, DataDir, load_settings
from baken.known_inspection import IndexReport, IndexState

index_app = typer.Typer(help="Look into the index of the known entries.", no_args_is_help=True)


def verify(context: typer.Context, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Read the whole index on disk and check every checksum; a damaged one is built again from the database at once.

    Servers may run meanwhile. Exit status 1 when the index was damaged or cannot be used.
    """
    settings = load_settings(context, data_dir)
    with assemble.open_existing(settings) as baken:
        report = known_inspection.verify(settings.data_dir / assemble.INDEX_FOLDER, baken.store)
    if as_json:
        output.print_json(asdict(report))
    else:
        output.console().print(_text_of(report), soft_wrap=True)
    if report.state in {IndexState.DAMAGED, IndexState.UNUSABLE}:
        raise typer.Exit(EXIT_FAILURE)


index_app.command("verify")(verify)


def _text_of(report: IndexReport) -> str:
    detail = output.clean(report.detail)
    match report.state:
        case IndexState.DAMAGED if report.is_rebuilt:
            return f"damaged: {detail}\nit was built again from the database; look for what is wrong with the disk"
        case IndexState.DAMAGED:
            return f"damaged: {detail}\nnext: run this as a user who may write the index"
        case IndexState.UNUSABLE:
            return f"unusable: {detail}\nnext: each process keeps the known entries in memory until this is mended"
        case IndexState.MISSING | IndexState.OTHER_HISTORY:
            return f"nothing to verify: {detail}\nnext: the next search builds the index from the database"
        case _:
            sound = f"sound: {report.codes:,} codes in {report.size_bytes:,} bytes"
            return f"{sound}\n{detail}" if detail else sound
