"""What every page of the console has: its bar, its keys, its scripts and their limits; in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from console_browser import CAST, DESK, PASSWORD, PHONE, Site, Visitor, visiting
from playwright.sync_api import Browser as Chromium

from baken import assemble

SCRIPTS = Path(assemble.__file__).parent / "web" / "console" / "scripts"
MAX_SCRIPT_LINES = 300


def test_our_own_scripts_stay_small():
    lines = sum(len(script.read_text(encoding="utf-8").splitlines()) for script in SCRIPTS.glob("*.js"))

    assert 0 < lines <= MAX_SCRIPT_LINES


def test_what_pages_load_is_kept_under_its_address_and_asked_for_again_without(site: Site):
    page = httpx.get(f"{site.url}/console/sign-in", trust_env=False).text
    for name, kind in (("console.css", "text/css"), ("baken.js", "text/javascript"), ("htmx.js", "text/javascript")):
        address = next(part for part in page.split('"') if part.startswith(f"/console/{name}?v="))
        kept = httpx.get(site.url + address, trust_env=False)
        assert kept.headers["content-type"].startswith(kind)
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        asked = httpx.get(f"{site.url}/console/{name}", trust_env=False)
        assert asked.headers["cache-control"] == "no-cache"
        again = {"if-none-match": asked.headers["etag"]}
        assert httpx.get(f"{site.url}/console/{name}", headers=again, trust_env=False).status_code == 304


def test_a_person_signs_in_with_a_browser_and_out_again(visit: Callable[..., Visitor]):
    person = visit()
    page = person.open("/console")
    assert person.path == "/console/sign-in"
    person.check_accessibility()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("ada", exact=True).first.click()
    page.get_by_role("button", name="Sign out").click()

    assert person.path == "/console/sign-in"


@pytest.mark.parametrize("name", CAST)
def test_everything_that_the_bar_offers_opens(visit: Callable[..., Visitor], name: str):
    person = visit(name)
    page = person.open("/console/account")
    bar = page.get_by_role("navigation", name="Main")
    for link in [link.get_attribute("href") for link in bar.get_by_role("link").all()]:
        person.open(str(link))
        current = bar.locator("[aria-current=page]")
        assert current.get_attribute("href") == link
        assert page.get_by_role("heading", level=1).inner_text() == current.inner_text()


def test_keys_go_where_the_page_says_and_are_listed(visit: Callable[..., Visitor]):
    person = visit("ada")
    page = person.open("/console/account")
    page.keyboard.press("?")
    listed = page.get_by_role("dialog")
    assert "Users" in listed.inner_text()
    page.keyboard.press("Escape")
    assert listed.count() == 0
    page.keyboard.press("g")
    page.keyboard.press("u")
    page.wait_for_url("**/console/users")


def test_keys_do_nothing_while_somebody_types_or_after_they_are_switched_off(visit: Callable[..., Visitor]):
    person = visit("ada")
    page = person.open("/console/account")
    page.get_by_label("Present password").first.press_sequentially("gu?")
    assert page.get_by_role("dialog").count() == 0
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Keys work in this browser").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    assert page.get_by_role("dialog").count() == 0
    assert person.path == "/console/account"


def test_pages_have_no_barrier_and_fit_a_phone(visit: Callable[..., Visitor]):
    person = visit("ada")
    for path in ("account", "account/second-factor", "users", "audit", "settings"):
        person.page.set_viewport_size(DESK)
        person.open(f"/console/{path}")
        person.check_accessibility()
        person.page.set_viewport_size(PHONE)
        assert person.overflow_px() == 0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">')", "Content Security Policy"),
        ("fetch('http://127.0.0.1:9/').catch(() => {})", "Content Security Policy"),
        ("setTimeout(() => { throw new Error('a mistake') }, 0)", "a mistake"),
        ("console.error('a complaint')", "a complaint"),
    ],
)
def test_a_page_that_breaks_the_policy_or_complains_fails_its_test(site: Site, chrome: Chromium, wrong: str, told: str):
    def look() -> None:
        with visiting(site, chrome) as person:
            person.open("/console/sign-in").evaluate(wrong)
            person.page.wait_for_timeout(50)

    with pytest.raises(AssertionError, match=told):
        look()


def test_an_error_is_a_page_without_barriers(visit: Callable[..., Visitor]):
    person = visit("ada")
    person.expected = {404}
    page = person.open("/console/nothing")

    assert page.get_by_role("alert").inner_text() == "There is nothing here."
    person.check_accessibility()
