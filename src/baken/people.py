"""People signing in and out: passwords, sessions, invitations, links, and what a sign-in comes to step by step.

A session that proved one thing alone, where the operator asks for two, sets a second factor up and opens nothing else.

Whoever fails learns nothing but that: an unknown name, a wrong password, a disabled account and one without a password
get the same answer after the same work. Attempts are counted before they are made, in the database.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from baken.accounts import Credentials, Identity, Role, Session, SignInMethod, TicketKind, User, check_email
from baken.audit import NewEvent
from baken.errors import ConflictError, InvalidValueError, NotAuthenticatedError, NotFoundError
from baken.passwords import Passwords, check_password
from baken.people_attempts import Attempts
from baken.people_factors import SecondFactors
from baken.sealing import Sealer
from baken.store import Store

SET_UP_LIFETIME = timedelta(days=3)
SECOND_FACTOR_LIFETIME = timedelta(minutes=5)
LINK_LIFETIME = timedelta(minutes=15)

FRESH = timedelta(minutes=10)
"""How long after signing in a person need not prove again who it is, who has no password or came by a link instead."""

_TOUCH_INTERVAL = timedelta(minutes=1)
_SESSIONS_REMEMBERED = timedelta(days=30)

_MAX_NAME_CHARACTERS = 100
_MAX_SUBJECT_CHARACTERS = 255
_MAX_AGENT_CHARACTERS = 200
_MAX_ADDRESS_CHARACTERS = 45


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts: unused, and at all."""

    idle: timedelta = timedelta(hours=1)
    longest: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a sign-in comes from: the network address, and what the browser says of itself."""

    address: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session with its token, which is shown to the browser once and kept nowhere."""

    token: str
    session: Session


@dataclass(frozen=True, slots=True)
class SecondFactorWanted:
    """The password was right, and a code is wanted; the ticket proves the first half for some minutes."""

    ticket: str


@dataclass(frozen=True, slots=True)
class NotLinked:
    """The provider knows the person, and no account here is linked with that; an administrator needs the subject."""

    subject: str


