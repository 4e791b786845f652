"""`baken action …`: what the platform is to do because of decisions, and that it is done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.case_keeping import finish_actions
from baken.cli_common import AsJson, DataDir, actor, load_settings
from baken.store.case_actions import ActionFilter

app = typer.Typer(no_args_is_help=True, help="List what decisions ask the platform to do, and say what is done.")

_PAGE = 1_000


@app.command(name="list")
def list_actions(
    context: typer.Context,
    *,
    state: Annotated[
        ActionFilter,
        typer.Option("--state", help="due: to be done now; pending: also those that can still be undone."),
    ] = ActionFilter.DUE,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_PAGE, help="How many at most.")] = 50,
    after_id: Annotated[int, typer.Option("--after-id", min=0, help="Show the actions after this one.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List actions, oldest first; by default those that are to be done now."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        page = baken.store.case_actions.page(state, datetime.now(UTC), after_id=after_id, limit=limit)
    if as_json:
        output.print_json([output.action_json(given) for given in page])
        return
    rows: list[list[output.Cell]] = [
        [
            given.action.id,
            given.action.kind.value,
            given.item_ref,
            given.account_ref,
            given.action.case_id,
            given.decision,
            output.when(given.action.due_at),
            None if given.action.done_at is None else output.when(given.action.done_at),
        ]
        for given in page
    ]
    output.print_table(("action", "what", "item_ref", "account_ref", "case", "decision", "due", "done"), rows)


@app.command()
def done(
    context: typer.Context,
    action_ids: Annotated[list[int], typer.Argument(metavar="ACTION_ID…", help="As `baken action list` shows them.")],
    *,
    data_dir: DataDir = None,
) -> None:
    """Say that actions are done, which is final: all of them or, when one cannot be, none."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        finish_actions(baken.store, action_ids, actor=actor(), now=datetime.now(UTC))
    output.console().print("1 action is final" if len(action_ids) == 1 else f"{len(action_ids):,} actions are final")
