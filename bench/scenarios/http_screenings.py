"""`http-screenings`: how much of the machine's screening rate is left once HTTP and durable records are paid for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

from baken import assemble, pipeline, settings
from baken.workers_pool import InProcess
from bench.baken_server import DataFolder, data_folder
from bench.codes import BANK_SEED, random_codes
from bench.corpus import corpus_note, jpeg_files, resized
from bench.load import Load, drive
from bench.measure import Turns, pinned, take_turns
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain
from bench.servers import Server

_SIZE_PX = (1024, 768)
# Enough that the two cores are busy while some wait for the disk: the question is capacity, not latency.
_CONNECTIONS = 16
_CORES = 2
_RATIO_LIMIT = 0.75
_ROUNDS = 10
_NOTES = [
    "Peer: Baken's own decode, fingerprint and match alone.",
    "The load generator runs on the same two cores; the goal is about the rate as it is, with that cost in it.",
    "Where its processor time is taken out, a turn counts as its wall time less that time divided by the cores.",
]


@dataclass(slots=True)
class _Served:
    """Screenings over HTTP, and the processor time of server and load generator for them."""

    server: Server
    requests: list[bytes]
    sent: int = 0
    cpu_seconds: float = 0.0
    loads: list[Load] = field(default_factory=list)

    def screened_per_second(self, count: int) -> float:
        before = self.server.cpu_seconds()
        load = drive(self.server.port, self.requests, count=count, connections=_CONNECTIONS)
        self.cpu_seconds += self.server.cpu_seconds() - before
        self.sent += count
        self.loads.append(load)
        return load.requests_per_second


@dataclass(slots=True)
class _InProcess:
    """Decode, fingerprint and match alone, in a pool of threads or processes, and their processor time."""

    name: str
    pool: Executor
    path: Path
    is_judged: bool
    screened: int = 0
    cpu_seconds: float = 0.0

    def screened_per_second(self, count: int) -> float:
        chunk = max(1, count // (_CORES * 8))
        start = time.perf_counter()
        spent = list(self.pool.map(partial(_screen, self.path), range(count), chunksize=chunk))
        seconds = time.perf_counter() - start
        self.cpu_seconds += sum(spent)
        self.screened += count
        return count / seconds


def _run(scale: Scale) -> Answer:
    codes = random_codes(scale.pick(1_000_000, 10_000), seed=BANK_SEED)
    files = [resized(jpeg, _SIZE_PX) for jpeg in jpeg_files("originals", limit=scale.pick(64, 4))]
    cores = set(sorted(os.sched_getaffinity(0))[:_CORES])
    count = scale.pick(400, 20)
    sizes = {"entries": len(codes), "files": len(files), "mean file bytes": sum(map(len, files)) // len(files)}
    with pinned(cores), data_folder(codes) as folder:
        requests = [folder.request("/v1/screenings", "image/jpeg", jpeg) for jpeg in files]
        workers = ("--workers", str(len(cores)))
        with folder.serving(requests[0], cores=cores, options=workers) as server, _pools(folder, files) as pools:
            served = _Served(server, requests)
            figures = [figure for alone in pools for figure in _compared(served, alone, count)]
        lost = 1 + served.sent - _recorded(folder)
    nothing = Goal(GoalKind.OURS_AT_MOST, 0)
    figures.append(plain(f"answered and not in the database, of {served.sent:,}", "rows", lost, goal=nothing))
    return Answer(figures, sizes, notes=[corpus_note(), *_NOTES])


def _compared(served: _Served, alone: _InProcess, count: int) -> list[Figure]:
    """Rate and processor time against one pool; the goal is about the rate in one process."""
    alone.screened_per_second(count)  # warm
    alone.screened, alone.cpu_seconds = 0, 0.0
    sent, cpu_seconds = served.sent, served.cpu_seconds
    turns = take_turns(lambda _: served.screened_per_second(count), lambda _: alone.screened_per_second(count), _ROUNDS)
    goal = Goal(GoalKind.RATIO_AT_LEAST, _RATIO_LIMIT) if alone.is_judged else None
    ours_ms = (served.cpu_seconds - cpu_seconds) * 1000 / (served.sent - sent)
    cpu = Turns([ours_ms], [alone.cpu_seconds * 1000 / alone.screened])
    loads = served.loads[-_ROUNDS:]
    rest = Turns([load.requests_per_second_of_rest(_CORES) for load in loads], turns.peer)
    generator_ms = [load.cpu_seconds * 1000 / count for load in loads]
    name = f"against {alone.name}"
    return [
        compared(f"1024x768 JPEG, {name}", "pictures/s", turns, goal=goal, higher_is_better=True),
        compared(f"the load generator's processor time taken out, {name}", "pictures/s", rest, higher_is_better=True),
        compared(f"processor time a picture, {name}", "ms", cpu),
        compared(f"processor time of the load generator a picture, {name}", "ms", Turns(generator_ms, [])),
    ]


class _Alone:
    """The work of a screening without HTTP and records, in this process."""

    def __init__(self, path: Path) -> None:
        self._files = [each.read_bytes() for each in sorted(_files_folder(path).iterdir())]
        self._baken = assemble.open_existing(settings.load({}, data_dir=path))  # open as long as the process lives
        self._gate = replace(self._baken.gate, decoding=InProcess())
        self._known = self._gate.known.refresh()

    def screen(self, number: int) -> None:
        self._known.search(pipeline.fingerprint(self._files[number % len(self._files)], self._gate))


_opened = cache(_Alone)


def _screen(path: Path, number: int) -> float:
    """The processor time of one picture, in seconds; each process opens the data folder once."""
    start = time.thread_time()
    _opened(path).screen(number)
    return time.thread_time() - start


def _files_folder(path: Path) -> Path:
    return path.parent / "files"


@contextmanager
def _pools(folder: DataFolder, files: list[bytes]) -> Iterator[list[_InProcess]]:
    """The work alone by the threads of one process, which is what the goal is about, and by processes."""
    _files_folder(folder.path).mkdir()
    for number, jpeg in enumerate(files):
        (_files_folder(folder.path) / f"{number:04}.jpg").write_bytes(jpeg)
    _opened(folder.path)
    with (
        ThreadPoolExecutor(_CORES) as threads,
        ProcessPoolExecutor(_CORES, mp_context=get_context("spawn")) as processes,
    ):
        yield [
            _InProcess(f"{_CORES} threads of one process", threads, folder.path, is_judged=True),
            _InProcess(f"{_CORES} processes", processes, folder.path, is_judged=False),
        ]


def _recorded(folder: DataFolder) -> int:
    with assemble.open_existing(settings.load({}, data_dir=folder.path)) as baken:
        return sum(baken.store.screening_counts().values())


SCENARIOS = [
    Scenario(
        name="http-screenings",
        question="Which share of the in-process screening rate is left over HTTP, everything recorded?",
        goal="at least 75 % of what decode, fingerprint and match alone reach in process on two cores",
        run=_run,
    )
]
