"""What people looked at: one's own ledger and what one does not want to see; everybody's, for those who may know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from baken.accounts import User
from baken.cases import Level
from baken.errors import InvalidValueError, NotAuthorisedError, NotFoundError
from baken.jurisdictions import REVIEWED
from baken.looking import MAX_EXTRA_POINTS, MAX_LIFT_HOURS, REPORT_DAYS, ExposureReport, ExposureSum
from baken.model import Purpose
from baken.permissions import Action, may
from baken.web.console.looking import level_names
from baken.web.console.pages import Pages
from baken.web.console.texts import translator
from baken.web.console.visits import Visit, leave_for
from baken.web.console.words import purpose_names
from baken.web.service import Service

_PATH = "/console/exposure"


@dataclass(frozen=True, slots=True)
class ExposureView:
    """What the page shows.

    Attributes:
        report: whose ledger is shown in full.
        is_own: whether it is the person's own.
        people: everybody in sum; None for those who may not know.
        may_lift: whether the person may lift this budget.
        names: of those who lifted it, by actor.
    """

    report: ExposureReport
    is_own: bool
    people: Sequence[ExposureSum] | None
    may_lift: bool
    names: Mapping[str, str]


class ExposurePages:
    """The page of exposure, and what can be done there."""

    def __init__(self, service: Service, pages: Pages) -> None:
        self._run = service.store_pool.run
        self._store = service.baken.store
        self._looking = service.looking
        self._pages = pages

    async def show(self, visit: Visit) -> Response:
        """One's own ledger, or that of the person whom the address names."""
        return await self._page(visit, visit.request.query_params.get("user"))

    async def opt_out(self, visit: Visit) -> Response:
        """Begin, or end, not to see the pictures of a purpose."""
        purpose = next((each for each in Purpose if each.value == visit.form.get("purpose")), Purpose.BENIGN)
        is_on = visit.form.get("on") == "yes"
        try:
            await self._run(self._looking.opt_out, visit.who, purpose, on=is_on)
        except InvalidValueError:
            _ = translator(visit.language)
            return await self._page(visit, None, error=_("Choose one of the list."))
        return leave_for(visit, _PATH)

    async def lift(self, visit: Visit) -> Response:
        """Let a person go on whose budget is spent."""
        _, form = translator(visit.language), visit.form
        of_user_id = form.get("user", "")
        try:
            await self._run(
                self._looking.lift,
                visit.who,
                of_user_id,
                extra_points=_number_in(form.get("points")),
                hours=_number_in(form.get("hours")),
                reason=form.get("reason", ""),
            )
        except (InvalidValueError, NotFoundError):
            error = _("Give points, hours and a reason. Nothing was lifted.")
            return await self._page(visit, of_user_id or None, error=error)
        except NotAuthorisedError:
            return await self._page(visit, None, error=_("Nobody lifts their own budget: ask another lead."))
        return leave_for(visit, f"{_PATH}?{urlencode({'user': of_user_id})}")

    async def _page(self, visit: Visit, user_id: str | None, *, error: str | None = None) -> Response:
        view = await self._run(self._read, visit.who, user_id)
        _ = translator(visit.language)
        return self._pages.render(
            visit,
            "exposure.html",
            status=HTTPStatus.OK if error is None else HTTPStatus.UNPROCESSABLE_ENTITY,
            view=view,
            levels=level_names(_),
            shown_levels=[level for level in Level if level],
            purposes=purpose_names(_),
            reviewed=REVIEWED,
            report_days=REPORT_DAYS,
            most_points=MAX_EXTRA_POINTS,
            most_hours=MAX_LIFT_HOURS,
            error=error,
        )

    def _read(self, user: User, user_id: str | None) -> ExposureView:
        sees_all = may(user, Action.SEE_EXPOSURE)
        of_user = user
        if user_id is not None and user_id != user.id and sees_all:
            try:
                of_user = self._store.people.user(user_id)
            except NotFoundError:
                of_user = user
        report = self._looking.exposure(user, of_user)
        is_own = of_user.id == user.id
        return ExposureView(
            report=report,
            is_own=is_own,
            people=self._looking.exposure_of_all(user) if sees_all else None,
            may_lift=not is_own and may(user, Action.LIFT_EXPOSURE_BUDGETS),
            names={each.actor: each.name for each in self._store.people.all()} if report.lifts else {},
        )


def _number_in(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else 0  # noqa: PLR2004 - more than any
