"""`baken case …`: what is to be reviewed, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.cases import Case, CaseItem
from baken.cli_common import AsJson, DataDir, load_settings

app = typer.Typer(no_args_is_help=True, help="Read cases: one picture, or one entry, with all its items.")

_PAGE = 1_000


@app.command(name="list")
def list_cases(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_PAGE, help="How many at most.")] = 50,
    before_id: Annotated[
        str | None, typer.Option("--before-id", metavar="CASE_ID", help="Show the cases older than this one.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List cases, newest first."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        cases = baken.store.cases.cases(before_id=before_id, limit=limit)
    if as_json:
        output.print_json([output.case_json(case) for case in cases])
        return
    output.print_table(("case", "purpose", "state", "items", "accounts", "opened"), [_case_row(case) for case in cases])


def _case_row(case: Case) -> list[output.Cell]:
    counts = [f"{case.item_count:,}", f"{case.account_count:,}"]
    return [case.id, case.purpose.value, case.state.value, *counts, output.when(case.opened_at)]


@app.command()
def show(
    context: typer.Context,
    case_id: Annotated[str, typer.Argument(metavar="CASE_ID", help="The case.", show_default=False)],
    *,
    items: Annotated[int, typer.Option("--items", min=1, max=_PAGE, help="How many items to show.")] = 20,
    after_id: Annotated[int, typer.Option("--after-id", min=0, help="Show the items after this one.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show one case and some of its items."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        case = baken.store.cases.case(case_id)
        page = baken.store.cases.items(case_id, after_id=after_id, limit=items)
    if as_json:
        output.print_json({**output.case_json(case), "items": [output.case_item_json(item) for item in page]})
        return
    about = {
        "purpose": case.purpose.value,
        "state": case.state.value,
        "items": f"{case.item_count:,}",
        "accounts": f"{case.account_count:,}",
        "entries": ", ".join(f"{bank}/{entry_id}" for bank, entry_id in case.entries),
        "opened": output.when(case.opened_at),
        "changed": output.when(case.updated_at),
    }
    output.print_table(("case", case.id), [[key, value] for key, value in about.items()])
    if page:
        output.print_table(("item", "item_ref", "account_ref", "seen", "match"), [_item_row(item) for item in page])


def _item_row(item: CaseItem) -> list[output.Cell]:
    nearest = min(item.matches, key=lambda match: (match.distance_bits, match.entry_id))
    match = f"{nearest.bank}/{nearest.entry_id}, {nearest.distance_bits} bits, {nearest.transform.value}"
    return [item.id, item.item_ref, item.account_ref, output.when(item.seen_at), match]