class People:
    """Everything that people do with their accounts, and that administrators do with others'.

    Attributes:
        second_factors: those of everybody.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        passwords: Passwords,
        *,
        limits: SessionLimits = SessionLimits(),
        two_factor_roles: Collection[Role] = frozenset(Role),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._limits = limits
        self._two_factor_roles = frozenset(two_factor_roles)
        self._now = now
        self._attempts = Attempts(store.sign_ins, now)
        self.second_factors = SecondFactors(store, sealer, now)

    # Accounts

    def create(
        self,
        name: str,
        roles: Collection[Role],
        *,
        password: str | None = None,
        email: str | None = None,
        bank_ids: Collection[int] | None = None,
        actor: str,
    ) -> User:
        """Make an account; without a password, an invitation lets its owner set one.

        Raises:
            ConflictError: someone has the name.
            InvalidValueError: the name, the address or the password cannot be taken, or there is no role.
        """
        name = name.strip()
        if not 0 < len(name) <= _MAX_NAME_CHARACTERS or not name.isprintable():
            message = f"the name {name[:80]!r} is not of 1 to {_MAX_NAME_CHARACTERS} printable characters"
            raise InvalidValueError(message, hint="Give the name that the person signs in with.")
        if not roles:
            message = "a user without a role can do nothing"
            raise InvalidValueError(message, hint=f"Give one or more of {', '.join(Role)}.")
        banks = None if bank_ids is None else frozenset(bank_ids)
        user_id = f"usr_{secrets.token_hex(6)}"
        user = User(
            user_id,
            name,
            check_email(email),
            frozenset(roles),
            banks,
            self._now(),
            None,
            password is not None,
            False,
            0,
        )
        password_hash = None if password is None else self._checked_hash(user, password)
        self._store.people.create(user, password_hash=password_hash, actor=actor)
        return user

    def set_password(self, user: User, password: str, *, actor: str, keep_session: str | None = None) -> None:
        """Replace a password; every other session of the person ends.

        Raises:
            InvalidValueError: it cannot be taken.
        """
        password_hash = self._checked_hash(user, password)
        self._store.people.set_password(user.id, password_hash, actor=actor, keep_session=keep_session)

    def disable(self, user: User, *, actor: str) -> None:
        """Let nobody use an account any more; its sessions end at once.

        Raises:
            ConflictError: nobody would be left who may change users.
        """
        self._store.people.change(user.id, disabled_at=self._now(), actor=actor)

    def invite(self, user: User, *, actor: str) -> str:
        """A code that lets the person set a password, once, within three days; earlier ones end.

        Raises:
            ConflictError: the account is disabled.
        """
        if user.disabled_at is not None:
            raise ConflictError(f"{user.name!r} is disabled", hint=f"`baken user enable {user.name}` first.")
        now = self._now()
        token = _new_token()
        self._store.people.add_ticket(
            TicketKind.SET_UP, user.id, _digest(token), now + SET_UP_LIFETIME, now=now, actor=actor
        )
        return token

    def invited(self, token: str) -> User:
        """Whose invitation it is, without using it up.

        Raises:
            NotAuthenticatedError: it is unknown, used or past its time.
        """
        user_id = self._store.people.ticket_user(TicketKind.SET_UP, _digest(token), self._now())
        return self._active(user_id, "the code is unknown, used or past its time")

    def set_up(self, token: str, password: str) -> User:
        """Use an invitation: the person's first password, or one that replaces a forgotten one.

        Raises:
            InvalidValueError: the password cannot be taken; the invitation stays good.
            NotAuthenticatedError: the invitation is unknown, used or past its time.
        """
        user = self.invited(token)
        password_hash = self._checked_hash(user, password)
        if self._store.people.take_ticket(TicketKind.SET_UP, _digest(token), self._now()) is None:
            raise _refused("the code is unknown, used or past its time")
        self._store.people.set_password(user.id, password_hash, actor=user.actor)
        return self._store.people.user(user.id)

    def link_identity(self, user: User, issuer: str, subject: str, *, actor: str) -> None:
        """Let a person sign in with an account at the identity provider.

        Raises:
            ConflictError: somebody else signs in with it.
            InvalidValueError: no provider gives such a subject.
        """
        subject = subject.strip()
        if not 0 < len(subject) <= _MAX_SUBJECT_CHARACTERS or not subject.isprintable():
            message = f"the subject {subject[:80]!r} is not of 1 to {_MAX_SUBJECT_CHARACTERS} printable characters"
            raise InvalidValueError(message, hint="Give what the page says to whoever signs in there unlinked.")
        self._store.identities.link(Identity(issuer, subject, user.id, self._now()), actor=actor)

    def unlink_identities(self, user: User, *, subject: str | None = None, actor: str) -> int:
        """Let a person sign in with one account at the provider, or with none, no more; how many. Sessions end.

        Raises:
            NotFoundError: the person is not linked with it, or with any.
        """
        found = [each for each in self._store.identities.of_user(user.id) if subject in (None, each.subject)]
        if not found:
            message = f"{user.name!r} is not linked with {'anything' if subject is None else repr(subject[:100])}"
            raise NotFoundError(message, hint=f"`baken user show {user.name}` says with what.")
        for identity in found:
            self._store.identities.unlink(identity, actor=actor)
        self._store.sign_ins.end_all(user.id, now=self._now(), actor=actor)
        return len(found)

    # Signing in

    def sign_in(self, name: str, password: str, browser: Browser) -> SignedIn | SecondFactorWanted:
        """Begin a session, or say that a second factor is wanted.

        Raises:
            NotAuthenticatedError: name or password are wrong, or the account cannot be used.
            TooManyAttemptsError: too many attempts have failed; it says how long to wait.
        """
        self._attempts.begin(name, browser.address)
        given = self._store.people.credentials(name=name)
        is_right = self._passwords.matches(given.password_hash if given else None, password)
        if given is None or not is_right or given.user.disabled_at is not None:
            self._note_failure(given, "password")
            raise _refused("name or password are wrong, or the account cannot be used")
        self._attempts.give_back(browser.address)
        if given.password_hash is not None and self._passwords.is_outdated(given.password_hash):
            self._store.people.rehash_password(given.user.id, given.password_hash, self._passwords.hash(password))
        return self._with_one_factor(given, SignInMethod.PASSWORD, browser)

    def link_once(self, user: User, *, actor: str) -> str:
        """A code that signs a person in without a password, once, within a quarter of an hour; earlier ones end.

        It is for whoever can already do anything here: the operator, on the machine itself.

        Raises:
            ConflictError: the account is disabled.
        """
        if user.disabled_at is not None:
            raise ConflictError(f"{user.name!r} is disabled", hint=f"`baken user enable {user.name}` first.")
        now = self._now()
        token = _new_token()
        self._store.people.add_ticket(
            TicketKind.ONCE, user.id, _digest(token), now + LINK_LIFETIME, now=now, actor=actor
        )
        return token

    def sign_in_once(self, token: str, browser: Browser) -> SignedIn | SecondFactorWanted:
        """Begin a session with the code of a one-time link. A second factor is still asked for.

        Raises:
            NotAuthenticatedError: the code is unknown, used or past its time.
        """
        user_id = self._store.people.take_ticket(TicketKind.ONCE, _digest(token), self._now())
        user = self._active(user_id, "the code is unknown, used or past its time")
        return self._with_one_factor(self._credentials_of(user), SignInMethod.ONCE, browser)

    def sign_in_from_provider(
        self, issuer: str, subject: str, *, is_two_factor: bool, browser: Browser
    ) -> SignedIn | SecondFactorWanted | NotLinked:
        """Begin the session of someone who signed in at the identity provider; `is_two_factor`: with two factors.

        Raises:
            NotAuthenticatedError: the account that is linked is disabled.
        """
        user_id = self._store.identities.user_id(issuer, subject)
        if user_id is None:
            return NotLinked(subject)
        user = self._active(user_id, "the account cannot be used")
        self._attempts.give_back(browser.address)
        if is_two_factor:
            return self._begin_session(user, SignInMethod.PROVIDER_FACTOR, browser)
        return self._with_one_factor(self._credentials_of(user), SignInMethod.PROVIDER, browser)

    def count_attempt(self, browser: Browser) -> None:
        """Count a sign-in that goes elsewhere first, for the address alone; one that succeeds is given back.

        Raises:
            TooManyAttemptsError: as in `sign_in`.
        """
        self._attempts.begin_unnamed(browser.address)

    def _credentials_of(self, user: User) -> Credentials:
        given = self._store.people.credentials(user_id=user.id)
        if given is None:
            raise _refused("the account cannot be used")
        return given

    def _with_one_factor(
        self, given: Credentials, method: SignInMethod, browser: Browser
    ) -> SignedIn | SecondFactorWanted:
        """What follows when one thing was proved: the second step where the person has one, else a session."""
        if given.totp_sealed is None:
            return self._begin_session(given.user, method, browser)
        now = self._now()
        ticket = _new_token()
        is_by_link = method is SignInMethod.ONCE
        self._store.people.add_ticket(
            TicketKind.ONCE_SECOND_FACTOR if is_by_link else TicketKind.SECOND_FACTOR,
            given.user.id,
            _digest(ticket),
            now + SECOND_FACTOR_LIFETIME,
            now=now,
            actor=given.user.actor,
        )
        return SecondFactorWanted(ticket)

    def give_second_factor(self, ticket: str, code: str, browser: Browser) -> SignedIn:
        """Begin the session of someone who has proved one thing, with the code of a device or a recovery code.

        Raises:
            NotAuthenticatedError: the code is wrong or was used, or the ticket is past its time.
            TooManyAttemptsError: as in `sign_in`; both steps count together.
        """
        kind, user_id = self._half_in(ticket)
        user = self._active(user_id, "the sign-in took too long, or was finished already")
        self._attempts.begin(user.name, browser.address)
        given = self._store.people.credentials(user_id=user.id)
        method = None if given is None else self.second_factors.prove(given, code)
        if method is None:
            self._note_failure(given, "second_factor")
            raise _refused("the code is wrong, or was used already")
        if self._store.people.take_ticket(kind, _digest(ticket), self._now()) is None:
            raise _refused("the sign-in took too long, or was finished already")
        self._attempts.give_back(browser.address)
        is_by_link = kind is TicketKind.ONCE_SECOND_FACTOR
        return self._begin_session(user, SignInMethod.ONCE_FACTOR if is_by_link else method, browser)

    def _half_in(self, ticket: str) -> tuple[TicketKind, str | None]:
        """What a ticket for the second step is after, and whose it is; None where it is none."""
        for kind in (TicketKind.SECOND_FACTOR, TicketKind.ONCE_SECOND_FACTOR):
            user_id = self._store.people.ticket_user(kind, _digest(ticket), self._now())
            if user_id is not None:
                break
        return kind, user_id

    def _begin_session(self, user: User, method: SignInMethod, browser: Browser) -> SignedIn:
        now = self._now()
        token = _new_token()
        session = Session(
            id=f"ses_{secrets.token_hex(8)}",
            user_id=user.id,
            method=method,
            created_at=now,
            last_seen_at=now,
            expires_at=now + self._limits.longest,
            ended_at=None,
            address=_cut(browser.address, _MAX_ADDRESS_CHARACTERS),
            agent=_cut(browser.agent, _MAX_AGENT_CHARACTERS),
        )
        self._store.sign_ins.open(session, _digest(token), forget_before=now - _SESSIONS_REMEMBERED)
        self._attempts.forget(user.name)
        return SignedIn(token, session)

    def session(self, token: str | None) -> tuple[User, Session]:
        """Whose session a token is of; it counts as used.

        Raises:
            NotAuthenticatedError: it is unknown, ended, unused for too long or over, or the account is disabled.
        """
        session = self._store.sign_ins.by_token(_digest(token)) if token else None
        now = self._now()
        if session is None or not self.is_running(session):
            raise _refused("you are not signed in, or no longer")
        user = self._active(session.user_id, "you are not signed in, or no longer")
        if now - session.last_seen_at >= _TOUCH_INTERVAL:
            self._store.sign_ins.touch(session.id, now)
        return user, session

    def is_running(self, session: Session) -> bool:
        """Whether a session can still be used."""
        now = self._now()
        return session.ended_at is None and now < session.expires_at and now - session.last_seen_at < self._limits.idle

    def lacks_second_factor(self, user: User, session: Session) -> bool:
        """Whether the session may do nothing but set up a second factor: the person's roles ask for one."""
        return not session.has_second_factor and bool(user.roles & self._two_factor_roles)

    def is_fresh(self, session: Session) -> bool:
        """Whether it began so lately that whoever cannot give the password counts as the one who signed in."""
        return self._now() - session.created_at < FRESH

    def confirm_password(self, user: User, password: str, browser: Browser) -> None:
        """Do nothing when it is the person's password: what is not given to whoever finds a browser open.

        Raises:
            NotAuthenticatedError: it is not.
            TooManyAttemptsError: as in `sign_in`.
        """
        self._attempts.begin(user.name, browser.address)
        given = self._store.people.credentials(user_id=user.id)
        if not self._passwords.matches(given.password_hash if given else None, password):
            self._note_failure(given, "confirmation")
            raise _refused("the password is wrong")
        self._attempts.give_back(browser.address)
        self._attempts.forget(user.name)

    def sign_out(self, session: Session) -> None:
        """End one's own session."""
        self._store.sign_ins.end(session.id, now=self._now(), actor=f"user:{session.user_id}")

    def end_sessions(
        self, user: User, *, session_id: str | None = None, keep_session: str | None = None, actor: str
    ) -> int:
        """End one session of a person, or all but `keep_session`; how many.

        Raises:
            NotFoundError: the person has no such session.
        """
        now = self._now()
        if session_id is None:
            return self._store.sign_ins.end_all(user.id, now=now, actor=actor, keep_session=keep_session)
        if session_id not in {session.id for session in self._store.sign_ins.of_user(user.id, limit=10_000)}:
            message = f"{user.name!r} has no session {session_id[:100]!r}"
            raise NotFoundError(message, hint=f"`baken user sessions {user.name}` shows them.")
        return int(self._store.sign_ins.end(session_id, now=now, actor=actor))

    def raise_session(self, user: User, session: Session) -> SignedIn:
        """Let the session of someone who has just proved the second factor count as begun with it, under a new token.

        Raises:
            NotFoundError: it has ended.
        """
        token = _new_token()
        method = SignInMethod.ONCE_FACTOR if session.is_begun_by_link else SignInMethod.TOTP
        raised = self._store.sign_ins.raise_to(session.id, method, _digest(token), actor=user.actor)
        return SignedIn(token, raised)

    # Within

    def _checked_hash(self, user: User, password: str) -> str:
        check_password(password, [user.name, *([user.email] if user.email else [])])
        return self._passwords.hash(password)

    def _active(self, user_id: str | None, otherwise: str) -> User:
        try:
            user = None if user_id is None else self._store.people.user(user_id)
        except NotFoundError:
            user = None
        if user is None or user.disabled_at is not None:
            raise _refused(otherwise)
        return user

    def _note_failure(self, given: Credentials | None, step: str) -> None:
        # Of names that nobody has, nothing is noted: people type passwords there, and strangers whatever they like.
        if given is not None:
            event = NewEvent("user.sign_in_failed", "anonymous", given.user.actor, {"step": step})
            self._store.audit.record(event)


def _refused(message: str) -> NotAuthenticatedError:
    return NotAuthenticatedError(message, hint="Sign in again, or ask an administrator.")


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _cut(text: str | None, characters: int) -> str | None:
    if text is None:
        return None
    return text[:characters].replace("\0", "").encode("utf-8", "backslashreplace").decode("utf-8")
