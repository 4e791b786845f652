"""`lookup-1m`, `lookup-10m`: one exact lookup in random codes, against a flat scan that cannot miss either."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from baken._native import HammingIndex
from baken.model import DEFAULT_RADIUS_BITS
from bench.codes import Codes, planted_queries, random_codes
from bench.flat_scan import agreement, flat_index
from bench.machine import server_cores
from bench.measure import cpu_seconds_of, pinned, take_turns
from bench.peers import find_peer
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain

_ROUNDS = 15


def _run(size: int, ratio_limit: float, scale: Scale) -> Answer:
    faiss = find_peer("faiss-cpu", "faiss")
    codes = random_codes(scale.pick(size, size // 100), seed=size)
    batch = scale.pick(100_000_000 // size, 10)
    queries = planted_queries(codes, batch * _ROUNDS, radius_bits=DEFAULT_RADIUS_BITS, seed=7)
    with pinned(server_cores()):
        index = HammingIndex()
        build_seconds = cpu_seconds_of(lambda: index.add(codes, np.arange(len(codes), dtype=np.int64)))
        flat = flat_index(faiss.module, [codes]) if faiss.module else None
        figures = [_one_lookup(index, flat, queries, ratio_limit)]
        if flat is not None:
            figures.append(agreement(index, flat, queries))
    figures += [
        plain("memory of the index, a code", "bytes", index.memory_bytes / len(codes), peer=codes.shape[1]),
        plain("build, one core", "s", build_seconds),
    ]
    sizes = {"codes": len(codes), "queries": len(queries), "radius_bits": DEFAULT_RADIUS_BITS}
    return Answer(figures, sizes, faiss.versions, faiss.notes)


def _one_lookup(index: HammingIndex, flat: Any, queries: Codes, ratio_limit: float) -> Figure:  # noqa: ANN401
    batches = np.split(queries, _ROUNDS)

    def microseconds(search: Callable[[Codes], object], turn: int) -> float:
        asked = [batches[turn][row : row + 1] for row in range(len(batches[turn]))]
        return cpu_seconds_of(lambda: [search(query) for query in asked]) / len(asked) * 1e6

    ours = partial(microseconds, lambda query: index.search(query, DEFAULT_RADIUS_BITS))
    # faiss counts distances below its radius, Baken distances up to it.
    peer = partial(microseconds, lambda query: flat.range_search(query, DEFAULT_RADIUS_BITS + 1))
    turns = take_turns(ours, None if flat is None else peer, _ROUNDS)
    return compared("one lookup, one core", "us", turns, goal=Goal(GoalKind.RATIO_AT_LEAST, ratio_limit))


def _scenario(name: str, size: int, ratio_limit: float) -> Scenario:
    return Scenario(
        name=name,
        question=f"How fast is one exact lookup (radius {DEFAULT_RADIUS_BITS}) in {size:,} codes?",
        goal=f"at least {ratio_limit:g}x faiss IndexBinaryFlat.range_search, with the same matches",
        run=partial(_run, size, ratio_limit),
    )


SCENARIOS = [_scenario("lookup-1m", 1_000_000, 20), _scenario("lookup-10m", 10_000_000, 45)]
