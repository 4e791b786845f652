"""Stage 1 on its own: which banked pictures an edited one comes near, by each set of views, and how near."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baken import fingerprints
from baken._native import HammingIndex
from baken.copies import ViewKind, ViewSet
from baken.fingerprints import Asked
from baken.fingerprints.view_table import CROPS
from baken.matching import TILE_RADIUS_BITS, VIEW_RADIUS_BITS
from baken.matching_views import ORIENTATIONS
from baken.model import PDQ_BYTES, Fingerprints
from bench.copies_gate import CopiesGate, Screened
from bench.copies_pictures import Source, edit_named, query_file

LARGEST_BITS = 64
"""Pairs farther apart than this are only counted: no radius that anyone would choose lies there."""

NEAR_BITS = 31
"""Pairs nearer than this are named one by one."""

FAR_BITS = 999

TILE_EXTRA_BITS = VIEW_RADIUS_BITS - TILE_RADIUS_BITS
"""A tile of an item and a banked view count as so much farther apart, at every radius."""

_NUMBER_BITS = 8
UNALTERED = "unaltered"


class Column(IntEnum):
    """What is banked and what is asked, the cheapest first."""

    PLAIN = 0
    HASH_ONLY = 1
    CROPS = 2
    FULL = 3

    @property
    def label(self) -> str:
        """What tables call it."""
        return _LABELS[self]


_LABELS = {
    Column.PLAIN: "plain PDQ",
    Column.HASH_ONLY: "hash-only list, query views",
    Column.CROPS: "stage 1, crops banked",
    Column.FULL: "stage 1, full set banked",
}


@dataclass(frozen=True, slots=True)
class BankedCodes:
    """The codes of one banked picture: uint8[N, 32], and of which view each is, uint8[N]; view 0 is the whole."""

    codes: NDArray[np.uint8]
    numbers: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Reply:
    """One query: which edit it was, and how far its own original is, in each column; `FAR_BITS` for not near."""

    edit: str
    draw: int
    own_bits: tuple[int, ...]


@dataclass(slots=True)
class Strangers:
    """Pairs of a query and a banked picture that is not its original.

    Attributes:
        pairs: how many were compared.
        queries: how many queries were asked.
        counts: int64[columns, LARGEST_BITS + 1], how many pairs lie at exactly that distance.
        query_counts: likewise of queries, each by its nearest stranger.
        near: the nearest ones, each as column, distance, edit, number of the query's picture, number of the banked one.
    """

    pairs: int = 0
    queries: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(Column), LARGEST_BITS + 1), np.int64))
    query_counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(Column), LARGEST_BITS + 1), np.int64))
    near: list[tuple[Column, int, str, int, int]] = field(default_factory=list)

    def add(self, other: Strangers) -> None:
        """Count what another process counted."""
        self.pairs += other.pairs
        self.queries += other.queries
        self.counts += other.counts
        self.query_counts += other.query_counts
        self.near += other.near


@dataclass(slots=True)
class Asking:
    """What asking one picture, in every edit, gave: stage 1 on its own, and screenings where there is a gate."""

    replies: list[Reply] = field(default_factory=list)
    strangers: Strangers = field(default_factory=Strangers)
    related: Strangers = field(default_factory=Strangers)
    screened: list[Screened] = field(default_factory=list)


def banked_codes(source: Source, view_set: ViewSet = ViewSet.FULL) -> BankedCodes:
    """What a bank keeps of a picture; nothing of one that is too plain or unreadable."""
    computed = fingerprints.fingerprint(source.file(), asked=Asked(bank_views=view_set))
    codes, numbers = [np.empty((0, PDQ_BYTES), np.uint8)], [np.empty(0, np.uint8)]
    if computed.pdq is not None and computed.unscreenable is None:
        codes.append(np.frombuffer(computed.pdq, np.uint8)[None])
        numbers.append(np.zeros(1, np.uint8))
    if computed.bank_views is not None:
        codes.append(computed.bank_views.codes)
        numbers.append(computed.bank_views.numbers)
    return BankedCodes(np.concatenate(codes), np.concatenate(numbers))


class CopiesBank:
    """Banked pictures, numbered in the order given, searchable within `LARGEST_BITS`."""

    def __init__(self, banked: Sequence[BankedCodes]) -> None:
        self.size = len(banked)
        self._index = HammingIndex()
        for picture, each in enumerate(banked):
            self._index.add(each.codes, (picture << _NUMBER_BITS) | each.numbers.astype(np.int64))

    def nearest_bits(self, computed: Fingerprints) -> NDArray[np.int32]:
        """int32[columns, pictures]: the distance of each banked picture, `FAR_BITS` when it is not near."""
        nearest = np.full((len(Column), self.size), FAR_BITS, np.int32)
        codes, is_upright_whole, is_tile = _asked_codes(computed)
        if not len(codes):
            return nearest
        rows, ids, bits = self._index.search(codes, LARGEST_BITS)
        pictures, numbers = ids >> _NUMBER_BITS, ids & ((1 << _NUMBER_BITS) - 1)
        bits = bits + np.where(is_tile[rows] & (numbers > 0), TILE_EXTRA_BITS, 0).astype(bits.dtype)
        counts = {
            Column.PLAIN: is_upright_whole[rows] & (numbers == 0),
            Column.HASH_ONLY: numbers == 0,
            Column.CROPS: numbers <= len(CROPS),
            Column.FULL: np.ones(len(rows), bool),
        }
        for column, counted in counts.items():
            np.minimum.at(nearest[column], pictures[counted], bits[counted])
        return nearest


def _asked_codes(computed: Fingerprints) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Every code of an item, uint8[N, 32], which is of the whole picture as it stands, and which of tiles, bool[N]."""
    codes = [np.empty((0, PDQ_BYTES), np.uint8)]
    whole_count, kinds = 0, list[ViewKind]()
    if computed.unscreenable is None and computed.pdq_orientations is not None:
        codes.append(computed.pdq_orientations)
        whole_count = 1
        kinds += [ViewKind.WHOLE] * len(computed.pdq_orientations)
    if computed.query_views is not None:
        codes.append(computed.query_views.codes.reshape(-1, PDQ_BYTES))
        kinds += [view.kind for view in computed.query_views.views for _ in range(ORIENTATIONS)]
    stacked = np.ascontiguousarray(np.concatenate(codes))
    is_tile = np.array([kind is ViewKind.TILE for kind in kinds], np.bool_)
    return stacked, np.arange(len(stacked)) < whole_count, is_tile


