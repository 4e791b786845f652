"""`folder-10m`: the index on disk that all processes of a machine share, against one in a process's own memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from baken._native import HammingIndex, IndexFolder
from baken.model import DEFAULT_RADIUS_BITS
from bench.built import DATABASE_ID, codes_of_index, index_folder
from bench.codes import Codes, planted_queries, random_codes
from bench.machine import server_cores
from bench.measure import Turns, pinned, seconds_of
from bench.peers.faiss_flat import count_differing
from bench.reader import Reading
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain
from bench.scenarios.lookup import ROUNDS, back_to_back

_OPEN_LIMIT_SECONDS = 0.5
_PRIVATE_LIMIT_MB = 30
_ADD_LIMIT_PER_SECOND = 500_000
_READERS = 7
_ADDS = 5


def _run(scale: Scale) -> Answer:
    codes = codes_of_index(scale.pick(10_000_000, 100_000))
    queries = planted_queries(codes, scale.pick(1_000, 100) * ROUNDS, radius_bits=DEFAULT_RADIUS_BITS, seed=41)
    added = random_codes(scale.pick(1_000_000, 10_000), seed=42)
    with index_folder(len(codes)) as path:
        folder = IndexFolder(str(path), DATABASE_ID)
        sizes = {
            "codes": len(codes),
            "segments": folder.segment_count,
            "lookups a turn": len(queries) // ROUNDS,
            "turns": ROUNDS,
            "reader processes": _READERS,
            "adds": _ADDS,
            "radius_bits": DEFAULT_RADIUS_BITS,
        }
        figures = [
            *_beside_memory(folder, codes, queries),
            plain("mapped files, a code", "bytes", folder.mapped_bytes / len(codes)),
            *_readers(path, folder, queries[: scale.pick(3_000, 100)]),
            *_add(path, added),
        ]
        folder.close()
    return Answer(figures, sizes, notes=_notes())


def _notes() -> list[str]:
    return [
        "Peer: Baken's own index in the memory of one process.",
        "The index's files are in the operating system's cache.",
        "Private memory is Private_Clean and Private_Dirty of the whole reader, interpreter and libraries included.",
    ]


def _beside_memory(folder: IndexFolder, codes: Codes, queries: Codes) -> list[Figure]:
    with pinned(server_cores()):
        memory = HammingIndex()
        memory.add(codes, np.arange(len(codes), dtype=np.int64))
        ours, peer = (partial(index.search, radius_bits=DEFAULT_RADIUS_BITS) for index in (folder, memory))
        differing = count_differing(ours(queries), peer(queries))
        return [
            back_to_back("one lookup, on disk against in memory", ours, peer, queries),
            plain("matches that differ from memory's", "matches", differing, goal=Goal(GoalKind.OURS_AT_MOST, 0)),
            plain("memory of the index in a process, a code", "bytes", memory.memory_bytes / len(codes)),
        ]


def _readers(path: Path, folder: IndexFolder, queries: Codes) -> list[Figure]:
    """Open and read in processes of their own, beside this one, which has read the same pages."""
    found = len(folder.search(queries, DEFAULT_RADIUS_BITS)[0])
    queries_path = path.with_name(f"{path.name}-queries.npy")
    np.save(queries_path, queries)
    command = [sys.executable, "-m", "bench.reader", str(path), str(queries_path)]
    readings = [
        msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, type=Reading)
        for _ in range(_READERS)
    ]
    lost = sum(found - reading.matches for reading in readings)
    opened = Goal(GoalKind.OURS_AT_MOST, _OPEN_LIMIT_SECONDS)
    private = Goal(GoalKind.OURS_AT_MOST, _PRIVATE_LIMIT_MB)
    return [
        _repeated("open in a new process", "s", [reading.open_seconds for reading in readings], opened),
        _repeated("first lookup in a new process", "s", [reading.first_seconds for reading in readings]),
        _repeated("private memory of one more reader", "MB", [each.private_bytes / 1e6 for each in readings], private),
        _repeated("of that, because of the index", "MB", [each.private_growth_bytes / 1e6 for each in readings]),
        plain("matches that readers lack", "matches", lost, goal=Goal(GoalKind.OURS_AT_MOST, 0)),
    ]


def _add(path: Path, codes: Codes) -> list[Figure]:
    ids = np.arange(len(codes), dtype=np.int64)
    rates, cpu_seconds = [], []
    for _ in range(_ADDS):
        with _copy(path) as copied:
            index = IndexFolder(str(copied), DATABASE_ID)
            before = time.process_time()
            rates.append(len(codes) / seconds_of(partial(index.add, codes, ids)))
            cpu_seconds.append(time.process_time() - before)
            index.close()
    name = f"add of {len(codes):,} codes in one call"
    goal = Goal(GoalKind.OURS_AT_LEAST, _ADD_LIMIT_PER_SECOND)
    return [
        _repeated(f"{name}, on disk when it returns", "codes/s", rates, goal),
        _repeated(f"{name}, processor time", "s", cpu_seconds),
    ]


@contextmanager
def _copy(path: Path) -> Iterator[Path]:
    """The same index to change: segments are never written again and may be linked, the other files are small."""

    def copy(source: str, target: str) -> None:
        if Path(source).name.startswith("segment-"):
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    copied = path.with_name(f"{path.name}-copy")
    shutil.copytree(path, copied, copy_function=copy)
    try:
        yield copied
    finally:
        shutil.rmtree(copied)


def _repeated(name: str, unit: str, values: list[float], goal: Goal | None = None) -> Figure:
    return compared(name, unit, Turns(values, []), goal=goal)


SCENARIOS = [
    Scenario(
        name="folder-10m",
        question="What does the index on disk cost and save against one in memory, with ten million codes?",
        goal=f"opened in at most {_OPEN_LIMIT_SECONDS:g} s, at most {_PRIVATE_LIMIT_MB} MB for one more reader, "
        f"at least {_ADD_LIMIT_PER_SECOND:,} codes added a second",
        run=_run,
    )
]
