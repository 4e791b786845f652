"""Bombs: each is decoded in a worker that has no more memory than this, and costs none of it its life."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import bomb_files
import worker_jobs
from baken.workers import FileFingerprinter, FileResult
from baken.workers_pool import Isolation, WorkerPool

MEMORY_BYTES = 256 << 20
"""The files have up to 18 MB, and Baken holds a file twice."""

BOMBS = {name: (data, reasons) for name, data, reasons in bomb_files.bombs()}


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1, timeout_seconds=60, isolation=Isolation(MEMORY_BYTES)) as small:
        yield small


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_stays_within_little_memory_and_the_worker_lives(pool: WorkerPool, name: str):
    data, reasons = BOMBS[name]
    answer = pool.run(FileFingerprinter(exact=True), data)
    assert isinstance(answer, FileResult), answer
    why = answer.fingerprints.unscreenable
    # A picture of one colour says nothing, which is no reason to refuse its file.
    assert (None if why is None or why.reason == "low_quality" else why.reason) in reasons
    assert why is None or "memory" not in why.detail.lower()
    assert pool.counts["started"] == 1


@pytest.mark.parametrize("name", ["million_frames.gif", "chain_of_directories.tif"])
def test_endless_frames_and_pages_are_counted_to_a_bound_and_say_so(pool: WorkerPool, name: str):
    answer = pool.run(worker_jobs.sampled_frames, BOMBS[name][0])
    assert isinstance(answer, tuple), answer
    count, is_complete, sampled = answer
    assert 1 <= count < 1_000_000 or is_complete
    assert sampled <= 8
    assert pool.counts["started"] == 1


def test_a_stranger_is_refused_by_what_it_is_and_politely(pool: WorkerPool):
    answer = pool.run(FileFingerprinter(), BOMBS["folder_within_itself.zip"][0])
    assert isinstance(answer, FileResult)
    assert answer.fingerprints.unscreenable is not None
    assert "Baken decodes" in answer.fingerprints.unscreenable.detail
    assert answer.fingerprints.sha256  # an exact digest may still catch it
