"""Banks: names, states, rules and history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from store_samples import ORIGIN, add, make_bank, pdq_entry

from baken.errors import ConflictError, InvalidValueError, NotFoundError
from baken.flood import FloodLimits
from baken.model import BankState, EntryState, Purpose, Verdict
from baken.store import Store


def test_a_new_bank_is_active_and_reads_back_as_it_was_made(store: Store):
    before = datetime.now(UTC)
    made = store.create_bank(
        "gezin é", Purpose.OWN_PHOTO, radius_bits=12, verdict=Verdict.HOLD, actor="alice", reason="asked by a parent"
    )

    assert store.bank("gezin é") == store.bank_by_id(made.id) == made
    assert (made.name, made.purpose, made.radius_bits, made.verdict) == (
        "gezin é",
        Purpose.OWN_PHOTO,
        12,
        Verdict.HOLD,
    )
    assert made.state is BankState.ACTIVE
    assert made.reason == "asked by a parent"
    assert before <= made.created_at == made.updated_at <= datetime.now(UTC)
    assert made.created_at.tzinfo is UTC


def test_a_name_is_taken_until_its_bank_is_withdrawn(store: Store):
    first = make_bank(store)

    with pytest.raises(ConflictError, match="'known' exists already"):
        make_bank(store)
    store.set_bank_state("known", BankState.WITHDRAWN, actor="bob", reason="contract ended")
    second = make_bank(store)

    assert second.id > first.id
    assert store.bank("known") == second
    assert store.bank_by_id(first.id).state is BankState.WITHDRAWN


def test_pausing_and_resuming_keeps_the_reason(store: Store):
    made = make_bank(store)

    paused = store.set_bank_state("known", BankState.PAUSED, actor="bob", reason="too many mistakes")
    resumed = store.set_bank_state("known", BankState.ACTIVE, actor="bob", reason=None)

    assert (paused.state, paused.reason) == (BankState.PAUSED, "too many mistakes")
    assert (resumed.state, resumed.reason) == (BankState.ACTIVE, None)
    assert made.updated_at <= paused.updated_at <= resumed.updated_at
    assert resumed.created_at == made.created_at


@pytest.mark.parametrize("state", BankState)
def test_withdrawal_of_a_bank_is_final(store: Store, state: BankState):
    make_bank(store)
    store.set_bank_state("known", BankState.WITHDRAWN, actor="bob", reason="contract ended")

    with pytest.raises(ConflictError, match="final"):
        store.set_bank_state("known", state, actor="bob", reason=None)
    with pytest.raises(ConflictError, match="final"):
        store.add_entries("known", [pdq_entry(1)], ORIGIN, actor="bob")

    assert store.bank("known").state is BankState.WITHDRAWN


def test_an_unknown_bank_is_not_found_wherever_it_is_named(store: Store):
    for ask in (
        lambda: store.bank("nobody"),
        lambda: store.bank_by_id(7),
        lambda: store.bank_by_id(1 << 70),
        lambda: store.set_bank_state("nobody", BankState.PAUSED, actor="bob", reason=None),
        lambda: store.add_entries("nobody", [pdq_entry(1)], ORIGIN, actor="bob"),
        lambda: store.entry("nobody", 1),
        lambda: store.entries("nobody"),
        lambda: store.set_entry_states("nobody", [1], EntryState.PAUSED, actor="bob", reason=None),
        lambda: store.bank_events("nobody"),
    ):
        with pytest.raises(NotFoundError):
            ask()


def test_banks_are_listed_by_id_in_pages_without_the_withdrawn(store: Store):
    made = [make_bank(store, f"bank {number}") for number in range(5)]
    store.set_bank_state("bank 1", BankState.WITHDRAWN, actor="bob", reason=None)

    assert [bank.id for bank in store.banks()] == [made[index].id for index in (0, 2, 3, 4)]
    assert [bank.name for bank in store.banks(after_id=made[0].id, limit=2)] == ["bank 2", "bank 3"]
    assert len(store.banks(include_withdrawn=True)) == 5
    assert store.banks(after_id=1 << 70) == []
    with pytest.raises(InvalidValueError, match="limit is 0"):
        store.banks(limit=0)


def test_the_schema_lets_no_own_photo_bank_block(store: Store):
    with pytest.raises(InvalidValueError, match="own_photo_never_blocks"):
        store.create_bank("gezin", Purpose.OWN_PHOTO, radius_bits=31, verdict=Verdict.BLOCK, actor="alice")

    assert store.banks() == []
    assert store.head_seq() == 0


@pytest.mark.parametrize("radius_bits", [-1, 65])
def test_the_schema_lets_no_bank_ask_for_a_radius_out_of_range(store: Store, radius_bits: int):
    with pytest.raises(InvalidValueError, match="radius_bits_is_within_the_limit"):
        store.create_bank("x", Purpose.WATCH, radius_bits=radius_bits, verdict=Verdict.ALLOW, actor="alice")


@pytest.mark.parametrize("name", ["", "nul\0byte", "lone \ud800 surrogate"])
def test_a_name_that_no_database_can_hold_is_refused_on_both_engines(store: Store, name: str):
    with pytest.raises(InvalidValueError):
        make_bank(store, name)

    assert store.banks() == []


def test_counts_name_every_state(store: Store):
    bank = make_bank(store)
    ids = add(store, 6)
    store.set_entry_states("known", ids[:2], EntryState.PAUSED, actor="bob", reason=None)
    store.set_entry_states("known", ids[2:3], EntryState.WITHDRAWN, actor="bob", reason=None)

    assert store.bank_counts(bank.id) == {
        EntryState.ACTIVE: 3,
        EntryState.PAUSED: 2,
        EntryState.QUARANTINED: 0,
        EntryState.WITHDRAWN: 1,
    }


def test_history_says_who_did_what_and_why_newest_first(store: Store):
    make_bank(store)
    ids = add(store, 3)
    store.set_entry_states("known", [ids[0], ids[2]], EntryState.QUARANTINED, actor="bob", reason="looks wrong")
    store.set_bank_state("known", BankState.PAUSED, actor="carol", reason="inspection")

    events = store.bank_events("known")

    assert [(event.what, event.actor, event.reason) for event in events] == [
        ("paused", "carol", "inspection"),
        ("entries_quarantined", "bob", "looks wrong"),
        ("entries_added", "alice", "first delivery"),
        ("created", "alice", "agreement 7"),
    ]
    assert [(event.entry_count, event.first_entry_id, event.last_entry_id) for event in events] == [
        (None, None, None),
        (2, ids[0], ids[2]),
        (3, ids[0], ids[2]),
        (None, None, None),
    ]
    assert {event.bank for event in events} == {"known"}
    assert [event.what for event in store.bank_events("known", limit=1)] == ["paused"]


def test_a_changed_bank_keeps_what_was_not_named_and_its_history_says_what_changed(store: Store):
    made = make_bank(store)
    seq = store.head_seq()

    changed = store.change_bank("known", radius_bits=20, flood_factor=3, actor="bob", reason="too many mistakes")

    assert (changed.radius_bits, changed.flood_factor) == (20, 3)
    assert (changed.verdict, changed.flood_accounts_per_hour, changed.reason) == (made.verdict, 100, made.reason)
    assert changed.updated_at > made.updated_at
    assert store.bank("known") == changed
    assert [change.kind for change in store.changes_since(seq)] == ["bank"]
    event = store.bank_events("known")[0]
    assert (event.what, event.actor, event.reason) == ("changed", "bob", "too many mistakes")
    assert event.facts == {"radius_bits": {"before": 31, "now": 20}, "flood_factor": {"before": 10, "now": 3}}


def test_a_change_to_what_a_bank_is_already_is_no_change(store: Store):
    made = make_bank(store)
    seq = store.head_seq()

    assert store.change_bank("known", radius_bits=31, verdict=Verdict.HOLD, actor="bob") == made
    assert store.head_seq() == seq


@pytest.mark.parametrize(
    "asked",
    [
        {"radius_bits": 65},
        {"radius_bits": -1},
        {"flood_accounts_per_hour": -1},
        {"flood_factor": 0},
        {"verdict": Verdict.BLOCK},
    ],
)
def test_a_change_that_breaks_a_rule_changes_nothing(store: Store, asked: dict[str, Any]):
    made = make_bank(store, purpose=Purpose.OWN_PHOTO)

    with pytest.raises(InvalidValueError):
        store.change_bank("known", actor="bob", **asked)

    assert store.bank("known") == made


def test_a_new_bank_with_flood_limits_out_of_bounds_is_refused(store: Store):
    limits = FloodLimits(-1, 10)
    with pytest.raises(InvalidValueError, match="flood_accounts_per_hour is -1"):
        store.create_bank("x", Purpose.WATCH, radius_bits=31, verdict=Verdict.ALLOW, flood=limits, actor="alice")

    assert store.banks() == []


def test_a_withdrawn_bank_is_not_changed(store: Store):
    make_bank(store)
    store.set_bank_state("known", BankState.WITHDRAWN, actor="bob", reason="over")

    with pytest.raises(ConflictError):
        store.change_bank("known", radius_bits=1, actor="bob")
