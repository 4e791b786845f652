"""Screenings: recorded whole, once for each idempotency key, by any number of threads."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta, timezone
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from store_samples import START, digest, full_screening, screening, token

from baken.errors import BakenError, ConflictError, InvalidValueError, NotFoundError, StoreBusyError, StoreError
from baken.model import Finding, Idempotency, ItemMeta, Screening
from baken.store import Store, recorder


def together(calls: list[Callable[[], Screening]]) -> list[Screening | BakenError]:
    """What each call returned or raised, all begun at the same moment."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Screening]) -> Screening | BakenError:
        barrier.wait()
        try:
            return call()
        except BakenError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_a_screening_reads_back_equal(store: Store):
    for each in (full_screening(), screening(1)):
        assert store.record(each) is each
        assert store.screening(each.id) == each


def test_orientations_are_not_kept(store: Store):
    plain = screening(1)
    with_codes = replace(plain.fingerprints, pdq_orientations=np.ones((8, 32), np.uint8))

    store.record(replace(plain, fingerprints=with_codes))

    assert store.screening(plain.id).fingerprints.pdq_orientations is None


def test_times_come_back_in_utc(store: Store):
    in_amsterdam = START.astimezone(timezone(timedelta(hours=2)))
    store.record(replace(screening(1), created_at=in_amsterdam))

    read = store.screening(screening(1).id).created_at

    assert read == START
    assert read.utcoffset() == timedelta(0)


def test_an_unknown_screening_is_not_found(store: Store):
    with pytest.raises(NotFoundError, match="scr_nobody"):
        store.screening("scr_nobody")


def test_an_id_is_recorded_once(store: Store):
    store.record(screening(1))

    with pytest.raises(ConflictError):
        store.record(replace(screening(2), id=screening(1).id))

    assert store.screening(screening(1).id) == screening(1)


@pytest.mark.parametrize("caption", ["nul \0 byte", "lone \udcff surrogate"])
def test_text_that_no_database_can_hold_is_refused(store: Store, caption: str):
    with pytest.raises(InvalidValueError, match="NUL or a lone surrogate"):
        store.record(replace(screening(1), meta=ItemMeta(caption=caption)))
    with pytest.raises(InvalidValueError, match="NUL or a lone surrogate"):
        store.record_many([screening(2), replace(screening(3), meta=ItemMeta(caption=caption))])

    assert sum(store.screening_counts().values()) == 0


def test_record_many_writes_all_or_none(store: Store):
    store.record_many([])
    store.record_many([screening(number) for number in range(50)])

    with pytest.raises(ConflictError):
        store.record_many([screening(100), screening(7)])

    assert store.screening(screening(49).id) == screening(49)
    with pytest.raises(NotFoundError):
        store.screening(screening(100).id)


def test_counts_name_every_finding(store: Store):
    store.record_many([screening(1), screening(2), screening(3, finding=Finding.UNSCREENABLE)])

    assert store.screening_counts() == {Finding.CLEAR: 2, Finding.MATCHED: 0, Finding.UNSCREENABLE: 1}


def test_eight_threads_record_side_by_side(store: Store):
    def record_some(thread: int) -> None:
        for number in range(40):
            store.record(screening(number, name=f"t{thread}_"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record_some, range(8)))

    assert store.screening_counts()[Finding.CLEAR] == 320
    assert all(store.screening(f"scr_t{thread}_{39:08d}") for thread in range(8))


def test_whoever_comes_without_company_ends_the_wait_of_the_others(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "_COMPANY_SECONDS", 3600)
    store.record(screening(1))
    waiting = [store.record_later(screening(number), has_company=True) for number in (2, 3)]
    store.record(screening(4))

    assert [each.result(timeout=30).id for each in waiting] == [screening(2).id, screening(3).id]


def test_closing_ends_the_wait_for_company(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "_COMPANY_SECONDS", 3600)
    store.record(screening(1))
    waiting = store.record_later(screening(2), has_company=True)
    store.close()

    assert waiting.result(timeout=0).id == screening(2).id


def test_an_idempotency_key_repeats_the_first_answer(store: Store):
    assert store.replay(token(1)) is None
    first = store.record(screening(1), token(1))

    assert store.replay(token(1)) == first
    assert store.record(screening(2), token(1)) == first
    assert store.screening_counts()[Finding.CLEAR] == 1


