"""Altered copies over HTTP: banked, screened, named, checked, drawn and counted."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from web_client import Api, assert_error_shape

from altered_files import captioned, cropped, drawn, jpeg, png

MIDDLE = (0.05, 0.05, 0.95, 0.95)


@pytest.fixture
def banked(api: Api) -> Api:
    """The application on each database, with three drawn pictures banked over HTTP, keypoints included."""
    made = {"name": "known", "purpose": "known_abuse", "keeps_keypoints": True}
    assert api.post("/v1/banks", json=made).status_code == 201
    for seed in (101, 102, 103):
        answer = api.post(
            "/v1/banks/known/pictures?source=test", content=png(drawn(seed)), headers={"content-type": "image/png"}
        )
        assert answer.status_code == 201, answer.text
    return api


def screened(api: Api, data: bytes) -> dict[str, object]:
    answer = api.post("/v1/screenings", content=data, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 201, answer.text
    said: dict[str, object] = answer.json()
    again = api.get(f"/v1/screenings/{said['id']}").json()
    assert {**again, "case_id": None} == said  # its case is made beside the answer, a moment later
    return said


def test_a_captioned_crop_is_matched_with_its_views_evidence_and_drawing(banked: Api):
    said = screened(banked, jpeg(captioned(cropped(drawn(102), *MIDDLE))))
    assert (said["finding"], said["verdict"], said["reason"]) == ("matched", "block", "matched_known_abuse")
    [match] = said["matches"]  # type: ignore[misc]
    assert (match["entry_id"], match["stage"], match["transform"]) == (2, "views", "identity")
    assert match["view"]["kind"] == "caption_cut"
    assert match["view"]["region"]["top"] == pytest.approx(1 / 6, abs=0.05)
    assert match["entry_view"]["kind"] == "cropped"
    evidence = match["evidence"]
    assert evidence["is_same"]
    assert evidence["inlier_count"] > 15
    assert 0.7 < evidence["overlap_fraction"] < 0.9
    assert len(evidence["corners"]) == 4

    drawing = banked.get(f"/v1/screenings/{said['id']}/matches/0/overlay.svg")
    assert (drawing.status_code, drawing.headers["content-type"]) == (200, "image/svg+xml")
    policy = drawing.headers["content-security-policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    assert ET.fromstring(drawing.text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own drawing

    metrics = banked.get("/metrics").text
    assert 'baken_matches_total{checked="same",stage="views"} 1.0' in metrics
    assert "baken_candidates_checked_total 1.0" in metrics


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("matches/1/overlay.svg", 404, "not_found"),
        ("matches/-1/overlay.svg", 422, "invalid_value"),
        ("matches/x/overlay.svg", 422, "invalid_value"),
    ],
)
def test_a_match_that_is_not_there_has_no_drawing(banked: Api, path: str, status: int, code: str):
    said = screened(banked, jpeg(drawn(102)))
    assert_error_shape(banked.get(f"/v1/screenings/{said['id']}/{path}"), status, code)
    assert_error_shape(banked.get("/v1/screenings/scr_00/matches/0/overlay.svg"), 404, "not_found")


def test_an_entry_of_a_list_is_drawn_too(api: Api):
    whole = screened(api, jpeg(drawn(101)))
    pdq = whole["fingerprints"]["pdq"]  # type: ignore[index]
    assert api.post("/v1/banks", json={"name": "list", "purpose": "known_abuse"}).status_code == 201
    entries = {"provenance": {"source": "a list"}, "entries": [{"fingerprints": [{"kind": "pdq", "value": pdq}]}]}
    assert api.post("/v1/banks/list/entries", json=entries).status_code == 201
    said = screened(api, jpeg(captioned(drawn(101))))
    [match] = said["matches"]  # type: ignore[misc]
    assert (match["stage"], match["entry_view"]["kind"], match["evidence"]) == ("views", "whole", None)
    drawing = api.get(f"/v1/screenings/{said['id']}/matches/0/overlay.svg")
    assert (drawing.status_code, drawing.text[:5]) == (200, "<svg ")


def test_a_lookup_of_a_crops_pdq_finds_the_banked_view(banked: Api):
    crop = screened(banked, jpeg(cropped(drawn(103), *MIDDLE)))
    asked = {"fingerprints": [{"kind": "pdq", "value": crop["fingerprints"]["pdq"]}]}  # type: ignore[index]
    [answer] = banked.post("/v1/lookups", json=asked).json()["answers"]
    [match] = answer["matches"]
    assert (answer["verdict"], match["entry_id"], match["stage"]) == ("hold", 3, "views")
    assert match["entry_view"]["region"]["left"] == pytest.approx(0.05, abs=0.06)
