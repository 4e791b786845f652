"""`100m`: a hundred million random codes streamed into an index on disk, and exact lookups against a flat scan."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from baken._native import IndexBuild, IndexFolder
from baken.model import DEFAULT_RADIUS_BITS
from bench.codes import Codes, planted_queries, random_codes
from bench.machine import server_cores
from bench.measure import cpu_seconds_of, percentile, pinned, seconds_of
from bench.peers import find_peer
from bench.peers.faiss_flat import FlatScan, count_differing
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, plain
from bench.scenarios.lookup import BACK_TO_BACK, ROUNDS, back_to_back

_CODES = 100_000_000
_CHUNK = 1_000_000
_SAMPLED_EVERY = 100_003
"""The codes that queries are planted at: every so many rows, so that they come from all over the index."""

_SEED = 100_000
_BUILD_LIMIT_US = 1.2
_MEMORY_LIMIT = 1.5
_ENTRY_LIMIT_BYTES = 96
_RATIO_LIMIT = 100
_SPREAD_LIMIT = 5
_FLAT_SHARE = 0.01
_DATABASE = "bench"


@dataclass(frozen=True, slots=True)
class _Built:
    """What a build took, without the drawing of the codes."""

    wall_seconds: float
    cpu_seconds: float
    peak_private_bytes: int
    peak_resident_bytes: int
    sampled: Codes


class _MemoryWatch:
    """Looks at this process's memory five times a second: private pages, and all resident ones with mapped files."""

    def __init__(self) -> None:
        self.peak_private_bytes = 0
        self.peak_resident_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            private_bytes, file_bytes = _memory_bytes()
            self.peak_private_bytes = max(self.peak_private_bytes, private_bytes)
            self.peak_resident_bytes = max(self.peak_resident_bytes, private_bytes + file_bytes)


