"""Talking with an identity provider: what it says of itself, its keys, and the token for a code.

Nothing is asked but what the operator's setting and the document at that address name; no redirect is followed, and no
answer is read beyond a limit of bytes and of time. The provider's answers may hold tokens: no message repeats them.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import quote_plus, urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from baken.errors import NotAuthenticatedError, ProviderError
from baken.providers_tokens import SigningKey

T = TypeVar("T")

MAX_ANSWER_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 10.0
"""For a whole answer, from the connection to the last byte."""

_KEPT_SECONDS = 3600.0
_KEYS_AGAIN_SECONDS = 1.0
"""How soon the provider's keys are asked for again when none fits: it may have new ones, and a token may be junk."""

_HINT = "Try again; the name and password of this service go on working. The operator's log says what was wrong."


@dataclass(frozen=True, slots=True)
class Client:
    """How the provider knows us.

    Attributes:
        issuer: the provider's name for itself, which is its address too.
        client_id: our name there.
        client_secret: what proves that; None for a client without one, for which PKCE alone stands.
        redirect_uri: where it sends browsers back to.
    """

    issuer: str
    client_id: str
    client_secret: str | None
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What the provider says of itself (OpenID Connect Discovery 1.0)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    takes_basic: bool
    names_itself: bool


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    """What the provider said, and when it was asked."""

    asked_at: float
    value: T


class ProviderClient:
    """Asks one provider; thread-safe. What it says of itself is kept for an hour, and so are its keys.

    Nobody waits for what another thread asks: two may ask the same at once, and what comes last is kept.
    """

    def __init__(self, client: Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._metadata: _Kept[ProviderMetadata] | None = None
        self._keys: _Kept[list[SigningKey]] | None = None

    def metadata(self) -> ProviderMetadata:
        """What the provider says of itself.

        Raises:
            ProviderError: it does not answer, or says something that cannot be worked with.
        """
        kept, now = self._metadata, self._clock()
        if kept is None or now - kept.asked_at >= _KEPT_SECONDS:
            issuer = self._client.issuer
            address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            kept = self._metadata = _Kept(now, metadata_of(_json(_ask("GET", address), address), issuer))
        return kept.value

    def keys(self, *, again: bool = False) -> list[SigningKey]:
        """The keys with which the provider signs; `again` asks for them anew, unless that was done just now.

        Raises:
            ProviderError: it does not answer, or has no keys.
        """
        address = self.metadata().jwks_uri
        kept, now = self._keys, self._clock()
        if kept is None or now - kept.asked_at >= (_KEYS_AGAIN_SECONDS if again else _KEPT_SECONDS):
            kept = self._keys = _Kept(now, _key_set(_json(_ask("GET", address), address), address))
        return kept.value

    def redeem(self, code: str, code_verifier: str) -> str:
        """The ID token for a code.

        Raises:
            NotAuthenticatedError: the provider does not take the code.
            ProviderError: it does not answer, or not with a token.
        """
        metadata = self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._client.redirect_uri,
            "code_verifier": code_verifier,
        }
        headers = {}
        if self._client.client_secret is None:
            form["client_id"] = self._client.client_id
        elif metadata.takes_basic:
            headers["authorization"] = _basic(self._client.client_id, self._client.client_secret)
        else:
            form |= {"client_id": self._client.client_id, "client_secret": self._client.client_secret}
        address = metadata.token_endpoint
        try:
            answer = _json(_ask("POST", address, data=form, headers=headers), address)
        except _RefusedError as error:
            message = f"the identity provider did not take the code: status {error.status}"
            raise NotAuthenticatedError(message, hint="Sign in again; if it happens again, check secret and id.") from (
                error
            )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderError("the identity provider answered without an ID token", hint=_HINT)
        return token


class _RefusedError(ProviderError):
    """The provider answered with a status that says that we did something wrong."""

    status = 0


