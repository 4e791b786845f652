"""The console in a real browser: a served Baken with people and cases, and persons who look at it with Chromium.

Tests take the fixtures `site` (one server a file) and `visit` (a person's browser). Whatever a page logs as an error, a
broken policy among them, and whatever it loads from elsewhere, fails the test. With
`BAKEN_WRITE_SCREENSHOTS=1` the pictures of the docs are written anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn
from axe_playwright_python.base import AXE_SCRIPT
from PIL import Image
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Response, sync_playwright

from baken import samples
from baken.access import create_key
from baken.accounts import Role, User
from baken.assemble import Baken
from baken.cases import Case
from baken.model import Scope
from baken.passwords import Passwords
from baken.people import Browser, SignedIn
from baken.web.app import create_app
from baken.web.protocol import Protocol
from browser import chromium

PASSWORD = "correct horse battery"  # noqa: S105 - of people who exist in tests alone
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 740}
WAIT_SECONDS = 30.0
IMAGES = Path(__file__).parent.parent.parent / "docs" / "images" / "console"
WRITE = "BAKEN_WRITE_SCREENSHOTS"

_AXE = """async (only) => {
    const found = await axe.run(document, {runOnly: only, resultTypes: ["violations"]});
    const told = (node) => `${node.target.join(" ")}: ${node.failureSummary}`;
    return found.violations.map((each) => [each.impact, each.id, each.nodes.map(told)]);
}"""
_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_OF_COLOURS = {"type": "rule", "values": ["color-contrast"]}
_SERIOUS = {"serious", "critical"}

CAST: dict[str, Role] = {
    "alice": Role.REVIEWER,
    "bob": Role.LEAD,
    "mallory": Role.REVIEWER,
    "ada": Role.ADMIN,
    "cora": Role.CURATOR,
    "otto": Role.AUDITOR,
}
"""Who there is: two who review, an outsider who reviews another bank, and those who see other parts."""


@dataclass
class Site:
    """A served Baken, reached from inside (`baken`), over the API (`api`), and by browsers (`url`)."""

    url: str
    baken: Baken
    api: httpx.Client
    users: dict[str, User] = field(default_factory=dict)

    def make_bank(self, name: str = "hotline", purpose: str = "known_abuse", **given: object) -> int:
        """The id of a bank, which is made unless it is there."""
        if name not in {bank.name for bank in self.baken.store.banks()}:
            answer = self.api.post("/v1/banks", json={"name": name, "purpose": purpose, **given})
            assert answer.status_code == 201, answer.text
        return self.baken.store.bank(name).id

    def make_cast(self) -> None:
        """Make everybody of the cast who is not there yet. `mallory` reaches the bank `elsewhere` alone."""
        for name, role in CAST.items():
            if name not in self.users:
                banks = [self.make_bank("elsewhere")] if name == "mallory" else None
                make = self.baken.people().create
                self.users[name] = make(name, {role}, password=PASSWORD, bank_ids=banks, actor="test")

    def make_cases(
        self,
        seeds: Sequence[int],
        *,
        bank: str = "hotline",
        purpose: str = "known_abuse",
        copies: int = 2,
        accounts: int = 2,
    ) -> list[Case]:
        """A case for each drawn picture: it is banked, and `copies` of it are screened for some accounts."""
        self.make_bank(bank, purpose)
        before = {case.id for case in self.baken.store.cases.cases()}
        for seed in seeds:
            picture = samples.draw(seed, (320, 240))
            self._send(f"/v1/banks/{bank}/pictures", jpeg(picture, 98), source="test")
            for number in range(copies):
                item = {"item_ref": f"photo-{seed}-{number}", "account_ref": f"user-{seed + number % accounts}"}
                item |= {"album_ref": f"album-{seed}", "visibility": "public"}
                self._send("/v1/screenings", jpeg(picture, 95 - 7 * number), **item)
        return self._wait_for_cases(before, len(seeds), copies)

    def case(self, case: Case) -> Case:
        """The case as it is now."""
        return self.baken.store.cases.case(case.id)

    def end_lease(self, case: Case) -> None:
        """Let the time of a claim be over."""
        with self.baken.store._database.write() as connection:
            connection.exec_driver_sql(f"UPDATE cases SET lease_until = '2026-01-01 00:00:00' WHERE id = '{case.id}'")  # noqa: S608

    def _send(self, path: str, data: bytes, **query: str) -> None:
        answer = self.api.post(path, params=query, content=data, headers={"content-type": "image/jpeg"})
        assert answer.status_code in {200, 201}, answer.text

    def _wait_for_cases(self, before: set[str], cases: int, items: int) -> list[Case]:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            new = [case for case in self.baken.store.cases.cases() if case.id not in before]
            if len(new) >= cases and all(case.item_count >= items for case in new):
                return new
            assert time.monotonic() < deadline, f"{cases} cases of {items} items were expected, and there are {new}"
            time.sleep(0.05)


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """A picture as JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


