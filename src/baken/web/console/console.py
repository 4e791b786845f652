"""The console's routes: who may open which, and where each leads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import PurePosixPath
from urllib.parse import quote

from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from baken.assemble import PROVIDER_PATH
from baken.errors import NotAuthenticatedError, NotFoundError, SettingError
from baken.permissions import Action, may, require
from baken.web.console.account import Account
from baken.web.console.assets import Assets
from baken.web.console.audit import AuditPages
from baken.web.console.bulk import Bulk
from baken.web.console.case import CasePages
from baken.web.console.entrance import Entrance
from baken.web.console.exposure import ExposurePages
from baken.web.console.finding import FindingPages
from baken.web.console.looking import LookingPages
from baken.web.console.pages import Pages
from baken.web.console.provider import ProviderPages
from baken.web.console.queue import QueuePages
from baken.web.console.settings_page import SettingsPage
from baken.web.console.texts import LANGUAGES
from baken.web.console.users import Users
from baken.web.console.visits import Origin, Visit, check_console_url, leave_for
from baken.web.errors import Problem
from baken.web.routing import PlainRoute
from baken.web.service import Service

Handler = Callable[[Visit], Awaitable[Response]]
HOME = "/console/account"
"""Where those begin who see no cases."""
SECOND_FACTOR = "/console/account/second-factor"
PICTURE = "/console/cases/{case_id}/reveals/{reveal_id}"


class Console:
    """The pages under `/console`. They take a session's cookie and no key."""

    def __init__(self, service: Service) -> None:
        settings = service.baken.settings
        if settings.console_url is not None and not check_console_url(settings.console_url):
            message = f"the setting console_url is {settings.console_url!r}, expected http(s)://HOST without a path"
            raise SettingError(message, hint="Give the address that browsers show, `https://baken.example.org`.")
        self._service = service
        self._people = service.baken.people()
        self._provider = service.baken.provider()
        self._origin = Origin.of(settings)
        self._assets = Assets()
        self._pages = Pages(self._origin, self._assets)

    def routes(self) -> list[PlainRoute]:
        """The routes; they stand outside the API's document."""
        provider_name = None if self._provider is None else self._provider.name
        entrance = Entrance(self._service, self._people, self._pages, provider_name)
        provider = ProviderPages(self._service, self._people, self._provider, self._pages, entrance)
        account = Account(self._service, self._people, self._pages)
        users = Users(self._service, self._people, self._pages, self._provider)
        audit = AuditPages(self._service, self._pages)
        settings = SettingsPage(self._service, self._pages)
        routes = [
            *self._case_routes(),
            *self._one_case_routes(),
            *self._looking_routes(),
            self._route("/console", self.home),
            *self._assets.routes(),
            self._route("/console/language", self.language, posts=True, is_open=True),
            self._route("/console/sign-in", entrance.sign_in, posts=False, is_open=True),
            self._route("/console/sign-in", entrance.begin, posts=True, is_open=True),
            self._route("/console/sign-in/once", entrance.once, is_open=True),
            self._route("/console/sign-in/once", entrance.take_once, posts=True, is_open=True),
            self._route("/console/provider", provider.begin, is_open=True),
            self._route(PROVIDER_PATH, provider.finish, is_open=True),
            self._route("/console/second-step", entrance.second_step, is_open=True),
            self._route("/console/second-step", entrance.finish, posts=True, is_open=True),
            self._route("/console/set-up", entrance.set_up, is_open=True),
            self._route("/console/set-up", entrance.take_set_up, posts=True, is_open=True),
            self._route("/console/sign-out", entrance.sign_out, posts=True, is_half_open=True),
            self._route("/console/account", account.show),
            self._route("/console/account/password", account.set_password, posts=True),
            self._route("/console/account/sessions", account.end_sessions, posts=True),
            self._route(SECOND_FACTOR, account.offer_totp, is_half_open=True),
            self._route(SECOND_FACTOR, account.confirm_totp, posts=True, is_half_open=True),
            self._route("/console/account/recovery-codes", account.renew_codes, posts=True),
            self._route("/console/users", users.show, action=Action.SEE_USERS),
            self._route("/console/users", users.create, posts=True, action=Action.CHANGE_USERS),
            self._route("/console/audit", audit.show, action=Action.SEE_AUDIT_LOG),
            self._route("/console/audit/export", audit.export, posts=True, action=Action.EXPORT_AUDIT_LOG),
            self._route("/console/settings", settings.show, action=Action.CHANGE_SETTINGS),
            self._route("/console/users/change", users.change, posts=True, action=Action.CHANGE_USERS),
        ]
        return [*routes, *self._ways_back(routes)]

    def _ways_back(self, routes: Iterable[PlainRoute]) -> list[PlainRoute]:
        """What leads from the address of a form to the nearest page above it.

        An answer to a form, such as "Give a reason.", stands at that address: it is asked for without the form by who
        opens it again from the address bar, by a browser that opens yesterday's tabs, and by whom the address was sent.
        """
        forms = {each.path for each in routes if "POST" in (each.methods or ())}
        pages = {each.path for each in routes if "GET" in (each.methods or ())}
        above = pages - {PICTURE}
        return [
            self._route(form, _way_to(next(str(page) for page in PurePosixPath(form).parents if str(page) in above)))
            for form in sorted(forms - pages)
        ]

    def _case_routes(self) -> list[PlainRoute]:
        queue = QueuePages(self._service, self._pages)
        bulk = Bulk(self._service, self._pages)
        finding = FindingPages(self._service, self._pages)
        return [
            self._route("/console/search", finding.search, action=Action.SEE_CASES),
            self._route("/console/accounts", finding.account, action=Action.SEE_SCREENINGS),
            self._route("/console/cases", queue.show, action=Action.SEE_CASES),
            self._route("/console/views", queue.save, posts=True, action=Action.SEE_CASES),
            self._route("/console/views/drop", queue.drop, posts=True, action=Action.SEE_CASES),
            self._route("/console/cases/bulk", bulk.choose, posts=True, action=Action.DECIDE_CASES),
            self._route("/console/cases/bulk/summary", bulk.summarise, posts=True, action=Action.DECIDE_CASES),
            self._route("/console/cases/bulk/do", bulk.do, posts=True, action=Action.DECIDE_CASES),
            self._route("/console/cases/bulk/undo", bulk.undo, posts=True, action=Action.DECIDE_CASES),
        ]

    def _looking_routes(self) -> list[PlainRoute]:
        pictures = LookingPages(self._service, self._pages)
        exposure = ExposurePages(self._service, self._pages)
        reveal, lift = Action.REVEAL_PICTURES, Action.LIFT_EXPOSURE_BUDGETS
        return [
            self._route("/console/cases/{case_id}/look", pictures.reveal, posts=True, action=reveal),
            self._route(PICTURE, pictures.picture, action=reveal),
            self._route(f"{PICTURE}/hide", pictures.hide, posts=True, action=reveal),
            self._route("/console/exposure", exposure.show),
            self._route("/console/exposure/opt-out", exposure.opt_out, posts=True),
            self._route("/console/exposure/lift", exposure.lift, posts=True, action=lift),
        ]

    def _one_case_routes(self) -> list[PlainRoute]:
        case = CasePages(self._service, self._pages)
        path = "/console/cases/{case_id}"
        drawing = f"{path}/items/{{item_id}}/drawing"
        steps = {
            "claim": case.claim,
            "release": case.release,
            "heartbeat": case.heartbeat,
            "hold": case.hold,
            "resume": case.resume,
            "note": case.note,
            "escalate": case.escalate,
            "reassign": case.reassign,
            "ask-second": case.ask_second,
            "decide": case.decide,
            "undo": case.undo,
            "reopen": case.reopen,
            "benign": case.make_benign,
            "dispute": case.dispute,
        }
        return [
            self._route(path, case.show, action=Action.SEE_CASES),
            self._route(drawing, case.drawing, action=Action.SEE_CASES),
            *(
                self._route(f"{path}/{name}", step, posts=True, action=Action.DECIDE_CASES)
                for name, step in steps.items()
            ),
        ]

    def error_page(self, scope: Scope, problem: Problem, request_id: str) -> tuple[bytes, dict[str, str]] | None:
        """The page of an error for a path of the console, with its headers; None for other paths."""
        path: str = scope["path"]
        if path != "/console" and not path.startswith("/console/"):
            return None
        given = {name: value.decode("latin-1") for name, value in scope["headers"]}
        cookies = cookie_parser(given.get(b"cookie", ""))
        page = self._pages.error(problem, request_id, cookies, given.get(b"accept-language"))
        return page, self._pages.headers()

    async def home(self, visit: Visit) -> Response:
        """Where a person who signs in begins."""
        return leave_for(visit, "/console/cases" if may(visit.who, Action.SEE_CASES) else HOME)

    async def language(self, visit: Visit) -> Response:
        """Keep the language that was chosen."""
        wanted = visit.form.get("language", "")
        if wanted not in LANGUAGES:
            raise NotFoundError(f"there is no language {wanted[:20]!r}", hint="Choose one of the list.")
        visit.remember_language(wanted)
        return leave_for(visit, "/console")

    def _route(
        self,
        path: str,
        handler: Handler,
        *,
        posts: bool = False,
        is_open: bool = False,
        is_half_open: bool = False,
        action: Action | None = None,
    ) -> PlainRoute:
        """A route for people who are signed in and may do `action`.

        `is_open`: for everyone. `is_half_open`: also for those who still have to set up a second factor.
        """

        async def answer(request: Request) -> Response:
            visit = Visit.begin(request, self._origin)
            try:
                visit.user, visit.session = await self._service.store_pool.run(self._people.session, visit.token)
            except NotAuthenticatedError:
                if not is_open:
                    return leave_for(visit, "/console/sign-in")
            is_half_in = visit.session is not None and self._people.lacks_second_factor(visit.who, visit.session)
            if is_half_in and not (is_open or is_half_open):
                return leave_for(visit, SECOND_FACTOR)
            if action is not None:
                require(visit.who, action)
            if posts:
                await visit.read_form()
            return await handler(visit)

        return PlainRoute(path, answer, methods=["POST" if posts else "GET"], include_in_schema=False)


def _way_to(page: str) -> Handler:
    """Leads to a page, whose parameters are those of the request."""

    async def lead(visit: Visit) -> Response:
        given = {name: quote(value, safe="") for name, value in visit.request.path_params.items()}
        return leave_for(visit, page.format_map(given))

    return lead
