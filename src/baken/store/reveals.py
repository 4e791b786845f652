"""Reveals as rows: who asked to see what, for how long it was shown, whose budget was lifted, who wants to see nothing.

A reveal is written in the transaction that finds it allowed: the person's own row is locked, so that two requests at
once cannot both spend what is left of a budget.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Date, Row, cast, delete, func, insert, select, update

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
_SUMS = (func.count().label("count_"), func.coalesce(func.sum(_REVEALS.shown_seconds), 0.0).label("shown"))


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


@dataclass(frozen=True, slots=True)
class PersonTotal:
    """What one person looked at.

    Attributes:
        counts: how many reveals since a time, by level.
        shown_seconds: how long those were shown, as far as said.
        spent: when what level was asked for, since a later time.
        extra_count: what lifts that run add.
    """

    counts: Mapping[Level, int] = field(default_factory=dict)
    shown_seconds: float = 0.0
    spent: Sequence[tuple[datetime, Level]] = ()
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

    def by_day(self, user_id: str, *, since: datetime) -> list[DayTotal]:
        """What a person looked at since a time, the newest day first, of each the highest level first."""
        at = _REVEALS.shown_at
        is_sqlite = self._database.is_sqlite
        day = func.date(at, type_=Date()) if is_sqlite else cast(func.timezone("UTC", at), Date)
        query = select(day.label("day"), _REVEALS.level, _REVEALS.purpose, *_SUMS)
        query = query.where(_REVEALS.user_id == user_id, at >= since).group_by(day, _REVEALS.level, _REVEALS.purpose)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(day.desc(), _REVEALS.level.desc(), _REVEALS.purpose)).all()
        return [DayTotal(row.day, Level(row.level), Purpose(row.purpose), row.count_, float(row.shown)) for row in rows]

    def totals(self, *, since: datetime, spent_since: datetime, now: datetime) -> dict[str, PersonTotal]:
        """What everybody looked at since a time, and what has been spent since a later one, by person.

        Three statements, however many people there are; whoever did nothing and has no lift is left out.
        """
        looked = select(_REVEALS.user_id, _REVEALS.level, *_SUMS).where(_REVEALS.shown_at >= since)
        asked = select(_REVEALS.user_id, _REVEALS.shown_at, _REVEALS.level).where(_REVEALS.shown_at > spent_since)
        lifted = select(_LIFTS.user_id, func.sum(_LIFTS.extra_count).label("extra")).where(_LIFTS.until > now)
        counts: dict[str, dict[Level, int]] = defaultdict(dict)
        shown: dict[str, float] = defaultdict(float)
        spent: dict[str, list[tuple[datetime, Level]]] = defaultdict(list)
        with self._database.read() as connection:
            for row in connection.execute(looked.group_by(_REVEALS.user_id, _REVEALS.level)):
                counts[row.user_id][Level(row.level)] = row.count_
                shown[row.user_id] += float(row.shown)
            for row in connection.execute(asked):
                spent[row.user_id].append((row.shown_at, Level(row.level)))
            extra = {row.user_id: int(row.extra) for row in connection.execute(lifted.group_by(_LIFTS.user_id))}
        return {
            each: PersonTotal(counts[each], shown[each], spent[each], extra.get(each, 0))
            for each in counts.keys() | spent.keys() | extra.keys()
        }

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
