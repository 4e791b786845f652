"""The change log: numbers without gaps, visible in order; a follower that applies them equals the database."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert
from store_samples import ORIGIN, add, digest, full_entry, make_bank

from baken.model import Bank, BankState, EntryState, FingerprintKind
from baken.store import Change, Store, schema
from baken.store.address import parse_address
from baken.store.changes import mutation
from baken.store.engine import Database


class Follower:
    """What `changes_since` and `active_codes` promise, used in the simplest way."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.seq = store.head_seq()
        self.codes: dict[tuple[FingerprintKind, int], tuple[int, bytes]] = {}
        self.banks: dict[int, Bank] = {bank.id: bank for bank in store.banks()}
        self.load(1, None)

    def load(self, first: int, last: int | None) -> None:
        """Take a range of entries, as a follower does at its start and for each change."""
        for kind in FingerprintKind:
            for chunk in self.store.active_codes(kind, first_entry_id=first, last_entry_id=last, chunk=3):
                for entry_id, bank_id, value in zip(chunk.entry_ids, chunk.bank_ids, chunk.values, strict=True):
                    self.codes[kind, int(entry_id)] = (int(bank_id), value.tobytes())

    def refresh(self) -> None:
        """Apply every change since the last one seen."""
        while self.seq < self.store.head_seq():
            for change in self.store.changes_since(self.seq, limit=2):
                assert change.seq == self.seq + 1
                self.apply(change)
                self.seq = change.seq

    def apply(self, change: Change) -> None:
        """Read again what one change names."""
        if change.kind == "bank":
            assert change.bank_id is not None
            self.banks[change.bank_id] = self.store.bank_by_id(change.bank_id)
        if change.kind == "entries":
            first, last = change.first_entry_id, change.last_entry_id
            assert first is not None
            assert last is not None
            self.codes = {key: code for key, code in self.codes.items() if not first <= key[1] <= last}
            self.load(first, last)

    def matching(self) -> dict[tuple[FingerprintKind, int], tuple[int, bytes]]:
        """The codes of banks that are not withdrawn."""
        gone = {bank.id for bank in self.banks.values() if bank.state is BankState.WITHDRAWN}
        return {key: code for key, code in self.codes.items() if code[0] not in gone}


def test_every_change_gets_the_next_number(store: Store):
    assert store.head_seq() == 0
    known = make_bank(store)
    ids = add(store, 3)
    store.set_entry_states("known", ids[:1], EntryState.PAUSED, actor="bob", reason=None)
    store.set_bank_state("known", BankState.PAUSED, actor="bob", reason=None)

    assert store.changes_since(0) == [
        Change(1, "bank", known.id, None, None),
        Change(2, "entries", known.id, ids[0], ids[2]),
        Change(3, "entries", known.id, ids[0], ids[0]),
        Change(4, "bank", known.id, None, None),
    ]
    assert store.head_seq() == 4
    assert [change.seq for change in store.changes_since(1, limit=2)] == [2, 3]
    assert store.changes_since(4) == []
    assert store.changes_since(1 << 70) == []


def test_a_change_of_scattered_entries_names_ranges_of_one_bank_only(store: Store):
    known = make_bank(store)
    make_bank(store, "other")
    first = add(store, 200)
    add(store, 1, bank="other", first=1000)
    second = add(store, 2, first=2000)
    seq = store.head_seq()

    chosen = [first[0], first[10], first[199], second[0]]
    store.set_entry_states("known", chosen, EntryState.PAUSED, actor="bob", reason=None)

    assert [(change.bank_id, change.first_entry_id, change.last_entry_id) for change in store.changes_since(seq)] == [
        (known.id, first[0], first[10]),
        (known.id, first[199], first[199]),
        (known.id, second[0], second[0]),
    ]


def test_a_number_is_seen_only_after_all_smaller_ones(store: Store, store_url: str):
    waits, may_commit = threading.Event(), threading.Event()

    def slow_mutation() -> None:
        database = Database(parse_address(store_url), busy_timeout_seconds=30)
        with mutation(database) as change:
            change.log("key")
            waits.set()
            may_commit.wait(30)
        database.close()

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(slow_mutation)
        assert waits.wait(30)
        # The first transaction holds number 1 and has not committed; the second one may not overtake it.
        fast = pool.submit(make_bank, store)
        try:
            with pytest.raises(TimeoutError):
                fast.result(0.5)
            assert store.head_seq() == 0
            assert store.changes_since(0) == []
        finally:
            may_commit.set()
        slow.result(30)
        bank = fast.result(30)

    assert store.changes_since(0) == [Change(1, "key", None, None, None), Change(2, "bank", bank.id, None, None)]


def test_a_rolled_back_change_leaves_no_hole(store: Store, store_url: str):
    database = Database(parse_address(store_url), busy_timeout_seconds=30)

    def fail() -> None:
        with mutation(database) as change:
            change.log("key")
            change.take_entry_ids(5)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    database.close()

    make_bank(store)

    assert [change.seq for change in store.changes_since(0)] == [1]
    assert add(store, 1) == [1]


