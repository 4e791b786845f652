"""Looking at a picture in a real browser, with the network recorded: nothing larger arrives before its reveal."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from urllib.parse import urlsplit

import pytest
from console_browser import PHONE, WAIT_SECONDS, Site, Visitor, cheap_passwords, jpeg, serving
from PIL import Image
from playwright.sync_api import Page, Route, expect
from reviewers import Reviewer

from baken import assemble, samples
from baken.cases import Case, Level, Reveal
from baken.errors import NotReadyError
from baken.keeping import ensure_key
from baken.model import Purpose
from baken.sealing import Sealer
from baken.settings import load

SIZES = {Level.PREVIEW: (160, 120), Level.CLEARER: (320, 240), Level.ORIGINAL: (320, 240)}
JPEG = b"\xff\xd8\xff"
_seeds = count(7_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served console under the law of Belgium, with a budget of seven points an hour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "Passwords", cheap_passwords)
        rules = {"jurisdiction": "be", "exposure_per_hour": 7, "require_second_factor_roles": ""}
        settings = load({}, data_dir=tmp_path_factory.mktemp("looking") / "data", decode_processes=1, **rules)
        with serving(assemble.initialise(settings)) as served:
            ensure_key(served.baken.keeping.sealer, served.baken.store)
            yield served


def make_case(site: Site, purpose: Purpose = Purpose.OWN_PHOTO) -> Case:
    """A case of one drawn picture, whose bytes are held."""
    seed = next(_seeds)
    bank = {Purpose.OWN_PHOTO: "families", Purpose.KNOWN_ABUSE: "hotline"}[purpose]
    [case] = site.make_cases([seed], bank=bank, purpose=purpose.value, copies=1, accounts=1)
    data = jpeg(samples.draw(seed, (320, 240)), 95)
    site.baken.vault.hold(data, {purpose}, until=datetime.now(UTC) + timedelta(days=1), reason="test")
    return case


def path(case: Case) -> str:
    return f"/console/cases/{case.id}"


def reveals(site: Site, case: Case) -> list[Reveal]:
    return site.baken.store.reveals.of_case(case.id)


def rest(site: Site, *names: str) -> None:
    """Let people have looked at nothing yet."""
    ids = [site.users[name].id for name in names]
    with site.baken.store._database.write() as connection:
        for table in ("reveals", "exposure_days", "exposure_lifts", "exposure_optouts"):
            for user_id in ids:
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE user_id = '{user_id}'")  # noqa: S608 - ours


@dataclass(frozen=True)
class Arrived:
    """An answer as it came over the network."""

    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_picture(self) -> bool:
        """Whether it is made of pixels, as far as it says itself."""
        kind = self.headers.get("content-type", "")
        return kind.startswith("image/") and "svg" not in kind


class Network:
    """Everything that arrives in a person's browser, byte for byte, while this is open."""

    def __init__(self, visitor: Visitor) -> None:
        self.arrived: list[Arrived] = []
        self._context = visitor.context
        self._context.route("**/*", self._pass)

    def close(self) -> None:
        """Record no further."""
        self._context.unroute_all(behavior="wait")

    def _pass(self, route: Route) -> None:
        answer = route.fetch(max_redirects=0)
        self.arrived.append(Arrived(route.request.url, answer.headers, answer.body()))
        route.fulfill(response=answer)

    @property
    def photos(self) -> list[Arrived]:
        """The pictures that are made of pixels; nothing else may carry one."""
        for each in self.arrived:
            if not each.is_picture:
                assert JPEG not in each.body, each.url
                assert b"base64," not in each.body, each.url
        return [each for each in self.arrived if each.is_picture]


