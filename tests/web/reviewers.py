"""People who review over plain HTTP, as a browser without scripts does: pages, forms, and where they lead."""

from __future__ import annotations

import re
from html import unescape
from typing import Self

import httpx
from console_browser import PASSWORD, Site

from baken.people import Browser, SignedIn

_FORM_TOKEN = re.compile(r'name="form_token" value="([^"]*)"')
_TAG = re.compile(r"<[^>]*>")


class Reviewer:
    """One of the cast, signed in."""

    def __init__(self, site: Site, name: str, language: str = "en") -> None:
        self.site = site
        self.client = httpx.Client(
            base_url=site.url, headers={"accept-language": language}, timeout=60, trust_env=False
        )
        entered = site.baken.people().sign_in(name, PASSWORD, Browser())
        assert isinstance(entered, SignedIn)
        self.client.cookies.set("baken-session", entered.token)
        self.page = self.client.get("/console/account")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def open(self, path: str) -> httpx.Response:
        """Open a page."""
        self.page = self.client.get(path)
        return self.page

    def post(self, path: str, **fields: object) -> httpx.Response:
        """Send a form with the token of the page that is open; no redirect is followed."""
        token = _FORM_TOKEN.findall(self.page.text)
        data = {"form_token": unescape(token[0]) if token else "", **fields}
        answer = self.client.post(path, data=data, headers={"origin": self.site.url})
        if _FORM_TOKEN.search(answer.text):
            self.page = answer
        return answer

    def take(self, case_id: str, step: str, **fields: object) -> httpx.Response:
        """Take a step with a case, on whose page the person is then."""
        path = f"/console/cases/{case_id}"
        answer = self.post(f"{path}/{step}", **fields)
        if answer.status_code == httpx.codes.SEE_OTHER:
            self.open(answer.headers["location"])
        return answer

    def hidden(self, step: str) -> dict[str, str]:
        """The hidden fields of the form of a step that the page offers."""
        form = self.page.text.split(f'/{step}"', 1)[1].split("</form>", 1)[0]
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
        return {name: unescape(value) for name, value in fields.items() if name != "form_token"}

    @property
    def text(self) -> str:
        """What the page says, without its markup."""
        return " ".join(unescape(_TAG.sub(" ", self.page.text)).split())

    @property
    def steps(self) -> set[str]:
        """The steps that the page offers."""
        return set(re.findall(r'action="/console/cases/[^/"]+/([a-z-]+)"', self.page.text))
