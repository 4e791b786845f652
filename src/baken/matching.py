"""The known entries in memory: exact search in all active codes, with each bank's own radius and pause switch.

Pure of storage and web: whoever holds a `KnownEntries` feeds it (`known.py` does, from the database's change log), or
gives it indexes that are fed (`known_files.py`).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from baken._native import HammingIndex
from baken.model import (
    PDQ_BYTES,
    Bank,
    BankState,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    Match,
    NewEntry,
    Transform,
)

# An index id carries bank and entry, so that a match needs no table beside the index: 23 bits of bank, 40 of entry.
_ENTRY_ID_BITS = 40
_ENTRY_ID_MASK = (1 << _ENTRY_ID_BITS) - 1

_TRANSFORMS = tuple(Transform)
_NOBODY: set[int] = set()


class CodeIndex(Protocol):
    """What a search needs of an index; `HammingIndex` and `IndexFolder` have it."""

    @property
    def memory_bytes(self) -> int:
        """Memory of this process."""

    def __len__(self) -> int: ...

    def add(self, codes: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        """Add codes under ids."""

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove every code of the ids."""

    def search(
        self, codes: NDArray[np.uint8], radius_bits: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Find every code at most `radius_bits` from each query."""


class KnownEntries:
    """Every entry that may match, searchable from any number of threads.

    PDQ codes lie in a Hamming index. Exact digests lie in a second one, asked at radius 0 under a 256-bit digest of
    kind and value, so that short and long digests share one structure with the same freshness.
    """

    def __init__(self, pdq: CodeIndex | None = None, digests: CodeIndex | None = None) -> None:
        self._pdq: CodeIndex = HammingIndex() if pdq is None else pdq
        self._digests: CodeIndex = HammingIndex() if digests is None else digests
        self._banks: dict[int, Bank] = {}
        self._radius_bits = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many codes are held, digests included."""
        return len(self._pdq) + len(self._digests)

    @property
    def memory_bytes(self) -> int:
        """Memory of both indexes."""
        return self._pdq.memory_bytes + self._digests.memory_bytes

    def set_banks(self, banks: Iterable[Bank]) -> None:
        """Replace the banks; entries of a bank that is absent, paused or withdrawn do not match."""
        with self._lock:
            self._banks = {bank.id: bank for bank in banks if bank.state is BankState.ACTIVE}
            self._radius_bits = max((bank.radius_bits for bank in self._banks.values()), default=0)

    def put_codes(
        self,
        kind: FingerprintKind,
        entry_ids: NDArray[np.int64],
        bank_ids: NDArray[np.int64],
        values: NDArray[np.uint8],
    ) -> None:
        """Add codes of one kind: `values` is uint8[N, kind.size_bytes], ids are int64[N]."""
        index = self._pdq if kind is FingerprintKind.PDQ else self._digests
        index.add(index_codes(kind, values), index_ids(entry_ids, bank_ids))

    def remove_entries(self, entry_ids: NDArray[np.int64], bank_ids: NDArray[np.int64]) -> None:
        """Remove every code of these entries; unknown ones are no error."""
        ids = index_ids(entry_ids, bank_ids)
        self._pdq.remove(ids)
        self._digests.remove(ids)

    def search(self, fingerprints: Fingerprints) -> tuple[Match, ...]:
        """All matches of one item: exact digests, and PDQ in all eight orientations when it may be compared."""
        matches = self._exact(fingerprints.digests())
        if fingerprints.unscreenable is None and fingerprints.pdq_orientations is not None:
            matches += self._near(fingerprints.pdq_orientations)
        return _one_per_entry(matches)

    def lookup(self, fingerprints: Sequence[Fingerprint]) -> list[tuple[Match, ...]]:
        """The matches of each fingerprint as it is, in the order asked; no orientations are tried."""
        answers: list[list[Match]] = [[] for _ in fingerprints]
        self._lookup_pdq(fingerprints, answers)
        self._lookup_digests(fingerprints, answers)
        return [_one_per_entry(matches) for matches in answers]

    def find_held(self, bank_id: int, entries: Sequence[NewEntry]) -> list[int | None]:
        """For each of the entries the id of one in this bank that has all of its fingerprints, or None.

        Whether the bank is paused does not matter: what it holds, it holds.
        """
        holders = self._holders(bank_id, [code for entry in entries for code in entry.fingerprints])
        held: list[int | None] = [None] * len(entries)
        position = 0
        for row, entry in enumerate(entries):
            after = position + len(entry.fingerprints)
            if position in holders:
                ids = [holders.get(each, _NOBODY) for each in range(position, after)]
                held[row] = min(set.intersection(*ids), default=None)
            position = after
        return held

    def _holders(self, bank_id: int, codes: Sequence[Fingerprint]) -> dict[int, set[int]]:
        """The entries of a bank that hold each code, by its position; positions that none holds are left out."""
        holders: dict[int, set[int]] = {}
        near = [position for position, code in enumerate(codes) if code.kind is FingerprintKind.PDQ]
        exact = [position for position, code in enumerate(codes) if code.kind is not FingerprintKind.PDQ]
        stacked_near = _stack(codes[position].value for position in near)
        stacked_exact = _stack(_digest_code(codes[position].kind, codes[position].value) for position in exact)
        for index, asked, stacked in ((self._pdq, near, stacked_near), (self._digests, exact, stacked_exact)):
            rows, ids, _ = index.search(stacked, 0)
            in_bank = ids >> _ENTRY_ID_BITS == bank_id
            for row, packed_id in zip(rows[in_bank].tolist(), ids[in_bank].tolist(), strict=True):
                holders.setdefault(asked[row], set()).add(packed_id & _ENTRY_ID_MASK)
        return holders

    def _lookup_pdq(self, fingerprints: Sequence[Fingerprint], answers: list[list[Match]]) -> None:
        asked = [row for row, each in enumerate(fingerprints) if each.kind is FingerprintKind.PDQ]
        if not asked:
            return
        joined = b"".join(fingerprints[row].value for row in asked)
        codes = np.frombuffer(joined, dtype=np.uint8).reshape(-1, PDQ_BYTES)
        rows, ids, distances = self._pdq.search(codes, self._radius_bits)
        for row, packed_id, distance_bits in zip(rows.tolist(), ids.tolist(), distances.tolist(), strict=True):
            match = self._match(packed_id, FingerprintKind.PDQ, distance_bits, Transform.IDENTITY)
            if match is not None:
                answers[asked[row]].append(match)

    def _lookup_digests(self, fingerprints: Sequence[Fingerprint], answers: list[list[Match]]) -> None:
        asked = [row for row, each in enumerate(fingerprints) if each.kind.is_exact]
        if not asked:
            return
        codes = _stack(_digest_code(fingerprints[row].kind, fingerprints[row].value) for row in asked)
        rows, ids, _ = self._digests.search(codes, 0)
        for row, packed_id in zip(rows.tolist(), ids.tolist(), strict=True):
            match = self._match(packed_id, fingerprints[asked[row]].kind, 0, Transform.IDENTITY)
            if match is not None:
                answers[asked[row]].append(match)

    def _exact(self, digests: Sequence[Fingerprint]) -> list[Match]:
        answers: list[list[Match]] = [[] for _ in digests]
        self._lookup_digests(digests, answers)
        return [match for answer in answers for match in answer]

    def _near(self, orientations: NDArray[np.uint8]) -> list[Match]:
        rows, ids, distances = self._pdq.search(orientations, self._radius_bits)
        found = (
            self._match(packed_id, FingerprintKind.PDQ, distance_bits, _TRANSFORMS[row])
            for row, packed_id, distance_bits in zip(rows.tolist(), ids.tolist(), distances.tolist(), strict=True)
        )
        return [match for match in found if match is not None]

    def _match(self, packed_id: int, kind: FingerprintKind, distance_bits: int, transform: Transform) -> Match | None:
        """The match as its bank sees it, or None when the bank does not count or its own radius is smaller."""
        bank = self._banks.get(packed_id >> _ENTRY_ID_BITS)
        if bank is None or distance_bits > bank.radius_bits:
            return None
        entry_id = packed_id & _ENTRY_ID_MASK
        return Match(bank.id, bank.name, bank.purpose, bank.verdict, entry_id, kind, distance_bits, transform)


def index_ids(entry_ids: NDArray[np.int64], bank_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids under which an index holds the codes of entries: int64[N], as many as were given."""
    return (bank_ids << _ENTRY_ID_BITS) | entry_ids


def index_codes(kind: FingerprintKind, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The codes, uint8[N, 32], under which an index holds values of one kind, uint8[N, kind.size_bytes]."""
    return np.ascontiguousarray(values) if kind is FingerprintKind.PDQ else _digest_codes(kind, values)


def _digest_code(kind: FingerprintKind, value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=32, person=kind.value.encode()).digest()


def _digest_codes(kind: FingerprintKind, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _stack(_digest_code(kind, row.tobytes()) for row in values)


def _stack(codes: Iterable[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(codes), dtype=np.uint8).reshape(-1, PDQ_BYTES)


def _one_per_entry(matches: Iterable[Match]) -> tuple[Match, ...]:
    """The best match of each entry: an exact digest before a perceptual one, the nearest before the farther."""
    best: dict[int, Match] = {}
    for match in matches:
        known = best.get(match.entry_id)
        if known is None or _rank(match) < _rank(known):
            best[match.entry_id] = match
    return tuple(sorted(best.values(), key=_rank))


def _rank(match: Match) -> tuple[bool, int, int, int]:
    return (not match.kind.is_exact, match.distance_bits, match.entry_id, _TRANSFORMS.index(match.transform))
