"""Videos by the API: spooled beside the database, decoded in a process of their own, matched by time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from web_client import Api, assert_error_shape

from baken.errors import TooLargeError
from baken.web.bodies import MemoryBudget
from baken.web.errors import OverloadedError
from baken.web.uploads import Collector, UploadBudgets, UploadLimits
from video_files import clip, picture

FILM = clip([(picture(1), 1.0), (picture(2), 1.0)])
VIDEO = {"content-type": "video/mp4"}


def collector(folder: Path, **sizes: int) -> Collector:
    limits = UploadLimits(sizes.get("picture", 1000), sizes.get("video", 1 << 20), folder)
    return Collector(limits, UploadBudgets(MemoryBudget(1 << 20), MemoryBudget(sizes.get("disk", 1 << 20))))


def send(body: Collector, data: bytes, step: int = 4096) -> None:
    for start in range(0, len(data), step):
        body.write(data[start : start + step])


def test_a_video_is_banked_and_found_and_its_frames_are_named(sqlite_api: Api) -> None:
    sqlite_api.make_bank()
    added = sqlite_api.post("/v1/banks/hotline/pictures?source=s", content=FILM, headers=VIDEO)
    assert added.status_code == 201
    again = clip([(picture(7), 2.0), (picture(2), 1.0)], "webm")
    answer = sqlite_api.post("/v1/screenings?item_ref=7", content=again, headers={"content-type": "video/webm"})
    assert answer.status_code == 201
    [match] = answer.json()["matches"]
    assert match["entry_id"] == added.json()["id"]
    assert 2.0 <= match["view"]["time_seconds"] <= 3.0
    form = {"file": ("a.webm", again, "video/webm"), "meta": (None, json.dumps({"item_ref": "8"}), "application/json")}
    assert sqlite_api.post("/v1/screenings", files=form).json()["matches"][0]["view"] == match["view"]
    left = [path for path in sqlite_api.baken.settings.data_dir.iterdir() if path.name.startswith("tmp")]
    assert not left


def test_a_video_is_the_same_request_when_it_is_sent_again(sqlite_api: Api) -> None:
    headers = {**VIDEO, "idempotency-key": "one"}
    first = sqlite_api.post("/v1/screenings", content=FILM, headers=headers)
    second = sqlite_api.post("/v1/screenings", content=FILM, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = sqlite_api.post("/v1/screenings", content=FILM + b"\0", headers=headers)
    assert_error_shape(other, 409, "conflict")


def test_a_video_may_be_larger_than_a_picture_and_lies_on_disk(tmp_path: Path) -> None:
    body = collector(tmp_path, picture=1000)
    send(body, FILM)
    file = body.finish()
    assert not isinstance(file, bytes)
    assert file.read() == FILM
    assert (body.budgets.memory.held_bytes, body.budgets.disk.held_bytes) == (0, len(FILM))
    assert not list(tmp_path.iterdir())  # without a name, nothing is left when the process is killed
    body.release()
    body.release()
    assert body.budgets.disk.held_bytes == 0


@pytest.mark.parametrize("step", [1, 700, 1 << 20])
def test_a_picture_stays_in_memory_and_ends_at_its_own_limit(tmp_path: Path, step: int) -> None:
    body, data = collector(tmp_path, picture=1000), b"\xff\xd8\xff" + bytes(997)
    send(body, data, step)
    assert body.finish() == data
    with pytest.raises(TooLargeError):
        body.write(b"x")
    body.release()
    assert body.budgets.memory.held_bytes == 0


def test_a_large_request_that_is_no_video_is_refused_at_its_first_bytes(tmp_path: Path) -> None:
    body = collector(tmp_path, picture=1000)
    body.announced_bytes = 1 << 20
    with pytest.raises(TooLargeError):
        body.write(bytes(600))


def test_videos_end_at_their_limit_and_at_what_the_disk_may_hold(tmp_path: Path) -> None:
    small = collector(tmp_path, video=20_000)
    with pytest.raises(TooLargeError, match="20000"):
        send(small, FILM)
    full = collector(tmp_path, disk=10_000)
    with pytest.raises(OverloadedError):
        send(full, FILM)
    for body in (small, full):
        body.release()
        assert body.budgets.disk.held_bytes == 0
