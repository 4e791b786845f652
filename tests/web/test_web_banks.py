"""`/v1/banks` and their entries."""

from __future__ import annotations

from typing import Any

import pytest
from web_client import OTHER_PDQ, PDQ, Api, assert_error_shape

from baken.model import Scope


def entries_of(api: Api, query: str = "") -> dict[str, Any]:
    answer = api.get(f"/v1/banks/hotline/entries{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_bank_is_created_with_the_defaults_of_its_purpose(api: Api) -> None:
    answer = api.post("/v1/banks", json={"name": "hotline", "purpose": "known_abuse", "reason": "contract 17"})

    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/banks/hotline"
    said = answer.json()
    assert (said["radius_bits"], said["verdict"], said["state"]) == (31, "block", "active")
    assert said["reason"] == "contract 17"
    read = api.get("/v1/banks/hotline").json()
    assert read.pop("entry_counts") == {"active": 0, "paused": 0, "quarantined": 0, "withdrawn": 0}
    assert read.pop("kept_counts") == {"views": 0, "vectors": 0, "keypoints": 0}
    assert read == said


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "", "purpose": "watch"}, None),
        ({"name": "a b", "purpose": "watch"}, None),
        ({"name": "x" * 101, "purpose": "watch"}, "name"),
        ({"name": "a\0", "purpose": "watch"}, None),
        ({"name": "a", "purpose": "other"}, "purpose"),
        ({"name": "a", "purpose": "watch", "radius_bits": 65}, "radius_bits"),
        ({"name": "a", "purpose": "watch", "radius_bits": -1}, "radius_bits"),
        ({"name": "a", "purpose": "watch", "radius_bits": 3.5}, "radius_bits"),
        ({"name": "a", "purpose": "watch", "radius_bits": 10**30}, None),
        ({"name": "a", "purpose": "own_photo", "verdict": "block"}, None),
        ({"name": "a", "purpose": "watch", "surprise": True}, None),
        ({"purpose": "watch"}, None),
    ],
)
def test_a_bank_that_makes_no_sense_is_refused(sqlite_api: Api, given: dict[str, object], field: str | None) -> None:
    error = assert_error_shape(sqlite_api.post("/v1/banks", json=given), 422, "invalid_value")

    if field is not None:
        assert error["fields"] == [field]
    assert sqlite_api.get("/v1/banks").json()["banks"] == []


def test_banks_are_listed_in_pages(api: Api) -> None:
    for number in range(5):
        api.make_bank(f"bank-{number}", "watch")
    api.post("/v1/banks/bank-3/withdraw", json={"reason": "over"})

    first = api.get("/v1/banks?limit=2").json()
    second = api.get(f"/v1/banks?limit=2&cursor={first['next_cursor']}").json()
    everything = api.get("/v1/banks?include_withdrawn=true").json()

    assert [bank["name"] for bank in first["banks"]] == ["bank-0", "bank-1"]
    assert [bank["name"] for bank in second["banks"]] == ["bank-2", "bank-4"]
    assert second["next_cursor"] is None
    assert len(everything["banks"]) == 5


def test_a_paused_bank_stops_counting_on_the_very_next_request_and_a_resumed_one_counts(api: Api) -> None:
    api.make_bank()
    api.add(PDQ)
    assert api.lookup()["finding"] == "matched"

    paused = api.post("/v1/banks/hotline/pause", json={"reason": "under review"})
    assert (paused.json()["state"], paused.json()["reason"]) == ("paused", "under review")
    assert api.lookup()["finding"] == "clear"

    assert api.post("/v1/banks/hotline/resume", json={}).json()["state"] == "active"
    assert api.lookup()["finding"] == "matched"

    assert api.post("/v1/banks/hotline/withdraw", json={"reason": "over"}).json()["state"] == "withdrawn"
    assert api.lookup()["finding"] == "clear"
    assert_error_shape(api.post("/v1/banks/hotline/resume", json={}), 409, "conflict")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " \n"}, {"reason": "\0"}, {"reason": None}])
@pytest.mark.parametrize("path", ["pause", "withdraw", "entries/1/pause", "entries/1/withdraw"])
def test_pausing_and_withdrawing_need_a_reason(sqlite_api: Api, path: str, body: dict[str, object]) -> None:
    sqlite_api.make_bank()
    sqlite_api.add(PDQ)

    assert_error_shape(sqlite_api.post(f"/v1/banks/hotline/{path}", json=body), 422, "invalid_value")
    assert sqlite_api.lookup()["finding"] == "matched"


