"""The flood breaker in the store: what is counted, when an entry is quarantined, who lets it match again."""

from __future__ import annotations

import logging
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flood_samples import LIMIT, flooding_bank, hours, match, matched
from sqlalchemy import func, select
from store_samples import START, add, token

from baken.errors import NotFoundError
from baken.flood import HISTORY_HOURS, FloodFacts, FloodLimits, Tally, hour_of, is_flood
from baken.model import BankState, Entry, EntryState, FingerprintKind, Notice, NoticeKind
from baken.store import Store, schema

FACTS = FloodFacts(counted="stored items", count=9, limit=4)


def upload(store: Store, entry_id: int, accounts: range, *, hour: float = 0, name: str = "") -> None:
    """One upload of each account, near the entry."""
    for number in accounts:
        upload_name = f"{name}{hour}_"
        store.record(matched(number, match(entry_id), account=f"account {number}", at=hours(hour), name=upload_name))


def entry(store: Store, entry_id: int) -> Entry:
    return store.entry("known", entry_id)


def is_quarantined(store: Store, entry_id: int) -> bool:
    return entry(store, entry_id).state is EntryState.QUARANTINED


def active_ids(store: Store) -> list[int]:
    return [int(each) for chunk in store.active_codes(FingerprintKind.PDQ) for each in chunk.entry_ids]


def the_notice(store: Store) -> Notice:
    [notice] = store.notices()
    return notice


def rows_in(store: Store, table: str) -> int:
    with store._database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(schema.metadata.tables[table])).scalar_one())


def test_an_entry_that_matches_more_accounts_than_its_bank_allows_is_quarantined_with_one_notice(store: Store):
    entry_id = flooding_bank(store)
    upload(store, entry_id, range(LIMIT))
    seq = store.head_seq()
    assert active_ids(store) == [entry_id]
    assert store.notices() == []

    upload(store, entry_id, range(LIMIT, LIMIT + 1))

    assert active_ids(store) == []
    [change] = store.changes_since(seq)
    assert (change.kind, change.first_entry_id, change.last_entry_id) == ("entries", entry_id, entry_id)
    notice = the_notice(store)
    assert (notice.kind, notice.bank, notice.entry_id) == (NoticeKind.ENTRY_QUARANTINED, "known", entry_id)
    assert (notice.resolved_at, notice.resolved_by) == (None, None)
    assert notice.facts == {
        "counted": "accounts in one hour",
        "count": LIMIT + 1,
        "limit": LIMIT,
        "busiest_count": 0,
        "history_hours": HISTORY_HOURS,
        "hour": START.replace(minute=0, second=0, microsecond=0).isoformat(),
        "without_account_count": 0,
    }
    assert notice.reason == entry(store, entry_id).state_reason
    assert f"{LIMIT + 1} accounts in one hour" in notice.reason
    event = store.bank_events("known")[0]
    assert (event.what, event.actor, event.first_entry_id) == ("entries_quarantined", "flood-breaker", entry_id)
    assert event.facts == notice.facts
    assert store.notice(notice.id) == notice
    assert store.open_notice_counts()[NoticeKind.ENTRY_QUARANTINED] == 1


def test_what_a_process_recorded_before_it_saw_the_quarantine_changes_nothing(store: Store):
    entry_id = flooding_bank(store)

    upload(store, entry_id, range(30))

    assert the_notice(store).facts["count"] == LIMIT + 1
    assert len([event for event in store.bank_events("known") if event.what == "entries_quarantined"]) == 1
    assert rows_in(store, "flood_sightings") == LIMIT + 1


def test_one_account_counts_once_however_often_it_uploads(store: Store):
    entry_id = flooding_bank(store)

    for number in range(40):
        store.record(matched(number, match(entry_id), account="mallory"))

    assert not is_quarantined(store, entry_id)


def test_equal_bytes_never_count(store: Store):
    entry_id = flooding_bank(store)

    for number, kind in enumerate([FingerprintKind.SHA256, FingerprintKind.SHA1, FingerprintKind.MD5] * 10):
        store.record(matched(number, match(entry_id, kind), account=f"account {number}"))

    assert not is_quarantined(store, entry_id)
    assert rows_in(store, "flood_sightings") == rows_in(store, "flood_hours") == 0


