"""The known entries in memory: exact search in all active codes, with each bank's own radius and pause switch.

A search keeps the nearest entries of each bank and counts the rest. That is all a verdict depends on, so a crowd of a
million near-identical entries takes no memory, and hides no entry of another bank.

Pure of storage and web: whoever holds a `KnownEntries` feeds it (`known.py` does, from the database's change log), or
gives it indexes that are fed (`known_files.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from baken._native import GroupMatches, HammingIndex, IdGroups, NearestMatches, SearchPlan
from baken.model import (
    MAX_MATCHES,
    PDQ_BYTES,
    Bank,
    BankState,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    Found,
    Match,
    NewEntry,
    Purpose,
    Transform,
)

# An index id carries bank and entry, so that a match needs no table beside the index: 23 bits of bank, 40 of entry.
_ENTRY_ID_BITS = 40
_ENTRY_ID_MASK = (1 << _ENTRY_ID_BITS) - 1

_TRANSFORMS = tuple(Transform)
_NO_IDS = np.empty(0, np.int64)
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

    def search_nearest(self, codes: NDArray[np.uint8], radius_bits: int, limit: int) -> NearestMatches:
        """Find the nearest codes of each query, and count the others."""

    def search_groups(
        self,
        codes: NDArray[np.uint8],
        codes_an_item: int,
        groups: IdGroups,
        limit: int,
        excluded_ids: NDArray[np.int64],
    ) -> GroupMatches:
        """Find the nearest codes of each group for each item, and count the others."""

    def explain(self, radius_bits: int) -> list[SearchPlan]:
        """How each part would be searched."""


@dataclass(frozen=True, slots=True)
class _ActiveBanks:
    """The banks that count, and the same as the index wants them: within their radius, or exactly."""

    by_id: dict[int, Bank]
    near: IdGroups
    exact: IdGroups

    @classmethod
    def of(cls, banks: Iterable[Bank]) -> _ActiveBanks:
        active = sorted((bank for bank in banks if bank.state is BankState.ACTIVE), key=lambda bank: bank.id)
        ids = np.array([bank.id for bank in active], np.int64)
        radii = np.array([bank.radius_bits for bank in active], np.int32)
        groups = (IdGroups(ids, each, _ENTRY_ID_BITS) for each in (radii, np.zeros_like(radii)))
        return cls({bank.id: bank for bank in active}, *groups)

    def match(self, packed_id: int, kind: FingerprintKind, distance_bits: int, transform: Transform) -> Match:
        bank = self.by_id[packed_id >> _ENTRY_ID_BITS]
        entry_id = packed_id & _ENTRY_ID_MASK
        return Match(bank.id, bank.name, bank.purpose, bank.verdict, entry_id, kind, distance_bits, transform)


@dataclass(slots=True)
class _Finds:
    """What was found for one item so far."""

    matches: list[Match] = field(default_factory=list)
    match_count: int = 0

    def count(self, bank: Bank, entries: int) -> None:
        if bank.purpose is not Purpose.BENIGN:
            self.match_count += entries

    def found(self) -> Found:
        return Found(tuple(sorted(self.matches, key=_rank)), self.match_count)


class KnownEntries:
    """Every entry that may match, searchable from any number of threads.

    PDQ codes lie in a Hamming index. Exact digests lie in a second one, asked at radius 0 under a 256-bit digest of
    kind and value, so that short and long digests share one structure with the same freshness.
    """

    def __init__(self, pdq: CodeIndex | None = None, digests: CodeIndex | None = None) -> None:
        self._pdq: CodeIndex = HammingIndex() if pdq is None else pdq
        self._digests: CodeIndex = HammingIndex() if digests is None else digests
        self._banks = _ActiveBanks.of(())
        self.seq = -1
        """The change of the database's log that was applied last, at least; whoever feeds the entries sets it."""

    def __len__(self) -> int:
        """How many codes are held, digests included."""
        return len(self._pdq) + len(self._digests)

    @property
    def memory_bytes(self) -> int:
        """Memory of both indexes."""
        return self._pdq.memory_bytes + self._digests.memory_bytes

    def index(self, name: Literal["pdq", "digests"]) -> CodeIndex:
        """One of the two indexes."""
        return self._pdq if name == "pdq" else self._digests

    def set_banks(self, banks: Iterable[Bank]) -> None:
        """Replace the banks; entries of a bank that is absent, paused or withdrawn do not match."""
        self._banks = _ActiveBanks.of(banks)

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

    def search(self, fingerprints: Fingerprints, max_matches: int = MAX_MATCHES) -> Found:
        """The matches of one item: exact digests, and PDQ in all eight orientations when it may be compared.

        Of each bank the nearest `max_matches` are kept, for each kind of exact digest and for PDQ. An entry is one
        match: by an exact digest (the strongest) rather than by PDQ, in the orientation in which it is nearest.
        """
        banks, finds = self._banks, _Finds()
        digest_ids = self._find_digests(fingerprints.digests(), banks, max_matches, finds)
        if fingerprints.unscreenable is None and fingerprints.pdq_orientations is not None:
            orientations = fingerprints.pdq_orientations
            near = self._pdq.search_groups(orientations, len(orientations), banks.near, max_matches, digest_ids)
            rows = near.query_row.tolist()
            for row, packed_id, bits in zip(rows, near.id.tolist(), near.distance_bits.tolist(), strict=True):
                finds.matches.append(banks.match(packed_id, FingerprintKind.PDQ, bits, _TRANSFORMS[row]))
            for bank_id, count in zip(near.count_group.tolist(), near.count.tolist(), strict=True):
                finds.count(banks.by_id[bank_id], count)
        return finds.found()

    def lookup(self, fingerprints: Sequence[Fingerprint], max_matches: int = MAX_MATCHES) -> list[Found]:
        """The matches of each fingerprint as it is, in the order asked; no orientations are tried.

        Of each bank the nearest `max_matches` are kept.
        """
        banks, finds = self._banks, [_Finds() for _ in fingerprints]
        near = [row for row, each in enumerate(fingerprints) if not each.kind.is_exact]
        if near:
            codes = _stack(fingerprints[row].value for row in near)
            found = self._pdq.search_groups(codes, 1, banks.near, max_matches, _NO_IDS)
            _sort_in(found, near, fingerprints, banks, finds)
        exact = [row for row, each in enumerate(fingerprints) if each.kind.is_exact]
        if exact:
            codes = _stack(_digest_code(fingerprints[row].kind, fingerprints[row].value) for row in exact)
            found = self._digests.search_groups(codes, 1, banks.exact, max_matches, _NO_IDS)
            _sort_in(found, exact, fingerprints, banks, finds)
        return [each.found() for each in finds]

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

    def _find_digests(
        self, digests: Sequence[Fingerprint], banks: _ActiveBanks, max_matches: int, finds: _Finds
    ) -> NDArray[np.int64]:
        """Add the entries that share a digest; return the ids of all of them, int64[N].

        All ids are held at once, 8 bytes each, because an entry may share several digests and counts once.
        """
        codes = _stack(_digest_code(each.kind, each.value) for each in digests)
        rows, ids, _ = self._digests.search(codes, 0)
        if not len(ids):
            return ids
        ids, first = np.unique(ids, return_index=True)  # the strongest kind: digests come in that order
        kinds, bank_ids = rows[first], ids >> _ENTRY_ID_BITS
        is_active = np.isin(bank_ids, np.fromiter(banks.by_id, np.int64, len(banks.by_id)))
        ids, kinds, bank_ids = ids[is_active], kinds[is_active], bank_ids[is_active]
        for bank_id in np.unique(bank_ids).tolist():
            of_bank = bank_ids == bank_id
            finds.count(banks.by_id[bank_id], int(of_bank.sum()))
            for row, digest in enumerate(digests):
                nearest = ids[of_bank & (kinds == row)][:max_matches]
                finds.matches += (banks.match(each, digest.kind, 0, Transform.IDENTITY) for each in nearest.tolist())
        return ids


def _sort_in(
    found: GroupMatches,
    asked: Sequence[int],
    fingerprints: Sequence[Fingerprint],
    banks: _ActiveBanks,
    finds: Sequence[_Finds],
) -> None:
    """Hand each match and count to the fingerprint that was asked; `asked[i]` is the place of the i-th code."""
    columns = (found.query_row.tolist(), found.id.tolist(), found.distance_bits.tolist())
    for row, packed_id, distance_bits in zip(*columns, strict=True):
        kind = fingerprints[asked[row]].kind
        finds[asked[row]].matches.append(banks.match(packed_id, kind, distance_bits, Transform.IDENTITY))
    counts = (found.count_item.tolist(), found.count_group.tolist(), found.count.tolist())
    for row, bank_id, count in zip(*counts, strict=True):
        finds[asked[row]].count(banks.by_id[bank_id], count)


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


def _rank(match: Match) -> tuple[bool, int, int, int]:
    return (not match.kind.is_exact, match.distance_bits, match.entry_id, _TRANSFORMS.index(match.transform))
