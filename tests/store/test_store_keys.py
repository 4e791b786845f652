"""API keys at rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from store_samples import START, digest

from baken.errors import ConflictError, InvalidValueError, NotFoundError
from baken.model import ApiKey, Scope
from baken.store import Store

KEY = ApiKey(
    id="key_1",
    name="upload service",
    scopes=frozenset({Scope.SCREEN, Scope.LOOKUP}),
    created_at=START,
    expires_at=START + timedelta(days=90),
    revoked_at=None,
)


def test_a_key_is_found_by_the_digest_of_its_secret_only(store: Store):
    store.create_key(KEY, digest(1), actor="alice")

    assert store.key_by_secret(digest(1)) == KEY
    assert store.key_by_secret(digest(2)) is None
    assert store.keys() == [KEY]


def test_a_revoked_or_expired_key_is_returned_as_it_is(store: Store):
    expired = replace(KEY, id="key_2", expires_at=START - timedelta(days=1), created_at=START + timedelta(days=1))
    store.create_key(KEY, digest(1), actor="alice")
    store.create_key(expired, digest(2), actor="alice")
    before = datetime.now(UTC)

    revoked = store.revoke_key("key_1", actor="bob")

    assert revoked.revoked_at is not None
    assert before <= revoked.revoked_at <= datetime.now(UTC)
    assert store.key_by_secret(digest(1)) == revoked
    assert store.key_by_secret(digest(2)) == expired
    assert store.keys() == [revoked, expired]


def test_the_first_revocation_counts(store: Store):
    store.create_key(KEY, digest(1), actor="alice")
    first = store.revoke_key("key_1", actor="bob")
    seq = store.head_seq()

    assert store.revoke_key("key_1", actor="carol") == first
    assert store.head_seq() == seq


def test_followers_hear_of_every_change_of_a_key(store: Store):
    store.create_key(KEY, digest(1), actor="alice")
    store.revoke_key("key_1", actor="bob")

    assert [(change.kind, change.bank_id) for change in store.changes_since(0)] == [("key", None), ("key", None)]


@pytest.mark.parametrize(("key_id", "secret"), [("key_1", 2), ("key_2", 1)])
def test_neither_id_nor_secret_is_given_twice(store: Store, key_id: str, secret: int):
    store.create_key(KEY, digest(1), actor="alice")

    with pytest.raises(ConflictError):
        store.create_key(replace(KEY, id=key_id), digest(secret), actor="alice")

    assert store.keys() == [KEY]


def test_an_unknown_key_cannot_be_revoked(store: Store):
    with pytest.raises(NotFoundError, match="key_9"):
        store.revoke_key("key_9", actor="bob")


def test_a_time_without_zone_is_refused(store: Store):
    with pytest.raises(InvalidValueError, match="no time zone"):
        store.create_key(replace(KEY, created_at=START.replace(tzinfo=None)), digest(1), actor="alice")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00"])
def test_a_time_that_utc_does_not_have_is_refused(store: Store, text: str):
    with pytest.raises(InvalidValueError, match="before the year 1 or after the year 9999"):
        store.create_key(replace(KEY, created_at=datetime.fromisoformat(text)), digest(1), actor="alice")
