"""`baken seen …`: what is remembered of screened items: how much, in which clusters, written out, and forgotten."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.assemble import Baken
from baken.audit import NewEvent
from baken.cli_common import AsJson, DataDir, actor, confirm, load_settings
from baken.errors import InvalidValueError, UsageError
from baken.model import SeenCluster, SeenItem
from baken.store.seen import Selection

app = typer.Typer(no_args_is_help=True, help="See, write out and forget what is remembered of screened items.")

_PAGE = 1_000
_COLUMNS = ("screening_id", "item_ref", "account_ref", "album_ref", "seen_at", "cluster_id")
_FINGERPRINTS = ("pdq", "quality_percent", "sha256", "sha1", "md5")


class SeenFormat(StrEnum):
    """How remembered items are written out."""

    JSON_LINES = "json"
    CSV = "csv"


@app.command()
def stats(context: typer.Context, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show how much is remembered, for how long, and how far behind it is."""
    settings = load_settings(context, data_dir)
    with assemble.open_existing(settings) as baken:
        found, index_size_bytes = baken.keeper.stats()
    document = output.seen_stats_json(found, settings.seen_retention_days, index_size_bytes)
    if as_json:
        output.print_json(document)
        return
    shown = {key: f"{value:,}" if isinstance(value, int) else str(value) for key, value in document.items()}
    rows: list[list[output.Cell]] = [[key, value] for key, value in shown.items() if document[key] is not None]
    output.print_table(("seen", ""), rows)


@app.command()
def clusters(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_PAGE, help="How many at most.")] = 20,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the largest clusters: copies of one picture, whoever sent them."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        found = baken.store.seen.clusters(limit=limit)
    if as_json:
        output.print_json([output.seen_cluster_json(cluster) for cluster in found])
        return
    output.print_table(
        ("cluster", "items", "accounts", "first seen", "last seen"), [_cluster_row(cluster) for cluster in found]
    )


def _cluster_row(cluster: SeenCluster) -> list[output.Cell]:
    counts = [f"{cluster.item_count:,}", f"{cluster.account_count:,}"]
    return [cluster.id, *counts, output.when(cluster.first_seen_at), output.when(cluster.last_seen_at)]


@app.command()
def forget(
    context: typer.Context,
    *,
    item_ref: Annotated[str | None, typer.Option("--item-ref", metavar="REF", help="Items of this reference.")] = None,
    account_ref: Annotated[
        str | None, typer.Option("--account-ref", metavar="REF", help="Items of this account.")
    ] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="DATE", help="Items screened before this ISO 8601 date or time; UTC if bare."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is remembered.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Forget remembered items for good. Screenings and the items of cases stay: they are records."""
    if [item_ref is not None, account_ref is not None, before is not None, everything].count(True) != 1:
        message = "expected exactly one of --item-ref, --account-ref, --before and --all"
        raise UsageError(message, hint="Nothing was forgotten; say what to forget.")
    selection = Selection(item_ref, account_ref, None if before is None else _time(before))
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        baken.keeper.settle()  # what waits to be taken over is counted too
        count = baken.store.seen.selected_count(selection)
        confirm(f"Forget {count:,} items, for good?", yes=yes)
        forgotten = baken.keeper.forget(selection, actor=actor())
    output.console().print(f"{forgotten:,} items forgotten")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        message = f"the option --before is {text!r}, expected a date or a time as in ISO 8601"
        raise InvalidValueError(message, hint="For example 2026-11-01 or 2026-11-01T12:00+01:00.") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


@app.command()
def export(
    context: typer.Context,
    *,
    seen_format: Annotated[SeenFormat, typer.Option("--format", help="One JSON object a line, or csv.")] = (
        SeenFormat.JSON_LINES
    ),
    data_dir: DataDir = None,
) -> None:
    """Write what is remembered to stdout: fingerprints, references and times; never bytes. Keep it secret."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        baken.keeper.settle()
        baken.store.audit.record(NewEvent("seen.exported", actor(), None, {"format": seen_format.value}))
        if seen_format is SeenFormat.JSON_LINES:
            for item in _items(baken):
                output.print_json_line(output.seen_item_json(item))
            return
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow((*_COLUMNS, *_FINGERPRINTS))
        for item in _items(baken):
            document = output.seen_item_json(item)
            writer.writerow([document[name] for name in (*_COLUMNS, *_FINGERPRINTS)])


def _items(baken: Baken) -> Iterator[SeenItem]:
    after_id = 0
    while page := baken.store.seen.items(after_id=after_id, limit=_PAGE):
        yield from page
        after_id = page[-1].id
