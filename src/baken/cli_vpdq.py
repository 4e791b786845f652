"""`baken vpdq`: a video as the list of hashes that the field exchanges."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.cli_common import EXIT_FAILURE, DataDir, load_settings
from baken.errors import InvalidValueError
from baken.films import VpdqMaker
from baken.model import Unscreenable, UnscreenableReason
from baken.scan_walk import printable
from baken.vpdq import VpdqForm, to_json, to_text
from baken.workers_kinds import video_workers
from baken.workers_pool import Failure

_MAX_SECONDS = 24 * 3600.0

Video = Annotated[Path, typer.Argument(metavar="FILE", help="The video.", show_default=False)]
Form = Annotated[
    VpdqForm,
    typer.Option("--form", help="text: `frame,quality,hash,seconds` lines; json: what python-threatexchange reads."),
]
SecondsPerFrame = Annotated[
    float, typer.Option("--seconds-per-frame", min=0.0, max=3600.0, help="How far apart frames are; 0 takes them all.")
]


def vpdq(
    context: typer.Context,
    file: Video,
    *,
    form: Form = VpdqForm.TEXT,
    seconds_per_frame: SecondsPerFrame = 1.0,
    data_dir: DataDir = None,
) -> None:
    """Print the vPDQ of a video: the PDQ of one frame a second, as Meta's vPDQ makes and reads it.

    Every frame is decoded as viewers see it, so that this takes several times as long as a screening. Exit status 1
    when there is no video, or a part of it could not be looked at; stderr says which.
    """
    settings = load_settings(context, data_dir)
    limits = replace(
        assemble.video_limits(settings), max_processor_seconds=_MAX_SECONDS, max_elapsed_seconds=_MAX_SECONDS
    )
    try:
        with file.open("rb") as stream, video_workers(1, limits, is_required=settings.require_confinement) as workers:
            made = workers.run(VpdqMaker(limits, seconds_per_frame), stream)
    except OSError as error:
        message = f"the file {printable(str(file))!r} cannot be read: {error.strerror}"
        raise InvalidValueError(message, hint="Name a video that you may read.") from error
    if isinstance(made, Failure):
        made = Unscreenable(UnscreenableReason.DECODER_FAILED, made.detail)
    if isinstance(made, Unscreenable):
        output.note(f"{made.reason.value}: {output.clean(made.detail)}")
        raise typer.Exit(EXIT_FAILURE)
    frames, unseen = made
    lines = [to_json(frames)] if form is VpdqForm.JSON else to_text(frames)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if unseen is not None:
        output.note(output.clean(unseen))
        raise typer.Exit(EXIT_FAILURE)
