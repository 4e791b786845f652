"""`/v1/screenings`: what is taken, what is answered, what is kept."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from web_client import Api, assert_error_shape, jpeg

import baken
from baken.model import Finding, Scope
from baken.web.bodies import MemoryBudget

META = {
    "item_ref": "upload-17",
    "account_ref": "ü-42",
    "album_ref": "a/1",
    "visibility": "locked",
    "caption": "zwei Zeilen\nund 🙂",
    "url": "https://example.org/p?x=1",
}

WHOLE = {
    "kind": "whole",
    "region": {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0, "tilt_degrees": 0.0},
    "frame_number": 0,
    "time_seconds": None,
    "is_over_black": False,
}


def form(data: bytes, meta: object = None) -> dict[str, tuple[str | None, bytes | str, str]]:
    files: dict[str, tuple[str | None, bytes | str, str]] = {"file": ("photo.jpg", data, "image/jpeg")}
    if meta is not None:
        files["meta"] = (None, meta if isinstance(meta, str) else json.dumps(meta), "application/json")
    return files


def test_a_banked_picture_matches_and_the_answer_says_what_was_found(api: Api) -> None:
    data = jpeg(1)
    computed = baken.fingerprint(data)
    assert computed.pdq is not None
    api.make_bank()
    entry_id = api.add(computed.pdq.hex())

    answer = api.screen(data, params={"item_ref": "7"})

    assert answer.status_code == 201
    said = answer.json()
    assert answer.headers["location"] == f"/v1/screenings/{said['id']}"
    assert (said["finding"], said["verdict"], said["reason"]) == ("matched", "block", "matched_known_abuse")
    [match] = said["matches"]
    assert match == {
        "bank": "hotline",
        "purpose": "known_abuse",
        "verdict": "block",
        "entry_id": entry_id,
        "kind": "pdq",
        "distance_bits": 0,
        "transform": "identity",
        "stage": "fingerprint",
        "view": WHOLE,
        "entry_view": WHOLE,
        "similarity": None,
        "evidence": None,
        "frame_shares": None,
    }
    assert said["fingerprints"] == {
        "pdq": computed.pdq.hex(),
        "quality_percent": computed.quality_percent,
        "sha256": computed.sha256.hex(),
        "sha1": computed.sha1.hex(),
        "md5": computed.md5.hex(),
    }
    assert said["case_id"] is None
    assert said["detail"] is None
    assert said["suppressed"] == []
    assert (said["match_count"], said["truncated"]) == (1, False)
    assert said["elapsed_ms"] > 0
    assert said["meta"] == {"item_ref": "7"}


def test_a_crowd_is_kept_as_its_nearest_and_a_count(api: Api) -> None:
    data = jpeg(1)
    computed = baken.fingerprint(data)
    assert computed.pdq is not None
    api.make_bank()
    api.add_crowd("hotline", 200, computed.pdq.hex())

    said = api.screen(data)

    assert (len(said.json()["matches"]), said.json()["match_count"], said.json()["truncated"]) == (100, 200, True)
    again = api.get(said.headers["location"]).json()
    assert {**again, "case_id": None} == said.json()  # its case is made beside the answer, a moment later


def test_a_screening_reads_back_as_it_was_answered(api: Api) -> None:
    said = api.screen(jpeg(2), params=META)

    again = api.get(said.headers["location"])

    assert again.status_code == 200
    assert again.json() == said.json()
    assert said.json()["meta"] == META


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/anything", "application/octet-stream", "IMAGE/PNG; q=1"])
def test_a_raw_body_is_taken_whatever_picture_it_claims_to_be(sqlite_api: Api, content_type: str) -> None:
    answer = sqlite_api.screen(jpeg(3), headers={"content-type": content_type})

    assert answer.status_code == 201
    assert answer.json()["finding"] == "clear"


def test_a_form_with_meta_gives_the_same_as_a_raw_body_with_a_query(sqlite_api: Api) -> None:
    data = jpeg(4)

    raw = sqlite_api.screen(data, params=META).json()
    packed = sqlite_api.post("/v1/screenings", files=form(data, META)).json()

    for key in ("finding", "verdict", "fingerprints", "meta"):
        assert raw[key] == packed[key]


@pytest.mark.parametrize("data", [b"", b"hello", jpeg(5)[:2000], b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_picture_is_unscreenable_with_a_reason_and_recorded(sqlite_api: Api, data: bytes) -> None:
    answer = sqlite_api.screen(data)

    assert answer.status_code == 201
    said = answer.json()
    assert (said["finding"], said["verdict"]) == ("unscreenable", "hold")
    assert said["reason"] in {"empty", "unknown_format", "truncated", "corrupt"}
    assert said["detail"]
    assert said["fingerprints"]["pdq"] is None
    assert sqlite_api.baken.store.screening(said["id"]).outcome.finding is Finding.UNSCREENABLE


def test_an_empty_file_in_a_form_is_empty_too(sqlite_api: Api) -> None:
    assert sqlite_api.post("/v1/screenings", files=form(b"")).json()["reason"] == "empty"


@pytest.mark.parametrize(
    "query",
    [
        "surprise=1",
        "item_ref=a&item_ref=b",
        "item_ref=%ff",
        "item_ref=%ed%a0%80",
        "item_ref=%00",
        "visibility=secret",
        "item_ref=" + "x" * 513,
        "url=" + "x" * 2049,
        "&".join(f"f{number}=1" for number in range(100)),
    ],
)
def test_metadata_in_the_query_that_makes_no_sense_is_refused(sqlite_api: Api, query: str) -> None:
    answer = sqlite_api.post(f"/v1/screenings?{query}", content=jpeg(6), headers={"content-type": "image/jpeg"})

    assert_error_shape(answer, 422, "invalid_value")


@pytest.mark.parametrize(
    "meta",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        '{"surprise": 1}',
        '{"item_ref": 5}',
        '{"item_ref": "\\u0000"}',
        '{"item_ref": "\\ud800"}',
        '{"item_ref": "\\udc00abc"}',
        '{"caption": "' + "x" * 10_001 + '"}',
        "[" * 50_000,
    ],
)
def test_a_meta_part_that_makes_no_sense_is_refused(sqlite_api: Api, meta: str) -> None:
    assert_error_shape(sqlite_api.post("/v1/screenings", files=form(jpeg(6), meta)), 422, "invalid_value")


def test_a_meta_part_that_is_no_utf8_is_refused(sqlite_api: Api) -> None:
    files = {"file": ("a", jpeg(6)), "meta": (None, b'{"item_ref": "\xff\xfe"}')}

    assert_error_shape(sqlite_api.post("/v1/screenings", files=files), 422, "invalid_value")


def test_a_form_without_file_with_two_files_or_with_other_parts_is_refused(sqlite_api: Api) -> None:
    one = ("file", ("a.jpg", jpeg(7)))
    for files in (
        [("meta", (None, "{}"))],
        [one, one],
        [one, ("other", (None, "x"))],
        [one, ("meta", (None, "{}")), ("meta", (None, "{}"))],
    ):
        assert_error_shape(sqlite_api.post("/v1/screenings", files=files), 422, "invalid_value")


def test_a_form_that_ends_early_is_refused(sqlite_api: Api) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    body = b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nhalf a pict'

    assert_error_shape(sqlite_api.post("/v1/screenings", content=body, headers=headers), 422, "invalid_value")


def test_a_form_with_metadata_in_the_query_is_refused_rather_than_half_read(sqlite_api: Api) -> None:
    answer = sqlite_api.post("/v1/screenings?item_ref=1", files=form(jpeg(7)))

    assert_error_shape(answer, 422, "invalid_value")


def test_the_file_limit_holds_inside_a_form(sqlite_api: Api) -> None:
    assert_error_shape(sqlite_api.post("/v1/screenings", files=form(b"x" * 1_000_001)), 413, "too_large")
    assert sqlite_api.post("/v1/screenings", files=form(b"x" * 1_000_000, META)).status_code == 201


def test_a_repeated_idempotency_key_gets_the_first_answer(api: Api) -> None:
    data, headers = jpeg(8), {"idempotency-key": "upload-17"}

    first = api.screen(data, params=META, headers=headers)
    again = api.screen(data, params=META, headers=headers)
    packed = api.post("/v1/screenings", files=form(data, META), headers=headers)

    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    for replayed in (again, packed):
        assert replayed.status_code == 200
        assert replayed.headers["idempotency-replayed"] == "true"
        assert replayed.json() == first.json()
    assert sum(api.baken.store.screening_counts().values()) == 1


def test_an_idempotency_key_with_another_request_is_a_conflict(api: Api) -> None:
    headers = {"idempotency-key": "upload-17"}
    api.screen(jpeg(8), params={"item_ref": "1"}, headers=headers)

    other_picture = api.screen(jpeg(9), params={"item_ref": "1"}, headers=headers)
    other_meta = api.screen(jpeg(8), params={"item_ref": "2"}, headers=headers)

    assert_error_shape(other_picture, 409, "conflict")
    assert_error_shape(other_meta, 409, "conflict")


def test_idempotency_keys_of_two_api_keys_do_not_meet(api: Api) -> None:
    _, bob = api.make_key(Scope.SCREEN, name="bob")
    headers = {"idempotency-key": "same"}

    ours = api.screen(jpeg(8), headers=headers)
    theirs = api.screen(jpeg(9), headers=headers, key=bob)

    assert (ours.status_code, theirs.status_code) == (201, 201)


@pytest.mark.parametrize("token", ["", "x" * 256, "two words", "tab\t", "é"])
def test_an_idempotency_key_that_is_no_token_is_refused(sqlite_api: Api, token: str) -> None:
    answer = sqlite_api.screen(jpeg(8), headers={"idempotency-key": token.encode()})

    assert assert_error_shape(answer, 422, "invalid_value")["fields"] == ["Idempotency-Key"]


def test_a_race_for_one_idempotency_key_has_one_winner(api: Api) -> None:
    data, headers = jpeg(10), {"idempotency-key": "race"}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: api.screen(data, headers=headers), range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(api.baken.store.screening_counts().values()) == 1


@pytest.mark.parametrize("screening_id", ["scr_none", "%00", "%ff", "x" * 5000, "scr_1%2F..%2Fx", "🙂"])
def test_an_unknown_screening_id_is_not_found_and_never_an_error_of_ours(sqlite_api: Api, screening_id: str) -> None:
    answer = sqlite_api.get(f"/v1/screenings/{screening_id}")

    assert answer.status_code in (404, 422)
    assert_error_shape(answer, answer.status_code, answer.json()["error"]["code"])


def test_the_bodies_that_were_held_are_given_back(sqlite_api: Api) -> None:
    budget = sqlite_api.app.state.service.upload_budgets.memory
    sqlite_api.screen(jpeg(1))
    sqlite_api.screen(b"x" * 1_000_001)
    sqlite_api.post("/v1/screenings", files=form(jpeg(1), "{"))

    assert budget.held_bytes == 0


def test_uploads_beyond_the_memory_budget_are_refused_until_some_is_free(sqlite_api: Api) -> None:
    budget = sqlite_api.app.state.service.upload_budgets.memory
    asyncio.run_coroutine_threadsafe(_take(budget, 8_000_000 - 10), sqlite_api.loop).result(timeout=10)
    refused = sqlite_api.screen(jpeg(1))
    budget.give_back(8_000_000 - 10)

    assert_error_shape(refused, 503, "overloaded")
    assert sqlite_api.screen(jpeg(1)).status_code == 201


async def _take(budget: MemoryBudget, size_bytes: int) -> None:
    budget.take(size_bytes)
