"""One request of a browser: its cookies, its form, its language, and whether it comes from our own page.

A form is taken when it carries the token that belongs to this browser's own cookie, and when the browser says that it
comes from our own origin. Pages tell browsers to say so (`Referrer-Policy: same-origin`; with `no-referrer` they would
send `Origin: null`, https://fetch.spec.whatwg.org/#append-a-request-origin-header).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from baken.accounts import Session, User
from baken.errors import NotAuthorisedError, UnsupportedMediaTypeError
from baken.people import Browser
from baken.settings import Settings
from baken.web import bodies
from baken.web.console.texts import language_of

FORM_SIZE_BYTES = 16 * 1024
_MAX_FIELDS = 250
_YEAR_SECONDS = 31_536_000
_LANGUAGE_COOKIE = "baken-language"


@dataclass(frozen=True, slots=True)
class Origin:
    """How browsers reach the console: over TLS or not, under which names, and what tells a browser's address.

    Attributes:
        base: scheme, host and port, if the operator said so; else what each request says of itself.
        is_secure: whether that is https.
        address_header: the header in which a proxy says whom it forwards for, or None.
    """

    base: str | None
    is_secure: bool
    address_header: str | None

    @classmethod
    def of(cls, settings: Settings) -> Origin:
        """As the settings say."""
        base = None if settings.console_url is None else settings.console_url.rstrip("/")
        header = settings.client_address_header
        return cls(base, (base or "").startswith("https://"), None if header is None else header.lower())

    def cookie_name(self, what: str) -> str:
        """The name of a cookie; over TLS with the prefix that lets no other host or plain page set it."""
        return f"__Host-baken-{what}" if self.is_secure else f"baken-{what}"

    def accepts(self, request: Request) -> bool:
        """Whether a form comes from a page of ours, as far as the browser says."""
        given = request.headers.get("origin")
        if given is not None:
            expected = self.base or f"http://{request.headers.get('host', '')}"
            return hmac.compare_digest(given.encode(), expected.encode())
        return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"

    @staticmethod
    def is_led_from_elsewhere(request: Request) -> bool:
        """Whether another site's page has the browser ask, as far as the browser says: a link, a picture, a frame."""
        return request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}

    def browser(self, request: Request) -> Browser:
        """Where the request comes from."""
        address = request.client.host if request.client is not None else None
        if self.address_header is not None:
            # The last one is what our own proxy added; those before it are whatever the browser claims.
            address = request.headers.get(self.address_header, "").rpartition(",")[2].strip() or address
        return Browser(address, request.headers.get("user-agent"))


@dataclass(frozen=True, slots=True)
class _Cookie:
    """What the answer shall set: for how long, and whether it is sent with a visit that another site leads to."""

    value: str
    seconds: int | None = None
    same_site: Literal["strict", "lax"] = "strict"


