"""The audit log at rest: with the change it tells of or not at all, gapless under writers, tamper-evident."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from sqlalchemy import text
from store_samples import ORIGIN, START, add, digest, make_bank, pdq_entry

from baken.audit import Fault, NewEvent, verify_chain
from baken.errors import ConflictError
from baken.model import ApiKey, BankState, EntryState, Purpose, Scope, Verdict
from baken.store import Store

KEY = ApiKey("key_1", "gate", frozenset({Scope.SCREEN}), START, None, None)


def kinds(store: Store) -> list[str]:
    return [row.kind for row in store.audit.rows()]


def verify(store: Store) -> list[tuple[Fault, int]]:
    report = verify_chain(store.audit.rows(chunk=7), store.audit.head)
    return [(finding.fault, finding.seq) for finding in report.findings]


def execute(store: Store, *statements: str) -> None:
    with store._database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_what_changes_banks_entries_and_keys_is_told(store: Store):
    make_bank(store)
    store.change_bank("known", radius_bits=20, actor="cli:bob", reason="too wide")
    ids = add(store, 3)
    store.set_entry_states("known", ids[:2], EntryState.WITHDRAWN, actor="cli:bob", reason="wrong list")
    store.set_bank_state("known", BankState.PAUSED, actor="cli:bob", reason="holidays")
    store.create_key(KEY, digest(1), actor="cli:alice")
    store.revoke_key("key_1", actor="cli:alice")
    store.revoke_key("key_1", actor="cli:alice")  # nothing happens, so nothing is told

    events = [row.parsed() for row in store.audit.rows()]
    assert kinds(store) == [
        "bank.created",
        "bank.changed",
        "entries.added",
        "entries.withdrawn",
        "bank.paused",
        "key.created",
        "key.revoked",
    ]
    changed = {"radius_bits": {"before": 31, "now": 20}}
    assert events[1]["facts"] == {"bank": "known", "facts": changed, "reason": "too wide"}
    assert events[2]["facts"]["entry_count"] == 3
    assert (events[3]["actor"], events[3]["subject"]) == ("cli:bob", f"bank:{store.bank('known').id}")
    assert digest(1).hex() not in str(events)
    assert verify(store) == []


def test_a_change_that_fails_is_not_told(store: Store):
    make_bank(store)
    with pytest.raises(ConflictError):
        make_bank(store)
    store.create_key(KEY, digest(1), actor="cli:alice")
    with pytest.raises(ConflictError):
        store.create_key(KEY, digest(2), actor="cli:alice")

    assert kinds(store) == ["bank.created", "key.created"]
    assert verify(store) == []


def test_a_change_whose_event_cannot_be_written_does_not_happen(store: Store):
    make_bank(store)
    execute(store, "DELETE FROM audit_head")

    with suppress(Exception):
        store.change_bank("known", radius_bits=20, actor="cli:bob")

    assert store.bank("known").radius_bits == 31


def test_several_writers_at_once_leave_no_gap_and_no_fork(store: Store, store_url: str):
    make_bank(store)
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            with Store.open(store_url) as mine:
                for number in range(8):
                    mine.audit.record(NewEvent("test", f"cli:{name}", None, {"number": number}))
                    mine.add_entries("known", [pdq_entry(number)], ORIGIN, actor=f"cli:{name}")
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert [row.seq for row in store.audit.rows()] == list(range(1, 1 + 1 + 4 * 16))
    assert verify(store) == []
    for name in "abcd":
        mine = [
            row.parsed()["facts"]["number"]
            for row in store.audit.rows()
            if row.actor == f"cli:{name}" and row.kind == "test"
        ]
        assert mine == list(range(8))


def test_rows_changed_removed_moved_or_cut_in_the_database_are_found(store: Store):
    for number in range(20):
        store.audit.record(NewEvent("test", "cli:alice", None, {"number": number}))
    swap = [
        "UPDATE audit_events SET seq = 1000 WHERE seq = 9",
        "UPDATE audit_events SET seq = 9 WHERE seq = 10",
        "UPDATE audit_events SET seq = 10 WHERE seq = 1000",
    ]

    execute(store, "UPDATE audit_events SET event = REPLACE(event, 'cli:alice', 'cli:carol') WHERE seq = 3")
    execute(store, "DELETE FROM audit_events WHERE seq = 6", *swap)
    execute(store, "DELETE FROM audit_events WHERE seq > 17")

    assert verify(store) == [
        (Fault.CHANGED, 3),
        (Fault.REMOVED, 6),
        (Fault.MOVED, 9),
        (Fault.MOVED, 10),
        (Fault.CHANGED, 11),
        (Fault.CUT, 18),
    ]


def test_events_are_looked_up_by_kind_actor_and_subject(store: Store):
    make_bank(store, "a")
    make_bank(store, "b")
    store.create_bank("c", Purpose.WATCH, radius_bits=31, verdict=Verdict.HOLD, actor="cli:bob")
    store.create_key(KEY, digest(1), actor="cli:bob")

    def seqs(**asked: object) -> list[int]:
        return [row.seq for row in store.audit.page(**asked)]

    assert seqs() == [4, 3, 2, 1]
    assert seqs(limit=2) == [4, 3]
    assert seqs(before_seq=3) == [2, 1]
    assert seqs(kind="bank.created") == [3, 2, 1]
    assert seqs(kind="bank.") == [3, 2, 1]
    assert seqs(kind="bank_") == []
    assert seqs(actor="cli:bob") == [4, 3]
    assert seqs(subject="key:key_1") == [4]
