"""The timeline of a case: everything in one order, what joined put together, and nothing that must not be known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from baken.accounts import Role, User
from baken.cases import Case, EventKind, Level
from baken.errors import NotFoundError
from baken.priorities import Weights
from baken.queues import Queues
from baken.queues_search import CaseSearch
from baken.store import schema
from case_world import make_banks, open_case, person, random_case, seeded, write_cases
from seen_world import NOW, World

ANN, BEN = person("ann", Role.REVIEWER), person("ben", Role.REVIEWER)
LEAD = person("lea", Role.LEAD)


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path / "data") as world:
        yield world


@pytest.fixture
def queues(world: World) -> Queues:
    return Queues(world.store, Weights(), CaseSearch(world.store, world.known, world.index), now=lambda: NOW)


@pytest.fixture
def case(world: World) -> Case:
    """A case on which Ann decided, and which awaits a second person."""
    banks = make_banks(world.store)[:1]
    case = open_case(random_case(seeded(1), banks, [ANN]), event_count=6)
    write_cases(world.store, [case])
    joined = {"items": 2, "accounts": 1, "origin": "screening"}
    decided = {"kind": "confirmed", "category": None, "reason": "seen before", "awaits": "second", "undo_until": None}
    happened = [
        ("opened", "baken", {}),
        ("joined", "baken", joined),
        ("joined", "baken", joined),
        ("claimed", ANN.actor, {}),
        ("decided", ANN.actor, decided),
        ("joined", "baken", {**joined, "origin": "retroactive"}),
    ]
    rows = [
        {
            "case_id": case.id,
            "seq": seq,
            "at": NOW + timedelta(minutes=seq),
            "kind": kind,
            "actor": actor,
            "facts": facts,
        }
        for seq, (kind, actor, facts) in enumerate(happened, start=1)
    ]
    with world.store.queues._database.write() as connection:
        connection.execute(insert(schema.case_events), rows)
    return case


def reveal(world: World, case: Case, user: User, minutes: float) -> None:
    """Write down that somebody looked."""
    world.store.people.create(user, password_hash=None, actor="test")
    row = {"user_id": user.id, "case_id": case.id, "screening_id": "scr_1", "level": Level.PREVIEW.value}
    row |= {"purpose": case.purpose.value, "shown_at": NOW + timedelta(minutes=minutes)}
    with world.store.queues._database.write() as connection:
        connection.execute(insert(schema.reveals).values(row))


def test_everything_stands_in_one_order_and_what_joined_in_a_row_is_one_thing(world: World, queues: Queues, case: Case):
    reveal(world, case, ANN, 4.5)
    reveal(world, case, BEN, 4.6)

    told = queues.timeline(ANN, case.id)

    assert [each.what for each in told] == [
        EventKind.OPENED,
        EventKind.JOINED,
        EventKind.CLAIMED,
        None,
        EventKind.DECIDED,
        EventKind.JOINED,
    ]
    joined = told[1]
    assert (joined.count, joined.facts["items"], joined.facts["accounts"]) == (2, 4, 2)
    assert (joined.at, joined.last_at) == (NOW + timedelta(minutes=2), NOW + timedelta(minutes=3))
    assert [each.actor for each in told if each.what is None] == [ANN.actor]
    seen_by_lead = [each.actor for each in queues.timeline(LEAD, case.id) if each.what is None]
    assert seen_by_lead == [ANN.actor, BEN.actor]


def test_a_first_decision_is_sealed_for_who_may_give_the_second(queues: Queues, case: Case):
    [by_ann] = [each for each in queues.timeline(ANN, case.id) if each.what is EventKind.DECIDED]
    [by_ben] = [each for each in queues.timeline(BEN, case.id) if each.what is EventKind.DECIDED]

    assert by_ann.facts["reason"] == "seen before"
    assert by_ben.facts == {"sealed": True}


def test_a_case_beyond_a_persons_banks_has_no_timeline(queues: Queues, case: Case):
    elsewhere = person("cat", Role.REVIEWER, bank_ids=[999])

    for user, case_id in ((elsewhere, case.id), (ANN, "case_none")):
        with pytest.raises(NotFoundError):
            queues.timeline(user, case_id)
