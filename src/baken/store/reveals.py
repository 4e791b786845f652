"""Reveals as rows: who asked to see what, for how long it was shown, whose budget was lifted, who wants to see nothing.

A reveal is written in the transaction that finds it allowed: the person's own row is locked, so that two requests at
once cannot both spend what is left of a budget.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from baken.audit import NewEvent
from baken.cases import Level, Reveal
from baken.errors import NotFoundError
from baken.model import Purpose
from baken.store import schema, schema_review
from baken.store.audit import audited
from baken.store.engine import Database
from baken.store.paging import is_database_id, page_limit

_REVEALS = schema_review.reveals.c
_LIFTS = schema_review.exposure_lifts.c
_OPTOUTS = schema_review.exposure_optouts.c
_CASES = schema_review.cases.c
_ITEMS = schema_review.case_items.c
_DAYS = schema_review.exposure_days.c


@dataclass(frozen=True, slots=True)
class NewReveal:
    """What is asked for."""

    user_id: str
    case_id: str
    screening_id: str
    level: Level
    purpose: Purpose
    reason: str | None


@dataclass(frozen=True, slots=True)
class NewLift:
    """A person's budget is lifted: so many points more, until a time."""

    user_id: str
    until: datetime
    extra_count: int
    reason: str


@dataclass(frozen=True, slots=True)
class LiftRow:
    """A lift as it was written."""

    id: int
    user_id: str
    lifted_by: str
    lifted_at: datetime
    until: datetime
    extra_count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides whether a person may see more now, read together.

    Attributes:
        holder_id: who holds the case, as of its row.
        lease_until: until when.
        spent: when the person asked for what level since the time that was given.
        extra_count: what lifts that run add.
        opted_out: the purposes of which the person wants to see no picture.
    """

    holder_id: str | None
    lease_until: datetime | None
    spent: tuple[tuple[datetime, Level], ...]
    extra_count: int
    opted_out: frozenset[Purpose]


@dataclass(frozen=True, slots=True)
class DayTotal:
    """A person's reveals of one day in UTC, level and purpose, and how long they were shown, as far as said."""

    day: date
    level: Level
    purpose: Purpose
    count: int
    shown_seconds: float


@dataclass(slots=True)
class PersonTotal:
    """What one person looked at.

    Attributes:
        counts: how many reveals since a day, by level.
        shown_seconds: how long those were shown, as far as said.
        recent: how many since each of some times, by level.
        extra_count: what lifts that run add.
    """

    counts: dict[Level, int] = field(default_factory=dict)
    shown_seconds: float = 0.0
    recent: dict[datetime, dict[Level, int]] = field(default_factory=dict)
    extra_count: int = 0


