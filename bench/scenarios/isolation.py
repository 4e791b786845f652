"""`isolation`: what it costs to decode in a confined worker process instead of in this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from baken.fingerprints import Asked
from baken.workers import FileFingerprinter
from baken.workers_pool import Failure, InProcess, WorkerPool
from bench.corpus import corpus_note, jpeg_files, resized
from bench.machine import server_cores
from bench.measure import Turns, pinned, take_turns
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain

_SIZE_PX = (1024, 768)
_RATIO_LIMIT = 1 / 1.1
_TURNS_PER_FILE = 6
_SCREENING = "and views, as a screening"
_JOBS = {
    "digests and PDQ": FileFingerprinter(),
    _SCREENING: FileFingerprinter(asked=Asked(query_views=True)),
    "and the working picture handed over, for the check": FileFingerprinter(
        asked=Asked(query_views=True, working_luma=True)
    ),
}


def _run(scale: Scale) -> Answer:
    files = [resized(jpeg, _SIZE_PX) for jpeg in jpeg_files("originals", limit=scale.pick(32, 2))]
    figures: list[Figure] = []
    with pinned(server_cores()):
        start_seconds, start_cpu_seconds = _start()
        with WorkerPool(1) as pool:
            refused = [why for why in pool.refused() if why]
            for name, job in _JOBS.items():
                figures += _in_turns(name, job, pool, files, scale.pick(_TURNS_PER_FILE, 1) * len(files))
    figures.append(plain("start of a worker, by the clock", "ms", start_seconds * 1000))
    figures.append(plain("start of a worker, processor time", "ms", start_cpu_seconds * 1000))
    sizes = {"files": len(files), "mean file bytes": sum(map(len, files)) // len(files)}
    notes = [
        corpus_note(),
        "Peer: the same job in this process. Processor time is that of both processes; one picture at a time.",
        f"Confined wholly: {'no: ' + '; '.join(refused) if refused else 'yes'}.",
    ]
    return Answer(figures, sizes, notes=notes)


def _in_turns(name: str, job: FileFingerprinter, pool: WorkerPool, files: list[bytes], rounds: int) -> list[Figure]:
    here = InProcess()
    (pid,) = pool.pids()
    clock: dict[str, list[float]] = {"ours": [], "peer": []}

    def timed(side: str, work: Callable[[bytes], object], spent: Callable[[], float], turn: int) -> float:
        data = files[turn % len(files)]
        before, started = spent(), time.perf_counter()
        if isinstance(work(data), Failure):
            message = "a corpus file was given up"
            raise TypeError(message)
        clock[side].append((time.perf_counter() - started) * 1000)
        return (spent() - before) * 1000

    def in_worker(turn: int) -> float:
        return timed("ours", lambda data: pool.run(job, data), lambda: time.process_time() + _spent(pid), turn)

    def in_process(turn: int) -> float:
        return timed("peer", lambda data: here.run(job, data), time.process_time, turn)

    cpu = take_turns(in_worker, in_process, rounds)
    wall = Turns(clock["ours"][-rounds:], clock["peer"][-rounds:])
    goal = Goal(GoalKind.RATIO_AT_LEAST, _RATIO_LIMIT) if name == _SCREENING else None
    return [
        compared(f"processor time a picture: {name}", "ms", cpu, goal=goal),
        compared(f"by the clock, one at a time: {name}", "ms", wall),
    ]


def _spent(pid: int) -> float:
    """Processor seconds of a process with one thread, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _start() -> tuple[float, float]:
    with WorkerPool(1) as pool:
        started = time.perf_counter()
        pool.refused()
        (pid,) = pool.pids()
        return time.perf_counter() - started, _spent(pid)


SCENARIOS = [
    Scenario(
        name="isolation",
        question="What does it cost to decode a picture in a confined worker process?",
        goal="a screening of a 1024x768 JPEG takes at most 10 % more processor time than in this process",
        run=_run,
    )
]
