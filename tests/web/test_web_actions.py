"""`/v1/actions`, and what `/v1/cases` says of decisions: what the platform does, from a live match to its word."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from web_client import Api, assert_error_shape, jpeg, running_app

from baken import assemble
from baken.accounts import Role, User
from baken.cases import Decision, DecisionKind
from baken.model import Scope
from baken.settings import load


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An application whose decisions are due at once."""
    folder: Path = tmp_path_factory.mktemp("actions")
    settings = load({}, data_dir=folder / "data", decision_undo_seconds=0.0, decode_processes=1)
    with running_app(assemble.initialise(settings)) as running:
        yield running


def reviewer(api: Api) -> User:
    """A person who decides."""
    roles, at = frozenset({Role.REVIEWER}), datetime.now(UTC)
    user = User(f"usr_{secrets.token_hex(8)}", secrets.token_hex(4), None, roles, None, at, None, False, False, 0)
    api.baken.store.people.create(user, password_hash=None, actor="cli:test")
    return user


def live_case(api: Api, number: int) -> dict[str, Any]:
    """The case of an upload that matched."""
    if not api.get("/v1/banks").json()["banks"]:
        api.make_bank()
    api.add(str(api.screen(jpeg(number)).json()["fingerprints"]["pdq"]))
    screened = api.screen(jpeg(number), params={"item_ref": f"upload-{number}", "account_ref": "account-1"}).json()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        case_id = api.get(f"/v1/screenings/{screened['id']}").json()["case_id"]
        if case_id is not None:
            case: dict[str, Any] = api.get(f"/v1/cases/{case_id}").json()
            return case
        time.sleep(0.05)
    raise AssertionError(api.get("/v1/cases").text)


def test_a_live_match_is_a_case_and_its_decision_is_done_by_the_platform(api: Api) -> None:
    case = live_case(api, 1)
    assert (case["state"], case["awaits"], case["decision"]) == ("open", "first", None)
    review, user = api.baken.review(), reviewer(api)
    review.claim(user, case["id"])
    assert api.get(f"/v1/cases/{case['id']}").json()["state"] == "claimed"
    review.decide(user, case["id"], Decision(DecisionKind.CONFIRMED, "the same", "unlawful"))
    decided = api.get(f"/v1/cases/{case['id']}").json()
    assert (decided["state"], decided["awaits"]) == ("decided", None)
    assert (decided["decision"], decided["category"]) == ("confirmed", "unlawful")
    due = [each for each in api.get("/v1/actions").json()["actions"] if each["case_id"] == case["id"]]
    mine = [each for each in due if each["item_ref"] == "upload-1"]
    assert [(each["kind"], each["account_ref"], each["state"]) for each in mine] == [
        ("remove", "account-1", "pending"),
        ("preserve", "account-1", "pending"),
        ("report", "account-1", "pending"),
    ]
    path = f"/v1/actions/{mine[0]['id']}"
    done = api.post(path, json={"state": "done"})
    assert (done.status_code, done.json()["state"]) == (200, "final")
    assert done.json()["done_by"].startswith("key:")
    assert api.post(path, json={"state": "done"}).json() == done.json() == api.get(path).json()
    assert mine[0]["id"] not in [each["id"] for each in api.get("/v1/actions").json()["actions"]]
    for each in due[1:] + due[:1]:
        assert api.post(f"/v1/actions/{each['id']}", json={"state": "done"}).status_code == 200
    events = api.get(f"/v1/cases/{case['id']}/events").json()["events"]
    assert [event["kind"] for event in events][-3:] == ["claimed", "decided", "acted"]
    assert events[-1]["facts"] == {"actions": len(due)}
    page = api.get(f"/v1/cases/{case['id']}/events", params={"limit": 2}).json()
    rest = api.get(f"/v1/cases/{case['id']}/events", params={"cursor": page["next_cursor"]}).json()
    assert page["events"] + rest["events"] == events
    final = api.get("/v1/actions", params={"state": "final", "limit": 2}).json()
    assert (len(final["actions"]), final["next_cursor"]) == (2, str(final["actions"][1]["id"]))


def test_a_first_decision_is_not_read_before_the_second(api: Api) -> None:
    case = live_case(api, 3)
    review, user, other = api.baken.review(), reviewer(api), reviewer(api)
    review.ask_second(user, case["id"], "unsure")
    review.decide(user, case["id"], Decision(DecisionKind.ALLOWED, "may stay"))
    answer = api.get(f"/v1/cases/{case['id']}/events")
    assert answer.json()["events"][-1]["facts"] == {"sealed": True}
    assert "may stay" not in answer.text
    review.decide(other, case["id"], Decision(DecisionKind.ALLOWED, "may stay as well"))
    facts = [event["facts"] for event in api.get(f"/v1/cases/{case['id']}/events").json()["events"]]
    assert [each["reason"] for each in facts if "undo_until" in each] == ["may stay", "may stay as well"]


def test_what_was_undone_cannot_be_done(api: Api) -> None:
    case = live_case(api, 2)
    review, user = api.baken.review(), reviewer(api)
    review.decide(user, case["id"], Decision(DecisionKind.ALLOWED, "may stay"))
    [*_, last] = review.actions(user, case["id"])
    review.reopen(user, case["id"], "a mistake")
    refused = api.post(f"/v1/actions/{last.id}", json={"state": "done"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    cancelled = api.get("/v1/actions", params={"state": "cancelled"}).json()["actions"]
    assert last.id in [each["id"] for each in cancelled]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/actions/999999", None, 404),
        ("POST", "/v1/actions/999999", {"state": "done"}, 404),
        ("POST", "/v1/actions/1", {"state": "undone"}, 422),
        ("POST", "/v1/actions/1", {"state": "done", "more": 1}, 422),
        ("GET", "/v1/actions?state=all", None, 422),
        ("GET", "/v1/actions?cursor=x", None, 422),
        ("GET", "/v1/cases/case_none/events", None, 404),
    ],
)
def test_bad_requests_are_told(api: Api, method: str, path: str, body: object, status: int) -> None:
    answer = api.request(method, path, json=body) if body else api.request(method, path)
    assert answer.status_code == status, answer.text
    assert_error_shape(answer, status, "not_found" if status == 404 else "invalid_value")


def test_actions_are_for_keys_of_the_scope_cases(api: Api) -> None:
    _, screening_only = api.make_key(Scope.SCREEN)
    _, cases = api.make_key(Scope.CASES, name="bob")
    assert api.get("/v1/actions", key=screening_only).status_code == 403
    assert api.get("/v1/actions", key=None).status_code == 401
    assert api.get("/v1/actions", key=cases).status_code == 200


def test_a_bank_says_over_http_whether_decisions_are_followed(api: Api) -> None:
    api.make_bank("switch")
    assert api.get("/v1/banks/switch").json()["follows_decisions"] is True
    changed = api.request("PATCH", "/v1/banks/switch", json={"follows_decisions": False}).json()
    assert changed["follows_decisions"] is False
