"""Asking the past: when an entry begins to count, the items that were seen before and match it open or join a case.

It goes through the change log with a cursor of its own. For each change the seen files near its entries are judged
again, whole, by the rules of a screening; what an item is found to match and was not known to match joins a case.
Repeating a step changes nothing, so a process that dies in the middle loses nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baken import decisions
from baken.decisions import Policy
from baken.fingerprints.orientations import orientations_of
from baken.flood import FloodFacts, FloodLimits, past_limit_of
from baken.known import KnownFollower
from baken.model import ID_LIMIT, PDQ_BYTES, FingerprintKind, Fingerprints, Match, Outcome, SeenItem
from baken.seen_index import SeenIndex
from baken.store import Store
from baken.store.asking import Question
from baken.store.case_joining import Found, Joining, join_past
from baken.store.seen import SeenFile
from baken.store.seen_turn import Turn, set_state

ENTRIES_AT_ONCE = 500
CHANGES_AT_ONCE = 200
FILES_AT_ONCE = 20_000
_PAGE_ROWS = 500


Named = Callable[[Sequence[Outcome]], Sequence[Outcome]]


class Judge:
    """Judges a seen file as a screening would now."""

    def __init__(self, known: KnownFollower, policy: Policy, named: Named = list) -> None:
        """Judge by the known entries; `named` says which part of a banked picture a view is."""
        self._known = known
        self._policy = policy
        self._named = named

    def matches(self, files: Iterable[SeenFile]) -> dict[int, tuple[Match, ...]]:
        """What counts of what each file matches, by file id; files that match nothing are left out.

        Raises:
            NotReadyError: the known entries cannot be read.
        """
        known = self._known.refresh()
        found: dict[int, tuple[Match, ...]] = {}
        for each in files:
            # Why a picture could not be compared has no part in what it matches.
            outcome = decisions.decide(None, known.search(_fingerprints(each)).matches, self._policy)
            if outcome.matches:
                [outcome] = self._named([outcome])
                found[each.id] = outcome.matches
        return found


def ask_next(store: Store, turn: Turn, index: SeenIndex, judge: Judge, joining: Joining) -> bool:
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
    file_ids = sorted(_files_near(index, questions))
    for start in range(0, len(file_ids), FILES_AT_ONCE):
        past = _judged(store, turn, judge, file_ids[start : start + FILES_AT_ONCE])
        if _stop_floods(store, turn, past):
            return True  # the same changes are asked again, without the entries that are quarantined now
        _join(store, turn, past, joining)
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


@dataclass(frozen=True, slots=True)
class _Past:
    """Seen files and what counts of what they match now; `item_counts` are those of the same files."""

    matches: dict[int, tuple[Match, ...]]
    item_counts: dict[int, int]


def _judged(store: Store, turn: Turn, judge: Judge, file_ids: Sequence[int]) -> _Past:
    past = _Past({}, {})
    for start in range(0, len(file_ids), _PAGE_ROWS):
        files = store.seen.files(file_ids[start : start + _PAGE_ROWS])
        found = judge.matches(files)
        past.matches.update(found)
        past.item_counts.update({each.id: each.item_count for each in files if each.id in found})
        turn.prolong()
    return past


def _stop_floods(store: Store, turn: Turn, past: _Past) -> bool:
    """Quarantine the entries that match far more accounts of the past than their banks allow; whether there were any.

    As with live matches, equal bytes do not count, and neither does an entry that a person has let match since.
    """
    banks = {bank.id: bank for bank in store.banks()}
    near: dict[int, list[int]] = defaultdict(list)
    limits: dict[int, int] = {}
    for file_id, matches in past.matches.items():
        for match in matches:
            bank = banks.get(match.bank_id)
            if bank is not None and not match.kind.is_exact:
                near[match.entry_id].append(file_id)
                limits[match.entry_id] = (
                    past_limit_of(FloodLimits(bank.flood_accounts_per_hour, bank.flood_factor)) or ID_LIMIT
                )
    suspects = {
        entry_id: file_ids
        for entry_id, file_ids in near.items()
        if sum(past.item_counts[file_id] for file_id in file_ids) > limits[entry_id]
    }
    stopped = False
    for entry_id in suspects.keys() - store.answered_entries(list(suspects)):
        named, unnamed = _new_accounts(store, turn, entry_id, suspects[entry_id])
        if len(named) + len(unnamed) > limits[entry_id]:
            facts = FloodFacts(
                "accounts with items seen before",
                len(named) + len(unnamed),
                limits[entry_id],
                without_account_count=len(unnamed),
            )
            store.quarantine_entry(entry_id, facts=facts)
            stopped = True
    return stopped


def _new_accounts(store: Store, turn: Turn, entry_id: int, file_ids: Sequence[int]) -> tuple[set[str], set[int]]:
    """Whose items match the entry and were not known to: accounts, and files of items without account."""
    named: set[str] = set()
    unnamed: set[int] = set()
    for items in _item_pages(store, file_ids):
        known = store.cases.known_entries([item.screening_id for item in items])
        for item in items:
            if entry_id not in known[item.screening_id]:
                if item.account_ref:
                    named.add(item.account_ref)
                else:
                    unnamed.add(item.file_id)
        turn.prolong()
    return named, unnamed


def _join(store: Store, turn: Turn, past: _Past, joining: Joining) -> None:
    for items in _item_pages(store, list(past.matches)):
        with turn.write() as (connection, _):
            join_past(connection, [Found(item, past.matches[item.file_id]) for item in items], joining)


def _item_pages(store: Store, file_ids: Sequence[int]) -> Iterator[Sequence[SeenItem]]:
    for start in range(0, len(file_ids), _PAGE_ROWS):
        page_ids = file_ids[start : start + _PAGE_ROWS]
        after_id = 0
        while items := store.seen.items_of_files(page_ids, after_id=after_id, limit=_PAGE_ROWS):
            yield items
            after_id = items[-1].id


def _fingerprints(file: SeenFile) -> Fingerprints:
    pdq = None if file.mirrorings is None else file.mirrorings[:PDQ_BYTES]
    orientations = None if file.mirrorings is None else orientations_of(file.mirrorings)
    return Fingerprints(
        file.sha256, file.sha1, file.md5, pdq, file.quality_percent, None, pdq_orientations=orientations
    )


def _rows(values: Sequence[bytes], size_bytes: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, size_bytes)
