"""Looking: how much of a picture a person may see, and every look recorded before a byte of it is sent.

What may be seen is the least of what the jurisdiction's profile gives the person's role, what the person opted out of
and what is there. Each step up is asked for, costs points of a budget, and writes a reveal; the picture then has an
address that is good for that reveal, that person and a short time alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from baken import case_rules
from baken import exposure as ledger
from baken.accounts import User
from baken.cases import Case, CaseItem, Level, Reveal
from baken.errors import (
    BudgetSpentError,
    ConflictError,
    InvalidValueError,
    NotAuthorisedError,
    NotFoundError,
)
from baken.exposure import Budgets, BudgetState, Spent, Tally
from baken.jurisdictions import LOOKING_ROLES, REVIEWED, Profile, Tells
from baken.looking_bytes import Bytes, Source
from baken.looking_shown import Shown
from baken.model import Purpose, Screening
from baken.permissions import Action, may, require
from baken.previews import MEDIA_TYPE
from baken.store import Store
from baken.store.reveals import LiftRow, NewLift, NewReveal, Standing

REPORT_DAYS = 30
MAX_EXTRA_POINTS = 1_000
MAX_LIFT_HOURS = 24
MAX_SEEN = 200
"""So many looks at a case are told at once."""

_MAX_REASON_CHARACTERS = 500
_REMEMBERED = ledger.DAY


class WhyNot(StrEnum):
    """Why a person sees nothing of a picture, or cannot ask for it now."""

    ROLE = "role"
    JURISDICTION = "jurisdiction"
    OPTED_OUT = "opted_out"
    NO_BYTES = "no_bytes"
    NOT_CLAIMED = "not_claimed"


@dataclass(frozen=True, slots=True)
class LookRules:
    """What the operator decides about looking.

    Attributes:
        profile: the jurisdiction.
        budgets: of exposure.
        reveal_lasts: for how long a picture that was asked for can be fetched.
    """

    profile: Profile
    budgets: Budgets
    reveal_lasts: timedelta


@dataclass(frozen=True, slots=True)
class LookView:
    """What a person may see of one item of a case.

    Attributes:
        level_allowed: the highest level the person may reach; 0 means facts alone.
        why_not: why it is 0, or why nothing can be asked for now; None when something can.
        source: where the bytes are; None when there is nothing to show.
        reasons_at: the levels that ask for a reason.
        budget: how far the person's budget is spent.
        tells: who is told of such a case once it is confirmed.
    """

    level_allowed: Level
    why_not: WhyNot | None
    source: Source | None
    reasons_at: frozenset[Level]
    budget: BudgetState
    tells: Tells

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that can be asked for now, as far as the budget reaches."""
        if self.why_not is not None:
            return ()
        return tuple(level for level in Level if 0 < level <= self.level_allowed and self.budget.allows(level))


@dataclass(frozen=True, slots=True)
class ExposureReport:
    """What one person looked at in the last `REPORT_DAYS` days, the newest day first."""

    user: User
    tallies: tuple[Tally, ...]
    budget: BudgetState
    opted_out: frozenset[Purpose]
    lifts: tuple[LiftRow, ...]


@dataclass(frozen=True, slots=True)
class ExposureSum:
    """The same in sum.

    Attributes:
        user: who looked.
        counts: how many looks of each level.
        shown_seconds: for how many seconds, as far as said.
        hour_points: spent in the last hour.
        day_points: spent in the last 24 hours.
        extra_points: what leads allow beyond the budgets, now.
    """

    user: User
    counts: Mapping[Level, int]
    shown_seconds: float
    hour_points: int
    day_points: int
    extra_points: int


