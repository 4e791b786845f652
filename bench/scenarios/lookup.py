"""`lookup-1m`, `lookup-10m`: one exact lookup in random codes, against a flat scan that cannot miss either."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from baken._native import HammingIndex
from baken.model import DEFAULT_RADIUS_BITS
from bench.built import codes_of_index
from bench.codes import Codes, planted_queries, single
from bench.machine import server_cores
from bench.measure import cache_emptier, cpu_seconds_of, pinned, take_turns
from bench.peers import find_peer
from bench.peers.faiss_flat import FlatScan, count_differing
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain

BACK_TO_BACK = "one lookup, back to back"
AFTER_OTHER_WORK = "one lookup, caches emptied before it"
"""The names of the two figures, by which the plot finds them in any scenario whose sizes name `codes`."""

ROUNDS = 15
_WARM_UP_SHARE = 0.25
_FLAT_SHARE = 0.01
"""A flat scan takes tens of times longer, and the first one is as fast as the tenth."""
_COLD_LOOKUPS = 10

Search = Callable[[Codes], object]
"""One query, uint8[1, 32], to whatever was found."""


def _run(size: int, ratio_limit: float, scale: Scale) -> Answer:
    faiss = find_peer("faiss-cpu", "faiss")
    codes = codes_of_index(scale.pick(size, size // 100))
    lookups = scale.pick(1_000, 100)
    queries = planted_queries(codes, lookups * ROUNDS, radius_bits=DEFAULT_RADIUS_BITS, seed=7)
    with pinned(server_cores()):
        index = HammingIndex()
        build_seconds = cpu_seconds_of(lambda: index.add(codes, np.arange(len(codes), dtype=np.int64)))
        flat = FlatScan(faiss.module, [codes]) if faiss.module else None
        ours, peer = partial(index.search, radius_bits=DEFAULT_RADIUS_BITS), flat.search if flat else None
        goal = Goal(GoalKind.RATIO_AT_LEAST, ratio_limit)
        figures = [
            back_to_back(BACK_TO_BACK, ours, peer, queries, goal=goal, peer_share=_FLAT_SHARE),
            after_other_work(ours, peer, queries),
        ]
        if flat is not None:
            asked = queries[: scale.pick(150, 15)]
            differing = count_differing(index.search(asked, DEFAULT_RADIUS_BITS), flat.found(asked))
            name = f"matches of {len(asked)} queries that differ from the flat scan's"
            figures.append(plain(name, "matches", differing, goal=Goal(GoalKind.OURS_AT_MOST, 0)))
    figures += [
        plain("memory of the index, a code", "bytes", index.memory_bytes / len(codes), peer=codes.shape[1]),
        plain("build, one core", "s", build_seconds),
    ]
    sizes = {"codes": len(codes), "lookups a turn": lookups, "turns": ROUNDS, "radius_bits": DEFAULT_RADIUS_BITS}
    return Answer(figures, sizes, faiss.versions, faiss.notes)


def back_to_back(
    name: str,
    ours: Search,
    peer: Search | None,
    queries: Codes,
    *,
    goal: Goal | None = None,
    peer_share: float = 1.0,
) -> Figure:
    """One query a call, call after call with nothing between them, as faiss's published figures are taken.

    Args:
        name: of the figure.
        ours: our search.
        peer: the other search, or None when it is not installed.
        queries: uint8[Q, 32]; every turn asks its own part of them.
        goal: the bound, if there is one.
        peer_share: of a turn's queries, those that the peer is asked.
    """
    blocks = np.split(queries, ROUNDS)

    def microseconds(search: Search, share: float, turn: int) -> float:
        asked = single(blocks[turn][: max(4, int(len(blocks[turn]) * share))])
        warm_up = int(len(asked) * _WARM_UP_SHARE)
        for query in asked[:warm_up]:
            search(query)
        recorded = asked[warm_up:]
        return cpu_seconds_of(lambda: [search(query) for query in recorded]) / len(recorded) * 1e6

    theirs = partial(microseconds, peer, peer_share) if peer else None
    return compared(name, "us", take_turns(partial(microseconds, ours, 1.0), theirs, ROUNDS), goal=goal)


def after_other_work(ours: Search, peer: Search | None, queries: Codes) -> Figure:
    """One query a call, the processor's caches emptied before each: a service that does other work in between."""
    empty_caches = cache_emptier()

    def microseconds(search: Search, turn: int) -> float:
        seconds = 0.0
        for query in single(queries[turn * _COLD_LOOKUPS : (turn + 1) * _COLD_LOOKUPS]):
            empty_caches()
            seconds += cpu_seconds_of(partial(search, query))
        return seconds / _COLD_LOOKUPS * 1e6

    theirs = partial(microseconds, peer) if peer else None
    return compared(AFTER_OTHER_WORK, "us", take_turns(partial(microseconds, ours), theirs, ROUNDS))


def _scenario(name: str, size: int, ratio_limit: float) -> Scenario:
    return Scenario(
        name=name,
        question=f"How fast is one exact lookup (radius {DEFAULT_RADIUS_BITS}) in {size:,} codes?",
        goal=f"at least {ratio_limit:g}x faiss IndexBinaryFlat.range_search back to back, with the same matches",
        run=partial(_run, size, ratio_limit),
    )


SCENARIOS = [_scenario("lookup-1m", 1_000_000, 20), _scenario("lookup-10m", 10_000_000, 60)]
