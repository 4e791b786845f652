"""How console pages are made: templates, what all of them know, and the page that every error becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import Response

from baken.accounts import Role, SignInMethod, User
from baken.permissions import Action, may
from baken.web.console.assets import Assets
from baken.web.console.texts import LANGUAGES, Translate, ago, counter, language_of, number, translator, when
from baken.web.console.visits import Origin, Visit
from baken.web.errors import Problem

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HSTS = "max-age=31536000"


def role_names(_: Translate) -> dict[Role, str]:
    """What the roles are called."""
    return {
        Role.ADMIN: _("Administrator"),
        Role.CURATOR: _("Curator"),
        Role.REVIEWER: _("Reviewer"),
        Role.LEAD: _("Lead"),
        Role.AUDITOR: _("Auditor"),
    }


def method_names(_: Translate) -> dict[SignInMethod, str]:
    """What the ways to sign in are called."""
    return {
        SignInMethod.PASSWORD: _("password"),
        SignInMethod.TOTP: _("code of a device"),
        SignInMethod.RECOVERY_CODE: _("recovery code"),
        SignInMethod.SET_UP: _("invitation"),
        SignInMethod.ONCE: _("one-time link"),
        SignInMethod.ONCE_FACTOR: _("one-time link, two factors"),
        SignInMethod.PROVIDER: _("identity provider"),
        SignInMethod.PROVIDER_FACTOR: _("identity provider, two factors"),
    }


@dataclass(frozen=True, slots=True)
class Place:
    """A part of the console that the bar at the top leads to; `key` is pressed to go there."""

    section: str
    path: str
    name: str
    key: str


def places(_: Translate, user: User | None) -> list[Place]:
    """Where a person may go."""
    known = [
        (Action.SEE_CASES, Place("cases", "/console/cases", _("Cases"), "g c")),
        (Action.SEE_CASES, Place("exposure", "/console/exposure", _("Exposure"), "g e")),
        (Action.SEE_USERS, Place("users", "/console/users", _("Users"), "g u")),
        (Action.SEE_AUDIT_LOG, Place("audit", "/console/audit", _("Audit log"), "g a")),
        (Action.CHANGE_SETTINGS, Place("settings", "/console/settings", _("Settings"), "g s")),
    ]
    return [place for action, place in known if user is not None and may(user, action)]


def error_texts(_: Translate) -> Mapping[int, str]:
    """What an error page says, by status; a person needs to know what to do, and the log has the rest."""
    return {
        HTTPStatus.FORBIDDEN: _("You may not do this, or the page was too old. Go back, load it again, and try again."),
        HTTPStatus.NOT_FOUND: _("There is nothing here."),
        HTTPStatus.METHOD_NOT_ALLOWED: _("There is nothing here."),
        HTTPStatus.CONFLICT: _("Something has changed meanwhile. Go back, load the page again, and look."),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _("That was too much at once. Go back, and send less."),
        HTTPStatus.UNPROCESSABLE_ENTITY: _("That makes no sense here, and nothing was done. Go back, and try again."),
        HTTPStatus.TOO_MANY_REQUESTS: _("Too many attempts have failed. Wait a while, then try again."),
        HTTPStatus.SERVICE_UNAVAILABLE: _("Baken cannot answer at the moment. Try again soon; nothing was changed."),
    }


class Pages:
    """Renders the console's pages."""

    def __init__(self, origin: Origin, assets: Assets, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._origin = origin
        self._assets = assets
        self._now = now
        self._environment = Environment(
            loader=PackageLoader("baken.web.console"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, visit: Visit, template: str, /, *, status: int = 200, **values: object) -> Response:
        """A page for this visit."""
        known = self._known(visit.language, visit.user, visit.form_token)
        html = self._environment.get_template(template).render(**{**known, **values})
        return visit.finish(Response(html, status, self.headers(), "text/html"))

    def error(self, problem: Problem, request_id: str, cookies: Mapping[str, str], accepted: str | None) -> bytes:
        """The page of an error, without anything of the person who sees it."""
        language = language_of(cookies.get("baken-language"), accepted)
        _ = translator(language)
        text = error_texts(_).get(problem.status, _("Something went wrong. The log says more, under the number below."))
        known = self._known(language, None, "")
        page = self._environment.get_template("error.html")
        return page.render(**known, status=problem.status, text=text, request_id=request_id).encode()

    def headers(self) -> dict[str, str]:
        """What every page is sent with."""
        headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "referrer-policy": "same-origin"}
        if self._origin.is_secure:
            headers["strict-transport-security"] = _HSTS
        return headers

    def _known(self, language: str, user: User | None, form_token: str) -> dict[str, Any]:
        _ = translator(language)
        return {
            "_": _,
            "language": language,
            "languages": LANGUAGES,
            "user": user,
            "form_token": form_token,
            "places": places(_, user),
            "role_names": role_names(_),
            "method_names": method_names(_),
            "may": lambda action: user is not None and may(user, Action(action)),
            "_n": counter(language),
            "when": lambda time: when(time, language),
            "moment": lambda time: self._moment(time, language),
            "number": lambda value: number(value, language),
            "asset": self._assets.address,
            "error": None,
            "note": None,
        }

    def _moment(self, time: datetime | None, language: str) -> Markup:
        """How long ago a time was, or how soon it is; the time itself where one points."""
        if time is None:
            return Markup()
        html = Markup('<time datetime="{}" title="{}">{}</time>')
        exact = time.astimezone(UTC).isoformat(timespec="seconds")
        return html.format(exact, when(time, language), ago(time, self._now(), language))
