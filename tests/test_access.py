"""API keys: shown once, hashed at rest, revoked at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from baken.access import Authenticator, create_key, digest_secret
from baken.errors import InvalidValueError, NotAuthenticatedError, NotAuthorisedError
from baken.model import Scope
from baken.store import Store

SCREEN = frozenset({Scope.SCREEN})


def test_a_key_authenticates_for_its_scope(store: Store):
    key, secret = create_key(store, "gate", SCREEN, actor="test")
    assert Authenticator(store).authenticate(secret, Scope.SCREEN).id == key.id


def test_the_secret_is_not_in_the_database(store: Store):
    _, secret = create_key(store, "gate", SCREEN, actor="test")
    assert store.key_by_secret(secret.encode()) is None
    assert store.key_by_secret(digest_secret(secret)) is not None
    assert secret not in repr(store.keys())


def test_a_key_without_the_scope_is_known_and_refused(store: Store):
    _, secret = create_key(store, "gate", SCREEN, actor="test")
    with pytest.raises(NotAuthorisedError, match="needs banks"):
        Authenticator(store).authenticate(secret, Scope.BANKS)


def test_admin_may_do_everything(store: Store):
    _, secret = create_key(store, "root", frozenset({Scope.ADMIN}), actor="test")
    for scope in Scope:
        assert Authenticator(store).authenticate(secret, scope).name == "root"


@pytest.mark.parametrize("secret", [None, "", "baken_", "nonsense", "\udcff", "é" * 1000])
def test_anything_else_is_not_authenticated_and_not_echoed(store: Store, secret: str | None):
    with pytest.raises(NotAuthenticatedError) as caught:
        Authenticator(store).authenticate(secret, Scope.SCREEN)
    said = caught.value.message + caught.value.hint
    assert len(secret or "") < 7 or str(secret) not in said


def test_a_revoked_key_fails_on_the_next_request_of_a_process_that_had_cached_it(store: Store):
    key, secret = create_key(store, "gate", SCREEN, actor="test")
    authenticator = Authenticator(store)
    authenticator.authenticate(secret)
    store.revoke_key(key.id, actor="test")
    with pytest.raises(NotAuthenticatedError):
        authenticator.authenticate(secret)


def test_an_expired_key_fails(store: Store):
    _, secret = create_key(store, "gate", SCREEN, actor="test", lifetime=timedelta(days=1))
    later = datetime.now(UTC) + timedelta(days=2)
    Authenticator(store).authenticate(secret)
    with pytest.raises(NotAuthenticatedError):
        Authenticator(store, now=lambda: later).authenticate(secret)


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
def test_a_key_needs_a_name(store: Store, name: str):
    with pytest.raises(InvalidValueError, match="key name"):
        create_key(store, name, SCREEN, actor="test")


def test_a_key_needs_a_scope(store: Store):
    with pytest.raises(InvalidValueError, match="scope"):
        create_key(store, "gate", frozenset(), actor="test")
