"""`/v1/notices`, `PATCH /v1/banks/{name}`, and the flood breaker from upload to decision."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from web_client import PDQ, Api, assert_error_shape

from baken import samples
from baken.flood import FloodFacts
from baken.images import DecodeLimits
from baken.model import Scope
from baken.workers import FileFingerprinter

LIMIT = 4
SIZE_PX = (640, 480)


def copy_of(picture: Image.Image, number: int) -> bytes:
    """The picture as someone else would send it: re-encoded, so that its bytes are new."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95 - number)
    return file.getvalue()


def bank_with_picture(api: Api, picture: Image.Image, **limits: int) -> int:
    """A bank with one entry for the picture: its pdq and the digest of its first copy. The entry's id."""
    api.make_bank("hotline", flood_accounts_per_hour=LIMIT, **limits)
    path = api.baken.settings.data_dir / "banked.jpg"
    path.write_bytes(copy_of(picture, 0))
    computed = FileFingerprinter(DecodeLimits(), 50, exact=True)(str(path)).fingerprints
    assert computed.pdq is not None
    codes = [
        {"kind": "pdq", "value": computed.pdq.hex(), "quality_percent": computed.quality_percent},
        {"kind": "sha256", "value": computed.sha256.hex()},
    ]
    asked = {"provenance": {"source": "test"}, "entries": [{"fingerprints": codes}]}
    [entry_id] = api.post("/v1/banks/hotline/entries", json=asked).json()["entry_ids"]
    return int(entry_id)


def verdict_of(api: Api, picture: Image.Image, number: int, account: str | None = None) -> str:
    params = {} if account is None else {"account_ref": account}
    return str(api.screen(copy_of(picture, number), params=params).json()["verdict"])


def open_notices(api: Api) -> list[dict[str, Any]]:
    return list(api.get("/v1/notices?open_only=true").json()["notices"])


def test_an_entry_that_many_accounts_match_is_quarantined_and_matches_again_when_a_person_resumes_it(api: Api) -> None:
    picture = samples.draw(1, SIZE_PX)
    entry_id = bank_with_picture(api, picture)
    before = [verdict_of(api, picture, 1 + number, f"account-{number}") for number in range(LIMIT + 1)]

    after = verdict_of(api, picture, 1, "account-new")

    assert before == ["block"] * (LIMIT + 1)
    assert after == "allow"
    [notice] = open_notices(api)
    assert (notice["kind"], notice["bank"], notice["entry_id"]) == ("entry_quarantined", "hotline", entry_id)
    assert (notice["facts"]["count"], notice["facts"]["limit"]) == (LIMIT + 1, LIMIT)
    assert notice["reason"] == api.get(f"/v1/banks/hotline/entries/{entry_id}").json()["state_reason"]
    assert api.get(f"/v1/notices/{notice['id']}").json() == notice
    assert 'baken_notices_open{kind="entry_quarantined"} 1.0' in api.get("/metrics").text
    assert api.get("/v1/banks/hotline").json()["entry_counts"]["quarantined"] == 1

    resumed = api.post(f"/v1/banks/hotline/entries/{entry_id}/resume", json={"reason": "it is right"})

    assert resumed.json()["state"] == "active"
    assert verdict_of(api, picture, 1, "account-newer") == "block"
    assert verdict_of(api, picture, 2, "account-newest") == "block"
    assert open_notices(api) == []
    [resolved] = api.get("/v1/notices").json()["notices"]
    assert resolved["resolved_by"].startswith("key:")
    assert 'baken_notices_open{kind="entry_quarantined"} 0.0' in api.get("/metrics").text


def test_one_account_and_exact_copies_switch_nothing_off(api: Api) -> None:
    picture = samples.draw(2, SIZE_PX)
    bank_with_picture(api, picture)

    altered = [verdict_of(api, picture, 1 + number, "mallory") for number in range(LIMIT + 2)]
    exact = [verdict_of(api, picture, 0, f"account-{number}") for number in range(LIMIT + 2)]

    assert set(altered + exact) == {"block"}
    assert open_notices(api) == []


