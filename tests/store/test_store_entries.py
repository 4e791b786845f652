"""Entries: added whole or not at all, read in pages, changed together; and the codes an index loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event
from store_samples import ORIGIN, add, digest, full_entry, make_bank, pdq_entry

from baken.errors import ConflictError, InvalidValueError, NotFoundError, TooLargeError
from baken.model import BankState, EntryState, Fingerprint, FingerprintKind, NewEntry, Provenance
from baken.store import MAX_BATCH_ENTRIES, Store

PDQ = FingerprintKind.PDQ


def loaded(store: Store, kind: FingerprintKind = PDQ, **limits: int) -> dict[int, tuple[int, bytes]]:
    found = {}
    for chunk in store.active_codes(kind, **limits):
        assert chunk.entry_ids.dtype == chunk.bank_ids.dtype == np.int64
        assert chunk.values.dtype == np.uint8
        assert chunk.values.shape == (len(chunk.entry_ids), kind.size_bytes)
        rows = zip(chunk.entry_ids.tolist(), chunk.bank_ids.tolist(), chunk.values, strict=True)
        found.update({entry_id: (bank_id, value.tobytes()) for entry_id, bank_id, value in rows})
    return found


def test_an_entry_reads_back_with_its_fingerprints_and_provenance(store: Store):
    bank = make_bank(store)
    [entry_id] = store.add_entries("known", [full_entry(4)], ORIGIN, actor="alice")

    entry = store.entry("known", entry_id)

    assert (entry.id, entry.bank_id, entry.bank, entry.label) == (entry_id, bank.id, "known", "label 4")
    assert (entry.state, entry.state_reason) == (EntryState.ACTIVE, None)
    assert entry.provenance == ORIGIN
    assert entry.fingerprints == full_entry(4).fingerprints
    assert entry.created_at == entry.updated_at


def test_ids_of_one_add_have_no_gaps_and_keep_the_order(store: Store):
    make_bank(store)
    make_bank(store, "other")

    first, second = add(store, 3), add(store, 2, bank="other", first=100)

    assert first + second == list(range(first[0], first[0] + 5))
    assert [entry.label for entry in store.entries("known")] == ["label 0", "label 1", "label 2"]


def test_a_failed_add_leaves_nothing_behind(store: Store):
    make_bank(store)
    seq = store.head_seq()
    unstorable = NewEntry((Fingerprint(PDQ, digest(1)),), label="nul \0 byte")

    with pytest.raises(InvalidValueError, match="NUL"):
        store.add_entries("known", [pdq_entry(0), unstorable], ORIGIN, actor="alice")

    assert store.entries("known") == []
    assert store.head_seq() == seq
    assert loaded(store) == {}


@pytest.mark.parametrize(
    ("codes", "complaint"),
    [
        ((), "expected one or more"),
        ((Fingerprint(PDQ, digest(1)), Fingerprint(PDQ, digest(2))), "one of a kind"),
        ((Fingerprint(PDQ, digest(1)[:31]),), "31 bytes, expected 32"),
        ((Fingerprint(FingerprintKind.MD5, digest(1)),), "32 bytes, expected 16"),
        ((Fingerprint(PDQ, digest(1), 101),), "quality 101"),
        ((Fingerprint(PDQ, digest(1), -1),), "quality -1"),
    ],
)
def test_a_malformed_entry_is_named_and_nothing_is_added(store: Store, codes: tuple[Fingerprint, ...], complaint: str):
    make_bank(store)

    with pytest.raises(InvalidValueError, match=rf"entry 1 .*{complaint}"):
        store.add_entries("known", [pdq_entry(0), NewEntry(codes)], ORIGIN, actor="alice")

    assert store.entries("known") == []


def test_a_batch_has_an_upper_limit(store: Store):
    make_bank(store)

    with pytest.raises(TooLargeError, match="at most 10000"):
        store.add_entries("known", [pdq_entry(0)] * (MAX_BATCH_ENTRIES + 1), ORIGIN, actor="alice")
    with pytest.raises(TooLargeError, match="at most 10000"):
        store.set_entry_states("known", range(1, 10_003), EntryState.PAUSED, actor="bob", reason=None)

    assert len(add(store, MAX_BATCH_ENTRIES)) == MAX_BATCH_ENTRIES


def test_adding_nothing_changes_nothing(store: Store):
    make_bank(store)
    seq = store.head_seq()

    assert store.add_entries("known", [], ORIGIN, actor="alice") == []
    assert store.set_entry_states("known", [], EntryState.PAUSED, actor="bob", reason=None) == 0
    assert store.head_seq() == seq


def test_entries_are_listed_in_pages_and_by_state(store: Store):
    make_bank(store)
    make_bank(store, "other")
    ids = add(store, 5)
    add(store, 2, bank="other")
    store.set_entry_states("known", [ids[1], ids[3]], EntryState.PAUSED, actor="bob", reason="check")

    assert [entry.id for entry in store.entries("known", limit=2)] == ids[:2]
    assert [entry.id for entry in store.entries("known", after_id=ids[1], limit=2)] == ids[2:4]
    assert [entry.id for entry in store.entries("known", state=EntryState.PAUSED)] == [ids[1], ids[3]]
    assert store.entries("known", after_id=1 << 70) == []
    with pytest.raises(InvalidValueError, match="limit is -1"):
        store.entries("known", limit=-1)


def test_an_entry_belongs_to_its_bank_only(store: Store):
    make_bank(store)
    make_bank(store, "other")
    [entry_id] = add(store, 1)

    for unknown in (entry_id + 1, 0, -1, 1 << 63, 1 << 70):
        with pytest.raises(NotFoundError, match="has no entry"):
            store.entry("known", unknown)
    with pytest.raises(NotFoundError, match="'other' has no entry"):
        store.entry("other", entry_id)
    with pytest.raises(NotFoundError, match="'other' has no entry"):
        store.set_entry_states("other", [entry_id], EntryState.PAUSED, actor="bob", reason=None)


def test_states_change_together_or_not_at_all(store: Store):
    make_bank(store)
    ids = add(store, 3)
    before = store.entries("known"), store.head_seq()

    with pytest.raises(NotFoundError, match=rf"no entry {ids[-1] + 1}$"):
        store.set_entry_states("known", [*ids, ids[-1] + 1], EntryState.PAUSED, actor="bob", reason=None)
    with pytest.raises(NotFoundError, match="and 2 more"):
        store.set_entry_states("known", range(1000, 1007), EntryState.PAUSED, actor="bob", reason=None)

    assert (store.entries("known"), store.head_seq()) == before


def test_a_state_change_counts_only_what_changed(store: Store):
    make_bank(store)
    ids = add(store, 4)

    assert store.set_entry_states("known", [ids[0], ids[0]], EntryState.PAUSED, actor="bob", reason="one") == 1
    assert store.set_entry_states("known", ids[:3], EntryState.PAUSED, actor="bob", reason="two") == 2

    assert [entry.state_reason for entry in store.entries("known")] == ["one", "two", "two", None]


def test_withdrawal_of_an_entry_is_final(store: Store):
    make_bank(store)
    ids = add(store, 2)
    store.set_entry_states("known", ids[:1], EntryState.WITHDRAWN, actor="bob", reason="a mistake")

    with pytest.raises(ConflictError, match=f"entry {ids[0]} .*final"):
        store.set_entry_states("known", ids, EntryState.ACTIVE, actor="bob", reason=None)
    again = store.set_entry_states("known", ids[:1], EntryState.WITHDRAWN, actor="bob", reason="again")

    assert again == 0
    assert [entry.state for entry in store.entries("known")] == [EntryState.WITHDRAWN, EntryState.ACTIVE]


def test_entries_of_a_withdrawn_bank_stay_as_they_are(store: Store):
    make_bank(store)
    ids = add(store, 1)
    store.set_bank_state("known", BankState.WITHDRAWN, actor="bob", reason=None)

    with pytest.raises(ConflictError, match="withdrawn"):
        store.set_entry_states("known", ids, EntryState.PAUSED, actor="bob", reason=None)

    assert store.entry("known", ids[0]).state is EntryState.ACTIVE


def test_only_active_entries_of_banks_not_withdrawn_are_loaded(store: Store):
    known, paused = make_bank(store), make_bank(store, "paused")
    make_bank(store, "gone")
    ids, paused_ids = add(store, 4), add(store, 1, bank="paused", first=10)
    add(store, 2, bank="gone", first=20)
    for entry_id, state in zip(ids[:3], [EntryState.PAUSED, EntryState.QUARANTINED, EntryState.WITHDRAWN], strict=True):
        store.set_entry_states("known", [entry_id], state, actor="bob", reason=None)
    store.set_bank_state("paused", BankState.PAUSED, actor="bob", reason=None)
    store.set_bank_state("gone", BankState.WITHDRAWN, actor="bob", reason=None)

    assert loaded(store) == {ids[3]: (known.id, digest(3)), paused_ids[0]: (paused.id, digest(10))}


def test_a_resumed_entry_is_loaded_again(store: Store):
    make_bank(store)
    ids = add(store, 1)
    store.set_entry_states("known", ids, EntryState.PAUSED, actor="bob", reason=None)
    assert loaded(store) == {}

    store.set_entry_states("known", ids, EntryState.ACTIVE, actor="bob", reason=None)

    assert list(loaded(store)) == ids


@pytest.mark.parametrize("kind", FingerprintKind)
def test_each_kind_is_loaded_on_its_own(store: Store, kind: FingerprintKind):
    bank = make_bank(store)
    [full_id, _] = store.add_entries("known", [full_entry(1), pdq_entry(2)], ORIGIN, actor="alice")

    found = loaded(store, kind)

    assert found[full_id] == (bank.id, digest(1, kind.size_bytes))
    assert len(found) == (2 if kind is PDQ else 1)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_chunks_cover_the_range_once_whatever_their_size(store: Store, chunk: int):
    make_bank(store)
    ids = add(store, 7)

    sizes = [len(part.entry_ids) for part in store.active_codes(PDQ, chunk=chunk)]
    middle = loaded(store, first_entry_id=ids[2], last_entry_id=ids[4], chunk=chunk)

    assert sum(sizes) == 7
    assert max(sizes) <= chunk
    assert list(loaded(store, chunk=chunk)) == ids
    assert list(middle) == ids[2:5]


def test_an_empty_range_loads_nothing(store: Store):
    make_bank(store)
    ids = add(store, 2)

    assert loaded(store, first_entry_id=ids[-1] + 1) == {}
    assert loaded(store, FingerprintKind.MD5) == {}


def test_loading_goes_on_while_entries_are_added(store: Store):
    make_bank(store)
    ids = add(store, 4)

    parts = store.active_codes(PDQ, chunk=2)
    first = next(parts).entry_ids.tolist()
    later = add(store, 2, first=10)
    rest = [entry_id for part in parts for entry_id in part.entry_ids.tolist()]

    assert first + rest == ids + later


def test_provenance_is_kept_for_each_add(store: Store):
    make_bank(store)
    add(store, 1)
    other = Provenance(source="second list", added_by="bob")
    store.add_entries("known", [pdq_entry(1)], other, actor="bob")

    assert [entry.provenance for entry in store.entries("known")] == [ORIGIN, other]


def test_stopped_entries_are_found_by_value_without_reading_the_active_ones(tmp_path: Path):
    """The statement as SQLite plans it: a table scan would read ten million codes for each batch of an import."""
    with Store.initialise(f"sqlite:///{tmp_path / 'baken.sqlite3'}") as store:
        make_bank(store)
        ids = add(store, 50)
        store.set_entry_states("known", ids[:3], EntryState.PAUSED, actor="alice", reason="looking")
        plans: list[str] = []

        def explain(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:  # noqa: ANN401
            if statement.startswith("SELECT fingerprints.kind"):
                plan = connection.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans.extend(row[3] for row in plan)

        event.listen(store._database.engine, "before_cursor_execute", explain)
        again = [pdq_entry(number) for number in range(5)]
        added = store.add_missing_entries(
            "known", again, ORIGIN, find_active=lambda _, wanted: [None] * len(wanted), actor="bob"
        )

    assert added.ids[:3] == ids[:3]
    assert added.added_count == 2
    assert plans[0].startswith("SEARCH fingerprints USING INDEX fingerprints_inactive (value=?)")