@pytest.mark.parametrize("account", [None, ""])
def test_items_without_account_count_by_their_bytes_and_the_notice_says_how_many(store: Store, account: str | None):
    entry_id = flooding_bank(store)
    for attempt in range(3):
        for number in range(3):
            store.record(matched(number, match(entry_id), account=account, name=f"{attempt}_"))
    upload(store, entry_id, range(2), name="with_account_")
    assert not is_quarantined(store, entry_id)

    store.record(matched(99, match(entry_id), account=account))

    assert the_notice(store).facts["count"] == 6
    assert the_notice(store).facts["without_account_count"] == 4


def test_a_repeated_request_counts_once(store: Store):
    entry_id = flooding_bank(store, accounts_per_hour=1)

    for number in range(4):
        store.record(matched(number, match(entry_id), account=f"account {number}"), token(1))

    assert not is_quarantined(store, entry_id)


def test_a_scan_is_not_counted(store: Store):
    entry_id = flooding_bank(store)

    store.record_many([matched(number, match(entry_id)) for number in range(50)])
    upload(store, entry_id, range(100, 101))

    assert not is_quarantined(store, entry_id)


def test_each_entry_is_counted_by_itself(store: Store):
    first = flooding_bank(store)
    second, third = add(store, 2, first=1)

    for number in range(LIMIT + 1):
        near = (match(first), match(second)) if number else (match(second),)
        store.record(matched(number, *near, account=f"account {number}"))

    assert [entry(store, each).state for each in (first, second, third)] == [
        EntryState.ACTIVE,
        EntryState.QUARANTINED,
        EntryState.ACTIVE,
    ]


def test_a_bank_without_breaker_counts_nothing(store: Store):
    entry_id = flooding_bank(store, accounts_per_hour=0)

    upload(store, entry_id, range(50))

    assert not is_quarantined(store, entry_id)
    assert rows_in(store, "flood_sightings") == rows_in(store, "flood_hours") == 0


def test_a_screening_without_matches_runs_no_statement_more(store: Store, monkeypatch: pytest.MonkeyPatch):
    flooding_bank(store)
    counted = []
    monkeypatch.setattr(store._recorder._breaker, "count", lambda *arguments: counted.append(arguments))

    store.record(matched(1))

    assert counted == []


def test_a_busy_history_allows_more(store: Store):
    entry_id = flooding_bank(store)
    for hour, count in enumerate([LIMIT, 2 * LIMIT, 4 * LIMIT]):
        upload(store, entry_id, range(count), hour=hour)
        assert not is_quarantined(store, entry_id)

    upload(store, entry_id, range(8 * LIMIT + 1), hour=3)

    assert the_notice(store).facts["busiest_count"] == 4 * LIMIT
    assert the_notice(store).facts["limit"] == 8 * LIMIT


def test_what_is_older_than_the_history_allows_nothing(store: Store):
    entry_id = flooding_bank(store)
    upload(store, entry_id, range(LIMIT))

    upload(store, entry_id, range(LIMIT + 1), hour=HISTORY_HOURS)
    assert not is_quarantined(store, entry_id)
    upload(store, entry_id, range(2 * LIMIT + 3), hour=2 * HISTORY_HOURS + 1)

    assert the_notice(store).facts["busiest_count"] == 0


def test_a_count_starts_anew_every_hour(store: Store):
    entry_id = flooding_bank(store)

    for hour in range(8):
        upload(store, entry_id, range(10 * hour, 10 * hour + LIMIT), hour=hour)

    assert not is_quarantined(store, entry_id)


def test_what_is_kept_is_bounded(store: Store):
    first = flooding_bank(store, accounts_per_hour=3)
    others = add(store, 3, first=1)
    for hour in (0, 1, 2, HISTORY_HOURS + 1, HISTORY_HOURS + 3):
        for entry_id in (first, *others):
            upload(store, entry_id, range(2), hour=hour, name=f"{entry_id}_")

    assert rows_in(store, "flood_sightings") == 4 * 2
    assert rows_in(store, "flood_hours") == 4 * 2


