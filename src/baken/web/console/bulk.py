"""Deciding several cases at once: choose, read what would be done, confirm, and take it back."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from starlette.responses import Response

from baken.cases import Decision, DecisionKind
from baken.cases_query import QueueQuery
from baken.errors import ConflictError, InvalidValueError, TooLargeError
from baken.review import BulkPlan
from baken.web.console.case_forms import id_in
from baken.web.console.case_lists import list_values
from baken.web.console.pages import Pages
from baken.web.console.queue import address_of
from baken.web.console.reasons import decision_reasons, joined, reason_words
from baken.web.console.texts import translator
from baken.web.console.visits import Visit
from baken.web.console.words import decision_meanings, refusal_names
from baken.web.service import Service


class Bulk:
    """The pages between a selection in the queue and what is done. Nothing happens before the summary is confirmed."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self._run = service.store_pool.run
        self._store = service.baken.store
        self._queues = service.baken.queues()
        self._review = service.baken.review()
        self._pages = pages

    async def choose(self, visit: Visit) -> Response:
        """What is said of the selected cases: the form for it."""
        return await self._form(visit)

    async def summarise(self, visit: Visit) -> Response:
        """What would be done, to be confirmed."""
        _ = translator(visit.language)
        try:
            decision = _decision_in(visit)
            plan = await self._run(self._review.plan, visit.who, visit.chosen("case"), decision)
        except InvalidValueError:
            return await self._form(
                visit,
                error=_("Choose a decision, a reason that belongs to it, a category if it is confirmed, and cases."),
            )
        except TooLargeError:
            return await self._form(visit, error=_("These are too many cases for one decision. Select fewer."))
        return await self._summary(visit, decision, plan)

    async def do(self, visit: Visit) -> Response:
        """Do what the summary said; if anything has changed since, show a new summary instead."""
        decision = _decision_in(visit)
        case_ids = visit.chosen("case")
        try:
            done = await self._run(self._review.decide_all, visit.who, case_ids, decision, visit.form.get("digest", ""))
        except ConflictError:
            _ = translator(visit.language)
            plan = await self._run(self._review.plan, visit.who, case_ids, decision)
            error = _("Something has changed meanwhile, and nothing was done. This is what would be done now.")
            return await self._summary(visit, decision, plan, error=error, status=HTTPStatus.CONFLICT)
        return await self._done(visit, "decided", done, left_count=len(case_ids) - len(done))

    async def undo(self, visit: Visit) -> Response:
        """Take the decisions back that the page named, of as many of the cases as still can be."""
        given = dict(_case_and_seq(name) for name in visit.chosen("given"))
        undone = await self._run(self._review.undo_all, visit.who, given)
        seqs = {case_id: given[case_id] for case_id in undone}
        return await self._done(visit, "undone", seqs, left_count=len(given) - len(undone))

    async def _form(self, visit: Visit, *, error: str | None = None) -> Response:
        _ = translator(visit.language)
        cases = await self._run(self._queues.cases, visit.who, visit.chosen("case"))
        if not cases:
            error = _("Select the cases first.")
        return await self._page(
            visit,
            "bulk.html",
            status=HTTPStatus.OK if error is None else HTTPStatus.UNPROCESSABLE_ENTITY,
            error=error,
            cases=cases,
            chosen=visit.form.get("decision", ""),
            meanings=decision_meanings(_),
            reasons=decision_reasons(_),
            categories=self._review.categories,
            words=visit.form.get("words", ""),
        )

    async def _summary(
        self,
        visit: Visit,
        decision: Decision,
        plan: BulkPlan,
        *,
        error: str | None = None,
        status: int = HTTPStatus.OK,
    ) -> Response:
        _, why = translator(visit.language), dict(plan.refused)
        refused = await self._run(self._queues.cases, visit.who, list(why))
        names = {category.key: category.name for category in self._review.categories}
        return await self._page(
            visit,
            "bulk_summary.html",
            status=status,
            error=error,
            decision=decision,
            category=names.get(decision.category or "", decision.category),
            reason=reason_words(decision.reason, _),
            plan=plan,
            refused=[(case, refusal_names(_)[why[case.id]]) for case in refused],
            fields=[(name, visit.form.get(name, "")) for name in ("decision", "why", "words", "category")],
        )

    async def _done(self, visit: Visit, what: str, seqs: dict[str, int], *, left_count: int) -> Response:
        cases = await self._run(self._queues.cases, visit.who, list(seqs))
        return await self._page(visit, "bulk_done.html", what=what, cases=cases, seqs=seqs, left_count=left_count)

    async def _page(self, visit: Visit, template: str, /, *, status: int = HTTPStatus.OK, **values: object) -> Response:
        people = await self._run(self._store.people.all)
        shared = list_values(people, visit.language, datetime.now(UTC))
        query = QueueQuery.parse(visit.form.get("query", ""))
        shared |= {"back": address_of(query), "query": query.format()}
        return self._pages.render(visit, template, status=status, **{**shared, **values})


def _case_and_seq(name: str) -> tuple[str, int]:
    """A case and the number of a decision's event, as the page names both."""
    case_id, _, seq = name.partition("/")
    return case_id, id_in(seq) or 0


def _decision_in(visit: Visit) -> Decision:
    """What the form says.

    Raises:
        InvalidValueError: the decision is none, the reason is missing, or it belongs to another decision.
    """
    given = visit.form.get("decision", "")
    if given not in set(DecisionKind):
        raise InvalidValueError(f"{given[:20]!r} is no decision", hint="Choose one of the list.")
    kind, code = DecisionKind(given), visit.form.get("why", "")
    if code and code not in decision_reasons(str)[kind]:
        raise InvalidValueError(f"the reason {code[:20]!r} is not one of {kind}", hint="Choose one below the decision.")
    category = visit.form.get("category") or None
    return Decision(
        kind, joined(code, visit.form.get("words", "")), category if kind is DecisionKind.CONFIRMED else None
    )
