"""The pool: any number of threads ask it, any worker may die at any moment, and every file gets its answer."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import worker_jobs
from baken import samples, workers_pool
from baken.errors import NotReadyError
from baken.model import UnscreenableReason
from baken.samples_files import encoded
from baken.workers import FileFingerprinter, FileResult, in_order, without_picture
from baken.workers_answers import AnswerDecoder, encode
from baken.workers_orders import MOST_JOBS
from baken.workers_pool import Failure, WorkerPool
from baken.workers_process import Loss, WorkerLost, WorkerProcess


def test_every_thread_gets_its_own_answer():
    with WorkerPool(2) as pool, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: pool.run(worker_jobs.process_id, number), range(200)))
    assert [number for number, _ in answers] == list(range(200))
    assert len({pid for _, pid in answers}) == 2
    assert pool.pids() == []


def test_workers_killed_at_any_moment_cost_at_most_the_file_they_were_at():
    rng, stop = random.Random(20180415), threading.Event()  # noqa: S311 - test data, not secrets
    data = encoded(samples.draw(4, (320, 240)), "JPEG")
    job = FileFingerprinter()
    truth = job(data).fingerprints
    with WorkerPool(2) as pool, ThreadPoolExecutor(4) as threads:
        pool.refused()

        def kill_now_and_then() -> None:
            for _ in range(6):
                stop.wait(rng.random() * 0.3)
                pids = pool.pids()
                if pids:
                    with suppress(ProcessLookupError):  # that ended meanwhile and was replaced
                        os.kill(rng.choice(pids), signal.SIGKILL)

        killer = threading.Thread(target=kill_now_and_then)
        killer.start()
        answers = [pool.run(job, data) for _ in range(3)] + list(threads.map(lambda _: pool.run(job, data), range(150)))
        killer.join()
        answers.append(pool.run(job, data))
    failed = [each for each in answers if isinstance(each, Failure)]
    assert len(answers) == 154
    assert len(failed) <= 6
    assert all(each.detail == "the decoding process ended by SIGKILL" for each in failed)
    assert all(each.fingerprints == truth for each in answers if isinstance(each, FileResult))
    assert isinstance(answers[-1], FileResult)


def test_a_worker_answers_more_jobs_than_it_keeps():
    jobs = [worker_jobs.Adding(number) for number in range(2 * MOST_JOBS + 3)]
    with WorkerPool(1) as pool:
        for asked in (jobs, jobs, list(reversed(jobs)), jobs[:2] * 3):
            assert [pool.run(job, 1000) for job in asked] == [1000 + job.number for job in asked]
        assert pool.counts["started"] == 1


def test_jobs_with_parts_of_their_arguments_answer_what_each_promises():
    with WorkerPool(1) as pool:
        assert isinstance(pool.run(partial(worker_jobs.pid_with_memory, size_bytes=1), 0), int)
        assert pool.run(partial(worker_jobs.size_and_process_id), b"four")[0] == 4


def test_a_file_behind_one_that_hangs_is_not_kept_waiting():
    with WorkerPool(2, timeout_seconds=3) as pool, ThreadPoolExecutor(1) as threads:
        pool.refused()
        hanging = threads.submit(pool.run, worker_jobs.sleep_on_0, 0)
        pids = {pool.run(worker_jobs.sleep_on_0, number) for number in range(1, 20)}
        assert not hanging.done()
        assert len(pids) == 1
        assert hanging.result() == Failure("the decoding process gave no answer within 3 seconds")
        assert isinstance(pool.run(worker_jobs.sleep_on_0, 1), int)
        assert pool.counts["timed_out"] == 1


def test_a_worker_killed_while_idle_costs_nothing():
    with WorkerPool(1) as pool:
        _, pid = pool.run(worker_jobs.process_id, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        answer = pool.run(worker_jobs.process_id, 2)
        assert not isinstance(answer, Failure)
        assert answer[1] != pid


@pytest.mark.parametrize("size", [1, 8 << 20])
def test_a_worker_killed_before_it_read_the_file_costs_nothing(size: int):
    with WorkerPool(1) as pool, ThreadPoolExecutor(1) as threads:
        first = pool.run(worker_jobs.size_and_process_id, b"a")
        assert not isinstance(first, Failure)
        os.kill(first[1], signal.SIGSTOP)
        asked = threads.submit(pool.run, worker_jobs.size_and_process_id, bytes(size))
        _wait_until(lambda: _unread_bytes(pool) > 0)
        os.kill(first[1], signal.SIGKILL)
        answer = asked.result()
        assert not isinstance(answer, Failure)
        assert answer[0] == size
        assert answer[1] != first[1]
        assert pool.counts["crashed"] == 1


def test_a_file_is_not_handed_over_for_ever(monkeypatch: pytest.MonkeyPatch):
    def killed(process: WorkerProcess, *_: object) -> bytes:
        raise WorkerLost(Loss.CRASHED, f"process {process.pid} was killed", is_killed=True, has_begun=False)

    monkeypatch.setattr(WorkerProcess, "ask", killed)
    monkeypatch.setattr(workers_pool, "_MOST_HANDED_OVER_AGAIN", 2)
    with WorkerPool(1) as pool:
        answer = pool.run(worker_jobs.process_id, 1)
        assert isinstance(answer, Failure)
        assert pool.counts["crashed"] == 3


def test_a_worker_that_leaks_is_recycled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers_pool, "RECYCLED_AFTER_BYTES", 40 << 20)
    with WorkerPool(1) as pool:
        pids = [pool.run(worker_jobs.hold_memory, 1 << 20) for _ in range(150)]
    assert len(set(pids)) == 1 + pool.counts["recycled"] == 4
    assert not [each for each in pids if isinstance(each, Failure)]


def test_a_worker_is_recycled_after_so_many_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers_pool, "RECYCLED_AFTER_FILES", 10)
    with WorkerPool(1) as pool:
        pids = {pool.run(worker_jobs.process_id, number)[1] for number in range(25)}
    assert len(pids) == 3


def test_an_answer_of_the_wrong_type_is_no_answer_and_ends_the_worker():
    with WorkerPool(1) as pool:
        nonsense = pool.run(worker_jobs.give_nonsense, 7)
        assert isinstance(nonsense, Failure)
        assert "answered nonsense" in nonsense.detail
        assert pool.counts["crashed"] == 1
        assert pool.run(worker_jobs.process_id, 1)


def test_answers_come_as_they_were_given():
    with WorkerPool(1) as pool:
        answer = pool.run(worker_jobs.plain_answer, b"abcdef")
    given = worker_jobs.plain_answer(b"abcdef")
    assert answer == given
    assert answer.fingerprints.query_views.views == given.fingerprints.query_views.views
    np.testing.assert_array_equal(answer.fingerprints.working_luma, given.fingerprints.working_luma)
    assert answer.fingerprints.working_luma.flags.writeable


@pytest.mark.parametrize(
    "forged",
    [
        ["|O", [1], b"\0" * 8],
        ["|u1", [9], b"\0" * 8],
        ["|u1", [1 << 40], b""],
        ["|u1", ["8"], b"\0" * 8],
        ["|V8", [1], b"\0" * 8],
        {"pickle": b"\x80"},
        b"\x80\x04.",
    ],
)
def test_a_forged_array_is_refused(forged: object):
    answer = encode(worker_jobs.plain_answer(b"abcdef"))
    luma = encode(["|u1", [2, 3], b"abcdef"])
    assert answer.count(luma) == 1
    with pytest.raises(ValueError, match=r"array|Expected|nothing|reshape|buffer|int"):
        AnswerDecoder(worker_jobs.plain_answer).decode(answer.replace(luma, encode(forged)))


def test_a_job_that_does_not_say_what_it_gives_is_refused():
    with pytest.raises(TypeError, match="does not say what it gives"):
        AnswerDecoder(lambda item: item)


def test_an_answer_beyond_all_measure_is_not_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("baken.workers_process._BOOT", _LIAR)
    with WorkerPool(1) as pool, pytest.raises(NotReadyError, match="answered 1099511627776 bytes"):
        pool.run(worker_jobs.process_id, 1)


_LIAR = f"import os, sys, time; os.write(int(sys.argv[1]), {struct.pack('<BQ', 1, 1 << 40)!r}); time.sleep(60)"


def test_starts_that_fail_are_an_error_and_pause(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("baken.workers_process._BOOT", "import sys; sys.exit(9)")
    with WorkerPool(1) as pool:
        with pytest.raises(NotReadyError, match="did not start: it ended by exit status 9"):
            pool.run(worker_jobs.process_id, 1)
        started = pool.counts["started"]
        with pytest.raises(NotReadyError):
            pool.run(worker_jobs.process_id, 1)
        assert pool.counts["started"] == started == 1
        monkeypatch.undo()
        later = time.monotonic() + 60
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert pool.run(worker_jobs.process_id, 1)


def test_a_closed_pool_says_so():
    pool = WorkerPool(1)
    pool.run(worker_jobs.process_id, 1)
    pool.close()
    pool.close()
    with pytest.raises(NotReadyError, match="stopped"):
        pool.run(worker_jobs.process_id, 1)


def test_closing_ends_what_hangs():
    with ThreadPoolExecutor(1) as threads:
        pool = WorkerPool(1)
        pool.run(worker_jobs.sleep_on_0, 1)
        [pid] = pool.pids()
        os.kill(pid, signal.SIGSTOP)
        hanging = threads.submit(pool.run, worker_jobs.sleep_on_0, 0)
        _wait_until(lambda: _unread_bytes(pool) > 0)
        os.kill(pid, signal.SIGCONT)
        _wait_until(lambda: _unread_bytes(pool) == 0)
        pool.close()
        assert isinstance(hanging.result(), Failure)
    assert pool.pids() == []


def test_a_file_that_waits_when_the_pool_closes_is_not_blamed():
    with ThreadPoolExecutor(1) as threads:
        pool = WorkerPool(1)
        pool.run(worker_jobs.sleep_on_0, 1)
        os.kill(pool.pids()[0], signal.SIGSTOP)
        waiting = threads.submit(pool.run, worker_jobs.sleep_on_0, 0)
        _wait_until(lambda: _unread_bytes(pool) > 0)
        pool.close()
        with pytest.raises(NotReadyError, match="stopped"):
            waiting.result()


def _unread_bytes(pool: WorkerPool) -> int:
    """What the pool's only worker was sent and has not read."""
    [process] = pool._state.all
    return int.from_bytes(fcntl.ioctl(process._socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def _wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_workers_that_are_busy_end_when_their_parent_is_killed():
    script = (
        "import threading, worker_jobs\n"
        "from baken.workers_pool import WorkerPool\n"
        "pool = WorkerPool(1)\n"
        "pool.refused()\n"
        "print(*pool.pids(), flush=True)\n"
        "pool.run(worker_jobs.sleep_on_0, 0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    _wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_file_that_no_worker_got_through_keeps_its_digests():
    data = encoded(samples.draw(4, (320, 240)), "PNG")
    found = without_picture(data, Failure("ended by 'caf\udce9\0'"))
    whole = FileFingerprinter()(data).fingerprints
    assert found.digests() == whole.digests()
    assert found.pdq is None
    assert found.unscreenable is not None
    assert found.unscreenable.reason is UnscreenableReason.DECODER_FAILED
    assert found.unscreenable.detail == r"ended by 'caf\udce9\x00'"


def test_what_a_thread_of_the_parent_loads_need_not_be_readable_in_the_worker(tmp_path: Path):
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(encoded(samples.draw(number, (64, 48)), "PNG"))
    job = FileFingerprinter(exact=True)
    loaded = dict(in_order(job, map(str, paths), load=job.read))
    assert [each.fingerprints for each in loaded.values()] == [job(str(path)).fingerprints for path in paths]
