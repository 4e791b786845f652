"""`baken jurisdiction …`: the profiles that say who may see what, and what may be held."""

from __future__ import annotations

from typing import Annotated

import typer

from baken import assemble, jurisdictions
from baken import cli_output as output
from baken.cli_common import AsJson, DataDir, load_settings
from baken.errors import InvalidValueError
from baken.jurisdictions import LOOKING_ROLES, NAMES, REVIEWED, Profile

app = typer.Typer(no_args_is_help=True, help="Read the profiles of jurisdictions. They are defaults, not legal advice.")


@app.command(name="list")
def list_profiles(context: typer.Context, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the shipped profiles, and say which one is in force."""
    settings = load_settings(context, data_dir)
    in_force = settings.jurisdiction if settings.jurisdiction_file is None else None
    profiles = [jurisdictions.shipped(name) for name in NAMES]
    if as_json:
        output.print_json(
            [{"name": each.name, "title": each.title, "is_in_force": each.name == in_force} for each in profiles]
        )
        return
    rows: list[list[output.Cell]] = [
        [each.name, each.title, "in force" if each.name == in_force else ""] for each in profiles
    ]
    output.print_table(("profile", "jurisdiction", ""), rows)
    if settings.jurisdiction_file is not None:
        output.note(f"in force is {output.clean(str(settings.jurisdiction_file))}: `baken jurisdiction show`")


@app.command()
def show(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A shipped profile; the one in force if not given.", show_default=False),
    ] = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show one profile: what each role may see of each purpose, what may be held, and the sources of that."""
    if name is not None and name not in NAMES:
        message = f"there is no shipped profile {name!r}, expected one of {', '.join(NAMES)}"
        raise InvalidValueError(message, hint="Show your own file without a name: it is the one in force.")
    profile = assemble.profile_of(load_settings(context, data_dir)) if name is None else jurisdictions.shipped(name)
    if as_json:
        output.print_json(_document(profile))
        return
    roles = [f"{role.value} sees up to" for role in LOOKING_ROLES]
    rows: list[list[output.Cell]] = [
        [
            purpose.value,
            *[f"level {profile.of(purpose).highest_level[role].value}" for role in LOOKING_ROLES],
            ", ".join(str(level.value) for level in sorted(profile.of(purpose).reasons_at)) or "none",
            f"{profile.of(purpose).hold_days} days" if profile.of(purpose).hold_days else "not at all",
            profile.of(purpose).tells.value,
        ]
        for purpose in REVIEWED
    ]
    output.print_table((f"{profile.name}: purpose", *roles, "reason at", "held", "told"), rows)
    output.console().print(output.clean(" ".join(profile.note.split())), soft_wrap=True)
    for source in profile.sources:
        mark = "" if source.is_verified else " (not verified)"
        output.console().print(f"- {output.clean(source.says)} [{output.clean(source.where)}]{mark}", soft_wrap=True)
    output.note("These are defaults, not legal advice.")


def _document(profile: Profile) -> dict[str, object]:
    rules = {
        purpose.value: {
            "highest_level": {role.value: rule.highest_level[role].value for role in LOOKING_ROLES},
            "reasons_at": sorted(level.value for level in rule.reasons_at),
            "hold_days": rule.hold_days,
            "tells": rule.tells.value,
        }
        for purpose, rule in profile.rules.items()
    }
    sources = [{"says": each.says, "where": each.where, "is_verified": each.is_verified} for each in profile.sources]
    return {"name": profile.name, "title": profile.title, "note": profile.note, **rules, "sources": sources}