def test_a_reader_beside_four_writers_never_skips_a_number(store: Store, store_url: str):
    make_bank(store)
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        last = False
        while not last:
            last = done.is_set()
            head = store.head_seq()
            new = [change.seq for change in store.changes_since(seen[-1] if seen else 0)]
            seen.extend(new)
            assert head <= (seen[-1] if seen else 0)

    def write(writer: Store, first: int) -> None:
        for number in range(15):
            add(writer, 2, first=first + 10 * number)

    with Store.open(store_url) as second, ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        writers = [
            pool.submit(write, writer, 1000 * index) for index, writer in enumerate((store, second, store, second))
        ]
        try:
            for each in writers:
                each.result(60)
        finally:
            done.set()
        reader.result(60)

    assert seen == list(range(1, 62))


def test_the_head_is_seen_by_another_store_at_once(store: Store, store_url: str):
    with Store.open(store_url) as second:
        for number in range(20):
            make_bank(store if number % 2 else second, f"bank {number}")
            assert store.head_seq() == second.head_seq() == number + 1


_counter = itertools.count()
_operations = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(0, 2)),
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("bank"), st.integers(0, 2), st.sampled_from(BankState)),
        st.tuples(
            st.just("entries"),
            st.integers(0, 2),
            st.lists(st.integers(0, 20), min_size=1, max_size=6),
            st.sampled_from(EntryState),
        ),
        st.tuples(st.just("refresh")),
    ),
    min_size=3,
    max_size=25,
)


class Model:
    """What the database should hold, in plain Python."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.prefix = prefix
        self.live: dict[int, Bank] = {}
        self.ours: set[int] = set()
        self.entries: dict[int, dict[int, tuple[EntryState, int]]] = {}

    def name(self, slot: int) -> str:
        """The name of the bank in a slot, another one for each example."""
        return f"{self.prefix} {slot}"

    def create(self, slot: int) -> None:
        """Make a bank, unless the slot has a live one."""
        if slot not in self.live:
            self.live[slot] = make_bank(self.store, self.name(slot))
            self.ours.add(self.live[slot].id)
            self.entries[slot] = {}

    def add(self, slot: int, count: int) -> None:
        """Add entries with every kind of fingerprint."""
        if slot in self.live:
            numbers = [next(_counter) for _ in range(count)]
            entries = [full_entry(number) for number in numbers]
            ids = self.store.add_entries(self.name(slot), entries, ORIGIN, actor="alice")
            states = [(EntryState.ACTIVE, number) for number in numbers]
            self.entries[slot].update(zip(ids, states, strict=True))

    def bank(self, slot: int, state: BankState) -> None:
        """Pause, resume or withdraw."""
        if slot in self.live:
            self.store.set_bank_state(self.name(slot), state, actor="bob", reason=None)
            if state is BankState.WITHDRAWN:
                del self.live[slot]

    def change_entries(self, slot: int, places: list[int], state: EntryState) -> None:
        """Change the entries at these places that are not withdrawn."""
        if slot not in self.live:
            return
        held = self.entries[slot]
        ids = [entry_id for place, entry_id in enumerate(held) if place in places]
        ids = [entry_id for entry_id in ids if held[entry_id][0] is not EntryState.WITHDRAWN]
        self.store.set_entry_states(self.name(slot), ids, state, actor="bob", reason=None)
        held.update({entry_id: (state, held[entry_id][1]) for entry_id in ids})

    def expected(self) -> dict[tuple[FingerprintKind, int], tuple[int, bytes]]:
        """The codes that may match now."""
        return {
            (kind, entry_id): (bank.id, digest(number, kind.size_bytes))
            for slot, bank in self.live.items()
            for entry_id, (state, number) in self.entries[slot].items()
            for kind in FingerprintKind
            if state is EntryState.ACTIVE
        }


def ours(follower: Follower, model: Model) -> dict[tuple[FingerprintKind, int], tuple[int, bytes]]:
    """What the follower holds of this example's banks; earlier examples left theirs in the same database."""
    return {key: code for key, code in follower.matching().items() if code[0] in model.ours}


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operations=_operations)
def test_a_follower_equals_the_database_after_any_changes(store: Store, operations: list[tuple[object, ...]]):
    model = Model(store, f"example {next(_counter)}")
    follower = Follower(store)
    steps: dict[object, Callable[..., None]] = {
        "create": model.create,
        "add": model.add,
        "bank": model.bank,
        "entries": model.change_entries,
        "refresh": follower.refresh,
    }

    for name, *arguments in [*operations, ("refresh",)]:
        steps[name](*arguments)
        if name == "refresh":
            assert ours(follower, model) == model.expected()
    assert ours(Follower(store), model) == model.expected()


def test_a_token_tells_a_change_from_that_of_the_same_number_in_another_history(store: Store, store_url: str):
    make_bank(store)
    assert store.change_token(2) is None
    add(store, 1)
    log = store.changes_since(0)
    assert len({change.token for change in log}) == 2
    with Store.open(store_url) as other:
        assert [other.change_token(change.seq) for change in log] == [change.token for change in log]
    database = Database(parse_address(store_url), busy_timeout_seconds=5)
    with database.write() as connection:
        connection.execute(delete(schema.changes).where(schema.changes.c.seq == 2))
        again = {"seq": 2, "kind": "entries", "bank_id": 1, "first_entry_id": 1, "last_entry_id": 1}
        connection.execute(insert(schema.changes), again | {"created_at": datetime.now(UTC)})
    database.close()
    assert store.change_token(1) == log[0].token
    assert store.change_token(2) not in {None, log[1].token}