def test_an_entry_keeps_who_added_it_from_where_and_why(api: Api) -> None:
    key, secret = api.make_key(Scope.BANKS)
    api.make_bank()
    asked = {
        "provenance": {"source": "hotline", "note": "list 3"},
        "entries": [
            {"fingerprints": [{"kind": "pdq", "value": PDQ.upper(), "quality_percent": 90}], "label": "17/3"},
            {"fingerprints": [{"kind": "md5", "value": "ab" * 16}, {"kind": "sha1", "value": "cd" * 20}]},
        ],
    }

    added = api.post("/v1/banks/hotline/entries", json=asked, key=secret)

    assert added.status_code == 201
    first, second = (api.get(f"/v1/banks/hotline/entries/{each}").json() for each in added.json()["entry_ids"])
    assert first["provenance"] == {"source": "hotline", "added_by": f"key:{key.id}", "note": "list 3"}
    assert first["fingerprints"] == [{"kind": "pdq", "value": PDQ, "quality_percent": 90}]
    assert (first["label"], first["state"], first["bank"]) == ("17/3", "active", "hotline")
    assert [each["kind"] for each in second["fingerprints"]] == ["sha1", "md5"]


def test_an_added_and_a_withdrawn_entry_count_on_the_very_next_request(api: Api) -> None:
    api.make_bank()
    assert api.lookup()["finding"] == "clear"

    entry_id = api.add(PDQ)
    assert api.lookup()["finding"] == "matched"

    withdrawn = api.post(f"/v1/banks/hotline/entries/{entry_id}/withdraw", json={"reason": "wrong picture"})
    assert (withdrawn.json()["state"], withdrawn.json()["state_reason"]) == ("withdrawn", "wrong picture")
    assert api.lookup()["finding"] == "clear"


def test_a_paused_entry_stops_counting_and_a_resumed_one_counts(api: Api) -> None:
    api.make_bank()
    entry_id = api.add(PDQ)

    api.post(f"/v1/banks/hotline/entries/{entry_id}/pause", json={"reason": "doubt"})
    assert api.lookup()["finding"] == "clear"

    api.post(f"/v1/banks/hotline/entries/{entry_id}/resume", json={"reason": "no doubt"})
    assert api.lookup()["finding"] == "matched"


def test_many_entries_are_withdrawn_at_once_or_none_is(api: Api) -> None:
    api.make_bank()
    ids = [api.add(value) for value in (PDQ, OTHER_PDQ)]
    path = "/v1/banks/hotline/entries/withdraw"

    assert_error_shape(api.post(path, json={"entry_ids": [*ids, 999], "reason": "x"}), 404, "not_found")
    assert api.lookup()["finding"] == "matched"

    assert api.post(path, json={"entry_ids": ids * 2, "reason": "x"}).json() == {"withdrawn": 2}
    assert api.lookup()["finding"] == "clear"
    assert api.post(path, json={"entry_ids": ids, "reason": "again"}).json() == {"withdrawn": 0}


def test_entries_are_listed_in_pages_and_by_state(api: Api) -> None:
    api.make_bank()
    ids = [api.add(f"{number:064x}") for number in range(5)]
    api.post(f"/v1/banks/hotline/entries/{ids[1]}/pause", json={"reason": "doubt"})

    first = entries_of(api, "?limit=3")
    second = entries_of(api, f"?limit=3&cursor={first['next_cursor']}")
    paused = entries_of(api, "?state=paused")

    assert [each["id"] for each in first["entries"] + second["entries"]] == ids
    assert second["next_cursor"] is None
    assert [each["id"] for each in paused["entries"]] == [ids[1]]


