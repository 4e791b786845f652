"""Review: what people do with cases, from a claim to an undo. One transaction a step, by the rules of `case_rules.py`.

Every step locks the case, asks the rules, and writes event, columns, actions and audit event together.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from baken import case_rules, case_steps, permissions
from baken.accounts import User
from baken.case_rules import ReviewPolicy
from baken.case_steps import CaseStanding
from baken.cases import (
    ActionState,
    Awaits,
    Case,
    CaseAction,
    CaseEvent,
    CaseItem,
    CaseState,
    CaseStatus,
    Category,
    Decision,
    DecisionKind,
    EventKind,
    Refusal,
)
from baken.errors import AccessError, ConflictError, InvalidValueError, NotFoundError, TooLargeError
from baken.known import KnownFollower
from baken.model import Bank, NewEntry, Purpose
from baken.permissions import Action
from baken.store import Store
from baken.store.audit import AuditedWrite
from baken.store.case_actions import action_counts, add_actions, cancel_actions, final_counts
from baken.store.case_events import LockedCase, events_of_kinds, locked, set_lease, write_event
from baken.store.case_outcomes import add_benign, dispute_entry, withdraw_benign
from baken.store.changes import Mutation

MAX_SHOWN_JOININGS = 500

MAX_BULK_CASES = 200
"""The most cases that are decided at once: a person has looked at each."""


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """What one decision of several cases would do, to be read before it is done.

    Attributes:
        cases: those that would be decided, by id.
        item_count: the items in them.
        account_count: the accounts in them; one that is in two cases counts twice.
        action_counts: the actions that would follow, by kind; none of cases that then await somebody else.
        awaiting_count: how many of the cases would then await a second person, or a lead.
        refused: the cases that would not be decided, and why not.
        digest: what `decide_all` wants to see. It differs when somebody did something with one of the cases, or when
            another one would be decided; copies that join meanwhile change nothing, or a picture that spreads could
            not be decided.
    """

    cases: tuple[Case, ...]
    item_count: int
    account_count: int
    action_counts: Mapping[str, int]
    awaiting_count: int
    refused: tuple[tuple[str, Refusal], ...]
    digest: str


class Review:
    """What people do with cases; thread-safe. Every method takes the person and checks what they may do.

    Raises of all of them: NotFoundError, there is no such case; NotAuthorisedError, the person may not;
    ConflictError, the case is not in a state for it; LeaseLostError, somebody else claimed it meanwhile.
    """

    def __init__(
        self,
        store: Store,
        policy: ReviewPolicy,
        *,
        known: KnownFollower | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the parts.

        Args:
            store: the rows.
            policy: what the operator decided.
            known: tells which benign pictures a bank holds already; without it they are added again.
            now: the clock.
        """
        self._store = store
        self._known = known
        self.policy = policy
        self._now = now

    @property
    def categories(self) -> tuple[Category, ...]:
        """The operator's scheme for confirmed cases."""
        return self.policy.categories

    # Reading

    def case(self, user: User, case_id: str) -> Case:
        """One case, without banks and entries that are not the person's."""
        return self._within_reach(user, [self._readable(user, case_id)])[0]

    def events(self, user: User, case_id: str) -> list[CaseEvent]:
        """What happened to it, without what is sealed: a second decision is made without knowing the first.

        Of items that joined, only the newest `MAX_SHOWN_JOININGS` events: a picture that goes round has thousands. What
        was done about entries of banks that are not the person's is left out.
        """
        self._readable(user, case_id)
        told = self._store.case_events.events(case_id, without=case_rules.CROWD_EVENTS)
        joined = self._store.case_events.newest(case_id, case_rules.CROWD_EVENTS, MAX_SHOWN_JOININGS)
        events = sorted([*told, *joined], key=lambda event: event.seq)
        within = [event for event in events if "bank_id" not in event.facts or user.reaches(event.facts["bank_id"])]
        return case_rules.unsealed(within, case_rules.derive(told), user)

    def page_of_events(self, case_id: str, *, after_seq: int = 0, limit: int = 100) -> list[CaseEvent]:
        """What happened to it, in order, for a platform or an operator: nobody is told what is sealed."""
        read = self._store.case_events.events
        status = case_rules.derive(read(case_id, without=case_rules.SIDE_EVENTS))
        without = case_rules.AFTERMATH if case_rules.is_sealed(status, None) else ()
        return case_rules.unsealed(read(case_id, after_seq=after_seq, limit=limit, without=without), status, None)

    def standing(self, user: User, case_id: str) -> CaseStanding:
        """How a case stands for the person: whose it is, which decisions they may read, what they can do."""
        whole = self._readable(user, case_id)
        events = self._store.case_events.events(case_id, without=case_rules.SIDE_EVENTS)
        status, now = case_rules.derive(events), self._now()
        has_sealed = case_rules.is_sealed(status, user)
        shown = set() if has_sealed else {given.seq for given in status.given}
        return CaseStanding(
            case=self._within_reach(user, [whole])[0],
            state=whole.state_at(now),
            is_mine=case_steps.is_running(whole, status, user, now),
            is_lost=user.id in status.lost_ids,
            has_sealed=has_sealed,
            is_split=bool(status.disagreed) and whole.state is not CaseState.DECIDED,
            given=tuple(event for event in events if event.seq in shown),
            actions={} if has_sealed else self._store.case_actions.counts(case_id),
            steps=case_steps.steps_of(whole, status, user, now),
        )

    def items(self, user: User, case_id: str, after_id: int = 0, limit: int = 100) -> list[CaseItem]:
        """Its items in the order in which they joined, without matches of banks that are not the person's."""
        self._readable(user, case_id)
        items = self._store.cases.items(case_id, after_id=after_id, limit=limit)
        return [
            replace(item, matches=tuple(match for match in item.matches if user.reaches(match.bank_id)))
            for item in items
        ]

    def actions(self, user: User, case_id: str, after_id: int = 0, limit: int = 1000) -> list[CaseAction]:
        """What is to be done, or was, because of its decisions; nothing while one of them is sealed."""
        self._readable(user, case_id)
        status = case_rules.derive(self._store.case_events.events(case_id, without=case_rules.SIDE_EVENTS))
        if case_rules.is_sealed(status, user):
            return []
        return self._store.case_actions.of_case(case_id, after_id=after_id, limit=limit)

    # Working on a case

    def claim(self, user: User, case_id: str) -> Case:
        """Have the case for oneself while one gives signs of life; claiming it again prolongs that."""
        with self._step(user, case_id, Action.DECIDE_CASES) as step:
            case_rules.check_claim(step.case, step.status, user, step.at, self._name_of)
            step.hold()
        return self.case(user, case_id)

    def heartbeat(self, user: User, case_id: str) -> datetime:
        """Say that one still works on the case; until when it is one's own now."""
        with self._step(user, case_id, Action.DECIDE_CASES) as step:
            if step.status.holder_id != user.id:
                if user.id in step.status.lost_ids:
                    raise case_rules.lease_lost(step.status, self._name_of)
                raise ConflictError("you have not claimed the case", hint="Claim it first.")
            until: datetime = step.at + self.policy.lease
            set_lease(step.write.connection, case_id, until)
        return until

    def release(self, user: User, case_id: str) -> None:
        """Give the case back to everybody."""
        with self._step(user, case_id, Action.DECIDE_CASES) as step:
            if step.status.holder_id != user.id:
                if user.id in step.status.lost_ids:
                    raise case_rules.lease_lost(step.status, self._name_of)
                raise ConflictError("you have not claimed the case", hint="There is nothing to release.")
            step.happen(EventKind.RELEASED)

    def hold(self, user: User, case_id: str, reason: str, until: datetime) -> None:
        """Lay the case aside until a time, or until somebody resumes it."""
        with self._work(user, case_id) as step:
            held_until = case_rules.checked_until(until, step.at).astimezone(UTC).isoformat()
            step.happen(EventKind.HELD, reason=case_rules.checked_text(reason, "reason"), until=held_until)

    def resume(self, user: User, case_id: str) -> None:
        """Take up a case that is on hold, and have it."""
        with self._step(user, case_id, Action.DECIDE_CASES) as step:
            case_rules.check_resume(step.case, step.status, user, step.at, self._name_of)
            step.happen(EventKind.RESUMED)
            step.hold()

    def note(self, user: User, case_id: str, text: str) -> None:
        """Leave a note for whoever comes to the case next; anybody may who may decide it, whoever has claimed it."""
        with self._step(user, case_id, Action.DECIDE_CASES) as step:
            step.happen(EventKind.NOTED, text=case_rules.checked_text(text, "note"))

    def escalate(self, user: User, case_id: str, reason: str) -> None:
        """Hand the case to the leads: only one of them can decide it now."""
        with self._work(user, case_id) as step:
            if step.status.awaits is Awaits.LEAD:
                raise ConflictError("the case awaits a lead already", hint="Leave a note for the lead, or release it.")
            step.happen(EventKind.ESCALATED, reason=case_rules.checked_text(reason, "reason"))

    def reassign(self, user: User, case_id: str, to_user_id: str | None, note: str) -> None:
        """Give the case to one person, or (None) back to everybody: a lead any case, others their own."""
        to = None if to_user_id is None else self._store.people.user(to_user_id)
        with self._step(user, case_id, Action.DECIDE_CASES) as step:
            case_rules.check_reassign(step.case, step.status, user, to)
            step.happen(EventKind.REASSIGNED, to=to_user_id, note=case_rules.checked_text(note, "note"))

    def ask_second(self, user: User, case_id: str, reason: str) -> None:
        """Have the decision, whatever it is, wait for a second person's; to be asked before the first one is given."""
        with self._work(user, case_id) as step:
            if step.status.is_second_asked or step.status.awaits is not Awaits.FIRST:
                raise ConflictError("more than one person is awaited already", hint="Decide, or release the case.")
            step.happen(EventKind.SECOND_ASKED, reason=case_rules.checked_text(reason, "reason"))

    # Deciding

    def decide(self, user: User, case_id: str, decision: Decision) -> Case:
        """Give a decision: the first one, the second, or a lead's, by what the case awaits.

        Raises:
            InvalidValueError: the reason is missing, or the category is none of the scheme.
        """
        checked = case_rules.checked_decision(decision, self.categories)
        with self._work(user, case_id) as step:
            self._decide(step, checked)
        return self.case(user, case_id)

    def plan(self, user: User, case_ids: Sequence[str], decision: Decision) -> BulkPlan:
        """What `decide_all` would do. A case that the person may not see is none: that raises NotFoundError."""
        checked = self._checked_bulk(case_ids, decision)
        with self._store.case_events.audited() as write:  # locked, so that all of it is of one moment
            return self._plan(write, user, case_ids, checked)[0]

    def decide_all(self, user: User, case_ids: Sequence[str], decision: Decision, digest: str) -> dict[str, int]:
        """Decide the cases that a plan says would be decided: all of them or, if anything differs from the plan, none.

        Returns:
            By case the number of the decision's event, which an undo names.

        Raises:
            ConflictError: the cases, or what would be done with them, are not those of the plan any more.
        """
        checked = self._checked_bulk(case_ids, decision)
        with self._store.case_events.audited() as write:
            plan, steps = self._plan(write, user, case_ids, checked)
            if plan.digest != digest:
                message = "the cases changed since the summary was made, and none was decided"
                raise ConflictError(message, hint="Read the new summary, and confirm it if it is what you want.")
            for step in steps:
                step.hold()
                self._decide(step, checked)
        return {step.case.id: step.status.given[-1].seq for step in steps}

    def undo(self, user: User, case_id: str, seq: int) -> None:
        """Take back the last decision, one's own or, as a lead, somebody else's, before anything of it was done.

        `seq` is the number of its event, so that nobody takes back another decision than the one they saw. Benign
        entries that were added because of it are withdrawn with it; disputes stay, for the curators to answer.
        """
        with self._step_with_entries(user, case_id) as (step, change):
            self._undo(step, change, seq)

    def undo_all(self, user: User, seqs: Mapping[str, int]) -> list[str]:
        """Take back one's own decisions, by case the numbers of their events; the cases whose decision still could be.

        Those of others are left: a lead takes them back one by one, with the case before them.
        """
        undone = []
        for case_id, seq in seqs.items():
            try:
                with self._step_with_entries(user, case_id) as (step, change):
                    case_rules.check_own(step.status, user)
                    self._undo(step, change, seq)
            except (ConflictError, NotFoundError, AccessError):
                continue  # it is final, somebody was quicker, or it is not this person's
            undone.append(case_id)
        return undone

    def reopen(self, user: User, case_id: str, reason: str) -> None:
        """Open a decided case again: what is done stays done, what is pending is cancelled.

        Benign entries that were added because of the decision are withdrawn.
        """
        checked = case_rules.checked_text(reason, "reason")
        with self._step_with_entries(user, case_id) as (step, change):
            case_rules.check_reopen(step.case, step.status, user)
            seqs = [given.seq for given in step.status.given]
            final = action_counts(step.write.connection, case_id, seqs)[ActionState.FINAL]
            cancelled = cancel_actions(step.write.connection, case_id)
            step.happen(EventKind.REOPENED, reason=checked, cancelled=cancelled, final=final)
            self._withdraw_benign(step, change)

    # After `not_a_match`

    def benign_banks(self, user: User) -> list[Bank]:
        """The banks to which a picture that is no match may be added."""
        return [bank for bank in self._store.banks() if bank.purpose is Purpose.BENIGN and user.reaches(bank.id)]

    def make_benign(self, user: User, case_id: str, bank_name: str) -> list[int]:
        """Add the pictures that were decided to be no match to a bank of benign ones; the entries that are new.

        Copies that followed the decision are not among them. From then on, what is near those pictures is not held up
        by what this case's items matched.
        """
        bank = self._store.bank(bank_name)
        if not user.reaches(bank.id):
            permissions.require(user, Action.DECIDE_CASES, bank.id)
        find_active = None if self._known is None else self._find_held
        if self._known is not None:
            self._known.refresh()  # before the lock is taken: building an index anew takes a while
        with self._step_with_entries(user, case_id) as (step, change):
            self._require_no_match(step)
            count = step.status.given[-1].item_count
            bank_id, ids = add_benign(change, case_id, bank_name, count, actor=user.actor, find_active=find_active)
            if ids:
                step.happen(EventKind.BENIGN_ADDED, bank_id=bank_id, entries=ids)
        return ids

    def dispute(self, user: User, case_id: str, entry_id: int, reason: str) -> None:
        """Tell the curators that an entry which a case's items match is wrong; it counts until they act."""
        checked = case_rules.checked_text(reason, "reason")
        with self._step_with_entries(user, case_id) as (step, change):
            self._require_no_match(step)
            bank_id = dispute_entry(change, case_id, entry_id, actor=user.actor, reason=checked)
            if not user.reaches(bank_id):
                permissions.require(user, Action.DECIDE_CASES, bank_id)
            step.happen(EventKind.DISPUTED, bank_id=bank_id, entry_id=entry_id, reason=checked)

    # Within

    def _readable(self, user: User, case_id: str) -> Case:
        case = self._store.cases.case(case_id)
        case_rules.require(user, Action.SEE_CASES, case)
        return case

    def _within_reach(self, user: User, cases: Sequence[Case]) -> list[Case]:
        """The cases without banks and entries that are not the person's."""
        if user.bank_ids is None:
            return list(cases)
        names = {bank.name for bank in self._store.banks(include_withdrawn=True) if user.reaches(bank.id)}
        return [
            replace(
                case,
                entries=tuple(entry for entry in case.entries if entry[0] in names),
                bank_ids=tuple(bank_id for bank_id in case.bank_ids if user.reaches(bank_id)),
            )
            for case in cases
        ]

    def _name_of(self, user_id: str) -> str:
        try:
            return self._store.people.user(user_id).name
        except NotFoundError:
            return user_id

    @contextmanager
    def _step(self, user: User, case_id: str, action: Action) -> Iterator[_Step]:
        with self._store.case_events.audited() as write:
            found = locked(write.connection, [case_id], without=case_rules.SIDE_EVENTS)[case_id]
            case_rules.require(user, action, found.case)
            yield _Step(write, found, user, self._now(), self.policy)

    @contextmanager
    def _step_with_entries(self, user: User, case_id: str) -> Iterator[tuple[_Step, Mutation]]:
        """A step that may change entries too."""
        with self._store.case_events.changing_entries() as change:
            found = locked(change.connection, [case_id], without=case_rules.SIDE_EVENTS)[case_id]
            case_rules.require(user, Action.DECIDE_CASES, found.case)
            yield _Step(change, found, user, self._now(), self.policy), change

    def _find_held(self, bank_id: int, entries: Sequence[NewEntry]) -> Sequence[int | None]:
        if self._known is None:
            return [None] * len(entries)
        return self._known.refresh().find_held(bank_id, entries)

    @staticmethod
    def _require_no_match(step: _Step) -> None:
        if step.case.decision is not DecisionKind.NOT_A_MATCH:
            message = "the case is not decided to be no match"
            raise ConflictError(message, hint="Decide it as not_a_match first.")

    @staticmethod
    def _withdraw_benign(step: _Step, change: Mutation) -> None:
        """Withdraw the benign entries that the case added and did not withdraw yet."""
        added: dict[int, set[int]] = defaultdict(set)
        kinds = (EventKind.BENIGN_ADDED, EventKind.BENIGN_WITHDRAWN)
        for event in events_of_kinds(change.connection, step.case.id, kinds):
            open_ids = added[event.facts["bank_id"]]
            if event.kind is EventKind.BENIGN_ADDED:
                open_ids.update(event.facts["entries"])
            else:
                open_ids.difference_update(event.facts["entries"])
        left = {bank_id: sorted(ids) for bank_id, ids in added.items() if ids}
        reason = f"the decision of {step.case.id} was taken back"
        withdraw_benign(change, left, actor=step.user.actor, reason=reason)
        for bank_id, entry_ids in left.items():
            step.happen(EventKind.BENIGN_WITHDRAWN, bank_id=bank_id, entries=entry_ids)

    @contextmanager
    def _work(self, user: User, case_id: str) -> Iterator[_Step]:
        """A step of who has claimed the case; a case that nobody has is claimed with it."""
        with self._step(user, case_id, Action.DECIDE_CASES) as step:
            case_rules.check_work(step.case, step.status, user, step.at, self._name_of)
            step.hold()
            yield step

    def _undo(self, step: _Step, change: Mutation, seq: int) -> None:
        case_rules.check_last(step.status, seq)
        seqs = [given.seq for given in step.status.given]
        counts = action_counts(change.connection, step.case.id, seqs)
        case_rules.check_undo(step.case, step.status, step.user, step.at, counts[ActionState.FINAL])
        step.happen(EventKind.UNDONE, seq=seq, cancelled=cancel_actions(change.connection, step.case.id))
        self._withdraw_benign(step, change)

    def _decide(self, step: _Step, decision: Decision) -> None:
        awaits = case_rules.next_awaited(self.policy, step.case.purpose, step.status, step.user.actor, decision)
        undo_until = step.at + self.policy.undo
        step.happen(
            EventKind.DECIDED,
            kind=decision.kind.value,
            category=decision.category,
            reason=decision.reason,
            items=step.case.item_count,
            awaits=awaits,
            undo_until=None if awaits is not None else undo_until.isoformat(),
        )
        if awaits is None:
            add_actions(
                step.write.connection,
                step.case.id,
                step.status.event_count,
                case_rules.actions_for(step.case.purpose, decision.kind),
                undo_until,
                once=case_rules.DONE_ONCE,
            )

    @staticmethod
    def _checked_bulk_size(case_ids: Collection[str]) -> None:
        if not case_ids:
            raise InvalidValueError("no case was selected", hint="Select the cases to decide.")
        if len(case_ids) > MAX_BULK_CASES:
            message = f"{len(case_ids)} cases were selected, at most {MAX_BULK_CASES} are decided at once"
            raise TooLargeError(message, hint="Select fewer.")

    def _checked_bulk(self, case_ids: Collection[str], decision: Decision) -> Decision:
        self._checked_bulk_size(case_ids)
        return case_rules.checked_decision(decision, self.categories)

    def _plan(
        self, write: AuditedWrite, user: User, case_ids: Sequence[str], decision: Decision
    ) -> tuple[BulkPlan, list[_Step]]:
        now = self._now()
        steps: list[_Step] = []
        refused: list[tuple[str, Refusal]] = []
        is_there = partial(case_rules.may_see, user)
        wanted = locked(write.connection, set(case_ids), without=case_rules.CROWD_EVENTS, is_there=is_there)
        for found in wanted.values():
            step = _Step(write, found, user, now, self.policy)
            refusal = case_rules.bulk_refusal(step.case, step.status, user, now)
            if refusal is None:
                steps.append(step)
            else:
                refused.append((found.case.id, refusal))
        awaiting = [
            case_rules.next_awaited(self.policy, step.case.purpose, step.status, user.actor, decision) for step in steps
        ]
        counting = [step.case for step, awaits in zip(steps, awaiting, strict=True) if awaits is None]
        counts = _actions_of(write, counting, decision.kind)
        seen = [(step.case.id, wanted[step.case.id].events[-1].seq) for step in steps]
        said = [user.id, decision.kind.value, decision.category, decision.reason]
        told = [*said, seen, awaiting, [case_id for case_id, _ in refused]]
        plan = BulkPlan(
            cases=tuple(self._within_reach(user, [step.case for step in steps])),
            item_count=sum(step.case.item_count for step in steps),
            account_count=sum(step.case.account_count for step in steps),
            action_counts=counts,
            awaiting_count=sum(awaits is not None for awaits in awaiting),
            refused=tuple(refused),
            digest=hashlib.sha256(json.dumps(told).encode()).hexdigest(),
        )
        return plan, steps


