"""People at rest: accounts, recovery codes and tickets, with an event in the audit log for each change.

Secrets are kept as digests (tokens, recovery codes), as Argon2id (passwords) or sealed (second factors), not as given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from baken.accounts import Credentials, Role, TicketKind, User
from baken.audit import NewEvent
from baken.errors import ConflictError, NotFoundError
from baken.store import schema, schema_review
from baken.store.audit import AuditedWrite, audited
from baken.store.engine import Database

_USERS = schema.users.c
_CODES = schema.recovery_codes.c
_TICKETS = schema.tickets.c
_SESSIONS = schema.sessions.c
_IDENTITIES = schema_review.identities.c

_TOLD_TICKETS = {TicketKind.SET_UP: "user.invited", TicketKind.ONCE: "user.link_made"}
"""Tickets that let somebody in who has nothing else: there is one at a time, and the log says who made it."""


def key_of_name(name: str) -> str:
    """What makes two names the same. No name holds a NUL, and no database could look for one."""
    return name.replace("\0", "").strip().casefold()


class PeopleRows:
    """Accounts of people; `Store.people`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Accounts

    def create(self, user: User, *, password_hash: str | None, actor: str) -> None:
        """Keep a new account.

        Raises:
            ConflictError: someone has the name.
        """
        row = {
            "id": user.id,
            "name": user.name,
            "name_key": key_of_name(user.name),
            "email": user.email,
            "roles": sorted(user.roles),
            "bank_ids": None if user.bank_ids is None else sorted(user.bank_ids),
            "password_hash": password_hash,
            "created_at": user.created_at,
            "created_by": actor,
        }
        with audited(self._database) as write:
            taken = select(_USERS.id).where(_USERS.name_key == row["name_key"])
            if write.connection.execute(taken).first() is not None:
                message = f"there is a user named {user.name!r} already"
                raise ConflictError(message, hint="take another name; names differ in more than their capitals")
            write.connection.execute(insert(schema.users), row)
            _tell(write, "user.created", user.id, actor, {"roles": row["roles"], "bank_ids": row["bank_ids"]})

    def user(self, user_id: str) -> User:
        """One account.

        Raises:
            NotFoundError: there is none with this id.
        """
        with self._database.read() as connection:
            return _user(_one(connection, _query().where(_USERS.id == user_id), user_id))

    def named(self, name: str) -> User:
        """The account with this name, whatever the case of its letters.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as connection:
            return _user(_one(connection, _query().where(_USERS.name_key == key_of_name(name)), name))

    def all(self) -> list[User]:
        """Every account, by name, disabled ones too."""
        with self._database.read() as connection:
            return [_user(row) for row in connection.execute(_query().order_by(_USERS.name_key))]

    def credentials(self, *, name: str | None = None, user_id: str | None = None) -> Credentials | None:
        """What a sign-in is checked against, by name or id; None when there is no such account."""
        wanted = _USERS.name_key == key_of_name(name) if name is not None else _USERS.id == user_id
        with self._database.read() as connection:
            row = connection.execute(_query(_USERS.password_hash, _USERS.totp_sealed).where(wanted)).one_or_none()
        if row is None:
            return None
        return Credentials(_user(row), row.password_hash, None if row.totp_sealed is None else bytes(row.totp_sealed))

    def change(
        self,
        user_id: str,
        *,
        roles: Collection[Role] | None = None,
        bank_ids: Collection[int] | None = None,
        all_banks: bool = False,
        email: str | None = None,
        disabled_at: datetime | None = None,
        enable: bool = False,
        actor: str,
    ) -> User:
        """Change an account; what is not given stays. A disabled account loses its sessions and tickets at once.

        Raises:
            ConflictError: nobody would be left who may change users.
            NotFoundError: there is no such account.
        """
        asked: dict[str, Any] = {}
        if roles is not None:
            asked["roles"] = sorted(roles)
        if bank_ids is not None or all_banks:
            asked["bank_ids"] = None if all_banks or bank_ids is None else sorted(bank_ids)
        if email is not None:
            asked["email"] = email or None
        if disabled_at is not None or enable:
            asked["disabled_at"] = disabled_at
        with audited(self._database) as write:
            if "roles" in asked or "disabled_at" in asked:
                # Two administrators who take the right from each other at once must wait for each other.
                write.connection.execute(select(_USERS.id).order_by(_USERS.id).with_for_update()).all()
            before = _locked(write.connection, user_id)
            values = {name: value for name, value in asked.items() if getattr(before, name) != value}
            if "disabled_at" in values and disabled_at is not None and before.disabled_at is not None:
                del values["disabled_at"]  # since when it cannot be used stays
            if values:
                write.connection.execute(update(schema.users).where(_USERS.id == user_id).values(values))
                _check_an_admin_is_left(write.connection, before)
                _tell_change(write, user_id, before, values, actor)
            if values.get("disabled_at") is not None:
                _end_everything(write, user_id)
            return _user(_one(write.connection, _query().where(_USERS.id == user_id), user_id))

    # Secrets

    def set_password(self, user_id: str, password_hash: str, *, actor: str, keep_session: str | None = None) -> None:
        """Replace the password; every session but `keep_session` and every ticket ends.

        Raises:
            NotFoundError: there is no such account.
        """
        with audited(self._database) as write:
            _locked(write.connection, user_id)
            change = update(schema.users).where(_USERS.id == user_id)
            write.connection.execute(change.values(password_hash=password_hash))
            _end_everything(write, user_id, keep_session=keep_session)
            _tell(write, "user.password_set", user_id, actor, {})

    def rehash_password(self, user_id: str, before: str, password_hash: str) -> None:
        """Replace the hash of the same password, made with newer parameters, unless it was changed meanwhile."""
        with self._database.write() as connection:
            same = update(schema.users).where(_USERS.id == user_id, _USERS.password_hash == before)
            connection.execute(same.values(password_hash=password_hash))

    def set_totp(
        self,
        user_id: str,
        sealed: bytes,
        step: int,
        recovery_digests: Sequence[bytes],
        *,
        actor: str,
        keep_session: str | None = None,
    ) -> None:
        """Ask for a second factor from now on, with fresh recovery codes; `step` is the one that proved it works.

        Sessions but `keep_session` end: none goes on that was begun with less.

        Raises:
            NotFoundError: there is no such account.
        """
        with audited(self._database) as write:
            _locked(write.connection, user_id)
            change = update(schema.users).where(_USERS.id == user_id)
            write.connection.execute(change.values(totp_sealed=sealed, totp_step=step))
            _replace_codes(write.connection, user_id, recovery_digests)
            _end_everything(write, user_id, keep_session=keep_session)
            _tell(write, "user.totp_set", user_id, actor, {})

    def reset_totp(self, user_id: str, *, actor: str) -> None:
        """Ask for no second factor any more: the device is lost, and so are the recovery codes. Sessions end.

        Raises:
            NotFoundError: there is no such account.
        """
        with audited(self._database) as write:
            _locked(write.connection, user_id)
            write.connection.execute(update(schema.users).where(_USERS.id == user_id).values(totp_sealed=None))
            _replace_codes(write.connection, user_id, ())
            _end_everything(write, user_id)
            _tell(write, "user.totp_reset", user_id, actor, {})

    def set_recovery_codes(self, user_id: str, digests: Sequence[bytes], *, actor: str) -> None:
        """Replace the recovery codes."""
        with audited(self._database) as write:
            _locked(write.connection, user_id)
            _replace_codes(write.connection, user_id, digests)
            _tell(write, "user.recovery_codes_set", user_id, actor, {})

    def take_totp_step(self, user_id: str, step: int) -> bool:
        """Use a time step up: True once, False for it and all before it ever after, whoever asks at the same time."""
        with self._database.write() as connection:
            newer = update(schema.users).where(_USERS.id == user_id, _USERS.totp_step < step).values(totp_step=step)
            return connection.execute(newer).rowcount == 1

    def take_recovery_code(self, user_id: str, digest: bytes) -> bool:
        """Use a recovery code up: True once."""
        with audited(self._database) as write:
            mine = delete(schema.recovery_codes).where(_CODES.digest == digest, _CODES.user_id == user_id)
            if write.connection.execute(mine).rowcount != 1:
                return False
            _tell(write, "user.recovery_code_used", user_id, f"user:{user_id}", {})
            return True

    def has_totp(self) -> bool:
        """Whether anyone has a second factor."""
        with self._database.read() as connection:
            return (
                connection.execute(select(_USERS.id).where(_USERS.totp_sealed.is_not(None)).limit(1)).first()
                is not None
            )

    def sealed_secrets(self) -> Iterator[tuple[str, bytes]]:
        """Every sealed second factor with its user's id."""
        with self._database.read() as connection:
            query = select(_USERS.id, _USERS.totp_sealed).where(_USERS.totp_sealed.is_not(None)).order_by(_USERS.id)
            rows = connection.execute(query).all()
        yield from ((row.id, bytes(row.totp_sealed)) for row in rows)

    def reseal(self, user_id: str, before: bytes, after: bytes) -> bool:
        """Replace a sealed second factor by the same one sealed again, unless it was changed meanwhile."""
        with self._database.write() as connection:
            same = update(schema.users).where(_USERS.id == user_id, _USERS.totp_sealed == before)
            return connection.execute(same.values(totp_sealed=after)).rowcount == 1

    # Tickets

    def add_ticket(
        self, kind: TicketKind, user_id: str, token_sha256: bytes, expires_at: datetime, *, now: datetime, actor: str
    ) -> None:
        """Keep a ticket; earlier ones of the kind for the same person end, and so does what is past its time."""
        with audited(self._database) as write:
            _locked(write.connection, user_id)
            mine = (_TICKETS.user_id == user_id) & (_TICKETS.kind == kind.value)
            if kind in _TOLD_TICKETS:
                write.connection.execute(delete(schema.tickets).where(mine))
                _tell(write, _TOLD_TICKETS[kind], user_id, actor, {"expires_at": expires_at})
            write.connection.execute(delete(schema.tickets).where(_TICKETS.expires_at < now))
            row = {"kind": kind.value, "user_id": user_id, "token_sha256": token_sha256, "expires_at": expires_at}
            write.connection.execute(insert(schema.tickets), row)

    def ticket_user(self, kind: TicketKind, token_sha256: bytes, now: datetime) -> str | None:
        """Whose ticket it is, if it is one of that kind and still good."""
        with self._database.read() as connection:
            return connection.execute(_good_ticket(kind, token_sha256, now)).scalar_one_or_none()

    def take_ticket(self, kind: TicketKind, token_sha256: bytes, now: datetime) -> str | None:
        """Use a ticket up: whose it was, once; None ever after."""
        with self._database.write() as connection:
            good = delete(schema.tickets).where(
                _TICKETS.token_sha256 == token_sha256, _TICKETS.kind == kind.value, _TICKETS.expires_at > now
            )
            return connection.execute(good.returning(_TICKETS.user_id)).scalar_one_or_none()


