"""Accounts at the identity provider at rest: who may sign in with which, and sign-ins that are still there."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select

from baken.accounts import Identity, ProviderVisit
from baken.audit import NewEvent
from baken.errors import ConflictError, NotFoundError
from baken.store import schema, schema_review
from baken.store.audit import AuditedWrite, audited
from baken.store.engine import Database

_USERS = schema.users.c
_IDENTITIES = schema_review.identities.c
_VISITS = schema_review.provider_visits.c


class IdentityRows:
    """Identities and visits; `Store.identities`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def link(self, identity: Identity, *, actor: str) -> None:
        """Let a person sign in with an account at the provider. Linking the same again does nothing.

        Raises:
            ConflictError: somebody else signs in with it.
            NotFoundError: there is no such user.
        """
        with audited(self._database) as write:
            user = select(_USERS.id).where(_USERS.id == identity.user_id).with_for_update()
            if write.connection.execute(user).first() is None:
                raise NotFoundError(f"there is no user {identity.user_id!r}", hint="`baken user list` shows the users")
            owner = write.connection.execute(_who(identity.issuer, identity.subject)).scalar_one_or_none()
            if owner == identity.user_id:
                return
            if owner is not None:
                message = f"another user already signs in as {identity.subject[:100]!r} at {identity.issuer}"
                raise ConflictError(message, hint="unlink it there first; `baken user list` shows who is linked")
            row = {
                "issuer": identity.issuer,
                "subject": identity.subject,
                "user_id": identity.user_id,
                "created_at": identity.created_at,
            }
            write.connection.execute(insert(schema_review.identities), row)
            _tell(write, "user.identity_linked", identity, actor)

    def unlink(self, identity: Identity, *, actor: str) -> None:
        """Let nobody sign in with an account at the provider any more.

        Raises:
            NotFoundError: the person is not linked with it.
        """
        with audited(self._database) as write:
            mine = delete(schema_review.identities).where(
                _IDENTITIES.issuer == identity.issuer,
                _IDENTITIES.subject == identity.subject,
                _IDENTITIES.user_id == identity.user_id,
            )
            if write.connection.execute(mine).rowcount != 1:
                message = f"the user is not linked with {identity.subject[:100]!r} at {identity.issuer}"
                raise NotFoundError(message, hint="`baken user show NAME` says with which")
            _tell(write, "user.identity_unlinked", identity, actor)

    def user_id(self, issuer: str, subject: str) -> str | None:
        """Who signs in with an account at the provider; None for nobody."""
        with self._database.read() as connection:
            return connection.execute(_who(issuer, subject)).scalar_one_or_none()

    def of_user(self, user_id: str) -> list[Identity]:
        """The accounts with which a person may sign in, the oldest first."""
        query = select(schema_review.identities).where(_IDENTITIES.user_id == user_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_IDENTITIES.created_at, _IDENTITIES.subject))
            return [_identity(row) for row in rows]

    def all(self) -> list[Identity]:
        """Every link there is, by user."""
        query = select(schema_review.identities).order_by(_IDENTITIES.user_id, _IDENTITIES.created_at)
        with self._database.read() as connection:
            return [_identity(row) for row in connection.execute(query)]

    # Sign-ins that are at the provider

    def add_visit(self, state_sha256: bytes, visit: ProviderVisit, expires_at: datetime, *, now: datetime) -> None:
        """Keep a visit; those past their time are forgotten."""
        row = {
            "state_sha256": state_sha256,
            "nonce": visit.nonce,
            "code_verifier": visit.code_verifier,
            "expires_at": expires_at,
        }
        with self._database.write() as connection:
            connection.execute(delete(schema_review.provider_visits).where(_VISITS.expires_at < now))
            connection.execute(insert(schema_review.provider_visits), row)

    def take_visit(self, state_sha256: bytes, now: datetime) -> ProviderVisit | None:
        """Use a visit up: once, within its time; None ever after, whoever asks at the same time."""
        with self._database.write() as connection:
            mine = delete(schema_review.provider_visits).where(
                _VISITS.state_sha256 == state_sha256, _VISITS.expires_at > now
            )
            row = connection.execute(mine.returning(_VISITS.nonce, _VISITS.code_verifier)).one_or_none()
        return None if row is None else ProviderVisit(row.nonce, row.code_verifier)


def _who(issuer: str, subject: str) -> Any:  # noqa: ANN401 - a statement
    return select(_IDENTITIES.user_id).where(_IDENTITIES.issuer == issuer, _IDENTITIES.subject == subject)


def _identity(row: Row[Any]) -> Identity:
    return Identity(row.issuer, row.subject, row.user_id, row.created_at)


def _tell(write: AuditedWrite, kind: str, identity: Identity, actor: str) -> None:
    # Some providers' names for people are their e-mail addresses, which have no place in a log that cannot be erased.
    facts = {"issuer": identity.issuer, "subject_sha256": hashlib.sha256(identity.subject.encode()).hexdigest()}
    write.tell(NewEvent(kind, actor, f"user:{identity.user_id}", facts))
