"""The index on disk is built from the database, again whenever it cannot be trusted, and shared by followers."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from baken._native import IndexFolder
from baken.errors import IndexLockedError, IndexMissingError
from baken.index_files import follower_turn
from baken.known import KnownFollower
from baken.known_files import KnownFiles
from baken.known_guard import KnownGuard
from baken.model import (
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


def value(number: int) -> bytes:
    return bytes((number * 73 + position * (number + 11)) % 256 for position in range(32))


def add(store: Store, *numbers: int) -> list[int]:
    entries = [NewEntry((Fingerprint(FingerprintKind.PDQ, value(number)),)) for number in numbers]
    return store.add_entries("b", entries, PROVENANCE, actor="bob")


def found(follower: KnownFollower, number: int) -> list[int]:
    [answer] = follower.refresh().lookup([Fingerprint(FingerprintKind.PDQ, value(number))])
    return sorted(match.entry_id for match in answer.matches)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Store]:
    """A store with one bank and entries 1 to 5."""
    with Store.initialise(f"sqlite:///{tmp_path / 'baken.sqlite3'}") as store:
        store.create_bank("b", Purpose.WATCH, radius_bits=0, verdict=Verdict.ALLOW, actor="alice")
        add(store, 1, 2, 3, 4, 5)
        yield store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index" / "known"


@contextmanager
def following(store: Store, folder: Path) -> Iterator[KnownFollower]:
    follower = KnownFollower(store, folder)
    try:
        yield follower
    finally:
        follower.close()


def test_a_second_follower_takes_what_the_first_one_built(filled: Store, folder: Path, monkeypatch: pytest.MonkeyPatch):
    with following(filled, folder) as first, following(filled, folder) as second:
        assert found(first, 3) == [3]
        monkeypatch.setattr(KnownFiles, "_load", lambda *_: pytest.fail("it was built twice"))
        monkeypatch.setattr(KnownFiles, "_reload", lambda *_: pytest.fail("a change was applied twice"))
        assert found(second, 3) == [3]


def test_every_follower_sees_what_any_of_them_applied(filled: Store, folder: Path):
    with following(filled, folder) as first, following(filled, folder) as second:
        for number in range(6, 12):
            [entry_id] = add(filled, number)
            assert found(first if number % 2 else second, number) == [entry_id]
            assert found(second if number % 2 else first, number) == [entry_id]
            filled.set_entry_states("b", [entry_id], EntryState.WITHDRAWN, actor="bob", reason="test")
            assert found(second, number) == found(first, number) == []


def test_followers_in_many_threads_agree_with_the_database(filled: Store, folder: Path):
    wrong: list[int] = []

    def follow(first_number: int) -> None:
        with following(filled, folder) as follower:
            for number in range(first_number, first_number + 15):
                added = add(filled, number)
                if found(follower, number) != added or found(follower, 3) != [3]:
                    wrong.append(number)

    threads = [threading.Thread(target=follow, args=(100 * each,)) for each in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_index_is_kept_from_one_start_to_the_next(filled: Store, folder: Path, monkeypatch: pytest.MonkeyPatch):
    with following(filled, folder) as follower:
        assert found(follower, 2) == [2]
    [late] = add(filled, 6)
    monkeypatch.setattr(KnownFiles, "_load", lambda *_: pytest.fail("it was built again"))
    with following(filled, folder) as follower:
        assert found(follower, 2) == [2]
        assert found(follower, 6) == [late]


@pytest.mark.parametrize("name", ["manifest", "tail-*", "control"])
def test_a_damaged_index_is_built_again_and_says_so(
    filled: Store, folder: Path, caplog: pytest.LogCaptureFixture, name: str
):
    with following(filled, folder) as follower:
        follower.refresh()
    [damaged] = (folder / "pdq").glob(name)
    damaged.write_bytes(b"no index at all, and long enough to be one" * 200)
    with caplog.at_level(logging.WARNING), following(filled, folder) as follower:
        assert found(follower, 2) == [2]
    assert "built again from the database" in caplog.text


def test_a_lost_folder_is_built_again_while_followers_run(filled: Store, folder: Path):
    with following(filled, folder) as first, following(filled, folder) as second:
        assert found(first, 2) == found(second, 2) == [2]
        shutil.rmtree(folder)
        for number in (6, 7):
            [late] = add(filled, number)
            assert found(first, number) == found(second, number) == [late]
            assert found(first, 2) == found(second, 2) == [2]


def test_an_index_of_another_database_is_built_again(filled: Store, folder: Path, tmp_path: Path):
    with Store.initialise(f"sqlite:///{tmp_path / 'other.sqlite3'}") as other:
        other.create_bank("b", Purpose.WATCH, radius_bits=0, verdict=Verdict.ALLOW, actor="alice")
        add(other, 50, 51)
        with following(other, folder) as follower:
            assert found(follower, 50) == [1]
    with following(filled, folder) as follower:
        assert found(follower, 50) == []
        assert found(follower, 2) == [2]


def test_an_index_ahead_of_its_database_is_built_again(filled: Store, folder: Path):
    with following(filled, folder) as follower:
        follower.refresh()
    index = IndexFolder(str(folder / "pdq"), filled.history_id())
    index.add(np.frombuffer(value(90), np.uint8).reshape(1, 32), np.array([(1 << 40) | 90]))
    index.close()
    for name in ("pdq", "digests"):
        index = IndexFolder(str(folder / name), filled.history_id())
        index.commit(filled.head_seq() + 10)
        index.close()
    with following(filled, folder) as follower:
        assert found(follower, 90) == []
        assert found(follower, 2) == [2]


def test_a_build_that_was_interrupted_begins_anew(filled: Store, folder: Path):
    for name in ("pdq", "digests"):
        (folder / name).mkdir(parents=True)
        index = IndexFolder(str(folder / name), filled.history_id(), reset=True)
        index.add(np.frombuffer(value(2), np.uint8).reshape(1, 32), np.array([(1 << 40) | 2]))
        index.close()
    with following(filled, folder) as follower:
        assert found(follower, 2) == [2]
        assert len(follower.refresh()) == 5


def test_an_index_that_another_process_empties_is_never_taken_for_an_answer(filled: Store, folder: Path):
    with following(filled, folder) as follower:
        known = follower.refresh()
        for name in ("pdq", "digests"):
            other = IndexFolder(str(folder / name), filled.history_id())
            other.clear()
            other.close()
        with pytest.raises(IndexMissingError):
            known.lookup([Fingerprint(FingerprintKind.PDQ, value(2))])
        assert found(follower, 2) == [2]


def test_an_emptied_index_of_digests_is_never_taken_for_an_answer_either(filled: Store, folder: Path):
    with following(filled, folder) as follower:
        known = follower.refresh()
        other = IndexFolder(str(folder / "digests"), filled.history_id())
        other.clear()
        other.close()
        with pytest.raises(IndexMissingError):
            known.lookup([Fingerprint(FingerprintKind.MD5, bytes(16))])


def test_a_folder_that_cannot_be_used_leaves_the_entries_in_memory(
    filled: Store, folder: Path, caplog: pytest.LogCaptureFixture
):
    with following(filled, folder) as follower:
        follower.refresh()
    manifest = folder / "pdq" / "manifest"
    manifest.write_bytes(manifest.read_bytes()[:12] + b"\x7f\0\0\0" + manifest.read_bytes()[16:])
    newer = manifest.read_bytes()
    with caplog.at_level(logging.WARNING), following(filled, folder) as follower:
        assert found(follower, 2) == [2]
        [late] = add(filled, 6)
        assert found(follower, 6) == [late]
    assert "in memory" in caplog.text
    assert manifest.read_bytes() == newer


def test_a_folder_that_cannot_be_made_leaves_the_entries_in_memory(
    filled: Store, folder: Path, caplog: pytest.LogCaptureFixture
):
    folder.parent.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING), following(filled, folder) as follower:
        assert found(follower, 2) == [2]
    assert "cannot be made" in caplog.text


def test_a_process_goes_back_to_the_folder_once_it_can_be_used(
    filled: Store, folder: Path, caplog: pytest.LogCaptureFixture
):
    folder.parent.write_text("a file where the folder should be")
    with caplog.at_level(logging.INFO), following(filled, folder) as follower, following(filled, folder) as other:
        assert found(follower, 2) == [2]
        follower.return_to_folder()
        assert "still keeps the known entries in memory" in caplog.text
        assert found(follower, 2) == [2]
        folder.parent.unlink()
        guard = KnownGuard(follower, verify_interval_seconds=0, folder_retry_seconds=0.01)
        guard.start()
        end = time.monotonic() + 60
        while "shares the index" not in caplog.text and time.monotonic() < end:
            time.sleep(0.01)
        guard.close()
        assert "shares the index" in caplog.text
        assert found(follower, 2) == [2]
        [late] = add(filled, 6)
        assert found(follower, 6) == [late]
        index = IndexFolder(str(folder / "pdq"), filled.history_id())
        assert index.applied_seq == filled.head_seq()
        assert found(other, 6) == [late]
        follower.return_to_folder()  # which is where it is
        assert caplog.text.count("shares the index") == 1


def test_a_follower_that_waits_too_long_for_another_says_so(filled: Store, folder: Path):
    with following(filled, folder) as holder:
        holder.refresh()
        waiting = KnownFiles(folder, filled, lock_timeout_seconds=0.02)
        add(filled, 6)
        with follower_turn(folder, 1), pytest.raises(IndexLockedError, match=r"0\.02 s"):
            waiting.bring_to(filled.head_seq())
        waiting.close()