def test_an_idempotency_key_is_not_taken_for_another_request(store: Store):
    store.record(screening(1), token(1))

    with pytest.raises(ConflictError, match="'token 1' was used for another request"):
        store.replay(token(1, request=2))
    with pytest.raises(ConflictError, match="'token 1' was used for another request"):
        store.record(screening(2), token(1, request=2))


def test_callers_do_not_share_idempotency_keys(store: Store):
    other = Idempotency(api_key_id="key_2", token=token(1).token, request_sha256=digest(9))

    store.record(screening(1), token(1))

    assert store.replay(other) is None
    assert store.record(screening(2), other) == screening(2)


def test_eight_threads_with_one_idempotency_key_get_one_answer(store: Store):
    for round_number in range(10):
        asked = [screening(number, name=f"r{round_number}_") for number in range(8)]
        answers = together([partial(store.record, each, token(round_number)) for each in asked])

        assert len({answer.id for answer in answers if isinstance(answer, Screening)}) == 1
        assert all(answer == answers[0] for answer in answers)
    assert store.screening_counts()[Finding.CLEAR] == 10


def test_two_stores_race_for_the_same_idempotency_keys_without_deadlock(store: Store, store_url: str):
    with Store.open(store_url) as second:
        calls = [
            lambda number=number, index=index, recorder=recorder: recorder.record(
                screening(number, name=f"s{index}_"), token(number % 4)
            )
            for index, recorder in enumerate((store, second))
            for number in (range(12) if index == 0 else reversed(range(12)))
        ]
        answers = together(calls)

    assert all(isinstance(answer, Screening) for answer in answers), answers
    assert len({answer.id for answer in answers if isinstance(answer, Screening)}) == 4
    assert store.screening_counts()[Finding.CLEAR] == 4


def test_a_recording_that_has_begun_cannot_be_called_off(store: Store):
    begun = store.record_later(screening(1))

    assert not begun.cancel()
    assert begun.result() == screening(1)
    assert store.screening(screening(1).id) == screening(1)


def test_what_was_begun_before_closing_is_written(store: Store, store_url: str):
    begun = [store.record_later(screening(number)) for number in range(20)]
    store.close()

    assert [each.result() for each in begun] == [screening(number) for number in range(20)]
    with Store.open(store_url) as again:
        assert again.screening_counts()[Finding.CLEAR] == 20


def test_a_row_that_cannot_be_stored_does_not_take_its_neighbours_along(tmp_path: Path):
    path = tmp_path / "baken.sqlite3"
    with Store.initialise(f"sqlite:///{path}") as store, closing(sqlite3.connect(path, isolation_level=None)) as lock:
        store.record(screening(0))
        # While another process writes, the recorder waits and everything that comes lands in one transaction after it.
        lock.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as background:
            running = background.submit(
                together,
                [lambda number=number: store.record(screening(number % 7)) for number in range(8)],
            )
            time.sleep(0.5)
            lock.execute("ROLLBACK")
            answers = running.result()

    # Numbers 0 and 7 both ask for the id of number 0, which is taken.
    assert [isinstance(answer, ConflictError) for answer in answers] == [True, *[False] * 6, True]


def test_when_the_file_is_locked_everyone_who_waits_is_told(tmp_path: Path):
    path = tmp_path / "baken.sqlite3"
    url = f"sqlite:///{path}"
    Store.initialise(url).close()
    with (
        Store.open(url, busy_timeout_seconds=0.2) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as lock,
    ):
        lock.execute("BEGIN IMMEDIATE")
        answers = together([lambda number=number: store.record(screening(number)) for number in range(4)])
        lock.execute("ROLLBACK")
        store.record(screening(9))

        assert all(isinstance(answer, StoreBusyError) for answer in answers), answers
        assert store.screening_counts()[Finding.CLEAR] == 1


def test_a_closed_store_records_nothing_more(store_url: str):
    store = Store.initialise(store_url)
    store.record(screening(1))
    store.close()
    store.close()

    with pytest.raises(StoreError, match="closed"):
        store.record(screening(2))
    with pytest.raises(StoreError, match="closed"):
        store.ping()
    with Store.open(store_url) as again:
        assert again.screening_counts()[Finding.CLEAR] == 1
