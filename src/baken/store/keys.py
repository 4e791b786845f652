"""API keys at rest: a digest of the secret, never the secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from baken.audit import NewEvent
from baken.errors import NotFoundError
from baken.model import ApiKey, Scope
from baken.store import schema
from baken.store.changes import mutation
from baken.store.engine import Database

_KEYS = schema.api_keys.c


def create_key(database: Database, key: ApiKey, secret_sha256: bytes, *, actor: str) -> None:
    """Keep a new key; see `Store.create_key`."""
    row = {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(scope.value for scope in key.scopes),
        "secret_sha256": secret_sha256,
        "created_at": key.created_at,
        "created_by": actor,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
    with mutation(database) as change:
        change.connection.execute(insert(schema.api_keys), row)
        change.log("key")
        facts = {"name": key.name, "scopes": row["scopes"], "expires_at": key.expires_at}
        change.tell(NewEvent("key.created", actor, f"key:{key.id}", facts))


def revoke_key(database: Database, key_id: str, *, actor: str) -> ApiKey:
    """Revoke a key for good; see `Store.revoke_key`."""
    with mutation(database) as change:
        key = _key_by_id(change.connection, key_id)
        if key.revoked_at is not None:
            return key
        values = {"revoked_at": datetime.now(UTC), "revoked_by": actor}
        change.connection.execute(update(schema.api_keys).where(_KEYS.id == key_id).values(values))
        change.log("key")
        change.tell(NewEvent("key.revoked", actor, f"key:{key_id}", {"name": key.name}))
        return _key_by_id(change.connection, key_id)


def list_keys(database: Database) -> list[ApiKey]:
    """Every key, oldest first."""
    with database.read() as connection:
        return [_key(row) for row in connection.execute(select(schema.api_keys).order_by(_KEYS.created_at, _KEYS.id))]


def key_by_secret(database: Database, secret_sha256: bytes) -> ApiKey | None:
    """The key with this secret; see `Store.key_by_secret`."""
    with database.read() as connection:
        row = connection.execute(select(schema.api_keys).where(_KEYS.secret_sha256 == secret_sha256)).one_or_none()
    return None if row is None else _key(row)


def _key_by_id(connection: Connection, key_id: str) -> ApiKey:
    row = connection.execute(select(schema.api_keys).where(_KEYS.id == key_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no key {key_id!r}", hint="`baken key list` shows the keys")
    return _key(row)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