def test_a_resumed_entry_matches_again_with_a_fresh_allowance(store: Store):
    entry_id = flooding_bank(store, factor=1)
    upload(store, entry_id, range(LIMIT + 1))
    notice = the_notice(store)

    assert store.set_entry_states("known", [entry_id], EntryState.ACTIVE, actor="bob", reason="it is right") == 1

    assert active_ids(store) == [entry_id]
    resolved = the_notice(store)
    assert (resolved.id, resolved.resolved_by) == (notice.id, "bob")
    assert resolved.resolved_at is not None
    upload(store, entry_id, range(LIMIT + 1), name="again_")  # the accounts that tripped it are approved
    upload(store, entry_id, range(50, 50 + LIMIT + 1))  # and as many new ones are allowed once more
    assert not is_quarantined(store, entry_id)
    assert store.open_notice_counts()[NoticeKind.ENTRY_QUARANTINED] == 0

    upload(store, entry_id, range(70, 71))

    assert is_quarantined(store, entry_id)
    assert [notice.resolved_by for notice in store.notices()] == ["bob", None]
    assert [notice.id for notice in store.notices(open_only=True)] == [store.notices()[-1].id]


def test_the_hour_a_person_approved_is_history_for_the_next(store: Store):
    entry_id = flooding_bank(store)
    upload(store, entry_id, range(LIMIT + 1))
    store.set_entry_states("known", [entry_id], EntryState.ACTIVE, actor="bob", reason=None)

    upload(store, entry_id, range(2 * (LIMIT + 1)), hour=1)
    assert not is_quarantined(store, entry_id)
    upload(store, entry_id, range(100, 101), hour=1)

    assert is_quarantined(store, entry_id)


@pytest.mark.parametrize("state", [EntryState.WITHDRAWN, EntryState.PAUSED])
def test_withdrawing_or_pausing_resolves_the_notice_and_the_entry_stays_silent(store: Store, state: EntryState):
    entry_id = flooding_bank(store)
    upload(store, entry_id, range(LIMIT + 1))

    store.set_entry_states("known", [entry_id], state, actor="bob", reason="a meme")
    upload(store, entry_id, range(50, 70))

    assert active_ids(store) == []
    assert the_notice(store).resolved_by == "bob"


def test_withdrawing_the_bank_resolves_its_notices(store: Store):
    entry_id = flooding_bank(store)
    upload(store, entry_id, range(LIMIT + 1))

    store.set_bank_state("known", BankState.PAUSED, actor="bob", reason="looking")
    assert the_notice(store).resolved_at is None
    store.set_bank_state("known", BankState.WITHDRAWN, actor="bob", reason="over")

    assert the_notice(store).resolved_by == "bob"


def test_a_lower_limit_counts_from_the_next_match_on(store: Store):
    entry_id = flooding_bank(store, accounts_per_hour=100)
    upload(store, entry_id, range(20))

    store.change_bank("known", flood_accounts_per_hour=10, actor="bob")
    assert not is_quarantined(store, entry_id)
    upload(store, entry_id, range(1), name="again_")

    assert the_notice(store).facts["limit"] == 10


def test_an_entry_is_quarantined_by_a_caller_once(store: Store):
    entry_id = flooding_bank(store)

    assert store.quarantine_entry(entry_id, facts=FACTS)
    assert not store.quarantine_entry(entry_id, facts=FACTS)

    notice = the_notice(store)
    assert notice.facts == {"counted": "stored items", "count": 9, "limit": 4}
    assert is_quarantined(store, entry_id)


def test_what_is_not_active_is_not_quarantined(store: Store):
    entry_id = flooding_bank(store)
    store.set_entry_states("known", [entry_id], EntryState.PAUSED, actor="bob", reason="x")
    assert not store.quarantine_entry(entry_id, facts=FACTS)

    store.set_entry_states("known", [entry_id], EntryState.ACTIVE, actor="bob", reason="x")
    store.set_bank_state("known", BankState.WITHDRAWN, actor="bob", reason="x")
    assert not store.quarantine_entry(entry_id, facts=FACTS)

    for unknown in (entry_id + 1, -1, 2**70):
        with pytest.raises(NotFoundError, match="there is no entry"):
            store.quarantine_entry(unknown, facts=FACTS)
    assert store.notices() == []