@dataclass(frozen=True, slots=True)
class SeenBy:
    """Who saw what of a case."""

    reveal: Reveal
    name: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Who saw what of a case, the newest first; at most `MAX_SEEN`, and whether there are more."""

    looks: tuple[SeenBy, ...] = ()
    has_more: bool = False


class Looking:
    """What people do with pictures; safe to use from many threads."""

    def __init__(
        self,
        store: Store,
        rules: LookRules,
        source: Bytes,
        shown: Shown,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make it: `source` finds the bytes of items, `shown` makes pictures of them."""
        self._store = store
        self._rules = rules
        self._source = source
        self._shown = shown
        self._now = now

    @property
    def profile(self) -> Profile:
        """The jurisdiction's profile."""
        return self._rules.profile

    def view_of(self, user: User, case: Case, item: CaseItem) -> LookView:
        """What a person may see of an item; nothing is sought outside this machine and nothing recorded.

        Raises:
            NotAuthorisedError: the person may not see this case.
        """
        case_rules.require(user, Action.SEE_CASES, case)
        now = self._now()
        standing = self._store.reveals.standing(user.id, case.id, since=now - _REMEMBERED, now=now)
        screening = self._screening(item.screening_id)
        purposes = self._purposes(case, item.screening_id, screening)
        source = None if screening is None else self._source.of(screening)
        level, why_not = self._reach(user, purposes, standing)
        if why_not is None and source is None:
            level, why_not = Level.FACTS, WhyNot.NO_BYTES
        if why_not is None and not _holds(user, standing, now):
            why_not = WhyNot.NOT_CLAIMED
        return LookView(
            level_allowed=level,
            why_not=why_not,
            source=source,
            reasons_at=self.profile.reasons_at(purposes),
            budget=self._budget(standing.spent, standing.extra_count, now),
            tells=self.profile.of(case.purpose).tells,
        )

    def reveal(self, user: User, case_id: str, screening_id: str, level: Level, reason: str | None = None) -> Reveal:
        """Record that a person sees a picture at a level; `picture` gives it from then on.

        The picture is made first, and shown to nobody: what cannot be shown costs nobody a look.

        Raises:
            BudgetSpentError: the person's budget does not reach.
            ConflictError: the person does not hold the case.
            InvalidValueError: the level asks for a reason, or is none that shows anything.
            NotAuthorisedError: the level is beyond what the person may see.
            NotFoundError: there is no such case, or no such item in it.
            UnshowableError: there are no bytes, or they cannot be shown.
        """
        case = self._store.cases.case(case_id)
        case_rules.require(user, Action.REVEAL_PICTURES, case)
        if not self._store.reveals.is_item(case_id, screening_id):
            raise NotFoundError(f"the case {case_id!r} has no item {screening_id!r}", hint="Choose one of its items.")
        screening = self._store.screening(screening_id)
        purposes = self._purposes(case, screening_id, screening)
        given = self._reason(purposes, level, reason)
        asked = self._now()
        standing = self._store.reveals.standing(user.id, case_id, since=asked - _REMEMBERED, now=asked)
        self._check(user, level, purposes, standing, asked)
        preview = self._shown.make(self._source.read(screening), level)
        now = self._now()  # the platform may have taken its time

        def check(standing: Standing) -> None:
            self._check(user, level, purposes, standing, now)

        new = NewReveal(user.id, case_id, screening_id, level, case.purpose, given)
        reveal = self._store.reveals.add(new, check, since=now - _REMEMBERED, now=now, actor=user.actor)
        self._shown.keep(reveal.id, preview, until=reveal.shown_at + self._rules.reveal_lasts)
        return reveal

    def current(self, user: User, reveal_id: int) -> Reveal:
        """A reveal whose picture this person may fetch now.

        Raises:
            NotAuthorisedError: it is another person's, or the person may see no pictures any more.
            NotFoundError: there is none, it was hidden, or its time is over.
        """
        require(user, Action.REVEAL_PICTURES)
        reveal = self._own(user, reveal_id)
        if reveal.hidden_at is not None or reveal.shown_at + self._rules.reveal_lasts <= self._now():
            raise NotFoundError(f"the reveal {reveal_id} is over", hint="Ask to see the picture again.")
        return reveal

    def picture(self, user: User, reveal_id: int) -> tuple[str, bytes]:
        """The picture of a reveal: its media type and its bytes, which were encoded here.

        Raises:
            NotAuthorisedError, NotFoundError: as `current`.
            UnshowableError: it cannot be shown any more.
        """
        reveal = self.current(user, reveal_id)
        preview = self._shown.kept(reveal.id)
        if preview is None:
            case = self._store.cases.case(reveal.case_id)
            case_rules.require(user, Action.REVEAL_PICTURES, case)
            screening = self._store.screening(reveal.screening_id)
            if reveal.level > self.profile.level_of(user.roles, self._purposes(case, reveal.screening_id, screening)):
                raise NotAuthorisedError("this picture may not be shown any more", hint="Decide from the facts.")
            preview = self._shown.make(self._source.read(screening), reveal.level)
        return MEDIA_TYPE, preview.data

    def hide(self, user: User, reveal_id: int, shown_seconds: float | None = None) -> Reveal:
        """Say that a picture is not on the screen any more; from then on it cannot be fetched.

        Args:
            user: who saw it.
            reveal_id: the reveal.
            shown_seconds: for how long, as the browser says; never more than has passed since. None says nothing.

        Raises:
            NotAuthorisedError: it is another person's.
            NotFoundError: there is none.
        """
        reveal = self._own(user, reveal_id)
        now = self._now()
        passed = max(0.0, (now - reveal.shown_at).total_seconds())
        self._shown.forget(reveal_id)
        said = passed if shown_seconds is None or not math.isfinite(shown_seconds) else shown_seconds
        shown = min(max(said, 0.0), passed)
        return self._store.reveals.hide(reveal_id, at=now, shown_seconds=shown, actor=user.actor)

    def forget_ended(self) -> None:
        """Keep no picture in memory whose reveal is over."""
        self._shown.forget_ended()

    def exposure(self, user: User, of_user: User) -> ExposureReport:
        """What a person looked at: one's own for everyone, another's for those who may see it.

        Raises:
            NotAuthorisedError: it is another's, and not for this person.
        """
        if user.id != of_user.id:
            require(user, Action.SEE_EXPOSURE)
        now = self._now()
        since = now - timedelta(days=REPORT_DAYS)
        standing = self._store.reveals.standing(of_user.id, None, since=now - _REMEMBERED, now=now)
        return ExposureReport(
            user=of_user,
            tallies=tuple(
                Tally(each.day, each.level, each.purpose, each.count, each.shown_seconds)
                for each in self._store.reveals.by_day(of_user.id, first_day=since.date())
            ),
            budget=self._budget(standing.spent, standing.extra_count, now),
            opted_out=standing.opted_out,
            lifts=tuple(self._store.reveals.lifts(of_user.id, since=since)),
        )

    def exposure_of_all(self, user: User) -> list[ExposureSum]:
        """What everybody looked at who did or may, in sum; by name.

        Raises:
            NotAuthorisedError: it is not for this person.
        """
        require(user, Action.SEE_EXPOSURE)
        now = self._now()
        first_day = (now - timedelta(days=REPORT_DAYS)).date()
        windows = now - ledger.HOUR, now - ledger.DAY
        people = self._store.people.all()
        ids = [each.id for each in people]
        totals = self._store.reveals.totals(ids, first_day=first_day, since=windows, now=now)
        sums = []
        for each in people:
            total = totals[each.id]
            if total.counts or (each.disabled_at is None and set(LOOKING_ROLES) & each.roles):
                hour, day = (ledger.points_in(total.recent[at]) for at in windows)
                sums.append(ExposureSum(each, total.counts, total.shown_seconds, hour, day, total.extra_count))
        return sums

    def lift(self, user: User, of_user_id: str, *, extra_points: int, hours: int, reason: str) -> LiftRow:
        """Let a person go on whose budget is spent, for so many points, until some hours have passed.

        Raises:
            InvalidValueError: a number is out of range, or no reason is given.
            NotAuthorisedError: the person may not, or it is their own budget.
            NotFoundError: there is no such user.
        """
        require(user, Action.LIFT_EXPOSURE_BUDGETS)
        if user.id == of_user_id:
            raise NotAuthorisedError("nobody lifts their own budget", hint="Ask another lead.")
        if not 0 < extra_points <= MAX_EXTRA_POINTS or not 0 < hours <= MAX_LIFT_HOURS:
            expected = f"1 to {MAX_EXTRA_POINTS} and 1 to {MAX_LIFT_HOURS}"
            message = f"{extra_points} points for {hours} hours, expected {expected}"
            raise InvalidValueError(message, hint="Nothing was lifted.")
        of_user = self._store.people.user(of_user_id)
        now = self._now()
        why = _plain_reason(reason, is_needed=True) or ""
        new = NewLift(of_user.id, now + timedelta(hours=hours), extra_points, why)
        return self._store.reveals.lift(new, at=now, actor=user.actor)

    def opt_out(self, user: User, purpose: Purpose, *, on: bool) -> None:
        """Begin, or end, that a person sees no picture of a purpose."""
        if purpose not in REVIEWED:
            raise InvalidValueError(f"no case has the purpose {purpose.value!r}", hint="Choose one of the list.")
        self._store.reveals.opt_out(user.id, purpose, on=on, at=self._now(), actor=user.actor)

    def seen_by(self, user: User, case_id: str) -> Seen:
        """Who saw what of a case.

        Raises:
            NotAuthorisedError: it is not for this person.
        """
        require(user, Action.SEE_EXPOSURE)
        reveals = self._store.reveals.of_case(case_id, limit=MAX_SEEN + 1)
        names = {each.id: each.name for each in self._store.people.all()} if reveals else {}
        looks = (SeenBy(reveal, names.get(reveal.user_id, reveal.user_id)) for reveal in reveals[:MAX_SEEN])
        return Seen(tuple(looks), len(reveals) > MAX_SEEN)

    def _purposes(self, case: Case, screening_id: str, screening: Screening | None) -> frozenset[Purpose]:
        """All that an item matched for: what a second case forbids is not shown in the first one either."""
        matches = () if screening is None else screening.outcome.matches
        matched = frozenset(match.purpose for match in matches) & frozenset(REVIEWED)
        return frozenset({case.purpose}) | self._store.reveals.purposes_of(screening_id) | matched

    def _screening(self, screening_id: str) -> Screening | None:
        """An item's screening; None when it was deleted, which leaves the case as evidence."""
        try:
            return self._store.screening(screening_id)
        except NotFoundError:
            return None

    def _reach(self, user: User, purposes: frozenset[Purpose], standing: Standing) -> tuple[Level, WhyNot | None]:
        if not may(user, Action.REVEAL_PICTURES):
            return Level.FACTS, WhyNot.ROLE
        level = self.profile.level_of(user.roles, purposes)
        if level is Level.FACTS:
            # Whether nobody may, or only this person's role.
            anyone = self.profile.level_of(LOOKING_ROLES, purposes)
            return Level.FACTS, WhyNot.JURISDICTION if anyone is Level.FACTS else WhyNot.ROLE
        if purposes & standing.opted_out:
            return Level.FACTS, WhyNot.OPTED_OUT
        return level, None

    def _check(self, user: User, level: Level, purposes: frozenset[Purpose], standing: Standing, now: datetime) -> None:
        highest, why_not = self._reach(user, purposes, standing)
        if level > highest:
            why = f" ({why_not.value})" if why_not is not None else ""
            message = f"level {level.value} was asked for, and {user.name!r} may reach {highest.value}{why}"
            raise NotAuthorisedError(message, hint="Decide from what is shown, or ask a lead.")
        if not _holds(user, standing, now):
            raise ConflictError(f"{user.name!r} does not hold the case", hint="Claim it first.")
        budget = self._budget(standing.spent, standing.extra_count, now)
        if not budget.allows(level):
            free_at = budget.free_at(level)
            until = "" if free_at is None else f" until {free_at.isoformat(timespec='minutes')}"
            spent = f"{budget.hour_points} points in the last hour, {budget.day_points} in the last day"
            message = f"the budget of exposure does not reach for level {level.value}{until}: {spent}"
            raise BudgetSpentError(message, hint="Take a break, decide from the facts, or ask a lead to lift it.")

    def _reason(self, purposes: frozenset[Purpose], level: Level, reason: str | None) -> str | None:
        if level is Level.FACTS:
            raise InvalidValueError("level 0 shows no picture", hint="Ask for 1, 2 or 3.")
        return _plain_reason(reason, is_needed=level in self.profile.reasons_at(purposes))

    def _budget(self, asked: Iterable[tuple[datetime, Level]], extra_points: int, now: datetime) -> BudgetState:
        spent = (Spent(at, ledger.points_of(level)) for at, level in asked)
        return ledger.state_of(self._rules.budgets, spent, extra_points, now)

    def _own(self, user: User, reveal_id: int) -> Reveal:
        reveal = self._store.reveals.reveal(reveal_id)
        if reveal.user_id != user.id:
            raise NotAuthorisedError(f"the reveal {reveal_id} is another person's", hint="Ask to see it yourself.")
        return reveal


def _holds(user: User, standing: Standing, now: datetime) -> bool:
    return standing.holder_id == user.id and standing.lease_until is not None and standing.lease_until > now


def _plain_reason(reason: str | None, *, is_needed: bool) -> str | None:
    text = " ".join((reason or "").split())
    if len(text) > _MAX_REASON_CHARACTERS:
        message = f"the reason has {len(text)} characters, at most {_MAX_REASON_CHARACTERS} are kept"
        raise InvalidValueError(message, hint="Say it in fewer words.")
    if is_needed and not text:
        raise InvalidValueError("a reason is needed, and none was given", hint="Say why in a few words.")
    return text or None
