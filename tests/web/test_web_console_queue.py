"""The queue and its pages in a real browser: finding a case, filtering, keys, deciding several at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from console_browser import PHONE, Site, Visitor
from playwright.sync_api import Page, expect

from baken import queues
from baken.cases import Case, CaseState, DecisionKind
from baken.web.console.texts import LANGUAGES

TITLES = {"en": "Cases", "nl": "Zaken", "fr": "Dossiers", "de": "Fälle"}
ABUSE, OWN = range(200, 204), range(210, 212)


@pytest.fixture(scope="module")
def cases(site: Site) -> list[Case]:
    """Four cases of known abuse, the first with the most copies, and two of own photos."""
    made = site.make_cases(ABUSE[:1], copies=4, accounts=3)
    made += site.make_cases(ABUSE[1:], copies=1)
    return made + site.make_cases(OWN, bank="families", purpose="own_photo", copies=1)


@pytest.fixture(autouse=True)
def all_are_open(site: Site, cases: list[Case]) -> None:
    """What a test has decided is taken back before the next one."""
    review, alice = site.baken.review(), site.users["alice"]
    for case in cases:
        if site.baken.store.cases.case(case.id).state is CaseState.DECIDED:
            review.undo(alice, case.id, review.standing(alice, case.id).given[-1].seq)


def rows(page: Page) -> list[str]:
    """The short ids of the cases that the list shows, in its order."""
    return [link.inner_text() for link in page.locator("[data-row-link]").all()]


def short(cases: list[Case]) -> list[str]:
    return [case.id[-8:] for case in cases]


def test_the_most_urgent_case_comes_first_and_says_why(site: Site, visit: Callable[..., Visitor], cases: list[Case]):
    site.baken.review().claim(site.users["bob"], cases[1].id)
    alice = visit("alice")
    page = alice.open("/console")
    assert alice.path == "/console/cases"
    shown = rows(page)
    assert shown[0] == short(cases)[0]
    assert sorted(shown) == sorted(short(cases))
    page.locator(".why summary").first.click()
    why = page.locator(".why dl").first
    expect(why).to_contain_text("Known abuse")
    expect(why).to_contain_text("4 items")
    expect(why).to_contain_text("3 accounts")
    expect(page.locator("tr", has_text=short(cases)[1]).locator(".state")).to_have_text("Claimed bob")
    alice.check_accessibility()
    alice.write_screenshot("queue-why")
    page.keyboard.press("Escape")
    expect(why).to_be_hidden()
    assert alice.pictures() == []
    site.baken.review().release(site.users["bob"], cases[1].id)


def test_filters_change_the_list_alone_and_the_address_says_which(visit: Callable[..., Visitor], cases: list[Case]):
    alice = visit("alice")
    page = alice.open("/console/cases")
    loaded = len(alice.answers)
    page.get_by_label("Purpose").select_option("own_photo")
    expect(page.locator("[data-row-link]")).to_have_count(2)
    assert alice.path == "/console/cases?purpose=own_photo"
    fetched = [urlsplit(answer.url).path for answer in alice.answers[loaded:]]
    assert [path for path in fetched if not path.endswith("icon.svg")] == ["/console/cases"]
    page.get_by_label("Bank").select_option("hotline")
    expect(page.get_by_text("No case here")).to_be_visible()
    alice.check_accessibility()
    page.go_back()
    expect(page.locator("[data-row-link]")).to_have_count(2)
    assert sorted(rows(page)) == sorted(short(cases)[4:])


def test_a_view_is_kept_under_a_name_and_dropped(visit: Callable[..., Visitor], cases: list[Case]):
    del cases
    alice = visit("alice")
    page = alice.open("/console/cases")
    page.get_by_label("Purpose").select_option("own_photo")
    page.get_by_text("Save this view").click()
    page.get_by_label("Name").fill("Families first")
    page.get_by_role("button", name="Save", exact=True).click()
    saved = page.get_by_role("link", name="Families first")
    expect(saved).to_have_attribute("aria-current", "page")
    assert visit("bob").open("/console/cases").get_by_role("link", name="Families first").count() == 0
    page.get_by_role("button", name="Drop this view").click()
    expect(saved).to_have_count(0)


def test_who_reaches_other_banks_sees_an_empty_list(visit: Callable[..., Visitor], cases: list[Case]):
    del cases
    mallory = visit("mallory")
    page = mallory.open("/console/cases")
    expect(page.get_by_text("No case here")).to_be_visible()
    assert rows(page) == []
    mallory.check_accessibility()


def test_keys_move_open_and_tick(visit: Callable[..., Visitor], cases: list[Case]):
    alice = visit("alice")
    page = alice.open("/console/cases")
    for key in "jjjk":
        page.keyboard.press(key)
    second = rows(page)[1]
    assert page.evaluate("document.activeElement.textContent").strip() == second
    page.keyboard.press("x")
    expect(page.locator("[data-checked-count]")).to_have_text("1")
    page.keyboard.press("?")
    for words in ("Next row", "Open the row", "Select the row", "Decide the selected", "Search", "Cases"):
        expect(page.get_by_role("dialog")).to_contain_text(words)
    alice.check_accessibility()
    alice.write_screenshot("keys")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("jx")
    assert page.get_by_role("searchbox").input_value() == "jx"
    del cases


def test_several_cases_are_decided_after_a_summary_and_taken_back_by_keys_alone(
    site: Site, visit: Callable[..., Visitor], cases: list[Case]
):
    alice = visit("alice")
    page = alice.open("/console/cases?bank=hotline")
    for key in "jxjx":
        page.keyboard.press(key)
    chosen = rows(page)[:2]
    page.keyboard.press("d")
    page.wait_for_url("**/bulk")
    alice.check_accessibility()
    page.keyboard.press("d")
    page.keyboard.press("Space")
    page.get_by_label("Category").select_option(index=1)
    page.get_by_label("Reason").select_option("same_file")
    alice.write_screenshot("bulk")
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("c")
    page.wait_for_url("**/summary")
    expect(page.locator(".counts")).to_contain_text("Cases")
    expect(page.locator("main")).to_contain_text("remove")
    assert {case.state for case in open_now(site, cases)} == {CaseState.OPEN}
    alice.check_accessibility()
    alice.write_screenshot("bulk-summary")
    page.keyboard.press("c")
    page.wait_for_url("**/do")
    expect(page.get_by_role("status")).to_have_text("2 cases were decided.")
    decided = [case for case in open_now(site, cases) if case.state is CaseState.DECIDED]
    assert sorted(case.id[-8:] for case in decided) == sorted(chosen)
    assert {case.decision for case in decided} == {DecisionKind.CONFIRMED}
    alice.check_accessibility()
    page.keyboard.press("u")
    page.wait_for_url("**/undo")
    expect(page.get_by_role("status")).to_have_text("The decisions of 2 cases were taken back.")
    assert {case.state for case in open_now(site, cases)} == {CaseState.OPEN}


def open_now(site: Site, cases: list[Case]) -> list[Case]:
    """The cases as they are now."""
    return [site.baken.store.cases.case(case.id) for case in cases]


def test_a_summary_that_is_out_of_date_decides_nothing(site: Site, visit: Callable[..., Visitor], cases: list[Case]):
    alice = visit("alice")
    alice.expected = {409}
    page = alice.open("/console/cases?bank=families")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Decide the selected").click()
    page.get_by_label("Allowed").check()
    page.get_by_label("In your own words").fill("a club's own picture")
    page.get_by_role("button", name="Show what would be done").click()
    site.baken.review().claim(site.users["bob"], cases[4].id)
    page.get_by_role("button", name="Decide 2 cases").click()
    expect(page.get_by_role("alert").first).to_contain_text("nothing was done")
    expect(page.locator("main")).to_contain_text("1 case is left out")
    assert all(case.state is CaseState.OPEN for case in open_now(site, cases))
    site.baken.review().release(site.users["bob"], cases[4].id)


def test_without_scripts_everything_is_forms_and_links(visit: Callable[..., Visitor], cases: list[Case]):
    alice = visit("alice", java_script_enabled=False)
    page = alice.open("/console/cases")
    page.get_by_label("Purpose").select_option("own_photo")
    page.get_by_role("button", name="Filter").click()
    assert sorted(rows(page)) == sorted(short(cases)[4:])
    page.locator("tbody input[type=checkbox]").first.check()
    page.get_by_role("button", name="Decide the selected").click()
    page.get_by_label("Allowed").check()
    page.get_by_label("In your own words").fill("the club's own page")
    page.get_by_role("button", name="Show what would be done").click()
    page.get_by_role("button", name="Decide 1 case").click()
    expect(page.get_by_role("status")).to_have_text("1 case was decided.")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_have_text("The decision of 1 case was taken back.")


def test_a_phone_shows_rows_as_cards(visit: Callable[..., Visitor], cases: list[Case]):
    del cases
    alice = visit("alice", viewport=PHONE)
    page = alice.open("/console/cases")
    assert alice.overflow_px() == 0
    alice.check_accessibility()
    page.locator(".why summary").first.click()
    assert alice.overflow_px() == 0
    alice.write_screenshot("queue-phone")


def test_the_queue_speaks_each_language(visit: Callable[..., Visitor], cases: list[Case]):
    del cases
    for language in LANGUAGES:
        alice = visit("alice", locale=language)
        page = alice.open("/console/cases")
        expect(page.locator("h1")).to_have_text(TITLES[language])
        assert page.locator("html").get_attribute("lang") == language
        page.locator(".why summary").first.click()
        assert ("items" in page.locator("main").inner_text()) is (language in {"en", "nl"})
        if language == "nl":
            page.emulate_media(color_scheme="dark")
            alice.write_screenshot("queue-dark")


def test_a_list_that_makes_no_sense_says_so_and_shows_the_open_cases(visit: Callable[..., Visitor], cases: list[Case]):
    alice = visit("alice")
    alice.expected = {422}
    for query in ("state=nonsense", "min_items=-1", "after=%00", "sort=decided", "x=1"):
        page = alice.open(f"/console/cases?{query}")
        expect(page.get_by_role("alert").first).to_contain_text("cannot be asked for that")
        assert len(rows(page)) == len(cases)


def test_a_session_that_ended_leads_to_the_entrance_not_into_the_list(
    site: Site, visit: Callable[..., Visitor], cases: list[Case]
):
    del cases
    alice = visit("alice")
    page = alice.open("/console/cases")
    site.baken.people().end_sessions(site.users["alice"], actor="test")
    page.get_by_label("Purpose").select_option("own_photo")
    page.wait_for_url(re.compile("/console/sign-in$"))


def test_what_cannot_be_loaded_is_said(visit: Callable[..., Visitor], cases: list[Case]):
    del cases
    alice = visit("alice")
    alice.tolerates("ERR_FAILED")
    alice.tolerates("htmx:")
    page = alice.open("/console/cases")
    message = page.locator("[data-failed]")
    expect(message).to_be_hidden()
    page.route("**/console/cases?*", lambda route: route.abort())
    page.get_by_label("Purpose").select_option("own_photo")
    expect(message).to_be_visible()


def test_whatever_names_a_case_finds_it(site: Site, visit: Callable[..., Visitor], cases: list[Case]):
    [item, *_] = site.baken.review().items(site.users["alice"], cases[0].id)
    alice = visit("alice")
    page = alice.open("/console/search")
    expect(page.get_by_text("What can be searched")).to_be_visible()
    for text, kind in ((str(item.item_ref), "Item"), (str(item.account_ref), "Account on the platform")):
        page.keyboard.press("/")
        page.get_by_role("searchbox").fill(text)
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?q=*")
        expect(page.get_by_role("heading", name=kind)).to_be_visible()
        assert rows(page) == short(cases)[:1]
    alice.check_accessibility()
    page.get_by_role("searchbox").fill(cases[2].id)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/console/cases/{cases[2].id}")
    nothing = visit("mallory").open(f"/console/search?q={item.item_ref}")
    assert rows(nothing) == []
    expect(nothing.get_by_text("Nothing that you may see")).to_be_visible()


def test_an_account_shows_what_it_shares_with_others(site: Site, visit: Callable[..., Visitor], cases: list[Case]):
    [first, second, *_] = site.baken.review().items(site.users["alice"], cases[0].id)
    alice = visit("alice")
    page = alice.open(f"/console/search?q={first.account_ref}")
    page.get_by_role("link", name=f"Open the account {first.account_ref}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Account {first.account_ref}")
    expect(page.locator("#screenings")).to_contain_text(str(first.item_ref))
    assert rows(page) == short(cases)[:1]
    page.get_by_role("link", name=str(second.account_ref)).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Account {second.account_ref}")
    alice.check_accessibility()
    alice.write_screenshot("account")
    page.set_viewport_size(PHONE)
    assert alice.overflow_px() == 0


def test_an_account_of_more_cases_than_are_shown_says_so_of_each_count(
    visit: Callable[..., Visitor], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queues, "MAX_ACCOUNT_CASES", 1)
    page = visit("alice").open("/console/accounts?ref=user-201")  # it is in two cases
    assert len(rows(page)) == 1
    for name, count in (("Cases", "1+"), ("Decided", "0+")):
        expect(page.locator(".counts div", has_text=name).locator("dd")).to_have_text(count)
    expect(page.get_by_text("There are more.").first).to_be_visible()


def test_what_another_bank_found_of_an_account_looks_like_nothing(visit: Callable[..., Visitor]):
    account = "/console/accounts?ref=user-200"
    expect(visit("alice").open(account).locator("#screenings tbody")).to_contain_text("matched")
    screenings = visit("mallory").open(account).locator("#screenings tbody")
    expect(screenings).to_contain_text("nothing of your banks")
    expect(screenings).not_to_contain_text(re.compile("matched|hold"))