@contextlib.contextmanager
def serving(baken: Baken) -> Iterator[Site]:
    """Baken, served on a free port by a thread of this process, with everybody of the cast."""
    _, secret = create_key(baken.store, "test", frozenset({Scope.ADMIN}), actor="test")
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(baken)
    config = uvicorn.Config(app, loop="uvloop", http=Protocol, ws="none", lifespan="on", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    url = "http://{}:{}".format(*listener.getsockname())
    headers = {"authorization": f"Bearer {secret}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as api:
            deadline = time.monotonic() + WAIT_SECONDS
            while not server.started or api.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline, "not ready in time"
                time.sleep(0.02)
            site = Site(url, baken, api)
            site.make_cast()
            yield site
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def cheap_passwords() -> Passwords:
    """Passwords that cost nothing: put in the place of `assemble.Passwords`."""
    return Passwords(time_cost=1, memory_kib=8, parallelism=1)


@contextlib.contextmanager
def browsing() -> Iterator[Chromium]:
    """A Chromium of this machine, which downloads nothing and asks nobody."""
    path = chromium()
    with sync_playwright() as playwright:
        # Root, as which containers of CI run, has no sandbox.
        arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """A person's browser on a site.

    Attributes:
        page: what is shown.
        answers: everything that was loaded so far, in order.
        expected: statuses other than success that a test asks for; a page may show those.
    """

    def __init__(self, site: Site, context: BrowserContext) -> None:
        self.site = site
        self.context = context
        self.answers: list[Response] = []
        self.expected: set[int] = set()
        self._tolerated: list[str] = []
        self._problems: list[str] = []
        context.on("response", lambda answer: self.answers.append(answer))  # noqa: PLW0108 - Playwright marks handlers
        context.on("weberror", lambda found: self._problems.append(f"error: {found.error}"))
        context.on("console", lambda said: self._note(said.type, said.text))
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)

    def sign_in(self, name: str) -> None:
        """Be one of the cast from here on."""
        entered = self.site.baken.people().sign_in(name, PASSWORD, Browser())
        assert isinstance(entered, SignedIn)
        cookie = {"name": "baken-session", "value": entered.token, "url": self.site.url}
        self.context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Strict"}])

    def open(self, path: str) -> Page:
        """Open a page of the site."""
        self.page.goto(self.site.url + path)
        return self.page

    @property
    def path(self) -> str:
        """Where the browser is: path and query."""
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def pictures(self) -> list[Response]:
        """Every picture that was loaded so far, without our icon."""
        kinds = [(each, each.headers.get("content-type", "")) for each in self.answers]
        return [each for each, kind in kinds if kind.startswith("image/") and "/icon.svg" not in each.url]

    def overflow_px(self) -> int:
        """How much wider the page is than the window; 0 unless it has to be pushed sideways."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(width))

    def check_accessibility(self) -> None:
        """Assert that axe has no serious finding on the page: all rules in light, those of colours in dark as well."""
        self.page.evaluate(AXE_SCRIPT)
        for scheme, rules in (("dark", _OF_COLOURS), ("light", _RULES)):
            self.page.emulate_media(color_scheme=scheme)
            found: list[Any] = self.page.evaluate(_AXE, rules)
            serious = [finding for finding in found if finding[0] in _SERIOUS]
            assert not serious, f"{self.path}, {scheme}: {serious}"

    def tolerates(self, text: str) -> None:
        """Take no offence at messages with this text: the test brings them about."""
        self._tolerated.append(text)

    def write_screenshot(self, name: str) -> None:
        """Write the window as a picture of the docs, when pictures are wanted."""
        if not os.environ.get(WRITE):
            return
        IMAGES.mkdir(parents=True, exist_ok=True)
        shown = Image.open(io.BytesIO(self.page.screenshot(animations="disabled")))
        shown.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)

    def close(self) -> None:
        """Close the browser's window, and assert that nothing went wrong in it."""
        self.context.close()
        elsewhere = {each.url for each in self.answers if not each.url.startswith((self.site.url, "data:"))}
        assert not elsewhere, elsewhere
        assert not self._problems, self._problems

    def _note(self, kind: str, text: str) -> None:
        tolerated = [*self._tolerated, *(f"status of {status} " for status in self.expected)]
        is_expected = any(each in text for each in tolerated)
        if kind in {"error", "warning"} and not is_expected:
            self._problems.append(f"{kind}: {text}")


@contextlib.contextmanager
def visiting(site: Site, browser: Chromium, name: str | None = None, **given: object) -> Iterator[Visitor]:
    """A browser's window on a site, signed in as one of the cast if there is a name; `given` is for `new_context`."""
    settings: dict[str, Any] = {"viewport": DESK, "locale": "en", "reduced_motion": "reduce", **given}
    visitor = Visitor(site, browser.new_context(**settings))
    try:
        if name is not None:
            visitor.sign_in(name)
        yield visitor
    finally:
        visitor.close()
