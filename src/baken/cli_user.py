"""`baken user …`: the people who sign in: made, invited, changed, disabled, and signed out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from getpass import getpass
from typing import Annotated

import typer

from baken import assemble
from baken import cli_output as output
from baken.accounts import Identity, Role, Session, User, check_email
from baken.assemble import Baken
from baken.cli_common import AsJson, DataDir, actor, load_settings
from baken.errors import InvalidValueError, UsageError
from baken.people import LINK_LIFETIME, SET_UP_LIFETIME, People
from baken.settings import Settings
from baken.store import Store

app = typer.Typer(no_args_is_help=True, help="Make, change and disable the people who sign in, and end their sessions.")

_MAX_PASSWORD_LINE = 4096

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The name that the person signs in with.", show_default=False)
]
Roles = Annotated[list[Role] | None, typer.Option("--role", help="What the person does here; repeat it for several.")]
Banks = Annotated[
    list[str] | None,
    typer.Option("--bank", metavar="BANK", help="A bank that the person may see; repeat it for several."),
]
Email = Annotated[str | None, typer.Option("--email", metavar="ADDRESS", help="Where the person is reached.")]


@app.command()
def create(
    context: typer.Context,
    name: Name,
    *,
    role: Annotated[list[Role], typer.Option("--role", help="What the person does here; repeat it for several.")],
    bank: Banks = None,
    email: Email = None,
    invite: Annotated[
        bool, typer.Option("--invite", help="Ask for no password now, and print a code with which the person sets one.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make an account, for all banks unless some are named. The password is asked for, or read from stdin."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        people = baken.people()
        bank_ids = _bank_ids(baken.store, bank)
        password = None if invite else _new_password()
        user = people.create(name, role, password=password, email=email, bank_ids=bank_ids, actor=actor())
        code = people.invite(user, actor=actor()) if invite else None
        _tell(baken, user, as_json=as_json, code=code)


@app.command(name="list")
def list_users(context: typer.Context, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the users, disabled ones too."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        users = baken.store.people.all()
        names = _bank_names(baken.store)
    if as_json:
        output.print_json([_user_json(user, names) for user in users])
        return
    rows: list[list[output.Cell]] = [
        [user.name, user.id, " ".join(sorted(user.roles)), _banks_text(user, names), _factor(user), _state(user)]
        for user in users
    ]
    output.print_table(("user", "id", "roles", "banks", "signs in with", "state"), rows)


@app.command()
def show(context: typer.Context, name: Name, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show one user."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        _tell(baken, baken.store.people.named(name), as_json=as_json)


@app.command(name="set")
def set_user(
    context: typer.Context,
    name: Name,
    *,
    role: Roles = None,
    bank: Banks = None,
    all_banks: Annotated[bool, typer.Option("--all-banks", help="Every bank, those to come included.")] = False,
    email: Email = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change the roles, the banks or the address of a user; what is given replaces what was, at once."""
    if bank and all_banks:
        message = "--bank and --all-banks were both given"
        raise UsageError(message, hint="Nothing was changed; say one of them.")
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        user = baken.store.people.named(name)
        changed = baken.store.people.change(
            user.id,
            roles=role,
            bank_ids=_bank_ids(baken.store, bank),
            all_banks=all_banks,
            email=None if email is None else check_email(email) or "",
            actor=actor(),
        )
        _tell(baken, changed, as_json=as_json)


@app.command()
def disable(context: typer.Context, name: Name, *, data_dir: DataDir = None) -> None:
    """Let nobody use an account any more; its sessions end at once. It stays on record."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        user = baken.store.people.named(name)
        baken.people().disable(user, actor=actor())
    output.console().print(f"{output.clean(user.name)} is disabled")


@app.command()
def enable(context: typer.Context, name: Name, *, data_dir: DataDir = None) -> None:
    """Let a disabled account be used again, with its password and second factor."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        user = baken.store.people.named(name)
        baken.store.people.change(user.id, enable=True, actor=actor())
    output.console().print(f"{output.clean(user.name)} is enabled")


