"""What a decoder that a hostile file has taken over can still do: nothing but answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import worker_jobs
from baken.errors import NotReadyError
from baken.workers_pool import Failure, Isolation, WorkerPool


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1, isolation=Isolation(is_required=True)) as confined:
        confined.refused()  # it has started, whichever test comes first
        yield confined


def test_the_system_here_confines_wholly(pool: WorkerPool):
    assert pool.refused() == ("", "")


@pytest.mark.parametrize("what", sorted(set(worker_jobs.ATTEMPTS) - {"passwords", "environment of the parent"}))
def test_a_worker_reaches_no_network_no_process_and_writes_nothing(pool: WorkerPool, what: str):
    before = pool.pids()
    assert pool.run(worker_jobs.attempt, what) in {"EPERM", "EACCES"}
    assert pool.pids() == before  # refused, not killed: a library that tries goes on without


@pytest.mark.parametrize("what", ["passwords", "environment of the parent"])
def test_a_worker_reads_no_files_but_those_of_python(pool: WorkerPool, what: str):
    assert pool.run(worker_jobs.attempt, what) == "EACCES"


def test_a_worker_whose_job_opens_files_reads_them_and_writes_none():
    with WorkerPool(1, reads_everything=True) as reading:
        assert "root" in str(reading.run(worker_jobs.attempt, "passwords"))
        assert reading.run(worker_jobs.attempt, "write a file") == "EACCES"
        assert reading.run(worker_jobs.attempt, "internet") == "EPERM"


def test_a_worker_knows_no_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BAKEN_DATABASE_URL", "postgresql+psycopg://baken:LEWDWORD1@db/baken")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "LEWDWORD1")
    with WorkerPool(1) as fresh:
        seen = fresh.run(worker_jobs.environment, "")
        (pid,) = fresh.pids()
        told = Path(f"/proc/{pid}/cmdline").read_bytes()
        given = Path(f"/proc/{pid}/environ").read_bytes() if os.getuid() == 0 else b""
    assert isinstance(seen, dict)
    assert not {name for name in seen if name.startswith(("BAKEN", "AWS", "HOME", "PATH"))}
    assert b"LEWDWORD1" not in told + given


def test_a_worker_leaves_no_files_and_no_core_dump(pool: WorkerPool):
    assert pool.run(worker_jobs.limits, "") == {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_NOFILE": 64}


def test_libraries_may_start_threads(pool: WorkerPool):
    assert pool.run(worker_jobs.threads, 2) == 6


def test_memory_ends_at_the_limit_and_the_worker_goes_on():
    with WorkerPool(1, isolation=Isolation(memory_bytes=300 << 20)) as small:
        assert small.run(worker_jobs.take_memory, 200 << 20) == 200 << 20
        refused = small.run(worker_jobs.take_memory, 400 << 20)
        assert refused == Failure("the file needs more memory than the 314572800 bytes that decoding may take")
        assert small.run(worker_jobs.take_memory, 200 << 20) == 200 << 20
        assert small.counts["out_of_memory"] == 1
        assert small.counts["started"] == 1


def test_processor_time_ends_at_the_limit():
    with WorkerPool(1, timeout_seconds=1) as pool:
        gone = pool.run(worker_jobs.spin, 1)
        assert isinstance(gone, Failure)
        assert "1 seconds" in gone.detail or "processor time" in gone.detail
        assert pool.run(worker_jobs.spin, 0) == 0
        assert pool.counts["timed_out"] == 1


def test_where_confinement_is_demanded_and_refused_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch):
    # A process that is confined already can ask for nothing more, as in a container that forbids it.
    monkeypatch.setattr("baken.workers_process._BOOT", _BOOT_IN_CONFINEMENT)
    demanding = WorkerPool(1, isolation=Isolation(is_required=True))
    with demanding, pytest.raises(NotReadyError, match="the system refuses to confine it"):
        demanding.run(worker_jobs.take_memory, 1)
    with WorkerPool(1) as pool:
        assert pool.run(worker_jobs.take_memory, 1) == 1
        assert pool.refused()[0] == "no_new_privs: Operation not permitted"


_BOOT_IN_CONFINEMENT = """
import sys
sys.path[:] = sys.argv[2:]
from baken import _native
_native.confine([], True)
from baken.workers_child import serve
serve(int(sys.argv[1]))
"""