def _memory_bytes() -> tuple[int, int]:
    """Private memory and resident pages of mapped files of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Rss")}
    return kib["RssAnon"] << 10, (kib["RssFile"] + kib["RssShmem"]) << 10


def _chunks(count: int) -> Iterator[tuple[Codes, NDArray[np.int64]]]:
    chunk = min(_CHUNK, count)
    for first in range(0, count, chunk):
        yield random_codes(chunk, seed=_SEED + first), np.arange(first, first + chunk, dtype=np.int64)


def _run(scale: Scale) -> Answer:
    count = scale.pick(_CODES, 200_000)
    faiss = find_peer("faiss-cpu", "faiss")
    with tempfile.TemporaryDirectory(prefix="baken-bench-") as folder:
        built = _build(folder, count)
        index = IndexFolder(folder, _DATABASE)
        figures = [*_build_figures(built, index, count), *_opening_figures(folder)]
        figures += _lookup_figures(index, faiss.module, built.sampled, count, scale)
        index.close()
    sizes = {"codes": count, "radius_bits": DEFAULT_RADIUS_BITS}
    notes = [
        "The index lies on disk and, as far as the system has room, in its cache. Drawing the codes is not counted.",
        "Resident memory includes the pages of mapped files, which the system takes back when it needs them.",
    ]
    return Answer(figures, sizes, faiss.versions, faiss.notes + notes)


def _build(folder: str, count: int) -> _Built:
    wall_seconds = cpu_seconds = 0.0
    sampled = []
    index = IndexFolder(folder, _DATABASE, reset=True)
    with _MemoryWatch() as watch:
        build = IndexBuild(index)
        for codes, ids in _chunks(count):
            sampled.append(codes[-ids[0] % _SAMPLED_EVERY :: _SAMPLED_EVERY].copy())  # a view would keep the chunk
            wall, cpu = time.perf_counter(), time.process_time()
            build.add(codes, ids)
            wall_seconds += time.perf_counter() - wall
            cpu_seconds += time.process_time() - cpu
        wall, cpu = time.perf_counter(), time.process_time()
        build.finish(1)
        wall_seconds += time.perf_counter() - wall
        cpu_seconds += time.process_time() - cpu
    index.close()
    return _Built(
        wall_seconds, cpu_seconds, watch.peak_private_bytes, watch.peak_resident_bytes, np.concatenate(sampled)
    )


def _build_figures(built: _Built, index: IndexFolder, count: int) -> list[Figure]:
    at_most = GoalKind.OURS_AT_MOST
    wall_us, cpu_us = built.wall_seconds / count * 1e6, built.cpu_seconds / count * 1e6
    peak = built.peak_resident_bytes / index.mapped_bytes
    return [
        plain("build, an entry, by the clock", "us", wall_us, goal=Goal(at_most, _BUILD_LIMIT_US)),
        plain("build, an entry, processor time", "us", cpu_us, goal=Goal(at_most, _BUILD_LIMIT_US)),
        plain("peak resident memory of the build, finished indexes", "x", peak, goal=Goal(at_most, _MEMORY_LIMIT)),
        plain("of it private to the process", "MiB", built.peak_private_bytes / (1 << 20)),
        plain("index on disk, an entry", "bytes", index.mapped_bytes / count, goal=Goal(at_most, _ENTRY_LIMIT_BYTES)),
    ]


def _opening_figures(folder: str) -> list[Figure]:
    before, _ = _memory_bytes()
    opened: list[IndexFolder] = []
    seconds = seconds_of(lambda: opened.append(IndexFolder(folder, _DATABASE)))
    after, _ = _memory_bytes()
    opened[0].close()
    return [
        plain("index opened", "ms", seconds * 1e3),
        plain("private memory of opening it", "MiB", (after - before) / (1 << 20)),
    ]


def _lookup_figures(
    index: IndexFolder, faiss: ModuleType | None, sampled: Codes, count: int, scale: Scale
) -> list[Figure]:
    queries = planted_queries(sampled, scale.pick(300, 6) * ROUNDS, radius_bits=DEFAULT_RADIUS_BITS, seed=7)
    warming, asked = queries[: len(queries) // 3], queries[len(queries) // 3 :]
    with pinned(server_cores()):
        cold = _lookup_us(index, warming)
        warm = _lookup_us(index, asked)
        flat = None if faiss is None else FlatScan(faiss, (codes for codes, _ in _chunks(count)))
        ours = partial(index.search, radius_bits=DEFAULT_RADIUS_BITS)
        goal = Goal(GoalKind.RATIO_AT_LEAST, _RATIO_LIMIT)
        spread = Goal(GoalKind.OURS_AT_MOST, _SPREAD_LIMIT)
        figures = [
            back_to_back(BACK_TO_BACK, ours, flat.search if flat else None, asked, goal=goal, peer_share=_FLAT_SHARE),
            plain("lookup, percentile 99", "us", percentile(warm, 99)),
            plain("lookup, percentile 99 by median", "x", percentile(warm, 99) / statistics.median(warm), goal=spread),
            plain("lookup, median", "us", statistics.median(warm)),
            plain("first lookups after opening, median", "us", statistics.median(cold[: len(cold) // 20])),
        ]
        if flat is not None:
            few = asked[: scale.pick(100, 10)]
            differing = count_differing(index.search(few, DEFAULT_RADIUS_BITS), flat.found(few))
            name = f"matches of {len(few)} queries that differ from the flat scan's"
            figures.append(plain(name, "matches", differing, goal=Goal(GoalKind.OURS_AT_MOST, 0)))
        return figures


def _lookup_us(index: IndexFolder, queries: Codes) -> list[float]:
    rows = [queries[row : row + 1] for row in range(len(queries))]
    return [cpu_seconds_of(lambda query=query: index.search(query, DEFAULT_RADIUS_BITS)) * 1e6 for query in rows]


SCENARIOS = [
    Scenario(
        name="100m",
        question=f"Does the index on disk carry {_CODES:,} codes?",
        goal=f"built in at most {_BUILD_LIMIT_US:g} us an entry with at most {_MEMORY_LIMIT:g} times the finished "
        f"index in memory, at most {_ENTRY_LIMIT_BYTES} bytes an entry, with the matches of a flat scan",
        run=_run,
        only_when_named=True,
    )
]