def test_notices_are_listed_in_pages(store: Store):
    flooding_bank(store)
    ids = add(store, 5, first=1)
    for entry_id in ids:
        store.quarantine_entry(entry_id, facts=FACTS)

    first = store.notices(limit=2)
    rest = store.notices(after_id=first[-1].id, limit=10)

    assert [notice.entry_id for notice in first + rest] == ids
    with pytest.raises(NotFoundError, match="there is no notice"):
        store.notice(2**70)


def test_eight_threads_that_trip_it_at_once_open_one_notice(store: Store, store_url: str):
    entry_id = flooding_bank(store, accounts_per_hour=3)
    with Store.open(store_url) as second:
        stores = (store, second)
        barrier = threading.Barrier(8)

        def flood(thread: int) -> None:
            barrier.wait()
            for number in range(10):
                account = f"{thread} {number}"
                stores[thread % 2].record(matched(number, match(entry_id), account=account, name=f"{thread}_"))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(flood, range(8)))

    assert is_quarantined(store, entry_id)
    assert the_notice(store).resolved_at is None


def test_resuming_many_entries_while_they_match_makes_nobody_wait_for_ever(store: Store, store_url: str):
    first = flooding_bank(store, accounts_per_hour=1_000)
    ids = [first, *add(store, 19, first=1)]
    is_over = threading.Event()

    def record_all(recorder: Store, name: str) -> int:
        number = 0
        while not is_over.is_set():
            number += 1
            recorder.record(matched(number, *map(match, ids), account=f"{name} {number}", name=name))
        return number

    with Store.open(store_url) as second, ThreadPoolExecutor(2) as pool:
        recording = [pool.submit(record_all, store, "a"), pool.submit(record_all, second, "b")]
        try:
            for _ in range(8):
                store.set_entry_states("known", ids[::-1], EntryState.PAUSED, actor="bob", reason="x")
                store.set_entry_states("known", ids[::-1], EntryState.ACTIVE, actor="bob", reason="x")
        finally:
            is_over.set()
        assert all(each.result() > 0 for each in recording)


def test_when_the_quarantine_fails_the_screening_stands_and_the_next_match_tries_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    entry_id = flooding_bank(store)
    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR):
        broken.setattr(store._recorder._breaker, "act", lambda: 1 / 0)
        upload(store, entry_id, range(LIMIT + 1))
    assert "could not be quarantined" in caplog.text
    assert not is_quarantined(store, entry_id)

    store.record(matched(500, match(entry_id), account="account 0"))  # an account that was counted before

    assert is_quarantined(store, entry_id)


def test_any_order_of_uploads_and_decisions_agrees_with_counting_by_hand(store: Store):
    """Compared with a count in sets over the whole history, over 150 steps with a fixed seed."""
    chance = random.Random(1979)  # noqa: S311 - moments, not secrets
    limits = FloodLimits(3, 1)
    entry_id = flooding_bank(store, accounts_per_hour=limits.accounts_per_hour, factor=limits.factor)
    seen: dict[int, set[int]] = {}
    approved = trips = 0
    hour = 0
    for step in range(150):
        if chance.random() < 0.1:
            hour, approved = hour + chance.choice([1, 1, 1, HISTORY_HOURS // 2]), 0
        if is_quarantined(store, entry_id):
            store.set_entry_states("known", [entry_id], EntryState.ACTIVE, actor="bob", reason=None)
            approved = len(seen.get(hour, ()))
        account = chance.randrange(60)
        at = START + timedelta(hours=hour)
        store.record(matched(step, match(entry_id), account=f"account {account}", at=at))
        seen.setdefault(hour, set()).add(account)
        earlier = [len(who) for when, who in seen.items() if hour - HISTORY_HOURS <= when < hour]
        expected = is_flood(limits, Tally(len(seen[hour]), approved, max(earlier, default=0)))
        trips += expected
        assert is_quarantined(store, entry_id) == expected, (step, hour_of(at))
    assert trips > 3
    assert len(store.notices(limit=1000)) == trips
