"""`start-1m`: from nothing to the first correct answer, with a million entries in SQLite."""

from __future__ import annotations

import os
import shutil
import time
from functools import partial

from baken import assemble, settings
from baken.model import DEFAULT_RADIUS_BITS
from bench.baken_server import DataFolder, data_folder, distances_of
from bench.codes import BANK_SEED, Codes, planted_queries, random_codes
from bench.measure import seconds_of, take_turns
from bench.peers import find_peer
from bench.scenario import Answer, Goal, GoalKind, Scale, Scenario, compared

_REBUILD_LIMIT_SECONDS = 3.0
_ROUNDS = 3


def _run(scale: Scale) -> Answer:
    peer = find_peer("threatexchange", "threatexchange.signal_type.pdq.signal")
    codes = random_codes(scale.pick(1_000_000, 10_000), seed=BANK_SEED)
    query = planted_queries(codes, 1, radius_bits=DEFAULT_RADIUS_BITS, seed=22)[0]
    entries = [(row.tobytes().hex(), number) for number, row in enumerate(codes)] if peer.module else []
    build = partial(peer.module.PdqSignal.get_index_cls().build, entries) if peer.module else None
    theirs = (lambda _: seconds_of(build)) if build else None
    with data_folder(codes) as folder:
        rebuilt = take_turns(lambda _: _rebuild_seconds(folder), theirs, _ROUNDS)
        opened = take_turns(lambda _: _open_seconds(folder), None, _ROUNDS)
        started = take_turns(lambda _: _start_seconds(folder, query), theirs, _ROUNDS)
    figures = [
        compared("index rebuilt from SQLite", "s", rebuilt, goal=Goal(GoalKind.OURS_AT_MOST, _REBUILD_LIMIT_SECONDS)),
        compared("index on disk opened", "s", opened),
        compared("process start to the first correct answer over HTTP", "s", started),
    ]
    notes = [
        "The peer: `PDQIndex.build` from a list already in memory; it reads no database and answers nothing.",
        "The data folder's pages are in the operating system's cache.",
    ]
    return Answer(figures, {"entries": len(codes)}, peer.versions, peer.notes + notes)


def _rebuild_seconds(folder: DataFolder) -> float:
    """From the database alone: the index on disk, which is only a copy of it, is deleted first."""
    shutil.rmtree(folder.path / assemble.INDEX_FOLDER, ignore_errors=True)
    return _open_seconds(folder)


def _open_seconds(folder: DataFolder) -> float:
    with assemble.open_existing(settings.load({}, data_dir=folder.path)) as baken:
        return seconds_of(baken.gate.known.refresh)


def _start_seconds(folder: DataFolder, query: Codes) -> float:
    start = time.perf_counter()
    with folder.serving(folder.lookup(query), cores=os.sched_getaffinity(0)) as server:
        seconds = time.perf_counter() - start
    if not distances_of(server.first_answer):
        message = "the server's first answer lacks the planted entry: it answered before its index was complete"
        raise ValueError(message)
    return seconds


SCENARIOS = [
    Scenario(
        name="start-1m",
        question="How long until the first correct answer, with a million entries in SQLite?",
        goal=f"index rebuilt in at most {_REBUILD_LIMIT_SECONDS:g} s",
        run=_run,
    )
]
