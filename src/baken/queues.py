"""Finding the right case: the queue, saved views, and what other weights would change. `queues_search.py` has the rest.

Every method takes the person: only cases with a match of a bank that the person reaches are found, and of each case
only such entries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from baken.accounts import User
from baken.cases import Case
from baken.cases_query import CaseSort, QueueQuery
from baken.errors import InvalidValueError
from baken.permissions import Action, require
from baken.priorities import Points, Weights, points_of
from baken.store import Store
from baken.store.queues import COUNT_LIMIT, Asker, QueueKey
from baken.store.saved_views import SavedView

__all__ = ["CaseSort", "Points", "QueuePage", "QueueQuery", "QueueRow", "Queues", "SavedView"]

MAX_PAGE = 200
_MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A case, with how urgent it is and why."""

    case: Case
    points: Points


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


class Queues:
    """What a person can find; thread-safe.

    Raises of all that take a person: NotAuthorisedError, the roles do not cover it.
    """

    def __init__(
        self, store: Store, weights: Weights, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Take the parts; `now` is the clock."""
        self._store = store
        self._now = now
        self.weights = weights

    def page(self, user: User, query: QueueQuery, cursor: str | None = None, limit: int = 50) -> QueuePage:
        """A page of the cases that a query asks for.

        Raises:
            InvalidValueError: no page of this query gave this cursor, or the limit is none.
        """
        require(user, Action.SEE_CASES)
        if not 0 < limit <= MAX_PAGE:
            raise InvalidValueError(f"limit is {limit}, expected 1 to {MAX_PAGE}", hint="ask for fewer rows")
        asker, now = asker_of(user), self._now()
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
        return self._store.queues.cases(case_ids, asker_of(user))

    def row(self, user: User, case: Case) -> QueueRow:
        """A case that the person was given elsewhere, with how urgent it is and why."""
        require(user, Action.SEE_CASES)
        return self.rows_of([case])[0]

    def rows_of(self, cases: Sequence[Case]) -> tuple[QueueRow, ...]:
        """Cases with how urgent they are now."""
        now = self._now()
        return tuple(QueueRow(case, points_of(case, self.weights, now)) for case in cases)

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


def _checked_name(name: str) -> str:
    checked = " ".join(name.split())
    if not 0 < len(checked) <= _MAX_NAME or not checked.isprintable():
        message = (
            f"the name {name[:80]!r} of a view has {len(checked)} characters, expected 1 to {_MAX_NAME} printable ones"
        )
        raise InvalidValueError(message, hint="name what the view shows, such as: Second decisions")
    return checked
