"""Finding the right case: the queue, search, accounts, saved views, and what other weights would change.

Every method takes the person: only cases with a match of a bank that the person reaches are found, and of each case
only such entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from baken.accounts import User
from baken.cases import Case, CaseState
from baken.cases_query import CaseSort, QueueQuery
from baken.decisions import verdict_of
from baken.errors import InvalidValueError, NotFoundError
from baken.model import Finding
from baken.permissions import Action, require
from baken.priorities import FactorName, Points, Weights, points_of, rank_of
from baken.queues_search import CaseSearch, SearchKind
from baken.store import Store
from baken.store.case_accounts import AccountLimits, AccountScreening, LinkedAccount
from baken.store.queues import COUNT_LIMIT, Asker, QueueKey
from baken.store.saved_views import SavedView

__all__ = [  # with what the pages need of the parts
    "AccountPage",
    "AccountScreening",
    "CaseSort",
    "DryRun",
    "LinkedAccount",
    "PlaceChange",
    "Points",
    "QueuePage",
    "QueueQuery",
    "QueueRow",
    "Queues",
    "SavedView",
    "SearchGroup",
    "SearchKind",
    "SearchResult",
]

MAX_PAGE = 200
MAX_ACCOUNT_CASES = 25
MAX_LINKED = 100
MAX_COUNTED_SCREENINGS = 1_000
DRY_RUN_PLACES = 100
MAX_DRY_RUN_CASES = 200_000
_MAX_NAME = 60
_SCREENING_ID = re.compile(r"[\x21-\x7d]{1,100}")


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A case, with how urgent it is and why, and its state as people see it now."""

    case: Case
    points: Points
    state: CaseState


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A page of a queue.

    Attributes:
        rows: in the order of the query.
        next_cursor: what the next page is asked for with; None on the last one.
        total_open: how many cases the query has, this page's and all others.
        is_total_exact: False when there are more than `total_open`: it is not counted further.
    """

    rows: tuple[QueueRow, ...]
    next_cursor: str | None
    total_open: int
    is_total_exact: bool = True


@dataclass(frozen=True, slots=True)
class SearchGroup:
    """The cases that a text leads to when it is taken for one thing, the newest first; `is_cut` says there are more."""

    taken_for: SearchKind
    rows: tuple[QueueRow, ...]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a text leads to.

    Attributes:
        text: what was searched.
        taken_for: everything that it may be, and was looked up as.
        groups: of those, the ones that lead to cases.
        account_ref: the account of this name, if there is one, with cases or without.
    """

    text: str
    taken_for: tuple[SearchKind, ...]
    groups: tuple[SearchGroup, ...]
    account_ref: str | None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """What is known of an account, as far as the person may see it.

    Attributes:
        account_ref: the account, as the platform names it.
        first_seen_at: when something of it was first screened, as far as it is remembered.
        last_seen_at: likewise, last.
        screenings: a page of what was screened of it, the latest first.
        next_cursor: what the next page of them is asked for with; None on the last one.
        screening_count: how many there are.
        is_screening_count_exact: False when there are more: they are not counted further.
        cases: the newest cases that it is in.
        are_cases_cut: whether there may be more.
        linked: the accounts that stand in the same cases, those that share most first.
        is_linked_cut: whether there may be more.
    """

    account_ref: str
    first_seen_at: datetime
    last_seen_at: datetime
    screenings: tuple[AccountScreening, ...]
    next_cursor: str | None
    screening_count: int
    is_screening_count_exact: bool
    cases: tuple[QueueRow, ...]
    are_cases_cut: bool
    linked: tuple[LinkedAccount, ...]
    is_linked_cut: bool

    @property
    def decided_count(self) -> int:
        """How many of the cases are decided."""
        return sum(row.state is CaseState.DECIDED for row in self.cases)


@dataclass(frozen=True, slots=True)
class PlaceChange:
    """A case that other weights would move, from place to place; the first one is 1."""

    case: Case
    place_before: int
    place_after: int
    points_before: Points
    points_after: Points

    @property
    def reasons(self) -> tuple[tuple[FactorName, float], ...]:
        """By how much each factor would change, the largest change first."""
        before = {factor.name: factor.points for factor in self.points_before.factors}
        after = {factor.name: factor.points for factor in self.points_after.factors}
        changes = [(name, after.get(name, 0.0) - before.get(name, 0.0)) for name in FactorName]
        return tuple(sorted((each for each in changes if each[1]), key=lambda each: -abs(each[1])))


@dataclass(frozen=True, slots=True)
class DryRun:
    """What other weights would change.

    Attributes:
        changes: the cases that would change places, of those that stand among the first `places` before or after,
            by their new place.
        places: how many places were looked at.
        case_count: how many open cases were compared.
        is_cut: whether there are more open cases, which come last by their ranks.
    """

    changes: tuple[PlaceChange, ...]
    places: int
    case_count: int
    is_cut: bool


