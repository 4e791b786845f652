"""ID tokens: what an identity provider says of a person who signed in there, checked before a word of it is believed.

The rules are those of OpenID Connect Core 1.0, 3.1.3.7. A signature is only taken by an algorithm of the list below,
all of which need the provider's private key: with `none` there is none, and with `HS256` whoever knows our secret, or
takes the provider's public key for one, could write tokens.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from baken.errors import NotAuthenticatedError

SigningKey = RSAKey | ECKey

ALGORITHMS = ("RS256", "PS256", "ES256")
LEEWAY = timedelta(seconds=60)
"""How far the provider's clock may be from ours."""

MAX_AGE = timedelta(minutes=10)
"""How old a token may be that was asked for just now."""

_MIN_RSA_BITS = 2048
_MAX_SUBJECT_CHARACTERS = 255  # OpenID Connect Core 1.0, 2
_KEY_TYPE_OF: Mapping[str, type[SigningKey]] = {"RS256": RSAKey, "PS256": RSAKey, "ES256": ECKey}
_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
"""Header fields that we do not know are left alone, as RFC 7515 asks; those it calls critical are not."""


class UnknownKeyError(NotAuthenticatedError):
    """No key that the provider has published, as far as we know, signed the token: it may have new ones."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say."""

    issuer: str
    client_id: str
    nonce: str


@dataclass(frozen=True, slots=True)
class IdClaims:
    """What a checked token says.

    Attributes:
        subject: the provider's name for the person, which never becomes somebody else's.
        verified_email: the person's address, where the provider says that it has made sure of it.
        amr: how the provider had the person proved (RFC 8176).
        acr: how well, in words of the provider's own.
    """

    subject: str
    verified_email: str | None
    amr: frozenset[str]
    acr: str | None


def claims_of(token: str, keys: Iterable[SigningKey], expected: Expected, now: datetime) -> IdClaims:
    """Check a token and say what it says.

    Raises:
        NotAuthenticatedError: it is not what it must be; the message says which rule it breaks, and nothing it holds.
        UnknownKeyError: none of the keys made its signature.
    """
    claims = _signed_claims(token, keys)
    if claims.get("iss") != expected.issuer:
        raise _refused("it is of another issuer")
    audience = claims.get("aud")
    if audience not in (expected.client_id, [expected.client_id]):
        raise _refused("it is for somebody else, or not for us alone")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise _refused("it was given to somebody else")
    _check_times(claims, now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise _refused("it does not belong to this sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT_CHARACTERS or not subject.isprintable():
        raise _refused("it names nobody")
    email, acr, amr = claims.get("email"), claims.get("acr"), claims.get("amr")
    return IdClaims(
        subject=subject,
        verified_email=email if isinstance(email, str) and email and claims.get("email_verified") is True else None,
        amr=frozenset(each for each in amr if isinstance(each, str)) if isinstance(amr, list) else frozenset(),
        acr=acr if isinstance(acr, str) else None,
    )


def _signed_claims(token: str, keys: Iterable[SigningKey]) -> Mapping[str, Any]:
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError) as error:
        raise _refused("it is no signed token") from error
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise _refused(f"it is not signed by one of {', '.join(ALGORITHMS)}")
    kid = header.get("kid")
    for key in keys:
        is_named = kid is None or key.kid in (None, kid)
        if is_named and isinstance(key, _KEY_TYPE_OF[algorithm]) and _may_sign(key, algorithm):
            try:
                return jwt.decode(token, key, registry=_REGISTRY).claims
            except (JoseError, ValueError):
                continue
    message = "the ID token was refused: none of the provider's keys made its signature"
    raise UnknownKeyError(message, hint=_HINT)


def _may_sign(key: SigningKey, algorithm: str) -> bool:
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    public = key.public_key
    return not isinstance(public, RSAPublicKey) or public.key_size >= _MIN_RSA_BITS


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    at = now.timestamp()
    leeway = LEEWAY.total_seconds()
    expires, issued, begins = (_time(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None or (begins is None and "nbf" in claims):
        raise _refused("it does not say from when and until when it is good")
    if at >= expires + leeway:
        raise _refused("it is past its time; compare the clocks of both machines")
    if max(issued, begins or 0) > at + leeway:
        raise _refused("it is from the future; compare the clocks of both machines")
    if at - issued > MAX_AGE.total_seconds() + leeway:
        raise _refused("it is older than the sign-in")


def _time(value: object) -> float | None:
    """Seconds since 1970; None for what is no number that can be compared."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


_HINT = "Sign in again; if it happens again, the operator's log and docs/how-to/single-sign-on.md say more."


def _refused(why: str) -> NotAuthenticatedError:
    return NotAuthenticatedError(f"the ID token was refused: {why}", hint=_HINT)
