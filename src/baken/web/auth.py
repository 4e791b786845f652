"""Who may ask: bearer keys, and which scope a path needs. Every path is closed unless it is named here as open."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from starlette.requests import Request

from baken.model import ApiKey, Scope

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Answered without a key, because load balancers and orchestrators ask them."""

BROWSER_PREFIXES = ("/docs", "/openapi.json")
"""Where a browser may send the key as the password of HTTP Basic: read-only, so a forged request gains nothing."""

CONSOLE_PREFIX = "/console"

SCOPES = (
    ("/v1/screenings", Scope.SCREEN),
    ("/v1/lookups", Scope.LOOKUP),
    ("/v1/banks", Scope.BANKS),
    ("/v1/notices", Scope.BANKS),
    ("/v1/cases", Scope.CASES),
    ("/v1/actions", Scope.CASES),
    ("/v1", Scope.ADMIN),
)
"""The scope each part of the API needs, first hit wins: what is added under /v1 without a line here is for `admin`.
Paths outside /v1 (metrics, documentation, and whatever does not exist) need any valid key."""


def actor_of(request: Request) -> str:
    """Who asks, for the record: the key that the edge has checked."""
    key: ApiKey = request.scope["baken.key"]
    return f"key:{key.id}"


def is_open(path: str) -> bool:
    """Whether a path is answered without a key: some of operations, and the console, which looks at sessions itself."""
    return path in OPEN_PATHS or _is_under(path, CONSOLE_PREFIX)


def offers_basic(path: str) -> bool:
    """Whether a path takes HTTP Basic with the key as password."""
    return any(_is_under(path, prefix) for prefix in BROWSER_PREFIXES)


def scope_for(path: str) -> Scope | None:
    """The scope a path needs; None means that any valid key will do."""
    return next((scope for prefix, scope in SCOPES if _is_under(path, prefix)), None)


def secret_in(headers: Sequence[tuple[bytes, bytes]], path: str) -> str | None:
    """The key's secret from the `Authorization` header, or None when there is none, or more than one."""
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, credentials = given[0].decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic" and offers_basic(path):
        return _password(credentials.strip())
    return None


def _password(credentials: str) -> str | None:
    try:
        text = base64.b64decode(credentials, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return text.partition(":")[2]


def _is_under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")
