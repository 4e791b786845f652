"""Who may do what: every cell of the table, and the banks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from baken.accounts import Role, User
from baken.errors import NotAuthorisedError
from baken.permissions import TABLE, Action, actions_of, may, reads_what_cases_say, require

AT = datetime(2026, 1, 2, tzinfo=UTC)

EXPECTED = """
                        admin  curator  reviewer  lead  auditor
see_cases                 .       .        x       x       x
reveal_pictures           .       .        x       x       .
decide_cases              .       .        x       x       .
settle_cases              .       .        .       x       .
reassign_cases            .       .        .       x       .
see_screenings            .       .        x       x       x
see_exposure              .       .        .       x       x
lift_exposure_budgets     .       .        .       x       .
see_statistics            x       x        .       x       x
see_banks                 x       x        .       x       x
change_banks              .       x        .       .       .
change_entries            .       x        .       .       .
export_banks              .       x        .       .       .
answer_notices            .       x        .       .       .
see_audit_log             x       .        .       .       x
export_audit_log          .       .        .       .       x
see_users                 x       .        .       .       x
change_users              x       .        .       .       .
change_keys               x       .        .       .       .
change_settings           x       .        .       .       .
"""


def cells() -> dict[tuple[Role, Action], bool]:
    head, *lines = EXPECTED.strip().splitlines()
    roles = [Role(name) for name in head.split()]
    found = {}
    for line in lines:
        name, *marks = line.split()
        for role, mark in zip(roles, marks, strict=True):
            found[role, Action(name)] = mark == "x"
    return found


def user(*roles: Role, banks: frozenset[int] | None = None) -> User:
    return User("usr_1", "alice", None, frozenset(roles), banks, AT, None, True, False, 0)


def test_every_cell_is_written_here_a_second_time():
    assert set(cells()) == {(role, action) for role in Role for action in Action}
    assert set(TABLE) == set(Role)


@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_exactly_what_the_table_says(role: Role):
    for action in Action:
        assert may(user(role), action) is cells()[role, action], action


def test_nobody_may_do_anything_without_a_role_or_with_a_disabled_account():
    for action in Action:
        assert not may(user(), action)
        assert not may(replace(user(*Role), disabled_at=AT), action)


def test_several_roles_add_up():
    assert actions_of({Role.ADMIN, Role.REVIEWER}) == TABLE[Role.ADMIN] | TABLE[Role.REVIEWER]


def test_who_gives_access_and_who_keeps_lists_decides_no_case():
    deciding = {Action.REVEAL_PICTURES, Action.DECIDE_CASES, Action.SETTLE_CASES}
    assert not (TABLE[Role.ADMIN] | TABLE[Role.CURATOR] | TABLE[Role.AUDITOR]) & deciding


def test_the_auditor_changes_nothing():
    assert all(action.startswith(("see_", "export_audit")) for action in TABLE[Role.AUDITOR])


def test_banks_narrow_what_is_done_to_what_belongs_to_a_bank():
    reviewer = user(Role.REVIEWER, Role.ADMIN, banks=frozenset({7}))

    assert may(reviewer, Action.DECIDE_CASES, 7)
    assert not may(reviewer, Action.DECIDE_CASES, 8)
    assert may(user(Role.REVIEWER), Action.DECIDE_CASES, 8)
    assert not may(user(Role.REVIEWER, banks=frozenset()), Action.SEE_CASES, 7)
    assert may(reviewer, Action.CHANGE_USERS, 8)


def test_who_decides_or_sees_some_banks_alone_does_not_read_in_the_log_what_cases_say():
    assert reads_what_cases_say(user(Role.AUDITOR))
    assert reads_what_cases_say(user(Role.ADMIN, Role.AUDITOR))
    assert not reads_what_cases_say(user(Role.AUDITOR, banks=frozenset({7})))
    for deciding in (Role.REVIEWER, Role.LEAD):
        assert not reads_what_cases_say(user(Role.AUDITOR, deciding))


def test_a_refusal_says_who_lacks_what():
    require(user(Role.REVIEWER), Action.SEE_CASES, 7)
    with pytest.raises(NotAuthorisedError, match="'alice' \\(reviewer\\) may not change users"):
        require(user(Role.REVIEWER), Action.CHANGE_USERS)
    with pytest.raises(NotAuthorisedError, match="bank 8, which is not one of yours"):
        require(user(Role.REVIEWER, banks=frozenset({7})), Action.SEE_CASES, 8)