def is_acceptable(address: str, *, issuer: str | None = None) -> bool:
    """Whether an address of a provider may be asked: over TLS, or on this very machine.

    With an `issuer`, which may be asked itself, no worse an address than that: over TLS where it is, and on this
    machine only where it is, so that a provider elsewhere cannot have us ask what listens here.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.fragment or parts.scheme not in {"https", "http"}:
        return False
    is_here = _is_here(parts.hostname)
    if issuer is None:
        return parts.scheme == "https" or is_here
    named = urlsplit(issuer)
    if is_here and not _is_here(named.hostname or ""):
        return False
    return parts.scheme == "https" or (is_here and named.scheme == "http")


def _is_here(host: str) -> bool:
    """Whether a host is this very machine, as far as its name says."""
    host = host.removesuffix(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # `127.1`, as every resolver reads it
        except OSError:
            return host == "localhost" or host.endswith(".localhost")  # RFC 6761, 6.3
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified  # 0.0.0.0 leads to this machine too


def metadata_of(document: Mapping[str, Any], issuer: str) -> ProviderMetadata:
    """What a provider's document says.

    Raises:
        ProviderError: it is of another provider, or names an address that is not asked.
    """
    if document.get("issuer") != issuer:
        # Compared to the letter (OpenID Connect Discovery 1.0, 4.3): else one provider could speak for another.
        named = str(document.get("issuer"))[:200]
        message = f"the identity provider calls itself {named!r}, and the setting oidc_issuer {issuer!r}"
        raise ProviderError(message, hint="They must be the same to the letter.")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    takes_basic = isinstance(methods, list) and "client_secret_basic" in methods
    names_itself = document.get("authorization_response_iss_parameter_supported") is True
    authorization, token, keys = (
        _address_in(document, name, issuer) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
    )
    return ProviderMetadata(authorization, token, keys, takes_basic, names_itself)


def _address_in(document: Mapping[str, Any], name: str, issuer: str) -> str:
    address = document.get(name)
    if not isinstance(address, str) or not is_acceptable(address, issuer=issuer):
        message = (
            f"the identity provider's {name} is {str(address)[:200]!r}, expected an address with https,"
            " and one on this machine only from a provider on it"
        )
        raise ProviderError(message, hint=_HINT)
    return address


def _key_set(document: Mapping[str, Any], address: str) -> list[SigningKey]:
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise ProviderError(f"{address} answered without keys", hint=_HINT)
    found: list[SigningKey] = []
    for key in keys:
        try:
            found += [each for each in KeySet.import_key_set({"keys": [key]}) if isinstance(each, RSAKey | ECKey)]
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue  # a key of a kind that we do not know, beside those that we do
    return found


def _basic(client_id: str, client_secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"  # RFC 6749, 2.3.1
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


@functools.cache
def _tls() -> ssl.SSLContext:
    """The certificates that count; reading them takes 20 ms."""
    import httpx  # noqa: PLC0415 - see below

    return httpx.create_ssl_context()


def _ask(method: str, address: str, **given: Any) -> bytes:  # noqa: ANN401 - what httpx takes
    """The answer of an address; blocks up to the time limit, and a look-up of its name."""
    import httpx  # noqa: PLC0415 - it takes 70 ms to load, which every command would pay too

    try:
        return asyncio.run(_within_time(method, address, **given))
    except TimeoutError as error:
        raise ProviderError(f"{address} took longer than {TIMEOUT_SECONDS:g} s", hint=_HINT) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderError(f"{address} could not be asked: {error}", hint=_HINT) from error


async def _within_time(method: str, address: str, **given: Any) -> bytes:  # noqa: ANN401 - as above
    """The same. httpx limits each read alone: an answer that comes byte by byte would never be too late."""
    import httpx  # noqa: PLC0415 - as above

    headers = {"accept": "application/json", **given.pop("headers", {})}
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        httpx.AsyncClient(verify=_tls(), timeout=None) as client,  # noqa: S113 - the line above is the limit
        client.stream(method, address, headers=headers, **given) as answer,
    ):
        if answer.is_client_error and method == "POST":
            refused = _RefusedError(f"{address} answered with status {answer.status_code}", hint=_HINT)
            refused.status = answer.status_code
            raise refused
        if answer.status_code != HTTPStatus.OK:
            raise ProviderError(f"{address} answered with status {answer.status_code}", hint=_HINT)
        data = b""
        async for part in answer.aiter_bytes():
            data += part
            if len(data) > MAX_ANSWER_BYTES:
                raise ProviderError(f"{address} answered with more than {MAX_ANSWER_BYTES} bytes", hint=_HINT)
        return data


def _json(data: bytes, address: str) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ProviderError(f"{address} answered with something else than a JSON object", hint=_HINT)
    return document
