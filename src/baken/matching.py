"""The known entries in memory: exact search in all active codes, with each bank's own radius and pause switch.

A search keeps the nearest entries of each bank and counts the rest. That is all a verdict depends on, so a crowd of a
million near-identical entries takes no memory, and hides no entry of another bank.

Pure of storage and web: whoever holds a `KnownEntries` feeds it (`known.py` does, from the database's change log), or
gives it indexes that are fed (`known_files.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from baken._native import GroupMatches, HammingIndex, IdGroups
from baken.copies import WHOLE_VIEW, MatchStage, QueryViews, View, ViewKind
from baken.matching_ids import (
    ENTRY_BITS,
    ENTRY_MASK,
    NO_IDS,
    VIEW_BANK_SHIFT,
    VIEW_NUMBER_BITS,
    digest_code,
    index_codes,
    index_ids,
    stacked,
    view_ids,
    view_owners,
)
from baken.matching_index import CodeIndex
from baken.matching_views import ORIENTATIONS, ViewGroups, ViewSightings, flat, sight
from baken.model import (
    DEFAULT_RADIUS_BITS,
    MAX_MATCHES,
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

__all__ = ["CodeIndex", "IndexName", "KnownEntries", "index_codes", "index_ids", "view_ids", "view_owners"]

IndexName = Literal["pdq", "digests", "views"]

VIEW_RADIUS_BITS = DEFAULT_RADIUS_BITS
"""Views match within their bank's radius, and at most within this one: there are many of them."""

TILE_RADIUS_BITS = 24
"""Likewise of a tile of the item and a view of the banked picture. The only two false matches among 13 million pairs of
photographs were such, of two plain quarters, 28 and 30 bits apart."""

_TRANSFORMS = tuple(Transform)
_NOBODY: set[int] = set()


@dataclass(frozen=True, slots=True)
class _ActiveBanks:
    """The banks that count, and the same as the indexes want them: within a radius, or exactly."""

    by_id: dict[int, Bank]
    near: IdGroups
    exact: IdGroups
    views: ViewGroups
    benign_views: ViewGroups | None
    keeping: frozenset[int]

    @classmethod
    def of(cls, banks: Iterable[Bank]) -> _ActiveBanks:
        active = sorted((bank for bank in banks if bank.state is BankState.ACTIVE), key=lambda bank: bank.id)
        benign = [bank for bank in active if bank.purpose is Purpose.BENIGN]
        return cls(
            {bank.id: bank for bank in active},
            near=_groups(active, lambda bank: bank.radius_bits, ENTRY_BITS),
            exact=_groups(active, lambda _: 0, ENTRY_BITS),
            views=_view_groups(active),
            benign_views=_view_groups(benign) if benign else None,
            keeping=frozenset(bank.id for bank in active if bank.keeps_keypoints),
        )

    def match(self, owner: int, kind: FingerprintKind, distance_bits: int, transform: Transform) -> Match:
        bank = self.by_id[owner >> ENTRY_BITS]
        entry_id = owner & ENTRY_MASK
        return Match(bank.id, bank.name, bank.purpose, bank.verdict, entry_id, kind, distance_bits, transform)

    def view_match(
        self, owner: int, distance_bits: int, transform: Transform, view: View, number: int, *, shows_whole: bool
    ) -> Match:
        plain = self.match(owner, FingerprintKind.PDQ, distance_bits, transform)
        return replace(
            plain, stage=MatchStage.VIEWS, view=view, entry_view_number=number, shows_whole_entry=shows_whole
        )


def _groups(banks: Sequence[Bank], radius_of: Callable[[Bank], int], shift_bits: int) -> IdGroups:
    ids = np.array([bank.id for bank in banks], np.int64)
    return IdGroups(ids, np.array([radius_of(bank) for bank in banks], np.int32), shift_bits)


