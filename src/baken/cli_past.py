"""The past on the command line: what was screened becomes part of it, and what changes a bank asks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from baken import cli_output as output
from baken.assemble import Baken
from baken.errors import NotReadyError


def take_over(baken: Baken, should_stop: Callable[[], bool]) -> None:
    """Remember what was screened, for its time, as a server does beside its requests."""
    try:
        if baken.keeper.has_work():
            baken.keeper.keep(should_stop)
    except NotReadyError as error:
        output.note(f"what was screened is recorded, and not remembered yet: {output.clean(error.message)}")
        output.note("hint: `baken serve`, or the next command that screens or adds to a bank, goes on with it.")


def tell_past(baken: Baken, bank_name: str, since: datetime) -> None:
    """Have the past asked about everything that counts now, and print which cases it led to since then."""
    if not baken.settings.seen_retention_days:
        return
    try:
        is_settled = baken.keeper.settle()
    except NotReadyError as error:
        output.note(f"what was seen before could not be asked yet: {output.clean(error.message)}")
        output.note("hint: it is asked by `baken serve`, or by the next command that screens or adds to a bank.")
        return
    if not is_settled:
        output.note("what was seen before is still being asked by another process; see `baken case list`.")
    for case, joined in baken.store.cases.joined_since(baken.store.bank(bank_name).id, since):
        items = "item" if joined == 1 else "items"
        output.console().print(f"{joined:,} {items} seen before match (case {case.id})", soft_wrap=True)
