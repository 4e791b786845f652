"""`baken case …`: what is to be reviewed, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.cases import Awaits, Case, CaseEvent, CaseItem, CaseState
from baken.cases_query import CaseSort, QueueQuery, read_time
from baken.cli_common import AsJson, DataDir, load_settings
from baken.model import Purpose
from baken.priorities import Weights
from baken.queues import PlaceChange, QueueRow
from baken.store.queues import QueueKey

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
        str | None, typer.Option("--before-id", metavar="CASE_ID", help="Show those behind this one in the order.")
    ] = None,
    state: Annotated[list[CaseState] | None, typer.Option("--state", help="In this state; may be repeated.")] = None,
    purpose: Annotated[list[Purpose] | None, typer.Option("--purpose", help="Of it; may be repeated.")] = None,
    bank: Annotated[str | None, typer.Option("--bank", metavar="NAME", help="With a match of this bank.")] = None,
    awaits: Annotated[Awaits | None, typer.Option("--awaits", help="That wait for this decision.")] = None,
    min_items: Annotated[int | None, typer.Option("--min-items", min=1, help="With so many items at least.")] = None,
    opened_after: Annotated[
        str | None, typer.Option("--opened-after", metavar="TIME", help="Opened at or after this date or time.")
    ] = None,
    opened_before: Annotated[
        str | None, typer.Option("--opened-before", metavar="TIME", help="Opened before this date or time.")
    ] = None,
    escalated: Annotated[bool, typer.Option("--escalated", help="Only those that somebody escalated.")] = False,
    sort: Annotated[
        CaseSort, typer.Option("--sort", help="The order; `decided` goes with --state decided alone.")
    ] = CaseSort.NEWEST,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List cases that meet everything that is given, newest first unless another order is asked for."""
    query = QueueQuery(
        states=tuple(state or CaseState),
        purposes=tuple(purpose or ()),
        bank=bank,
        awaits=awaits,
        min_items=min_items,
        opened_after=None if opened_after is None else read_time("--opened-after", opened_after),
        opened_before=None if opened_before is None else read_time("--opened-before", opened_before),
        escalated=escalated,
        sort=sort,
    )
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        after = None if before_id is None else QueueKey.of(baken.store.cases.case(before_id), sort)
        cursor = None if after is None else str(after)
        rows = baken.queues().page_for_platform(query, cursor, limit).rows
    if as_json:
        output.print_json([output.case_json(row) for row in rows])
        return
    columns = ("case", "purpose", "state", "awaits", "decision", "items", "accounts", "points", "opened")
    output.print_table(columns, [_case_row(row) for row in rows])


def _case_row(row: QueueRow) -> list[output.Cell]:
    case = row.case
    counts = [f"{case.item_count:,}", f"{case.account_count:,}", f"{row.points.total:,.0f}"]
    words = [row.state.value, case.awaits and case.awaits.value, case.decision]
    return [case.id, case.purpose.value, *words, *counts, output.when(case.opened_at)]


@app.command()
def rank(
    context: typer.Context,
    *,
    anew: Annotated[bool, typer.Option("--all", help="Every undecided case, and not only those that changed.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Put the cases in their order now; a server that runs does it by itself, about a second after a change."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        ranker = baken.ranker()
        count = ranker.rank_anew() if anew else ranker.run()
    output.console().print(f"{count:,} cases were ranked")


@app.command()
def weights(
    context: typer.Context,
    *,
    dry_run: Annotated[
        str | None,
        typer.Option("--dry-run", metavar="WEIGHTS", help="Say what these would change: `per_day=8,known_abuse=150`."),
    ] = None,
    places: Annotated[int, typer.Option("--places", min=1, max=_PAGE, help="Of how many first places.")] = 100,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show what counts how much for which case comes first, or what other weights would change. Nothing is changed."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        if dry_run is None:
            given = baken.weights.by_name()
            if as_json:
                output.print_json(given)
            else:
                output.print_table(("weight", "points"), [[name, f"{value:g}"] for name, value in given.items()])
            return
        result = baken.queues().dry_run(Weights.parse(dry_run), places)
    if as_json:
        changes = [_change_json(change) for change in result.changes]
        output.print_json({"changes": changes, "places": result.places, "case_count": result.case_count})
        return
    compared = f"of {result.case_count:,} open cases" + (", and there are more" if result.is_cut else "")
    output.console().print(f"{len(result.changes):,} cases would change among the first {places:,} places, {compared}")
    if result.changes:
        output.print_table(("case", "place", "new place", "because of"), [_change_row(each) for each in result.changes])


def _change_row(change: PlaceChange) -> list[output.Cell]:
    reasons = ", ".join(f"{name.value} {points:+,.1f}" for name, points in change.reasons) or "others that moved"
    return [change.case.id, change.place_before, change.place_after, reasons]


def _change_json(change: PlaceChange) -> dict[str, object]:
    return {
        "case_id": change.case.id,
        "place_before": change.place_before,
        "place_after": change.place_after,
        "points_before": output.points_json(change.points_before),
        "points_after": output.points_json(change.points_after),
    }


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
        [row] = baken.queues().rows_of([case])
    if as_json:
        output.print_json({**output.case_json(row), "items": [output.case_item_json(item) for item in page]})
        return
    about = {
        "purpose": case.purpose.value,
        "state": row.state.value,
        **_standing(case),
        "items": f"{case.item_count:,}",
        "accounts": f"{case.account_count:,}",
        "entries": ", ".join(f"{bank}/{entry_id}" for bank, entry_id in case.entries),
        "opened": output.when(case.opened_at),
        "changed": output.when(case.updated_at),
        "points": f"{row.points.total:,.1f}",
    }
    why = [["", f"{factor.points:,.1f} for {output.factor_text(factor)}"] for factor in row.points.factors]
    output.print_table(("case", case.id), [*([key, value] for key, value in about.items()), *why])
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
    """List what happened to a case, in order; of a decision that awaits a second one, that it was given."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        page = baken.review().page_of_events(case_id, after_seq=after_seq, limit=limit)
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
