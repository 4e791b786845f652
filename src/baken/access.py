"""API keys: making, checking and revoking them. The secret is shown once and only its SHA-256 is kept.

A key is 256 random bits, so a plain digest at rest suffices: there is nothing to guess, and a slow password hash would
cost every request (OWASP Password Storage Cheat Sheet speaks of low-entropy secrets).
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from baken.errors import InvalidValueError, NotAuthenticatedError, NotAuthorisedError
from baken.model import ApiKey, Scope
from baken.store import Store

SECRET_PREFIX = "baken_"  # noqa: S105 - a prefix that secret scanners can look for, not a secret
_CACHE_LIMIT = 10_000


def create_key(
    store: Store, name: str, scopes: frozenset[Scope], *, actor: str, lifetime: timedelta | None = None
) -> tuple[ApiKey, str]:
    """Make a key and return it with its secret, which cannot be shown again.

    Raises:
        InvalidValueError: the name is empty or over 100 characters, or no scope is given.
    """
    if not 0 < len(name.strip()) <= 100:  # noqa: PLR2004 - the column's width
        message = f"key name is {name[:80]!r}, expected 1 to 100 characters"
        raise InvalidValueError(message, hint="Name who uses it, `upload-gate` for example.")
    if not scopes:
        message = "a key without a scope can do nothing"
        raise InvalidValueError(message, hint=f"Give one or more of {', '.join(Scope)}.")
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    expires_at = None if lifetime is None else now + lifetime
    key = ApiKey(f"key_{secrets.token_hex(6)}", name.strip(), scopes, now, expires_at, None)
    store.create_key(key, digest_secret(secret), actor=actor)
    return key, secret


def digest_secret(secret: str) -> bytes:
    """What is stored of a key's secret: 32 bytes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


class Authenticator:
    """Checks bearer secrets; remembers good ones until the database changes, so that a revoked key fails at once."""

    def __init__(self, store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._now = now
        self._cache: dict[bytes, ApiKey] = {}
        self._seq = -1
        self._lock = threading.Lock()

    def authenticate(self, secret: str | None, scope: Scope | None = None) -> ApiKey:
        """Return the key of `secret` if it is valid and allows `scope`.

        Raises:
            NotAuthenticatedError: no secret was given, or it is unknown, expired or revoked.
            NotAuthorisedError: the key lacks the scope.
        """
        if not secret:
            raise NotAuthenticatedError(
                "no API key was given", hint="Send `Authorization: Bearer …`; `baken key create` makes a key."
            )
        key = self._find(digest_secret(secret))
        if key is None or key.revoked_at is not None or self._is_expired(key):
            raise NotAuthenticatedError(
                "the API key is unknown, expired or revoked", hint="`baken key list` shows the keys that are valid."
            )
        if scope is not None and not key.allows(scope):
            message = (
                f"the key {key.name!r} has the scopes {', '.join(sorted(key.scopes))}, and this needs {scope.value}"
            )
            raise NotAuthorisedError(message, hint="Use a key with that scope; `baken key create --scope` makes one.")
        return key

    def _is_expired(self, key: ApiKey) -> bool:
        return key.expires_at is not None and key.expires_at <= self._now()

    def _find(self, secret_sha256: bytes) -> ApiKey | None:
        # The head is read before the key: a key revoked between the two is cached under the older number and dropped
        # at the next request, never kept past it.
        head = self._store.head_seq()
        with self._lock:
            if head != self._seq or len(self._cache) > _CACHE_LIMIT:
                self._cache.clear()
                self._seq = head
            key = self._cache.get(secret_sha256)
        if key is not None:
            return key
        key = self._store.key_by_secret(secret_sha256)
        if key is not None:
            with self._lock:
                if self._seq == head:
                    self._cache[secret_sha256] = key
        return key