def test_no_byte_of_a_larger_picture_arrives_before_its_reveal(site: Site, visit: Callable[..., Visitor]):
    rest(site, "alice")
    case = make_case(site)
    alice = visit("alice")
    network = Network(alice)
    page = alice.open(path(case))
    expect(page.locator("#look")).to_contain_text("Claim the case")
    page.keyboard.press("c")
    expect(page.locator("#look button[name=level]")).to_have_count(3)
    for button in page.locator("#look button").all():
        button.hover()
        button.focus()
    page.wait_for_timeout(100)
    assert network.photos == []
    assert reveals(site, case) == []

    arrived: list[tuple[int, int]] = []
    for number, level in enumerate((Level.PREVIEW, Level.CLEARER, Level.ORIGINAL), start=1):
        if level is Level.ORIGINAL:
            page.locator("#look input[name=reason]").fill("the face of the clock")
            page.locator("#look h2").click()
        page.keyboard.press("v")
        page.keyboard.press(str(level.value))
        expect(page.locator("#look figcaption")).to_be_visible()
        expect(page.locator("#look button[name=level]")).to_have_count(3 - number)
        newest, *_ = reveals(site, case)
        assert (newest.level, newest.user_id) == (level, site.users["alice"].id)
        wait_for_picture(page)
        assert len(network.photos) == number
        answer = network.photos[-1]
        assert urlsplit(answer.url).path == f"{path(case)}/reveals/{newest.id}"
        assert answer.headers["cache-control"] == "no-store"
        image = Image.open(io.BytesIO(answer.body))
        assert image.mode == ("RGB" if level is Level.ORIGINAL else "L")
        arrived.append(image.size)
    assert arrived == [SIZES[level] for level in (Level.PREVIEW, Level.CLEARER, Level.ORIGINAL)]
    assert [each.reason for each in reveals(site, case)] == ["the face of the clock", None, None]
    assert all(each.hidden_at is not None for each in reveals(site, case)[1:])  # the pages that showed them are gone
    alice.check_accessibility()
    alice.write_screenshot("looking")

    page.wait_for_timeout(300)
    page.keyboard.press("Escape")
    expect(page.locator("#look img")).to_have_count(0)
    page.wait_for_url("**" + path(case) + "*")
    newest = wait_until_hidden(site, case)
    assert newest.hidden_at is not None
    assert 0.2 <= (newest.shown_seconds or 0) <= (newest.hidden_at - newest.shown_at).total_seconds()
    gone = alice.context.request.get(f"{site.url}{path(case)}/reveals/{newest.id}")
    assert gone.status == 404
    assert JPEG not in gone.body()
    assert len(network.photos) == len(arrived)
    network.close()


def wait_for_picture(page: Page) -> None:
    """Wait until the picture that was asked for is there."""
    expect(page.locator("#look img")).to_have_js_property("complete", value=True)
    expect(page.locator("#look img")).not_to_have_js_property("naturalWidth", 0)


