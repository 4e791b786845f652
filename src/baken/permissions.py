"""Who may do what: one table of roles and actions. What is not in it is forbidden."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from baken.accounts import Role, User
from baken.errors import NotAuthorisedError


class Action(StrEnum):
    """What a person may be allowed to do. Everyone may see and change their own account, password and sessions."""

    SEE_CASES = "see_cases"
    REVEAL_PICTURES = "reveal_pictures"
    DECIDE_CASES = "decide_cases"
    SETTLE_CASES = "settle_cases"
    REASSIGN_CASES = "reassign_cases"
    SEE_SCREENINGS = "see_screenings"
    SEE_EXPOSURE = "see_exposure"
    LIFT_EXPOSURE_BUDGETS = "lift_exposure_budgets"
    SEE_STATISTICS = "see_statistics"
    SEE_BANKS = "see_banks"
    CHANGE_BANKS = "change_banks"
    CHANGE_ENTRIES = "change_entries"
    EXPORT_BANKS = "export_banks"
    ANSWER_NOTICES = "answer_notices"
    SEE_AUDIT_LOG = "see_audit_log"
    EXPORT_AUDIT_LOG = "export_audit_log"
    SEE_USERS = "see_users"
    CHANGE_USERS = "change_users"
    CHANGE_KEYS = "change_keys"
    CHANGE_SETTINGS = "change_settings"


_REVIEWING = frozenset({Action.SEE_CASES, Action.REVEAL_PICTURES, Action.DECIDE_CASES, Action.SEE_SCREENINGS})

TABLE: Mapping[Role, frozenset[Action]] = {
    # Who gives access looks at no case and no picture, and cannot do anything unseen: the audit log names every change.
    Role.ADMIN: frozenset(
        {
            Action.SEE_USERS,
            Action.CHANGE_USERS,
            Action.CHANGE_KEYS,
            Action.CHANGE_SETTINGS,
            Action.SEE_STATISTICS,
            Action.SEE_BANKS,
            Action.SEE_AUDIT_LOG,
        }
    ),
    # Who keeps the lists decides no case: a mistake on a list must meet somebody else's eyes.
    Role.CURATOR: frozenset(
        {
            Action.SEE_BANKS,
            Action.CHANGE_BANKS,
            Action.CHANGE_ENTRIES,
            Action.EXPORT_BANKS,
            Action.ANSWER_NOTICES,
            Action.SEE_STATISTICS,
        }
    ),
    Role.REVIEWER: _REVIEWING,
    Role.LEAD: _REVIEWING
    | {
        Action.SETTLE_CASES,
        Action.REASSIGN_CASES,
        Action.SEE_EXPOSURE,
        Action.LIFT_EXPOSURE_BUDGETS,
        Action.SEE_STATISTICS,
        Action.SEE_BANKS,
    },
    # Who audits changes nothing, and sees that a picture was looked at, never the picture.
    Role.AUDITOR: frozenset(
        {
            Action.SEE_CASES,
            Action.SEE_SCREENINGS,
            Action.SEE_EXPOSURE,
            Action.SEE_STATISTICS,
            Action.SEE_BANKS,
            Action.SEE_USERS,
            Action.SEE_AUDIT_LOG,
            Action.EXPORT_AUDIT_LOG,
        }
    ),
}
"""What each role may do. A person with several roles may do what any of them may."""

_OF_BANKS = frozenset(
    {
        Action.SEE_CASES,
        Action.REVEAL_PICTURES,
        Action.DECIDE_CASES,
        Action.SETTLE_CASES,
        Action.REASSIGN_CASES,
        Action.SEE_BANKS,
        Action.CHANGE_BANKS,
        Action.CHANGE_ENTRIES,
        Action.EXPORT_BANKS,
        Action.ANSWER_NOTICES,
    }
)
"""Actions that are done to what belongs to a bank, where a person's banks count too."""


def actions_of(roles: Collection[Role]) -> frozenset[Action]:
    """Everything that a person with these roles may do."""
    return frozenset[Action]().union(*(TABLE[role] for role in roles))


def may(user: User, action: Action, bank_id: int | None = None) -> bool:
    """Whether a person may do something; of a bank, where the action is done to what belongs to one."""
    if user.disabled_at is not None or action not in actions_of(user.roles):
        return False
    return bank_id is None or action not in _OF_BANKS or user.reaches(bank_id)


def reads_what_cases_say(user: User) -> bool:
    """Whether a person may read in the audit log what was said of cases: not who decides, nor who sees some banks only.

    The second decision of a case is made without being shown the first, wherever that stands.
    """
    return user.bank_ids is None and not may(user, Action.DECIDE_CASES)


def require(user: User, action: Action, bank_id: int | None = None) -> None:
    """Do nothing when a person may do something.

    Raises:
        NotAuthorisedError: the roles, or the banks, do not cover it.
    """
    if not may(user, action, bank_id):
        roles = ", ".join(sorted(user.roles)) or "no role"
        where = "" if bank_id is None or user.reaches(bank_id) else f" in bank {bank_id}, which is not one of yours"
        message = f"{user.name!r} ({roles}) may not {action.replace('_', ' ')}{where}"
        raise NotAuthorisedError(message, hint="An administrator gives roles and banks: `baken user set`.")
