"""`seen-1m`: a million seen items: taking over more of them, and asking them about new entries."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from baken import assemble, settings
from baken.assemble import Baken
from baken.fingerprints.orientations import MIRRORINGS, orientations_of
from baken.model import (
    DEFAULT_RADIUS_BITS,
    PDQ_BYTES,
    Finding,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    ItemMeta,
    NewEntry,
    Outcome,
    Provenance,
    Purpose,
    Screening,
    Verdict,
)
from baken.store.seen import Gathered, SeenFile, write_gathered
from baken.store.seen_queue import QueuedItem
from bench.codes import Codes, planted_queries, random_codes
from bench.measure import cpu_seconds_of
from bench.scenario import Answer, Goal, GoalKind, Scale, Scenario, plain

_FILL_ITEMS = 10_000
_ONE_ENTRY_ROUNDS = 15
_TAKE_OVER_LIMIT_US = 1000.0  # five times as many items a second as two cores screen
_ONE_ENTRY_LIMIT_MS = 50.0
_NOW = datetime(2026, 11, 1, tzinfo=UTC)


def _run(scale: Scale) -> Answer:
    count = scale.pick(1_000_000, 5_000)
    mirrorings = random_codes(count * len(MIRRORINGS), seed=41).reshape(count, -1)
    more = random_codes(scale.pick(20_000, 500) * len(MIRRORINGS), seed=42).reshape(-1, mirrorings.shape[1])
    entry_count = scale.pick(10_000, 100)
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings.load({}, data_dir=Path(folder))
        with assemble.initialise(chosen) as baken:
            _fill(baken, mirrorings)
            build_seconds = cpu_seconds_of(baken.keeper.stats)
            _screen(baken, more[:1])
            baken.keeper.settle()  # which also begins to merge the index; closing waits for that
        with assemble.open_existing(chosen) as baken:
            _screen(baken, more[1:])
            take_over_us = cpu_seconds_of(baken.keeper.settle) / len(more) * 1e6
            queries = planted_queries(
                mirrorings[:, :PDQ_BYTES], entry_count + 50, radius_bits=DEFAULT_RADIUS_BITS, seed=43
            )
            one_ms = np.median(
                [_asking_seconds(baken, queries[row : row + 1]) * 1000 for row in range(_ONE_ENTRY_ROUNDS)]
            )
            many_us = _asking_seconds(baken, queries[50:]) / entry_count * 1e6
            found = _found_count(baken)
            _, index_size_bytes = baken.keeper.stats()
    asked = [*range(_ONE_ENTRY_ROUNDS), *range(50, len(queries))]
    expected = sum(row % 2 == 0 for row in asked)  # every second query is planted
    figures = [
        plain("index built from the database", "s", build_seconds),
        plain(
            "one item taken over: cluster, rows, index",
            "us",
            take_over_us,
            goal=Goal(GoalKind.OURS_AT_MOST, _TAKE_OVER_LIMIT_US),
        ),
        plain(
            "the past asked about one entry", "ms", float(one_ms), goal=Goal(GoalKind.OURS_AT_MOST, _ONE_ENTRY_LIMIT_MS)
        ),
        plain(f"the past asked about {entry_count:,} entries, an entry", "us", many_us),
        plain("index on disk, a seen file", "bytes", index_size_bytes / (len(mirrorings) + len(more))),
        plain(
            f"planted matches not found in retrospect, of {expected:,}",
            "matches",
            abs(expected - found),
            goal=Goal(GoalKind.OURS_AT_MOST, 0),
        ),
    ]
    sizes = {"seen items": count, "taken over": len(more), "entries": entry_count}
    return Answer(
        figures, sizes, notes=["Processor time of one process; every item is a file and a cluster of its own."]
    )


def _fill(baken: Baken, mirrorings: Codes) -> None:
    """Rows of items as they are after they were taken over, each a file that leads its own cluster."""
    baken.store.create_bank(
        "bench", Purpose.WATCH, radius_bits=DEFAULT_RADIUS_BITS, verdict=Verdict.ALLOW, actor="bench"
    )
    turn = baken.store.seen.turn(seconds=600.0)
    turn.take()
    for start in range(0, len(mirrorings), _FILL_ITEMS):
        items = [
            _queued(start + row, each.tobytes()) for row, each in enumerate(mirrorings[start : start + _FILL_ITEMS])
        ]
        with turn.write() as (connection, state):
            files = [_file(state.seq + number, item) for number, item in enumerate(items, start=1)]
            placed = [(item, file.id) for item, file in zip(items, files, strict=True)]
            write_gathered(connection, state, Gathered(placed, files, []))
    turn.give_back()


def _queued(number: int, mirrorings: bytes) -> QueuedItem:
    sha256 = hashlib.sha256(mirrorings).digest()
    name = f"{number:026x}"
    return QueuedItem(
        0,
        f"scr_{name}",
        0,
        mirrorings,
        name,
        f"account {number % 1000}",
        None,
        _NOW,
        sha256,
        sha256[:20],
        sha256[:16],
        90,
    )


def _file(file_id: int, item: QueuedItem) -> SeenFile:
    key = hashlib.blake2b(item.sha256, digest_size=16).digest()
    return SeenFile(file_id, key, item.sha256, item.sha1, item.md5, 90, item.mirrorings, cluster_id=file_id)


def _screen(baken: Baken, mirrorings: Codes) -> None:
    """Recorded screenings that wait to be taken over."""
    known_seq = baken.store.head_seq()
    screenings = []
    for number, row in enumerate(mirrorings):
        item = _queued(number, row.tobytes())
        pdq = item.mirrorings[:PDQ_BYTES] if item.mirrorings else None
        computed = Fingerprints(
            item.sha256, item.sha1, item.md5, pdq, 90, None, pdq_orientations=orientations_of(row.tobytes())
        )
        outcome = Outcome(Finding.CLEAR, Verdict.ALLOW, None)
        meta = ItemMeta(f"more {number}", item.account_ref)
        screenings.append(
            Screening(f"scr_{item.sha256[:13].hex()}", _NOW, meta, computed, outcome, 1.0, known_seq=known_seq)
        )
    baken.store.record_many(screenings)


def _found_count(baken: Baken) -> int:
    """How many pairs of entry and item were found; two planted entries may have met the same item."""
    cases = baken.store.cases.cases(limit=100_000)
    return sum(len(item.matches) for case in cases for item in baken.store.cases.items(case.id, limit=100_000))


def _asking_seconds(baken: Baken, codes: Codes) -> float:
    entries = [NewEntry((Fingerprint(FingerprintKind.PDQ, code.tobytes(), 90),)) for code in codes]
    baken.store.add_entries("bench", entries, Provenance("bench", "bench"), actor="bench")
    return cpu_seconds_of(baken.keeper.settle)


SCENARIOS = [
    Scenario(
        name="seen-1m",
        question="What does it cost to remember a million items, and to ask them about a new entry?",
        goal=f"at most {_TAKE_OVER_LIMIT_US:g} us an item and {_ONE_ENTRY_LIMIT_MS:g} ms an entry, and nothing missed",
        run=_run,
    )
]
