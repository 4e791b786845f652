"""`baken bank …`: banks made, changed, listed, paused and withdrawn; `cli_bank_files.py` fills and empties them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from baken import assemble, banking
from baken import cli_output as output
from baken.audit import NewEvent
from baken.cli_bank_files import Name, add, export, import_list
from baken.cli_common import AsJson, DataDir, OptionalReason, Reason, actor, confirm, load_settings
from baken.cli_past import tell_past
from baken.copies import ViewSet
from baken.flood import FloodLimits
from baken.model import (
    DEFAULT_FLOOD_ACCOUNTS_PER_HOUR,
    DEFAULT_FLOOD_FACTOR,
    DEFAULT_RADIUS_BITS,
    MAX_FLOOD_ACCOUNTS_PER_HOUR,
    MAX_FLOOD_FACTOR,
    MAX_RADIUS_BITS,
    Bank,
    BankState,
    Entry,
    EntryState,
    Purpose,
    Verdict,
)
from baken.values import check_bank

app = typer.Typer(no_args_is_help=True, help="Make, fill, list, pause and withdraw banks of known fingerprints.")

_PAGE_ENTRIES = 1_000

_FLOOD_ACCOUNTS_HELP = "How many accounts an hour may always match one entry; above, it is quarantined. 0: never."
_FLOOD_FACTOR_HELP = "How many times its busiest earlier hour (of 30 days) an entry may match."
_RADIUS_HELP = "How far a PDQ may be and still match."
_VIEWS_HELP = "Which views of a picture to keep when it is added: none, crops, or full (crops and tilts)."
_FOLLOWS_HELP = "Whether new copies of what was decided follow that decision, or open a case again."
_KEYPOINTS_HELP = "Keep keypoints of pictures, sealed, so that a match can be checked on them."


@app.command()
def create(
    context: typer.Context,
    name: Name,
    *,
    purpose: Annotated[Purpose, typer.Option("--purpose", help="Why it exists; it bounds what a match may cause.")],
    radius_bits: Annotated[
        int,
        typer.Option("--radius-bits", min=0, max=MAX_RADIUS_BITS, help=_RADIUS_HELP),
    ] = DEFAULT_RADIUS_BITS,
    verdict: Annotated[
        Verdict | None,
        typer.Option("--verdict", help="What a match answers; follows from the purpose unless given."),
    ] = None,
    flood_accounts_per_hour: Annotated[
        int,
        typer.Option("--flood-accounts-per-hour", min=0, max=MAX_FLOOD_ACCOUNTS_PER_HOUR, help=_FLOOD_ACCOUNTS_HELP),
    ] = DEFAULT_FLOOD_ACCOUNTS_PER_HOUR,
    flood_factor: Annotated[
        int, typer.Option("--flood-factor", min=1, max=MAX_FLOOD_FACTOR, help=_FLOOD_FACTOR_HELP)
    ] = DEFAULT_FLOOD_FACTOR,
    view_set: Annotated[ViewSet, typer.Option("--views", help=_VIEWS_HELP)] = ViewSet.FULL,
    keeps_keypoints: Annotated[
        bool, typer.Option("--keep-keypoints/--no-keep-keypoints", help=_KEYPOINTS_HELP)
    ] = False,
    reason: OptionalReason = None,
    data_dir: DataDir = None,
) -> None:
    """Make an empty bank.

    Without --verdict: known_abuse blocks, own_photo holds, benign and watch allow.
    """
    chosen = check_bank(name, purpose, radius_bits, verdict)
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        bank = baken.store.create_bank(
            name,
            purpose,
            radius_bits=radius_bits,
            verdict=chosen,
            flood=FloodLimits(flood_accounts_per_hour, flood_factor),
            view_set=view_set,
            keeps_keypoints=keeps_keypoints,
            actor=actor(),
            reason=reason,
        )
    output.console().print(
        f"bank {bank.name} made: {bank.purpose.value}, within {bank.radius_bits} bits, {bank.verdict.value}, "
        f"keeps {output.kept_words(bank)}",
        soft_wrap=True,
    )


@app.command(name="set")
def set_policy(
    context: typer.Context,
    name: Name,
    *,
    radius_bits: Annotated[
        int | None, typer.Option("--radius-bits", min=0, max=MAX_RADIUS_BITS, help=_RADIUS_HELP)
    ] = None,
    verdict: Annotated[Verdict | None, typer.Option("--verdict", help="What a match answers.")] = None,
    flood_accounts_per_hour: Annotated[
        int | None,
        typer.Option("--flood-accounts-per-hour", min=0, max=MAX_FLOOD_ACCOUNTS_PER_HOUR, help=_FLOOD_ACCOUNTS_HELP),
    ] = None,
    flood_factor: Annotated[
        int | None, typer.Option("--flood-factor", min=1, max=MAX_FLOOD_FACTOR, help=_FLOOD_FACTOR_HELP)
    ] = None,
    view_set: Annotated[ViewSet | None, typer.Option("--views", help=_VIEWS_HELP)] = None,
    keeps_keypoints: Annotated[
        bool | None, typer.Option("--keep-keypoints/--no-keep-keypoints", help=_KEYPOINTS_HELP, show_default=False)
    ] = None,
    follows_decisions: Annotated[
        bool | None, typer.Option("--follow-decisions/--no-follow-decisions", help=_FOLLOWS_HELP, show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before keypoints are deleted.")] = False,
    reason: OptionalReason = None,
    data_dir: DataDir = None,
) -> None:
    """Change a bank: what is not named stays as it is. It counts on the next request, in every process.

    --views is for pictures that are added from now on; adding the files of entries again completes those.
    --no-keep-keypoints deletes the keypoints of all its entries, for good.
    """
    started_at = datetime.now(UTC)
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        forgotten = 0
        if keeps_keypoints is False:
            forgotten = baken.store.kept.counts(baken.store.bank(name).id).keypoints
            if forgotten:
                confirm(f"Delete the keypoints of {forgotten:,} entries of bank {name}, for good?", yes=yes)
        bank = banking.change_bank(
            baken.store,
            name,
            radius_bits=radius_bits,
            verdict=verdict,
            flood_accounts_per_hour=flood_accounts_per_hour,
            flood_factor=flood_factor,
            view_set=view_set,
            keeps_keypoints=keeps_keypoints,
            follows_decisions=follows_decisions,
            actor=actor(),
            reason=reason,
        )
        output.console().print(
            f"bank {bank.name}: within {bank.radius_bits} bits, {bank.verdict.value}, {output.flood_limits(bank)}, "
            f"keeps {output.kept_words(bank)}, {output.follow_words(bank)}",
            soft_wrap=True,
        )
        if forgotten:
            output.console().print(f"keypoints of {forgotten:,} entries deleted")
        tell_past(baken, name, started_at)


app.command()(add)
app.command(name="import")(import_list)
app.command()(export)


@app.command(name="list")
def list_banks(
    context: typer.Context,
    include_withdrawn: Annotated[bool, typer.Option("--all", help="Withdrawn banks too.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the banks with their entries."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        banks = baken.store.banks(include_withdrawn=include_withdrawn)
        counts = [baken.store.bank_counts(bank.id) for bank in banks]
    if as_json:
        output.print_json([output.bank_json(bank, count) for bank, count in zip(banks, counts, strict=True)])
        return
    rows = [_bank_row(bank, count[EntryState.ACTIVE]) for bank, count in zip(banks, counts, strict=True)]
    columns = ("bank", "purpose", "state", "verdict", "radius_bits", "keeps", "active entries")
    output.print_table(columns, rows)


def _bank_row(bank: Bank, active_count: int) -> list[output.Cell]:
    state = bank.state.value
    kept = output.kept_words(bank)
    return [bank.name, bank.purpose.value, state, bank.verdict, bank.radius_bits, kept, f"{active_count:,}"]


@app.command()
def show(
    context: typer.Context,
    name: Name,
    *,
    entries: Annotated[int, typer.Option("--entries", min=0, max=_PAGE_ENTRIES, help="How many entries to show.")] = 20,
    after_id: Annotated[int, typer.Option("--after-id", min=0, help="Show the entries after this id.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show one bank: what it is, how many entries it has in each state, and some of them."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        bank = baken.store.bank(name)
        counts, kept = baken.store.bank_counts(bank.id), baken.store.kept.counts(bank.id)
        page = baken.store.entries(name, after_id=after_id, limit=entries) if entries else []
    if as_json:
        shown = {**output.bank_json(bank, counts), "kept_counts": asdict(kept)}
        output.print_json({**shown, "entries": [output.entry_json(entry) for entry in page]})
        return
    about = {
        "purpose": bank.purpose.value,
        "state": bank.state.value,
        "reason": bank.reason,
        "verdict": bank.verdict,
        "radius_bits": bank.radius_bits,
        "flood breaker": output.flood_limits(bank),
        "keeps": output.kept_words(bank),
        "made": output.when(bank.created_at),
        **{f"entries {state.value}": f"{count:,}" for state, count in counts.items() if count},
        **{f"entries with {what}": f"{count:,}" for what, count in asdict(kept).items() if count},
    }
    output.print_table(("bank", bank.name), [[key, value] for key, value in about.items() if value is not None])
    if page:
        columns = ("entry", "state", "label", "source", "fingerprints", "kept")
        output.print_table(columns, [_entry_row(entry) for entry in page])


def _entry_row(entry: Entry) -> list[output.Cell]:
    kinds = " ".join(each.kind for each in entry.fingerprints)
    return [entry.id, entry.state.value, entry.label, entry.provenance.source, kinds, output.kept_of_entry(entry)]


@app.command()
def reseal(context: typer.Context, *, data_dir: DataDir = None) -> None:
    """Seal keypoints and second factors with the first key of the key file, so that keys after it can be taken out."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        count = baken.keeping.reseal(baken.store)
        baken.store.audit.record(NewEvent("keys.resealed", actor(), None, {"count": count}))
    output.console().print(f"{count:,} sealed again: keypoints of entries and second factors of people")


