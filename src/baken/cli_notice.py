"""`baken notice …`: what happened by itself and waits for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.cli_common import AsJson, DataDir, load_settings
from baken.model import Notice, NoticeKind

app = typer.Typer(no_args_is_help=True, help="Read what happened by itself and waits for a person.")

_PAGE_NOTICES = 1_000

_NEXT_STEPS = {
    NoticeKind.ENTRY_DISPUTED: "`baken entry resume {bank} {entry_id}` if it is right as it is, "
    "`baken entry withdraw {bank} {entry_id} --reason …` if not",
    NoticeKind.ENTRY_QUARANTINED: "`baken entry resume {bank} {entry_id}` if it should match, "
    "`baken entry withdraw {bank} {entry_id} --reason …` if not",
}


@app.command(name="list")
def list_notices(
    context: typer.Context,
    *,
    include_resolved: Annotated[bool, typer.Option("--all", help="Resolved notices too.")] = False,
    after_id: Annotated[int, typer.Option("--after-id", min=0, help="Show the notices after this id.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List open notices, oldest first, at most 1,000 at once."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        notices = baken.store.notices(after_id=after_id, limit=_PAGE_NOTICES, open_only=not include_resolved)
    if as_json:
        output.print_json([output.notice_json(notice) for notice in notices])
        return
    rows: list[list[output.Cell]] = [
        [notice.id, output.when(notice.created_at), notice.kind.value, notice.bank, notice.entry_id, _state(notice)]
        for notice in notices
    ]
    output.print_table(("notice", "since", "what", "bank", "entry", "state"), rows)


@app.command()
def show(
    context: typer.Context,
    notice_id: Annotated[int, typer.Argument(metavar="NOTICE_ID", help="As `baken notice list` shows it.")],
    *,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show one notice: what happened, the numbers behind it, and what to do."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        notice = baken.store.notice(notice_id)
    if as_json:
        output.print_json(output.notice_json(notice))
        return
    about = {
        "what": notice.kind.value,
        "since": output.when(notice.created_at),
        "bank": notice.bank,
        "entry": notice.entry_id,
        "why": notice.reason,
        **notice.facts,
        "state": _state(notice),
    }
    if notice.resolved_at is None:
        about["next"] = _NEXT_STEPS[notice.kind].format(bank=notice.bank, entry_id=notice.entry_id)
    output.print_table(("notice", str(notice.id)), [[key, value] for key, value in about.items()])


def _state(notice: Notice) -> str:
    if notice.resolved_at is None:
        return "open"
    return f"resolved {output.when(notice.resolved_at)} by {notice.resolved_by}"
