"""Whoever needs a second factor sets one up before anything else; and one-time links, which prove one thing alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from console_browser import PHONE, Site, Visitor
from console_person import FIELD, GOOD, ORIGIN, Person
from web_client import Api, running_app

from baken import assemble, people
from baken.accounts import Role, SignInMethod, User
from baken.passwords import Passwords
from baken.second_factor import code_at
from baken.settings import load

OTHER = "staple of another kind"
PATH = "/console/account/second-factor"
OPEN = {
    "/console/sign-in",
    "/console/sign-in/once",
    "/console/second-step",
    "/console/set-up",
    "/console/language",
    "/console/provider",
    assemble.PROVIDER_PATH,
    "/console/console.css",
    "/console/baken.js",
    "/console/htmx.js",
    "/console/icon.svg",
}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One application, with the settings that an operator begins with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "Passwords", lambda: Passwords(time_cost=1, memory_kib=8, parallelism=1))
        settings = load({}, data_dir=tmp_path_factory.mktemp("factor") / "data", decode_processes=1)
        with running_app(assemble.initialise(settings)) as api:
            yield api


@pytest.fixture
def api(console: Api) -> Api:
    """The application without any user."""
    with console.baken.store._database.write() as connection:
        for table in ("sessions", "tickets", "recovery_codes", "sign_in_attempts", "users"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    return console


@pytest.fixture
def make(api: Api) -> Callable[..., User]:
    def make_user(name: str, *roles: Role, **given: object) -> User:
        return api.baken.people().create(name, roles, actor="test", **{"password": GOOD, **given})

    return make_user


def set_up(person: Person, **fields: str) -> bytes:
    """Set up a second factor; its secret."""
    hidden = dict(FIELD.findall(person.open(PATH).text))
    secret = base64.b32decode(hidden["secret"])
    form = {**hidden, "code": code_at(secret, datetime.now(UTC)), **fields}
    person.send("POST", PATH, data=form, headers={"origin": ORIGIN})
    return secret


def once(api: Api, user: User) -> str:
    return api.baken.people().link_once(user, actor="test")


@pytest.mark.parametrize("role", Role)
def test_a_password_alone_opens_nothing_but_setting_up_the_second_factor(
    api: Api, make: Callable[..., User], role: Role
):
    user = make("alice", role)
    person = Person(api)
    person.enter()
    routes = {(method, route.path) for route in api.app.routes for method in route.methods or ()}
    closed = 0
    for method, path in sorted(routes):
        if not path.startswith("/console") or method == "HEAD" or path.startswith("/console/sign-out"):
            continue
        answer = person.send(method, path.replace("{", "").replace("}", ""), headers={"origin": ORIGIN})
        if answer.status_code == 303 and answer.headers["location"] == PATH:
            assert answer.content == b""
            closed += 1
        else:
            assert path == PATH or path in OPEN, (method, path, answer.status_code)
    assert closed >= 8

    set_up(person, present=GOOD)

    assert len(re.findall(r"<li><code>", person.page.text)) == 10
    assert person.open("/console/account").status_code == 200
    [session] = [each for each in api.baken.store.sign_ins.of_user(user.id) if each.ended_at is None]
    assert session.method is SignInMethod.TOTP


def test_setting_it_up_changes_the_sessions_token_and_ends_those_begun_without(api: Api, make: Callable[..., User]):
    make("alice", Role.ADMIN)
    alice, thief = Person(api), Person(api)
    thief.enter()
    alice.enter()
    before = dict(alice.client.cookies)
    set_up(alice, present=GOOD)

    assert alice.client.cookies["baken-session"] != before["baken-session"]
    assert alice.open("/console/account").status_code == 200
    for other in (thief, Person(api, cookies=before)):
        assert other.open(PATH).headers["location"] == "/console/sign-in"
    thief.enter()
    assert thief.leads_to == "/console/second-step"  # the password alone is half a sign-in now


def test_a_wrong_code_or_password_leaves_everything_closed(api: Api, make: Callable[..., User]):
    make("alice", Role.LEAD)
    alice = Person(api)
    alice.enter()
    for wrong in ({"present": "another password than this"}, {"present": GOOD, "code": "000000"}):
        set_up(alice, **wrong)
        assert alice.page.status_code == 422
    assert alice.open("/console/account").headers["location"] == PATH


def test_a_one_time_link_signs_in_once_and_only_to_set_up_what_is_missing(api: Api, make: Callable[..., User]):
    user = make("alice", Role.LEAD, password=None)
    code = once(api, user)
    alice, late = Person(api), Person(api)
    assert code not in alice.open("/console/sign-in/once").text
    alice.fill("/console/sign-in/once", code=f" {code} ")
    assert alice.leads_to == "/console"
    assert alice.open("/console/account").headers["location"] == PATH
    assert late.fill("/console/sign-in/once", code=code).status_code == 401

    set_up(alice)  # there is no password to ask for
    assert alice.open("/console/account").status_code == 200
    assert 'name="present"' not in alice.page.text
    second = Person(api)
    second.fill("/console/sign-in/once", code=once(api, user))
    assert second.leads_to == "/console/second-step"


def test_a_link_ends_with_the_next_one_and_with_its_time(
    api: Api, make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
):
    user = make("alice", Role.LEAD)
    earlier, later = once(api, user), once(api, user)
    assert Person(api).fill("/console/sign-in/once", code=earlier).status_code == 401
    monkeypatch.setattr(people, "LINK_LIFETIME", timedelta(seconds=-1))
    over = once(api, user)
    for code in (later, over, ""):
        assert Person(api).fill("/console/sign-in/once", code=code).status_code == 401
    assert "user.link_made" in [row.kind for row in api.baken.store.audit.rows()]


def test_a_link_replaces_whoever_was_signed_in(api: Api, make: Callable[..., User]):
    make("alice", Role.LEAD)
    bob = make("bob", Role.LEAD)
    person = Person(api)
    person.enter()
    before = dict(person.client.cookies)
    person.fill("/console/sign-in/once", code=once(api, bob))

    assert "bob" in person.open(PATH).text
    assert Person(api, cookies=before).open(PATH).headers["location"] == "/console/sign-in"


def test_without_a_password_a_second_device_needs_a_fresh_sign_in(
    api: Api, make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
):
    user = make("alice", Role.LEAD, password=None)
    alice = Person(api)
    alice.fill("/console/sign-in/once", code=once(api, user))
    monkeypatch.setattr(people, "FRESH", timedelta(0))
    set_up(alice)

    assert alice.page.status_code == 422
    assert "You signed in a while ago" in alice.page.text
    path, at = "/console/account/password", PATH
    assert alice.fill(path, at=at, present="", password=GOOD, again=GOOD).headers["location"] == PATH


def change_password(person: Person, **fields: str) -> int:
    return person.fill("/console/account/password", at="/console/account", **fields).status_code


def test_who_forgot_the_password_comes_in_by_a_link_sets_everything_up_and_takes_a_new_one(
    api: Api, make: Callable[..., User]
):
    user = make("alice", Role.LEAD)
    alice = Person(api)
    alice.fill("/console/sign-in/once", code=once(api, user))
    assert 'name="present"' not in alice.open(PATH).text
    secret = set_up(alice)
    assert alice.page.status_code == 200
    page = alice.open("/console/account").text
    assert "You came in by a one-time link" in page
    assert 'name="present"' not in page
    assert change_password(alice, password=OTHER, again=OTHER) == 200

    again = Person(api)
    assert again.enter(password=GOOD).status_code == 401
    again.enter(password=OTHER)
    assert again.leads_to == "/console/second-step"
    code = code_at(secret, datetime.now(UTC) + timedelta(seconds=30))  # the one before is used up
    again.fill("/console/second-step", code=code)
    assert again.leads_to == "/console"


def test_who_has_a_second_factor_proves_it_and_takes_a_new_password_within_minutes(
    api: Api, make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
):
    user = make("alice", Role.LEAD)
    offer = api.baken.people().second_factors.offer(user)
    codes = api.baken.people().second_factors.confirm(user, offer.secret, code_at(offer.secret, datetime.now(UTC)))
    alice = Person(api)
    alice.fill("/console/sign-in/once", code=once(api, user))
    assert alice.open("/console/account").status_code == 303
    alice.fill("/console/second-step", code=codes[0])
    assert alice.leads_to == "/console"
    [session] = [each for each in api.baken.store.sign_ins.of_user(user.id) if each.ended_at is None]
    assert session.method is SignInMethod.ONCE_FACTOR
    with monkeypatch.context() as late:
        late.setattr(people, "FRESH", timedelta(0))
        assert 'name="present"' in alice.open("/console/account").text
        assert change_password(alice, present="", password=OTHER, again=OTHER) == 422
    assert change_password(alice, password=OTHER, again=OTHER) == 200
    other = Person(api)
    other.enter(password=OTHER)
    other.fill("/console/second-step", code=codes[1])
    assert change_password(other, password=GOOD, again=GOOD) == 422  # no link, so the present one is asked for


def test_in_a_browser_the_code_of_a_link_goes_from_the_address_into_the_field(
    site: Site, visit: Callable[..., Visitor]
):
    code = site.baken.people().link_once(site.users["alice"], actor="test")
    visitor = visit()
    page = visitor.open(f"/console/sign-in/once#{code}")

    assert page.locator("input[name=code]").input_value() == code
    assert code not in page.url
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console/cases*")
    assert not any(code in answer.url for answer in visitor.answers)
    assert not any(code in str(answer.request.headers) for answer in visitor.answers)


def test_without_javascript_the_code_is_pasted(site: Site, visit: Callable[..., Visitor]):
    code = site.baken.people().link_once(site.users["bob"], actor="test")
    page = visit(java_script_enabled=False).open(f"/console/sign-in/once#{code}")
    page.locator("input[name=code]").fill(code)
    page.get_by_role("button", name="Sign in").click()

    page.wait_for_url("**/console/cases*")


@pytest.mark.parametrize("path", ["/console/audit", "/console/settings", "/console/users"])
def test_the_pages_of_access_are_within_everybodys_reach(visit: Callable[..., Visitor], path: str):
    visitor = visit("ada")
    visitor.open(path)
    visitor.check_accessibility()
    assert visitor.overflow_px() == 0
    visitor.page.set_viewport_size(PHONE)
    assert visitor.overflow_px() == 0


def test_the_pages_before_a_session_are_too(visit: Callable[..., Visitor]):
    visitor = visit()
    for path in ("/console/sign-in", "/console/sign-in/once"):
        visitor.open(path)
        visitor.check_accessibility()
