"""`baken key …`: API keys made, listed and revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from baken import access, assemble
from baken import cli_output as output
from baken.cli_common import AsJson, DataDir, actor, load_settings
from baken.model import ApiKey, Scope

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys that callers of the server need.")

_MAX_DAYS = 36_500


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it, `upload-gate` for example.")],
    *,
    scope: Annotated[list[Scope], typer.Option("--scope", help="What it may do; repeat it for several.")],
    expires_days: Annotated[
        int | None,
        typer.Option("--expires-days", min=1, max=_MAX_DAYS, help="How long it is valid; for ever if not given."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key. Its secret is printed on stdout, once: it is not kept."""
    lifetime = None if expires_days is None else timedelta(days=expires_days)
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        key, secret = access.create_key(baken.store, name, frozenset(scope), actor=actor(), lifetime=lifetime)
    if as_json:
        output.print_json({**output.key_json(key), "secret": secret})
        return
    output.note(
        f"key {key.id} for {output.clean(key.name)}: {', '.join(sorted(key.scopes))}; the secret is shown once:"
    )
    output.console().print(secret, soft_wrap=True)


@app.command(name="list")
def list_keys(context: typer.Context, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the keys, revoked and expired ones too; secrets are not kept and cannot be shown."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        keys = baken.store.keys()
    if as_json:
        output.print_json([output.key_json(key) for key in keys])
        return
    rows: list[list[output.Cell]] = [
        [key.id, key.name, " ".join(sorted(key.scopes)), _state(key), output.when(key.expires_at)] for key in keys
    ]
    output.print_table(("key", "name", "scopes", "state", "expires"), rows)


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "valid"


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `baken key list` shows it.")],
    *,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key for good; the next request with it is refused."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        key = baken.store.revoke_key(key_id, actor=actor())
    output.console().print(f"key {key.id} ({output.clean(key.name)}) is revoked")