class RevealRows:
    """What people looked at; `Store.reveals`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self, user_id: str, case_id: str | None, *, since: datetime, now: datetime) -> Standing:
        """What decides for a person now; without a case, nobody holds it.

        Raises:
            NotFoundError: there is no such case.
        """
        with self._database.read() as connection:
            return _standing(connection, user_id, case_id, since, now)

    def add(
        self, new: NewReveal, check: Callable[[Standing], None], *, since: datetime, now: datetime, actor: str
    ) -> Reveal:
        """Write a reveal and its audit event if `check`, which gets what counts under the lock, does not raise."""
        with audited(self._database) as write:
            own = select(schema.users.c.id).where(schema.users.c.id == new.user_id).with_for_update()
            if write.connection.execute(own).first() is None:
                raise NotFoundError(f"there is no user {new.user_id!r}", hint="`baken user list` shows the users.")
            check(_standing(write.connection, new.user_id, new.case_id, since, now))
            row = {
                "user_id": new.user_id,
                "case_id": new.case_id,
                "screening_id": new.screening_id,
                "level": new.level.value,
                "purpose": new.purpose.value,
                "reason": new.reason,
                "shown_at": now,
            }
            statement = insert(schema_review.reveals).values(row).returning(schema_review.reveals)
            reveal = _reveal(write.connection.execute(statement).one())
            self._count(write.connection, reveal, looks=1)
            facts = {
                "reveal": reveal.id,
                "screening": new.screening_id,
                "level": new.level.value,
                "purpose": new.purpose.value,
                "reason": new.reason,
            }
            write.tell(NewEvent("picture.revealed", actor, f"case:{new.case_id}", facts))
        return reveal

    def reveal(self, reveal_id: int) -> Reveal:
        """One reveal.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as connection:
            return _by_id(connection, reveal_id)

    def hide(self, reveal_id: int, *, at: datetime, shown_seconds: float, actor: str) -> Reveal:
        """Say that a picture is hidden, and for how long it was shown; the first one who says so counts."""
        with audited(self._database) as write:
            open_ = update(schema_review.reveals).where(_REVEALS.id == reveal_id, _REVEALS.hidden_at.is_(None))
            changed = write.connection.execute(open_.values(hidden_at=at, shown_seconds=shown_seconds)).rowcount
            reveal = _by_id(write.connection, reveal_id)
            if changed:
                self._count(write.connection, reveal, shown_seconds=shown_seconds)
                facts = {"reveal": reveal.id, "shown_seconds": round(shown_seconds, 1)}
                write.tell(NewEvent("picture.hidden", actor, f"case:{reveal.case_id}", facts))
        return reveal

    def of_case(self, case_id: str, *, limit: int = 100) -> list[Reveal]:
        """The reveals of a case, the newest first, at most `limit`."""
        query = select(schema_review.reveals).where(_REVEALS.case_id == case_id)
        with self._database.read() as connection:
            return [
                _reveal(row) for row in connection.execute(query.order_by(_REVEALS.id.desc()).limit(page_limit(limit)))
            ]

    def by_day(self, user_id: str, *, first_day: date) -> list[DayTotal]:
        """What a person looked at from a day on, the newest day first, of each the highest level first."""
        query = select(schema_review.exposure_days).where(_DAYS.user_id == user_id, _DAYS.day >= first_day)
        query = query.order_by(_DAYS.day.desc(), _DAYS.level.desc(), _DAYS.purpose)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            DayTotal(row.day, Level(row.level), Purpose(row.purpose), row.look_count, row.shown_seconds) for row in rows
        ]

    def totals(
        self, user_ids: Collection[str], *, first_day: date, since: Sequence[datetime], now: datetime
    ) -> dict[str, PersonTotal]:
        """What each of these people looked at from a day on, and since some times: a few statements for all of them."""
        found = {user_id: PersonTotal(recent={at: {} for at in since}) for user_id in user_ids}
        sums = func.sum(_DAYS.look_count), func.sum(_DAYS.shown_seconds)
        looked = select(_DAYS.user_id, _DAYS.level, *sums).where(_DAYS.user_id.in_(user_ids), _DAYS.day >= first_day)
        lifted = select(_LIFTS.user_id, func.sum(_LIFTS.extra_count))
        lifted = lifted.where(_LIFTS.user_id.in_(user_ids), _LIFTS.until > now).group_by(_LIFTS.user_id)
        recent = select(_REVEALS.user_id, _REVEALS.level, func.count())
        recent = recent.where(_REVEALS.user_id.in_(user_ids)).group_by(_REVEALS.user_id, _REVEALS.level)
        with self._database.read() as connection:
            for user_id, level, looks, shown_seconds in connection.execute(looked.group_by(_DAYS.user_id, _DAYS.level)):
                found[user_id].counts[Level(level)] = int(looks)
                found[user_id].shown_seconds += float(shown_seconds)
            for at in since:
                for user_id, level, looks in connection.execute(recent.where(_REVEALS.shown_at > at)):
                    found[user_id].recent[at][Level(level)] = looks
            for user_id, extra in connection.execute(lifted):
                found[user_id].extra_count = int(extra)
        return found

    def purposes_of(self, screening_id: str) -> frozenset[Purpose]:
        """The purposes of all cases that an item belongs to."""
        query = select(_CASES.purpose).join(schema_review.case_items, _ITEMS.case_id == _CASES.id).distinct()
        with self._database.read() as connection:
            found = connection.execute(query.where(_ITEMS.screening_id == screening_id)).scalars()
            return frozenset(Purpose(purpose) for purpose in found)

    def is_item(self, case_id: str, screening_id: str) -> bool:
        """Whether an item belongs to a case."""
        query = select(_ITEMS.id).where(_ITEMS.screening_id == screening_id, _ITEMS.case_id == case_id)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def lift(self, new: NewLift, *, at: datetime, actor: str) -> LiftRow:
        """Lift a person's budget, and say so in the audit log."""
        row = {
            "user_id": new.user_id,
            "lifted_by": actor,
            "lifted_at": at,
            "until": new.until,
            "extra_count": new.extra_count,
            "reason": new.reason,
        }
        with audited(self._database) as write:
            statement = insert(schema_review.exposure_lifts).values(row).returning(schema_review.exposure_lifts)
            lift = LiftRow(**write.connection.execute(statement).one()._mapping)
            facts = {"until": new.until, "extra_count": new.extra_count, "reason": new.reason}
            write.tell(NewEvent("exposure.lifted", actor, f"user:{new.user_id}", facts))
        return lift

    def lifts(self, user_id: str, *, since: datetime) -> list[LiftRow]:
        """The lifts of a person that run, or ran since a time; the newest first."""
        query = select(schema_review.exposure_lifts).where(_LIFTS.user_id == user_id, _LIFTS.until >= since)
        with self._database.read() as connection:
            return [LiftRow(**row._mapping) for row in connection.execute(query.order_by(_LIFTS.id.desc()))]

    def opt_out(self, user_id: str, purpose: Purpose, *, on: bool, at: datetime, actor: str) -> None:
        """Begin or end that a person sees no picture of a purpose; repeating it does nothing."""
        mine = (_OPTOUTS.user_id == user_id) & (_OPTOUTS.purpose == purpose.value)
        with audited(self._database) as write:
            is_on = write.connection.execute(select(_OPTOUTS.since).where(mine)).first() is not None
            if is_on == on:
                return
            if on:
                row = {"user_id": user_id, "purpose": purpose.value, "since": at}
                write.connection.execute(insert(schema_review.exposure_optouts).values(row))
            else:
                write.connection.execute(delete(schema_review.exposure_optouts).where(mine))
            facts = {"purpose": purpose.value, "on": on}
            write.tell(NewEvent("exposure.opted_out", actor, f"user:{user_id}", facts))

    def _count(self, connection: Connection, reveal: Reveal, *, looks: int = 0, shown_seconds: float = 0.0) -> None:
        """Add to the sums of the day, in UTC, on which a reveal was asked for."""
        row = {
            "user_id": reveal.user_id,
            "day": reveal.shown_at.astimezone(UTC).date(),
            "level": reveal.level.value,
            "purpose": reveal.purpose.value,
            "look_count": looks,
            "shown_seconds": shown_seconds,
        }
        insert_or = sqlite.insert if self._database.is_sqlite else postgresql.insert
        adding = insert_or(schema_review.exposure_days).values(row)
        more = {name: _DAYS[name] + adding.excluded[name] for name in ("look_count", "shown_seconds")}
        keys = schema_review.exposure_days.primary_key.columns.keys()
        connection.execute(adding.on_conflict_do_update(index_elements=keys, set_=more))


