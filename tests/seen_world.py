"""A small world for the tests of the seen index: pictures as codes, screened and banked, and a keeper to be run."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from baken.decisions import Policy
from baken.fingerprints.orientations import orientations_of
from baken.known import KnownFollower
from baken.model import (
    DEFAULT_RADIUS_BITS,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    ItemMeta,
    NewEntry,
    Provenance,
    Purpose,
    Screening,
    Unscreenable,
    UnscreenableReason,
    Verdict,
)
from baken.pipeline import Gate, judge
from baken.seen import SeenKeeper
from baken.seen_index import SeenIndex
from baken.store import Store

ORIGIN = Provenance("test", "alice")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def code(number: int, flipped_bits: int = 0) -> bytes:
    """A code far from those of other numbers, with some bits flipped."""
    generator = random.Random(number)  # noqa: S311 - a picture, not a secret
    bits = int.from_bytes(generator.randbytes(32))
    for position in generator.sample(range(256), 256)[:flipped_bits]:
        bits ^= 1 << position
    return bits.to_bytes(32)


def picture(number: int, flipped_bits: int = 0, file: int = 0) -> Fingerprints:
    """A picture whose code is `code(number, flipped_bits)`; `file` tells apart files that show the same."""
    mirrorings = code(number, flipped_bits) + b"".join(
        code(number + 1000 * (row + 1), flipped_bits) for row in range(3)
    )
    data = b"%d/%d/%d" % (number, flipped_bits, file)
    return Fingerprints(
        hashlib.sha256(data).digest(),
        hashlib.sha1(data, usedforsecurity=False).digest(),
        hashlib.md5(data, usedforsecurity=False).digest(),
        mirrorings[:32],
        90,
        None,
        pdq_orientations=orientations_of(mirrorings),
    )


def flat(number: int) -> Fingerprints:
    """A picture too plain to be compared, known by its digests alone."""
    whole = picture(number)
    why = Unscreenable(UnscreenableReason.LOW_QUALITY, "too plain")
    return Fingerprints(
        whole.sha256, whole.sha1, whole.md5, whole.pdq, 10, why, pdq_orientations=whole.pdq_orientations
    )


def pdq_entry(value: bytes) -> NewEntry:
    return NewEntry((Fingerprint(FingerprintKind.PDQ, value),))


def sha256_entry(fingerprints: Fingerprints) -> NewEntry:
    return NewEntry((Fingerprint(FingerprintKind.SHA256, fingerprints.sha256),))


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        """The time."""
        return self.at

    def move(self, **how_far: float) -> None:
        """Let time pass: `days=1` and the like."""
        self.at += timedelta(**how_far)


class World:
    """One process's store, gate and keeper."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        clock: Clock | None = None,
        retention_days: int = 90,
        turn_seconds: float = 10.0,
    ) -> None:
        self.clock = clock or Clock()
        self.store = Store.initialise(url, remembers=retention_days > 0)
        self.known = KnownFollower(self.store, folder / "known")
        self.gate = Gate(self.known, now=self.clock)
        self.index = SeenIndex(self.store, folder / "seen")
        self.keeper = SeenKeeper(
            self.store,
            self.known,
            Policy(),
            self.index,
            retention=timedelta(days=retention_days) if retention_days else None,
            turn_seconds=turn_seconds,
            now=self.clock,
        )

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.keeper.close()
        self.known.close()
        self.store.close()

    def bank(
        self, name: str = "known", purpose: Purpose = Purpose.KNOWN_ABUSE, radius_bits: int = DEFAULT_RADIUS_BITS
    ) -> None:
        """Make a bank."""
        verdict = Verdict.ALLOW if purpose in {Purpose.BENIGN, Purpose.WATCH} else Verdict.HOLD
        self.store.create_bank(name, purpose, radius_bits=radius_bits, verdict=verdict, actor="alice")

    def add(self, *entries: NewEntry, bank: str = "known") -> list[int]:
        """Add entries; their ids."""
        return self.store.add_entries(bank, entries, ORIGIN, actor="alice")

    def judge(self, fingerprints: Fingerprints, ref: str = "item", account: str | None = None) -> Screening:
        """A screening that is not recorded yet."""
        return judge(fingerprints, ItemMeta(item_ref=ref, account_ref=account), self.gate, time.perf_counter())

    def see(self, fingerprints: Fingerprints, ref: str = "item", account: str | None = None) -> Screening:
        """Screen and record a picture."""
        return self.store.record(self.judge(fingerprints, ref, account))

    def see_all(self, pictures: Iterable[Fingerprints]) -> list[Screening]:
        """Screen pictures and record them in one go."""
        screenings = [self.judge(each, f"item {number}") for number, each in enumerate(pictures)]
        self.store.record_many(screenings)
        return screenings

    def run(self) -> None:
        """Do everything that waits."""
        assert self.keeper.settle()

    def retroactive_pairs(self) -> dict[tuple[str, int], str]:
        """Case by screening and entry, of everything that was found in retrospect."""
        pairs: dict[tuple[str, int], str] = {}
        for case in self.store.cases.cases(limit=10_000):
            for item in self.store.cases.items(case.id, limit=100_000):
                live = {match.entry_id for match in self.store.screening(item.screening_id).outcome.matches}
                for match in item.matches:
                    if match.entry_id in live:
                        continue
                    assert (item.screening_id, match.entry_id) not in pairs, "found twice"
                    pairs[item.screening_id, match.entry_id] = case.id
        return pairs


def turned(value: bytes) -> bytes:
    """The code of the transposed picture, by the plain definition: bit (row, column) becomes bit (column, row)."""
    rows = np.unpackbits(np.frombuffer(value, np.uint8)).reshape(16, 16)
    return bytes(np.packbits(rows.T.copy()))
