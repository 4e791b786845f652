"""`baken vault …`: what bytes are held, until when, and how they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.cli_common import AsJson, DataDir, Reason, actor, confirm, load_settings
from baken.jurisdictions import MAX_HOLD_DAYS
from baken.store.vault_rows import VaultObject

app = typer.Typer(no_args_is_help=True, help="List, prolong and destroy bytes that are held, encrypted, for review.")

_PAGE = 1_000
ObjectId = Annotated[str, typer.Argument(metavar="ID", help="As `baken vault list` shows it.", show_default=False)]


@app.command(name="list")
def list_objects(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_PAGE, help="How many at most.")] = 50,
    before_id: Annotated[
        str | None, typer.Option("--before-id", metavar="ID", help="Show the objects older than this one.")
    ] = None,
    destroyed: Annotated[bool, typer.Option("--destroyed", help="Also those that were destroyed.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List what is held, newest first: never a byte of it."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        found = baken.store.vault.objects(before_id=before_id, limit=limit, with_destroyed=destroyed)
    if as_json:
        output.print_json([_document(each) for each in found])
        return
    rows: list[list[output.Cell]] = [
        [
            each.id,
            ", ".join(sorted(each.purposes)),
            f"{each.size_bytes:,}",
            output.when(each.held_at),
            output.when(each.ends_at),
            "held" if each.destroyed_at is None else f"destroyed {output.when(each.destroyed_at)}",
            each.reason,
        ]
        for each in found
    ]
    output.print_table(("object", "purposes", "bytes", "since", "until", "state", "reason"), rows)


def _document(held: VaultObject) -> dict[str, object]:
    return {
        "id": held.id,
        "sha256": held.sha256.hex(),
        "size_bytes": held.size_bytes,
        "format": held.format,
        "purposes": sorted(held.purposes),
        "reason": held.reason,
        "held_at": held.held_at.isoformat(),
        "ends_at": held.ends_at.isoformat(),
        "destroyed_at": None if held.destroyed_at is None else held.destroyed_at.isoformat(),
    }


@app.command()
def destroy(
    context: typer.Context,
    object_id: ObjectId,
    *,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Destroy what is held: its key and its file, for good. That it was held, and why it ended, stays on record."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        held = baken.store.vault.object(object_id)
        confirm(f"Destroy {held.size_bytes:,} bytes, for good?", yes=yes)
        gone = baken.vault.destroy(held.id, reason=reason, actor=actor())
    output.console().print(f"{gone.id} is destroyed since {output.when(gone.destroyed_at)}")


@app.command()
def extend(
    context: typer.Context,
    object_id: ObjectId,
    *,
    days: Annotated[int, typer.Option("--days", min=1, max=MAX_HOLD_DAYS, help="How long from now on.")],
    reason: Reason,
    data_dir: DataDir = None,
) -> None:
    """Hold something longer, as far as the jurisdiction's profile allows, counted from when it was first held."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        until = datetime.now(UTC) + timedelta(days=days)
        held = baken.holding.extend(object_id, until, actor=actor(), reason=reason)
    output.console().print(f"{held.id} is held until {output.when(held.ends_at)}")
