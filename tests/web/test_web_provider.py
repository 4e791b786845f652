"""Signing in at a real identity provider, from the first page to the last, over HTTP and in a browser."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import pytest
from playwright.sync_api import sync_playwright
from web_client import ServerProcess, running_app

from baken import assemble
from baken.accounts import Role, SignInMethod, User
from baken.assemble import PROVIDER_PATH, Baken
from baken.passwords import Passwords
from baken.second_factor import code_at, text_of
from baken.settings import load
from browser import chromium
from identity_provider import CLIENT_ID, SECRET, FreeProvider, free_port, real_provider

GOOD = "correct horse battery"
FIELD = re.compile(r'name="(form_token|secret)" value="([^"]*)"')


@dataclass
class Place:
    """A served Baken that knows a real provider, and the same database from inside."""

    url: str
    server: ServerProcess
    baken: Baken
    provider_port: int

    def make(self, name: str) -> User:
        """A person who may sign in there as `name`, and here with a password."""
        user = self.baken.people().create(name, {Role.REVIEWER}, password=GOOD, actor="test")
        issuer = f"http://127.0.0.1:{self.provider_port}"
        self.baken.people().link_identity(user, issuer, f"{name}-there", actor="test")
        return user


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server and one provider for all tests of this file."""
    folder = tmp_path_factory.mktemp("provider")
    secret_file = folder / "secret"
    secret_file.write_text(SECRET + "\n")
    port, provider_port = free_port(), free_port()
    # Another site than the provider, which is at 127.0.0.1, so that browsers keep our cookies back on the way home.
    url = f"http://localhost:{port}"
    with pytest.MonkeyPatch.context() as patch, real_provider(provider_port) as issuer:
        patch.setattr(assemble, "Passwords", lambda: Passwords(time_cost=1, memory_kib=8, parallelism=1))
        settings = {
            "port": port,
            "console_url": url,
            "oidc_issuer": issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret_file": secret_file,
            "oidc_name": "Kantoor & Co",
            "access_log": "true",
            "require_second_factor_roles": "admin",
        }
        with (
            assemble.initialise(load({}, data_dir=folder / "data")) as baken,
            ServerProcess(folder / "data", "", **settings) as server,
        ):
            yield Place(url, server, baken, provider_port)


class Person:
    """Somebody's browser, which goes from page to page as they say."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.client = httpx.Client(timeout=60, trust_env=False)
        self.answer = httpx.Response(200)

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def open(self, address: str) -> httpx.Response:
        """Open a page; no redirect is followed."""
        return self.client.get(urljoin(self.place.url, address))

    def fill(self, path: str, *, at: str | None = None, **fields: str) -> int:
        """Send the form at `path`, taken from the page that shows it; the answer's status."""
        shown = self.open(at or path)
        hidden = {name: unescape(value) for name, value in FIELD.findall(shown.text)}
        address, headers = urljoin(self.place.url, path), {"origin": self.place.url}
        self.answer = self.client.post(address, data={**hidden, **fields}, headers=headers)
        return self.answer.status_code

    def at_provider(self) -> str:
        """Press the button of the page of signing in; where the provider asks who it is."""
        page = self.open("/console/sign-in")
        assert "Sign in with Kantoor &amp; Co" in page.text
        answer = self.open("/console/provider")
        assert answer.status_code == 303
        return answer.headers["location"]

    def say(self, address: str, **form: str) -> str:
        """Answer the provider; where it leads back to."""
        answer = self.client.post(address, data=form)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def enter(self, subject: str) -> httpx.Response:
        """The whole way; the page that the browser comes back to."""
        return self.open(self.say(self.at_provider(), sub=subject))


def test_a_person_signs_in_at_the_provider_and_is_led_on(place: Place):
    user = place.make("alice")
    with Person(place) as alice:
        back = alice.enter("alice-there")

        assert back.status_code == 200, back.text
        assert back.headers["refresh"] == "0;url=/console"
        [session_cookie] = [each for each in back.headers.get_list("set-cookie") if "baken-session" in each]
        assert "SameSite=strict" in session_cookie
        assert "HttpOnly" in session_cookie
        assert "alice-there" in alice.open("/console/account").text
    [session] = place.baken.store.sign_ins.of_user(user.id)
    assert session.method is SignInMethod.PROVIDER