@dataclass(frozen=True, slots=True)
class Question:
    """One picture that is asked in several edits.

    Attributes:
        source: the picture.
        own: its number in the bank, or -1 when it is not in it.
        edits: names of edits, and which draw of their free parameters.
        related: numbers of banked pictures that show the same thing; they are counted apart.
    """

    source: Source
    own: int
    edits: tuple[tuple[str, int], ...] = ((UNALTERED, 0),)
    related: frozenset[int] = frozenset()

    def file(self, edit: str, draw: int) -> bytes:
        """The edited picture as it is uploaded; the unaltered one is the banked file itself."""
        return self.source.file() if edit == UNALTERED else query_file(self.source, edit_named(edit), draw)


def ask(bank: CopiesBank, question: Question, gate: CopiesGate | None = None) -> Asking:
    """Ask one picture in every edit, and screen the first draw of each where there is a gate."""
    asking, own = Asking(), question.own
    apart = np.zeros(bank.size, bool)
    apart[sorted(question.related)] = True
    strange = ~apart
    if own >= 0:
        strange[own] = apart[own] = False
    for name, draw in question.edits:
        data = question.file(name, draw)
        computed = fingerprints.fingerprint(data, exact=False, asked=Asked(query_views=True))
        nearest = bank.nearest_bits(computed)
        if own >= 0:
            asking.replies.append(Reply(name, draw, tuple(int(bits) for bits in nearest[:, own])))
        for counted, among in ((asking.strangers, strange), (asking.related, apart)):
            _count(counted, nearest, among, (name, own if own >= 0 else question.source.number))
        if gate is not None and draw == 0:
            sightings, cpu_ms = gate.screen(data)
            asking.screened.append(Screened(name, draw, own, question.related, sightings, cpu_ms))
    return asking


def _count(strangers: Strangers, nearest: NDArray[np.int32], among: NDArray[np.bool_], query: tuple[str, int]) -> None:
    if not among.any():
        return
    strangers.pairs += int(among.sum())
    strangers.queries += 1
    for column in Column:
        bits = np.where(among, nearest[column], FAR_BITS)
        close = bits[bits <= LARGEST_BITS]
        if len(close):
            strangers.counts[column] += np.bincount(close, minlength=LARGEST_BITS + 1)
            strangers.query_counts[column][close.min()] += 1
            name, number = query
            strangers.near += [
                (column, int(bits[picture]), name, number, int(picture))
                for picture in np.flatnonzero(bits <= NEAR_BITS)
            ]


# In processes: each holds the whole bank, and takes one picture with all of its edits at a time.


def bank_all(sources: Sequence[Source]) -> list[BankedCodes]:
    """The codes of every picture, in the order given."""
    with ProcessPoolExecutor(_cores(), get_context("spawn")) as pool:
        return list(pool.map(banked_codes, sources, chunksize=4))


def ask_all(
    banked: Sequence[BankedCodes], questions: Sequence[Question], gate_path: Path | None = None
) -> list[Asking]:
    """`ask` for each question, in the order given; `gate_path` is a data folder with the same pictures in its bank."""
    with ProcessPoolExecutor(_cores(), get_context("spawn"), _hold, (list(banked), gate_path)) as pool:
        return list(pool.map(_ask_held, questions))


@dataclass(slots=True)
class _Held:
    """What a worker process holds."""

    bank: CopiesBank
    gate: CopiesGate | None


_held: list[_Held] = []


def _hold(banked: list[BankedCodes], gate_path: Path | None) -> None:
    # The gate stays open as long as the process lives.
    _held[:] = [_Held(CopiesBank(banked), None if gate_path is None else CopiesGate(gate_path))]


def _ask_held(question: Question) -> Asking:
    return ask(_held[0].bank, question, _held[0].gate)


def _cores() -> int:
    return len(os.sched_getaffinity(0))
