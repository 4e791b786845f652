"""Walks through the console in a real browser: from a match to a decision, as people go, with scripts and without."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from console_browser import DESK, PHONE, Site, Visitor, cheap_passwords, jpeg, serving, visiting
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect
from reviewers import Reviewer

from baken import assemble, samples
from baken.cases import Awaits, Case, CaseState, DecisionKind, Level
from baken.keeping import ensure_key
from baken.model import Purpose
from baken.settings import load
from baken.web.console.texts import LANGUAGES, translator

_seeds = count(7_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served console where known abuse takes two persons."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "Passwords", cheap_passwords)
        data_dir = tmp_path_factory.mktemp("walks") / "data"
        rules = {"two_person_purposes": "known_abuse", "require_second_factor_roles": ""}
        settings = load({}, data_dir=data_dir, decode_processes=1, **rules)
        with serving(assemble.initialise(settings)) as served:
            ensure_key(served.baken.keeping.sealer, served.baken.store)
            yield served


@pytest.fixture
def make_case(site: Site) -> Callable[..., Case]:
    """Makes a case of a picture that nobody had; its bytes are held if `is_held`."""

    def make(purpose: str = "known_abuse", *, is_held: bool = False, **given: object) -> Case:
        bank, seed = {"own_photo": "families", "known_abuse": "hotline"}[purpose], next(_seeds)
        [case] = site.make_cases([seed], bank=bank, purpose=purpose, **given)
        if is_held:
            until = datetime.now(UTC) + timedelta(days=1)
            data = jpeg(samples.draw(seed, (320, 240)), 95)
            site.baken.vault.hold(data, {Purpose(purpose)}, until=until, reason="test")
        return case

    return make


def path(case: Case) -> str:
    return f"/console/cases/{case.id}"


def decide(page: Page, kind: str, reason: str, category: str | None = None) -> None:
    """Choose a decision with the pointer, and send it."""
    page.locator(f'input[name="kind"][value="{kind}"]').check()
    if category is not None:
        page.locator('select[name="category"]').select_option(category)
    page.locator(f'select[name="reason_{kind}"]').select_option(reason)
    page.locator(".case-form").get_by_role("button", name="Decide").click()


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} is not reached with Tab")


def test_a_match_is_found_claimed_looked_at_decided_by_two_and_undone(
    site: Site, visit: Callable[..., Visitor], make_case: Callable[..., Case]
):
    case = make_case(copies=4, accounts=3, is_held=True)
    alice, bob = visit("alice"), visit("bob")

    page = alice.open("/console/cases")
    page.get_by_role("link", name=case.id[-8:]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Case {case.id[-8:]}")
    page.get_by_role("button", name="Claim").click()
    expect(page.locator(".case-state")).to_contain_text("You have it")
    assert all("/drawing" in each.url for each in alice.pictures())
    page.get_by_role("button", name="Blurred preview").click()
    # Not `wait_for_function`: what is not true at once it asks again with eval, which the page's policy forbids.
    page.locator("#look img").evaluate("image => image.decode()")
    [reveal] = site.baken.store.reveals.of_case(case.id)
    assert (reveal.level, reveal.user_id) == (Level.PREVIEW, site.users["alice"].id)
    assert [each.url for each in alice.pictures() if f"/reveals/{reveal.id}" in each.url]
    page.evaluate("window.scrollTo(0, 0)")
    alice.write_screenshot("case")
    decide(page, "confirmed", "facts_suffice", "unlawful")
    expect(page.get_by_role("status")).to_have_text("Your decision is kept.")
    assert site.case(case).awaits is Awaits.SECOND

    seen = bob.open(path(case))
    expect(seen.locator(".case-state")).to_contain_text("A first decision is given.")
    expect(seen.locator("body")).not_to_contain_text("Confirmed: Unlawful")
    seen.get_by_text("Seen by").click()
    looks = seen.get_by_role("table").filter(has_text="Level").get_by_role("row", name="alice").get_by_role("cell")
    expect(looks.nth(0)).to_have_text("alice")
    expect(looks.nth(1)).to_have_text("1")
    decide(seen, "confirmed", "facts_suffice", "unlawful")
    expect(seen.locator(".case-state")).to_contain_text("Decided")
    assert site.case(case).decision is DecisionKind.CONFIRMED
    seen.keyboard.press("u")
    expect(seen.get_by_role("status")).to_have_text("The decision is undone; nothing of it was done.")
    assert site.case(case).awaits is Awaits.SECOND


def test_a_case_is_put_on_hold_and_resumed(site: Site, visit: Callable[..., Visitor], make_case: Callable[..., Case]):
    case, alice = make_case(), visit("alice")
    page = alice.open(path(case))
    page.keyboard.press("h")
    form = page.locator('form[action$="/hold"]')
    form.locator('select[name="reason"]').select_option("awaits_platform")
    form.locator('select[name="until"]').select_option("tomorrow")
    form.get_by_role("button").click()
    expect(page.locator(".case-state")).to_contain_text("On hold")
    assert site.case(case).state is CaseState.ON_HOLD
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".case-state")).to_contain_text("You have it")


def test_whose_claim_was_taken_over_hears_it_while_the_page_is_open(
    site: Site, visit: Callable[..., Visitor], make_case: Callable[..., Case]
):
    case, alice = make_case(), visit("alice")
    alice.expected.add(409)
    page = alice.open(path(case))
    page.get_by_role("button", name="Claim").click()
    expect(page.locator("[data-heartbeat]")).to_be_visible()
    site.end_lease(case)
    with Reviewer(site, "bob") as bob:
        bob.open(path(case))
        bob.take(case.id, "claim")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.locator("[data-lease-lost]")).to_be_visible()
    expect(page.get_by_role("button", name="Decide", exact=True)).to_be_disabled()
    page.reload()
    expect(page.locator(".case-state")).to_contain_text("bob has it")
    expect(page.locator(".case-state")).to_contain_text("Your claim ended, and somebody else took the case over.")


def test_of_two_who_claim_a_case_at_once_one_gets_it_and_the_other_is_told(
    site: Site, make_case: Callable[..., Case], visit: Callable[..., Visitor]
):
    case = make_case()
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        both = [stack.enter_context(Reviewer(site, name)) for name in ("alice", "bob")]
        for reviewer in both:
            reviewer.open(path(case))
        answers = list(threads.map(lambda reviewer: reviewer.post(f"{path(case)}/claim"), both))
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [303, 409]
    winner, loser = (("alice", "bob"), ("bob", "alice"))[statuses.index(303)]
    assert f"{winner} has it" in both[1 - statuses.index(303)].text
    page = visit(loser).open(path(case))
    expect(page.locator(".case-state")).to_contain_text(f"{winner} has it")
    expect(page.get_by_role("button", name="Claim")).to_have_count(0)


def test_a_case_is_decided_with_the_keyboard_alone(
    site: Site, visit: Callable[..., Visitor], make_case: Callable[..., Case]
):
    case, alice = make_case("own_photo"), visit("alice")
    page = alice.open(path(case))
    page.keyboard.press("c")
    expect(page.locator(".case-state")).to_contain_text("You have it")
    page.keyboard.press("2")
    expect(page.locator('input[name="kind"][value="not_a_match"]')).to_be_checked()
    page.keyboard.press("r")
    expect(page.locator('select[name="reason_not_a_match"]')).to_be_focused()
    page.keyboard.type("The same")
    page.keyboard.press("Escape")
    tab_to(page, ".case-form textarea")
    page.keyboard.type("the same wall")
    tab_to(page, ".case-form > button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Your decision is kept.")
    assert site.case(case).decision is DecisionKind.NOT_A_MATCH
    page.keyboard.press("?")
    expect(page.locator("dialog#keys")).to_contain_text("Undo the decision")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page.get_by_role("status")).to_have_text("The decision is undone; nothing of it was done.")


def test_facts_and_decision_are_in_view_without_scrolling(
    visit: Callable[..., Visitor], make_case: Callable[..., Case]
):
    page = visit("alice").open(path(make_case()))
    page.locator('input[name="kind"][value="confirmed"]').check()
    for shown in (".case-state", ".case-fact dl", ".case-form > button"):
        box = page.locator(shown).first.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= DESK["height"], shown


def test_the_whole_walk_works_without_scripts(site: Site, chrome: Chromium, make_case: Callable[..., Case]):
    case = make_case()
    with visiting(site, chrome, "alice", java_script_enabled=False) as alice:
        page = alice.open(path(case))
        page.get_by_role("button", name="Claim").click()
        expect(page.locator(".case-state")).to_contain_text("You have it")
        page.get_by_text("Leave a note", exact=True).click()
        page.locator('form[action$="/note"] textarea').fill("what I know")
        page.get_by_role("button", name="Leave the note").click()
        expect(page.locator("#life")).to_contain_text("what I know")
        decide(page, "refer", "law_says_so")
        expect(page.get_by_role("status")).to_have_text("Your decision is kept.")
    with visiting(site, chrome, "bob", java_script_enabled=False) as bob:
        page = bob.open(path(case))
        decide(page, "cannot_tell", "too_little")
        expect(page.locator(".case-state")).to_contain_text("Two persons disagree")
        page.get_by_role("button", name="Undo the decision").click()
        expect(page.get_by_role("status")).to_have_text("The decision is undone; nothing of it was done.")
    assert site.case(case).awaits is Awaits.LEAD  # a disagreement stays a lead's


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_fits_desk_and_phone_in_each_language(
    site: Site, chrome: Chromium, make_case: Callable[..., Case], language: str
):
    case = make_case(copies=5, accounts=3)
    _ = translator(language)
    for window in (DESK, PHONE):
        with visiting(site, chrome, "alice", locale=language, viewport=window) as alice:
            page = alice.open(path(case))
            expect(page.get_by_role("button", name=_("Decide"), exact=True)).to_be_visible()
            assert alice.overflow_px() == 0


def test_the_page_is_accessible_before_and_after_a_decision_of_many_items(
    site: Site, visit: Callable[..., Visitor], make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("baken.web.console.case.MANY_ITEMS", 2)
    case, alice = make_case("own_photo"), visit("alice")
    page = alice.open(path(case))
    for summary in page.locator(".case-more summary").all():
        summary.click()
    page.locator('input[name="kind"][value="not_a_match"]').check()
    alice.check_accessibility()
    decide(page, "allowed", "has_consent")
    expect(page.get_by_role("button", name="Yes, decide")).to_be_focused()
    alice.check_accessibility()
    assert site.case(case).state is CaseState.OPEN
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Decide", exact=True)).to_be_visible()
    decide(page, "allowed", "has_consent")
    expect(page.get_by_role("button", name="Yes, decide")).to_be_focused()
    page.keyboard.press("y")
    expect(page.get_by_role("status")).to_have_text("Your decision is kept.")
    assert site.case(case).decision is DecisionKind.ALLOWED
    alice.check_accessibility()


def test_whoever_asks_for_less_motion_sees_nothing_move(visit: Callable[..., Visitor], make_case: Callable[..., Case]):
    page = visit("alice").open(path(make_case("own_photo")))
    moving = """() => {
        document.body.style.color = "red";
        document.body.offsetWidth;
        return document.getAnimations().length;
    }"""
    assert page.evaluate(moving) == 0


def test_the_key_list_names_every_decision(visit: Callable[..., Visitor], make_case: Callable[..., Case]):
    page = visit("alice").open(path(make_case()))
    page.keyboard.press("?")
    told = page.locator("dialog#keys dl").inner_text()
    for key, name in enumerate(("Confirmed", "Not a match", "Allowed", "Cannot tell", "Refer"), start=1):
        assert re.search(rf"{key}\s+{name}", told), told
