"""Signing in with an account at the operator's identity provider: the way there, and the way back."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from starlette.responses import RedirectResponse, Response

from baken.errors import BakenError, NotAuthenticatedError, NotFoundError, ProviderError, TooManyAttemptsError
from baken.people import NotLinked, People, SecondFactorWanted
from baken.providers import VISIT_LIFETIME, Provider, Return
from baken.web.console.entrance import Entrance
from baken.web.console.pages import Pages
from baken.web.console.texts import translator
from baken.web.console.visits import Visit, leave_for
from baken.web.errors import OverloadedError
from baken.web.service import Service

_COOKIE = "provider"
_MAX_PARAMETER_CHARACTERS = 4_096
_log = structlog.stdlib.get_logger("baken.web")


class ProviderPages:
    """The two addresses between which a browser is at the provider.

    What comes back comes from another site, so that the browser sends none of the cookies that are kept to our own
    pages: `state` has one of its own that is sent along, and the session's is set by a page, which then leads on.
    """

    def __init__(
        self, service: Service, people: People, provider: Provider | None, pages: Pages, entrance: Entrance
    ) -> None:
        self._run = service.store_pool.run
        self._ask = service.provider_pool.run
        self._people = people
        self._provider = provider
        self._pages = pages
        self._entrance = entrance

    async def begin(self, visit: Visit) -> Response:
        """Lead the browser to the provider; one that another site's page sent here is asked first.

        Beginning counts as an attempt, and such a page could use up what its visitors' address may fail.
        """
        _ = translator(visit.language)
        provider = self._known()
        if visit.origin.is_led_from_elsewhere(visit.request):
            return leave_for(visit, "/console/sign-in")
        try:
            await self._run(self._people.count_attempt, visit.origin.browser(visit.request))
            departure = await self._ask(provider.begin)
        except TooManyAttemptsError:
            error, status = (
                _("Too many attempts have failed. Wait a while, then try again."),
                HTTPStatus.TOO_MANY_REQUESTS,
            )
        except (ProviderError, OverloadedError) as failure:
            error, status = self._failed(visit, failure)
        else:
            seconds = int(VISIT_LIFETIME.total_seconds())
            visit.set_cookie(_COOKIE, departure.state, seconds=seconds, comes_from_elsewhere=True)
            return visit.finish(RedirectResponse(departure.address, HTTPStatus.SEE_OTHER))
        return self._entrance.page(visit, error=error, status=status)

    async def finish(self, visit: Visit) -> Response:
        """Take what the browser brings back, and begin the session."""
        provider = self._known()
        given = {name: value[:_MAX_PARAMETER_CHARACTERS] for name, value in visit.request.query_params.items()}
        cookie_state = visit.request.cookies.get(visit.origin.cookie_name(_COOKIE))
        visit.drop_cookie(_COOKIE)
        returned = Return(cookie_state, given.get("state"), given.get("code"), given.get("error"), given.get("iss"))
        browser = visit.origin.browser(visit.request)
        try:
            claims = await self._ask(provider.finish, returned)
            entered = await self._run(provider.enter, self._people, claims, browser)
        except (NotAuthenticatedError, ProviderError, OverloadedError) as failure:
            error, status = self._failed(visit, failure)
            return self._entrance.page(visit, error=error, status=status)
        if isinstance(entered, NotLinked):
            status = HTTPStatus.FORBIDDEN
            return self._pages.render(visit, "not_linked.html", subject=entered.subject, status=status)
        if isinstance(entered, SecondFactorWanted):
            self._entrance.keep_ticket(visit, entered)
            return self._lead_on(visit, "/console/second-step")
        visit.change_token(entered.token)
        return self._lead_on(visit, "/console")

    def _known(self) -> Provider:
        if self._provider is None:
            raise NotFoundError("there is no identity provider", hint="The setting oidc_issuer names one.")
        return self._provider

    def _lead_on(self, visit: Visit, path: str) -> Response:
        """A page that leads on by itself: a redirect would still come from the provider, without our cookies."""
        answer = self._pages.render(visit, "signed_in.html", path=path)
        answer.headers["refresh"] = f"0;url={path}"
        return answer

    def _failed(self, visit: Visit, failure: BakenError) -> tuple[str, HTTPStatus]:
        """What to say, and its status; the log has the reason."""
        _ = translator(visit.language)
        _log.warning("provider_sign_in_failed", code=failure.code, message=failure.message)
        if isinstance(failure, NotAuthenticatedError):
            text = _("Signing in with %s did not work. Begin again.")
            status = HTTPStatus.UNAUTHORIZED
        else:
            text = _("%s cannot be reached, or does not answer as it should. Sign in with name and password instead.")
            status = HTTPStatus.SERVICE_UNAVAILABLE
        return text.replace("%s", self._known().name), status
