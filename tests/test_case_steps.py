"""The steps that a case's page offers are those that review takes: each is tried, offered or not, on long walks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from baken.accounts import Role, User
from baken.case_steps import CaseStep
from baken.cases import CaseState, Decision
from baken.errors import ConflictError, NotAuthorisedError
from baken.model import Purpose
from baken.review import Review
from case_world import seeded
from review_world import ALLOWED, CONFIRMED, NOT_A_MATCH, ReviewWorld, person

Take = Callable[[Review, User, str, ReviewWorld], object]

TAKE: dict[CaseStep, Take] = {
    CaseStep.CLAIM: lambda review, user, case, _: review.claim(user, case),
    CaseStep.RELEASE: lambda review, user, case, _: review.release(user, case),
    CaseStep.HOLD: lambda review, user, case, world: review.hold(user, case, "x", world.clock.at + timedelta(hours=1)),
    CaseStep.RESUME: lambda review, user, case, _: review.resume(user, case),
    CaseStep.NOTE: lambda review, user, case, _: review.note(user, case, "x"),
    CaseStep.ESCALATE: lambda review, user, case, _: review.escalate(user, case, "x"),
    CaseStep.REASSIGN: lambda review, user, case, _: review.reassign(user, case, None, "x"),
    CaseStep.ASK_SECOND: lambda review, user, case, _: review.ask_second(user, case, "x"),
    CaseStep.UNDO: lambda _, user, case, world: world.undo(user, case),
    CaseStep.REOPEN: lambda review, user, case, _: review.reopen(user, case, "x"),
    CaseStep.MAKE_BENIGN: lambda review, user, case, _: review.make_benign(user, case, "harmless"),
    CaseStep.DISPUTE: lambda review, user, case, _: review.dispute(
        user, case, review.case(user, case).entries[0][1], "x"
    ),
}
DECISIONS = (CONFIRMED, ALLOWED, NOT_A_MATCH)


def deciding(decision: Decision) -> Take:
    """Gives a decision."""
    return lambda review, user, case, _: review.decide(user, case, decision)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewWorld]:
    folder: Path = tmp_path_factory.mktemp("steps")
    with ReviewWorld(f"sqlite:///{folder / 'baken.sqlite3'}", folder) as made:
        made.two_person(Purpose.KNOWN_ABUSE)
        made.bank("harmless", Purpose.BENIGN)
        yield made


def test_what_is_offered_succeeds_and_what_is_not_is_refused(world: ReviewWorld) -> None:
    chance = seeded(29)
    people = [world.ann, world.ben, world.lea, world.lou, person(world.store, "otto", Role.AUDITOR)]
    cases = [world.open_case() for _ in range(5)]
    seen: Counter[tuple[CaseStep, bool]] = Counter()
    for _ in range(450):
        if chance.random() < 0.15:
            world.clock.at += timedelta(minutes=chance.choice((2, 6)))
        case_id, user = chance.choice(cases), chance.choice(people)
        standing = world.review.standing(user, case_id)
        step = chance.choice(sorted(standing.steps) if standing.steps and chance.random() < 0.6 else list(CaseStep))
        took = TAKE[step] if step is not CaseStep.DECIDE else deciding(chance.choice(DECISIONS))
        try:
            took(world.review, user, case_id, world)
            is_done = True
        except (ConflictError, NotAuthorisedError) as refused:
            is_done = "disputed already" in refused.message  # once is enough, and the page leaves the entry out
        assert is_done is (step in standing.steps), (step, user.name, standing)
        seen[step, is_done] += 1
    assert all(seen[step, True] for step in CaseStep), seen
    assert all(seen[step, False] for step in CaseStep if step is not CaseStep.NOTE), seen


def test_a_first_decision_is_kept_from_who_may_give_the_second(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.decide(world.ann, case_id, CONFIRMED)
    own, others = world.review.standing(world.ann, case_id), world.review.standing(world.lea, case_id)

    assert [event.facts["kind"] for event in own.given] == ["confirmed"]
    assert (own.has_sealed, CaseStep.UNDO in own.steps) == (False, True)
    assert (others.given, others.has_sealed, CaseStep.UNDO in others.steps) == ((), True, False)
    world.review.decide(world.lea, case_id, ALLOWED)
    assert len(world.review.standing(world.ben, case_id).given) == 2


def test_whose_claim_runs_and_whose_was_taken_over_is_told(world: ReviewWorld) -> None:
    case_id = world.open_case()
    world.review.claim(world.ann, case_id)
    mine = world.review.standing(world.ann, case_id)
    assert (mine.state, mine.is_mine, CaseStep.CLAIM in mine.steps) == (CaseState.CLAIMED, True, False)
    world.clock.at += timedelta(minutes=6)
    ended = world.review.standing(world.ann, case_id)
    assert (ended.state, ended.is_mine, ended.is_lost, CaseStep.CLAIM in ended.steps) == (
        CaseState.OPEN,
        False,
        False,
        True,
    )
    world.review.claim(world.ben, case_id)
    lost = world.review.standing(world.ann, case_id)
    assert (lost.is_mine, lost.is_lost) == (False, True)
    assert CaseStep.DECIDE not in lost.steps
