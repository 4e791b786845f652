"""A person's browser on the console, without a browser: cookies, forms, and where an answer leads."""

from __future__ import annotations

import asyncio
import re
from html import unescape

import httpx
from web_client import Api

GOOD = "correct horse battery"
ORIGIN = "http://baken.test"
FIELD = re.compile(r'name="(form_token|secret)" value="([^"]*)"')


class Person:
    """A browser: its cookies, and the last page it saw."""

    def __init__(self, api: Api, **given: object) -> None:
        self.api = api
        transport = httpx.ASGITransport(app=api.app, client=("192.0.2.7", 1234))
        self.client = httpx.AsyncClient(transport=transport, base_url=ORIGIN, trust_env=False, **given)
        self.page = httpx.Response(200)

    def send(self, method: str, path: str, **given: object) -> httpx.Response:
        """One request; no redirect is followed."""
        sent = self.client.request(method, path, **given)
        self.page = asyncio.run_coroutine_threadsafe(sent, self.api.loop).result(timeout=60)
        return self.page

    def open(self, path: str) -> httpx.Response:
        """Open a page."""
        return self.send("GET", path)

    def fill(self, path: str, *, at: str | None = None, **fields: object) -> httpx.Response:
        """Send the form at `path`, taken from the page that shows it."""
        shown = self.open(at or path)
        hidden = {name: unescape(value) for name, value in FIELD.findall(shown.text)}
        return self.send("POST", path, data={**hidden, **fields}, headers={"origin": ORIGIN})

    def enter(self, name: str = "alice", password: str = GOOD) -> httpx.Response:
        """Give name and password."""
        return self.fill("/console/sign-in", name=name, password=password)

    @property
    def leads_to(self) -> str:
        """Where the last answer leads."""
        assert self.page.status_code == 303, self.page.text
        return self.page.headers["location"]