def _good_ticket(kind: TicketKind, token_sha256: bytes, now: datetime) -> Select[Any]:
    return select(_TICKETS.user_id).where(
        _TICKETS.token_sha256 == token_sha256, _TICKETS.kind == kind.value, _TICKETS.expires_at > now
    )


def _query(*more: Any) -> Select[Any]:  # noqa: ANN401 - columns
    count = select(func.count()).where(_CODES.user_id == _USERS.id).scalar_subquery()
    identities = select(func.count()).where(_IDENTITIES.user_id == _USERS.id).scalar_subquery()
    return select(
        _USERS.id,
        _USERS.name,
        _USERS.email,
        _USERS.roles,
        _USERS.bank_ids,
        _USERS.created_at,
        _USERS.disabled_at,
        _USERS.password_hash.is_not(None).label("has_password"),
        _USERS.totp_sealed.is_not(None).label("has_totp"),
        count.label("recovery_code_count"),
        identities.label("identity_count"),
        *more,
    )


def _one(connection: Connection, query: Select[Any], wanted: str) -> Row[Any]:
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no user {wanted[:100]!r}", hint="`baken user list` shows the users")
    return row


def _locked(connection: Connection, user_id: str) -> Row[Any]:
    return _one(connection, select(schema.users).where(_USERS.id == user_id).with_for_update(), user_id)


