"""The page of one case: what is known of it, and every step that a person can take with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.responses import Response

from baken import candidates
from baken.accounts import User
from baken.cases import Decision
from baken.errors import ConflictError, InvalidValueError, LeaseLostError, NotAuthorisedError, NotFoundError
from baken.review import BulkPlan
from baken.web.console.case_forms import (
    Asked,
    FormError,
    decision_in,
    id_in,
    reason_in,
    unreached_is_absent,
    until_in,
)
from baken.web.console.case_reading import CaseReader
from baken.web.console.facts import drawing_words
from baken.web.console.pages import Pages
from baken.web.console.texts import translator
from baken.web.console.visits import Visit, leave_for
from baken.web.service import Service

MANY_ITEMS = 25
"""From so many items on, what a decision would do is shown once more before it is done."""

_DRAWING_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

Step = Callable[[User, str], object]


class CasePages:
    """One case: its page, its steps, and the drawings of its matches."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self._run = service.store_pool.run
        self._store = service.baken.store
        self._review = service.baken.review()
        self._reader = CaseReader(service.baken, service.looking)
        self._pages = pages

    async def show(self, visit: Visit) -> Response:
        """The page."""
        asked = Asked.of(visit.request.query_params)
        return await self._page(visit, asked, note=_done(visit, asked.did))

    async def drawing(self, visit: Visit) -> Response:
        """How an item matches an entry, as a drawing without pixels."""
        params = visit.request.path_params
        item_id, entry_id = id_in(params["item_id"]), id_in(visit.request.query_params.get("entry"))
        svg = await self._run(self._draw, visit, params["case_id"], item_id or 0, entry_id)
        headers = {**self._pages.headers(), "content-security-policy": _DRAWING_POLICY}
        return visit.finish(Response(svg, headers=headers, media_type="image/svg+xml"))

    async def heartbeat(self, visit: Visit) -> Response:
        """The page is still open: the claim goes on."""
        with unreached_is_absent():
            await self._run(self._review.heartbeat, visit.who, _case_id(visit))
        return visit.finish(Response(status_code=HTTPStatus.NO_CONTENT, headers=self._pages.headers()))

    async def claim(self, visit: Visit) -> Response:
        """Have the case for oneself."""
        return await self._take(visit, "claim", self._review.claim)

    async def release(self, visit: Visit) -> Response:
        """Give it back."""
        return await self._take(visit, "release", self._review.release)

    async def resume(self, visit: Visit) -> Response:
        """Take up what was on hold, and have it."""
        return await self._take(visit, "resume", self._review.resume)

    async def undo(self, visit: Visit) -> Response:
        """Take the last decision back, if it is the one that was shown."""
        seq = id_in(visit.form.get("seq")) or 0
        return await self._take(visit, "undo", lambda user, case_id: self._review.undo(user, case_id, seq))

    async def hold(self, visit: Visit) -> Response:
        """Lay it aside for a while."""
        _, form = translator(visit.language), visit.form

        def hold(user: User, case_id: str) -> None:
            until = until_in(form, datetime.now(UTC), _)
            self._review.hold(user, case_id, reason_in(form, _, choice="reason"), until)

        return await self._take(visit, "hold", hold)

    async def note(self, visit: Visit) -> Response:
        """Leave a note."""
        return await self._say(visit, "note", self._review.note)

    async def escalate(self, visit: Visit) -> Response:
        """Hand it to the leads."""
        return await self._say(visit, "escalate", self._review.escalate)

    async def ask_second(self, visit: Visit) -> Response:
        """Have the decision wait for a second person's."""
        return await self._say(visit, "ask_second", self._review.ask_second)

    async def reopen(self, visit: Visit) -> Response:
        """Open a decided case again."""
        return await self._say(visit, "reopen", self._review.reopen)

    async def reassign(self, visit: Visit) -> Response:
        """Give it to somebody, or back to everybody."""
        to = visit.form.get("to") or None

        def reassign(user: User, case_id: str, note: str) -> None:
            self._review.reassign(user, case_id, to, note)

        return await self._say(visit, "reassign", reassign)

    async def make_benign(self, visit: Visit) -> Response:
        """Add the pictures of a case that is no match to a benign bank."""
        bank = visit.form.get("bank", "")
        return await self._take(
            visit, "make_benign", lambda user, case_id: self._review.make_benign(user, case_id, bank)
        )

    async def dispute(self, visit: Visit) -> Response:
        """Tell the curators that an entry is wrong."""
        entry_id = id_in(visit.form.get("entry"))

        def dispute(user: User, case_id: str, reason: str) -> None:
            self._review.dispute(user, case_id, entry_id or 0, reason)

        return await self._say(visit, "dispute", dispute)

    async def decide(self, visit: Visit) -> Response:
        """Give a decision; one that does much is shown once more before it is done."""
        _, form, case_id = translator(visit.language), visit.form, _case_id(visit)
        try:
            decision = decision_in(form, [category.key for category in self._review.categories], _)
            plan = None if form.get("digest") else await self._run(self._plan_of_many, visit.who, case_id, decision)
        except FormError as error:
            return await self._again(visit, error.text, HTTPStatus.UNPROCESSABLE_ENTITY)
        if plan is not None:
            return await self._page(visit, Asked.of(form), plan=plan)

        if not (digest := form.get("digest")):
            return await self._take(visit, "decide", lambda user, case_id: self._review.decide(user, case_id, decision))

        def decide(user: User, case_id: str) -> None:
            self._review.decide_all(user, [case_id], decision, digest)

        return await self._take(visit, "decide", decide, planned=decision)

    def _plan_of_many(self, user: User, case_id: str, decision: Decision) -> BulkPlan | None:
        """What the decision would do, if that is much; whoever may not decide hears it from the decision itself.

        Of a second decision it is not told: whether anything follows says what the first one was.
        """
        standing = self._reader.standing(user, case_id)
        if standing.case.item_count < MANY_ITEMS or standing.has_sealed:
            return None
        plan = self._review.plan(user, [case_id], decision)
        return plan if plan.cases else None

    def _draw(self, visit: Visit, case_id: str, item_id: int, entry_id: int | None) -> str:
        item = self._reader.item(visit.who, case_id, item_id)
        match = next((match for match in item.matches if match.entry_id == entry_id), None)
        if match is None:
            raise NotFoundError("the item has no such match", hint="Open the drawing from the page of the case.")
        screened = self._store.screening(item.screening_id).fingerprints
        words = drawing_words(match, translator(visit.language))
        return candidates.overlay_of(self._store.kept, match, screened, words)

    async def _say(self, visit: Visit, step: str, take: Callable[[User, str, str], object]) -> Response:
        """Take a step that needs words alone."""
        _, form = translator(visit.language), visit.form
        return await self._take(visit, step, lambda user, case_id: take(user, case_id, reason_in(form, _)))

    async def _take(self, visit: Visit, step: str, take: Step, *, planned: Decision | None = None) -> Response:
        """Take a step and show the case again; when it is refused, with what was typed and why.

        Of a decision that was `planned`, what it would do now is shown then, to be agreed to instead.
        """
        _, case_id = translator(visit.language), _case_id(visit)
        try:
            await self._run(take, visit.who, case_id)
        except FormError as error:
            return await self._again(visit, error.text, HTTPStatus.UNPROCESSABLE_ENTITY, step)
        except (InvalidValueError, NotFoundError):  # of what a form names: a case that is not there is no page either
            text = _("Something in the form is missing, too long or not possible.")
            return await self._again(visit, text, HTTPStatus.UNPROCESSABLE_ENTITY, step)
        except LeaseLostError:
            text = _("Your claim had ended and somebody else has taken the case over. Nothing was done.")
            return await self._again(visit, text, HTTPStatus.CONFLICT, step)
        except ConflictError:
            text = _("The case has changed meanwhile, and nothing was done. This is how it stands now.")
            plan = None if planned is None else await self._run(self._plan_of_many, visit.who, case_id, planned)
            return await self._again(visit, text, HTTPStatus.CONFLICT, step, plan)
        except NotAuthorisedError:
            text = _("Somebody else must do this: it is not yours to do. Nothing was done.")
            return await self._again(visit, text, HTTPStatus.FORBIDDEN, step)
        return leave_for(visit, Asked(Asked.of(visit.form).query, did=step).address(case_id))

    async def _again(
        self, visit: Visit, error: str, status: HTTPStatus, step: str = "decide", plan: BulkPlan | None = None
    ) -> Response:
        return await self._page(visit, Asked.of(visit.form), error=error, status=status, step=step, plan=plan)

    async def _page(
        self,
        visit: Visit,
        asked: Asked,
        *,
        plan: BulkPlan | None = None,
        step: str = "",
        status: HTTPStatus = HTTPStatus.OK,
        error: str | None = None,
        note: str | None = None,
    ) -> Response:
        view, values = await self._run(self._reader.read, visit.who, _case_id(visit), asked, visit.language)
        if plan is not None:
            view = replace(view, plan=view.words.plan(view.case, plan, visit.form))
        typed = defaultdict(str, visit.form, step=step)
        return self._pages.render(
            visit, "case.html", status=status, error=error, note=note, view=view, typed=typed, **values
        )


def _case_id(visit: Visit) -> str:
    return str(visit.request.path_params["case_id"])


def _done(visit: Visit, did: str) -> str | None:
    """What is said after a step; where it stands shows the rest."""
    _ = translator(visit.language)
    texts = {
        "release": _("The case is everybody's again."),
        "hold": _("The case waits."),
        "note": _("The note is kept."),
        "ask_second": _("A second person will be asked."),
        "escalate": _("A lead will decide it."),
        "reassign": _("The case was given."),
        "undo": _("The decision is undone; nothing of it was done."),
        "reopen": _("The case is open again."),
        "decide": _("Your decision is kept."),
        "make_benign": _("The picture was added."),
        "dispute": _("The curators are told."),
    }
    return texts.get(did)
