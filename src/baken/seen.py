"""Keeping the seen index: screenings are taken over, files and clusters formed, old items forgotten, the past asked.

Every process may do it and one does at a time; whatever a process that died had not finished is done again by the next
one. All work comes in bounded steps.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from baken._native import HammingIndex
from baken.audit import NewEvent
from baken.case_keeping import CaseKeeper
from baken.case_rules import ReviewPolicy
from baken.decisions import Policy
from baken.errors import NotReadyError, StoreBusyError, TurnLostError
from baken.fingerprints.orientations import orientations_of_all
from baken.known import KnownFollower
from baken.model import DEFAULT_RADIUS_BITS, SeenStats
from baken.retroaction import Judge, Named, ask_next
from baken.seen_index import SeenIndex, nearest
from baken.store import Store
from baken.store.case_joining import Found, join_past
from baken.store.seen import Gathered, SeenFile, Selection, remove_items, write_gathered
from baken.store.seen_queue import QueuedItem, drop_queued
from baken.store.seen_turn import TURN_SECONDS, SeenState

BATCH_ITEMS = 500
WAIT_SECONDS = 600.0

_POLL_SECONDS = 0.05
_KEY_BYTES = 16


class SeenKeeper:
    """Keeps the seen index of one store; safe to call from any number of threads."""

    def __init__(
        self,
        store: Store,
        known: KnownFollower,
        policy: Policy,
        index: SeenIndex,
        *,
        retention: timedelta | None,
        review: ReviewPolicy | None = None,
        turn_seconds: float = TURN_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        named: Named = list,
    ) -> None:
        """Take the parts; nothing is opened yet.

        Args:
            store: the rows.
            known: the known entries, by which the past is judged.
            policy: as at screening.
            index: where the past is searched.
            retention: how long an item is remembered; None remembers nothing, and forgets what is there.
            review: how cases are kept; by default as an operator has it who sets nothing.
            turn_seconds: after how long of silence another process may take over.
            now: the clock.
            named: says which part of a banked picture a view is.
        """
        self._store = store
        self._judge = Judge(known, policy, named)
        self._index = index
        self._retention = retention
        self._cases = CaseKeeper(store, review or ReviewPolicy())
        self._turn = store.seen.turn(seconds=turn_seconds)
        self._now = now
        self._lock = threading.Lock()
        self._is_wanted = False

    def close(self) -> None:
        """Let go of the index's files, once running work has ended; repeating it does nothing."""
        with self._lock:
            self._index.close()

    def has_work(self) -> bool:
        """Whether something waits to be done by whichever process comes first."""
        return self._store.seen.has_work(self._forget_before()) or self._cases.has_work(self._now())

    def keep(self, is_enough: Callable[[], bool] = lambda: False) -> bool:
        """Do what there is to do, until little is left or `is_enough`; False when it is another process's turn.

        Screenings that arrive meanwhile are left for the next time: taking over a handful costs nearly what taking
        over hundreds does.

        Raises:
            NotReadyError: the database or an index failed; what was done so far stays done.
        """
        with self._lock:
            self._index.follow()
            if not self._turn.take():
                return False
            try:
                while not self._is_wanted and not is_enough() and self._step():
                    pass
            except TurnLostError:
                return False
            finally:
                with suppress(NotReadyError):  # it ends by itself if it cannot be given back
                    self._turn.give_back()
            self._index.follow()
            return True

    def settle(self, *, timeout_seconds: float = WAIT_SECONDS) -> bool:
        """Have the past asked about every change there is now, here or by who has the turn; whether that was done.

        Raises:
            NotReadyError: the database or an index failed.
        """
        target_seq = self._store.head_seq()
        deadline = time.monotonic() + timeout_seconds
        last_queue_id = self._store.seen.last_queue_id()
        last_matched_id = self._store.case_queue.last_id()

        def is_settled() -> bool:
            # Screenings that waited when this began belong to the past that is asked.
            waiting = self._store.seen.queued(1)
            is_taken_over = not waiting or waiting[0].queue_id > last_queue_id
            matched_id = self._store.case_queue.first_id()
            is_taken_over = is_taken_over and (matched_id is None or matched_id > last_matched_id)
            return is_taken_over and self._store.seen.state().asked_seq >= target_seq

        while not is_settled():
            if not self.keep(is_settled) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            elif not is_settled():
                return False
        return True

    def forget(self, selection: Selection, *, actor: str, timeout_seconds: float = WAIT_SECONDS) -> int:
        """Forget seen items for good; how many there were. Screenings and the items of cases stay: they are records.

        The audit log says by what they were chosen, before the first goes and how many went, never whose they were.

        Raises:
            StoreBusyError: another process keeps the seen index and does not stop.
            NotReadyError: the database or an index failed; some items may be forgotten already.
        """
        self._is_wanted = True  # a thread of ours that asks the past stops after its step
        with self._lock:
            self._is_wanted = False
            self._wait_for_turn(timeout_seconds)
            self._index.follow()
            while self._gather():
                pass
            by = {"chosen_by": [name for name, value in asdict(selection).items() if value is not None] or ["all"]}
            self._store.audit.record(NewEvent("seen.forgetting", actor, None, by))
            count = 0
            while forgotten := self._remove(selection):
                count += forgotten
            self._store.audit.record(NewEvent("seen.forgotten", actor, None, {**by, "item_count": count}))
            self._turn.give_back()
            self._index.follow()
            return count

    def _wait_for_turn(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not self._turn.take():
            if time.monotonic() > deadline:
                message = f"another process has kept the seen index for more than {timeout_seconds:g} s"
                raise StoreBusyError(message, hint="try again when it has asked the past, as `baken seen stats` shows")
            time.sleep(_POLL_SECONDS)

    def stats(self) -> tuple[SeenStats, int]:
        """How much is remembered, and how many bytes its index has on this machine."""
        self._index.follow()
        return self._store.seen.stats(self._store.head_seq()), self._index.size_bytes

    def _forget_before(self) -> datetime | None:
        return None if self._retention is None else self._now() - self._retention

    def _step(self) -> bool:
        """One bounded piece of each kind of work; whether another one is worth while."""
        self._index.merge_beside()
        gathered = self._gather()
        has_more_cases = self._cases.step(self._turn, self._now())
        removed = self._remove(Selection(before=self._forget_before()))
        if removed and self._retention is None:
            return True  # what is being forgotten is not asked any more
        asked = ask_next(self._store, self._turn, self._index, self._judge, self._cases.joining(self._now()))
        return bool(gathered == BATCH_ITEMS or removed or asked or has_more_cases)

    def _gather(self) -> int:
        """Take over a batch of screenings; how many there were."""
        queued = self._store.seen.queued(BATCH_ITEMS)
        if not queued:
            return 0
        if self._retention is None:
            with self._turn.write() as (connection, _):
                drop_queued(connection, [item.queue_id for item in queued])
            return len(queued)
        self._index.follow()
        state = self._store.seen.state()
        files, new_files = self._files_of(queued, state)
        # What was judged before an entry counted and is taken over after the past was asked about it fell between the
        # two: it is judged again.
        met_seq = state.asked_seq + (state.asked_entry_id > 0)
        late_files = {files[item.queue_id].id: files[item.queue_id] for item in queued if item.known_seq < met_seq}
        matches = self._judge.matches(late_files.values()) if late_files else {}
        gathered = Gathered([(item, files[item.queue_id].id) for item in queued], new_files, list(matches))
        with self._turn.write() as (connection, state):
            late = write_gathered(connection, state, gathered)
            if late:
                found = [Found(item, matches[item.file_id]) for item in late]
                join_past(connection, found, self._cases.joining(self._now()))
        return len(queued)

    def _remove(self, selection: Selection) -> int:
        items = self._store.seen.selected(selection, BATCH_ITEMS)
        if items:
            with self._turn.write() as (connection, state):
                remove_items(connection, state, items)
        return len(items)

    def _files_of(self, queued: Sequence[QueuedItem], state: SeenState) -> tuple[dict[int, SeenFile], list[SeenFile]]:
        """The file of each queued item by its queue id, and the files that are new, with their clusters."""
        keys = {item.queue_id: file_key(item) for item in queued}
        known = self._store.seen.files_by_key(set(keys.values()))
        new: dict[bytes, SeenFile] = {}
        for item in queued:
            key = keys[item.queue_id]
            if key not in known and key not in new:
                new[key] = _new_file(state.seq + len(new) + 1, key, item)
        new = {each.key: each for each in self._clustered(list(new.values()))}
        files = known | new
        return {queue_id: files[key] for queue_id, key in keys.items()}, list(new.values())

    def _clustered(self, files: Sequence[SeenFile]) -> list[SeenFile]:
        """The files, in order, each in the cluster of the nearest leader within the radius, or leading its own.

        Leaders only are compared, so that a chain of near pictures does not become one cluster.
        """
        compared = {each.id: each.mirrorings for each in files if each.mirrorings is not None}
        if not compared:
            return list(files)
        stacked = orientations_of_all(list(compared.values()))
        orientations = dict(zip(compared, stacked, strict=True))
        by_id = dict(zip(compared, self._index.nearest_leaders(stacked), strict=True))
        fresh_leaders = HammingIndex()
        clustered = []
        for each in files:
            if each.id in orientations:
                codes = orientations[each.id]
                candidates = [by_id[each.id], *nearest(fresh_leaders.search(codes, DEFAULT_RADIUS_BITS), 1)]
                best = min((candidate for candidate in candidates if candidate is not None), default=None)
                if best is None:
                    fresh_leaders.add(codes[:1], np.array([each.id], np.int64))
                else:
                    clustered.append(replace(each, cluster_id=best[1]))
                    continue
            clustered.append(each)
        return clustered


def file_key(item: QueuedItem) -> bytes:
    """What tells one distinct file from another: its bytes, and whether and as what they could be compared."""
    return hashlib.blake2b(item.sha256 + (item.mirrorings or b""), digest_size=_KEY_BYTES).digest()


def _new_file(file_id: int, key: bytes, item: QueuedItem) -> SeenFile:
    return SeenFile(
        file_id, key, item.sha256, item.sha1, item.md5, item.quality_percent, item.mirrorings, cluster_id=file_id
    )
