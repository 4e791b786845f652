"""`POST /v1/lookups`."""

from __future__ import annotations

import hashlib

import pytest
from web_client import OTHER_PDQ, PDQ, Api, assert_error_shape


def flipped(value: str, bits: int) -> str:
    """`value` with its lowest `bits` bits inverted."""
    return f"{int(value, 16) ^ ((1 << bits) - 1):064x}"


def test_answers_come_in_the_order_asked(api: Api) -> None:
    api.make_bank()
    sha256 = hashlib.sha256(b"x").hexdigest()
    pdq_id, digest_id = api.add(PDQ), api.add(sha256, kind="sha256")
    asked = [("md5", "0" * 32), ("pdq", flipped(PDQ, 31)), ("sha256", sha256), ("pdq", OTHER_PDQ)]

    answer = api.post("/v1/lookups", json={"fingerprints": [{"kind": kind, "value": each} for kind, each in asked]})

    said = answer.json()["answers"]
    assert [(each["kind"], each["value"]) for each in said] == asked
    assert [each["finding"] for each in said] == ["clear", "matched", "matched", "clear"]
    assert [[match["entry_id"] for match in each["matches"]] for each in said] == [[], [pdq_id], [digest_id], []]
    assert said[1]["matches"][0]["distance_bits"] == 31
    assert said[1]["verdict"] == "block"


def test_one_bit_beyond_the_radius_is_clear(sqlite_api: Api) -> None:
    sqlite_api.make_bank()
    sqlite_api.add(PDQ)

    assert sqlite_api.lookup(flipped(PDQ, 31))["finding"] == "matched"
    assert sqlite_api.lookup(flipped(PDQ, 32))["finding"] == "clear"


def test_a_benign_entry_suppresses_and_is_named(sqlite_api: Api) -> None:
    sqlite_api.make_bank()
    sqlite_api.make_bank("logos", "benign")
    sqlite_api.add(PDQ)
    benign_id = sqlite_api.add(PDQ, bank="logos")

    said = sqlite_api.lookup(PDQ)

    assert (said["finding"], said["verdict"], said["reason"]) == ("clear", "allow", f"benign:logos/{benign_id}")
    assert [match["bank"] for match in said["suppressed"]] == ["hotline"]


def test_a_crowd_is_counted_and_hides_no_stricter_entry(api: Api) -> None:
    api.make_bank()
    api.make_bank("seen-before", "watch")
    api.add_crowd("seen-before", 200, PDQ)
    known_id = api.add(flipped(PDQ, 5))

    said = api.lookup(PDQ)

    assert (said["verdict"], said["reason"]) == ("block", "matched_known_abuse")
    assert said["matches"][0]["entry_id"] == known_id
    assert (len(said["matches"]), said["match_count"], said["truncated"]) == (100, 201, True)
    clear = api.lookup(OTHER_PDQ)
    assert (clear["match_count"], clear["truncated"]) == (0, False)


def test_lookups_are_recorded_nowhere(sqlite_api: Api) -> None:
    sqlite_api.lookup(PDQ)

    assert sum(sqlite_api.baken.store.screening_counts().values()) == 0


def test_no_fingerprints_give_no_answers(sqlite_api: Api) -> None:
    assert sqlite_api.post("/v1/lookups", json={"fingerprints": []}).json() == {"answers": []}


@pytest.mark.parametrize("count", [1, 64, 65, 200])
def test_many_are_answered_like_one(api: Api, count: int) -> None:
    api.make_bank()
    api.add(PDQ)
    asked = [{"kind": "pdq", "value": PDQ if row % 3 == 0 else OTHER_PDQ} for row in range(count)]

    answers = api.post("/v1/lookups", json={"fingerprints": asked}).json()["answers"]

    assert [each["finding"] for each in answers] == ["matched" if row % 3 == 0 else "clear" for row in range(count)]


def test_one_more_than_allowed_is_refused(api: Api) -> None:
    asked = {"fingerprints": [{"kind": "pdq", "value": PDQ}] * 201}

    assert_error_shape(api.post("/v1/lookups", json=asked), 413, "too_large")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"fingerprints": {}}',
        b'{"fingerprints": [], "more": 1}',
        b'{"fingerprints": [{"kind": "pdq"}]}',
        b'{"fingerprints": [{"kind": "phash", "value": "00"}]}',
        b'{"fingerprints": [{"kind": "pdq", "value": "zz"}]}',
        b'{"fingerprints": [{"kind": "pdq", "value": 5}]}',
        b'{"fingerprints": "\xff"}',
        b'{"fingerprints": [{"kind": "pdq", "value": "\\ud800"}]}',
        b"[" * 100_000,
        b'{"fingerprints": NaN}',
    ],
)
def test_a_body_that_makes_no_sense_is_refused(sqlite_api: Api, body: bytes) -> None:
    answer = sqlite_api.post("/v1/lookups", content=body, headers={"content-type": "application/json; charset=utf-8"})

    assert_error_shape(answer, 422, "invalid_value")
