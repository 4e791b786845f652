"""The command line: what commands there are, and the one place that turns errors into messages and exit statuses.

Exit statuses: 0 nothing matched (or simply done), 10 something matched, 2 wrong use, 1 failure, 130 after Ctrl-C.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer

from baken import (
    cli_action,
    cli_audit,
    cli_bank,
    cli_case,
    cli_entry,
    cli_index,
    cli_jurisdiction,
    cli_key,
    cli_notice,
    cli_operate,
    cli_overlay,
    cli_scan,
    cli_screen,
    cli_seen,
    cli_user,
    cli_vault,
    cli_vpdq,
)
from baken import cli_output as output
from baken.cli_common import EXIT_FAILURE, EXIT_USAGE, DataDir
from baken.errors import BakenError, UsageError

app = typer.Typer(
    name="baken",
    help="Screen images against banks of known fingerprints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(cli_operate.init)
app.add_typer(cli_bank.app, name="bank")
app.add_typer(cli_entry.app, name="entry")
app.add_typer(cli_notice.app, name="notice")
app.command()(cli_screen.screen)
app.add_typer(cli_scan.app, name="scan")
app.command()(cli_screen.fingerprint)
app.command()(cli_vpdq.vpdq)
app.command()(cli_overlay.overlay)
app.add_typer(cli_case.app, name="case")
app.add_typer(cli_action.app, name="action")
app.add_typer(cli_seen.app, name="seen")
app.add_typer(cli_key.app, name="key")
app.add_typer(cli_user.app, name="user")
app.add_typer(cli_audit.app, name="audit")
app.add_typer(cli_vault.app, name="vault")
app.add_typer(cli_jurisdiction.app, name="jurisdiction")
app.add_typer(cli_index.app, name="index")
app.command()(cli_operate.serve)
app.command()(cli_operate.check)
app.command()(cli_operate.versions)


@app.callback()
def remember_data_dir(context: typer.Context, *, data_dir: DataDir = None) -> None:
    """Screen images against banks of known fingerprints."""
    folder: Path | None = data_dir
    context.obj = folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of `baken` and return its exit status."""
    return run(app, arguments, "baken")


def run(application: typer.Typer, arguments: Sequence[str] | None, name: str) -> int:
    """Run a command line, explain what goes wrong on stderr, and return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show ends no run
    try:
        application(args=None if arguments is None else list(arguments), prog_name=name)
    except SystemExit as ended:  # how the command ended, wrong options included
        return ended.code if isinstance(ended.code, int) else EXIT_FAILURE
    except UsageError as error:
        return _explain(error, EXIT_USAGE)
    except BakenError as error:
        return _explain(error, EXIT_FAILURE)
    except Exception as error:  # noqa: BLE001 - the command's edge: a fault of ours must not look like a result
        traceback.print_exc()
        output.note(f"error: this is a fault in Baken: {type(error).__name__}: {output.clean(str(error))}")
        output.note("hint: report it with the lines above and what `baken versions` prints.")
        return EXIT_FAILURE
    return 0


def _explain(error: BakenError, exit_code: int) -> int:
    output.note(f"error: {output.clean(error.message)}")
    output.note(f"hint: {output.clean(error.hint)}")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