def _actions_of(write: AuditedWrite, cases: Sequence[Case], decision: DecisionKind) -> dict[str, int]:
    """How many actions of which kind a decision of locked cases causes: what is done once, and is done, is none."""
    done = final_counts(write.connection, [case.id for case in cases], case_rules.DONE_ONCE)
    counts: Counter[str] = Counter()
    for case in cases:
        for kind in case_rules.actions_for(case.purpose, decision):
            counts[kind.value] += case.item_count - done[case.id, kind]
    return dict(+counts)


class _Step:
    """One person's step with one locked case, in an open transaction."""

    def __init__(self, write: AuditedWrite, found: LockedCase, user: User, at: datetime, policy: ReviewPolicy) -> None:
        self.write = write
        self.case = found.case
        derived = case_rules.derive(found.events)
        self.status: CaseStatus = replace(derived, event_count=found.case.event_count)
        self.user = user
        self.at = at
        self._policy = policy
        self._lease_until = found.case.lease_until

    def happen(self, what: EventKind, /, **facts: Any) -> None:  # noqa: ANN401 - the facts of any event
        """Add an event, and keep what all of them come to."""
        event = CaseEvent(self.case.id, self.status.event_count + 1, self.at, what, self.user.actor, facts)
        self.status = case_rules.after(self.status, event)
        if self.status.holder_id == self.user.id:
            self._lease_until = self.at + self._policy.lease
        elif self.status.holder_id is None:
            self._lease_until = None
        write_event(self.write, event, self.status, lease_until=self._lease_until)

    def hold(self) -> None:
        """Claim the case, or prolong the claim there is."""
        if self.status.holder_id == self.user.id:
            set_lease(self.write.connection, self.case.id, self.at + self._policy.lease)
        else:
            self.happen(EventKind.CLAIMED)
