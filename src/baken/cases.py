"""The words of review as types: cases, what happens to them, what is decided, what is done, what is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from baken.model import Match, Purpose, Visibility


class CaseState(StrEnum):
    """Where a case stands. `claimed` is `open` with a lease that runs; it is never stored, since leases end by time."""

    OPEN = "open"
    CLAIMED = "claimed"
    ON_HOLD = "on_hold"
    DECIDED = "decided"


class Awaits(StrEnum):
    """Whose decision an undecided case waits for."""

    FIRST = "first"
    SECOND = "second"
    LEAD = "lead"


class EventKind(StrEnum):
    """What can happen to a case. The facts of each stand in `case_rules.py`."""

    OPENED = "opened"
    JOINED = "joined"
    CLAIMED = "claimed"
    RELEASED = "released"
    HELD = "held"
    RESUMED = "resumed"
    NOTED = "noted"
    ESCALATED = "escalated"
    REASSIGNED = "reassigned"
    SECOND_ASKED = "second_asked"
    DECIDED = "decided"
    UNDONE = "undone"
    REOPENED = "reopened"
    FOLLOWED = "followed"
    ACTED = "acted"
    DISPUTED = "disputed"
    BENIGN_ADDED = "benign_added"
    BENIGN_WITHDRAWN = "benign_withdrawn"


class Refusal(StrEnum):
    """Why a person cannot decide a case now; the first that holds."""

    NOT_THEIRS = "not_theirs"
    LEASE_LOST = "lease_lost"
    DECIDED = "decided"
    ON_HOLD = "on_hold"
    CLAIMED = "claimed"
    GAVE_DECISION = "gave_decision"
    DISAGREED = "disagreed"
    AWAITS_LEAD = "awaits_lead"
    GIVEN_AWAY = "given_away"
    SEALED = "sealed"


class DecisionKind(StrEnum):
    """What a reviewer says of a case."""

    CONFIRMED = "confirmed"
    NOT_A_MATCH = "not_a_match"
    ALLOWED = "allowed"
    CANNOT_TELL = "cannot_tell"
    REFER = "refer"


class ActionKind(StrEnum):
    """What is done to an item because of a decision; the platform does it and says when it is done."""

    REMOVE = "remove"
    RESTRICT = "restrict"
    RELEASE = "release"
    PRESERVE = "preserve"
    REPORT = "report"
    REFER = "refer"


class ActionState(StrEnum):
    """How far an action is. Only pending ones can be undone."""

    PENDING = "pending"
    FINAL = "final"
    CANCELLED = "cancelled"


class MatchOrigin(StrEnum):
    """How an item came into a case."""

    SCREENING = "screening"
    RETROACTIVE = "retroactive"


class Level(IntEnum):
    """How much of a picture is shown."""

    FACTS = 0
    PREVIEW = 1
    CLEARER = 2
    ORIGINAL = 3


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says of a case: what, under which category of the operator's scheme, and why."""

    kind: DecisionKind
    reason: str
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """A category of the operator's scheme: the key that is kept, and the name that people read."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """Something that happened to a case; `seq` counts 1, 2, 3, … in each case."""

    case_id: str
    seq: int
    at: datetime
    kind: EventKind
    actor: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signal:
    """An observation that raises a case's priority, with its explanation: what was seen, and how often."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Case:
    """The unit of review: one picture, or one entry, with all its items. One purpose each: halves are not mixed.

    Attributes:
        state: as stored; `state_at` knows whether a lease runs.
        event_count: events so far; whoever writes the next one has seen all of these.
        awaits: whose decision is waited for; None once it is decided.
        holder_id: the person who claimed it last and did not give it back.
        lease_until: until when nobody else may claim it.
        assignee_id: the person to whom a lead gave it.
        hold_until: when a case on hold comes back by itself.
        decision: the decision that counts, with `category`, `decided_at` and `decided_by` (an actor).
        undo_until: until when it can be undone, if no action is final before.
        widest_visibility: of its items, the most public one.
        signals: what raises its priority beside numbers.
        rank: sorts the queue, the largest first (`priorities.py`).
        entries: bank and id of the entries that its items match.
        bank_ids: the banks of those entries.
    """

    id: str
    purpose: Purpose
    state: CaseState
    opened_at: datetime
    updated_at: datetime
    item_count: int
    account_count: int
    entries: tuple[tuple[str, int], ...] = ()
    bank_ids: tuple[int, ...] = ()
    event_count: int = 0
    awaits: Awaits | None = Awaits.FIRST
    holder_id: str | None = None
    lease_until: datetime | None = None
    assignee_id: str | None = None
    is_escalated: bool = False
    hold_until: datetime | None = None
    decision: DecisionKind | None = None
    category: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    undo_until: datetime | None = None
    widest_visibility: Visibility | None = None
    signals: tuple[Signal, ...] = ()
    rank: float = 0.0

    def state_at(self, now: datetime) -> CaseState:
        """The state as people see it: an open case is claimed while its lease runs."""
        is_held = self.state is CaseState.OPEN and self.lease_until is not None and self.lease_until > now
        return CaseState.CLAIMED if is_held else self.state


@dataclass(frozen=True, slots=True)
class GivenDecision:
    """A decision that was given since the case was opened, or opened again; it counts once nobody else is awaited.

    Attributes:
        seq: of its event.
        actor: who gave it.
        kind: what was said.
        category: likewise.
        awaited: whose decision was waited for when it was given, which an undo goes back to.
        item_count: how many items the case had then, the first ones: those that were decided about.
    """

    seq: int
    actor: str
    kind: DecisionKind
    category: str | None
    awaited: Awaits
    item_count: int


@dataclass(frozen=True, slots=True)
class CaseStatus:
    """What the events of a case come to: columns of `cases`, by their names, and what the next step must know.

    The end of a lease is not part of it, because heartbeats leave no event; nor are counts of items.

    Attributes:
        given: the decisions since the case was opened, or opened again, that were not undone.
        is_second_asked: somebody asked for a second opinion, whatever the decision.
        disagreed: the actors who decided differently since then, whether or not they took it back: a lead who is none
            of them settles it.
        lost_ids: the people whose claim somebody else took over, and who did not claim it again.
    """

    state: CaseState = CaseState.OPEN
    event_count: int = 0
    awaits: Awaits | None = Awaits.FIRST
    holder_id: str | None = None
    assignee_id: str | None = None
    is_escalated: bool = False
    hold_until: datetime | None = None
    decision: DecisionKind | None = None
    category: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    undo_until: datetime | None = None
    given: tuple[GivenDecision, ...] = ()
    is_second_asked: bool = False
    disagreed: frozenset[str] = frozenset()
    lost_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CaseItem:
    """An item of a case, with why it is there. It stays when the seen item is forgotten: it is evidence by then."""

    id: int
    case_id: str
    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    visibility: Visibility | None
    seen_at: datetime
    joined_at: datetime
    origin: MatchOrigin
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class CaseAction:
    """What is to be done to one item because of the decision that is the case's event `event_seq`."""

    id: int
    case_id: str
    event_seq: int
    item_id: int
    kind: ActionKind
    state: ActionState
    due_at: datetime
    done_at: datetime | None
    done_by: str | None


@dataclass(frozen=True, slots=True)
class Reveal:
    """A person asked to see more of a picture. `shown_seconds` is None while nobody said that it was hidden."""

    id: int
    user_id: str
    case_id: str
    screening_id: str
    level: Level
    purpose: Purpose
    reason: str | None
    shown_at: datetime
    hidden_at: datetime | None
    shown_seconds: float | None
