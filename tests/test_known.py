"""The index, in memory or on disk, equals the database after every change, whichever process made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baken.known import KnownFollower
from baken.model import (
    BankState,
    EntryState,
    Fingerprint,
    FingerprintKind,
    NewEntry,
    Provenance,
    Purpose,
    Verdict,
)
from baken.store import Store

PROVENANCE = Provenance("test", "alice")


def value(number: int, kind: FingerprintKind = FingerprintKind.PDQ) -> bytes:
    """A value far from every other: numbers spread over all bytes."""
    return bytes((number * 73 + position * (number + 11)) % 256 for position in range(kind.size_bytes))


def pdq_entry(number: int) -> NewEntry:
    return NewEntry((Fingerprint(FingerprintKind.PDQ, value(number)),))


def make_bank(store: Store, name: str, purpose: Purpose = Purpose.WATCH) -> None:
    store.create_bank(name, purpose, radius_bits=0, verdict=Verdict.ALLOW, actor="alice")


Follow = Callable[[Store], KnownFollower]


@pytest.fixture(params=["memory", "files"])
def follow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Follow]:
    """Makes followers, with an index of their own in memory or one that all share on disk."""
    with ExitStack() as closing:

        def make(store: Store) -> KnownFollower:
            follower = KnownFollower(store, tmp_path / "index" if request.param == "files" else None)
            closing.callback(follower.close)
            return follower

        yield make


def entries_found(follower: KnownFollower, number: int) -> list[int]:
    [answer] = follower.refresh().lookup([Fingerprint(FingerprintKind.PDQ, value(number))])
    return sorted(match.entry_id for match in answer.matches)


def test_an_entry_added_elsewhere_counts_on_the_next_search(follow: Follow, store: Store, store_url: str):
    make_bank(store, "b")
    follower = follow(store)
    assert entries_found(follower, 1) == []
    with Store.open(store_url) as other:
        added = other.add_entries("b", [pdq_entry(1)], PROVENANCE, actor="bob")
    assert entries_found(follower, 1) == added


@pytest.mark.parametrize("state", [EntryState.PAUSED, EntryState.QUARANTINED, EntryState.WITHDRAWN])
def test_an_entry_that_is_not_active_does_not_match(follow: Follow, store: Store, state: EntryState):
    make_bank(store, "b")
    first, second = store.add_entries("b", [pdq_entry(1), pdq_entry(2)], PROVENANCE, actor="bob")
    follower = follow(store)
    assert entries_found(follower, 1) == [first]
    store.set_entry_states("b", [first], state, actor="bob", reason="test")
    assert entries_found(follower, 1) == []
    assert entries_found(follower, 2) == [second]


def test_a_bank_that_is_paused_does_not_match_until_it_is_resumed(follow: Follow, store: Store):
    make_bank(store, "b")
    [entry_id] = store.add_entries("b", [pdq_entry(1)], PROVENANCE, actor="bob")
    follower = follow(store)
    store.set_bank_state("b", BankState.PAUSED, actor="bob", reason="test")
    assert entries_found(follower, 1) == []
    store.set_bank_state("b", BankState.ACTIVE, actor="bob", reason="test")
    assert entries_found(follower, 1) == [entry_id]


def test_an_entry_added_to_a_paused_bank_counts_when_the_bank_is_resumed(follow: Follow, store: Store):
    make_bank(store, "b")
    follower = follow(store)
    follower.refresh()
    store.set_bank_state("b", BankState.PAUSED, actor="bob", reason="test")
    [entry_id] = store.add_entries("b", [pdq_entry(1)], PROVENANCE, actor="bob")
    assert entries_found(follower, 1) == []
    store.set_bank_state("b", BankState.ACTIVE, actor="bob", reason="test")
    assert entries_found(follower, 1) == [entry_id]


def test_a_state_change_does_not_double_its_neighbours(follow: Follow, store: Store):
    for name in ("b", "c"):
        make_bank(store, name)
    scattered = []
    for number in range(6):
        scattered += store.add_entries("bc"[number % 2], [pdq_entry(number)], PROVENANCE, actor="bob")
    follower = follow(store)
    before = len(follower.refresh())
    store.set_entry_states("b", [scattered[0], scattered[4]], EntryState.PAUSED, actor="bob", reason="test")
    assert len(follower.refresh()) == before - 2
    store.set_entry_states("b", [scattered[0], scattered[4]], EntryState.ACTIVE, actor="bob", reason="test")
    assert len(follower.refresh()) == before


def test_digests_and_pdq_of_one_entry_come_and_go_together(follow: Follow, store: Store):
    make_bank(store, "b")
    fingerprints = tuple(Fingerprint(kind, value(9, kind)) for kind in FingerprintKind)
    [entry_id] = store.add_entries("b", [NewEntry(fingerprints)], PROVENANCE, actor="bob")
    follower = follow(store)
    for fingerprint in fingerprints:
        [answer] = follower.refresh().lookup([fingerprint])
        assert [match.entry_id for match in answer.matches] == [entry_id]
    store.set_entry_states("b", [entry_id], EntryState.WITHDRAWN, actor="bob", reason="test")
    assert len(follower.refresh()) == 0


@settings(derandomize=True, max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_follower_equals_a_fresh_load_after_any_history(follow: Follow, store: Store, data: st.DataObject):
    name = f"bank-{len(store.banks(include_withdrawn=True))}"
    make_bank(store, name)
    follower = follow(store)
    entry_ids: list[int] = []
    for step in range(data.draw(st.integers(1, 8))):
        if not entry_ids or data.draw(st.booleans()):
            new = [pdq_entry(step * 10 + offset) for offset in range(data.draw(st.integers(1, 4)))]
            entry_ids += store.add_entries(name, new, PROVENANCE, actor="bob")
        else:
            chosen = data.draw(st.lists(st.sampled_from(entry_ids), min_size=1, unique=True))
            state = data.draw(st.sampled_from([EntryState.ACTIVE, EntryState.PAUSED]))
            store.set_entry_states(name, chosen, state, actor="bob", reason="test")
        if data.draw(st.booleans()):
            follower.refresh()
    fresh = follow(store)
    questions = [Fingerprint(FingerprintKind.PDQ, value(number)) for number in range(80)]
    assert follower.refresh().lookup(questions) == fresh.refresh().lookup(questions)
    assert len(follower.refresh()) == len(fresh.refresh())
