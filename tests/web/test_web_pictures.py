"""`POST /v1/banks/{name}/pictures`, and what banks and entries say of what they keep."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from web_client import Api, assert_error_shape, jpeg

from baken import fingerprint
from baken.model import Scope
from baken.samples import draw
from baken.samples_files import encoded

WHERE = "/v1/banks/hotline/pictures"


def add(api: Api, data: bytes, query: str = "source=hotline", **given: object) -> httpx.Response:
    return api.post(f"{WHERE}?{query}", content=data, headers={"content-type": "image/jpeg"}, **given)


def kept_of(said: dict[str, Any]) -> tuple[bool, bool, bool]:
    return said["view_count"] > 0, said["has_vectors"], said["has_keypoints"]


def test_a_picture_is_added_with_what_the_bank_keeps_of_it_and_matches_at_once(api: Api) -> None:
    api.make_bank(keeps_keypoints=True)

    answer = add(api, jpeg(1), "source=a%20hotline&note=case%207&label=7%2F1")

    assert answer.status_code == 201
    said = answer.json()
    assert (said["label"], said["provenance"]["source"], said["provenance"]["note"]) == ("7/1", "a hotline", "case 7")
    assert [each["kind"] for each in said["fingerprints"]] == ["pdq", "sha256", "sha1", "md5"]
    assert (said["view_count"] > 0, said["has_keypoints"]) == (True, True)
    assert api.get(answer.headers["location"]).json() == said
    assert api.screen(jpeg(1)).json()["matches"][0]["entry_id"] == said["id"]
    bank = api.get("/v1/banks/hotline").json()
    assert (bank["kept_counts"]["views"], bank["kept_counts"]["keypoints"]) == (1, 1)


def test_a_picture_that_is_there_is_answered_and_completed(api: Api) -> None:
    api.make_bank(view_set="none")
    first = add(api, jpeg(1))
    api.request("PATCH", "/v1/banks/hotline", json={"view_set": "full", "keeps_keypoints": True})

    again = add(api, jpeg(1))

    assert (first.status_code, again.status_code) == (201, 200)
    assert kept_of(first.json()) == (False, False, False)
    assert again.json()["id"] == first.json()["id"]
    assert (again.json()["view_count"] > 0, again.json()["has_keypoints"]) == (True, True)
    assert len(api.get("/v1/banks/hotline/entries").json()["entries"]) == 1


def test_the_banks_settings_are_read_back_and_changed(api: Api) -> None:
    api.make_bank(view_set="crops", keeps_keypoints=True)
    bank = api.get("/v1/banks/hotline").json()
    assert (bank["view_set"], bank["keeps_keypoints"]) == ("crops", True)
    entry_id = add(api, jpeg(1)).json()["id"]

    changed = api.request("PATCH", "/v1/banks/hotline", json={"keeps_keypoints": False}).json()

    assert (changed["view_set"], changed["keeps_keypoints"]) == ("crops", False)
    counts = api.get("/v1/banks/hotline").json()["kept_counts"]
    assert (counts["views"], counts["keypoints"]) == (1, 0)
    assert not api.get(f"/v1/banks/hotline/entries/{entry_id}").json()["has_keypoints"]


def test_views_may_be_chosen_for_one_picture(sqlite_api: Api) -> None:
    sqlite_api.make_bank()

    none = add(sqlite_api, jpeg(1), "source=s&views=none").json()
    crops = add(sqlite_api, jpeg(2), "source=s&views=crops").json()
    full = add(sqlite_api, jpeg(2), "source=s&views=full").json()

    assert none["view_count"] == 0 < crops["view_count"] < full["view_count"]
    assert full["id"] == crops["id"]


def test_a_file_that_cannot_be_compared_is_added_by_its_digests(sqlite_api: Api) -> None:
    sqlite_api.make_bank()

    said = add(sqlite_api, b"no picture").json()

    assert [each["kind"] for each in said["fingerprints"]] == ["sha256", "sha1", "md5"]
    assert kept_of(said) == (False, False, False)
    assert sqlite_api.screen(b"no picture").json()["matches"]


def test_a_jpeg_is_banked_at_full_size(sqlite_api: Api) -> None:
    sqlite_api.make_bank()
    data = encoded(draw(3, (2400, 1800)), "JPEG")

    said = add(sqlite_api, data).json()

    assert said["fingerprints"][0]["value"] == (fingerprint(data, exact=True).pdq or b"").hex()


@pytest.mark.parametrize(
    ("query", "kind", "data", "error"),
    [
        ("", "image/jpeg", b"x", (422, "invalid_value")),
        ("source=", "image/jpeg", b"x", (422, "invalid_value")),
        ("source=%20", "image/jpeg", b"x", (422, "invalid_value")),
        ("source=a%00", "image/jpeg", b"x", (422, "invalid_value")),
        ("source=s&views=some", "image/jpeg", b"x", (422, "invalid_value")),
        ("source=s&label=" + "x" * 201, "image/jpeg", b"x", (422, "invalid_value")),
        ("source=s", "image/jpeg", b"", (422, "invalid_value")),
        ("source=s", "application/json", b"{}", (415, "unsupported_media_type")),
        ("source=s", "image/jpeg", b"x" * 1_000_001, (413, "too_large")),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    sqlite_api: Api, query: str, kind: str, data: bytes, error: tuple[int, str]
) -> None:
    sqlite_api.make_bank()

    answer = sqlite_api.post(f"{WHERE}?{query}", content=data, headers={"content-type": kind})

    assert_error_shape(answer, *error)
    assert sqlite_api.get("/v1/banks/hotline/entries").json()["entries"] == []


def test_a_bank_that_is_not_there_or_withdrawn_takes_no_picture(sqlite_api: Api) -> None:
    assert_error_shape(add(sqlite_api, jpeg(1)), 404, "not_found")
    sqlite_api.make_bank()
    sqlite_api.post("/v1/banks/hotline/withdraw", json={"reason": "over"})

    assert_error_shape(add(sqlite_api, jpeg(1)), 409, "conflict")


def test_the_scope_banks_is_needed(sqlite_api: Api) -> None:
    sqlite_api.make_bank()
    _, secret = sqlite_api.make_key(Scope.SCREEN)

    assert_error_shape(add(sqlite_api, jpeg(1), key=secret), 403, "not_authorised")


def test_a_lost_key_is_an_error_that_says_so(sqlite_api: Api) -> None:
    sqlite_api.make_bank(keeps_keypoints=True)
    add(sqlite_api, jpeg(1))
    sqlite_api.app.state.service.baken.keeping.sealer.key_path.unlink()

    assert_error_shape(add(sqlite_api, jpeg(2)), 503, "seal_key_missing")
