"""What is kept of pictures beside fingerprints: written with the entry, read in chunks and by entry, forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kept_samples import MODEL, OTHER_MODEL, VECTOR_VIEWS, bare_entry, keypoints, picture_entry, vectors, views
from sqlalchemy import text
from store_samples import ORIGIN, digest, make_bank

from baken.copies import BankViews, ViewSet
from baken.errors import InvalidValueError, StoreError
from baken.model import BankState, EntryState, NewEntry
from baken.sealing import Sealed, place_of_keypoints
from baken.store import AddedEntries, KeptCounts, Store
from baken.store import kept as kept_rows


@pytest.fixture
def store(store: Store) -> Store:
    """The store on each engine, with a bank that keeps everything."""
    make_bank(store)
    store.change_bank("known", keeps_keypoints=True, actor="alice")
    return store


def add(store: Store, *entries: NewEntry, bank: str = "known") -> list[int]:
    return store.add_entries(bank, entries, ORIGIN, actor="alice")


def complete(store: Store, held_id: int | None, *entries: NewEntry) -> AddedEntries:
    """Add entries of which the index says that one entry of the bank holds them all, or none does."""
    held = [held_id] * len(entries)
    return store.add_missing_entries("known", entries, ORIGIN, find_active=lambda *_: held, actor="alice")


def view_rows(store: Store, **limits: int) -> Iterator[tuple[int, int, int, bytes]]:
    for chunk in store.kept.active_views(**limits):
        for position in range(len(chunk.entry_ids)):
            ids = int(chunk.entry_ids[position]), int(chunk.bank_ids[position])
            yield *ids, int(chunk.numbers[position]), chunk.codes[position].tobytes()


def expected_rows(entry_id: int, kept: BankViews, bank_id: int = 1) -> list[tuple[int, int, int, bytes]]:
    return [
        (entry_id, bank_id, int(number), code.tobytes()) for number, code in zip(kept.numbers, kept.codes, strict=True)
    ]


def test_views_vectors_and_keypoints_come_back_as_they_were_given(store: Store):
    bare, full = add(store, bare_entry(1), picture_entry(2))

    kept = store.kept.entry_views_of([bare, full, 99, 2**80])
    made = store.kept.vectors_of([bare, full], MODEL)

    assert set(kept) == set(made) == {full}
    assert (kept[full].width_px, kept[full].height_px) == (402, 300)
    np.testing.assert_array_equal(kept[full].views.numbers, views(2).numbers)
    np.testing.assert_array_equal(kept[full].views.codes, views(2).codes)
    assert (made[full].model_id, made[full].model_sha256, made[full].views) == ("a network 1", MODEL, VECTOR_VIEWS)
    np.testing.assert_array_equal(made[full].values, vectors(2).values)
    assert store.kept.keypoints_of([bare, full]) == {full: Sealed(keypoints(2), place_of_keypoints(1, digest(2)))}
    assert store.kept.vectors_of([full], OTHER_MODEL) == {}


def test_an_entry_says_what_is_kept_of_it_and_a_bank_counts_it(store: Store):
    add(store, bare_entry(1), picture_entry(2), replace(picture_entry(3), keypoints=None, vectors=None))

    said = [(each.view_count, each.has_vectors, each.has_keypoints) for each in store.entries("known")]

    assert said == [(0, False, False), (3, True, True), (3, False, False)]
    assert store.kept.counts(1) == KeptCounts(views=2, vectors=1, keypoints=1)
    assert store.kept.counts(2) == KeptCounts(0, 0, 0)


def test_a_bank_keeps_full_views_and_no_keypoints_unless_told_otherwise(store: Store):
    plain = make_bank(store, "plain")
    (entry_id,) = add(store, picture_entry(1), bank="plain")

    assert (plain.view_set, plain.keeps_keypoints) == (ViewSet.FULL, False)
    assert store.kept.keypoints_of([entry_id]) == {}
    assert store.kept.counts(plain.id) == KeptCounts(views=1, vectors=1, keypoints=0)
    changed = store.change_bank("plain", view_set=ViewSet.CROPS, keeps_keypoints=True, actor="bob")
    assert (changed.view_set, changed.keeps_keypoints) == (ViewSet.CROPS, True)
    assert store.bank_events("plain")[0].facts == {
        "view_set": {"before": "full", "now": "crops"},
        "keeps_keypoints": {"before": False, "now": True},
    }


def test_views_are_read_in_chunks_that_hold_whole_entries(store: Store):
    numbers = range(1, 41)
    add(store, *(picture_entry(number, count=number % 7) for number in numbers))

    chunks = list(store.kept.active_views(chunk=10 * 255))

    assert list(view_rows(store)) == [
        row for number in numbers for row in expected_rows(number, views(number, number % 7))
    ]
    assert len(chunks) == 4
    assert not set.intersection(*({int(each) for each in chunk.entry_ids} for chunk in chunks))
    assert {
        len(np.unique(chunk.entry_ids))
        for chunk in store.kept.active_views(chunk=1, first_entry_id=8, last_entry_id=13)
    } == {1}
    ranged = view_rows(store, first_entry_id=8, last_entry_id=13, chunk=1)
    assert list(ranged) == [row for number in range(8, 14) for row in expected_rows(number, views(number, number % 7))]


def test_vectors_of_one_network_are_read_in_chunks(store: Store):
    add(store, picture_entry(1), bare_entry(2), replace(picture_entry(3), vectors=vectors(3, OTHER_MODEL, 8)))
    add(store, *(picture_entry(number) for number in range(4, 9)))

    chunks = list(store.kept.active_vectors(MODEL, chunk=2 * 255))
    (other,) = store.kept.active_vectors(OTHER_MODEL)

    assert [sorted(set(chunk.entry_ids.tolist())) for chunk in chunks] == [[1, 4], [5, 6], [7, 8]]
    assert {int(bank) for chunk in chunks for bank in chunk.bank_ids} == {1}
    assert chunks[1].view_indexes.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(chunks[1].values, np.concatenate([vectors(5).values, vectors(6).values]))
    assert (other.entry_ids.tolist(), other.values.shape) == ([3, 3], (2, 8))


@pytest.mark.parametrize("state", [EntryState.PAUSED, EntryState.WITHDRAWN])
def test_what_matches_no_more_is_not_read_for_an_index(store: Store, state: EntryState):
    first, second = add(store, picture_entry(1), picture_entry(2))

    store.set_entry_states("known", [first], state, actor="bob", reason="a mistake")

    assert {row[0] for row in view_rows(store)} == {second}
    assert {int(each) for chunk in store.kept.active_vectors(MODEL) for each in chunk.entry_ids} == {second}
    assert set(store.kept.entry_views_of([first])) == {first}  # on record, as its fingerprints are


def test_a_paused_bank_is_read_for_an_index_and_a_withdrawn_one_is_not(store: Store):
    add(store, picture_entry(1))

    store.set_bank_state("known", BankState.PAUSED, actor="bob", reason="r")
    assert len(list(view_rows(store))) == 3
    store.set_bank_state("known", BankState.WITHDRAWN, actor="bob", reason="r")

    assert list(view_rows(store)) == list(store.kept.active_vectors(MODEL)) == []


def keypoint_rows(store: Store) -> list[int]:
    with store._database.read() as connection:
        return list(connection.execute(text("SELECT entry_id FROM entry_keypoints ORDER BY entry_id")).scalars())


def test_a_bank_that_stops_keeping_keypoints_deletes_them_and_no_others(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_rows, "_FORGOTTEN_ENTRIES", 2)
    make_bank(store, "other")
    store.change_bank("other", keeps_keypoints=True, actor="alice")
    add(store, *(picture_entry(number) for number in range(5)))
    (other_id,) = add(store, picture_entry(9), bank="other")

    store.change_bank("known", keeps_keypoints=False, actor="bob")
    late = add(store, picture_entry(6))

    assert keypoint_rows(store) == [other_id]
    assert [each.data for each in store.kept.keypoints_of([1, *late, other_id]).values()] == [keypoints(9)]
    assert len(list(view_rows(store))) == 3 * 7


@pytest.mark.parametrize("again", ["change", "initialise"])
def test_what_a_killed_process_left_is_read_by_nobody_and_deleted_by_asking_again(
    store: Store, store_url: str, again: str, monkeypatch: pytest.MonkeyPatch
):
    (entry_id,) = add(store, picture_entry(1))
    with monkeypatch.context() as killed:
        killed.setattr("baken.store.banks.forget_unkept_keypoints", lambda *_: 0)
        store.change_bank("known", keeps_keypoints=False, actor="bob")

    assert keypoint_rows(store) == [entry_id]
    assert store.kept.keypoints_of([entry_id]) == {}
    assert not store.entry("known", entry_id).has_keypoints
    if again == "change":
        store.change_bank("known", keeps_keypoints=False, actor="bob")
    else:
        Store.initialise(store_url).close()
    assert keypoint_rows(store) == []


def test_withdrawing_deletes_keypoints(store: Store):
    first, second = add(store, picture_entry(1), picture_entry(2))

    store.set_entry_states("known", [first], EntryState.WITHDRAWN, actor="bob", reason="r")
    assert keypoint_rows(store) == [second]
    store.set_bank_state("known", BankState.WITHDRAWN, actor="bob", reason="r")

    assert keypoint_rows(store) == []


def test_a_held_entry_gets_what_it_lacks_and_followers_hear_of_it(store: Store):
    bare, full = add(store, bare_entry(1), picture_entry(2))
    seq = store.head_seq()

    added = complete(store, bare, picture_entry(1))
    again = complete(store, bare, picture_entry(1))
    nothing = complete(store, full, bare_entry(2))

    assert (added, again) == (AddedEntries([bare], 0, 1), AddedEntries([bare], 0, 0))
    assert nothing.completed_count == 0
    entry = store.entry("known", bare)
    assert (entry.view_count, entry.has_vectors, entry.has_keypoints) == (3, True, True)
    (change,) = store.changes_since(seq)
    assert (change.kind, change.first_entry_id, change.last_entry_id) == ("entries", bare, bare)
    event = store.bank_events("known")[0]
    assert (event.what, event.entry_count, event.first_entry_id) == ("entries_completed", 1, bare)


@pytest.mark.parametrize(
    ("offered", "kept_numbers"),
    [(views(1, 2), [1, 2, 3]), (views(1, 4), [1, 2, 3, 4]), (views(1, 2, first=9), [9, 10])],
    ids=["fewer", "more", "others"],
)
def test_views_are_replaced_only_by_views_that_say_more(store: Store, offered: BankViews, kept_numbers: list[int]):
    (held,) = add(store, picture_entry(1))

    completed = complete(store, held, replace(picture_entry(1), views=offered)).completed_count

    assert store.kept.entry_views_of([held])[held].views.numbers.tolist() == kept_numbers
    assert completed == (0 if kept_numbers == [1, 2, 3] else 1)


def test_vectors_of_another_network_stand_beside_those_that_are_there(store: Store):
    (held,) = add(store, picture_entry(1))

    assert complete(store, held, replace(picture_entry(1), vectors=vectors(7, OTHER_MODEL))).completed_count == 1

    np.testing.assert_array_equal(store.kept.vectors_of([held], MODEL)[held].values, vectors(1).values)
    np.testing.assert_array_equal(store.kept.vectors_of([held], OTHER_MODEL)[held].values, vectors(7).values)
    assert store.kept.counts(1).vectors == 1


def test_a_paused_entry_is_completed_and_stays_paused(store: Store):
    (held,) = add(store, bare_entry(1))
    store.set_entry_states("known", [held], EntryState.PAUSED, actor="bob", reason="r")

    added = complete(store, None, picture_entry(1))

    entry = store.entry("known", held)
    assert (added.ids, added.completed_count) == ([held], 1)
    assert (entry.state, entry.view_count) == (EntryState.PAUSED, 3)
    assert list(view_rows(store)) == []


WRONG: dict[str, Sequence[Any]] = {
    "codes of another width": (BankViews(np.ones(1, np.uint8), np.zeros((1, 31), np.uint8)),),
    "fewer codes than numbers": (BankViews(np.arange(1, 3, dtype=np.uint8), np.zeros((1, 32), np.uint8)),),
    "numbers of another type": (BankViews(np.ones(1, np.int64), np.zeros((1, 32), np.uint8)),),  # type: ignore[arg-type]
    "number 0": (BankViews(np.zeros(1, np.uint8), np.zeros((1, 32), np.uint8)),),
    "a number twice": (BankViews(np.ones(2, np.uint8), np.zeros((2, 32), np.uint8)),),
}


@pytest.mark.parametrize("what", WRONG)
def test_views_of_a_wrong_shape_are_refused_and_nothing_is_added(store: Store, what: str):
    wrong = replace(picture_entry(1), views=WRONG[what][0])

    with pytest.raises(InvalidValueError, match="entry 1 has"):
        add(store, bare_entry(2), wrong)

    assert store.entries("known") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"width_px": None},
        {"height_px": 0},
        {"keypoints": b""},
        {"fingerprints": bare_entry(1).fingerprints[:1]},
        {"vectors": replace(vectors(1), model_sha256=b"short")},
        {"vectors": replace(vectors(1), values=vectors(1).values[:1])},
        {"vectors": replace(vectors(1), values=vectors(1).values.astype(np.int16))},
        {"vectors": replace(vectors(1), views=(), values=np.zeros((0, 16), np.int8))},
    ],
    ids=repr,
)
def test_what_could_not_be_read_back_is_refused(store: Store, changed: dict[str, Any]):
    with pytest.raises(InvalidValueError, match="entry 0 has"):
        add(store, replace(picture_entry(1), **changed))


@pytest.mark.parametrize(
    ("damage", "read"),
    [
        ("UPDATE entry_views SET codes = numbers", lambda store: list(store.kept.active_views())),
        ("UPDATE entry_views SET codes = numbers", lambda store: store.kept.entry_views_of([1])),
        ("UPDATE entry_vectors SET views = '[7]'", lambda store: list(store.kept.active_vectors(MODEL))),
        (
            "UPDATE entry_vectors SET views = '[[\"whole\",0,0,1,1,0]]' WHERE entry_id = 1",
            lambda store: list(store.kept.active_vectors(MODEL)),
        ),
        ("UPDATE entry_vectors SET views = '[]'", lambda store: store.kept.vectors_of([1], MODEL)),
    ],
)
def test_rows_that_another_program_changed_are_an_error(store: Store, damage: str, read: Callable[[Store], object]):
    add(store, picture_entry(1), picture_entry(2))
    with store._database.write() as connection:
        connection.exec_driver_sql(damage)

    with pytest.raises(StoreError) as raised:
        read(store)

    assert "backup" in raised.value.hint
