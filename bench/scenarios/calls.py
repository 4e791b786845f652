"""`batch-10m`, `orientations-10m`: several codes in one call, against one code a call, in ten million codes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from baken._native import IndexFolder
from baken.fingerprints.orientations import orientations_of_all
from baken.model import DEFAULT_RADIUS_BITS, PDQ_BYTES, Transform
from bench.built import DATABASE_ID, codes_of_index, index_folder
from bench.codes import Codes, planted_queries, single
from bench.machine import server_cores
from bench.measure import Turns, cpu_seconds_of, pinned, take_turns
from bench.peers.faiss_flat import count_differing
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain

_BATCH_RATIO_LIMIT = 2.0
_BATCH_ROUNDS = 7
_ORIENTATIONS = len(Transform)
_ORIENTATIONS_LIMIT = 5.0
_ORIENTATION_ROUNDS = 15
_ORIENTATIONS_NOTE = (
    "The eight codes of a search are those of a picture as the kernel makes them: four mirrorings, here independent "
    "random codes of which every second one lies near a banked code, and the same transposed."
)
_NOTES = ["Peer: the same index on disk, asked one code a call."]


def _run_batch(scale: Scale) -> Answer:
    batch = scale.pick(10_000, 100)
    with _opened(scale) as (index, codes):
        queries = planted_queries(codes, batch * _BATCH_ROUNDS, radius_bits=DEFAULT_RADIUS_BITS, seed=51)
        batches = np.split(queries, _BATCH_ROUNDS)
        turns = take_turns(
            lambda turn: _microseconds(index, [batches[turn]]),
            lambda turn: _microseconds(index, single(batches[turn])),
            _BATCH_ROUNDS,
        )
        goal = Goal(GoalKind.RATIO_AT_LEAST, _BATCH_RATIO_LIMIT)
        name = f"a lookup in a call of {batch:,}, against one a call"
        figures = [compared(name, "us", turns, goal=goal), _differing(index, batches[0])]
    sizes = {"codes": len(codes), "lookups a call": batch, "turns": _BATCH_ROUNDS, "radius_bits": DEFAULT_RADIUS_BITS}
    return Answer(figures, sizes, notes=_NOTES)


def _run_orientations(scale: Scale) -> Answer:
    pictures = scale.pick(200, 10)
    with _opened(scale) as (index, codes):
        count = _ORIENTATION_ROUNDS * pictures * _ORIENTATIONS
        mirrorings = planted_queries(codes, count // 2, radius_bits=DEFAULT_RADIUS_BITS, seed=52)
        together = np.split(_orientations(mirrorings), _ORIENTATION_ROUNDS)
        # A code that was just asked is still in the caches: the two sides ask different ones.
        alone = np.split(planted_queries(codes, count, radius_bits=DEFAULT_RADIUS_BITS, seed=54), _ORIENTATION_ROUNDS)
        turns = take_turns(
            lambda turn: _microseconds(index, np.split(together[turn], pictures)) * _ORIENTATIONS,
            lambda turn: _microseconds(index, single(alone[turn])),
            _ORIENTATION_ROUNDS,
        )
        figures = [*_orientation_figures(turns), _differing(index, together[0])]
    sizes = {
        "codes": len(codes),
        "pictures a turn": pictures,
        "turns": _ORIENTATION_ROUNDS,
        "radius_bits": DEFAULT_RADIUS_BITS,
    }
    notes = [*_NOTES, _ORIENTATIONS_NOTE]
    return Answer(figures, sizes, notes=notes)


def _orientations(mirrorings: Codes) -> Codes:
    """The eight codes of each picture, one after another, from four codes a picture."""
    return orientations_of_all([each.tobytes() for each in np.split(mirrorings, len(mirrorings) // 4)]).reshape(
        -1, PDQ_BYTES
    )


def _orientation_figures(turns: Turns) -> list[Figure]:
    """The cost of eight codes against one as a ratio above 1, since a goal in words reads "at most 5 times"."""
    times = [eight / one for eight, one in zip(turns.ours, turns.peer, strict=True)]
    eight_calls = Turns(turns.ours, [one * _ORIENTATIONS for one in turns.peer])
    goal = Goal(GoalKind.OURS_AT_MOST, _ORIENTATIONS_LIMIT)
    return [
        plain("cost of eight codes in one search, in searches of one code", "x", statistics.median(times), goal=goal),
        compared("eight codes in one search, against eight searches", "us", eight_calls),
    ]


@contextmanager
def _opened(scale: Scale) -> Iterator[tuple[IndexFolder, Codes]]:
    """The index on disk on one core, and the codes in it."""
    size = scale.pick(10_000_000, 100_000)
    with pinned(server_cores()), index_folder(size) as path:
        index = IndexFolder(str(path), DATABASE_ID)
        yield index, codes_of_index(size)
        index.close()


def _microseconds(index: IndexFolder, calls: Sequence[Codes]) -> float:
    """Processor time a code."""
    search = partial(index.search, radius_bits=DEFAULT_RADIUS_BITS)
    return cpu_seconds_of(lambda: [search(codes) for codes in calls]) / sum(map(len, calls)) * 1e6


def _differing(index: IndexFolder, queries: Codes) -> Figure:
    """One by one, the rows of the answers must be numbered as in one call."""
    together = index.search(queries, DEFAULT_RADIUS_BITS)
    answers = [index.search(query, DEFAULT_RADIUS_BITS) for query in single(queries)]
    rows = np.repeat(np.arange(len(queries)), [len(ids) for _, ids, _ in answers])
    ids = np.concatenate([ids for _, ids, _ in answers])
    distances = np.concatenate([distances for _, _, distances in answers])
    name = f"matches of {len(queries):,} codes that differ between one call and many"
    differing = count_differing(together, (rows, ids, distances))
    return plain(name, "matches", differing, goal=Goal(GoalKind.OURS_AT_MOST, 0))


SCENARIOS = [
    Scenario(
        name="batch-10m",
        question="How much cheaper is a lookup within a call of ten thousand, in ten million codes?",
        goal=f"at least {_BATCH_RATIO_LIMIT:g}x one lookup a call on one core, with the same matches",
        run=_run_batch,
    ),
    Scenario(
        name="orientations-10m",
        question="What does a search with the eight orientations of a picture cost, in ten million codes?",
        goal=f"at most {_ORIENTATIONS_LIMIT:g} times a search with one code",
        run=_run_orientations,
    ),
]