def _view_groups(banks: Sequence[Bank]) -> ViewGroups:
    def within(limit_bits: int, shift_bits: int) -> IdGroups:
        return _groups(banks, lambda bank: min(bank.radius_bits, limit_bits), shift_bits)

    return ViewGroups(
        plain=within(VIEW_RADIUS_BITS, ENTRY_BITS),
        banked=within(VIEW_RADIUS_BITS, VIEW_BANK_SHIFT),
        tiles=within(TILE_RADIUS_BITS, VIEW_BANK_SHIFT),
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """The codes of an item: uint8[W, 32] of its leading picture, none when it may not be compared, and its views."""

    whole: NDArray[np.uint8]
    views: QueryViews | None
    whole_view: View = WHOLE_VIEW

    @classmethod
    def of(cls, item: Fingerprints) -> _Sides:
        is_comparable = item.unscreenable is None and item.pdq_orientations is not None
        whole = flat(item.pdq_orientations if is_comparable else None)
        return cls(whole, item.query_views, replace(WHOLE_VIEW, frame=item.frame))

    @property
    def parts(self) -> NDArray[np.uint8]:
        return flat(None if self.views is None else self.views.codes)

    @property
    def is_tile(self) -> NDArray[np.bool_]:
        """Which rows of `parts` are of tiles."""
        kinds = [] if self.views is None else [view.kind is ViewKind.TILE for view in self.views.views]
        return np.repeat(np.array(kinds, np.bool_), ORIENTATIONS)

    def view_of(self, row: int) -> View:
        """What the code in a row of `whole`, or behind it of `parts`, shows."""
        if row < len(self.whole) or self.views is None:
            return self.whole_view
        return self.views.views[(row - len(self.whole)) // ORIENTATIONS]

    def transform_of(self, row: int) -> Transform:
        """The orientation of the code in such a row."""
        return _TRANSFORMS[row if row < len(self.whole) else (row - len(self.whole)) % ORIENTATIONS]

    def each(self, views: Collection[View]) -> Iterator[_Sides]:
        """These views alone, one at a time."""
        if self.whole_view in views:
            yield _Sides(self.whole, None, self.whole_view)
        if self.views is not None:
            for number, view in enumerate(self.views.views):
                if view in views:
                    yield _Sides(self.whole[:0], QueryViews((view,), self.views.codes[number : number + 1]))


def _view_matches(banks: _ActiveBanks, sighted: ViewSightings, sides: _Sides) -> list[Match]:
    columns = (sighted.owners, sighted.distance_bits, sighted.rows, sighted.numbers, sighted.shows_whole)
    return [
        banks.view_match(owner, bits, sides.transform_of(row), sides.view_of(row), number, shows_whole=shows_whole)
        for owner, bits, row, number, shows_whole in zip(*(column.tolist() for column in columns), strict=True)
    ]


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
    kind and value, so that short and long digests share one structure with the same freshness. The PDQ codes of banked
    views lie in a third one.
    """

    def __init__(
        self, pdq: CodeIndex | None = None, digests: CodeIndex | None = None, views: CodeIndex | None = None
    ) -> None:
        self._pdq: CodeIndex = HammingIndex() if pdq is None else pdq
        self._digests: CodeIndex = HammingIndex() if digests is None else digests
        self._views: CodeIndex = HammingIndex(VIEW_NUMBER_BITS) if views is None else views
        self._banks = _ActiveBanks.of(())
        self.seq = -1
        """The change of the database's log that was applied last, at least; whoever feeds the entries sets it."""

    def __len__(self) -> int:
        """How many codes are held, digests and views included."""
        return len(self._pdq) + len(self._digests) + len(self._views)

    @property
    def memory_bytes(self) -> int:
        """Memory of all indexes."""
        return self._pdq.memory_bytes + self._digests.memory_bytes + self._views.memory_bytes

    def index(self, name: IndexName) -> CodeIndex:
        """One of the indexes."""
        return {"pdq": self._pdq, "digests": self._digests, "views": self._views}[name]

    def set_banks(self, banks: Iterable[Bank]) -> None:
        """Replace the banks; entries of a bank that is absent, paused or withdrawn do not match."""
        self._banks = _ActiveBanks.of(banks)

    @property
    def banks(self) -> Mapping[int, Bank]:
        """The banks that count, by id."""
        return self._banks.by_id

    @property
    def keeping_banks(self) -> frozenset[int]:
        """The ids of the banks that count and keep keypoints."""
        return self._banks.keeping

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

    def put_views(
        self,
        entry_ids: NDArray[np.int64],
        bank_ids: NDArray[np.int64],
        numbers: NDArray[np.uint8],
        codes: NDArray[np.uint8],
    ) -> None:
        """Add codes of banked views: ids are int64[N], `numbers` uint8[N], `codes` uint8[N, 32]."""
        self._views.add(np.ascontiguousarray(codes), view_ids(entry_ids, bank_ids, numbers))

    def remove_entries(self, entry_ids: NDArray[np.int64], bank_ids: NDArray[np.int64]) -> None:
        """Remove every code of these entries; unknown ones are no error."""
        ids = index_ids(entry_ids, bank_ids)
        self._pdq.remove(ids)
        self._digests.remove(ids)
        self._views.remove(view_owners(ids))

    def search(self, fingerprints: Fingerprints, max_matches: int = MAX_MATCHES) -> Found:
        """The matches of one item: exact digests, PDQ in all eight orientations when it may be compared, and views.

        Of each bank the nearest `max_matches` are kept, for each kind of exact digest, for PDQ, for views, and for
        views that show the whole of the entry's picture, which weigh more. An entry
        is one match: by an exact digest (the strongest) rather than by PDQ, and by the PDQ of both whole pictures
        rather than by views; in the orientation, and by the views, in which it is nearest. Only a benign entry may be
        told several times, once for each view of the item that another entry matched: so far it may explain that.
        """
        banks, finds = self._banks, _Finds()
        excluded = self._find_digests(fingerprints.digests(), banks, max_matches, finds)
        sides = _Sides.of(fingerprints)
        whole, whole_view = sides.whole, sides.whole_view
        if len(whole):
            near = self._pdq.search_groups(whole, len(whole), banks.near, max_matches, excluded, lists_counted=True)
            rows = near.query_row.tolist()
            for row, owner, bits in zip(rows, near.id.tolist(), near.distance_bits.tolist(), strict=True):
                found = banks.match(owner, FingerprintKind.PDQ, bits, _TRANSFORMS[row])
                finds.matches.append(found if whole_view == WHOLE_VIEW else replace(found, view=whole_view))
            for bank_id, count in zip(near.count_group.tolist(), near.count.tolist(), strict=True):
                finds.count(banks.by_id[bank_id], count)
            excluded = np.concatenate([excluded, near.counted_owner])
        self._find_views(sides, banks, max_matches, excluded, finds)
        return finds.found()

    def search_many(self, items: Sequence[Fingerprints], max_matches: int = MAX_MATCHES) -> list[Found]:
        """What `search` finds for each of the items; nearly all find nothing, which is asked of all in one go."""
        found = [Found()] * len(items)
        for number in self._items_that_meet_any(items):
            found[number] = self.search(items[number], max_matches)
        return found

    def _items_that_meet_any(self, items: Sequence[Fingerprints]) -> list[int]:
        """The numbers of all items that find something, and of few others."""
        banks = self._banks
        digests: list[bytes] = []
        digest_items: list[int] = []
        codes = [flat(None)]
        code_items: list[int] = []
        for number, item in enumerate(items):
            for each in item.digests():
                digests.append(digest_code(each.kind, each.value))
                digest_items.append(number)
            sides = _Sides.of(item)
            for part in (sides.whole, sides.parts):
                codes.append(part)
                code_items += [number] * len(part)
        together = np.concatenate(codes)
        met: set[int] = set()
        for index, asked, groups, of_items in (
            (self._digests, stacked(digests), banks.exact, digest_items),
            (self._pdq, together, banks.near, code_items),
            (self._views, together, banks.views.banked, code_items),
        ):
            # Each group's radius is the widest with which `search` asks the index.
            met |= {of_items[row] for row in index.search_groups(asked, 1, groups, 0, NO_IDS).count_item.tolist()}
        return sorted(met)

    def _find_views(
        self, sides: _Sides, banks: _ActiveBanks, max_matches: int, excluded: NDArray[np.int64], finds: _Finds
    ) -> None:
        sighted = sight(
            self._pdq,
            self._views,
            banks.views,
            whole=sides.whole,
            parts=sides.parts,
            is_tile=sides.is_tile,
            limit=max_matches,
            excluded=excluded,
        )
        if not len(sighted.counted_owners):
            return
        matches = _view_matches(banks, sighted, sides)
        finds.matches += matches
        bank_ids, counts = np.unique(sighted.counted_owners >> ENTRY_BITS, return_counts=True)
        for bank_id, count in zip(bank_ids.tolist(), counts.tolist(), strict=True):
            finds.count(banks.by_id[bank_id], count)
        if banks.benign_views is not None:
            self._find_benign(sides, banks, banks.benign_views, matches, finds)

    def _find_benign(
        self, sides: _Sides, banks: _ActiveBanks, benign: ViewGroups, matches: Sequence[Match], finds: _Finds
    ) -> None:
        """Add the nearest benign entry of each view of the item that others matched.

        What a benign entry is nearest to may be another view of the item, which explains nothing of this one.
        """
        matched = {match.view for match in matches if match.purpose is not Purpose.BENIGN}
        told = set(finds.matches)
        for side in sides.each(matched):
            sighted = sight(
                self._pdq,
                self._views,
                benign,
                whole=side.whole,
                parts=side.parts,
                is_tile=side.is_tile,
                limit=1,
                excluded=NO_IDS,
            )
            finds.matches += (each for each in _view_matches(banks, sighted, side) if each not in told)

    def lookup(self, fingerprints: Sequence[Fingerprint], max_matches: int = MAX_MATCHES) -> list[Found]:
        """The matches of each fingerprint as it is, in the order asked; no orientations are tried.

        A PDQ is compared with whole pictures and with banked views. Of each bank the nearest `max_matches` are kept.
        """
        banks, finds = self._banks, [_Finds() for _ in fingerprints]
        near = [row for row, each in enumerate(fingerprints) if not each.kind.is_exact]
        if near:
            codes = stacked(fingerprints[row].value for row in near)
            found = self._pdq.search_groups(codes, 1, banks.near, max_matches, NO_IDS)
            _sort_in(found, near, fingerprints, banks, finds)
            self._lookup_views(codes, near, banks, max_matches, finds)
        exact = [row for row, each in enumerate(fingerprints) if each.kind.is_exact]
        if exact:
            codes = stacked(digest_code(fingerprints[row].kind, fingerprints[row].value) for row in exact)
            found = self._digests.search_groups(codes, 1, banks.exact, max_matches, NO_IDS)
            _sort_in(found, exact, fingerprints, banks, finds)
        return [each.found() for each in finds]

    def _lookup_views(
        self,
        codes: NDArray[np.uint8],
        asked: Sequence[int],
        banks: _ActiveBanks,
        max_matches: int,
        finds: Sequence[_Finds],
    ) -> None:
        """Ask the views for each code; `asked[i]` is the place of the i-th code among the finds."""
        met = self._views.search_groups(codes, 1, banks.views.banked, 0, NO_IDS).count_item
        if not len(met):
            return
        for row in np.unique(met).tolist():  # few: each is asked again, without what its whole picture matched
            code = codes[row : row + 1]
            near = self._pdq.search_groups(code, 1, banks.near, 0, NO_IDS, lists_counted=True)
            self._find_views(_Sides(code, None), banks, max_matches, near.counted_owner, finds[asked[row]])

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
        near_codes = stacked(codes[position].value for position in near)
        exact_codes = stacked(digest_code(codes[position].kind, codes[position].value) for position in exact)
        for index, asked, values in ((self._pdq, near, near_codes), (self._digests, exact, exact_codes)):
            rows, ids, _ = index.search(values, 0)
            in_bank = ids >> ENTRY_BITS == bank_id
            for row, packed_id in zip(rows[in_bank].tolist(), ids[in_bank].tolist(), strict=True):
                holders.setdefault(asked[row], set()).add(packed_id & ENTRY_MASK)
        return holders

    def _find_digests(
        self, digests: Sequence[Fingerprint], banks: _ActiveBanks, max_matches: int, finds: _Finds
    ) -> NDArray[np.int64]:
        """Add the entries that share a digest; return the ids of all of them, int64[N].

        All ids are held at once, 8 bytes each, because an entry may share several digests and counts once.
        """
        codes = stacked(digest_code(each.kind, each.value) for each in digests)
        rows, ids, _ = self._digests.search(codes, 0)
        if not len(ids):
            return ids
        ids, first = np.unique(ids, return_index=True)  # the strongest kind: digests come in that order
        kinds, bank_ids = rows[first], ids >> ENTRY_BITS
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


def _rank(match: Match) -> tuple[bool, bool, int, int, int]:
    is_of_views = match.stage is not MatchStage.FINGERPRINT
    return (
        not match.kind.is_exact,
        is_of_views,
        match.distance_bits,
        match.entry_id,
        _TRANSFORMS.index(match.transform),
    )