def _standing(connection: Connection, user_id: str, case_id: str | None, since: datetime, now: datetime) -> Standing:
    holder_id, lease_until = None, None
    if case_id is not None:
        held = select(_CASES.holder_id, _CASES.lease_until).where(_CASES.id == case_id)
        row = connection.execute(held).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no case {case_id!r}", hint="`baken case list` shows the cases")
        holder_id, lease_until = row.holder_id, row.lease_until
    asked = select(_REVEALS.shown_at, _REVEALS.level).where(_REVEALS.user_id == user_id, _REVEALS.shown_at > since)
    extra = select(func.coalesce(func.sum(_LIFTS.extra_count), 0))
    extra = extra.where(_LIFTS.user_id == user_id, _LIFTS.until > now)
    refused = select(_OPTOUTS.purpose).where(_OPTOUTS.user_id == user_id)
    return Standing(
        holder_id=holder_id,
        lease_until=lease_until,
        spent=tuple((row.shown_at, Level(row.level)) for row in connection.execute(asked)),
        extra_count=int(connection.execute(extra).scalar_one()),
        opted_out=frozenset(Purpose(purpose) for purpose in connection.execute(refused).scalars()),
    )


def _by_id(connection: Connection, reveal_id: int) -> Reveal:
    rows: Sequence[Row[Any]] = ()
    if is_database_id(reveal_id):
        rows = connection.execute(select(schema_review.reveals).where(_REVEALS.id == reveal_id)).all()
    if not rows:
        raise NotFoundError(f"there is no reveal {reveal_id}", hint="Ask to see the picture again.")
    return _reveal(rows[0])


def _reveal(row: Row[Any]) -> Reveal:
    fields = dict(row._mapping)
    fields["level"] = Level(row.level)
    fields["purpose"] = Purpose(row.purpose)
    return Reveal(**fields)
