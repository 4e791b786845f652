"""The console's pages: signing in, one's own account, the users; for each role, for nobody, and for strangers."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from console_person import FIELD, GOOD, ORIGIN, Person
from web_client import Api, running_app

from baken import assemble
from baken.accounts import Role, User
from baken.assemble import PROVIDER_PATH
from baken.passwords import Passwords
from baken.permissions import Action, actions_of
from baken.second_factor import code_at
from baken.settings import load
from baken.web.console.texts import LANGUAGES

OTHER = "staple of another kind"

PAGES: dict[str, Action | None] = {
    "/console/account": None,
    "/console/account/second-factor": None,
    "/console/users": Action.SEE_USERS,
    "/console/audit": Action.SEE_AUDIT_LOG,
    "/console/settings": Action.CHANGE_SETTINGS,
    "/console/cases": Action.SEE_CASES,
    "/console/search": Action.SEE_CASES,
    "/console/exposure": None,
}
BY_NAME = {
    "/console/accounts": Action.SEE_SCREENINGS,
    "/console/cases/{case_id}": Action.SEE_CASES,
    "/console/cases/{case_id}/items/{item_id}/drawing": Action.SEE_CASES,
    "/console/cases/{case_id}/reveals/{reveal_id}": Action.REVEAL_PICTURES,
}
"""Pages of one thing, which is named in the address; without a name there is nothing."""
CASE_STEPS = [
    "claim",
    "release",
    "heartbeat",
    "hold",
    "resume",
    "note",
    "escalate",
    "reassign",
    "ask-second",
    "decide",
    "undo",
    "reopen",
    "benign",
    "dispute",
]
FORMS: dict[str, Action | None] = {
    "/console/account/password": None,
    "/console/account/sessions": None,
    "/console/account/second-factor": None,
    "/console/account/recovery-codes": None,
    "/console/users": Action.CHANGE_USERS,
    "/console/users/change": Action.CHANGE_USERS,
    "/console/audit/export": Action.EXPORT_AUDIT_LOG,
    "/console/views": Action.SEE_CASES,
    "/console/views/drop": Action.SEE_CASES,
    "/console/cases/bulk": Action.DECIDE_CASES,
    "/console/cases/bulk/summary": Action.DECIDE_CASES,
    "/console/cases/bulk/do": Action.DECIDE_CASES,
    "/console/cases/bulk/undo": Action.DECIDE_CASES,
    "/console/cases/{case_id}/look": Action.REVEAL_PICTURES,
    "/console/cases/{case_id}/reveals/{reveal_id}/hide": Action.REVEAL_PICTURES,
    "/console/exposure/opt-out": None,
    "/console/exposure/lift": Action.LIFT_EXPOSURE_BUDGETS,
    **{f"/console/cases/{{case_id}}/{step}": Action.DECIDE_CASES for step in CASE_STEPS},
}
WAYS_BACK = {
    "/console/account/password": "/console/account",
    "/console/account/sessions": "/console/account",
    "/console/account/recovery-codes": "/console/account",
    "/console/users/change": "/console/users",
    "/console/audit/export": "/console/audit",
    "/console/views": "/console",
    "/console/views/drop": "/console",
    "/console/cases/bulk": "/console/cases",
    "/console/cases/bulk/summary": "/console/cases",
    "/console/cases/bulk/do": "/console/cases",
    "/console/cases/bulk/undo": "/console/cases",
    "/console/cases/{case_id}/look": "/console/cases/{case_id}",
    "/console/cases/{case_id}/reveals/{reveal_id}/hide": "/console/cases/{case_id}",
    "/console/exposure/opt-out": "/console/exposure",
    "/console/exposure/lift": "/console/exposure",
    "/console/sign-out": "/console",
    "/console/language": "/console",
    **{f"/console/cases/{{case_id}}/{step}": "/console/cases/{case_id}" for step in CASE_STEPS},
}
"""Where the addresses of forms lead without a form, for whoever is signed in."""
ASSETS = {"/console/console.css", "/console/baken.js", "/console/htmx.js", "/console/icon.svg"}
OPEN = {
    "/console/sign-in",
    "/console/sign-in/once",
    "/console/second-step",
    "/console/set-up",
    "/console/language",
} | ASSETS


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One application for all tests of this file: starting one costs more than any of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "Passwords", lambda: Passwords(time_cost=1, memory_kib=8, parallelism=1))
        settings = load(
            {},
            data_dir=tmp_path_factory.mktemp("console") / "data",
            decode_processes=1,
            require_second_factor_roles="",  # test_web_second_factor.py has it
        )
        with running_app(assemble.initialise(settings)) as api:
            yield api


@pytest.fixture
def sqlite_api(console: Api) -> Api:
    """The application without any user."""
    with console.baken.store._database.write() as connection:
        for table in ("sessions", "tickets", "recovery_codes", "sign_in_attempts", "users"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    return console


@pytest.fixture
def make(sqlite_api: Api) -> Callable[..., User]:
    def make_user(name: str, *roles: Role) -> User:
        return sqlite_api.baken.people().create(name, roles, password=GOOD, actor="test")

    return make_user


@pytest.fixture
def alice(sqlite_api: Api, make: Callable[..., User]) -> Person:
    """An administrator, signed in."""
    make("alice", Role.ADMIN)
    person = Person(sqlite_api)
    person.enter()
    assert person.leads_to == "/console"
    return person


@pytest.fixture
def over_tls(tmp_path: Path, sqlite_api: Api) -> Iterator[Api]:
    """A console behind a proxy that speaks TLS."""
    del sqlite_api  # while it runs, passwords are cheap
    settings = load(
        {},
        data_dir=tmp_path / "tls",
        console_url="https://baken.test",
        client_address_header="x-forwarded-for",
        require_second_factor_roles="",
    )
    with running_app(assemble.initialise(settings)) as api:
        api.baken.people().create("alice", {Role.ADMIN}, password=GOOD, actor="test")
        yield api


def kinds(api: Api) -> list[str]:
    return [row.kind for row in api.baken.store.audit.rows() if row.kind.startswith("user.")]


def test_every_route_of_the_console_is_named_here(sqlite_api: Api):
    routes = {(method, route.path) for route in sqlite_api.app.routes for method in route.methods or ()}
    console = {(method, path) for method, path in routes if path.startswith("/console") and method != "HEAD"}
    own = {("GET", "/console"), ("POST", "/console/sign-out"), ("POST", "/console/language")}
    own |= {("GET", "/console/provider"), ("GET", PROVIDER_PATH)}  # test_web_provider.py
    named = {("GET", path) for path in [*PAGES, *BY_NAME, *WAYS_BACK]} | {("POST", path) for path in FORMS} | own
    entrance = {(method, path) for method in ("GET", "POST") for path in OPEN} & console

    assert console == named | entrance


def test_nobody_is_led_to_the_entrance_and_learns_nothing(sqlite_api: Api):
    stranger = Person(sqlite_api)
    for method, paths in (("GET", ["/console", *PAGES, *BY_NAME, *WAYS_BACK]), ("POST", [*FORMS, "/console/sign-out"])):
        for path in paths:
            answer = stranger.send(method, path, headers={"authorization": f"Bearer {sqlite_api.secret}"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in"), path
            assert answer.content == b""
    for path in sorted(OPEN - {"/console/language", "/console/second-step"}):
        assert stranger.open(path).status_code == 200
    for path in ("/console/provider", PROVIDER_PATH):  # there is none
        assert stranger.open(path).status_code == 404


def test_the_address_of_a_form_leads_to_its_page(alice: Person):
    for form, page in WAYS_BACK.items():
        names = {"case_id": "case_1%3Fa%0Ab", "reveal_id": "7"}
        answer = alice.open(form.format_map(names))
        assert (answer.status_code, answer.headers["location"]) == (303, page.format_map(names)), form
        assert answer.content == b""


@pytest.mark.parametrize("role", Role)
def test_each_role_opens_exactly_what_it_may(sqlite_api: Api, make: Callable[..., User], role: Role):
    make("alice", role)
    person = Person(sqlite_api)
    person.enter()
    for path, action in PAGES.items():
        allowed = action is None or action in actions_of({role})
        assert person.open(path).status_code == (200 if allowed else 403), path
    for path, action in BY_NAME.items():
        assert person.open(path).status_code == (404 if action in actions_of({role}) else 403), path
    for path, action in FORMS.items():
        allowed = action is None or action in actions_of({role})
        answer = person.fill(path, at="/console/account")
        assert (answer.status_code != 403) is allowed, (path, answer.text)


def test_an_api_is_not_opened_by_a_session_and_the_console_not_by_a_key(sqlite_api: Api, alice: Person):
    assert alice.open("/v1/banks").status_code == 401
    assert alice.open("/docs").status_code == 401
    assert sqlite_api.get("/console/account").status_code == 303


def test_a_wrong_password_says_no_more_than_that(sqlite_api: Api, make: Callable[..., User]):
    make("alice", Role.ADMIN)
    person = Person(sqlite_api)
    known, unknown = person.enter(password=OTHER), person.enter("bob")

    assert known.status_code == unknown.status_code == 401
    assert "Name or password are wrong" in known.text
    hidden = re.compile(r'(name="form_token" value=")[^"]*|name="name" type="text" value="[^"]*"')
    assert hidden.sub("", known.text) == hidden.sub("", unknown.text)
    assert OTHER not in known.text
    # Waits begin with a second and double, so that some attempt comes too early on however slow a machine.
    assert any(person.enter(password=OTHER).status_code == 429 for _ in range(15))


def test_a_second_factor_is_set_up_asked_for_and_replaced_by_a_recovery_code(sqlite_api: Api, alice: Person):
    path = "/console/account/second-factor"
    assert "<svg" in alice.open(path).text
    hidden = dict(FIELD.findall(alice.page.text))
    secret = base64.b32decode(hidden["secret"])
    code = code_at(secret, datetime.now(UTC))
    for wrong in ({"code": "000000", "present": GOOD}, {"code": code, "present": OTHER}):
        refused = alice.send("POST", path, data={**hidden, **wrong}, headers={"origin": ORIGIN})
        assert refused.status_code == 422
    shown = alice.send("POST", path, data={**hidden, "code": code, "present": GOOD}, headers={"origin": ORIGIN})
    codes = re.findall(r"<li><code>([^<]+)</code>", shown.text)
    assert len(codes) == 10

    again = Person(sqlite_api)
    again.enter()
    assert again.leads_to == "/console/second-step"
    assert again.open("/console/account").headers["location"] == "/console/sign-in"  # half a sign-in opens nothing
    assert again.fill("/console/second-step", code=code).status_code == 401  # it was used to set up
    again.fill("/console/second-step", code=codes[0])
    assert again.leads_to == "/console"
    assert again.open("/console/account").status_code == 200
    assert "user.recovery_code_used" in kinds(sqlite_api)


def test_an_invitation_is_made_shown_once_and_used(sqlite_api: Api, alice: Person):
    made = alice.fill("/console/users", name="bob <b>", email="", role=["reviewer", "lead"])
    [code] = re.findall(r"<p><code>([^<]+)</code></p>", made.text)
    assert "bob &lt;b&gt;" in made.text
    assert "<b>" not in made.text
    assert code not in alice.open("/console/users").text

    bob = Person(sqlite_api)
    assert bob.fill("/console/set-up", code=code, password=GOOD, again=OTHER).status_code == 422
    assert bob.fill("/console/set-up", code=code, password=GOOD[:5], again=GOOD[:5]).status_code == 422
    assert bob.fill("/console/set-up", code=code, password=GOOD, again=GOOD).status_code == 200
    assert bob.fill("/console/set-up", code=code, password=GOOD, again=GOOD).status_code == 401
    bob.enter("bob <b>")
    assert bob.leads_to == "/console"


def test_users_are_changed_disabled_and_signed_out(sqlite_api: Api, alice: Person, make: Callable[..., User]):
    bob = make("bob", Role.REVIEWER)
    browser = Person(sqlite_api)
    browser.enter("bob")
    people = sqlite_api.baken.store.people

    def change(user: User, what: str, **fields: object) -> int:
        asked = {"user": user.id, "what": what, **fields}
        return alice.fill("/console/users/change", at="/console/users", **asked).status_code

    assert change(bob, "roles", role=["auditor"]) == 200
    assert people.user(bob.id).roles == {Role.AUDITOR}
    assert browser.open("/console/users").status_code == 200  # what a role gives counts at once
    assert change(bob, "end-sessions") == 200
    assert browser.open("/console/account").status_code == 303
    assert change(bob, "disable") == 200
    assert browser.enter("bob").status_code == 401
    assert change(bob, "invite") == 422
    assert change(bob, "enable") == 200
    assert change(bob, "roles") == 422
    assert change(bob, "nonsense") == 422
    assert change(bob, "link", subject="bob-there") == 422  # with what? there is no provider
    assert "There is no identity provider here to link with." in alice.page.text
    assert "Done." not in alice.page.text
    assert change(people.named("alice"), "disable") == 422
    assert alice.open("/console/users").status_code == 200


def test_a_new_password_needs_the_present_one_and_ends_other_sessions(sqlite_api: Api, alice: Person):
    elsewhere = Person(sqlite_api)
    elsewhere.enter()
    path, at = "/console/account/password", "/console/account"

    assert alice.fill(path, at=at, present=OTHER, password=OTHER, again=OTHER).status_code == 422
    assert elsewhere.open(at).status_code == 200
    assert alice.fill(path, at=at, present=GOOD, password=OTHER, again=OTHER).status_code == 200
    assert elsewhere.open(at).status_code == 303
    assert alice.open(at).status_code == 200


def test_signing_out_ends_the_session_for_whoever_kept_the_cookie(sqlite_api: Api, alice: Person):
    kept = dict(alice.client.cookies)
    alice.fill("/console/sign-out", at="/console/account")
    assert alice.leads_to == "/console/sign-in"

    assert Person(sqlite_api, cookies=kept).open("/console/account").status_code == 303


def test_a_session_that_was_planted_is_not_the_one_that_is_signed_in(sqlite_api: Api, make: Callable[..., User]):
    make("alice", Role.ADMIN)
    victim = Person(sqlite_api, cookies={"baken-session": "planted"})
    victim.enter()

    assert victim.leads_to == "/console"
    assert Person(sqlite_api, cookies={"baken-session": "planted"}).open("/console/account").status_code == 303


@pytest.mark.parametrize("case", ["no token", "token of another browser", "another site", "no origin, other site"])
def test_a_form_from_elsewhere_changes_nothing(sqlite_api: Api, alice: Person, case: str):
    token = dict(FIELD.findall(alice.open("/console/account").text))["form_token"]
    stranger = dict(FIELD.findall(Person(sqlite_api).open("/console/sign-in").text))["form_token"]
    given = {"no token": "", "token of another browser": stranger}.get(case, token)
    headers = {
        "another site": {"origin": "https://evil.example"},
        "no origin, other site": {"sec-fetch-site": "cross-site"},
    }
    answer = alice.send(
        "POST", "/console/sign-out", data={"form_token": given}, headers=headers.get(case, {"origin": ORIGIN})
    )

    assert answer.status_code == 403
    assert alice.open("/console/account").status_code == 200


@pytest.mark.parametrize("text", ["\0", "%00", "é" * 900, "' OR 1=1 --", "<script>alert(1)</script>", "\u202e{{7*7}}"])
def test_whatever_stands_in_a_field_is_an_answer_and_never_a_fault(alice: Person, text: str):
    stranger = Person(alice.api)
    assert stranger.enter(text, text).status_code == 401
    assert "<script>" not in stranger.page.text
    assert "49" not in re.findall(r'name="name" type="text" value="([^"]*)"', stranger.page.text)
    assert stranger.fill("/console/set-up", code=text, password=text, again=text).status_code in {401, 422}
    assert alice.fill("/console/users/change", at="/console/users", user=text, what=text).status_code in {404, 422}
    assert alice.fill("/console/users", name=text, email=text, role=["lead"]).status_code == 422
    assert alice.fill("/console/account/sessions", at="/console/account", session=text).status_code == 404


def test_a_form_that_is_none_or_too_large_is_refused(alice: Person):
    headers = {"origin": ORIGIN}
    assert alice.send("POST", "/console/sign-out", json={}, headers=headers).status_code == 415
    assert alice.send("POST", "/console/sign-out", data={"x": "y" * 20_000}, headers=headers).status_code == 413
    assert (
        alice.send("POST", "/console/sign-out", data={f"x{n}": "" for n in range(300)}, headers=headers).status_code
        == 415
    )


def test_pages_are_sent_with_a_policy_that_runs_our_scripts_alone_and_keeps_no_copy(alice: Person):
    for path in [*PAGES, "/console/set-up", "/console/nothing"]:
        answer = alice.open(path)
        headers = answer.headers
        policy = headers["content-security-policy"].split("; ")
        assert policy[:4] == ["default-src 'none'", "style-src 'self'", "img-src 'self'", "script-src 'self'"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert headers.get_list("referrer-policy") == ["same-origin"]
        assert not re.search(r"<script(?! src=\"/console/)|<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)


def test_cookies_are_kept_from_scripts_other_sites_and_over_tls_from_plain_connections(over_tls: Api, alice: Person):
    plain = [cookie for cookie in alice.client.cookies.jar if cookie.name == "baken-session"]
    assert all(cookie.has_nonstandard_attr("HttpOnly") for cookie in plain)
    person = Person(over_tls, headers={"x-forwarded-for": "203.0.113.9, 198.51.100.4"})
    person.client.base_url = httpx.URL("https://baken.test")
    shown = person.open("/console/sign-in")
    assert shown.headers["strict-transport-security"] == "max-age=31536000"
    token = dict(FIELD.findall(shown.text))["form_token"]
    form = {"form_token": token, "name": "alice", "password": GOOD}
    assert person.send("POST", "/console/sign-in", data=form, headers={"origin": ORIGIN}).status_code == 403
    entered = person.send("POST", "/console/sign-in", data=form, headers={"origin": "https://baken.test"})

    [cookie] = entered.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-baken-session=")
    for attribute in ("HttpOnly", "Path=/", "SameSite=strict", "Secure"):
        assert attribute in cookie
    assert "Domain" not in cookie
    user = over_tls.baken.store.people.named("alice")
    assert over_tls.baken.store.sign_ins.of_user(user.id)[0].address == "198.51.100.4"


def test_no_secret_stands_in_an_address(alice: Person):
    alice.fill("/console/users", name="bob", email="", role=["lead"])
    for path in [*PAGES, "/console/set-up", "/console/second-step"]:
        page = alice.open(path)
        links = re.findall(r'(?:href|action|src)="([^"]+)"', page.text)
        assert all("?" not in re.sub(r"\?v=[0-9a-f]{12}$", "", link) for link in links)
        assert "?" not in page.headers.get("location", "")


def test_errors_are_pages_in_the_console_and_json_elsewhere(sqlite_api: Api, alice: Person):
    missing = alice.open("/console/nothing")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "text/html; charset=utf-8"
    assert missing.headers["x-request-id"] in missing.text
    assert alice.send("DELETE", "/console/account").status_code == 405
    assert sqlite_api.get("/nothing").headers["content-type"] == "application/json"


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_shown_whole(alice: Person, language: str):
    alice.fill("/console/language", at="/console/account", language=language)
    title = {"en": "Users", "nl": "Gebruikers", "fr": "Utilisateurs", "de": "Benutzer"}[language]
    page = alice.open("/console/users").text

    assert f'<html lang="{language}">' in page
    assert f"<h1>{title}</h1>" in page
    assert alice.open("/console/account").status_code == 200
    assert alice.fill("/console/language", at="/console/account", language="xx").status_code == 404
