"""The worker processes: order kept, memory bounded, and no item that takes others with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

import worker_jobs
from baken import samples
from baken.errors import NotReadyError
from baken.images import DecodeLimits
from baken.model import Unscreenable, UnscreenableReason
from baken.samples_files import encoded
from baken.workers import FILES_PER_WORKER, Failure, FileFingerprinter, in_order, read_file


def numbers(limit: int, taken: list[int]) -> Iterator[int]:
    for number in range(limit):
        taken.append(number)
        yield number


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(processes: int):
    results = list(in_order(worker_jobs.slow_first, range(100), processes=processes))
    assert results == [(number, number) for number in range(100)]


def test_the_items_on_their_way_are_bounded_even_behind_a_slow_one():
    taken: list[int] = []
    results = in_order(worker_jobs.slow_first, numbers(10_000, taken), processes=2)
    next(results)
    assert len(taken) < 200
    results.close()


def test_every_process_works_and_none_of_them_is_this_one():
    processes = {pid for _, (_, pid) in in_order(worker_jobs.process_id, range(200), processes=2)}
    assert len(processes) == 2
    assert os.getpid() not in processes


@pytest.mark.parametrize("count", [1, FILES_PER_WORKER])
def test_few_items_are_done_in_one_other_process(count: int):
    results = list(in_order(worker_jobs.process_id, range(count), processes=2))
    pids = {pid for _, (_, pid) in results}
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_no_items_give_no_results():
    assert list(in_order(worker_jobs.process_id, [], processes=2)) == []


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (worker_jobs.crash_on_13, "the decoding process ended by SIGSEGV"),
        (worker_jobs.exit_on_13, "the decoding process ended by exit status 3"),
        (worker_jobs.raise_on_13, "ValueError: thirteen"),
    ],
)
def test_an_item_that_kills_its_worker_costs_itself_alone(job: Callable[[int], int], why: str):
    results = dict(in_order(job, range(60), processes=2))
    assert results.pop(13) == Failure(why)
    assert results == {number: number for number in range(60) if number != 13}


def test_an_item_that_never_ends_is_given_up():
    started = time.monotonic()
    results = dict(in_order(worker_jobs.hang_on_13, range(60), processes=2, timeout_seconds=1))
    assert results.pop(13) == Failure("the decoding process gave no answer within 1 seconds")
    assert results == {number: number for number in range(60) if number != 13}
    assert time.monotonic() - started < 60


def test_a_worker_may_take_longer_to_start_than_an_item_may_take():
    results = dict(in_order(worker_jobs.SlowToStart(), range(20), processes=2, timeout_seconds=0.5))
    assert results == {number: number for number in range(20)}


def test_a_worker_killed_from_outside_loses_at_most_its_own_item():
    killed = 0
    results = {}
    for item, answer in in_order(worker_jobs.process_id, range(300), processes=2):
        results[item] = answer
        if item in {20, 120} and not isinstance(answer, Failure):
            os.kill(answer[1], signal.SIGKILL)
            killed += 1
    failures = [answer for answer in results.values() if isinstance(answer, Failure)]
    assert killed == 2
    assert list(results) == list(range(300))
    assert len(failures) <= killed
    assert all("SIGKILL" in failure.detail for failure in failures)


def test_stopping_takes_no_more_items_and_ends_the_workers():
    seen: list[int] = []
    pids: set[int] = set()
    for item, (_, pid) in in_order(worker_jobs.process_id, count(), processes=2, should_stop=lambda: len(seen) > 50):
        seen.append(item)
        pids.add(pid)
    assert seen == list(range(len(seen)))
    assert len(seen) < 200
    assert not [pid for pid in pids if is_alive(pid)]


def test_a_job_that_no_worker_can_load_is_an_error_and_no_result():
    with pytest.raises(NotReadyError, match="did not start: it ended by exit status 7"):
        list(in_order(worker_jobs.UnstartableJob(), range(20), processes=1))


def test_workers_end_when_their_parent_is_killed():
    script = (
        "import itertools, worker_jobs\n"
        "from baken.workers import in_order\n"
        "for item, (_, pid) in in_order(worker_jobs.process_id, itertools.count(), processes=1):\n"
        "    print(pid, flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    until = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_fifo_in_place_of_a_file_is_unreadable_and_not_waited_for(tmp_path: Path):
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    assert read_file(str(path), 1000) == Unscreenable(UnscreenableReason.UNREADABLE, "not a regular file")


def test_a_file_over_the_limit_is_too_large_and_one_at_the_limit_is_read(tmp_path: Path):
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(1001))
    found = read_file(str(path), 1000)
    assert isinstance(found, Unscreenable)
    assert (found.reason, found.detail) == (UnscreenableReason.TOO_LARGE, "1001 bytes, at most 1000 are read")
    assert read_file(str(path), 1001) == bytes(1001)


def test_a_file_of_a_terabyte_is_too_large_without_being_read(tmp_path: Path):
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    computed = FileFingerprinter(DecodeLimits(max_size_bytes=1 << 20))(str(path)).fingerprints
    assert computed.unscreenable is not None
    assert computed.unscreenable.reason is UnscreenableReason.TOO_LARGE
    assert computed.sha256 == b""


def test_a_missing_file_is_unreadable(tmp_path: Path):
    found = read_file(str(tmp_path / "none.jpg"), 1000)
    assert found == Unscreenable(UnscreenableReason.UNREADABLE, "No such file or directory")


def test_a_picture_gets_the_fingerprints_the_library_gives(tmp_path: Path):
    import baken  # noqa: PLC0415 - the public door, which the worker must agree with

    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(samples.draw(4, (320, 240)), "JPEG"))
    assert FileFingerprinter(exact=True)(str(path)).fingerprints == baken.fingerprint(path)
