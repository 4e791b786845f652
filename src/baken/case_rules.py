"""The rules of a case's life: what its events come to, who may do what in which state, what waits for another person.

Facts of the events (times as ISO 8601 with zone):

| event | facts |
|---|---|
| `opened` | none |
| `joined`, `followed` | `items`, `accounts`: how many are new; `seq` of the decision that is followed |
| `claimed` | none |
| `released`, `resumed` | none; who did it stands in the event, `baken` when a hold ended by itself |
| `held` | `reason`, `until` |
| `noted` | `text` |
| `escalated`, `second_asked` | `reason` |
| `reassigned` | `to` (the person's id, or null for nobody), `note` |
| `decided` | `kind`, `category`, `reason`, `items` there, `awaits` (whom it waits for; null: it counts), `undo_until` |
| `undone` | `seq` of the decision that is taken back, `cancelled`: actions |
| `reopened` | `reason`, `cancelled`, `final`: actions |
| `acted` | `actions`: how many were done |
| `disputed` | `bank_id`, `entry_id`, `reason` |
| `benign_added`, `benign_withdrawn` | `bank_id`, `entries`: their ids |

What a decision waits for is written into its event, so that a change of the settings never changes what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from baken import permissions
from baken.accounts import User
from baken.cases import (
    ActionKind,
    ActionState,
    Awaits,
    Case,
    CaseAction,
    CaseEvent,
    CaseState,
    CaseStatus,
    Category,
    Decision,
    DecisionKind,
    EventKind,
    GivenDecision,
    Refusal,
)
from baken.errors import ConflictError, InvalidValueError, LeaseLostError
from baken.model import Purpose, is_storable
from baken.permissions import Action

MAX_TEXT_CHARACTERS = 2_000
"""The longest reason or note."""

LONGEST_HOLD = timedelta(days=366)

TWO_PERSON_DECISIONS = frozenset({DecisionKind.CONFIRMED, DecisionKind.REFER})
"""The decisions that the two-person rule is about: those that block or report."""

FOLLOWED_DECISIONS = frozenset({DecisionKind.CONFIRMED, DecisionKind.ALLOWED, DecisionKind.NOT_A_MATCH})
"""The decisions that new copies follow: who could not tell, or referred it, did not say what to do with others."""

DECISIONS_OF_ENTRIES = frozenset({DecisionKind.CONFIRMED})
"""Those of them that hold for every sure copy of the entries. What says that there is nothing to do holds for the files
that were looked at alone: else one false match would clear the picture that its entry was made of."""

CROWD_EVENTS = frozenset({EventKind.JOINED, EventKind.FOLLOWED})
"""The events that a case may have any number of: they come with copies, not with people."""

SIDE_EVENTS = CROWD_EVENTS | frozenset(
    {
        EventKind.NOTED,
        EventKind.ACTED,
        EventKind.DISPUTED,
        EventKind.BENIGN_ADDED,
        EventKind.BENIGN_WITHDRAWN,
    }
)
"""The events that say nothing of who works on a case or what was decided."""

_NO_BANK = 0
"""No bank has this id: nobody reaches it but those who reach all."""

NameOf = Callable[[str], str]
"""The name of the person with an id."""


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """What an operator decides about review.

    Attributes:
        lease: how long a claim lasts without a sign of life.
        undo: how long a decision can be taken back; its actions wait as long.
        two_person_purposes: of which purposes a decision that blocks or reports waits for a second person.
        categories: the scheme under which confirmed cases are sorted; empty for none.
    """

    lease: timedelta = timedelta(seconds=300)
    undo: timedelta = timedelta(seconds=300)
    two_person_purposes: frozenset[Purpose] = frozenset()
    categories: tuple[Category, ...] = ()


# What events come to


def derive(events: Iterable[CaseEvent]) -> CaseStatus:
    """What the events of one case, in their order, come to; those of `SIDE_EVENTS` may be left out but the last."""
    status = CaseStatus()
    for event in events:
        status = after(status, event)
    return status


def after(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    """What one more event makes of it."""
    status = replace(status, event_count=event.seq)
    change = _CHANGES.get(event.kind)
    return status if change is None else change(status, event)


def _claimed(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    user_id = id_of(event.actor)
    return replace(_without_holder(status, user_id), holder_id=user_id, lost_ids=_lost(status, user_id) - {user_id})


def _released(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    return _without_holder(status, id_of(event.actor))


def _held(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    until = datetime.fromisoformat(event.facts["until"])
    return replace(_without_holder(status, id_of(event.actor)), state=CaseState.ON_HOLD, hold_until=until)


def _resumed(status: CaseStatus, _: CaseEvent) -> CaseStatus:
    return replace(status, state=CaseState.OPEN, hold_until=None)


def _escalated(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    free = _without_holder(status, id_of(event.actor))
    return replace(free, is_escalated=True, awaits=Awaits.LEAD, assignee_id=None)


def _reassigned(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    return replace(_without_holder(status, id_of(event.actor)), assignee_id=event.facts["to"])


def _second_asked(status: CaseStatus, _: CaseEvent) -> CaseStatus:
    return replace(status, is_second_asked=True)


def _decided(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    facts, awaited = event.facts, status.awaits or Awaits.FIRST
    kind, category = DecisionKind(facts["kind"]), facts["category"]
    given = (*status.given, GivenDecision(event.seq, event.actor, kind, category, awaited, facts["items"]))
    free = replace(_without_holder(status, id_of(event.actor)), assignee_id=None, given=given)
    if facts["awaits"] == Awaits.LEAD:  # no decision makes a case await a lead but one that differs from another
        free = replace(free, disagreed=free.disagreed | {each.actor for each in given})
    if facts["awaits"] is not None:
        return replace(free, awaits=Awaits(facts["awaits"]))
    return replace(
        free,
        state=CaseState.DECIDED,
        awaits=None,
        decision=kind,
        category=category,
        decided_at=event.at,
        decided_by=event.actor,
        undo_until=datetime.fromisoformat(facts["undo_until"]),
    )


def _undone(status: CaseStatus, _: CaseEvent) -> CaseStatus:
    *rest, last = status.given
    # Whoever takes a decision back takes neither an escalation nor a disagreement with it: those are a lead's.
    awaits = Awaits.LEAD if status.awaits is Awaits.LEAD else last.awaited
    return replace(_undecided(status), awaits=awaits, given=tuple(rest))


def _reopened(status: CaseStatus, _: CaseEvent) -> CaseStatus:
    fresh = replace(_undecided(status), awaits=Awaits.FIRST, is_escalated=False)
    return replace(fresh, given=(), is_second_asked=False, disagreed=frozenset(), lost_ids=frozenset())


def _undecided(status: CaseStatus) -> CaseStatus:
    decided: dict[str, Any] = dict.fromkeys(("decision", "category", "decided_at", "decided_by", "undo_until"))
    return replace(status, state=CaseState.OPEN, hold_until=None, **decided)


def _without_holder(status: CaseStatus, by_id: str) -> CaseStatus:
    return replace(status, holder_id=None, lost_ids=_lost(status, by_id))


def _lost(status: CaseStatus, by_id: str) -> frozenset[str]:
    """Whose claims ended otherwise than by themselves, once `by_id` has ended the one that there is."""
    taken = status.holder_id is not None and status.holder_id != by_id
    return status.lost_ids | {status.holder_id} if taken and status.holder_id else status.lost_ids


_CHANGES: Mapping[EventKind, Callable[[CaseStatus, CaseEvent], CaseStatus]] = {
    EventKind.CLAIMED: _claimed,
    EventKind.RELEASED: _released,
    EventKind.HELD: _held,
    EventKind.RESUMED: _resumed,
    EventKind.ESCALATED: _escalated,
    EventKind.REASSIGNED: _reassigned,
    EventKind.SECOND_ASKED: _second_asked,
    EventKind.DECIDED: _decided,
    EventKind.UNDONE: _undone,
    EventKind.REOPENED: _reopened,
}


def id_of(actor: str) -> str:
    """The id of the person that an event names."""
    return actor.removeprefix("user:")


# What a decision waits for, and what it causes


def next_awaited(
    policy: ReviewPolicy, purpose: Purpose, status: CaseStatus, actor: str, decision: Decision
) -> Awaits | None:
    """Whose decision is awaited after this one; None when it counts.

    Two persons who say the same, kind and category, have decided. When they differ, a lead, who is neither, settles it.
    """
    if status.disagreed:
        return None
    others = [given for given in status.given if given.actor != actor]
    if any((given.kind, given.category) == (decision.kind, decision.category) for given in others):
        return None
    if not others:
        by_rule = purpose in policy.two_person_purposes and decision.kind in TWO_PERSON_DECISIONS
        return Awaits.SECOND if by_rule or status.is_second_asked else None
    return Awaits.LEAD


_CAUSED: Mapping[tuple[Purpose, DecisionKind], tuple[ActionKind, ...]] = {
    (Purpose.KNOWN_ABUSE, DecisionKind.CONFIRMED): (ActionKind.REMOVE, ActionKind.PRESERVE, ActionKind.REPORT),
    (Purpose.KNOWN_ABUSE, DecisionKind.REFER): (ActionKind.RESTRICT, ActionKind.PRESERVE, ActionKind.REFER),
    (Purpose.KNOWN_ABUSE, DecisionKind.CANNOT_TELL): (ActionKind.RESTRICT,),
    (Purpose.OWN_PHOTO, DecisionKind.CONFIRMED): (ActionKind.REMOVE,),
    (Purpose.OWN_PHOTO, DecisionKind.REFER): (ActionKind.RESTRICT, ActionKind.REFER),
    (Purpose.OWN_PHOTO, DecisionKind.CANNOT_TELL): (ActionKind.RESTRICT,),
    (Purpose.WATCH, DecisionKind.CONFIRMED): (ActionKind.RESTRICT,),
    (Purpose.WATCH, DecisionKind.REFER): (ActionKind.REFER,),
}

DONE_ONCE = frozenset({ActionKind.PRESERVE, ActionKind.REPORT, ActionKind.REFER})
"""What is not done a second time to an item: after a case was opened again, nobody is told the same twice."""


def actions_for(purpose: Purpose, decision: DecisionKind) -> tuple[ActionKind, ...]:
    """What a decision causes for each item of a case.

    A confirmed own photo is removed and goes to nobody else; a bank that only watches never removes.
    """
    if decision in {DecisionKind.NOT_A_MATCH, DecisionKind.ALLOWED}:
        return (ActionKind.RELEASE,)
    return _CAUSED.get((purpose, decision), ())


# Who may


def require(user: User, action: Action, case: Case) -> None:
    """Do nothing when a person may do something to a case: the roles cover it, and one of its banks is theirs.

    Raises:
        NotAuthorisedError: they do not.
    """
    permissions.require(user, action, _bank_of(case, user))


def _may(user: User, action: Action, case: Case) -> bool:
    return permissions.may(user, action, _bank_of(case, user))


def _bank_of(case: Case, user: User) -> int:
    """The bank that gives the person the case, if any does."""
    reached = [bank_id for bank_id in case.bank_ids if user.reaches(bank_id)]
    return next(iter(reached or case.bank_ids), _NO_BANK)


def claim_refusal(case: Case, status: CaseStatus, user: User, now: datetime) -> Refusal | None:
    """Why the person cannot have the case now; None when they can."""
    reasons: Mapping[Refusal, bool] = {
        Refusal.DECIDED: status.state is CaseState.DECIDED,
        Refusal.ON_HOLD: status.state is CaseState.ON_HOLD,
        Refusal.CLAIMED: status.holder_id not in {None, user.id}
        and case.lease_until is not None
        and case.lease_until > now,
        Refusal.GAVE_DECISION: user.actor in {given.actor for given in status.given},
        Refusal.DISAGREED: user.actor in status.disagreed,
        Refusal.AWAITS_LEAD: status.awaits is Awaits.LEAD and not _may(user, Action.SETTLE_CASES, case),
        Refusal.GIVEN_AWAY: status.assignee_id not in {None, user.id} and not _may_reassign(user, case),
    }
    return next((refusal for refusal, holds in reasons.items() if holds), None)


def bulk_refusal(case: Case, status: CaseStatus, user: User, now: datetime) -> Refusal | None:
    """Why the person cannot decide the case together with others now; None when they can.

    A summary would tell whether a second decision agrees with the first: one that is sealed is decided by itself.
    """
    if not _may(user, Action.DECIDE_CASES, case):
        return Refusal.NOT_THEIRS
    if user.id in status.lost_ids:
        return Refusal.LEASE_LOST
    return claim_refusal(case, status, user, now) or (Refusal.SEALED if is_sealed(status, user) else None)


def may_see(user: User, case: Case) -> bool:
    """Whether there is such a case for the person."""
    return any(permissions.may(user, Action.SEE_CASES, bank_id) for bank_id in case.bank_ids or (_NO_BANK,))


def check_claim(case: Case, status: CaseStatus, user: User, now: datetime, name_of: NameOf) -> None:
    """Do nothing when the person may have the case now.

    Raises:
        ConflictError: it is decided, on hold, somebody else's, or awaits somebody else's decision.
        NotAuthorisedError: it awaits a lead.
    """
    refusal = claim_refusal(case, status, user, now)
    if refusal is Refusal.AWAITS_LEAD:
        require(user, Action.SETTLE_CASES, case)
    if refusal is not None:
        raise _refused(refusal, case, status, name_of)


def _refused(refusal: Refusal, case: Case, status: CaseStatus, name_of: NameOf) -> ConflictError:
    """What the person hears who cannot have the case, and what they can do."""
    hint = "Take another case, or ask a lead to reassign this one."
    match refusal:
        case Refusal.DECIDED:
            message, hint = "the case is decided", "Undo the decision, or reopen the case."
        case Refusal.ON_HOLD:
            until = "" if status.hold_until is None else f" until {_minute(status.hold_until)}"
            message, hint = f"the case is on hold{until}", "Resume it first, if it should be looked at now."
        case Refusal.CLAIMED:
            until = "" if case.lease_until is None else f", until {_minute(case.lease_until)} if nothing more is heard"
            message = f"{name_of(status.holder_id or '')!r} has claimed the case{until}"
        case Refusal.GAVE_DECISION:
            message = "you gave a decision of this case already, and it waits for somebody else's"
            hint = "You can undo your own decision."
        case Refusal.DISAGREED:
            message = "you and somebody else decided this case differently, and taking that back does not change it"
            hint = "A lead who is neither of you settles it."
        case _:
            message = f"the case was given to {name_of(status.assignee_id or '')!r}"
    return ConflictError(message, hint=hint)


def check_resume(case: Case, status: CaseStatus, user: User, now: datetime, name_of: NameOf) -> None:
    """Do nothing when the person may take up the case from its hold.

    Raises:
        ConflictError: it is not on hold, or as for `check_claim`.
        NotAuthorisedError: it awaits a lead.
    """
    if status.state is not CaseState.ON_HOLD:
        raise ConflictError("the case is not on hold", hint="There is nothing to resume.")
    check_claim(case, replace(status, state=CaseState.OPEN), user, now, name_of)


def check_work(case: Case, status: CaseStatus, user: User, now: datetime, name_of: NameOf) -> None:
    """Do nothing when the person may work on the case now, claimed already or to be claimed with this step.

    Raises:
        LeaseLostError: the person's claim was taken over.
        ConflictError, NotAuthorisedError: as for `check_claim`.
    """
    if user.id in status.lost_ids:
        raise lease_lost(status, name_of)
    check_claim(case, status, user, now, name_of)


def lease_lost(status: CaseStatus, name_of: NameOf) -> LeaseLostError:
    """What the person hears whose claim was taken over."""
    by = "" if status.holder_id is None else f": {name_of(status.holder_id)!r} has it"
    message = f"your claim of the case ended and was taken over{by}"
    return LeaseLostError(message, hint="Nothing of this step was done. Look at the case again before you go on.")


def check_reassign(case: Case, status: CaseStatus, user: User, to: User | None) -> None:
    """Do nothing when the person may give the case to `to` (None: back to everybody).

    Raises:
        ConflictError: it is decided, or cannot be given to this person.
        NotAuthorisedError: it is another's case, and the person is no lead.
    """
    if status.state is CaseState.DECIDED:
        raise _refused(Refusal.DECIDED, case, status, str)
    if status.holder_id != user.id:
        require(user, Action.REASSIGN_CASES, case)
    if to is None:
        return
    needed = Action.SETTLE_CASES if status.awaits is Awaits.LEAD else Action.DECIDE_CASES
    if not any(permissions.may(to, needed, bank_id) for bank_id in case.bank_ids):
        message = f"{to.name!r} may not {needed.replace('_', ' ')} of this bank"
        raise ConflictError(message, hint="Give the case to somebody who may, or change the person's roles.")
    if to.actor in status.disagreed | {given.actor for given in status.given}:
        message = f"{to.name!r} gave a decision of this case already"
        raise ConflictError(message, hint="Give it to somebody else: the decision awaits another person.")


def check_last(status: CaseStatus, seq: int) -> None:
    """Do nothing when no other decision was given since the one of the event `seq`.

    Raises:
        ConflictError: another one is the last one.
    """
    if status.given and status.given[-1].seq != seq:
        message = f"the decision of event {seq} is not the last one of the case"
        raise ConflictError(message, hint="Look at the case again: what stands there now is another decision.")


def check_own(status: CaseStatus, user: User) -> None:
    """Do nothing when the last decision is the person's.

    Raises:
        ConflictError: it is somebody else's.
    """
    if status.given and status.given[-1].actor != user.actor:
        message = "the last decision of the case is somebody else's"
        raise ConflictError(message, hint="A lead takes it back on the page of the case.")


def check_undo(case: Case, status: CaseStatus, user: User, now: datetime, final_count: int) -> None:
    """Do nothing when the person may take the last decision back: their own, or as a lead one that they know.

    Raises:
        ConflictError: there is none, it is sealed, or it is too late.
        NotAuthorisedError: it is somebody else's.
    """
    if not status.given:
        raise ConflictError("nobody has decided the case", hint="There is nothing to undo.")
    last = status.given[-1]
    if last.actor != user.actor:
        require(user, Action.SETTLE_CASES, case)
        if is_sealed(status, user):
            message = "the decision is sealed: whoever may give the next one does not take back what they do not know"
            raise ConflictError(message, hint="Decide the case, or leave it to who gave the first decision.")
    if final_count:
        message = f"{final_count} actions of the decision are done, and that is final"
        raise ConflictError(message, hint="Reopen the case instead: what is done stays done, the rest is cancelled.")
    if status.undo_until is not None and status.undo_until <= now:
        message = f"the decision could be undone until {_minute(status.undo_until)}"
        raise ConflictError(message, hint="Reopen the case instead.")


def check_reopen(case: Case, status: CaseStatus, user: User) -> None:
    """Do nothing when the person may open the case again: who decided it, alone or with others, and leads.

    Raises:
        ConflictError: it is not decided.
        NotAuthorisedError: the person has no part in the decision.
    """
    if status.state is not CaseState.DECIDED:
        raise ConflictError("the case is not decided", hint="There is nothing to reopen.")
    if user.actor not in {given.actor for given in status.given}:
        require(user, Action.SETTLE_CASES, case)


def check_done(action: CaseAction, now: datetime) -> None:
    """Do nothing when an action that is not final may become so.

    Raises:
        ConflictError: it was cancelled, or is not due.
    """
    if action.state is ActionState.CANCELLED:
        message = f"action {action.id} was cancelled: the decision was taken back"
        raise ConflictError(message, hint="Do nothing to the item because of it, and take back what was done.")
    if action.due_at > now:
        message = f"action {action.id} is due at {_minute(action.due_at)}, and can be undone until then"
        raise ConflictError(message, hint="Do what is due: `GET /v1/actions?state=due`.")


def _may_reassign(user: User, case: Case) -> bool:
    return any(permissions.may(user, Action.REASSIGN_CASES, bank_id) for bank_id in case.bank_ids)


# What is typed in


def checked_decision(decision: Decision, categories: Collection[Category]) -> Decision:
    """The decision, its reason without spaces around it.

    Raises:
        InvalidValueError: the reason is empty or too long, or the category is missing or none of the scheme.
    """
    keys = [category.key for category in categories]
    category = decision.category or None
    if category is not None and category not in keys:
        message = f"the category is {category[:80]!r}, expected one of {', '.join(keys) or 'none: there is no scheme'}"
        raise InvalidValueError(message, hint="The setting decision_categories says which there are.")
    if category is None and keys and decision.kind is DecisionKind.CONFIRMED:
        message = f"a confirmed case needs a category, one of {', '.join(keys)}"
        raise InvalidValueError(message, hint="Name the category under which it falls.")
    return Decision(decision.kind, checked_text(decision.reason, "reason"), category)


def checked_text(text: str, what: str) -> str:
    """The text without spaces around it.

    Raises:
        InvalidValueError: it is empty or too long, or holds what no database keeps as text.
    """
    stripped = text.strip()
    if not is_storable(stripped):
        message = f"the {what} holds a NUL character or half of one, which PostgreSQL cannot keep"
        raise InvalidValueError(message, hint="Say it in letters: leave out what cannot be seen.")
    if not 1 <= len(stripped) <= MAX_TEXT_CHARACTERS:
        message = f"the {what} has {len(stripped)} characters, expected 1 to {MAX_TEXT_CHARACTERS}"
        raise InvalidValueError(message, hint="Say it in a few words: whoever reads the case later has only these.")
    return stripped


def checked_until(until: datetime, now: datetime) -> datetime:
    """The time until which a case is on hold.

    Raises:
        InvalidValueError: it has no zone, is over, or is too far away.
    """
    if until.tzinfo is None or not now < until <= now + LONGEST_HOLD:
        message = f"a hold until {until.isoformat()} was asked for, expected a time within {LONGEST_HOLD.days} days"
        raise InvalidValueError(message, hint="Give a time to come, with its zone.")
    return until


# What is not read yet


def is_sealed(status: CaseStatus, user: User | None) -> bool:
    """Whether a reader (None: no person at all) must not learn yet what one person decided.

    A second decision, be it a lead's to whom the case was escalated, is made without knowing the first. What two
    persons decided is no secret: there is nothing left that one of them could be led by.
    """
    actors = {given.actor for given in status.given}
    return status.state is not CaseState.DECIDED and len(actors) == 1 and (user is None or user.actor not in actors)


def unsealed(events: Iterable[CaseEvent], status: CaseStatus, user: User | None) -> list[CaseEvent]:
    """The events as a reader may know them: while a decision is sealed, no other one is told from which it follows.

    Of decisions, also of those that were taken back or were given before the case was opened again, stays who gave
    them, and when; of what was done because of them, nothing.
    """
    if not is_sealed(status, user):
        return list(events)
    actor = None if user is None else user.actor
    told = []
    for event in events:
        if event.kind is EventKind.DECIDED and event.actor != actor:
            told.append(replace(event, facts={"sealed": True}))
        elif event.kind in _COUNTING:
            told.append(replace(event, facts={name: event.facts[name] for name in ("reason",) if name in event.facts}))
        elif event.kind not in AFTERMATH:
            told.append(event)
    return told


_COUNTING = frozenset({EventKind.UNDONE, EventKind.REOPENED})
"""The events whose facts count actions, which differ from decision to decision."""

AFTERMATH = frozenset({EventKind.ACTED, EventKind.DISPUTED, EventKind.BENIGN_ADDED, EventKind.BENIGN_WITHDRAWN})
"""The events that only some decisions have."""


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")
