"""The index of banked views follows the database like the others: at once, in every process, whatever befalls it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from baken import known_inspection
from baken._native import IndexFolder
from baken.copies import BankViews, MatchStage
from baken.known import KnownFollower
from baken.known_files import LAYOUTS, KnownFiles
from baken.known_inspection import IndexState
from baken.model import BankState, EntryState, Fingerprint, FingerprintKind, NewEntry, Provenance, Purpose, Verdict
from baken.store import Store

CHILD = Path(__file__).parent / "known_child.py"
PROVENANCE = Provenance("test", "alice")
VIEWS_EACH = 3

Follow = Callable[..., KnownFollower]


def value(number: int) -> bytes:
    """A code far from every other number's; as in known_child.py."""
    return hashlib.blake2b(str(number).encode(), digest_size=32).digest()


def picture(number: int, count: int = VIEWS_EACH) -> NewEntry:
    """Entry `number`: its whole picture has the code of 1000 * number, and view n of it that of 1000 * number + n."""
    numbers = np.arange(1, count + 1, dtype=np.uint8)
    codes = np.frombuffer(b"".join(value(1000 * number + each) for each in numbers.tolist()), np.uint8)
    whole = Fingerprint(FingerprintKind.PDQ, value(1000 * number))
    return NewEntry((whole,), views=BankViews(numbers, codes.reshape(-1, 32)), width_px=400, height_px=300)


def add(store: Store, *numbers: int) -> list[int]:
    return store.add_entries("b", [picture(number) for number in numbers], PROVENANCE, actor="bob")


def found(follower: KnownFollower, number: int, view: int) -> list[tuple[int, MatchStage, int]]:
    [answer] = follower.refresh().lookup([Fingerprint(FingerprintKind.PDQ, value(1000 * number + view))])
    assert answer.match_count == len(answer.matches)
    return [(match.entry_id, match.stage, match.entry_view_number) for match in answer.matches]


def by_view(number: int, view: int) -> list[tuple[int, MatchStage, int]]:
    return [(number, MatchStage.VIEWS, view)]


@pytest.fixture
def filled(store: Store) -> Store:
    """A store, on each engine, with entries 1 to 5 that have views."""
    store.create_bank("b", Purpose.WATCH, radius_bits=10, verdict=Verdict.ALLOW, actor="alice")
    add(store, 1, 2, 3, 4, 5)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index" / "known"


@pytest.fixture(params=["in memory", "on disk"])
def place(request: pytest.FixtureRequest, folder: Path) -> Path | None:
    return folder if request.param == "on disk" else None


@pytest.fixture
def follow() -> Iterator[Follow]:
    with ExitStack() as closing:

        def make(store: Store, where: Path | None) -> KnownFollower:
            follower = KnownFollower(store, where)
            closing.callback(follower.close)
            return follower

        yield make


def test_a_banked_view_is_found_and_named(filled: Store, place: Path | None, follow: Follow):
    follower = follow(filled, place)
    for number in range(1, 6):
        assert found(follower, number, 0) == [(number, MatchStage.FINGERPRINT, 0)]
        for view in range(1, VIEWS_EACH + 1):
            assert found(follower, number, view) == by_view(number, view)


def test_every_change_counts_for_views_on_the_next_request(filled: Store, place: Path | None, follow: Follow):
    follower = follow(filled, place)
    assert found(follower, 2, 1) == by_view(2, 1)

    filled.set_entry_states("b", [2], EntryState.PAUSED, actor="alice", reason="a test")
    assert found(follower, 2, 1) == []
    filled.set_entry_states("b", [2], EntryState.ACTIVE, actor="alice", reason=None)
    assert found(follower, 2, 1) == by_view(2, 1)

    filled.set_bank_state("b", BankState.PAUSED, actor="alice", reason="a test")
    assert found(follower, 2, 1) == []
    filled.set_bank_state("b", BankState.ACTIVE, actor="alice", reason=None)
    assert found(follower, 2, 1) == by_view(2, 1)

    add(filled, 6)
    assert found(follower, 6, 3) == by_view(6, 3)
    filled.set_entry_states("b", [6], EntryState.WITHDRAWN, actor="alice", reason="a test")
    assert found(follower, 6, 3) == []
    assert found(follower, 2, 1) == by_view(2, 1)


