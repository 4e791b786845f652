"""`freshness-1m`: from an acknowledged change in one process to the first lookup in another one that shows it."""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from baken.model import DEFAULT_RADIUS_BITS, PDQ_BITS, BankState, EntryState
from bench.baken_server import DataFolder, data_folder
from bench.changes import Changer, Reader, two_processes, two_workers
from bench.codes import BANK_SEED, random_codes
from bench.databases import POSTGRES_VARIABLE, databases
from bench.measure import Turns, percentile
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain

_P99_LIMIT_MS = 50.0
_QUERY_BITS = 20
"""How far a lookup's code lies from the entry's: near enough to match, and no exact copy."""
_SMALL_RADIUS_BITS = 10
_WORKERS = 2
_BULKS = 10

T = TypeVar("T")


@dataclass(slots=True)
class _Times:
    """Milliseconds from acknowledgement to sight by kind of change, and how many lookups were answered as before it."""

    changer: Changer
    read: Reader
    by_kind: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    stale: int = 0

    def take(self, kind: str, change: Callable[[], T], query: bytes, *, is_known: bool) -> T:
        """Make one change, wait for the reader to see it, and return what the change returned."""
        result = change()
        acknowledged_seconds = time.monotonic()
        seen = self.read(query, is_known)
        self.by_kind[kind].append((seen.at_seconds - acknowledged_seconds) * 1000)
        self.stale += seen.lookups - 1
        return result

    def take_all(self, code: bytes, query: bytes) -> None:
        """Every kind of change to one new entry and to its bank."""
        changer = self.changer
        entry_id = self.take("entry added", partial(changer.add, [code]), query, is_known=True)
        for kind, bank_state in (("bank paused", BankState.PAUSED), ("bank resumed", BankState.ACTIVE)):
            change = partial(changer.set_bank_state, bank_state)
            self.take(kind, change, query, is_known=bank_state is BankState.ACTIVE)
        radii = (("radius made smaller", _SMALL_RADIUS_BITS), ("radius made larger", DEFAULT_RADIUS_BITS))
        for kind, radius_bits in radii:
            change = partial(changer.set_radius_bits, radius_bits)
            self.take(kind, change, query, is_known=radius_bits == DEFAULT_RADIUS_BITS)
        for word, state in (
            ("paused", EntryState.PAUSED),
            ("resumed", EntryState.ACTIVE),
            ("withdrawn", EntryState.WITHDRAWN),
        ):
            change = partial(changer.set_entry_state, entry_id, state)
            self.take(f"entry {word}", change, query, is_known=state is EntryState.ACTIVE)


def _run(scale: Scale) -> Answer:
    codes = random_codes(scale.pick(1_000_000, 10_000), seed=BANK_SEED)
    rounds, bulk = scale.pick(300, 3), scale.pick(10_000, 100)
    figures: list[Figure] = []
    notes = ["Literature figure, not measured here: HMA, 1 million: 53 s."]
    with databases() as every:
        for database in every:
            with data_folder(codes, database_url=database.url) as folder:
                for name, opened in (("two processes", two_processes), ("HTTP, two workers", _served)):
                    with opened(folder) as (changer, read):
                        times = _Times(changer, read)
                        _measure(times, rounds, bulk)
                    figures += _figures(f"{database.name}, {name}", times, bulk)
                    notes.append(_by_kind(f"{database.name}, {name}", times))
    if len(every) == 1:
        notes.append(f"PostgreSQL was not measured: {POSTGRES_VARIABLE} names no server.")
    sizes = {"entries": len(codes), "changes of each kind": rounds, "entries of a bulk": bulk, "bulks": _BULKS}
    return Answer(figures, sizes, notes=notes)


@contextmanager
def _served(folder: DataFolder) -> Iterator[tuple[Changer, Reader]]:
    probe, options = folder.lookup(random_codes(1, seed=72)[0]), ("--workers", str(_WORKERS))
    with (
        folder.serving(probe, cores=os.sched_getaffinity(0), options=options) as server,
        two_workers(folder, server) as sides,
    ):
        yield sides


def _measure(times: _Times, rounds: int, bulk: int) -> None:
    for row in random_codes(rounds, seed=73):
        times.take_all(row.tobytes(), _beside(row))
    for number in range(_BULKS):
        rows = random_codes(bulk, seed=74 + number)
        codes = [row.tobytes() for row in rows]
        times.take(_bulk_name(bulk), partial(times.changer.add, codes), _beside(rows[-1]), is_known=True)


def _beside(code: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    bits = np.unpackbits(code)
    bits[np.random.default_rng(75).permutation(PDQ_BITS)[:_QUERY_BITS]] ^= 1
    return np.packbits(bits).tobytes()


def _figures(where: str, times: _Times, bulk: int) -> list[Figure]:
    """All single changes together; the raw figures keep their order, kind by kind."""
    bulks = times.by_kind[_bulk_name(bulk)]
    changes = [each for kind, values in times.by_kind.items() if kind != _bulk_name(bulk) for each in values]
    goal = Goal(GoalKind.OURS_AT_MOST, _P99_LIMIT_MS)
    return [
        compared(f"{where}: median of {len(changes):,} changes", "ms", Turns(changes, [])),
        plain(f"{where}: 99th percentile", "ms", percentile(changes, 99), goal=goal),
        plain(f"{where}: longest", "ms", max(changes)),
        compared(f"{where}: median after {bulk:,} entries added at once", "ms", Turns(bulks, [])),
        plain(f"{where}: lookups answered as before", "lookups", times.stale, goal=Goal(GoalKind.OURS_AT_MOST, 0)),
    ]


def _by_kind(where: str, times: _Times) -> str:
    parts = [
        f"{kind} {statistics.median(values):.3g} / {percentile(values, 99):.3g}"
        for kind, values in times.by_kind.items()
    ]
    return f"{where}, median / 99th percentile in ms: {', '.join(parts)}."


def _bulk_name(bulk: int) -> str:
    return f"{bulk:,} entries added"


SCENARIOS = [
    Scenario(
        name="freshness-1m",
        question="How long after a change is acknowledged does another process know it, with a million entries?",
        goal=f"the first lookup afterwards shows it, 99 % of them within {_P99_LIMIT_MS:g} ms",
        run=_run,
    )
]
