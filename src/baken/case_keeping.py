"""Keeping cases: what matched joins its case, and what lay aside for a while comes back when its time has come.

It happens under the turn of the seen index, one process at a time, in bounded steps. What is written, the row that
asked for it leaves the queue in the same transaction: a process that is killed leaves nothing undone and nothing twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from baken import case_rules
from baken.audit import ACTOR, NewEvent
from baken.case_rules import ReviewPolicy
from baken.cases import ActionKind, ActionState, CaseAction, CaseEvent, CaseState, DecisionKind, EventKind
from baken.model import Purpose
from baken.store import Store
from baken.store.audit import AuditedWrite
from baken.store.case_actions import ActionOfItem, action_counts, actions_among, has_pending
from baken.store.case_actions import finish_actions as mark_final
from baken.store.case_events import LockedCase, locked, write_event
from baken.store.case_joining import Joining, join_screened
from baken.store.case_queue import drop_joined
from baken.store.seen_turn import Turn

BATCH_ITEMS = 500
_BATCH_HOLDS = 50


class CaseKeeper:
    """Keeps the cases of one store; used by who has the turn."""

    def __init__(self, store: Store, policy: ReviewPolicy) -> None:
        self._store = store
        self._policy = policy

    def joining(self, at: datetime) -> Joining:
        """How items join cases now."""
        return Joining(at, self._policy.undo, _followed, case_rules.DECISIONS_OF_ENTRIES, case_rules.DONE_ONCE)

    def has_work(self, now: datetime) -> bool:
        """Whether a match waits for its case, or a case on hold is due."""
        return self._store.case_queue.first_id() is not None or bool(self._store.case_events.due_holds(now, 1))

    def step(self, turn: Turn, now: datetime) -> bool:
        """Let a batch of matches join their cases and resume what is due; whether there may be more.

        Raises:
            TurnLostError: another process does it now.
            NotReadyError: the database failed.
        """
        waiting = self._store.case_queue.waiting(BATCH_ITEMS)
        if waiting:
            with turn.write() as (connection, _):
                join_screened(connection, list(waiting.values()), self.joining(now))
                drop_joined(connection, list(waiting))
        due = self._store.case_events.due_holds(now, _BATCH_HOLDS)
        for case_id in due:
            self._resume(case_id, now)
        return len(waiting) == BATCH_ITEMS or len(due) == _BATCH_HOLDS

    def _resume(self, case_id: str, now: datetime) -> None:
        with self._store.case_events.audited() as write:
            found = locked(write.connection, [case_id], without=case_rules.SIDE_EVENTS)[case_id]
            case = found.case
            if case.state is CaseState.ON_HOLD and case.hold_until is not None and case.hold_until <= now:
                event = CaseEvent(case_id, case.event_count + 1, now, EventKind.RESUMED, ACTOR)
                status = case_rules.after(case_rules.derive(found.events), event)
                write_event(write, event, status, lease_until=None)


def finish_actions(store: Store, action_ids: Sequence[int], *, actor: str, now: datetime) -> list[ActionOfItem]:
    """Note that actions are done, for good; all of them or none. Repeating it changes nothing.

    The audit log tells which, by case; when nothing of a case is left to be done, the case's life says so.

    Raises:
        NotFoundError: there is no such action.
        ConflictError: one is not due yet, or was cancelled.
    """
    by_case: dict[str, set[int]] = defaultdict(set)
    for action_id in action_ids:
        by_case[store.case_actions.action(action_id).action.case_id].add(action_id)
    with store.case_events.audited() as write:
        for case_id, found in locked(write.connection, by_case, without=case_rules.SIDE_EVENTS).items():
            actions = actions_among(write.connection, case_id, by_case[case_id])
            pending = [action for action in actions if action.state is not ActionState.FINAL]
            for action in pending:
                case_rules.check_done(action, now)
            if pending:
                mark_final(write.connection, [action.id for action in pending], now, actor)
                write.tell(_done_event(case_id, pending, actor))
                if not has_pending(write.connection, case_id):
                    _tell_acted(write, found, actor, now)
    return [store.case_actions.action(action_id) for action_id in action_ids]


def _done_event(case_id: str, actions: Sequence[CaseAction], actor: str) -> NewEvent:
    counts = Counter(action.kind.value for action in actions)
    ids = [action.id for action in actions]
    facts = {"actions": dict(counts), "first_action_id": min(ids), "last_action_id": max(ids)}
    return NewEvent("case.actions_done", actor, f"case:{case_id}", facts)


def _tell_acted(write: AuditedWrite, found: LockedCase, actor: str, now: datetime) -> None:
    case = found.case
    status = case_rules.derive(found.events)
    seqs = [given.seq for given in status.given]
    facts = {"actions": action_counts(write.connection, case.id, seqs)[ActionState.FINAL]}
    event = CaseEvent(case.id, case.event_count + 1, now, EventKind.ACTED, actor, facts)
    write_event(write, event, case_rules.after(status, event), lease_until=case.lease_until)


def _followed(purpose: Purpose, decision: DecisionKind) -> Sequence[ActionKind] | None:
    return case_rules.actions_for(purpose, decision) if decision in case_rules.FOLLOWED_DECISIONS else None
