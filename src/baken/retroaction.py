"""Asking the past: when an entry begins to count, the items that were seen before and match it open or join a case.

It goes through the change log with a cursor of its own. For each change the seen files near its entries are judged
again, whole, by the rules of a screening; what an item is found to match and was not known to match joins a case.
Repeating a step changes nothing, so a process that dies in the middle loses nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from baken import decisions
from baken.decisions import Policy
from baken.fingerprints.orientations import orientations_of
from baken.known import KnownFollower
from baken.model import PDQ_BYTES, FingerprintKind, Fingerprints, Match
from baken.seen_index import SeenIndex
from baken.store import Store
from baken.store.asking import Question
from baken.store.cases import Found, join_cases
from baken.store.seen import SeenFile
from baken.store.seen_turn import Turn, set_state

ENTRIES_AT_ONCE = 500
CHANGES_AT_ONCE = 200
_PAGE_ITEMS = 500


class Judge:
    """Judges a seen file as a screening would now."""

    def __init__(self, known: KnownFollower, policy: Policy) -> None:
        self._known = known
        self._policy = policy

    def matches(self, files: Iterable[SeenFile]) -> dict[int, tuple[Match, ...]]:
        """What counts of what each file matches, by file id; files that match nothing are left out.

        Raises:
            NotReadyError: the known entries cannot be read.
        """
        known = self._known.refresh()
        found: dict[int, tuple[Match, ...]] = {}
        for each in files:
            # Why a picture could not be compared has no part in what it matches.
            outcome = decisions.decide(None, known.search(_fingerprints(each)), self._policy)
            if outcome.matches:
                found[each.id] = outcome.matches
        return found


def ask_next(store: Store, turn: Turn, index: SeenIndex, judge: Judge, at: datetime) -> bool:
    """Ask the past about the next changes of the log, within bounds; whether there were any.

    Raises:
        TurnLostError: another process does it now.
        NotReadyError: the database or an index failed.
    """
    state = store.seen.state()
    changes = store.changes_since(state.asked_seq, limit=CHANGES_AT_ONCE)
    if not changes:
        return False
    index.follow()
    questions: list[Question] = []
    asked_seq, asked_entry_id = state.asked_seq, state.asked_entry_id
    left = ENTRIES_AT_ONCE
    for change in changes:
        question = store.question_of(change, after_entry_id=asked_entry_id, limit=left) if len(index) else None
        if question is not None:
            questions.append(question)
            left -= len({entry_id for entry_id, _, _ in question.codes})
            if not question.is_complete:
                asked_entry_id = question.last_entry_id
                break
        asked_seq, asked_entry_id = change.seq, 0
        if left <= 0:
            break
    _judge_again(store, turn, judge, _files_near(index, questions), at)
    with turn.write() as (connection, _):
        set_state(connection, asked_seq=asked_seq, asked_entry_id=asked_entry_id)
    return True


def _files_near(index: SeenIndex, questions: Sequence[Question]) -> set[int]:
    """The ids of the files within reach of the questions' codes."""
    perceptual: dict[int, list[bytes]] = defaultdict(list)
    exact: dict[FingerprintKind, list[bytes]] = defaultdict(list)
    for question in questions:
        for _, kind, value in question.codes:
            if kind.is_exact:
                exact[kind].append(value)
            else:
                perceptual[question.bank.radius_bits].append(value)
    found: set[int] = set()
    for radius_bits, values in perceptual.items():
        found.update(index.files_near(_rows(values, PDQ_BYTES), radius_bits)[1].tolist())
    for kind, values in exact.items():
        found.update(index.files_with(kind, _rows(values, kind.size_bytes))[1].tolist())
    return found


def _judge_again(store: Store, turn: Turn, judge: Judge, file_ids: set[int], at: datetime) -> None:
    ordered = sorted(file_ids)
    for start in range(0, len(ordered), _PAGE_ITEMS):
        matches = judge.matches(store.seen.files(ordered[start : start + _PAGE_ITEMS]))
        after_id = 0
        while items := store.seen.items_of_files(list(matches), after_id=after_id, limit=_PAGE_ITEMS):
            with turn.write() as (connection, _):
                join_cases(connection, [Found(item, matches[item.file_id]) for item in items], at)
            after_id = items[-1].id


def _fingerprints(file: SeenFile) -> Fingerprints:
    pdq = None if file.mirrorings is None else file.mirrorings[:PDQ_BYTES]
    orientations = None if file.mirrorings is None else orientations_of(file.mirrorings)
    return Fingerprints(
        file.sha256, file.sha1, file.md5, pdq, file.quality_percent, None, pdq_orientations=orientations
    )


def _rows(values: Sequence[bytes], size_bytes: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, size_bytes)
