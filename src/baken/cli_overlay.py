"""`baken overlay`: a drawing of a match for the person who reviews it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from baken import assemble, candidates
from baken import cli_output as output
from baken.cli_common import DataDir, load_settings
from baken.errors import InvalidValueError
from baken.view_words import match_words

ScreeningId = Annotated[str, typer.Argument(metavar="SCREENING", help="The screening's id, scr_…", show_default=False)]
Number = Annotated[int, typer.Option("--match", min=0, help="Which match, from 0 in the screening's order.")]
Output = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write the drawing there instead of to stdout.")
]


def overlay(
    context: typer.Context,
    screening_id: ScreeningId,
    *,
    number: Number = 0,
    file: Output = None,
    data_dir: DataDir = None,
) -> None:
    """Draw one match of a screening as SVG: which part of the item shows which part of the banked picture.

    Both pictures are drawn as empty frames, for neither is kept.
    """
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        screening = baken.store.screening(screening_id)
        drawing = candidates.overlay(baken.store.kept, screening, number)
    if file is None:
        sys.stdout.write(drawing + "\n")
        return
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        message = f"the drawing cannot be written to {str(file)!r}: {error.strerror}"
        raise InvalidValueError(message, hint="Name a file in a folder that you may write.") from error
    output.console().print(f"{file}: {match_words(screening.outcome.matches[number])}", soft_wrap=True)
