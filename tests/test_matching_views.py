"""Banked views and an item's views, found through two indexes, against a search of everything by brute force."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baken.copies import FIRST_FRAME_VIEW, WHOLE_VIEW, MatchStage, QueryViews, Region, View, ViewKind
from baken.errors import StoreError
from baken.matching import TILE_RADIUS_BITS, VIEW_RADIUS_BITS, KnownEntries, view_ids, view_owners
from baken.matching_ids import MAX_VIEW_BANK_ID, MAX_VIEW_ENTRY_ID, VIEW_NUMBER_BITS, index_ids, owners_of_views
from baken.model import (
    Bank,
    BankState,
    Fingerprint,
    FingerprintKind,
    Fingerprints,
    Found,
    Purpose,
    Transform,
    Unscreenable,
    UnscreenableReason,
    Verdict,
)

Codes = NDArray[np.uint8]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRANSFORMS = tuple(Transform)
QUERY_VIEWS = (
    View(ViewKind.TRIMMED, Region(0.1, 0.1, 0.9, 0.9)),
    View(ViewKind.CAPTION_CUT, Region(0, 0.2, 1, 1)),
    View(ViewKind.TILE, Region(0.5, 0.5, 1, 1)),
)


def bank(bank_id: int, radius_bits: int = 31, purpose: Purpose = Purpose.WATCH) -> Bank:
    return Bank(bank_id, f"bank-{bank_id}", purpose, radius_bits, Verdict.HOLD, BankState.ACTIVE, None, NOW, NOW)


def near(rng: np.random.Generator, code: Codes, bits: int) -> Codes:
    unpacked = np.unpackbits(code)
    unpacked[rng.permutation(256)[:bits]] ^= 1
    return np.packbits(unpacked)


def random_codes(rng: np.random.Generator, *shape: int) -> Codes:
    return rng.integers(0, 256, (*shape, 32), dtype=np.uint8)


def item(whole: Codes, parts: Codes, unscreenable: Unscreenable | None = None) -> Fingerprints:
    data = whole.tobytes()
    return Fingerprints(
        sha256=hashlib.sha256(data).digest(),
        sha1=hashlib.sha1(data, usedforsecurity=False).digest(),
        md5=hashlib.md5(data, usedforsecurity=False).digest(),
        pdq=whole[0].tobytes(),
        quality_percent=100,
        unscreenable=unscreenable,
        pdq_orientations=whole,
        query_views=QueryViews(QUERY_VIEWS[: len(parts)], parts),
    )


@dataclass
class World:
    """What is banked, as plain arrays: one PDQ an entry, and views."""

    banks: list[Bank]
    bank_of: NDArray[np.int64]
    codes: Codes
    view_entries: NDArray[np.int64]
    numbers: NDArray[np.uint8]
    view_codes: Codes

    def known(self) -> KnownEntries:
        """The same, searchable."""
        known = KnownEntries()
        known.set_banks(self.banks)
        entry_ids = np.arange(1, len(self.codes) + 1)
        known.put_codes(FingerprintKind.PDQ, entry_ids, self.bank_of, self.codes)
        known.put_views(self.view_entries, self.bank_of[self.view_entries - 1], self.numbers, self.view_codes)
        return known

    def sightings(self, whole: Codes, parts: Codes) -> Iterator[tuple[int, int, bool, int, int, int]]:
        """Every (entry, bits, is of views, entry's view number, query row, radius) there is, within a radius or not."""
        asked = np.concatenate([whole, parts.reshape(-1, 32)])
        for rows, codes, entries, numbers in (
            (range(len(asked)), self.codes, np.arange(1, len(self.codes) + 1), np.zeros(len(self.codes), np.uint8)),
            (range(len(asked)), self.view_codes, self.view_entries, self.numbers),
        ):
            is_banked_view = codes is self.view_codes
            for row in rows:
                bits = np.unpackbits(codes ^ asked[row], axis=1).sum(axis=1, dtype=np.int64)
                for place in np.flatnonzero(bits <= 40).tolist():
                    entry = int(entries[place])
                    radius = self.banks[int(self.bank_of[entry - 1]) - 1].radius_bits
                    is_of_views = is_banked_view or row >= len(whole)
                    is_tile = row >= len(whole) and QUERY_VIEWS[(row - len(whole)) // 8].kind is ViewKind.TILE
                    view_limit = TILE_RADIUS_BITS if is_tile and is_banked_view else VIEW_RADIUS_BITS
                    limit = min(radius, view_limit) if is_of_views else radius
                    yield entry, int(bits[place]), is_of_views, int(numbers[place]), row, limit

    def expected(self, whole: Codes, parts: Codes) -> dict[int, tuple[bool, int, int, int]]:
        """Of each entry that matches its strongest match: (is of views, bits, number, row)."""
        best: dict[int, tuple[bool, int, int, int]] = {}
        for entry, bits, is_of_views, number, row, limit in self.sightings(whole, parts):
            if bits <= limit:
                sighting = (is_of_views, bits, number, row)
                best[entry] = min(sighting, best.get(entry, sighting))
        return best

    def shown_whole(self, whole: Codes, parts: Codes) -> dict[int, int]:
        """The entries whose whole picture is within the radius for views of a view of the item: the least distance."""
        least: dict[int, int] = {}
        for entry, bits, _, number, row, limit in self.sightings(whole, parts):
            if number == 0 and row >= len(whole) and bits <= limit:
                least[entry] = min(bits, least.get(entry, bits))
        return least


def crowded_world(rng: np.random.Generator, entries: int, centres: Codes, radii: tuple[int, int, int]) -> World:
    """Entries whose whole pictures and views lie at all distances around few centres, and some elsewhere."""

    def around(count: int) -> Codes:
        codes = random_codes(rng, count)
        for row in np.flatnonzero(rng.random(count) < 0.7).tolist():
            codes[row] = near(rng, centres[rng.integers(0, len(centres))], int(rng.integers(0, 45)))
        return codes

    view_entries = np.sort(rng.integers(1, entries + 1, 3 * entries))
    return World(
        [bank(number + 1, radius) for number, radius in enumerate(radii)],
        rng.integers(1, 4, entries),
        around(entries),
        view_entries,
        (np.arange(len(view_entries)) % (FIRST_FRAME_VIEW - 1) + 1).astype(np.uint8),  # no frames
        around(len(view_entries)),
    )


def told(found: Found) -> dict[int, tuple[bool, int, int]]:
    return {
        match.entry_id: (match.stage is MatchStage.VIEWS, match.distance_bits, match.entry_view_number)
        for match in found.matches
    }


@given(
    seed=st.integers(0, 2**32 - 1),
    radii=st.tuples(st.integers(0, 40), st.integers(0, 40), st.just(31)),
    part_count=st.integers(0, 3),
)
@settings(max_examples=40, derandomize=True, deadline=None)
def test_an_entry_is_one_match_the_strongest_and_nearest_of_all(
    seed: int, radii: tuple[int, int, int], part_count: int
):
    rng = np.random.default_rng(seed)
    whole, parts = random_codes(rng, 8), random_codes(rng, part_count, 8)
    centres = np.concatenate([whole[:2], parts.reshape(-1, 32)[:3]])
    world = crowded_world(rng, 60, centres, radii)

    found = world.known().search(item(whole, parts), max_matches=1_000)

    expected = world.expected(whole, parts)
    assert told(found) == {entry: sighting[:3] for entry, sighting in expected.items()}
    assert found.match_count == len(expected) == len(found.matches)
    for match in found.matches:
        row = expected[match.entry_id][3]
        assert match.transform is TRANSFORMS[row % 8]
        assert match.view == (WHOLE_VIEW if row < 8 else QUERY_VIEWS[(row - 8) // 8])
        is_of_views = match.stage is MatchStage.VIEWS
        assert match.shows_whole_entry == (not is_of_views or match.entry_id in world.shown_whole(whole, parts))


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_the_nearest_of_each_bank_are_listed_and_all_are_counted(limit: int):
    rng = np.random.default_rng(limit)
    whole, parts = random_codes(rng, 8), random_codes(rng, 3, 8)
    world = crowded_world(rng, 300, np.concatenate([whole[:1], parts[:, 0]]), (31, 25, 31))

    found = world.known().search(item(whole, parts), max_matches=limit)

    expected, shown_whole = world.expected(whole, parts), world.shown_whole(whole, parts)
    assert found.match_count == len(expected) > 30
    for number in (1, 2, 3):
        for is_of_views in (False, True):
            ranked = sorted(
                (bits, entry)
                for entry, (by_view, bits, _, _) in expected.items()
                if by_view is is_of_views and world.bank_of[entry - 1] == number
            )
            listed = [
                (match.distance_bits, match.entry_id)
                for match in found.matches
                if match.bank_id == number and (match.stage is MatchStage.VIEWS) is is_of_views
            ]
            assert set(ranked[:limit]) <= set(listed)
            # A crowd of views may hide the nearest view of an entry, never that its whole picture was found.
            shown = sorted((shown_whole[entry], entry) for _, entry in ranked if entry in shown_whole)
            listed_for_whole = {entry for _, entry in shown[:limit] if is_of_views}
            assert {entry for _, entry in listed} == {entry for _, entry in ranked[:limit]} | listed_for_whole
            best = {entry: bits for bits, entry in ranked}
            assert all(best[entry] <= bits <= max(best[entry], shown_whole.get(entry, 0)) for bits, entry in listed)


@pytest.mark.parametrize("radii", [(31, 25, 31), (0, 3, 8), (40, 40, 40)])
def test_many_items_find_together_what_each_finds_alone(radii: tuple[int, int, int]):
    rng = np.random.default_rng(sum(radii))
    too_plain = Unscreenable(UnscreenableReason.LOW_QUALITY, "too plain")
    items = [
        item(random_codes(rng, 8), random_codes(rng, number % 4, 8), too_plain if number % 5 == 0 else None)
        for number in range(40)
    ]
    parts = [each.query_views.codes.reshape(-1, 32) for each in items if each.query_views is not None]
    wholes = [each.pdq_orientations for each in items if each.pdq_orientations is not None]
    # Of every second item something is banked: near its whole, its mirrored whole, or one of its views.
    centres = np.concatenate([code[:2] for code in [*wholes[::2], *parts[1::2]]])
    known = crowded_world(rng, 150, centres, radii).known()
    known.put_codes(FingerprintKind.MD5, np.array([900]), np.array([1]), np.frombuffer(items[39].md5, np.uint8)[None])

    together = known.search_many(items, max_matches=5)

    assert together == [known.search(each, max_matches=5) for each in items]
    assert 900 in told(together[39])
    assert 3 < sum(not each.matches for each in together) < 37
    assert known.search_many([]) == []


def test_a_lookup_finds_banked_views_as_well_and_each_entry_once():
    rng = np.random.default_rng(5)
    centres = random_codes(rng, 4)
    world = crowded_world(rng, 200, centres, (31, 20, 40))
    known = world.known()
    asked = [near(rng, centres[row % 4], 3) for row in range(12)] + [random_codes(rng, 1)[0] for _ in range(8)]

    answers = known.lookup([Fingerprint(FingerprintKind.PDQ, code.tobytes()) for code in asked], max_matches=1_000)

    for code, answer in zip(asked, answers, strict=True):
        expected = world.expected(code[None], np.empty((0, 8, 32), np.uint8))
        assert told(answer) == {entry: sighting[:3] for entry, sighting in expected.items()}
        assert answer.match_count == len(expected)
    assert sum(answer.match_count for answer in answers) > 100


def test_a_low_quality_picture_is_compared_by_its_views_alone():
    rng = np.random.default_rng(6)
    whole, parts = random_codes(rng, 8), random_codes(rng, 1, 8)
    world = World(
        [bank(1)],
        np.array([1, 1, 1]),
        np.stack([whole[0], parts[0, 2], random_codes(rng, 1)[0]]),
        np.array([3]),
        np.array([9], np.uint8),
        whole[:1],
    )
    flat = Unscreenable(UnscreenableReason.LOW_QUALITY, "quality 3")
    [match] = world.known().search(item(whole, parts, flat)).matches
    assert (match.entry_id, match.stage, match.view) == (2, MatchStage.VIEWS, QUERY_VIEWS[0])


def test_an_entry_that_is_removed_loses_its_views():
    rng = np.random.default_rng(7)
    whole, parts = random_codes(rng, 8), np.empty((0, 8, 32), np.uint8)
    world = crowded_world(rng, 100, whole[:1], (31, 31, 31))
    known = world.known()
    gone = np.array(sorted(world.expected(whole, parts))[::2])
    known.remove_entries(gone, world.bank_of[gone - 1])
    expected = {entry: one[:3] for entry, one in world.expected(whole, parts).items() if entry not in gone}
    assert told(known.search(item(whole, parts), max_matches=1_000)) == expected


def test_a_benign_entry_is_told_for_each_view_of_the_item_that_others_matched():
    rng = np.random.default_rng(8)
    whole, parts = random_codes(rng, 8), random_codes(rng, 2, 8)
    # The benign picture is nearest to the whole item; a part of it is also in the item's second view.
    codes = np.stack([near(rng, whole[0], 2), near(rng, parts[1, 0], 9)])
    world = World(
        [bank(1, purpose=Purpose.BENIGN), bank(2, purpose=Purpose.KNOWN_ABUSE)],
        np.array([1, 2]),
        codes,
        np.array([1]),
        np.array([7], np.uint8),
        near(rng, parts[1, 0], 4)[None],
    )
    found = world.known().search(item(whole, parts))
    told_of = {(match.purpose, match.view, match.distance_bits) for match in found.matches}
    assert told_of == {
        (Purpose.BENIGN, WHOLE_VIEW, 2),
        (Purpose.BENIGN, QUERY_VIEWS[1], 4),
        (Purpose.KNOWN_ABUSE, QUERY_VIEWS[1], 9),
    }
    assert found.match_count == 1


def test_a_crowd_of_entries_that_match_by_both_indexes_is_counted_once():
    rng = np.random.default_rng(9)
    whole, parts = random_codes(rng, 8), random_codes(rng, 1, 8)
    count = 50_000
    world = World(
        [bank(1)],
        np.ones(count, np.int64),
        np.repeat(parts[0, :1], count, axis=0),
        np.arange(1, count + 1).repeat(2),
        np.tile(np.array([1, 2], np.uint8), count),
        np.tile(np.stack([whole[3], parts[0, 1]]), (count, 1)),
    )
    found = world.known().search(item(whole, parts), max_matches=5)
    assert found.match_count == count
    assert [match.entry_id for match in found.matches] == [1, 2, 3, 4, 5]


def test_ids_of_views_name_bank_entry_and_view_at_their_limits():
    entries = np.array([1, MAX_VIEW_ENTRY_ID, 77])
    banks = np.array([MAX_VIEW_BANK_ID, MAX_VIEW_BANK_ID, 5])
    ids = view_ids(entries, banks, np.array([1, 255, 128], np.uint8))
    assert (ids > 0).all()
    assert (ids & 255).tolist() == [1, 255, 128]
    owners = owners_of_views(ids >> VIEW_NUMBER_BITS)
    assert owners.tolist() == index_ids(entries, banks).tolist()
    assert view_owners(owners).tolist() == (ids >> VIEW_NUMBER_BITS).tolist()


def test_a_banked_frame_is_whole_and_a_part_is_not():
    rng = np.random.default_rng(11)
    whole = random_codes(rng, 8)
    for number, shows_whole in ((FIRST_FRAME_VIEW - 1, False), (FIRST_FRAME_VIEW, True)):
        numbers = np.array([number], np.uint8)
        world = World([bank(1)], np.ones(1, np.int64), random_codes(rng, 1), np.ones(1, np.int64), numbers, whole[:1])
        [match] = world.known().search(item(whole, random_codes(rng, 0, 8))).matches
        assert match.shows_whole_entry is shows_whole


@pytest.mark.parametrize(("entry_id", "bank_id"), [(MAX_VIEW_ENTRY_ID + 1, 1), (1, MAX_VIEW_BANK_ID + 1)])
def test_an_id_beyond_the_index_of_views_is_an_error_that_names_it(entry_id: int, bank_id: int):
    with pytest.raises(StoreError, match=f"entry {entry_id} of bank {bank_id} has views"):
        view_ids(np.array([entry_id]), np.array([bank_id]), np.array([1], np.uint8))
    # To remove or to exclude it is no error: it cannot be there.
    assert view_owners(index_ids(np.array([entry_id, 2]), np.array([bank_id, 3]))).tolist() == [
        3 << 35 | 2,
    ]
