"""Which steps a person can take with a case now: the rules of `case_rules.py`, asked without doing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from baken import case_rules
from baken.accounts import User
from baken.cases import ActionKind, ActionState, Awaits, Case, CaseEvent, CaseState, CaseStatus, DecisionKind
from baken.errors import BakenError, ConflictError
from baken.permissions import Action


class CaseStep(StrEnum):
    """What a person can do with a case."""

    CLAIM = "claim"
    RELEASE = "release"
    HOLD = "hold"
    RESUME = "resume"
    NOTE = "note"
    ESCALATE = "escalate"
    REASSIGN = "reassign"
    ASK_SECOND = "ask_second"
    DECIDE = "decide"
    UNDO = "undo"
    REOPEN = "reopen"
    MAKE_BENIGN = "make_benign"
    DISPUTE = "dispute"


@dataclass(frozen=True, slots=True)
class CaseStanding:
    """A case as a person finds it.

    Attributes:
        case: without what the person does not reach.
        state: as people see it now.
        is_mine: the person's own claim runs.
        is_lost: the person had claimed it, and somebody took it over.
        has_sealed: a first decision is there that the person does not see before they have given theirs.
        is_split: two persons decided differently, and a lead settles it.
        given: the events of the decisions that stand and that the person may see.
        actions: how many actions of its decisions are of which kind, and how far; none while a decision is sealed.
        steps: what the person can do now.
    """

    case: Case
    state: CaseState
    is_mine: bool
    is_lost: bool
    has_sealed: bool
    is_split: bool
    given: tuple[CaseEvent, ...]
    actions: Mapping[tuple[ActionKind, ActionState], int]
    steps: frozenset[CaseStep]


def steps_of(case: Case, status: CaseStatus, user: User, now: datetime) -> frozenset[CaseStep]:
    """The steps that a person can take now.

    An undo is told from its time alone: actions become final when that is over, never before.

    Args:
        case: whole, with the banks that the person does not reach.
        status: what all its events come to.
        user: the person.
        now: the time.
    """
    if not _allows(lambda: case_rules.require(user, Action.DECIDE_CASES, case)):
        return frozenset()

    def check_work() -> None:
        case_rules.check_work(case, status, user, now, str)

    def check_claim() -> None:
        case_rules.check_claim(case, status, user, now, str)
        _refuse(is_running(case, status, user, now))

    def check_escalate() -> None:
        check_work()
        _refuse(status.awaits is Awaits.LEAD)

    def check_second() -> None:
        check_work()
        _refuse(status.is_second_asked or status.awaits is not Awaits.FIRST)

    def check_no_match() -> None:
        _refuse(status.state is not CaseState.DECIDED or status.decision is not DecisionKind.NOT_A_MATCH)

    checks: Mapping[CaseStep, Callable[[], object]] = {
        CaseStep.CLAIM: check_claim,
        CaseStep.RELEASE: lambda: _refuse(status.holder_id != user.id),
        CaseStep.HOLD: check_work,
        CaseStep.RESUME: lambda: case_rules.check_resume(case, status, user, now, str),
        CaseStep.NOTE: lambda: None,
        CaseStep.ESCALATE: check_escalate,
        CaseStep.REASSIGN: lambda: case_rules.check_reassign(case, status, user, None),
        CaseStep.ASK_SECOND: check_second,
        CaseStep.DECIDE: check_work,
        CaseStep.UNDO: lambda: case_rules.check_undo(case, status, user, now, 0),
        CaseStep.REOPEN: lambda: case_rules.check_reopen(case, status, user),
        CaseStep.MAKE_BENIGN: check_no_match,
        CaseStep.DISPUTE: check_no_match,
    }
    return frozenset(step for step, check in checks.items() if _allows(check))


def is_running(case: Case, status: CaseStatus, user: User, now: datetime) -> bool:
    """Whether the person's own claim of the case runs."""
    return status.holder_id == user.id and case.state_at(now) is CaseState.CLAIMED


def _refuse(refused: bool) -> None:
    if refused:
        raise ConflictError("the case is not in a state for it", hint="Look at it again.")


def _allows(check: Callable[[], object]) -> bool:
    try:
        check()
    except BakenError:
        return False
    return True
