"""Sessions at rest, and the attempts to get one: both in the database, so that all workers and machines agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from baken.accounts import Session, SignInMethod
from baken.audit import NewEvent
from baken.errors import NotFoundError
from baken.store import schema
from baken.store.audit import audited
from baken.store.engine import Database
from baken.store.paging import page_limit

_SESSIONS = schema.sessions.c
_ATTEMPTS = schema.sign_in_attempts.c


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Whose attempts are counted: a digest of an account's name or of an address, and how long to wait after so many.

    Attributes:
        key: 32 bytes.
        wait: given how many attempts there were, until when the next one has to wait; zero for not at all.
    """

    key: bytes
    wait: Callable[[int], timedelta]


class SignInRows:
    """Sessions and attempts; `Store.sign_ins`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect_insert = sqlite.insert if database.is_sqlite else postgresql.insert
        attempts: Any = dialect_insert(schema.sign_in_attempts)
        self._insert_attempt = attempts.on_conflict_do_nothing(index_elements=[_ATTEMPTS.key])

    # Sessions

    def open(self, session: Session, token_sha256: bytes, *, forget_before: datetime) -> None:
        """Keep a new session, tell of it, and forget those that ended before `forget_before`."""
        row = {
            "id": session.id,
            "token_sha256": token_sha256,
            "user_id": session.user_id,
            "method": session.method.value,
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
            "expires_at": session.expires_at,
            "address": session.address,
            "agent": session.agent,
        }
        with audited(self._database) as write:
            write.connection.execute(delete(schema.sessions).where(_SESSIONS.expires_at < forget_before))
            write.connection.execute(insert(schema.sessions), row)
            actor = f"user:{session.user_id}"
            facts = {"session": session.id, "method": session.method.value}
            write.tell(NewEvent("user.signed_in", actor, actor, facts))

    def by_token(self, token_sha256: bytes) -> Session | None:
        """The session with this token, ended or expired as it may be, or None."""
        with self._database.read() as connection:
            row = connection.execute(select(schema.sessions).where(_SESSIONS.token_sha256 == token_sha256)).first()
        return None if row is None else _session(row)

    def raise_to(self, session_id: str, method: SignInMethod, token_sha256: bytes, *, actor: str) -> Session:
        """Let a session count as begun with a second factor, under a new token; the old one opens nothing any more.

        Raises:
            NotFoundError: there is no such session, or it has ended.
        """
        with audited(self._database) as write:
            mine = update(schema.sessions).where(_SESSIONS.id == session_id, _SESSIONS.ended_at.is_(None))
            raised = mine.values(method=method.value, token_sha256=token_sha256).returning(schema.sessions)
            row = write.connection.execute(raised).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no session {session_id[:100]!r} any more", hint="sign in again")
            facts = {"session": session_id, "method": method.value}
            write.tell(NewEvent("user.session_raised", actor, f"user:{row.user_id}", facts))
            return _session(row)

    def touch(self, session_id: str, now: datetime) -> None:
        """Note that a session is used."""
        with self._database.write() as connection:
            mine = update(schema.sessions).where(_SESSIONS.id == session_id, _SESSIONS.last_seen_at < now)
            connection.execute(mine.values(last_seen_at=now))

    def of_user(self, user_id: str, *, limit: int = 100) -> list[Session]:
        """A person's sessions, the newest first, ended ones too while they are remembered."""
        query = select(schema.sessions).where(_SESSIONS.user_id == user_id)
        ordered = query.order_by(_SESSIONS.created_at.desc(), _SESSIONS.id).limit(page_limit(limit))
        with self._database.read() as connection:
            return [_session(row) for row in connection.execute(ordered)]

    def end(self, session_id: str, *, now: datetime, actor: str) -> bool:
        """End one session; whether it had not ended before.

        Raises:
            NotFoundError: there is none with this id.
        """
        with audited(self._database) as write:
            query = select(_SESSIONS.user_id).where(_SESSIONS.id == session_id)
            user_id = write.connection.execute(query).scalar_one_or_none()
            if user_id is None:
                message = f"there is no session {session_id[:100]!r}"
                raise NotFoundError(message, hint="`baken user sessions NAME` shows the sessions of a person")
            running = update(schema.sessions).where(_SESSIONS.id == session_id, _SESSIONS.ended_at.is_(None))
            if write.connection.execute(running.values(ended_at=now)).rowcount == 0:
                return False
            write.tell(NewEvent("user.signed_out", actor, f"user:{user_id}", {"session": session_id}))
            return True

    def end_all(self, user_id: str, *, now: datetime, actor: str, keep_session: str | None = None) -> int:
        """End all sessions of a person but `keep_session`; how many."""
        with audited(self._database) as write:
            running = update(schema.sessions).where(_SESSIONS.user_id == user_id, _SESSIONS.ended_at.is_(None))
            if keep_session is not None:
                running = running.where(_SESSIONS.id != keep_session)
            count = write.connection.execute(running.values(ended_at=now)).rowcount
            if count:
                write.tell(NewEvent("user.sessions_ended", actor, f"user:{user_id}", {"count": count}))
            return count

    # Attempts

    def begin_attempt(self, keys: Sequence[AttemptKey], now: datetime, forget_before: datetime) -> timedelta:
        """Count an attempt for each key before it is made, so that many at once are counted too.

        Returns:
            How long to wait before another one is taken; zero when this one may be made, and only then is it counted.
        """
        ordered = sorted(keys, key=lambda each: each.key)  # the same order everywhere: nobody waits in a circle
        with self._database.write() as connection:
            connection.execute(delete(schema.sign_in_attempts).where(_ATTEMPTS.last_at < forget_before))
            for each in ordered:
                connection.execute(self._insert_attempt.values(key=each.key, attempt_count=0, last_at=now))
            wanted = _ATTEMPTS.key.in_([each.key for each in ordered])
            query = select(schema.sign_in_attempts).where(wanted).order_by(_ATTEMPTS.key).with_for_update()
            rows = {bytes(row.key): row for row in connection.execute(query)}
            blocked = [row.blocked_until for row in rows.values() if row.blocked_until is not None]
            wait = max((until - now for until in blocked), default=timedelta(0))
            if wait > timedelta(0):
                return wait
            for each in ordered:
                count = rows[each.key].attempt_count + 1
                until = now + each.wait(count)
                values = {"attempt_count": count, "last_at": now, "blocked_until": until if until > now else None}
                mine = update(schema.sign_in_attempts).where(_ATTEMPTS.key == each.key)
                connection.execute(mine.values(values))
        return timedelta(0)

    def give_back_attempt(self, key: bytes) -> None:
        """Count one attempt less, and let the next one come at once: the last one succeeded."""
        with self._database.write() as connection:
            mine = update(schema.sign_in_attempts).where(_ATTEMPTS.key == key, _ATTEMPTS.attempt_count > 0)
            connection.execute(mine.values(attempt_count=_ATTEMPTS.attempt_count - 1, blocked_until=None))

    def forget_attempts(self, key: bytes) -> None:
        """Count none any more."""
        with self._database.write() as connection:
            connection.execute(delete(schema.sign_in_attempts).where(_ATTEMPTS.key == key))


def _session(row: Row[Any]) -> Session:
    fields = {name: value for name, value in row._mapping.items() if name != "token_sha256"}
    return Session(**{**fields, "method": SignInMethod(row.method)})
