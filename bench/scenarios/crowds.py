"""`crowds-1m`: a million codes that crowd together among a million random ones, and what lookups then cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from baken._native import HammingIndex, NearestMatches
from baken.model import DEFAULT_RADIUS_BITS, MAX_MATCHES, PDQ_BITS, PDQ_BYTES
from bench.codes import Codes, random_codes, single
from bench.machine import server_cores
from bench.measure import cpu_seconds_of, peak_growth_bytes, pinned, take_turns
from bench.peers import find_peer
from bench.peers.faiss_flat import FlatScan, Found
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain

_ROUNDS = 7
_INSIDE_LIMIT = 0.5
"""A bucket that holds every code can at best be read like a flat scan; counting and order may cost as much again."""
_OUTSIDE_LIMIT = 1.0
_OUTSIDE_QUERIES = 40
_FLAT_OUTSIDE_QUERIES = 4
_NEAR_BITS = 5
_HOT_BYTES = 3
"""Enough equal leading bytes for one equal key: the first table is keyed by a code's first 23 bits."""


@dataclass(frozen=True, slots=True)
class _Crowd:
    """`make(count)` gives codes that crowd; `query` a code in their middle, which need not be one of them."""

    name: str
    make: Callable[[int], Codes]
    query: Codes


def _near_identical(base: Codes, count: int) -> Codes:
    """Copies with up to five bits flipped, so that any two match each other."""
    generator = np.random.default_rng(61)
    codes = np.repeat(base, count, axis=0)
    for _ in range(_NEAR_BITS):
        bits = generator.integers(0, PDQ_BITS, size=count)
        codes[np.arange(count), bits // 8] ^= (1 << (bits % 8)).astype(np.uint8)
    return codes


def _zero(count: int) -> Codes:
    """What a flat picture gives, or a list with an empty column."""
    return np.zeros((count, PDQ_BYTES), dtype=np.uint8)


def _hot(base: Codes, count: int) -> Codes:
    """Random but for the beginning: no two match, and all lie in one bucket of one table."""
    codes = random_codes(count, seed=62)
    codes[:, :_HOT_BYTES] = base[:, :_HOT_BYTES]
    return codes


def _crowds() -> list[_Crowd]:
    near, hot = np.split(random_codes(2, seed=63), 2)
    return [
        _Crowd("near-identical codes", partial(_near_identical, near), near),
        _Crowd("all-zero codes", _zero, _zero(1)),
        _Crowd("codes of one bucket", partial(_hot, hot), hot),
    ]


def search(index: HammingIndex, queries: Codes) -> NearestMatches:
    """The search that is measured: the nearest matches and the exact count, which is what a screening asks for."""
    return index.search_nearest(queries, DEFAULT_RADIUS_BITS, MAX_MATCHES)


def _run(scale: Scale) -> Answer:
    faiss = find_peer("faiss-cpu", "faiss")
    count = scale.pick(1_000_000, 10_000)
    scattered = random_codes(count, seed=64)
    outside = random_codes(_OUTSIDE_QUERIES, seed=65)
    figures: list[Figure] = []
    with pinned(server_cores()):
        for crowd in _crowds():
            figures += _figures(crowd, scattered, outside, faiss.module)
    sizes = {
        "crowded codes": count,
        "random codes": count,
        "turns": _ROUNDS,
        "lookups a turn outside": _OUTSIDE_QUERIES,
        "radius_bits": DEFAULT_RADIUS_BITS,
    }
    note = (
        f"Inside a crowd of matching codes ours gives the nearest {MAX_MATCHES} in order and the exact count; the "
        "peer, which has no such search, gives a million matches in no order."
    )
    return Answer(figures, sizes, faiss.versions, [*faiss.notes, note])


def _figures(crowd: _Crowd, scattered: Codes, outside: Codes, faiss: Any) -> list[Figure]:  # noqa: ANN401 - no types
    codes = np.concatenate([crowd.make(len(scattered)), scattered])
    codes = codes[np.random.default_rng(66).permutation(len(codes))]
    index = HammingIndex()
    build_seconds = cpu_seconds_of(partial(index.add, codes, np.arange(len(codes), dtype=np.int64)))
    flat = FlatScan(faiss, [codes]) if faiss else None
    peak = peak_growth_bytes(partial(search, index, crowd.query))
    flat_peak = peak_growth_bytes(partial(flat.search, crowd.query)) if flat else None
    figures = [
        _lookup(f"inside {crowd.name}", index, flat, (crowd.query, crowd.query), _INSIDE_LIMIT),
        _lookup(f"outside {crowd.name}", index, flat, (outside, outside[:_FLAT_OUTSIDE_QUERIES]), _OUTSIDE_LIMIT),
        plain(f"peak memory of a lookup inside {crowd.name}", "MB", peak / 1e6, peer=_mb(flat_peak)),
        plain(f"memory of the index with {crowd.name}, a code", "bytes", index.memory_bytes / len(codes)),
        plain(f"build with {crowd.name}, one core", "s", build_seconds),
    ]
    return figures if flat is None else [*figures, _agreement(crowd, index, flat, outside[:_FLAT_OUTSIDE_QUERIES])]


def _lookup(
    where: str, index: HammingIndex, flat: FlatScan | None, queries: tuple[Codes, Codes], ratio_limit: float
) -> Figure:
    """One code a call; `queries` are ours and the peer's."""

    def milliseconds(asked: Codes, run: Callable[[Codes], object], _turn: int) -> float:
        calls = single(asked)
        return cpu_seconds_of(lambda: [run(query) for query in calls]) / len(calls) * 1000

    ours = partial(milliseconds, queries[0], partial(search, index))
    theirs = partial(milliseconds, queries[1], flat.search) if flat else None
    goal = Goal(GoalKind.RATIO_AT_LEAST, ratio_limit)
    return compared(f"one lookup {where}", "ms", take_turns(ours, theirs, _ROUNDS), goal=goal)


def _agreement(crowd: _Crowd, index: HammingIndex, flat: FlatScan, outside: Codes) -> Figure:
    queries = np.concatenate([crowd.query, outside])
    nearest, found = search(index, queries), flat.found(queries)
    differing = sum(_answer(nearest, row) != _nearest_of(found, row) for row in range(len(queries)))
    name = f"answers that differ from the flat scan's, {crowd.name}"
    return plain(name, "answers", differing, goal=Goal(GoalKind.OURS_AT_MOST, 0))


def _answer(nearest: NearestMatches, row: int) -> tuple[int, list[tuple[int, int]]]:
    """The exact count, and distance and id of the nearest, in order."""
    of_row = nearest.query_row == row
    pairs = zip(nearest.distance_bits[of_row].tolist(), nearest.id[of_row].tolist(), strict=True)
    return int(nearest.match_count[row]), list(pairs)


def _nearest_of(found: Found, row: int) -> tuple[int, list[tuple[int, int]]]:
    """The same from every match."""
    rows, ids, distances = found
    of_row = rows == row
    pairs = sorted(zip(distances[of_row].tolist(), ids[of_row].tolist(), strict=True))
    return len(pairs), pairs[:MAX_MATCHES]


def _mb(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / 1e6


SCENARIOS = [
    Scenario(
        name="crowds-1m",
        question="What do a million codes that crowd together do to lookups, among a million random ones?",
        goal="outside the crowd never slower than a flat scan, inside never twice as slow, with the same matches",
        run=_run,
    )
]