@app.command()
def pause(
    context: typer.Context,
    name: Name,
    *,
    reason: Reason,
    data_dir: DataDir = None,
) -> None:
    """Let a bank match nothing until it is resumed."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        baken.store.set_bank_state(name, BankState.PAUSED, actor=actor(), reason=reason)
    output.console().print(f"bank {name} is paused")


@app.command()
def resume(
    context: typer.Context,
    name: Name,
    *,
    reason: OptionalReason = None,
    data_dir: DataDir = None,
) -> None:
    """Let a paused bank match again."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        started_at = datetime.now(UTC)
        baken.store.set_bank_state(name, BankState.ACTIVE, actor=actor(), reason=reason)
        output.console().print(f"bank {name} is active")
        tell_past(baken, name, started_at)


@app.command()
def remove(
    context: typer.Context,
    name: Name,
    entry_ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="ENTRY_ID", help="Entries to withdraw; the whole bank if none.", show_default=False),
    ] = None,
    *,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Withdraw a bank or some of its entries, for good: they match nothing any more, and stay on record."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        what = f"{len(entry_ids)} entries of bank {name}" if entry_ids else f"bank {name} with all its entries"
        baken.store.bank(name)
        confirm(f"Withdraw {what}, for good?", yes=yes)
        if entry_ids:
            count = baken.store.set_entry_states(name, entry_ids, EntryState.WITHDRAWN, actor=actor(), reason=reason)
            output.console().print(f"{count:,} entries of bank {name} withdrawn")
        else:
            baken.store.set_bank_state(name, BankState.WITHDRAWN, actor=actor(), reason=reason)
            output.console().print(f"bank {name} is withdrawn")