def test_somebody_whom_nobody_linked_is_told_what_to_give_an_administrator(place: Place):
    with Person(place) as stranger:
        back = stranger.enter("mallory <b>")
        assert back.status_code == 403
        assert "mallory &lt;b&gt;" in back.text
        assert stranger.open("/console/account").status_code == 303


def test_a_page_of_another_site_begins_no_sign_in_and_uses_nobodys_allowance_up(place: Place):
    with Person(place) as person:
        for site in ("cross-site", "same-site") * 20:
            answer = person.client.get(f"{place.url}/console/provider", headers={"sec-fetch-site": site})
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
        for site in ("same-origin", "none"):
            answer = person.client.get(f"{place.url}/console/provider", headers={"sec-fetch-site": site})
            assert answer.headers["location"].startswith(f"http://127.0.0.1:{place.provider_port}/"), site


def test_a_provider_that_does_not_answer_stalls_no_other_page(tmp_path: Path):
    answered = threading.Event()
    with FreeProvider(lambda: datetime.now(UTC)) as provider, ExitStack() as stack:
        provider.before = lambda: answered.wait(timeout=60)
        stack.callback(answered.set)
        settings = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT_ID, "oidc_client_secret": SECRET}
        baken = assemble.initialise(load({}, data_dir=tmp_path, console_url="http://baken.test", **settings))
        api = stack.enter_context(running_app(baken))

        def open_page(path: str) -> Future[httpx.Response]:
            return asyncio.run_coroutine_threadsafe(api.send("GET", path, key=None), api.loop)

        # Which of them comes last is the threads' affair, and the last one is answered at once.
        asked = [open_page("/console/provider") for _ in range(21)]
        done, waiting = wait(asked, timeout=60, return_when=FIRST_COMPLETED)
        other_page = open_page("/console/sign-in").result(timeout=60)
        assert [each.done() for each in waiting] == [False] * 20
        answered.set()
        [one_more] = [each.result() for each in done]
        led = [each.result(timeout=60).headers["location"] for each in waiting]

    assert other_page.status_code == 200
    assert one_more.status_code == 503
    assert "127.0.0.1 cannot be reached" in one_more.text
    assert 'name="password"' in one_more.text
    assert all(address.startswith(f"{provider.issuer}/authorize") for address in led)


def test_who_says_no_there_is_not_in_here(place: Place):
    with Person(place) as person:
        back = person.open(person.say(person.at_provider(), action="deny"))
        assert back.status_code == 401
        assert "did not work" in back.text


def test_an_address_that_somebody_else_came_back_with_opens_nothing(place: Place):
    place.make("bob")
    with Person(place) as bob, Person(place) as mallory:
        address = bob.say(bob.at_provider(), sub="bob-there")
        mallory.at_provider()
        assert mallory.open(address).status_code == 401
        assert bob.open(address).status_code == 200
        assert bob.open(address).status_code == 401  # it is good once
        assert mallory.open("/console/account").status_code == 303


def test_a_person_with_a_second_factor_is_asked_for_it_after_the_provider(place: Place):
    carol = place.make("carol")
    offer = place.baken.people().second_factors.offer(carol)
    codes = place.baken.people().second_factors.confirm(carol, offer.secret, code_at(offer.secret, datetime.now(UTC)))
    with Person(place) as browser:
        back = browser.enter("carol-there")
        assert back.headers["refresh"] == "0;url=/console/second-step"
        hidden = {name: unescape(value) for name, value in FIELD.findall(browser.open("/console/second-step").text)}
        form = {**hidden, "code": codes[0]}
        done = browser.client.post(f"{place.url}/console/second-step", data=form, headers={"origin": place.url})
        assert (done.status_code, done.headers["location"]) == (303, "/console")
        assert browser.open("/console/account").status_code == 200


