"""Several processes on one database: killed in mid-write, writing side by side, initialising at once, forked."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from flood_samples import LIMIT, flooding_bank, match, matched
from sqlalchemy import make_url
from store_child import WRITES
from store_samples import make_bank

from baken.audit import verify_chain
from baken.errors import NotFoundError
from baken.model import EntryState, Finding
from baken.store import Store

CHILD = Path(__file__).with_name("store_child.py")


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(CHILD), *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
    )


def finish(child: subprocess.Popen[str]) -> list[str]:
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    return output.splitlines()


def integrity(url: str) -> str:
    """SQLite's own verdict on the file; PostgreSQL has no such question, and its files belong to the server."""
    path = make_url(url).database
    if not url.startswith("sqlite") or path is None:
        return "ok"
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def is_present(store: Store, line: str) -> bool:
    what, identifier = line.split()
    try:
        if what == "entry":
            return store.entry("known", int(identifier)).state is EntryState.ACTIVE
        return store.screening(identifier).id == identifier
    except NotFoundError:
        return False


def test_a_killed_writer_loses_nothing_it_acknowledged(store_url: str):
    chance = random.Random(20181120)  # noqa: S311 - moments, not secrets
    with Store.initialise(store_url) as store:
        make_bank(store)
    acknowledged: list[str] = []
    for round_number in range(8):
        child = start("killed", store_url, f"round{round_number}")
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(chance.randint(1, 150))]
        child.kill()
        rest, _ = child.communicate(timeout=60)
        lines = [line for line in "".join([*lines, rest]).splitlines() if line]
        acknowledged += lines

        assert child.returncode == -9
        assert integrity(store_url) == "ok"
        with Store.open(store_url) as store:
            lost = [line for line in lines if not is_present(store, line)]
        assert lost == []

    with Store.open(store_url) as store:
        assert [line for line in acknowledged[::10] if not is_present(store, line)] == []
        assert len({line for line in acknowledged if line.startswith("screening")}) >= 8
        assert [change.seq for change in store.changes_since(0, limit=100_000)] == list(range(1, store.head_seq() + 1))
        told = verify_chain(store.audit.rows(), store.audit.head)
        assert told.is_sound
        assert told.event_count == store.head_seq()  # each change here is told once, killed or not


def test_a_killed_process_leaves_whole_entries_with_all_that_is_kept_of_them(store_url: str):
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    with Store.initialise(store_url) as store:
        make_bank(store)
        store.change_bank("known", keeps_keypoints=True, actor="test")
    for round_number in range(4):
        child = start("pictures_killed", store_url, f"round{round_number}")
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(chance.randint(2, 12))]
        child.kill()
        rest, _ = child.communicate(timeout=60)
        told = [line.split() for line in "".join([*lines, rest]).splitlines()]

        assert child.returncode == -9
        assert integrity(store_url) == "ok"
        with Store.open(store_url) as store:
            entries = {entry.id: entry for entry in store.entries("known", limit=10_000)}
            kept = {entry.id: (entry.view_count, entry.has_vectors, entry.has_keypoints) for entry in entries.values()}
            views = {int(each) for chunk in store.kept.active_views() for each in chunk.entry_ids}
            assert set(kept.values()) <= {(0, False, False), (200, True, True)}
            assert views == {entry_id for entry_id, each in kept.items() if each[0]}
            assert set(store.kept.keypoints_of(list(kept))) == views
            assert all({int(line[1]), int(line[2])} <= entries.keys() for line in told if line[0] == "added")
            assert all(kept[int(line[1])][0] == 200 for line in told if line[0] == "completed")
            assert len(entries) % 3 == 0


def test_two_processes_write_side_by_side(store_url: str):
    with Store.initialise(store_url) as store:
        make_bank(store)
        children = [start("some", store_url, name) for name in ("a", "b")]
        lines = [line for child in children for line in finish(child)]

        assert len(set(lines)) == len(lines) == 2 * (WRITES + 3 * WRITES)
        assert all(is_present(store, line) for line in lines)
        assert store.screening_counts()[Finding.CLEAR] == 2 * WRITES
        assert store.bank_counts(store.bank("known").id)[EntryState.ACTIVE] == 2 * 3 * WRITES


def test_three_processes_that_flood_an_entry_at_once_open_one_notice(store_url: str):
    with Store.initialise(store_url) as store:
        flooding_bank(store)
    children = [start("flood", store_url, name) for name in ("a", "b", "c")]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("ready")
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()

    assert [finish(child) for child in children] == [[], [], []]
    with Store.open(store_url) as store:
        assert len(store.notices()) == 1
        assert store.entry("known", 1).state is EntryState.QUARANTINED
        assert store.screening_counts()[Finding.MATCHED] == 3 * WRITES


def test_a_process_killed_between_counting_a_flood_and_acting_on_it_loses_neither(store_url: str):
    with Store.initialise(store_url) as store:
        flooding_bank(store)
    child = start("flood_killed", store_url, "a")
    output, _ = child.communicate(timeout=60)
    acknowledged = output.splitlines()

    assert child.returncode == -9
    assert len(acknowledged) == LIMIT
    with Store.open(store_url) as store:
        assert all(is_present(store, line) for line in acknowledged)
        assert store.screening_counts()[Finding.MATCHED] == LIMIT + 1
        assert store.notices() == []

        store.record(matched(0, match(1), account="a 0", name="after_"))  # an account that was counted before

        assert [notice.facts["count"] for notice in store.notices()] == [LIMIT + 1]
        assert store.entry("known", 1).state is EntryState.QUARANTINED


def test_four_processes_initialise_at_once(bare_store_url: str):
    children = [start("initialise", bare_store_url, str(number)) for number in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("ready")
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()

    assert [finish(child) for child in children] == [["head 0"]] * 4
    with Store.open(bare_store_url) as store:
        make_bank(store)
        assert store.head_seq() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_told_to_open_its_own_store(store_url: str):
    Store.initialise(store_url).close()

    lines = finish(start("fork", store_url, "x"))

    assert len(lines) == 4
    assert all(line.startswith("StoreError") and "its fork" in line for line in lines[:3])
    assert lines[3] == "head 0"