def wait_until_hidden(site: Site, case: Case) -> Reveal:
    """The newest reveal of a case, once somebody said that it is hidden."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (newest := reveals(site, case)[0]).hidden_at is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return newest


def test_a_page_that_is_left_tells_for_how_long_its_picture_was_shown(site: Site, visit: Callable[..., Visitor]):
    rest(site, "alice")
    case = make_case(site)
    alice = visit("alice")
    page = alice.open(path(case))
    page.keyboard.press("c")
    page.locator("#look button[value='1']").click()
    wait_for_picture(page)
    page.set_viewport_size(PHONE)
    assert alice.overflow_px() == 0
    page.wait_for_timeout(200)
    page.goto(f"{site.url}/console/exposure")
    hidden = wait_until_hidden(site, case)
    assert 0.1 <= (hidden.shown_seconds or 0) < WAIT_SECONDS
    expect(page.locator("table").first).to_contain_text("Blurred preview")
    page.go_back()
    expect(page.locator("#look img")).to_have_count(0)


def test_a_spent_budget_pauses_until_a_lead_lifts_it(site: Site, visit: Callable[..., Visitor]):
    rest(site, "alice", "bob")
    case = make_case(site)
    screening = site.baken.store.cases.items(case.id)[0].screening_id
    with Reviewer(site, "alice") as sender:
        sender.open(path(case))
        sender.take(case.id, "claim")
        for _ in range(2):
            sender.take(case.id, "look", screening=screening, level=3, reason="the face of the clock")
        sender.take(case.id, "look", screening=screening, level=2)
        assert "Your budget does not reach for this." in sender.text
    alice = visit("alice")
    page = alice.open(path(case))
    expect(page.locator("#look button[name=level]")).to_have_count(1)
    page.locator("#look button[value='1']").click()
    expect(page.locator("#look")).to_contain_text("Your budget of looks is spent.")
    expect(page.locator("#look")).to_contain_text("The next one fits in")
    expect(page.locator("#look button[name=level]")).to_have_count(0)
    alice.check_accessibility()

    bob = visit("bob")
    everybody = bob.open("/console/exposure")
    expect(everybody.locator("tr", has_text="alice")).to_contain_text("7 / 7")
    everybody.get_by_role("link", name="alice").click()
    everybody.locator("input[name=points]").fill("5")
    everybody.locator("input[name=reason]").fill("the last case of today")
    everybody.get_by_role("button", name="Lift the budget").click()
    expect(everybody.locator("tr", has_text="alice")).to_contain_text("7 / 12")
    expect(everybody.locator("h2").first).to_contain_text("alice")
    expect(everybody.locator(".message.right")).to_contain_text("the last case of today")
    bob.check_accessibility()
    bob.write_screenshot("exposure")
    bob.page.set_viewport_size(PHONE)
    assert bob.overflow_px() == 0

    page.reload()
    expect(page.locator("#look img")).to_have_count(0)
    expect(page.locator("#look button[name=level]")).to_have_count(3)


def test_in_belgium_known_abuse_has_no_picture(site: Site, visit: Callable[..., Visitor]):
    rest(site, "alice", "bob")
    case = make_case(site, Purpose.KNOWN_ABUSE)
    for name in ("alice", "bob"):
        person = visit(name)
        network = Network(person)
        page = person.open(path(case))
        page.keyboard.press("c")
        expect(page.get_by_role("button", name="Release")).to_be_visible()
        expect(page.locator("#look")).to_contain_text("Nobody on the platform may see pictures of this kind")
        expect(page.locator("#look")).to_contain_text("goes to the hotline or the police")
        expect(page.locator("#look button, #look img")).to_have_count(0)
        screening = site.baken.store.cases.items(case.id)[0].screening_id
        with Reviewer(site, name) as sender:
            sender.open(path(case))
            for level in (1, 2, 3):
                sender.take(case.id, "look", screening=screening, level=level, reason="why not")
                assert "You may not see this." in sender.text
        page.get_by_role("button", name="Release").click()
        expect(page.get_by_role("button", name="Claim")).to_be_visible()
        assert network.photos == []
        network.close()
    assert reveals(site, case) == []


def test_all_of_it_works_without_scripts(site: Site, visit: Callable[..., Visitor]):
    rest(site, "alice")
    case = make_case(site)
    alice = visit("alice", java_script_enabled=False)
    page = alice.open(path(case))
    page.get_by_role("button", name="Claim").click()
    page.get_by_role("button", name="Whole picture").click()
    expect(page.locator("#look [role=alert]")).to_contain_text("Say why in a few words.")
    page.locator("#look input[name=reason]").fill("the face of the clock")
    page.get_by_role("button", name="Whole picture").click()
    expect(page.locator("#look img")).to_be_visible()
    assert reveals(site, case)[0].level is Level.ORIGINAL
    page.get_by_role("button", name="Hide now").click()
    expect(page.locator("#look img")).to_have_count(0)
    shown = reveals(site, case)[0]
    assert shown.hidden_at is not None
    assert shown.shown_seconds is not None

    page.goto(f"{site.url}/console/exposure")
    page.locator("tr", has_text="Own photo").get_by_role("button", name="Show me no pictures").click()
    page.goto(site.url + path(case))
    expect(page.locator("#look")).to_contain_text("You asked not to see pictures of this kind.")


def test_a_picture_is_its_persons_alone_and_only_for_its_case(site: Site):
    rest(site, "alice")
    case, other = make_case(site), make_case(site)
    screening = site.baken.store.cases.items(case.id)[0].screening_id
    with Reviewer(site, "alice") as alice, Reviewer(site, "bob") as bob, Reviewer(site, "otto") as otto:
        alice.open(path(case))
        assert alice.take(case.id, "look", screening=screening, level=1).status_code == 303
        assert "You do not hold the case any more." in alice.text
        alice.take(case.id, "claim")
        for level in ("0", "4", "x", ""):
            alice.take(case.id, "look", screening=screening, level=level)
            assert "Nothing was shown." in alice.text
        answer = alice.take(case.id, "look", screening=screening, level=1, reason="to compare")
        [reveal] = reveals(site, case)
        address = f"{path(case)}/reveals/{reveal.id}"
        assert f"reveal={reveal.id}" in answer.headers["location"]
        assert alice.client.get(address).headers["content-type"] == "image/jpeg"
        for person in (bob, otto):
            refused = person.client.get(address)
            assert (refused.status_code, JPEG in refused.content) == (403, False)
            assert f"reveals/{reveal.id}" not in person.open(f"{path(case)}?reveal={reveal.id}").text
            assert person.post(f"{address}/hide").status_code == 403
        alice.client.cookies.delete("baken-session")
        nobody = alice.client.get(address)
        assert (nobody.status_code, nobody.headers["location"]) == (303, "/console/sign-in")
    with Reviewer(site, "alice") as alice:
        alice.open(path(case))
        assert alice.client.get(address).status_code == 200
        for wrong in (f"{path(other)}/reveals/{reveal.id}", f"{path(case)}/reveals/x", f"{path(case)}/reveals/{2**63}"):
            assert alice.client.get(wrong).status_code == 404
        assert alice.post(f"{address}/hide", leaves="yes", shown_seconds="0.01").status_code == 204
        assert alice.client.get(address).status_code == 404
        assert reveals(site, case)[0].shown_seconds == 0.01
    with Reviewer(site, "otto") as otto:
        otto.open(path(case))
        assert "Seen by 1" in otto.text
        assert re.search(r"<td>alice</td><td>1</td>.*<td class=\"num\">0</td><td>to compare</td>", otto.page.text)


def test_a_case_out_of_reach_is_none_and_nobody_learns_that_it_is_there(site: Site):
    case = make_case(site)
    screening = site.baken.store.cases.items(case.id)[0].screening_id
    with Reviewer(site, "mallory") as mallory:
        answers = [
            mallory.post(f"/console/cases/{each}/look", screening=screening, level=1) for each in (case.id, "no")
        ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert reveals(site, case) == []


def test_a_case_says_that_its_picture_cannot_be_shown_and_can_be_decided(site: Site, monkeypatch: pytest.MonkeyPatch):
    rest(site, "alice")
    case = make_case(site)
    screening = site.baken.store.cases.items(case.id)[0].screening_id
    with Reviewer(site, "alice") as alice:
        alice.open(path(case))
        alice.take(case.id, "claim")
        monkeypatch.setattr(site.baken.vault, "_sealer", Sealer(site.baken.settings.data_dir / "no.key"))
        alice.take(case.id, "look", screening=screening, level=1)
        assert "cannot be read or decoded. No look was counted." in alice.text

        def unready(*_: object) -> None:
            raise NotReadyError("no worker process starts", hint="test")

        monkeypatch.undo()
        monkeypatch.setattr(site.baken.workers, "run", unready)
        alice.take(case.id, "look", screening=screening, level=1)
        assert "The picture cannot be shown now." in alice.text
        assert "decide" in alice.steps
    assert reveals(site, case) == []


def test_what_was_spent_stands_alone_where_there_are_no_bytes(site: Site):
    rest(site, "alice")
    [case] = site.make_cases([next(_seeds)], bank="families", purpose="own_photo", copies=1, accounts=1)
    with Reviewer(site, "alice") as alice:
        alice.open(path(case))
        assert "Points spent: 0/7 this hour" in alice.text
        assert "· Points spent" not in alice.text
