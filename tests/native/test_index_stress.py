"""Adds, removals, replacements, merges and searches at once, from threads and processes, held against a model.

The work is a fixed number of operations. Each writer owns the ids of its own and writes down, before and after each
operation, what is certain: an id that was there from before a search until after it must be found, one that was absent
all that time must not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from baken._native import HammingIndex, IndexFolder

Codes = NDArray[np.uint8]
Ids = NDArray[np.int64]

CHILD = Path(__file__).parent / "folder_child.py"
WRITERS = 2
IDS_A_WRITER = 400
OPERATIONS = 150
SEARCHES = 120
FILLER_ROWS = 6_000
FILLER_ID = 1 << 40
ABSENT, PRESENT, UNKNOWN = 0, 1, 2


class Index(Protocol):
    """What the stress needs of both indexes."""

    def __len__(self) -> int: ...

    def add(self, codes: Codes, ids: Ids) -> None:
        """Add codes under ids."""

    def remove(self, ids: Ids) -> int:
        """Remove every code of the ids."""


class Model:
    """What is certain of each id: a state, and how often it changed, so that a searcher sees what moved meanwhile."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self._states = np.zeros(len(codes), np.int8)
        self._changes = np.zeros(len(codes), np.int64)
        self._lock = threading.Lock()

    def set(self, ids: Ids, state: int) -> None:
        """Say what is true of these ids from now on."""
        with self._lock:
            self._states[ids] = state
            self._changes[ids] += 1

    def look(self) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """The states, and a mark that differs once they changed."""
        with self._lock:
            return self._states.copy(), self._changes.copy()

    def mistakes(self, before: tuple[NDArray[np.int8], NDArray[np.int64]], found: set[int], asked: Ids) -> list[str]:
        """What a search for `asked` got wrong that began after `before` was looked at and has ended by now."""
        states, changes = before
        steady = asked[changes[asked] == self.look()[1][asked]]
        lost = [f"{each} is lost" for each in steady[states[steady] == PRESENT].tolist() if each not in found]
        return lost + [f"{each} is a ghost" for each in steady[states[steady] == ABSENT].tolist() if each in found]


def write(index: Index, model: Model, writer: int) -> None:
    """A fixed history of one writer, over ids of its own; filler rows make segments and merges."""
    rng = np.random.default_rng(writer)
    own = np.arange(writer * IDS_A_WRITER, (writer + 1) * IDS_A_WRITER)
    for number in range(OPERATIONS):
        chosen = rng.choice(own, 25, replace=False)
        states = model.look()[0][chosen]
        gone, come = chosen[states == PRESENT], chosen[states == ABSENT]
        model.set(chosen, UNKNOWN)
        index.remove(gone)
        index.add(model.codes[come], come)
        model.set(gone, ABSENT)
        model.set(come, PRESENT)
        if number % 6 == writer:
            filler = rng.integers(0, 256, (FILLER_ROWS, 32), dtype=np.uint8)
            index.add(filler, np.full(FILLER_ROWS, FILLER_ID + writer))
        if number % 30 == writer:
            index.remove(np.array([FILLER_ID + writer]))
        if isinstance(index, IndexFolder) and number % 10 == 0:
            index.merge()


def asked_ids(rng: np.random.Generator, count: int) -> Ids:
    return rng.choice(WRITERS * IDS_A_WRITER, count, replace=False)


def search_in_thread(index: HammingIndex | IndexFolder, model: Model, seed: int, mistakes: list[str]) -> None:
    rng = np.random.default_rng(seed)
    for number in range(SEARCHES):
        asked = asked_ids(rng, 60)
        before = model.look()
        if number % 2:
            found = set(index.search(model.codes[asked], 0)[1].tolist())
        else:
            found = set(index.search_nearest(model.codes[asked], 0, 2).id.tolist())
        mistakes += model.mistakes(before, found, asked)


def search_in_process(path: Path, model: Model, seed: int, mistakes: list[str]) -> None:
    rng = np.random.default_rng(seed)
    command = [sys.executable, str(CHILD), "search_beside", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for _ in range(SEARCHES):
            asked = asked_ids(rng, 60)
            before = model.look()
            child.stdin.write(model.codes[asked].tobytes().hex() + "\n")
            child.stdin.flush()
            answer = child.stdout.readline()
            if not answer:
                mistakes.append("the process ended")
                return
            mistakes += model.mistakes(before, set(json.loads(answer)[2]), asked)
        child.stdin.close()


def run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def check_end(index: HammingIndex | IndexFolder, model: Model) -> None:
    """Every id is where the model says, once, and nothing else of the writers' is there."""
    states, _ = model.look()
    assert not (states == UNKNOWN).any()
    found = index.search_nearest(model.codes, 0, 10)
    assert found.match_count.tolist() == (states == PRESENT).astype(int).tolist()
    assert found.id.tolist() == np.flatnonzero(states == PRESENT).tolist()


@pytest.fixture
def model() -> Model:
    return Model(np.random.default_rng(99).integers(0, 256, (WRITERS * IDS_A_WRITER, 32), dtype=np.uint8))


def test_threads_at_once_on_an_index_in_memory_equal_the_model(model: Model) -> None:
    index = HammingIndex()
    mistakes: list[str] = []
    writers = [threading.Thread(target=write, args=(index, model, writer)) for writer in range(WRITERS)]
    readers = [threading.Thread(target=search_in_thread, args=(index, model, 10 + i, mistakes)) for i in range(2)]
    run(writers + readers)
    assert mistakes == []
    check_end(index, model)


def test_threads_and_processes_at_once_on_an_index_on_disk_equal_the_model(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "index"
    writing = [IndexFolder(str(path), "a database", reset=number == 0) for number in range(WRITERS)]
    mistakes: list[str] = []
    writers = [threading.Thread(target=write, args=(writing[number], model, number)) for number in range(WRITERS)]
    readers = [threading.Thread(target=search_in_thread, args=(writing[i], model, 20 + i, mistakes)) for i in range(2)]
    readers += [threading.Thread(target=search_in_process, args=(path, model, 30 + i, mistakes)) for i in range(2)]
    run(writers + readers)
    assert mistakes == []
    check_end(IndexFolder(str(path), "a database"), model)
    writing[0].verify()
