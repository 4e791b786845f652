"""Timing that survives a noisy machine: two sides take turns, and only the ratio of neighbours counts."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times better ours was, over neighbouring pairs of measurements (above 1: ours is better)."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Turns:
    """What two sides measured in turns: `ours[i]` and `peer[i]` are neighbours in time; `peer` may be empty."""

    ours: list[float]
    peer: list[float]

    def ratio(self, *, higher_is_better: bool) -> Ratio | None:
        """The pairwise ratios, or None when the peer was not measured."""
        if not self.peer:
            return None
        pairs = zip(self.ours, self.peer, strict=True)
        ratios = [ours / peer if higher_is_better else peer / ours for ours, peer in pairs]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def take_turns(ours: Callable[[int], float], peer: Callable[[int], float] | None, rounds: int) -> Turns:
    """Measure A B A B ... after one unrecorded turn each.

    Args:
        ours: given the number of the turn, does a batch of work and returns its figure (milliseconds, requests/s).
        peer: the same work by the peer, or None when it is not installed.
        rounds: how many recorded turns each side takes.
    """
    sides = (ours,) if peer is None else (ours, peer)
    for side in sides:
        side(0)
    turns = [[side(turn) for side in sides] for turn in range(rounds)]
    columns = [list(column) for column in zip(*turns, strict=True)]
    return Turns(columns[0], columns[1] if peer is not None else [])


def seconds_of(work: Callable[[], object]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cpu_seconds_of(work: Callable[[], object]) -> float:
    """The processor time of one call, all threads: on one core, what the clock shows when nobody else wants it."""
    start = time.process_time()
    work()
    return time.process_time() - start


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Hold every thread of this process, and every process it starts meanwhile, on these cores."""
    before = os.sched_getaffinity(0)
    _pin_threads(cores)
    try:
        yield
    finally:
        _pin_threads(before)


def _pin_threads(cores: set[int]) -> None:
    # sched_setaffinity(0) moves only the calling thread, and OpenMP pools start when faiss is imported.
    for task in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # a thread that has ended meanwhile
            os.sched_setaffinity(int(task.name), cores)