GOOD = {"fingerprints": [{"kind": "pdq", "value": OTHER_PDQ}]}


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"fingerprints": []}, "entries[1].fingerprints"),
        ({"fingerprints": [{"kind": "pdq", "value": "00"}]}, "entries[1].fingerprints[0].value"),
        ({"fingerprints": [{"kind": "pdq", "value": PDQ, "quality_percent": 101}]}, None),
        (
            {"fingerprints": [{"kind": "pdq", "value": PDQ, "quality_percent": 49}]},
            "entries[1].fingerprints[0].quality_percent",
        ),
        (
            {"fingerprints": [{"kind": "pdq", "value": PDQ}, {"kind": "pdq", "value": OTHER_PDQ}]},
            "entries[1].fingerprints",
        ),
        ({"fingerprints": [{"kind": "pdq", "value": PDQ}], "label": "\0"}, None),
        ({"fingerprints": [{"kind": "pdq", "value": PDQ}], "label": "x" * 201}, None),
        ({"fingerprints": [{"kind": "pdq", "value": PDQ}], "surprise": 1}, None),
    ],
)
def test_one_wrong_entry_is_named_and_nothing_is_added(
    sqlite_api: Api, entry: dict[str, object], field: str | None
) -> None:
    sqlite_api.make_bank()
    asked = {"provenance": {"source": "test"}, "entries": [GOOD, entry]}

    error = assert_error_shape(sqlite_api.post("/v1/banks/hotline/entries", json=asked), 422, "invalid_value")

    if field is not None:
        assert error["fields"] == [field]
    assert entries_of(sqlite_api)["entries"] == []


def test_bulk_additions_are_bounded(api: Api) -> None:
    api.make_bank()
    fits = {"provenance": {"source": "test"}, "entries": [GOOD] * 100}
    too_many = {"provenance": {"source": "test"}, "entries": [GOOD] * 101}

    assert len(api.post("/v1/banks/hotline/entries", json=fits).json()["entry_ids"]) == 100
    assert_error_shape(api.post("/v1/banks/hotline/entries", json=too_many), 413, "too_large")


@pytest.mark.parametrize("name", ["nowhere", "%00", "%ff", "x" * 300, "..", "'; --", "🙂"])
def test_odd_bank_names_are_not_found_and_never_an_error_of_ours(api: Api, name: str) -> None:
    for answer in (
        api.get(f"/v1/banks/{name}"),
        api.get(f"/v1/banks/{name}/entries"),
        api.post(f"/v1/banks/{name}/pause", json={"reason": "x"}),
        api.post(f"/v1/banks/{name}/entries", json={"provenance": {"source": "x"}, "entries": [GOOD]}),
    ):
        assert answer.status_code in (404, 405, 422)


@pytest.mark.parametrize("cursor", ["-1", "x", "1e3", "9" * 30, "%00", "٣", "1" * 65])
def test_a_cursor_that_no_list_gave_is_refused(sqlite_api: Api, cursor: str) -> None:
    sqlite_api.make_bank()

    assert_error_shape(sqlite_api.get(f"/v1/banks?cursor={cursor}"), 422, "invalid_value")
    assert_error_shape(sqlite_api.get(f"/v1/banks/hotline/entries?cursor={cursor}"), 422, "invalid_value")


def test_entries_that_are_there_already_are_answered_and_not_doubled(api: Api) -> None:
    api.make_bank()
    asked = {
        "provenance": {"source": "test"},
        "entries": [
            {"fingerprints": [{"kind": "pdq", "value": PDQ}, {"kind": "md5", "value": "ab" * 16}]},
            {"fingerprints": [{"kind": "pdq", "value": OTHER_PDQ}]},
        ],
    }
    first = api.post("/v1/banks/hotline/entries", json=asked).json()
    api.post(f"/v1/banks/hotline/entries/{first['entry_ids'][1]}/pause", json={"reason": "looking"})
    asked["entries"].append({"fingerprints": [{"kind": "md5", "value": "cd" * 16}]})

    again = api.post("/v1/banks/hotline/entries", json=asked)

    assert (again.status_code, first["added_count"], again.json()["added_count"]) == (201, 2, 1)
    assert again.json()["entry_ids"][:2] == first["entry_ids"]
    assert len(entries_of(api)["entries"]) == 3
    assert api.lookup(OTHER_PDQ)["finding"] == "clear"


def test_a_withdrawn_entry_is_added_anew(api: Api) -> None:
    api.make_bank()
    first = api.add(PDQ)
    api.post(f"/v1/banks/hotline/entries/{first}/withdraw", json={"reason": "a mistake"})

    second = api.add(PDQ)

    assert second != first
    assert api.lookup(PDQ)["finding"] == "matched"