@app.command(name="set-password")
def set_password(context: typer.Context, name: Name, *, data_dir: DataDir = None) -> None:
    """Replace a password, which is asked for or read from stdin; the person's sessions end."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        user = baken.store.people.named(name)
        baken.people().set_password(user, _new_password(), actor=actor())
    output.console().print(f"{output.clean(user.name)} has a new password; all sessions have ended")


@app.command(name="reset-totp")
def reset_totp(context: typer.Context, name: Name, *, data_dir: DataDir = None) -> None:
    """Ask a user for no second factor any more, because the device is lost; sessions and recovery codes end."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        user = baken.store.people.named(name)
        baken.store.people.reset_totp(user.id, actor=actor())
    output.console().print(f"{output.clean(user.name)} has no second factor now; all sessions have ended")


@app.command()
def invite(context: typer.Context, name: Name, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Print a code with which the person sets a password, once; earlier codes end. Hand it over in private."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        user = baken.store.people.named(name)
        _tell(baken, user, as_json=as_json, code=baken.people().invite(user, actor=actor()))


@app.command(name="link-once")
def link_once(context: typer.Context, name: Name, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Print an address that signs a user in without a password, once; a second factor is asked for or set up first."""
    settings = load_settings(context, data_dir)
    with assemble.open_existing(settings) as baken:
        user = baken.store.people.named(name)
        address = once_address(console_address(settings), baken.people().link_once(user, actor=actor()))
    if as_json:
        output.print_json({"name": user.name, "address": address})
        return
    minutes = int(LINK_LIFETIME.total_seconds()) // 60
    output.note(f"it signs {output.clean(user.name)} in once and within {minutes} minutes; it is not shown again:")
    output.console().print(address, soft_wrap=True)


def console_address(settings: Settings) -> str:
    """Where browsers find the console, as far as the settings say."""
    if settings.console_url is not None:
        return settings.console_url.rstrip("/")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def once_address(console_url: str, code: str) -> str:
    """The address of a one-time link: what stands behind the `#` stays in the browser, which sends it to nobody."""
    return f"{console_url}/console/sign-in/once#{code}"


@app.command()
def link(
    context: typer.Context,
    name: Name,
    *,
    subject: Annotated[
        str, typer.Option("--subject", metavar="SUBJECT", help="The provider's name for the person (`sub`).")
    ],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let a user sign in with an account at the identity provider. Who signs in there first is told the subject."""
    settings = load_settings(context, data_dir)
    with assemble.open_existing(settings) as baken:
        user = baken.store.people.named(name)
        baken.people().link_identity(user, _issuer(settings), subject, actor=actor())
        _tell(baken, baken.store.people.named(name), as_json=as_json)


@app.command()
def unlink(
    context: typer.Context,
    name: Name,
    *,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="SUBJECT", help="One of several; all of them if none.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Let a user sign in with no account at the identity provider any more; all sessions end."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        user = baken.store.people.named(name)
        count = baken.people().unlink_identities(user, subject=subject, actor=actor())
    output.console().print(f"{count} links of {output.clean(user.name)} ended")


@app.command(name="set-up")
def set_up(context: typer.Context, *, data_dir: DataDir = None) -> None:
    """Set the password of one's own account with the code of `baken user invite`. Both are asked for, or stdin's."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        people: People = baken.people()
        code = getpass("code: ") if sys.stdin.isatty() else _line("the code")
        people.invited(code.strip())  # a wrong code is told before a password is asked for
        user = people.set_up(code.strip(), _new_password())
    output.console().print(f"{output.clean(user.name)} has a password")


@app.command()
def sessions(context: typer.Context, name: Name, *, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List where a user is signed in, and was during the last month."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        people = baken.people()
        found = baken.store.sign_ins.of_user(baken.store.people.named(name).id)
        running = {session.id for session in found if people.is_running(session)}
    if as_json:
        output.print_json([_session_json(session, is_running=session.id in running) for session in found])
        return
    rows: list[list[output.Cell]] = [
        [
            session.id,
            "running" if session.id in running else "over",
            session.method.value,
            output.when(session.created_at),
            output.when(session.last_seen_at),
            session.address,
            session.agent,
        ]
        for session in found
    ]
    output.print_table(("session", "state", "by", "since", "last seen", "address", "browser"), rows)


@app.command()
def revoke(
    context: typer.Context,
    name: Name,
    session_id: Annotated[
        str | None, typer.Argument(metavar="SESSION", help="One session; all of them if none.", show_default=False)
    ] = None,
    *,
    data_dir: DataDir = None,
) -> None:
    """End the sessions of a user, or one of them; the next request of that browser is refused."""
    with assemble.open_existing(load_settings(context, data_dir)) as baken:
        user = baken.store.people.named(name)
        count = baken.people().end_sessions(user, session_id=session_id, actor=actor())
    output.console().print(f"{count:,} sessions of {output.clean(user.name)} ended")


def _tell(baken: Baken, user: User, *, as_json: bool, code: str | None = None) -> None:
    names = _bank_names(baken.store)
    identities = baken.store.identities.of_user(user.id)
    if as_json:
        known = {"identities": [_identity_json(each) for each in identities]}
        output.print_json({**_user_json(user, names), **known, **({"code": code} if code is not None else {})})
        return
    about: dict[str, output.Cell] = {
        "id": user.id,
        "roles": " ".join(sorted(user.roles)),
        "banks": _banks_text(user, names),
        "email": user.email,
        "state": _state(user),
        "signs in with": _factor(user),
        "recovery codes": user.recovery_code_count,
        "made": output.when(user.created_at),
    }
    for identity in identities:
        about[f"at {identity.issuer}"] = identity.subject
    if code is None:
        output.print_table(("user", user.name), [[key, value] for key, value in about.items() if value is not None])
        return
    days = SET_UP_LIFETIME.days
    output.note(f"a code for {output.clean(user.name)}, good once and for {days} days; it is not shown again:")
    output.console().print(code, soft_wrap=True)


def _user_json(user: User, names: dict[int, str]) -> dict[str, object]:
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "roles": sorted(user.roles),
        "banks": None if user.bank_ids is None else [names.get(bank, str(bank)) for bank in sorted(user.bank_ids)],
        "created_at": output.when(user.created_at),
        "disabled_at": output.when(user.disabled_at),
        "has_password": user.has_password,
        "has_totp": user.has_totp,
        "recovery_code_count": user.recovery_code_count,
    }


def _identity_json(identity: Identity) -> dict[str, object]:
    return {
        "issuer": identity.issuer,
        "subject": identity.subject,
        "created_at": output.when(identity.created_at),
    }


def _session_json(session: Session, *, is_running: bool) -> dict[str, object]:
    return {
        "id": session.id,
        "running": is_running,
        "method": session.method,
        "created_at": output.when(session.created_at),
        "last_seen_at": output.when(session.last_seen_at),
        "expires_at": output.when(session.expires_at),
        "ended_at": output.when(session.ended_at),
        "address": session.address,
        "agent": session.agent,
    }


def _state(user: User) -> str:
    if user.disabled_at is not None:
        return "disabled"
    return "active" if user.can_sign_in else "invited"


def _factor(user: User) -> str:
    ways = (["password"] if user.has_password else []) + (["provider"] if user.identity_count else [])
    if not ways:
        return "nothing yet"
    return f"{' or '.join(ways)}{' and code' if user.has_totp else ''}"


def _bank_names(store: Store) -> dict[int, str]:
    return {bank.id: bank.name for bank in store.banks(include_withdrawn=True)}


def _banks_text(user: User, names: dict[int, str]) -> str:
    if user.bank_ids is None:
        return "all"
    return " ".join(names.get(bank, str(bank)) for bank in sorted(user.bank_ids)) or "none"


def _issuer(settings: Settings) -> str:
    if settings.oidc_issuer is None:
        message = "there is no identity provider: the setting oidc_issuer is not given"
        raise UsageError(message, hint="docs/how-to/single-sign-on.md says what it needs.")
    return settings.oidc_issuer


def _bank_ids(store: Store, names: Sequence[str] | None) -> list[int] | None:
    return [store.bank(name).id for name in names] if names else None


def _new_password() -> str:
    """A password, asked for twice without an echo, or the next line of stdin. It is never an argument."""
    if not sys.stdin.isatty():
        return _line("the password")
    password = getpass("password: ")
    if getpass("again: ") != password:
        message = "the two passwords differ"
        raise UsageError(message, hint="Nothing was changed; try again.")
    return password


def _line(what: str) -> str:
    line = sys.stdin.readline(_MAX_PASSWORD_LINE)
    if not line:
        message = f"{what} was not given: stdin is no terminal and has no line"
        raise InvalidValueError(message, hint="Run it on a terminal, or pipe it in.")
    return line.rstrip("\r\n")