class Queues:
    """What a person can find; thread-safe.

    Raises of all that take a person: NotAuthorisedError, the roles do not cover it.
    """

    def __init__(
        self,
        store: Store,
        weights: Weights,
        search: CaseSearch,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts; `now` is the clock."""
        self._store = store
        self._search = search
        self._now = now
        self.weights = weights

    def page(self, user: User, query: QueueQuery, cursor: str | None = None, limit: int = 50) -> QueuePage:
        """A page of the cases that a query asks for.

        Raises:
            InvalidValueError: no page of this query gave this cursor, or the limit is none.
        """
        require(user, Action.SEE_CASES)
        _check_limit(limit)
        return self._page(asker_of(user), query, cursor, limit)

    def page_for_platform(self, query: QueueQuery, cursor: str | None = None, limit: int = 100) -> QueuePage:
        """The same for the platform and its operator, who see every case; what is somebody's own is nobody's here.

        Raises:
            InvalidValueError: no page of this query gave this cursor.
        """
        return self._page(Asker(), query, cursor, limit)

    def _page(self, asker: Asker, query: QueueQuery, cursor: str | None, limit: int) -> QueuePage:
        now = self._now()
        after = None if cursor is None else QueueKey.parse(cursor, query.order)
        cases = self._store.queues.page(query, asker, now, after=after, limit=limit + 1)
        shown, has_more = cases[:limit], len(cases) > limit
        # What fits on the first page is counted already.
        is_whole = after is None and not has_more
        total = len(shown) if is_whole else self._store.queues.count(query, asker, now, at_most=COUNT_LIMIT + 1)
        return QueuePage(
            self.rows_of(shown),
            str(QueueKey.of(shown[-1], query.order)) if has_more else None,
            min(total, COUNT_LIMIT),
            total <= COUNT_LIMIT,
        )

    def count(self, user: User, query: QueueQuery, at_most: int = COUNT_LIMIT) -> int:
        """How many cases a query has, counted up to `at_most`."""
        require(user, Action.SEE_CASES)
        return self._store.queues.count(query, asker_of(user), self._now(), at_most=at_most)

    def cases(self, user: User, case_ids: Collection[str]) -> list[Case]:
        """Those of the cases that there are and that the person may see, the newest first."""
        require(user, Action.SEE_CASES)
        return self._store.queues.cases(case_ids, asker_of(user), limit=max(1, len(case_ids)))

    def row(self, user: User, case: Case) -> QueueRow:
        """A case that the person was given elsewhere, with how urgent it is and why."""
        require(user, Action.SEE_CASES)
        return self.rows_of([case])[0]

    def neighbours(self, user: User, query: QueueQuery, case: Case) -> tuple[str | None, str | None]:
        """The ids of the cases that come before and after this one in a queue; it need not be in it any more.

        Where a queue holds all that is undecided, what others work on is passed.
        """
        require(user, Action.SEE_CASES)
        try:
            key = QueueKey.of(case, query.order)
        except InvalidValueError:
            return None, None  # it has no place in the order of decisions any more
        asker, now = asker_of(user), self._now()
        free = query if query.states or query.mine else replace(query, unclaimed=True)
        before = self._store.queues.neighbour(free, asker, now, key, is_before=True)
        return before, self._store.queues.neighbour(free, asker, now, key)

    def rows_of(self, cases: Sequence[Case]) -> tuple[QueueRow, ...]:
        """Cases with how urgent they are now."""
        now = self._now()
        return tuple(QueueRow(case, points_of(case, self.weights, now), case.state_at(now)) for case in cases)

    # Search and accounts

    def search(self, user: User, text: str) -> SearchResult:
        """The cases that a text leads to: a case, a screening, an item, an account, a fingerprint or a date.

        Raises:
            InvalidValueError: the text is empty or too long.
            NotReadyError: it may be a fingerprint, and an index cannot be searched now.
        """
        require(user, Action.SEE_CASES)
        asker, wanted = asker_of(user), text.strip()
        found = self._search.find(text, asker)
        return SearchResult(
            wanted,
            tuple(each.taken_for for each in found),
            tuple(SearchGroup(each.taken_for, self.rows_of(each.cases), each.is_cut) for each in found if each.cases),
            wanted if self._store.case_accounts.is_known(wanted, asker) else None,
        )

    def account(self, user: User, account_ref: str, cursor: str | None = None, limit: int = 50) -> AccountPage:
        """What is known of an account, with a page of its screenings.

        Accounts are linked by the cases that they share, and by nothing else: who posted the same harmless picture is
        nobody's business.

        Raises:
            InvalidValueError: no page of this account gave this cursor, or the limit is none.
            NotFoundError: nothing is known of it.
        """
        require(user, Action.SEE_CASES)
        require(user, Action.SEE_SCREENINGS)
        _check_limit(limit)
        if cursor is not None and not _SCREENING_ID.fullmatch(cursor):
            message = "cursor is not one that this account gave"
            raise InvalidValueError(message, hint="Use the next_cursor of the page before, or none.")
        limits = AccountLimits(limit + 1, MAX_COUNTED_SCREENINGS + 1, MAX_ACCOUNT_CASES, MAX_LINKED + 1)
        rows = None
        if "\0" not in account_ref:
            rows = self._store.case_accounts.account(account_ref, asker_of(user), limits, before_id=cursor)
        if rows is None:
            message = f"nothing is known of an account {account_ref[:200]!r}"
            raise NotFoundError(
                message, hint="What was screened is forgotten after a time; write it as the platform does."
            )
        screenings, has_more = rows.screenings[:limit], len(rows.screenings) > limit
        return AccountPage(
            account_ref,
            *rows.seen_between,
            tuple(_within_reach(each, user) for each in screenings),
            screenings[-1].screening_id if has_more else None,
            min(rows.screening_count, MAX_COUNTED_SCREENINGS),
            rows.screening_count <= MAX_COUNTED_SCREENINGS,
            self.rows_of(rows.cases),
            rows.are_cases_cut,
            tuple(rows.linked[:MAX_LINKED]),
            len(rows.linked) > MAX_LINKED or rows.are_cases_cut,
        )

    # Other weights

    def dry_run(self, weights: Weights, places: int = DRY_RUN_PLACES) -> DryRun:
        """Which open cases other weights would move, among the first places. Nothing is changed."""
        cases = self._store.queues.undecided(MAX_DRY_RUN_CASES + 1)
        compared, now = cases[:MAX_DRY_RUN_CASES], self._now()
        before, after = (_places(compared, each) for each in (self.weights, weights))
        moved = [
            PlaceChange(
                case, before[case.id], after[case.id], points_of(case, self.weights, now), points_of(case, weights, now)
            )
            for case in compared
            if before[case.id] != after[case.id] and min(before[case.id], after[case.id]) <= places
        ]
        moved.sort(key=lambda change: change.place_after)
        return DryRun(tuple(moved), places, len(compared), len(cases) > MAX_DRY_RUN_CASES)

    # Saved views

    def saved_views(self, user: User) -> list[SavedView]:
        """The person's own views, by name."""
        require(user, Action.SEE_CASES)
        return self._store.saved_views.of_user(user.id)

    def save_view(self, user: User, name: str, query: QueueQuery) -> SavedView:
        """Keep a query under a name; a view of that name is replaced.

        Raises:
            ConflictError: the person keeps as many as one may.
            InvalidValueError: the name is empty, too long or not printable.
        """
        require(user, Action.SEE_CASES)
        return self._store.saved_views.save(user.id, _checked_name(name), query.format())

    def drop_view(self, user: User, view_id: int) -> None:
        """Forget one of the person's views.

        Raises:
            NotFoundError: there is none.
        """
        require(user, Action.SEE_CASES)
        self._store.saved_views.drop(user.id, view_id)


def asker_of(user: User) -> Asker:
    """What a person reaches, as the store takes it."""
    return Asker(user.bank_ids, user.id)


def _within_reach(screening: AccountScreening, user: User) -> AccountScreening:
    """A screening as if there were no other banks than the person's.

    Nothing that they know and a match of another bank are the same here: "clear" would be wrong of one, and would tell
    it from the other.
    """
    if user.bank_ids is None or screening.finding in {None, Finding.UNSCREENABLE}:
        return screening
    matches = tuple(match for match in screening.matches if user.reaches(match.bank_id))
    if not matches:
        return replace(screening, finding=None, verdict=None, matches=())
    verdict = max((verdict_of(match) for match in matches), key=lambda each: each.severity)
    return replace(screening, verdict=verdict, matches=matches)


def _check_limit(limit: int) -> None:
    if not 0 < limit <= MAX_PAGE:
        raise InvalidValueError(f"limit is {limit}, expected 1 to {MAX_PAGE}", hint="ask for fewer rows")


def _places(cases: Sequence[Case], weights: Weights) -> dict[str, int]:
    """The place of each case by these weights; the first one is 1."""
    ordered = sorted(cases, key=lambda case: (-rank_of(case, weights), case.id))
    return {case.id: place for place, case in enumerate(ordered, start=1)}


def _checked_name(name: str) -> str:
    checked = " ".join(name.split())
    if not 0 < len(checked) <= _MAX_NAME or not checked.isprintable():
        message = (
            f"the name {name[:80]!r} of a view has {len(checked)} characters, expected 1 to {_MAX_NAME} printable ones"
        )
        raise InvalidValueError(message, hint="name what the view shows, such as: Second decisions")
    return checked
