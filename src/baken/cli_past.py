"""What `baken bank add`, `import` and `resume` say of the past: what was seen before and matches now."""

from __future__ import annotations

from datetime import datetime

from baken import cli_output as output
from baken.assemble import Baken
from baken.errors import NotReadyError


def tell_past(baken: Baken, bank_name: str, since: datetime) -> None:
    """Have the past asked about everything that counts now, and print which cases it led to since then."""
    if not baken.settings.seen_retention_days:
        return
    try:
        is_settled = baken.keeper.settle()
    except NotReadyError as error:
        output.note(f"what was seen before could not be asked yet: {output.clean(error.message)}")
        output.note("hint: it is asked by `baken serve`, or by the next command that adds to a bank.")
        return
    if not is_settled:
        output.note("what was seen before is still being asked by another process; see `baken case list`.")
    for case, joined in baken.store.cases.joined_since(baken.store.bank(bank_name).id, since):
        items = "item" if joined == 1 else "items"
        output.console().print(f"{joined:,} {items} seen before match (case {case.id})", soft_wrap=True)