def _user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        name=row.name,
        email=row.email,
        roles=frozenset(Role(role) for role in row.roles),
        bank_ids=None if row.bank_ids is None else frozenset(row.bank_ids),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        has_password=bool(row.has_password),
        has_totp=bool(row.has_totp),
        recovery_code_count=row.recovery_code_count,
        identity_count=row.identity_count,
    )


def _check_an_admin_is_left(connection: Connection, before: Row[Any]) -> None:
    """Refuse to lose the last person who may change users."""
    if Role.ADMIN.value not in before.roles or before.disabled_at is not None:
        return
    rows = connection.execute(select(schema.users).where(_USERS.disabled_at.is_(None)).order_by(_USERS.id))
    if not any(Role.ADMIN.value in row.roles for row in rows):
        message = f"{before.name!r} is the last administrator, and nobody would be left who may change users"
        raise ConflictError(message, hint="nothing was changed; make another administrator first")


def _tell_change(write: AuditedWrite, user_id: str, before: Row[Any], values: dict[str, Any], actor: str) -> None:
    facts: dict[str, Any] = {
        name: {"before": getattr(before, name), "now": values[name]} for name in ("roles", "bank_ids") if name in values
    }
    if "email" in values:
        facts["email"] = "changed"  # what it is has no place in a log that cannot be erased
    if facts:
        _tell(write, "user.changed", user_id, actor, facts)
    if "disabled_at" in values:
        _tell(write, "user.enabled" if values["disabled_at"] is None else "user.disabled", user_id, actor, {})


def _replace_codes(connection: Connection, user_id: str, digests: Sequence[bytes]) -> None:
    connection.execute(delete(schema.recovery_codes).where(_CODES.user_id == user_id))
    if digests:
        connection.execute(
            insert(schema.recovery_codes), [{"digest": digest, "user_id": user_id} for digest in digests]
        )


def _end_everything(write: AuditedWrite, user_id: str, *, keep_session: str | None = None) -> None:
    write.connection.execute(delete(schema.tickets).where(_TICKETS.user_id == user_id))
    others = update(schema.sessions).where(_SESSIONS.user_id == user_id, _SESSIONS.ended_at.is_(None))
    if keep_session is not None:
        others = others.where(_SESSIONS.id != keep_session)
    write.connection.execute(others.values(ended_at=write.at))


def _tell(write: AuditedWrite, kind: str, user_id: str, actor: str, facts: dict[str, Any]) -> None:
    write.tell(NewEvent(kind, actor, f"user:{user_id}", facts))
