"""The queue: cases in the order in which they should be decided, filtered, page by page; and views that people keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from baken.accounts import User
from baken.cases import Awaits, CaseState
from baken.cases_query import CaseSort, QueueQuery
from baken.errors import ConflictError, InvalidValueError
from baken.model import Purpose, Visibility
from baken.permissions import Action, may
from baken.queues import QueuePage, SavedView
from baken.web.console.case_lists import list_values
from baken.web.console.pages import Pages
from baken.web.console.texts import Translate, translator
from baken.web.console.visits import Visit, leave_for
from baken.web.service import Service

PATH = "/console/cases"
_PAGE_ROWS = 50
_MAX_BADGE = 99
_PURPOSES = (Purpose.KNOWN_ABUSE, Purpose.OWN_PHOTO, Purpose.WATCH)  # matches of benign entries open no case


@dataclass(frozen=True, slots=True)
class Tab:
    """A queue that everyone has: its name, where it is, and how many cases wait there."""

    name: str
    path: str
    count: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class _Shown:
    """What was read for the page."""

    page: QueuePage
    counts: tuple[int, ...]
    views: list[SavedView]
    banks: list[str]
    values: dict[str, object]


class QueuePages:
    """The list of cases and the views of it that people keep."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self._run = service.store_pool.run
        self._store = service.baken.store
        self._queues = service.baken.queues()
        self._pages = pages

    async def show(self, visit: Visit) -> Response:
        """The queue that the address asks for; htmx gets its table alone."""
        error, status = None, HTTPStatus.OK
        after = visit.request.query_params.get("after") or None
        try:
            query = QueueQuery.parse(visit.request.url.query, besides={"after"})
            shown = await self._run(self._read, visit, query, after)
        except InvalidValueError:
            query, after, status = QueueQuery(), None, HTTPStatus.UNPROCESSABLE_ENTITY
            _ = translator(visit.language)
            error = _("The list cannot be asked for that. All open cases are shown.")
            shown = await self._run(self._read, visit, query, after)
        return self._answer(visit, query, after, shown, error=error, status=status)

    async def save(self, visit: Visit) -> Response:
        """Keep a query under a name."""
        query = _query_in(visit)
        try:
            await self._run(self._queues.save_view, visit.who, visit.form.get("name", ""), query)
        except (InvalidValueError, ConflictError) as refusal:
            _ = translator(visit.language)
            is_full = isinstance(refusal, ConflictError)
            error = _("You keep as many views as one may. Drop one first.") if is_full else _("Give the view a name.")
            shown = await self._run(self._read, visit, query, None)
            return self._answer(visit, query, None, shown, error=error, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        return leave_for(visit, address_of(query))

    async def drop(self, visit: Visit) -> Response:
        """Forget a view."""
        given = visit.form.get("view", "")
        if not (given.isascii() and given.isdecimal()):
            raise InvalidValueError(f"{given[:20]!r} is no view", hint="Use the button on the page.")
        await self._run(self._queues.drop_view, visit.who, int(given))
        return leave_for(visit, PATH)

    def _read(self, visit: Visit, query: QueueQuery, after: str | None) -> _Shown:
        user = visit.who
        page = self._queues.page(user, query, after, _PAGE_ROWS)
        tabs = () if visit.is_partial else _tab_queries(user).values()
        counts = tuple(self._queues.count(user, tab, _MAX_BADGE + 1) for tab in tabs)
        banks = [bank.name for bank in self._store.banks() if user.reaches(bank.id) and bank.purpose in _PURPOSES]
        values = list_values(self._store.people.all(), visit.language, datetime.now(UTC))
        return _Shown(page, counts, self._queues.saved_views(user), banks, values)

    def _answer(
        self, visit: Visit, query: QueueQuery, after: str | None, shown: _Shown, *, error: str | None, status: int
    ) -> Response:
        _ = translator(visit.language)
        text = query.format()
        response = self._pages.render(
            visit,
            "queue_table.html" if visit.is_partial else "queue.html",
            status=status,
            error=error,
            query=query,
            after=after,
            address=partial(address_of, query),
            page=shown.page,
            tabs=[] if visit.is_partial else _tabs(_, visit.who, query, shown.counts),
            views=shown.views,
            view=next((view for view in shown.views if view.query == text), None),
            kept=_kept(query),
            banks=shown.banks,
            purposes=_PURPOSES,
            visibilities=list(Visibility),
            sort_names=sort_names(_),
            is_partial=visit.is_partial,
            **shown.values,
        )
        if visit.is_partial:
            response.headers["hx-push-url"] = address_of(query, after)
        return response


def address_of(query: QueueQuery, after: str | None = None) -> str:
    """Where a queue is, or the part of it behind a row."""
    parts = [query.format(), urlencode({"after": after}) if after else ""]
    text = "&".join(part for part in parts if part)
    return f"{PATH}?{text}" if text else PATH


def sort_names(_: Translate) -> dict[CaseSort, str]:
    """What the orders of a queue are called."""
    return {
        CaseSort.PRIORITY: _("most urgent first"),
        CaseSort.NEWEST: _("newest first"),
        CaseSort.OLDEST: _("oldest first"),
    }


def _tab_queries(user: User) -> dict[str, QueueQuery]:
    """The queues that a person finds above the list."""
    tabs = {"open": QueueQuery()}
    if may(user, Action.DECIDE_CASES):
        tabs["mine"] = QueueQuery(mine=True)
    return tabs | {
        "second": QueueQuery(awaits=Awaits.SECOND),
        "lead": QueueQuery(awaits=Awaits.LEAD),
        "hold": QueueQuery(states=(CaseState.ON_HOLD,)),
        "decided": QueueQuery(states=(CaseState.DECIDED,)),
    }


def _tabs(_: Translate, user: User, query: QueueQuery, counts: Iterable[int]) -> list[Tab]:
    names = {
        "open": _("Open"),
        "mine": _("Mine"),
        "second": _("Second person"),
        "lead": _("Lead"),
        "hold": _("On hold"),
        "decided": _("Decided"),
    }
    return [
        Tab(names[key], address_of(tab), f"{_MAX_BADGE}+" if count > _MAX_BADGE else str(count), _is_of(query, tab))
        for (key, tab), count in zip(_tab_queries(user).items(), counts, strict=True)
    ]


def _is_of(query: QueueQuery, tab: QueueQuery) -> bool:
    """Whether a query is a tab's, perhaps with filters."""
    return (query.states, query.mine, query.awaits) == (tab.states, tab.mine, tab.awaits)


def _kept(query: QueueQuery) -> list[tuple[str, str]]:
    """What of a query no filter shows, as fields of the form, so that filters stay within the tab."""
    rest = QueueQuery(states=query.states, mine=query.mine, awaits=query.awaits)
    return parse_qsl(rest.format())


def _query_in(visit: Visit) -> QueueQuery:
    return QueueQuery.parse(visit.form.get("query", ""))