@dataclass
class Visit:
    """A request of a browser, and what its answer shall set."""

    request: Request
    origin: Origin
    language: str
    seed: str
    form: dict[str, str] = field(default_factory=dict)
    user: User | None = None
    session: Session | None = None
    _token: str | None = None
    _fields: dict[str, list[str]] = field(default_factory=dict)
    _cookies: dict[str, _Cookie] = field(default_factory=dict)

    @classmethod
    def begin(cls, request: Request, origin: Origin) -> Visit:
        """The visit of a request, with the browser's own random seed for its forms."""
        language = language_of(request.cookies.get(_LANGUAGE_COOKIE), request.headers.get("accept-language"))
        name = origin.cookie_name("form")
        seed = request.cookies.get(name)
        visit = cls(request, origin, language, seed or secrets.token_urlsafe(32))
        if not seed:
            visit.set_cookie("form", visit.seed)
        return visit

    @property
    def token(self) -> str | None:
        """The token of the session, if the browser has one."""
        return self._token or self.request.cookies.get(self.origin.cookie_name("session"))

    @property
    def ticket(self) -> str | None:
        """The ticket of a sign-in that waits for its second step."""
        return self.request.cookies.get(self.origin.cookie_name("step"))

    def change_token(self, token: str) -> None:
        """Go on under a new token of the session: the answer sets it, and its forms belong to it."""
        self.set_cookie("session", token)
        self._token = token

    @property
    def form_token(self) -> str:
        """What a form must carry: it follows from the browser's cookies, which no other site can read or set."""
        key = f"{self.seed}\0{self.token or ''}".encode("utf-8", "surrogateescape")
        return hmac.new(key, b"baken form", hashlib.sha256).hexdigest()

    @property
    def who(self) -> User:
        """The person who is signed in; only asked on pages that demand it."""
        if self.user is None:
            raise NotAuthorisedError("nobody is signed in", hint="Sign in first.")
        return self.user

    async def read_form(self) -> None:
        """Read the form and check where it comes from.

        Raises:
            NotAuthorisedError: it does not come from a page of ours that was given to this browser.
            TooLargeError: it is larger than any form here.
            UnsupportedMediaTypeError: it is no form.
        """
        headers = self.request.scope["headers"]
        if bodies.media_type(headers) != "application/x-www-form-urlencoded":
            raise UnsupportedMediaTypeError("the body is no form", hint="Use the form on the page.")
        data = await bodies.read(headers, self.request.receive, FORM_SIZE_BYTES)
        try:
            self._fields = parse_qs(data.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError as error:
            raise UnsupportedMediaTypeError("the form cannot be read", hint="Use the form on the page.") from error
        self.form = {name: values[-1] for name, values in self._fields.items()}
        given = self.form.get("form_token", "")
        if not self.origin.accepts(self.request) or not hmac.compare_digest(given.encode(), self.form_token.encode()):
            raise NotAuthorisedError("the form does not come from a page of this browser", hint="Load the page again.")

    def chosen(self, name: str) -> list[str]:
        """Every value of a field of the form that may be given several times."""
        return self._fields.get(name, [])

    @property
    def is_partial(self) -> bool:
        """Whether htmx asks, for a part of a page that it puts into the one that is shown."""
        return self.request.headers.get("hx-request") == "true"

    def set_cookie(
        self, what: str, value: str, *, seconds: int | None = None, comes_from_elsewhere: bool = False
    ) -> None:
        """Let the answer set a cookie, until the browser is closed unless for a time.

        `comes_from_elsewhere`: another site will lead the browser to where it is needed.
        """
        same_site: Literal["strict", "lax"] = "lax" if comes_from_elsewhere else "strict"
        self._cookies[self.origin.cookie_name(what)] = _Cookie(value, seconds, same_site)

    def drop_cookie(self, what: str) -> None:
        """Let the answer take a cookie back."""
        self._cookies[self.origin.cookie_name(what)] = _Cookie("", 0)

    def remember_language(self, language: str) -> None:
        """Let the answer keep the language that was chosen."""
        self._cookies[_LANGUAGE_COOKIE] = _Cookie(language, _YEAR_SECONDS)

    def finish(self, response: Response) -> Response:
        """Set the cookies."""
        for name, cookie in self._cookies.items():
            response.set_cookie(
                name,
                cookie.value,
                max_age=cookie.seconds,
                path="/",
                secure=self.origin.is_secure,
                httponly=True,
                samesite=cookie.same_site,
            )
        return response


def leave_for(visit: Visit, path: str) -> Response:
    """Lead the browser to another page of ours with GET; only paths written in the code come here."""
    if visit.is_partial:  # a redirect would put the other page into the middle of this one
        return visit.finish(Response(headers={"hx-redirect": path}))
    return visit.finish(RedirectResponse(path, HTTPStatus.SEE_OTHER))


def check_console_url(url: str) -> bool:
    """Whether an address is one that a console can have: a scheme, a host, and nothing behind it."""
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and parts.path in {"", "/"} and not parts.query