def test_withdrawing_a_quarantined_entry_resolves_its_notice(api: Api) -> None:
    picture = samples.draw(3, SIZE_PX)
    entry_id = bank_with_picture(api, picture)
    for number in range(LIMIT + 1):
        verdict_of(api, picture, 1 + number, f"account-{number}")

    api.post("/v1/banks/hotline/entries/withdraw", json={"entry_ids": [entry_id], "reason": "a meme"})

    assert open_notices(api) == []
    assert verdict_of(api, picture, 0) == "allow"


def test_a_changed_bank_counts_on_the_very_next_request(api: Api) -> None:
    api.make_bank()
    api.add(PDQ)
    near = f"{int(PDQ, 16) ^ 0xFF:064x}"
    assert api.lookup(near)["verdict"] == "block"

    held = api.request("PATCH", "/v1/banks/hotline", json={"verdict": "hold", "reason": "a trial"}).json()
    assert (held["verdict"], held["radius_bits"], held["flood_factor"]) == ("hold", 31, 10)
    assert api.lookup(near)["verdict"] == "hold"

    asked = {"radius_bits": 7, "flood_accounts_per_hour": 0, "flood_factor": 3}
    changed = api.request("PATCH", "/v1/banks/hotline", json=asked).json()
    assert {name: changed[name] for name in asked} == asked
    assert api.lookup(near)["finding"] == "clear"
    assert api.lookup(PDQ)["finding"] == "matched"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "wrong_use"),
        ({"reason": "only talk"}, "wrong_use"),
        ({"radius_bits": 65}, "invalid_value"),
        ({"flood_accounts_per_hour": -1}, "invalid_value"),
        ({"flood_factor": 0}, "invalid_value"),
        ({"verdict": "maybe"}, "invalid_value"),
        ({"name": "other"}, "invalid_value"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(sqlite_api: Api, asked: dict[str, object], code: str) -> None:
    sqlite_api.make_bank()
    before = sqlite_api.get("/v1/banks/hotline").json()

    assert_error_shape(sqlite_api.request("PATCH", "/v1/banks/hotline", json=asked), 422, code)

    assert sqlite_api.get("/v1/banks/hotline").json() == before


def test_a_change_keeps_to_the_banks_purpose_and_state(sqlite_api: Api) -> None:
    sqlite_api.make_bank("own", "own_photo")
    sqlite_api.make_bank("fine", "benign")

    for name, verdict in (("own", "block"), ("fine", "hold")):
        answer = sqlite_api.request("PATCH", f"/v1/banks/{name}", json={"verdict": verdict})
        assert_error_shape(answer, 422, "invalid_value")
    sqlite_api.post("/v1/banks/own/withdraw", json={"reason": "over"})
    gone = sqlite_api.request("PATCH", "/v1/banks/own", json={"radius_bits": 3})
    assert_error_shape(gone, 409, "conflict")
    assert_error_shape(sqlite_api.request("PATCH", "/v1/banks/none", json={"radius_bits": 3}), 404, "not_found")


def test_notices_are_listed_in_pages_and_read_with_the_scope_banks(api: Api) -> None:
    _, secret = api.make_key(Scope.BANKS)
    _, other = api.make_key(Scope.SCREEN, Scope.LOOKUP)
    api.make_bank()
    for number in range(5):
        entry_id = api.add(f"{number:064x}")
        api.baken.store.quarantine_entry(entry_id, facts=FloodFacts(counted="stored items", count=2, limit=1))

    first = api.get("/v1/notices?limit=3", key=secret).json()
    second = api.get(f"/v1/notices?limit=3&cursor={first['next_cursor']}", key=secret).json()

    assert [each["entry_id"] for each in first["notices"] + second["notices"]] == [1, 2, 3, 4, 5]
    assert second["next_cursor"] is None
    for path in ("/v1/notices", "/v1/notices/1"):
        assert_error_shape(api.get(path, key=other), 403, "not_authorised")
    assert_error_shape(api.get("/v1/notices/77", key=secret), 404, "not_found")
    assert_error_shape(api.get("/v1/notices?cursor=x", key=secret), 422, "invalid_value")