def test_what_one_follower_applied_every_other_process_finds(
    filled: Store, folder: Path, follow: Follow, store_url: str, monkeypatch: pytest.MonkeyPatch
):
    first, second = follow(filled, folder), follow(filled, folder)
    assert found(first, 3, 2) == by_view(3, 2)
    add(filled, 6)
    assert found(first, 6, 1) == by_view(6, 1)
    monkeypatch.setattr(KnownFiles, "_reload", lambda *_: pytest.fail("a change was applied twice"))
    assert found(second, 6, 1) == by_view(6, 1)
    said = subprocess.run(
        [sys.executable, CHILD, "answers", store_url, folder, "6001", "3002", "9999"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert said.stdout.split() == [b"[6]", b"[3]", b"[]"]


def test_an_index_of_before_there_were_views_is_kept_and_gets_them_alone(
    filled: Store, folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
):
    assert found(follow(filled, folder), 4, 2) == by_view(4, 2)
    shutil.rmtree(folder / "views")
    built: list[list[str]] = []
    load = KnownFiles._load

    def noted(files: KnownFiles, indexes: list[IndexFolder]) -> None:
        names = {id(files.pdq): "pdq", id(files.digests): "digests", id(files.views): "views"}
        built.append([names[id(each)] for each in indexes])
        load(files, indexes)

    monkeypatch.setattr(KnownFiles, "_load", noted)
    assert found(follow(filled, folder), 4, 2) == by_view(4, 2)
    assert built == [["views"]]


def test_damage_to_the_views_is_found_and_mended(filled: Store, folder: Path, follow: Follow):
    assert found(follow(filled, folder), 4, 2) == by_view(4, 2)
    [segment] = (folder / "views").glob("segment-*")
    with segment.open("r+b") as file:
        file.seek(4096 + 5)
        file.write(b"\xff\xff")
    os.utime(segment, (1, 1))
    report = known_inspection.verify(folder, filled)
    assert (report.state, report.is_rebuilt) == (IndexState.DAMAGED, True)
    assert found(follow(filled, folder), 4, 2) == by_view(4, 2)


def test_an_index_of_views_with_another_layout_is_built_again(filled: Store, folder: Path, follow: Follow):
    layout = LAYOUTS[-1]
    folder.mkdir(parents=True)
    stray = IndexFolder(str(layout.folder_in(folder)), filled.history_id(), reset=True)
    stray.add(np.frombuffer(value(1001), np.uint8).reshape(1, 32), np.array([99]))
    stray.commit(filled.head_seq())
    stray.close()
    assert found(follow(filled, folder), 1, 1) == by_view(1, 1)


def test_entries_without_views_write_nothing_to_the_index_of_views(store: Store, folder: Path, follow: Follow):
    store.create_bank("b", Purpose.WATCH, radius_bits=10, verdict=Verdict.ALLOW, actor="alice")
    follower = follow(store, folder)
    lists = [NewEntry((Fingerprint(FingerprintKind.PDQ, value(number)),)) for number in range(100)]
    store.add_entries("b", lists[:1], PROVENANCE, actor="bob")
    follower.refresh()
    [tail] = (folder / "views").glob("tail-*")
    before = tail.stat().st_size
    store.add_entries("b", lists[1:], PROVENANCE, actor="bob")
    assert len(follower.refresh()) == 100
    assert tail.stat().st_size - before < 200  # the number of the change, and no id


def test_followers_killed_while_views_are_added_leave_an_index_that_equals_the_database(
    filled: Store, folder: Path, follow: Follow, store_url: str
):
    for round_number in range(4):
        first = 100 * (round_number + 1)
        with subprocess.Popen(
            [sys.executable, CHILD, "answers_forever", store_url, folder, "2001"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as child:
            changing = threading.Thread(target=add, args=(filled, *range(first, first + 50)))
            try:
                assert child.stdout is not None
                assert child.stdout.readline().strip() == b"[2]"
                changing.start()
                if round_number % 2:
                    changing.join()
            finally:
                child.kill()
        changing.join()
    on_disk, in_memory = follow(filled, folder), follow(filled, None)
    assert len(on_disk.refresh()) == len(in_memory.refresh()) == (5 + 4 * 50) * (1 + VIEWS_EACH)
    for number in (100, 249, 349, 410):
        assert found(on_disk, number, 2) == found(in_memory, number, 2) != []
