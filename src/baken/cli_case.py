"""`baken case …`: what is to be reviewed, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.cases import Case, CaseEvent, CaseItem
from baken.cli_common import AsJson, DataDir, load_settings

app = typer.Typer(no_args_is_help=True, help="Read cases: one picture, or one entry, with all its items.")

_PAGE = 1_000
_ITEM_COLUMNS = ("item", "item_ref", "account_ref", "seen", "match")

CaseId = Annotated[str, typer.Argument(metavar="CASE_ID", help="The case.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", min=1, max=_PAGE, help="How many at most.")]


@app.command(name="list")
def list_cases(
    context: typer.Context,
    *,
    limit: Limit = 50,
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
    columns = ("case", "purpose", "state", "awaits", "decision", "items", "accounts", "opened")
    output.print_table(columns, [_case_row(case) for case in cases])


def _case_row(case: Case) -> list[output.Cell]:
    counts = [f"{case.item_count:,}", f"{case.account_count:,}"]
    words = [case.state_at(datetime.now(UTC)).value, case.awaits and case.awaits.value, case.decision]
    return [case.id, case.purpose.value, *words, *counts, output.when(case.opened_at)]


@app.command()
def show(
    context: typer.Context,
    case_id: CaseId,
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
        "state": case.state_at(datetime.now(UTC)).value,
        **_standing(case),
        "items": f"{case.item_count:,}",
        "accounts": f"{case.account_count:,}",
        "entries": ", ".join(f"{bank}/{entry_id}" for bank, entry_id in case.entries),
        "opened": output.when(case.opened_at),
        "changed": output.when(case.updated_at),
    }
    output.print_table(("case", case.id), [[key, value] for key, value in about.items()])
    if page:
        output.print_table(_ITEM_COLUMNS, [_item_row(item) for item in page])


def _standing(case: Case) -> dict[str, output.Cell]:
    """What is waited for, or was decided, as far as there is something to say."""
    said: dict[str, output.Cell | None] = {
        "awaits": case.awaits,
        "escalated": "yes" if case.is_escalated else None,
        "held until": None if case.hold_until is None else output.when(case.hold_until),
        "decision": case.decision,
        "category": case.category,
        "decided": None if case.decided_at is None else f"{output.when(case.decided_at)} by {case.decided_by}",
    }
    return {name: value for name, value in said.items() if value is not None}


@app.command()
def items(
    context: typer.Context,
    case_id: CaseId,
    *,
    limit: Limit = 50,
    after_id: Annotated[int, typer.Option("--after-id", min=0, help="Show the items after this one.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the items of a case, in the order in which they joined it."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        page = baken.store.cases.items(case_id, after_id=after_id, limit=limit)
    if as_json:
        output.print_json([output.case_item_json(item) for item in page])
        return
    output.print_table(_ITEM_COLUMNS, [_item_row(item) for item in page])


@app.command()
def events(
    context: typer.Context,
    case_id: CaseId,
    *,
    limit: Limit = 50,
    after_seq: Annotated[int, typer.Option("--after-seq", min=0, help="Show the events after this one.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List what happened to a case, in order."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        page = baken.store.case_events.events(case_id, after_seq=after_seq, limit=limit)
    if as_json:
        output.print_json([output.case_event_json(event) for event in page])
        return
    rows: list[list[output.Cell]] = [
        [event.seq, output.when(event.at), event.kind.value, event.actor, _facts(event)] for event in page
    ]
    output.print_table(("event", "when", "what", "who", "facts"), rows)


def _facts(event: CaseEvent) -> str:
    return ", ".join(f"{name} {value}" for name, value in event.facts.items() if value is not None)


def _item_row(item: CaseItem) -> list[output.Cell]:
    nearest = min(item.matches, key=lambda match: (match.distance_bits, match.entry_id))
    match = f"{nearest.bank}/{nearest.entry_id}, {nearest.distance_bits} bits, {nearest.transform.value}"
    return [item.id, item.item_ref, item.account_ref, output.when(item.seen_at), match]