def test_no_secret_of_any_sign_in_stands_in_the_log_the_audit_log_or_a_link(place: Place):
    """Every way in is gone, with what goes wrong on each; then everything secret is looked for."""
    user = place.make("dora")
    people = place.baken.people()
    with Person(place) as dora:
        address = dora.at_provider()
        back = dora.say(address, sub="dora-there")
        pages = [dora.open(back).text]
        invitation, once = people.invite(user, actor="test"), people.link_once(user, actor="test")
        mistyped = "a password that is mistyped"
        assert dora.fill("/console/sign-in", at="/console/sign-in/once", name="dora", password=mistyped) == 401
        assert dora.fill("/console/sign-in/once", code=once) == 303
        assert dora.fill("/console/sign-in/once", code=once) == 401
        hidden = dict(FIELD.findall(dora.open("/console/account/second-factor").text))
        device = base64.b32decode(hidden["secret"])
        code = code_at(device, datetime.now(UTC))
        form = {"secret": hidden["secret"], "code": code, "present": GOOD}
        assert dora.fill("/console/account/second-factor", **form) == 200
        codes = re.findall(r"<li><code>([^<]+)</code>", dora.answer.text)
        pages.append(dora.answer.text)
        tokens = [cookie.value or "" for cookie in dora.client.cookies.jar]
        dora.fill("/console/sign-out", at="/console/account")
        assert dora.fill("/console/sign-in", name="dora", password=GOOD) == 303
        assert dora.fill("/console/second-step", code=code) == 401
        assert dora.fill("/console/second-step", code=codes[0]) == 303
        assert dora.fill("/console/set-up", code=invitation, password=GOOD, again=GOOD) == 401
        pages += [dora.open(path).text for path in ("/console/account", "/console/second-step", "/console/set-up")]
        tokens += [cookie.value or "" for cookie in dora.client.cookies.jar]
    begun, ended = (dict(parse_qsl(urlsplit(each).query)) for each in (address, back))
    spoken = [SECRET, GOOD, mistyped, once, invitation, hidden["secret"], text_of(device), *codes]
    secrets = [*spoken, begun["nonce"], begun["state"], ended["code"], *filter(None, tokens)]
    events = "".join(row.event for row in place.baken.store.audit.rows())
    log = place.server.log()
    links = re.findall(r'(?:href|action|src)="([^"]*)"', "".join(pages))

    assert len(codes) == 10
    for path in (PROVIDER_PATH, "/console/sign-in/once", "/console/account/second-factor", "/console/second-step"):
        assert path in log
    assert "user.recovery_code_used" in events
    assert "dora-there" not in log + events
    for secret in secrets:
        assert secret not in log, secret
        assert secret not in events, secret
        assert not any(secret in link for link in links), secret


def test_in_a_browser_the_whole_way_works_with_cookies_that_other_sites_do_not_get(place: Place):
    place.make("erin")
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page()
        page.goto(f"{place.url}/console/sign-in")
        page.get_by_role("link", name="Sign in with Kantoor & Co").click()
        page.locator("input[name=sub]").fill("erin-there")
        page.get_by_role("button", name="Authorize", exact=True).click()
        page.wait_for_url("**/console/cases*")

        assert page.get_by_text("erin", exact=True).is_visible()
        browser.close()


def test_new_keys_of_the_provider_are_no_hindrance_and_one_that_is_down_says_so(place: Place):
    """The last test of this file: the provider that all of them share is not touched, its twin is."""
    twin = free_port()
    folder = Path(place.server.data_dir).parent / "twin"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "port": port,
        "console_url": url,
        "oidc_issuer": f"http://127.0.0.1:{twin}",
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": SECRET,
        "oidc_name": "Kantoor & Co",
        "require_second_factor_roles": "",
    }
    with (
        assemble.initialise(load({}, data_dir=folder)) as baken,
        ServerProcess(folder, "", **settings) as server,
    ):
        here = Place(url, server, baken, twin)
        here.make("alice")
        for _ in range(2):  # started again, it has another key
            time.sleep(1.1)  # keys are asked for again once a second, and not sooner
            with real_provider(twin), Person(here) as alice:
                assert alice.enter("alice-there").status_code == 200, server.log()
        with Person(here) as alice:
            down = alice.open("/console/provider")
        assert down.status_code in {303, 503}  # what the provider says of itself is kept for an hour
        with Person(here) as alice:
            alice.open("/console/sign-in")
            state = dict(parse_qsl(urlsplit(down.headers["location"]).query))["state"]
            alice.client.cookies.set("baken-provider", state, domain="127.0.0.1")
            failed = alice.open(f"{PROVIDER_PATH}?state={state}&code=x")
        assert failed.status_code == 503
        assert "Kantoor &amp; Co cannot be reached" in failed.text
        assert 'name="password"' in failed.text
        assert "provider_sign_in_failed" in server.log()
