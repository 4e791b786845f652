"""A case's life as people live it: claims, leases, holds, decisions of one and two persons, undo, and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from baken import case_rules
from baken.accounts import Role, User
from baken.cases import ActionKind, ActionState, Awaits, CaseState, Decision, DecisionKind, EventKind, Refusal
from baken.errors import ConflictError, InvalidValueError, LeaseLostError, NotAuthorisedError, NotFoundError
from baken.model import Purpose
from review_world import ALLOWED, CANNOT_TELL, CONFIRMED, NOT_A_MATCH, REFER, ReviewWorld, person, world_of_an_engine


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def worlds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewWorld]:
    with world_of_an_engine(request, tmp_path_factory.mktemp("review")) as made:
        yield made


@pytest.fixture
def world(worlds: ReviewWorld) -> ReviewWorld:
    """One person decides."""
    worlds.two_person()
    return worlds


@pytest.fixture
def strict(worlds: ReviewWorld) -> ReviewWorld:
    """Two persons decide what blocks or reports known abuse."""
    worlds.two_person(Purpose.KNOWN_ABUSE)
    return worlds


def kinds(world: ReviewWorld, case_id: str) -> list[str]:
    return [event.kind.value for event in world.store.case_events.events(case_id)]


def test_one_decision_of_a_case_with_many_items_is_an_action_of_each_kind_for_each(world: ReviewWorld) -> None:
    case_id = world.open_case(items=3)
    claimed = world.review.claim(world.ann, case_id)
    assert claimed.state_at(world.clock.at) is CaseState.CLAIMED
    assert (claimed.holder_id, claimed.item_count, claimed.account_count) == (world.ann.id, 3, 3)
    decided = world.review.decide(world.ann, case_id, CONFIRMED)
    assert (decided.state, decided.awaits, decided.decision) == (CaseState.DECIDED, None, DecisionKind.CONFIRMED)
    assert (decided.category, decided.decided_by) == ("rules", world.ann.actor)
    assert (decided.holder_id, decided.lease_until) == (None, None)
    actions = world.review.actions(world.ann, case_id)
    assert [action.kind for action in actions] == [ActionKind.REMOVE] * 3 + [ActionKind.PRESERVE] * 3 + [
        ActionKind.REPORT
    ] * 3
    assert {action.state for action in actions} == {ActionState.PENDING}
    assert {action.due_at for action in actions} == {world.clock.at + timedelta(minutes=5)}
    assert {action.event_seq for action in actions} == {decided.event_count}
    assert kinds(world, case_id) == ["opened", "joined", "claimed", "decided"]


def test_a_case_that_somebody_claimed_is_not_another_persons_until_the_lease_ends(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.claim(world.ann, case_id)
    for step in (
        lambda: world.review.claim(world.ben, case_id),
        lambda: world.review.decide(world.ben, case_id, CONFIRMED),
        lambda: world.review.hold(world.ben, case_id, "later", world.clock.at + timedelta(hours=1)),
        lambda: world.review.escalate(world.ben, case_id, "unsure"),
    ):
        with pytest.raises(ConflictError, match="'ann' has claimed the case") as raised:
            step()
        assert not isinstance(raised.value, LeaseLostError)
    world.clock.move(minutes=4)
    until = world.review.heartbeat(world.ann, case_id)
    assert until == world.clock.at + timedelta(minutes=5)
    world.clock.move(minutes=4)
    with pytest.raises(ConflictError, match="ann"):
        world.review.claim(world.ben, case_id)
    assert kinds(world, case_id) == ["opened", "joined", "claimed"]  # a heartbeat is no event


def test_a_lease_that_ended_is_still_its_holders_until_somebody_takes_it(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.claim(world.ann, case_id)
    world.clock.move(minutes=6)
    assert world.review.case(world.ann, case_id).state_at(world.clock.at) is CaseState.OPEN
    world.review.heartbeat(world.ann, case_id)
    world.clock.move(minutes=6)
    assert world.review.decide(world.ann, case_id, ALLOWED).state is CaseState.DECIDED


def test_who_lost_a_lease_hears_it_at_every_step_until_they_claim_again(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.claim(world.ann, case_id)
    world.clock.move(minutes=6)
    world.review.claim(world.ben, case_id)
    before = kinds(world, case_id)
    for step in (
        lambda: world.review.heartbeat(world.ann, case_id),
        lambda: world.review.release(world.ann, case_id),
        lambda: world.review.decide(world.ann, case_id, CONFIRMED),
        lambda: world.review.ask_second(world.ann, case_id, "unsure"),
    ):
        with pytest.raises(LeaseLostError, match="'ben' has it"):
            step()
    assert kinds(world, case_id) == before
    world.review.release(world.ben, case_id)
    with pytest.raises(LeaseLostError):
        world.review.decide(world.ann, case_id, CONFIRMED)
    world.review.claim(world.ann, case_id)
    assert world.review.decide(world.ann, case_id, ALLOWED).decided_by == world.ann.actor


def test_a_decision_needs_a_reason_and_a_confirmed_one_a_category_of_the_scheme(world: ReviewWorld) -> None:
    case_id = world.open_case()
    for decision, what in (
        (Decision(DecisionKind.ALLOWED, "  "), "reason has 0 characters"),
        (Decision(DecisionKind.ALLOWED, "x" * 2001), "2001 characters"),
        (Decision(DecisionKind.CONFIRMED, "yes"), "needs a category, one of rules, other"),
        (Decision(DecisionKind.CONFIRMED, "yes", "bad"), "category is 'bad'"),
    ):
        with pytest.raises(InvalidValueError, match=what):
            world.review.decide(world.ann, case_id, decision)
    assert kinds(world, case_id) == ["opened", "joined"]


def test_a_hold_lets_go_of_the_case_and_ends_by_itself(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.claim(world.ann, case_id)
    until = world.clock.at + timedelta(hours=2)
    world.review.hold(world.ann, case_id, "asked the platform", until)
    held = world.review.case(world.ben, case_id)
    assert (held.state, held.hold_until, held.holder_id) == (CaseState.ON_HOLD, until, None)
    with pytest.raises(ConflictError, match=f"on hold until {until:%Y-%m-%d %H:%M} UTC"):
        world.review.decide(world.ben, case_id, ALLOWED)
    world.clock.move(hours=1)
    world.keeper.keep()
    assert world.review.case(world.ann, case_id).state is CaseState.ON_HOLD
    world.clock.move(hours=1)
    assert world.keeper.has_work()
    world.keeper.keep()
    assert not world.keeper.has_work()
    resumed = world.store.case_events.events(case_id)[-1]
    assert (resumed.kind, resumed.actor) == (EventKind.RESUMED, "baken")
    back = world.review.case(world.ann, case_id)
    assert (back.state, back.hold_until, back.awaits) == (CaseState.OPEN, None, Awaits.FIRST)


def test_a_hold_is_ended_by_hand_and_bounded(world: ReviewWorld) -> None:
    case_id = world.open_case()
    for until in (world.clock.at, world.clock.at + timedelta(days=367)):
        with pytest.raises(InvalidValueError, match="within 366 days"):
            world.review.hold(world.ann, case_id, "later", until)
    world.review.hold(world.ann, case_id, "later", world.clock.at + timedelta(hours=1))
    world.review.resume(world.ben, case_id)
    assert world.review.case(world.ann, case_id).holder_id == world.ben.id
    with pytest.raises(ConflictError, match="not on hold"):
        world.review.resume(world.ben, case_id)
    assert world.review.decide(world.ben, case_id, ALLOWED).state is CaseState.DECIDED


def test_a_hold_is_not_ended_by_whom_the_case_is_not_for(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.hold(world.ann, case_id, "later", world.clock.at + timedelta(hours=1))
    world.review.reassign(world.lea, case_id, world.ben.id, "you know the club")
    before = world.review.events(world.ann, case_id)
    with pytest.raises(ConflictError, match="the case was given to 'ben'"):
        world.review.resume(world.ann, case_id)
    assert world.review.events(world.ann, case_id) == before
    world.review.resume(world.ben, case_id)
    assert [event.kind for event in world.review.events(world.ann, case_id)[-2:]] == [
        EventKind.RESUMED,
        EventKind.CLAIMED,
    ]


def test_two_persons_who_agree_decide_and_the_second_is_not_shown_the_first(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    first = strict.review.decide(strict.ann, case_id, CONFIRMED)
    assert (first.state, first.awaits, first.decision) == (CaseState.OPEN, Awaits.SECOND, None)
    assert strict.review.actions(strict.ann, case_id) == []
    [hidden] = [e for e in strict.review.events(strict.ben, case_id) if e.kind is EventKind.DECIDED]
    assert dict(hidden.facts) == {"sealed": True}
    [own] = [e for e in strict.review.events(strict.ann, case_id) if e.kind is EventKind.DECIDED]
    assert own.facts["kind"] == "confirmed"
    for step in (strict.review.claim, lambda user, case: strict.review.decide(user, case, CONFIRMED)):
        with pytest.raises(ConflictError, match="you gave a decision of this case already"):
            step(strict.ann, case_id)
    second = strict.review.decide(strict.ben, case_id, Decision(DecisionKind.CONFIRMED, "I see it too", "rules"))
    assert (second.state, second.decided_by) == (CaseState.DECIDED, strict.ben.actor)
    assert len(strict.review.actions(strict.ben, case_id)) == 3
    shown = [e.facts["kind"] for e in strict.review.events(strict.ben, case_id) if e.kind is EventKind.DECIDED]
    assert shown == ["confirmed", "confirmed"]


@pytest.mark.parametrize("second", [ALLOWED, Decision(DecisionKind.CONFIRMED, "yes", "other")])
def test_two_persons_who_differ_leave_it_to_a_lead_who_is_neither(strict: ReviewWorld, second: Decision) -> None:
    case_id = strict.open_case()
    strict.review.decide(strict.lou, case_id, CONFIRMED)
    differing = strict.review.decide(strict.ben, case_id, second)
    assert (differing.state, differing.awaits) == (CaseState.OPEN, Awaits.LEAD)
    with pytest.raises(NotAuthorisedError, match="'ann'"):
        strict.review.decide(strict.ann, case_id, CONFIRMED)
    with pytest.raises(ConflictError, match="you gave a decision"):
        strict.review.decide(strict.lou, case_id, CONFIRMED)
    settled = strict.review.decide(strict.lea, case_id, NOT_A_MATCH)
    assert (settled.state, settled.decision) == (CaseState.DECIDED, DecisionKind.NOT_A_MATCH)
    assert [action.kind for action in strict.review.actions(strict.lea, case_id)] == [ActionKind.RELEASE]


def test_the_two_person_rule_is_about_what_blocks_or_reports(strict: ReviewWorld) -> None:
    for decision, awaits in [
        (CONFIRMED, Awaits.SECOND),
        (REFER, Awaits.SECOND),
        (ALLOWED, None),
        (NOT_A_MATCH, None),
        (CANNOT_TELL, None),
    ]:
        case_id = strict.open_case()
        assert strict.review.decide(strict.ann, case_id, decision).awaits is awaits


def test_whoever_asks_for_a_second_opinion_gets_one_whatever_the_decision(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.ask_second(world.ann, case_id, "I cannot tell these apart")
    with pytest.raises(ConflictError, match="awaited already"):
        world.review.ask_second(world.ann, case_id, "again")
    assert world.review.decide(world.ann, case_id, ALLOWED).awaits is Awaits.SECOND
    assert world.review.decide(world.ben, case_id, ALLOWED).state is CaseState.DECIDED


def test_an_escalated_case_is_decided_by_a_lead_alone(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.escalate(world.ann, case_id, "known to me")
    case = world.review.case(world.ann, case_id)
    assert (case.is_escalated, case.awaits, case.holder_id) == (True, Awaits.LEAD, None)
    for user in (world.ann, world.ben):
        with pytest.raises(NotAuthorisedError, match="settle cases"):
            world.review.decide(user, case_id, ALLOWED)
    with pytest.raises(ConflictError, match="awaits a lead already"):
        world.review.escalate(world.lea, case_id, "again")
    assert world.review.decide(world.lea, case_id, ALLOWED).state is CaseState.DECIDED


def test_an_escalated_case_still_needs_two_persons_where_the_rule_says_so(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    strict.review.escalate(strict.ann, case_id, "known to me")
    assert strict.review.decide(strict.lea, case_id, CONFIRMED).awaits is Awaits.SECOND
    assert strict.review.decide(strict.ben, case_id, CONFIRMED).state is CaseState.DECIDED


def test_a_case_is_given_to_somebody_by_a_lead_or_by_who_has_it(world: ReviewWorld) -> None:
    case_id = world.open_case()
    with pytest.raises(NotAuthorisedError, match="reassign cases"):
        world.review.reassign(world.ann, case_id, world.ben.id, "for you")
    world.review.claim(world.ann, case_id)
    world.review.reassign(world.ann, case_id, world.ben.id, "you speak the language")
    case = world.review.case(world.ben, case_id)
    assert (case.assignee_id, case.holder_id) == (world.ben.id, None)
    with pytest.raises(ConflictError, match="given to 'ben'"):
        world.review.claim(world.ann, case_id)
    world.review.claim(world.ben, case_id)
    world.review.reassign(world.lea, case_id, None, "back to all")
    with pytest.raises(LeaseLostError):
        world.review.heartbeat(world.ben, case_id)
    world.review.claim(world.ann, case_id)
    auditor = person(world.store, "vic", Role.AUDITOR)
    with pytest.raises(ConflictError, match="'vic' may not decide cases"):
        world.review.reassign(world.lea, case_id, auditor.id, "for you")


def test_undo_cancels_what_is_pending_and_goes_back_to_who_was_awaited(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    strict.review.decide(strict.ann, case_id, CONFIRMED)
    strict.review.decide(strict.ben, case_id, CONFIRMED)
    with pytest.raises(NotAuthorisedError):
        strict.undo(strict.ann, case_id)  # the last decision is ben's
    strict.undo(strict.ben, case_id)
    case = strict.review.case(strict.ben, case_id)
    assert (case.state, case.awaits, case.decision, case.undo_until) == (CaseState.OPEN, Awaits.SECOND, None, None)
    assert {action.state for action in strict.review.actions(strict.ann, case_id)} == {ActionState.CANCELLED}
    strict.undo(strict.ann, case_id)
    assert strict.review.case(strict.ann, case_id).awaits is Awaits.FIRST
    with pytest.raises(ConflictError, match="nobody has decided"):
        strict.undo(strict.ann, case_id)


def test_a_disagreement_stays_a_leads_whoever_takes_a_decision_back(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    strict.review.decide(strict.lou, case_id, CONFIRMED)
    strict.review.decide(strict.ben, case_id, ALLOWED)
    strict.undo(strict.ben, case_id)
    assert strict.review.case(strict.ben, case_id).awaits is Awaits.LEAD
    strict.undo(strict.lou, case_id)
    case = strict.review.case(strict.lou, case_id)
    assert (case.state, case.awaits) == (CaseState.OPEN, Awaits.LEAD)
    for user in (strict.ben, strict.lou):  # lou is a lead, but one of the two
        with pytest.raises(ConflictError, match="decided this case differently"):
            strict.review.decide(user, case_id, CONFIRMED)
    with pytest.raises(ConflictError, match="'lou' gave a decision"):
        strict.review.reassign(strict.lea, case_id, strict.lou.id, "yours")
    settled = strict.review.decide(strict.lea, case_id, CONFIRMED)
    assert (settled.state, settled.decided_by) == (CaseState.DECIDED, strict.lea.actor)  # a lead settles it alone
    strict.review.reopen(strict.lea, case_id, "new facts")
    assert strict.review.decide(strict.ben, case_id, ALLOWED).state is CaseState.DECIDED


def test_what_a_lead_settled_and_took_back_is_a_leads_again(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    strict.review.decide(strict.ann, case_id, CONFIRMED)
    strict.review.decide(strict.ben, case_id, ALLOWED)
    strict.review.decide(strict.lea, case_id, ALLOWED)
    strict.undo(strict.lea, case_id)
    assert strict.review.case(strict.lea, case_id).awaits is Awaits.LEAD
    assert strict.review.decide(strict.lou, case_id, CONFIRMED).state is CaseState.DECIDED


def test_undo_takes_no_escalation_away(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    strict.review.decide(strict.ann, case_id, CONFIRMED)
    strict.review.escalate(strict.ben, case_id, "known to me")
    strict.undo(strict.ann, case_id)
    case = strict.review.case(strict.ann, case_id)
    assert (case.awaits, case.is_escalated) == (Awaits.LEAD, True)
    with pytest.raises(NotAuthorisedError):
        strict.review.decide(strict.ben, case_id, ALLOWED)


def test_undo_ends_a_hold(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    strict.review.decide(strict.ann, case_id, CONFIRMED)
    strict.review.hold(strict.ben, case_id, "later", strict.clock.at + timedelta(hours=1))
    strict.undo(strict.ann, case_id)
    case = strict.review.case(strict.ann, case_id)
    assert (case.state, case.hold_until) == (CaseState.OPEN, None)


def test_undo_names_the_decision_that_was_seen(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    seen = strict.review.decide(strict.ann, case_id, CONFIRMED).event_count
    strict.review.decide(strict.ben, case_id, ALLOWED)
    for user in (strict.ann, strict.lea):
        with pytest.raises(ConflictError, match="not the last one"):
            strict.review.undo(user, case_id, seen)
    assert strict.review.case(strict.ann, case_id).awaits is Awaits.LEAD


def decided_facts(world: ReviewWorld, user: User, case_id: str) -> list[dict[str, object]]:
    """What a person is told of decisions."""
    told = world.review.events(user, case_id)
    return [dict(event.facts) for event in told if event.kind is EventKind.DECIDED]


def test_escalating_unseals_no_first_decision(strict: ReviewWorld) -> None:
    case_id = strict.open_case()
    strict.review.decide(strict.ann, case_id, CONFIRMED)
    strict.review.escalate(strict.ben, case_id, "known to me")
    for user in (strict.ben, strict.lea):
        assert decided_facts(strict, user, case_id) == [{"sealed": True}]
        standing = strict.review.standing(user, case_id)
        assert (standing.has_sealed, standing.given, standing.is_split) == (True, (), False)
    with pytest.raises(ConflictError, match="the decision is sealed"):
        strict.undo(strict.lea, case_id)
    assert strict.review.plan(strict.lea, [case_id], ALLOWED).refused == ((case_id, Refusal.SEALED),)
    assert strict.review.decide(strict.lea, case_id, ALLOWED).awaits is Awaits.LEAD
    assert [facts["kind"] for facts in decided_facts(strict, strict.ben, case_id)] == ["confirmed", "allowed"]
    assert strict.review.standing(strict.ben, case_id).is_split


def test_nothing_tells_a_sealed_decision_by_what_came_before_or_after_it(strict: ReviewWorld) -> None:
    if "plain" not in {bank.name for bank in strict.store.banks()}:
        strict.bank("plain", Purpose.BENIGN)
    case_id = strict.open_case()
    strict.review.decide(strict.ann, case_id, NOT_A_MATCH)
    strict.review.make_benign(strict.ann, case_id, "plain")
    strict.undo(strict.ann, case_id)
    strict.review.decide(strict.ann, case_id, CANNOT_TELL)
    strict.review.reopen(strict.ann, case_id, "another look")
    strict.review.decide(strict.ann, case_id, CONFIRMED)
    assert {event.kind for event in strict.review.events(strict.ann, case_id)} >= case_rules.AFTERMATH - {
        EventKind.ACTED,
        EventKind.DISPUTED,
    }
    assert strict.review.actions(strict.ann, case_id) != []
    assert strict.review.standing(strict.ann, case_id).actions != {}
    assert strict.review.actions(strict.ben, case_id) == []
    assert strict.review.standing(strict.ben, case_id).actions == {}
    assert decided_facts(strict, strict.ben, case_id) == [{"sealed": True}] * 3
    whole = strict.store.case_events.events(case_id)
    for told in (strict.review.events(strict.ben, case_id), strict.review.page_of_events(case_id, limit=1000)):
        assert [event.seq for event in told] == [e.seq for e in whole if e.kind not in case_rules.AFTERMATH]
        [undone] = [event for event in told if event.kind is EventKind.UNDONE]
        [reopened] = [event for event in told if event.kind is EventKind.REOPENED]
        assert (dict(undone.facts), dict(reopened.facts)) == ({}, {"reason": "another look"})
    assert strict.review.page_of_events(case_id, limit=2)[-1].seq == 2
    strict.review.decide(strict.ben, case_id, CONFIRMED)
    assert strict.review.page_of_events(case_id, limit=1000)[:-2] == whole
    assert strict.review.events(strict.lea, case_id)[:-2] == whole


def test_a_lead_may_undo_and_nobody_after_the_time(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.decide(world.ann, case_id, CONFIRMED)
    world.undo(world.lea, case_id)
    world.review.decide(world.ann, case_id, CONFIRMED)
    world.clock.move(minutes=5)
    with pytest.raises(ConflictError, match="could be undone until") as raised:
        world.undo(world.ann, case_id)
    assert "Reopen" in raised.value.hint
    with pytest.raises(NotAuthorisedError):
        world.review.reopen(world.ben, case_id, "no")
    world.review.reopen(world.ann, case_id, "new facts")
    case = world.review.case(world.ann, case_id)
    assert (case.state, case.awaits, case.decision) == (CaseState.OPEN, Awaits.FIRST, None)


def test_a_note_is_left_by_whoever_may_decide(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.claim(world.ann, case_id)
    world.review.note(world.ben, case_id, " I know this one ")
    last = world.review.events(world.ann, case_id)[-1]
    assert (last.kind, last.actor, dict(last.facts)) == (EventKind.NOTED, world.ben.actor, {"text": "I know this one"})
    assert world.review.case(world.ann, case_id).holder_id == world.ann.id
    world.review.heartbeat(world.ann, case_id)
    with pytest.raises(InvalidValueError, match="note has 0"):
        world.review.note(world.ben, case_id, " ")
    for text in ("a\0b", "half \ud83d"):
        with pytest.raises(InvalidValueError, match="the note holds"):
            world.review.note(world.ben, case_id, text)
        with pytest.raises(InvalidValueError, match="the reason holds"):
            world.review.decide(world.ann, case_id, Decision(DecisionKind.ALLOWED, text))


def test_a_case_is_not_asked_for_by_what_no_database_can_keep(world: ReviewWorld) -> None:
    for step in (world.review.case, world.review.events, world.review.claim, world.review.standing):
        with pytest.raises(InvalidValueError, match="holds a NUL"):
            step(world.ann, "case_\0")


def test_people_see_the_cases_of_their_banks_and_of_these_only_their_matches(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.bank("other")
    other = world.store.bank("other")
    for user in (
        person(world.store, "far", bank_ids=[other.id]),
        person(world.store, "adm", Role.ADMIN),
        person(world.store, "cur", Role.CURATOR),
    ):
        for step in (world.review.case, world.review.events, world.review.items, world.review.claim):
            with pytest.raises(NotAuthorisedError):
                step(user, case_id)
    auditor = person(world.store, "aud", Role.AUDITOR)
    assert world.review.case(auditor, case_id).id == case_id
    with pytest.raises(NotAuthorisedError, match="decide cases"):
        world.review.claim(auditor, case_id)
    near = person(world.store, "near", bank_ids=[world.store.bank("known").id])
    assert world.review.decide(near, case_id, ALLOWED).state is CaseState.DECIDED
    with pytest.raises(NotFoundError):
        world.review.case(near, "case_0")


def test_every_step_stands_in_the_audit_log(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.claim(world.ann, case_id)
    world.review.decide(world.ann, case_id, CONFIRMED)
    world.undo(world.ann, case_id)
    told = world.store.audit.page(subject=f"case:{case_id}")
    assert [row.kind for row in told] == ["case.undone", "case.decided", "case.claimed"]
    assert {row.actor for row in told} == {world.ann.actor}
