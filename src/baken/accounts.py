"""People who sign in: their accounts, sessions and roles, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from baken.errors import InvalidValueError


class Role(StrEnum):
    """What a person does here; `permissions.py` says what each may do. A person may have several."""

    ADMIN = "admin"
    CURATOR = "curator"
    REVIEWER = "reviewer"
    LEAD = "lead"
    AUDITOR = "auditor"


class SignInMethod(StrEnum):
    """How a session began."""

    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"
    SET_UP = "set_up"
    ONCE = "once"
    ONCE_FACTOR = "once_factor"
    PROVIDER = "provider"
    PROVIDER_FACTOR = "provider_factor"


TWO_FACTOR_METHODS = frozenset(
    {SignInMethod.TOTP, SignInMethod.RECOVERY_CODE, SignInMethod.ONCE_FACTOR, SignInMethod.PROVIDER_FACTOR}
)
"""The ways to sign in that prove two things: what a person knows, and what the person has."""


class TicketKind(StrEnum):
    """What a ticket, a random secret that is taken once and only for a while, is good for."""

    SET_UP = "set_up"
    SECOND_FACTOR = "second_factor"
    ONCE = "once"
    ONCE_SECOND_FACTOR = "once_second_factor"


@dataclass(frozen=True, slots=True)
class User:
    """A person's account, without anything secret.

    Attributes:
        id: `usr_` and random digits; what the audit log names.
        name: what the person signs in with; unique, whatever the case of its letters.
        email: where the person is reached, if anyone must.
        roles: what the person does here.
        bank_ids: the banks whose cases and entries the person may see; None for every bank, those to come included.
        created_at: when the account was made.
        disabled_at: since when it cannot be used, or None.
        has_password: whether a password was ever set.
        has_totp: whether a second factor is asked for.
        recovery_code_count: recovery codes that are left.
        identity_count: accounts at the identity provider with which the person may sign in.
    """

    id: str
    name: str
    email: str | None
    roles: frozenset[Role]
    bank_ids: frozenset[int] | None
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    has_totp: bool
    recovery_code_count: int
    identity_count: int = 0

    @property
    def actor(self) -> str:
        """How the audit log names the person."""
        return f"user:{self.id}"

    @property
    def can_sign_in(self) -> bool:
        """Whether there is anything to sign in with."""
        return self.disabled_at is None and (self.has_password or self.identity_count > 0)

    def reaches(self, bank_id: int) -> bool:
        """Whether the person may see what belongs to a bank, as far as the roles go."""
        return self.bank_ids is None or bank_id in self.bank_ids


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in is checked against; it leaves `people.py` nowhere.

    Attributes:
        user: whose.
        password_hash: Argon2id, in its own text form, or None.
        totp_sealed: the sealed secret of the second factor, or None.
    """

    user: User
    password_hash: str | None
    totp_sealed: bytes | None


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. Of its token only the SHA-256 is kept.

    Attributes:
        id: names it in lists and in the audit log; it opens nothing.
        user_id: whose.
        method: how it began.
        created_at: when it began.
        last_seen_at: when it was last used, to the minute.
        expires_at: when it ends, used or not.
        ended_at: when it was ended before that, or None.
        address: from where it began, so that its owner knows it again.
        agent: what the browser says of itself, cut.
    """

    id: str
    user_id: str
    method: SignInMethod
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    address: str | None
    agent: str | None

    @property
    def has_second_factor(self) -> bool:
        """Whether two things were proved when it began, or since."""
        return self.method in TWO_FACTOR_METHODS

    @property
    def is_begun_by_link(self) -> bool:
        """Whether a one-time link stood for the password."""
        return self.method in {SignInMethod.ONCE, SignInMethod.ONCE_FACTOR}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a person is at an identity provider: its name for itself, and its name for the person."""

    issuer: str
    subject: str
    user_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderVisit:
    """What is kept of a sign-in that went to the identity provider, until it comes back.

    Attributes:
        nonce: what the ID token must repeat.
        code_verifier: what proves to the provider that its code came to whoever asked for it (PKCE, RFC 7636).
    """

    nonce: str
    code_verifier: str


def check_email(email: str | None) -> str | None:
    """The address without spaces around it; None for none.

    Raises:
        InvalidValueError: it cannot be one.
    """
    text = (email or "").strip()
    if not text:
        return None
    local, at, domain = text.rpartition("@")
    if not (local and at and domain) or len(text) > 254 or not text.isprintable() or " " in text:  # noqa: PLR2004 - RFC 5321
        message = f"the address {text[:80]!r} is not of the form name@domain"
        raise InvalidValueError(message, hint="Give an address where the person is reached, or none.")
    return text
