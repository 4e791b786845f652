"""Uploads that break their decoder: answered, held, recorded, and nobody else notices."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from web_client import Api, ServerProcess, jpeg, running_app

import worker_jobs
from baken import assemble, pipeline
from baken.settings import load


@pytest.fixture
def breaking_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An application whose decoder crashes on one file and hangs on another."""
    monkeypatch.setattr(pipeline, "FileFingerprinter", worker_jobs.CrashingFingerprinter)
    settings = load({}, data_dir=tmp_path / "data", decode_processes=1, decode_timeout_seconds=1)
    with running_app(assemble.initialise(settings)) as running:
        yield running


def test_an_upload_that_crashes_or_hangs_is_held_and_the_next_one_is_screened(breaking_api: Api) -> None:
    for data, why in ((worker_jobs.CRASH, "SIGSEGV"), (worker_jobs.HANG, "within 1 seconds")):
        answer = breaking_api.screen(data)
        assert answer.status_code == 201
        screening = answer.json()
        assert (screening["finding"], screening["verdict"]) == ("unscreenable", "hold")
        assert screening["reason"] == "decoder_failed"
        assert why in answer.text
        assert breaking_api.get(f"/v1/screenings/{screening['id']}").json() == screening
        assert breaking_api.screen(jpeg(1)).json()["finding"] == "clear"
    metrics = breaking_api.get("/metrics").text
    assert 'baken_decoding_processes_total{event="crashed"} 1.0' in metrics
    assert 'baken_decoding_processes_total{event="timed_out"} 1.0' in metrics
    assert 'baken_decoding_processes_total{event="started"} 3.0' in metrics


def test_an_upload_that_crashes_its_decoder_is_still_known_by_its_digest(breaking_api: Api) -> None:
    breaking_api.make_bank()
    breaking_api.add(hashlib.sha256(worker_jobs.CRASH).hexdigest(), kind="sha256")
    assert breaking_api.screen(worker_jobs.CRASH).json()["finding"] == "matched"


def test_where_no_worker_starts_a_picture_is_refused_and_lookups_go_on(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baken.workers_process._BOOT", "import sys; sys.exit(9)")
    assert sqlite_api.screen(jpeg(1)).status_code == 503
    assert sqlite_api.lookup()


def test_each_upload_is_answered_and_recorded_while_workers_are_killed(serve: Callable[..., ServerProcess]) -> None:
    with serve(decode_processes=2) as server, server.client() as client, ThreadPoolExecutor(4) as threads:
        stop = threading.Event()
        killed: set[int] = set()

        def kill_now_and_then() -> None:
            while len(killed) < 5 and not stop.wait(0.3):
                for pid in children_of(server.process.pid) - killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
                    break

        killer = threading.Thread(target=kill_now_and_then)
        killer.start()

        def upload(number: int) -> dict[str, object]:
            answer = client.post(
                "/v1/screenings", content=jpeg(number % 5), headers={"content-type": "image/jpeg"}, timeout=120
            )
            assert answer.status_code == 201, answer.text
            return answer.json()

        screenings = list(threads.map(upload, range(80)))
        stop.set()
        killer.join()
        failed = [each for each in screenings if each["finding"] == "unscreenable"]
        assert killed
        assert len(failed) <= len(killed)
        assert all(each["reason"] == "decoder_failed" for each in failed)
        for each in screenings:
            assert client.get(f"/v1/screenings/{each['id']}").json() == each


def children_of(pid: int) -> set[int]:
    """The processes that a process, in any of its threads, has started and not yet waited for."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int(child) for task in tasks for child in (task / "children").read_text().split()}
