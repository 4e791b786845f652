"""`baken entry …`: single entries of a bank resumed, paused and withdrawn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.cli_common import DataDir, OptionalReason, Reason, actor, load_settings
from baken.cli_past import tell_past
from baken.model import EntryState
from baken.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Resume, pause and withdraw single entries of a bank.")

BankName = Annotated[str, typer.Argument(metavar="BANK", help="The bank's name.", show_default=False)]
EntryIds = Annotated[
    list[int],
    typer.Argument(metavar="ENTRY_ID", help="As `baken bank show` and notices name them.", show_default=False),
]


@app.command()
def resume(
    context: typer.Context,
    bank: BankName,
    entry_ids: EntryIds,
    *,
    reason: OptionalReason = None,
    data_dir: DataDir = None,
) -> None:
    """Let paused or quarantined entries match again, from the next request on.

    Resuming a quarantined entry resolves its notice and tells the flood breaker that what came until now was right.
    """
    _change(load_settings(context, data_dir), bank, entry_ids, EntryState.ACTIVE, reason)


@app.command()
def pause(
    context: typer.Context, bank: BankName, entry_ids: EntryIds, *, reason: Reason, data_dir: DataDir = None
) -> None:
    """Let entries match nothing until they are resumed."""
    _change(load_settings(context, data_dir), bank, entry_ids, EntryState.PAUSED, reason)


@app.command()
def withdraw(
    context: typer.Context, bank: BankName, entry_ids: EntryIds, *, reason: Reason, data_dir: DataDir = None
) -> None:
    """Withdraw entries, for good: they match nothing any more, and stay on record."""
    _change(load_settings(context, data_dir), bank, entry_ids, EntryState.WITHDRAWN, reason)


def _change(settings: Settings, bank: str, entry_ids: list[int], state: EntryState, reason: str | None) -> None:
    started_at = datetime.now(UTC)
    with assemble.open_existing(settings) as baken:
        count = baken.store.set_entry_states(bank, entry_ids, state, actor=actor(), reason=reason)
        unchanged = len(set(entry_ids)) - count
        rest = f"; {unchanged:,} already were" if unchanged else ""
        output.console().print(f"{count:,} entries of bank {output.clean(bank)} are {state.value} now{rest}")
        if state is EntryState.ACTIVE:
            tell_past(baken, bank, started_at)
