"""`/v1/seen` and `/v1/cases`: what was seen, the cases it led to, and that nobody can ask where a picture is."""

from __future__ import annotations

import time
from typing import Any

import pytest
from web_client import Api, assert_error_shape, jpeg

from baken.model import Scope


def wait_for_cases(api: Api, count: int) -> list[dict[str, Any]]:
    """The cases, once there are so many: the past is asked beside the answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        cases: list[dict[str, Any]] = api.get("/v1/cases").json()["cases"]
        if len(cases) >= count:
            return cases
        time.sleep(0.02)
    raise AssertionError(api.get("/v1/seen").text)


def pdq_of(answer: Any) -> str:  # noqa: ANN401 - a response
    return str(answer.json()["fingerprints"]["pdq"])


def test_an_entry_added_over_http_finds_what_was_screened_before_it(api: Api) -> None:
    api.make_bank()
    seen = api.screen(jpeg(1), params={"item_ref": "upload-1", "account_ref": "account-1"})
    other = api.screen(jpeg(2))
    assert seen.json()["case_id"] is None
    entry_id = api.add(pdq_of(seen))

    [case] = wait_for_cases(api, 1)
    assert (case["item_count"], case["account_count"], case["purpose"], case["state"]) == (1, 1, "known_abuse", "open")
    assert case["entries"] == [{"bank": "hotline", "entry_id": entry_id}]
    read = api.get(f"/v1/cases/{case['id']}").json()
    assert read.pop("points")["total"] >= case.pop("points")["total"]  # it has waited a moment longer
    assert read == case
    [item] = api.get(f"/v1/cases/{case['id']}/items").json()["items"]
    assert (item["item_ref"], item["account_ref"], item["origin"]) == ("upload-1", "account-1", "retroactive")
    assert [match["entry_id"] for match in item["matches"]] == [entry_id]
    assert api.get(f"/v1/screenings/{seen.json()['id']}").json()["case_id"] == case["id"]
    assert api.get(f"/v1/screenings/{other.json()['id']}").json()["case_id"] is None


def test_cases_and_their_items_come_in_pages(api: Api) -> None:
    api.make_bank()
    for number in range(3):
        screened = [api.screen(jpeg(number), params={"item_ref": f"{number}/{copy}"}) for copy in range(3)]
        api.add(pdq_of(screened[0]))
        wait_for_cases(api, number + 1)

    first = api.get("/v1/cases", params={"limit": 2}).json()
    second = api.get("/v1/cases", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert second["next_cursor"] is None
    assert len({case["id"] for case in first["cases"] + second["cases"]}) == 3
    path = f"/v1/cases/{second['cases'][0]['id']}/items"
    page = api.get(path, params={"limit": 2}).json()
    rest = api.get(path, params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [item["item_ref"] for item in page["items"] + rest["items"]] == ["0/0", "0/1", "0/2"]
    assert rest["next_cursor"] is None


def test_what_was_seen_is_counted_listed_clustered_and_forgotten(api: Api) -> None:
    for number, account in ((1, "a"), (1, "b"), (2, "a")):
        assert api.screen(jpeg(number), params={"account_ref": account}).status_code == 201
    assert api.post("/v1/seen/forget", json={"account_ref": "nobody"}).json() == {"forgotten": 0}

    stats = api.get("/v1/seen").json()
    assert (stats["items"], stats["files"], stats["clusters"], stats["waiting_items"]) == (3, 2, 2, 0)
    assert stats["retention_days"] == 90
    assert stats["index_size_bytes"] > 0
    page = api.get("/v1/seen/items", params={"limit": 2}).json()
    rest = api.get("/v1/seen/items", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    items = page["items"] + rest["items"]
    assert sorted(item["account_ref"] for item in items) == ["a", "a", "b"]
    assert all(len(item["fingerprints"]["pdq"]) == 64 for item in items)
    largest = api.get("/v1/seen/clusters", params={"limit": 1}).json()
    smaller = api.get("/v1/seen/clusters", params={"limit": 1, "cursor": largest["next_cursor"]}).json()
    found = [(each["items"], each["accounts"]) for each in largest["clusters"] + smaller["clusters"]]
    assert found == [(2, 2), (1, 1)]
    assert smaller["next_cursor"] is None

    assert api.post("/v1/seen/forget", json={"account_ref": "a"}).json() == {"forgotten": 2}
    assert api.get("/v1/seen").json()["items"] == 1
    assert api.post("/v1/seen/forget", json={"everything": True}).json() == {"forgotten": 1}


@pytest.mark.parametrize(
    "body", [{}, {"item_ref": "a", "account_ref": "b"}, {"everything": False}, {"before": "2026-11-01T00:00:00"}]
)
def test_forgetting_needs_exactly_one_selection(sqlite_api: Api, body: dict[str, object]) -> None:
    assert_error_shape(sqlite_api.post("/v1/seen/forget", json=body), 422, "invalid_value")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/cases/case_none", 404, "not_found"),
        ("/v1/cases/case_none/items", 404, "not_found"),
        ("/v1/cases?cursor=7", 422, "invalid_value"),
        ("/v1/cases/case_none/items?cursor=x", 422, "invalid_value"),
        ("/v1/seen/clusters?cursor=7", 422, "invalid_value"),
        ("/v1/seen/clusters?cursor=1-9999999999999999999", 422, "invalid_value"),
        ("/v1/seen/items?limit=0", 422, "invalid_value"),
    ],
)
def test_wrong_requests_get_the_one_error_shape(sqlite_api: Api, path: str, status: int, code: str) -> None:
    assert_error_shape(sqlite_api.get(path), status, code)


def parameters_of(spec: dict[str, Any], path: str) -> set[str]:
    """The names of what a list can be asked for."""
    return {parameter["name"] for parameter in spec["paths"][path]["get"].get("parameters", [])}


def test_no_route_says_where_a_picture_is(sqlite_api: Api) -> None:
    """What takes a fingerprint or a picture may say what is known of it, and never which items or accounts had it."""
    spec = sqlite_api.get("/openapi.json").json()
    for path in ("/v1/seen", "/v1/seen/items", "/v1/seen/clusters"):
        assert parameters_of(spec, path) <= {"limit", "cursor"}
    of_the_queue = {"state", "purpose", "bank", "awaits", "visibility", "min_items", "min_accounts", "opened_after"}
    assert parameters_of(spec, "/v1/cases") <= {"limit", "cursor", "sort", "escalated", "opened_before"} | of_the_queue
    taken = spec["components"]["schemas"]["Forgetting"]["properties"]
    assert set(taken) == {"item_ref", "account_ref", "before", "everything"}


def test_cases_have_a_scope_of_their_own(sqlite_api: Api) -> None:
    _, secret = sqlite_api.make_key(Scope.CASES)

    assert sqlite_api.get("/v1/cases", key=secret).status_code == 200
    for path in ("/v1/seen", "/v1/seen/items", "/v1/seen/clusters", "/v1/banks"):
        assert_error_shape(sqlite_api.get(path, key=secret), 403, "not_authorised")
