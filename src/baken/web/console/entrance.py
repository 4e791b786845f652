"""Signing in and out, with a password or a one-time link, and setting an account up with the code of an invitation."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from baken.errors import InvalidValueError, NotAuthenticatedError, TooManyAttemptsError
from baken.people import SECOND_FACTOR_LIFETIME, People, SecondFactorWanted, SignedIn
from baken.web.console.pages import Pages
from baken.web.console.texts import translator
from baken.web.console.visits import Visit, leave_for
from baken.web.service import Service


class Entrance:
    """The pages that need no session."""

    def __init__(self, service: Service, people: People, pages: Pages, provider_name: str | None) -> None:
        self._run = service.store_pool.run
        self._people = people
        self._pages = pages
        self._provider_name = provider_name

    async def sign_in(self, visit: Visit) -> Response:
        """The form for name and password."""
        if visit.user is not None:
            return leave_for(visit, "/console")
        return self.page(visit)

    def page(
        self,
        visit: Visit,
        *,
        name: str = "",
        error: str | None = None,
        note: str | None = None,
        status: int = HTTPStatus.OK,
    ) -> Response:
        """The page of signing in, whatever led there."""
        provider = self._provider_name
        return self._pages.render(
            visit, "sign_in.html", name=name, provider=provider, error=error, note=note, status=status
        )

    async def begin(self, visit: Visit) -> Response:
        """Take name and password."""
        _ = translator(visit.language)
        name, password = visit.form.get("name", ""), visit.form.get("password", "")
        browser = visit.origin.browser(visit.request)
        try:
            entered = await self._run(self._people.sign_in, name, password, browser)
        except NotAuthenticatedError:
            error, status = _("Name or password are wrong, or the account cannot be used."), HTTPStatus.UNAUTHORIZED
        except TooManyAttemptsError:
            error, status = (
                _("Too many attempts have failed. Wait a while, then try again."),
                HTTPStatus.TOO_MANY_REQUESTS,
            )
        else:
            return self._go_on(visit, entered)
        return self.page(visit, name=name, error=error, status=status)

    async def once(self, visit: Visit) -> Response:
        """The form for the code of a one-time link. It stands behind the `#` of the address, which no server gets."""
        return self._pages.render(visit, "sign_in_once.html")

    async def take_once(self, visit: Visit) -> Response:
        """Take that code; whoever was signed in here is not any more."""
        _ = translator(visit.language)
        browser = visit.origin.browser(visit.request)
        try:
            entered = await self._run(self._people.sign_in_once, visit.form.get("code", "").strip(), browser)
        except NotAuthenticatedError:
            error = _("The code is unknown, was used already, or is too old.")
            return self._pages.render(visit, "sign_in_once.html", error=error, status=HTTPStatus.UNAUTHORIZED)
        if visit.session is not None:
            await self._run(self._people.sign_out, visit.session)
        return self._go_on(visit, entered)

    async def second_step(self, visit: Visit) -> Response:
        """The form for the code of a device or a recovery code."""
        if not visit.ticket:
            return leave_for(visit, "/console/sign-in")
        return self._pages.render(visit, "second_step.html")

    async def finish(self, visit: Visit) -> Response:
        """Take the code."""
        _ = translator(visit.language)
        browser = visit.origin.browser(visit.request)
        try:
            entered = await self._run(
                self._people.give_second_factor, visit.ticket or "", visit.form.get("code", ""), browser
            )
        except NotAuthenticatedError:
            error, status = (
                _("The code is wrong, was used already, or came too late. Try the next one, or begin again."),
                HTTPStatus.UNAUTHORIZED,
            )
        except TooManyAttemptsError:
            error, status = (
                _("Too many attempts have failed. Wait a while, then try again."),
                HTTPStatus.TOO_MANY_REQUESTS,
            )
        else:
            visit.drop_cookie("step")
            return self._enter(visit, entered)
        return self._pages.render(visit, "second_step.html", error=error, status=status)

    async def set_up(self, visit: Visit) -> Response:
        """The form for the code of an invitation and a new password."""
        return self._pages.render(visit, "set_up.html", code="")

    async def take_set_up(self, visit: Visit) -> Response:
        """Take the code and the password."""
        _ = translator(visit.language)
        code, password = visit.form.get("code", "").strip(), visit.form.get("password", "")
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        try:
            if password != visit.form.get("again", ""):
                error = _("The two passwords differ.")
            else:
                await self._run(self._people.set_up, code, password)
                return self.page(visit, note=_("The password is set. Sign in with it."))
        except NotAuthenticatedError:
            error, status = _("The code is unknown, was used already, or is too old."), HTTPStatus.UNAUTHORIZED
        except InvalidValueError:
            error = password_rule(visit)
        return self._pages.render(visit, "set_up.html", code=code, error=error, status=status)

    async def sign_out(self, visit: Visit) -> Response:
        """End the session."""
        if visit.session is not None:
            await self._run(self._people.sign_out, visit.session)
        visit.drop_cookie("session")
        visit.drop_cookie("form")
        return leave_for(visit, "/console/sign-in")

    def keep_ticket(self, visit: Visit, wanted: SecondFactorWanted) -> None:
        """Let the browser prove with its second step that it has done the first."""
        visit.set_cookie("step", wanted.ticket, seconds=int(SECOND_FACTOR_LIFETIME.total_seconds()))

    def _go_on(self, visit: Visit, entered: SignedIn | SecondFactorWanted) -> Response:
        if isinstance(entered, SecondFactorWanted):
            self.keep_ticket(visit, entered)
            return leave_for(visit, "/console/second-step")
        return self._enter(visit, entered)

    def _enter(self, visit: Visit, entered: SignedIn) -> Response:
        # A new session has a new token, whatever cookie the browser came with.
        visit.set_cookie("session", entered.token)
        return leave_for(visit, "/console")


def password_rule(visit: Visit) -> str:
    """What a password must be, for one that was not taken."""
    _ = translator(visit.language)
    return _("Take a password of 15 to 256 characters that is not your name, repeats nothing and does not count up.")
