"""What every command shares: the data folder option, the settings, who is asking, and stopping on Ctrl-C."""

from __future__ import annotations

import getpass
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, TextIO

import typer

from baken import settings as settings_table
from baken.errors import ConflictError, UsageError
from baken.settings import Settings

EXIT_MATCHED = 10
EXIT_FAILURE = 1
EXIT_USAGE = 2
_SIGNALLED = 128  # what a shell reports for a process ended by a signal: 128 and its number

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="The folder that holds everything; also before the command, or as BAKEN_DATA_DIR.",
        show_default=False,
        readable=False,  # not checked here: `baken check` and the store say what is wrong with it
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
OptionalReason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
Roots = Annotated[list[str], typer.Argument(metavar="PATH", help="Files and folders.", show_default=False)]
Processes = Annotated[
    int, typer.Option("--processes", min=0, max=1024, help="Worker processes; 0 means one for each core.")
]


def load_settings(context: typer.Context, data_dir: Path | None, **overrides: str | int | None) -> Settings:
    """The settings, with the data folder as named after the command, before it, or in the environment.

    Raises:
        SettingError: a setting is wrong.
    """
    return settings_table.load(None, data_dir=data_dir or context.obj, **overrides)


def actor() -> str:
    """Who is asking, for the record: `cli:` and the operating system's user name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run under a number that has no name
        return f"cli:uid-{os.getuid()}"


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone, unless `yes`.

    Raises:
        UsageError: nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        message = "this is for good, and nobody can be asked because stdin is no terminal"
        raise UsageError(message, hint="Say --yes if you are sure; nothing was changed.")
    typer.confirm(question, abort=True)


@contextmanager
def new_file(file: Path) -> Iterator[TextIO]:
    """Write a file that was not there, readable for its owner only; it appears when it is whole.

    Raises:
        ConflictError: there is a file of that name.
        UsageError: it cannot be written.
    """
    if file.exists():
        message = f"the file {str(file)!r} exists already"
        raise ConflictError(message, hint="Remove it or choose another name; lists are not overwritten.")
    partial = file.with_name(f".{file.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        message = f"the file {str(file)!r} cannot be written: {error.strerror}"
        raise UsageError(message, hint="Name a file in a folder that you may write to.") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            yield stream
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)


class Stopper:
    """Whether Ctrl-C or a request to end has come, so that a long command stops between two files."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return _SIGNALLED + (self.signal_number or 0)


@contextmanager
def stopping() -> Iterator[Stopper]:
    """Turn the first Ctrl-C (or SIGTERM) into a flag; a second one interrupts at once."""
    stopper = Stopper()

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        if stopper.signal_number is not None:
            raise KeyboardInterrupt
        stopper.signal_number = number

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopper
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
