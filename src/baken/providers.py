"""Signing in with an account at the operator's identity provider: OpenID Connect, authorization code with PKCE.

    begin -> (the browser goes to the provider and comes back) -> finish -> people.sign_in_from_provider

Nobody gets an account here by having one there: an administrator links the two. A sign-in comes back to the browser
that began it (`state`, also in a cookie), once; its token belongs to it (`nonce`), and its code is worth nothing to
whoever else sees it (PKCE).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

from baken.accounts import Identity, ProviderVisit
from baken.errors import ConflictError, NotAuthenticatedError
from baken.people import Browser, NotLinked, People, SecondFactorWanted, SignedIn
from baken.providers_http import Client, ProviderClient
from baken.providers_tokens import Expected, IdClaims, UnknownKeyError, claims_of
from baken.store import Store

VISIT_LIFETIME = timedelta(minutes=10)

LINKER = "baken"
"""Who links where `links_by_email` is on: nobody did."""

_MULTI_FACTOR = "mfa"  # RFC 8176, 2
_ERROR_CODE = re.compile(r"[a-z_]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Trust:
    """What the operator lets the provider decide.

    Attributes:
        is_second_factor: whether every sign-in there counts as one with a second factor.
        second_factor_acr: the `acr` that says that a sign-in was one, which is then asked for; or None.
        links_by_email: whether an account here is linked by its address when the provider has made sure of it.
    """

    is_second_factor: bool = False
    second_factor_acr: str | None = None
    links_by_email: bool = False


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser is to go, and the state that it must bring back, in its address and in its cookie."""

    address: str
    state: str


@dataclass(frozen=True, slots=True)
class Return:
    """What a browser brings back: the parameters of the address, and the state in its cookie."""

    cookie_state: str | None
    state: str | None = None
    code: str | None = None
    error: str | None = None
    issuer: str | None = None


class Provider:
    """Sign-ins with one identity provider."""

    def __init__(
        self,
        store: Store,
        client: Client,
        trust: Trust,
        *,
        name: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.issuer = client.issuer
        self.name = name or urlsplit(client.issuer).hostname or client.issuer
        self._store = store
        self._client = client
        self._trust = trust
        self._now = now
        self._http = ProviderClient(client)

    def begin(self) -> Departure:
        """Keep what a sign-in will be checked against, and say where the browser is to go.

        Raises:
            ProviderError: the provider does not answer.
        """
        endpoint = self._http.metadata().authorization_endpoint
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        now = self._now()
        visit = ProviderVisit(nonce, verifier)
        self._store.identities.add_visit(_digest(state), visit, now + VISIT_LIFETIME, now=now)
        asked = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._client.redirect_uri,
            "scope": "openid email" if self._trust.links_by_email else "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        if self._trust.second_factor_acr is not None:
            asked["acr_values"] = self._trust.second_factor_acr
        return Departure(f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}", state)

    def finish(self, returned: Return) -> IdClaims:
        """Who came back, as the provider says.

        Raises:
            NotAuthenticatedError: it is no sign-in that this browser began, it was finished or given up before, or the
                provider's answer breaks a rule.
            ProviderError: the provider does not answer.
        """
        visit = self._visit(returned)
        metadata = self._http.metadata()
        if (returned.issuer is None and metadata.names_itself) or returned.issuer not in (None, self.issuer):
            raise _refused("the answer is of another provider")  # RFC 9207
        if returned.error is not None:
            code = returned.error if _ERROR_CODE.fullmatch(returned.error) else "an error"
            raise _refused(f"the provider said {code}")
        if not returned.code:
            raise _refused("there is no code in the answer")
        token = self._http.redeem(returned.code, visit.code_verifier)
        expected = Expected(self.issuer, self._client.client_id, visit.nonce)
        try:
            return claims_of(token, self._http.keys(), expected, self._now())
        except UnknownKeyError:
            return claims_of(token, self._http.keys(again=True), expected, self._now())

    def enter(self, people: People, claims: IdClaims, browser: Browser) -> SignedIn | SecondFactorWanted | NotLinked:
        """Begin the session of whoever is linked with what the provider says; whom to link where nobody is.

        Raises:
            NotAuthenticatedError: the person's account cannot be used.
        """
        entered = people.sign_in_from_provider(
            self.issuer, claims.subject, is_two_factor=self._is_two_factor(claims), browser=browser
        )
        if isinstance(entered, NotLinked) and self._link_by_email(claims):
            return self.enter(people, claims, browser)
        return entered

    def _visit(self, returned: Return) -> ProviderVisit:
        state, own = returned.state or "", returned.cookie_state or ""
        if not state or not hmac.compare_digest(_digest(state), _digest(own)):
            raise _refused("this browser did not begin it")
        visit = self._store.identities.take_visit(_digest(state), self._now())
        if visit is None:
            raise _refused("it was finished before, or took too long")
        return visit

    def _is_two_factor(self, claims: IdClaims) -> bool:
        if self._trust.is_second_factor or _MULTI_FACTOR in claims.amr:
            return True
        return self._trust.second_factor_acr is not None and claims.acr == self._trust.second_factor_acr

    def _link_by_email(self, claims: IdClaims) -> bool:
        """Link the one active account with the address, if it has no other link; whether that was done."""
        if not self._trust.links_by_email or claims.verified_email is None:
            return False
        wanted = claims.verified_email.casefold()
        users = [user for user in self._store.people.all() if (user.email or "").casefold() == wanted]
        if len(users) != 1 or users[0].disabled_at is not None or users[0].identity_count:
            return False
        identity = Identity(self.issuer, claims.subject, users[0].id, self._now())
        try:
            self._store.identities.link(identity, actor=LINKER)
        except ConflictError:
            return False
        return True


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode("ascii").rstrip("=")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _refused(why: str) -> NotAuthenticatedError:
    return NotAuthenticatedError(f"the sign-in at the provider was refused: {why}", hint="Sign in again.")
