"""`baken init`, `serve`, `check` and `versions`: what an operator does."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version
from typing import Annotated

import numpy as np
import PIL
import typer
from PIL import features
from rich.text import Text

import baken
from baken import assemble, checks
from baken import cli_output as output
from baken._native import instruction_path, instruction_paths
from baken.checks import CheckFinding, Level
from baken.cli_common import EXIT_FAILURE, AsJson, DataDir, load_settings
from baken.errors import SettingError

_LEVEL_STYLES = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.INFO: "cyan"}


def init(context: typer.Context, *, data_dir: DataDir = None) -> None:
    """Make the data folder with its database, or bring an older database up to date. Safe to repeat."""
    settings = load_settings(context, data_dir)
    assemble.initialise(settings).close()
    where = output.clean(str(settings.data_dir))
    output.console().print(
        f"ready: {where}\nnext: baken --data-dir {where} bank create NAME --purpose …", soft_wrap=True
    )


def serve(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="The setting host.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="The setting port; 0: a free one.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=256, help="The setting workers.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM."""
    from baken.web import app  # noqa: PLC0415 - a web server takes 0.3 s to load, which no other command needs

    app.serve(load_settings(context, data_dir, host=host, port=port, workers=workers))


def check(context: typer.Context, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Look for what is not as it should be: settings, data folder, database, banks, keys, index, disk, processor.

    Exit status 1 when a finding is an error.
    """
    try:
        findings = checks.run(load_settings(context, data_dir), os.environ)
    except SettingError as error:
        findings = [checks.setting_finding(error)]
    if as_json:
        output.print_json([_finding_json(finding) for finding in findings])
    else:
        _print_findings(findings)
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(EXIT_FAILURE)


def _finding_json(finding: CheckFinding) -> dict[str, object]:
    return {"id": finding.id, "level": finding.level, "message": finding.message, "hint": finding.hint}


def _print_findings(findings: list[CheckFinding]) -> None:
    console = output.console()
    for finding in findings:
        head = Text(f"{finding.id} {finding.level.value}", style=_LEVEL_STYLES[finding.level])
        console.print(head + Text(f": {output.clean(finding.message)}"), soft_wrap=True)
        console.print(f"  {output.clean(finding.hint)}", soft_wrap=True)
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    console.print(f"{counts[Level.ERROR]} errors, {counts[Level.WARNING]} warnings")


def versions(*, as_json: AsJson = False) -> None:
    """Print the versions that matter, and the active instruction path."""
    found = {
        "baken": baken.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "sqlalchemy": version("sqlalchemy"),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "libjpeg_turbo": features.version("libjpeg_turbo") or "none",
        "instruction_path": instruction_path(),
        "instruction_paths": " ".join(instruction_paths()),
    }
    if as_json:
        output.print_json(found)
        return
    for name, value in found.items():
        output.console().print(f"{name} {value}", soft_wrap=True)
