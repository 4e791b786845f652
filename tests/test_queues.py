"""Queues of cases: what SQL finds is what plain Python finds, page by page, for people with all banks and with some."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import pytest
from sqlalchemy import delete, insert

from baken.accounts import Role, User
from baken.cases import Awaits, Case, CaseState, DecisionKind, Signal
from baken.cases_query import CaseSort, QueueQuery
from baken.errors import ConflictError, InvalidValueError, NotAuthorisedError, NotFoundError
from baken.known import KnownFollower
from baken.model import Bank, Purpose, Visibility
from baken.priorities import FactorName, Weights, points_of, rank_of
from baken.queues import Queues
from baken.queues_ranking import CaseRanker
from baken.queues_search import CaseSearch
from baken.seen_index import SeenIndex
from baken.store import Store, schema
from case_world import (
    NOW,
    change,
    keep_person,
    make_banks,
    open_case,
    person,
    random_case,
    seeded,
    write_cases,
    write_item,
)

ANN, BEN = person("ann", Role.REVIEWER), person("ben", Role.REVIEWER)


@pytest.fixture
def queues(store: Store, tmp_path: Path) -> Iterator[Queues]:
    with closing(KnownFollower(store)) as known, closing(SeenIndex(store, tmp_path / "seen")) as seen:
        yield Queues(store, Weights(), CaseSearch(store, known, seen), now=lambda: NOW)


def wanted(case: Case, query: QueueQuery, user: User, banks: list[Bank]) -> bool:
    """Whether a query asks for a case, by the words of `QueueQuery` alone."""
    state = case.state_at(NOW)
    names = {bank.name for bank in banks if bank.id in case.bank_ids}
    conditions = [
        user.bank_ids is None or bool(user.bank_ids & set(case.bank_ids)),
        state in (query.states or (CaseState.OPEN, CaseState.CLAIMED)),
        not query.purposes or case.purpose in query.purposes,
        query.bank is None or query.bank in names,
        not query.visibility or case.widest_visibility in query.visibility,
        query.min_items is None or case.item_count >= query.min_items,
        query.min_accounts is None or case.account_count >= query.min_accounts,
        query.opened_after is None or case.opened_at >= query.opened_after,
        query.opened_before is None or case.opened_at < query.opened_before,
        query.awaits is None or case.awaits is query.awaits,
        case.is_escalated or not query.escalated,
    ]
    has_lease = case.lease_until is not None and case.lease_until > NOW
    if query.mine:
        conditions.append(case.assignee_id == user.id or (has_lease and case.holder_id == user.id))
    if query.unclaimed:
        conditions.append(not has_lease and case.assignee_id in {None, user.id})
    return all(conditions)


ORDERS: dict[CaseSort, Callable[[list[Case]], list[Case]]] = {
    CaseSort.PRIORITY: lambda cases: sorted(cases, key=lambda case: (-case.rank, case.id)),
    CaseSort.NEWEST: lambda cases: sorted(cases, key=lambda case: (case.opened_at, case.id), reverse=True),
    CaseSort.OLDEST: lambda cases: sorted(cases, key=lambda case: (case.opened_at, case.id)),
    CaseSort.DECIDED: lambda cases: sorted(cases, key=lambda case: (case.decided_at, case.id), reverse=True),
}


def some(kind: type[StrEnum], generator: random.Random) -> tuple[StrEnum, ...]:
    """A few of the words of a kind, in its order."""
    chosen = generator.sample(list(kind), generator.randint(1, 3))
    return tuple(word for word in kind if word in chosen)


def random_query(generator: random.Random) -> QueueQuery:
    """A query of a few of the things that can be asked."""
    asked: dict[str, object] = {
        "states": some(CaseState, generator),
        "purposes": some(Purpose, generator),
        "bank": generator.choice(("known", "families", "nowhere")),
        "mine": True,
        "unclaimed": True,
        "visibility": some(Visibility, generator),
        "min_items": generator.choice((2, 8)),
        "min_accounts": 2,
        "opened_after": NOW - timedelta(days=generator.randrange(40)),
        "opened_before": NOW - timedelta(days=generator.randrange(40)),
        "awaits": generator.choice(list(Awaits)),
        "escalated": True,
        "sort": generator.choice((CaseSort.PRIORITY, CaseSort.NEWEST, CaseSort.OLDEST)),
    }
    names = generator.sample(sorted(asked), generator.randint(0, 3))
    return QueueQuery(**{name: asked[name] for name in names})  # type: ignore[arg-type]


def walked(queues: Queues, user: User, query: QueueQuery, limit: int) -> list[Case]:
    """Every case of a query, page after page."""
    found: list[Case] = []
    cursor = None
    while True:
        page = queues.page(user, query, cursor, limit)
        assert len(page.rows) <= limit
        found += [row.case for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_every_query_finds_what_plain_python_finds_in_the_same_order(store: Store, queues: Queues):
    generator = seeded(11)
    banks = make_banks(store)
    cases = [random_case(generator, banks, [ANN, BEN]) for _ in range(250)]
    write_cases(store, cases)
    some_banks = person("cat", Role.LEAD, bank_ids=[banks[1].id, banks[2].id])
    queries = [random_query(generator) for _ in range(40)]
    queries += [QueueQuery(), QueueQuery(states=(CaseState.DECIDED,)), QueueQuery(states=tuple(CaseState))]

    sizes = set()
    for query in queries:
        user = generator.choice((ANN, BEN, some_banks))
        expected = ORDERS[query.order]([case for case in cases if wanted(case, query, user, banks)])

        assert [case.id for case in walked(queues, user, query, generator.choice((11, 50, 200)))] == [
            case.id for case in expected
        ], (query, user.name)
        assert queues.page(user, query, None, 3).total_open == len(expected)
        sizes.add(len(expected))
    assert len(sizes) > 20, "the queries tell nothing apart"


def test_the_cases_before_and_after_one_are_those_beside_it_in_its_queue(store: Store, queues: Queues):
    generator, banks = seeded(6), make_banks(store)
    cases = [random_case(generator, banks, [ANN, BEN]) for _ in range(60)]
    write_cases(store, cases)
    user = replace(ANN, bank_ids=frozenset({banks[0].id, banks[1].id}))
    every, decided = tuple(CaseState), (CaseState.DECIDED,)
    queries = [QueueQuery(states=every, sort=sort) for sort in CaseSort if sort is not CaseSort.DECIDED]
    queries += [QueueQuery(), QueueQuery(sort=CaseSort.OLDEST), QueueQuery(states=decided), QueueQuery(mine=True)]

    for query in queries:
        free = query if query.states or query.mine else replace(query, unclaimed=True)
        listed = walked(queues, user, free, 50)
        assert listed
        ids = [None, *(case.id for case in listed), None]
        for before, case, after in zip(ids, listed, ids[2:], strict=False):
            assert queues.neighbours(user, query, case) == (before, after), query
    assert queues.neighbours(user, QueueQuery(states=decided), open_case(cases[0])) == (None, None)


def test_a_row_says_its_points_and_only_the_banks_within_reach(store: Store, queues: Queues):
    banks = make_banks(store)
    case = random_case(seeded(1), banks, [ANN])
    case = open_case(case, bank_ids=(banks[0].id, banks[2].id))
    write_cases(store, [case])

    [mine] = queues.page(person("cat", Role.REVIEWER, bank_ids=[banks[2].id]), QueueQuery()).rows
    [whole] = queues.page(ANN, QueueQuery()).rows

    assert mine.case.bank_ids == (banks[2].id,)
    assert whole.case.bank_ids == (banks[0].id, banks[2].id)
    assert whole.points == points_of(case, Weights(), NOW)


def test_only_people_who_see_cases_have_a_queue(queues: Queues):
    for role in (Role.ADMIN, Role.CURATOR):
        with pytest.raises(NotAuthorisedError):
            queues.page(person("dan", role), QueueQuery())
    assert queues.page(person("eve", Role.AUDITOR), QueueQuery()).rows == ()


def test_a_page_stays_right_when_cases_before_it_are_decided_meanwhile(store: Store, queues: Queues):
    generator = seeded(3)
    banks = make_banks(store)
    cases = [open_case(random_case(generator, banks, [ANN])) for _ in range(30)]
    write_cases(store, cases)
    first = queues.page(ANN, QueueQuery(), None, 10)

    for row in first.rows:
        change(store, row.case, state=CaseState.DECIDED.value)
    second = queues.page(ANN, QueueQuery(), first.next_cursor, 20)

    ordered = [case.id for case in ORDERS[CaseSort.PRIORITY](cases)]
    assert [row.case.id for row in second.rows] == ordered[10:]


@pytest.mark.parametrize("cursor", ["", "x", "nan~case_1", "1.5~case_\0", "0x1p+99999~case_1"])
def test_a_cursor_that_no_page_gave_is_refused(queues: Queues, cursor: str):
    with pytest.raises(InvalidValueError, match="cursor"):
        queues.page(ANN, QueueQuery(), cursor)


@pytest.mark.parametrize("time", ["soon", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:00-14:00"])
def test_a_cursor_of_a_time_that_is_none_is_refused(queues: Queues, time: str):
    with pytest.raises(InvalidValueError, match="cursor"):
        queues.page(ANN, QueueQuery(sort=CaseSort.NEWEST), f"{time}~case_1")


def test_a_query_is_read_back_from_its_own_text():
    generator = seeded(7)
    for query in [random_query(generator) for _ in range(50)]:
        assert QueueQuery.parse(query.format()) == query
    assert QueueQuery().format() == ""
    given = QueueQuery.parse(
        "state=open&state=on_hold&bank=&min_items=10&opened_after=2026-01-31&page=2", besides=["page"]
    )
    assert given == QueueQuery(
        states=(CaseState.OPEN, CaseState.ON_HOLD),
        min_items=10,
        opened_after=datetime.fromisoformat("2026-01-31T00:00:00+00:00"),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour=red", "knows no 'colour'"),
        ("state=lost", "state is 'lost'"),
        ("min_items=0", "min_items"),
        ("min_items=1e3", "min_items"),
        ("mine=yes", "expected 1 or 0"),
        ("awaits=first&awaits=lead", "2 times"),
        ("opened_after=2026-01-31T10:00", "a time with a zone"),
        ("opened_after=soon", "a time with a zone"),
        ("opened_after=0001-01-01T00:00:00%2B14:00", "of the years 1 to 9999 in UTC"),
        ("opened_before=9999-12-31T23:00:00-14:00", "of the years 1 to 9999 in UTC"),
        ("sort=decided", "sort=decided needs"),
        ("bank=" + "x" * 3000, "characters"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_with_what_was_expected(text: str, complaint: str):
    with pytest.raises(InvalidValueError, match=complaint):
        QueueQuery.parse(text)


# Saved views


def test_views_are_each_persons_own_and_replaced_by_name(store: Store, queues: Queues):
    ann, ben = keep_person(store, ANN), keep_person(store, BEN)
    query = QueueQuery(awaits=Awaits.SECOND)

    view = queues.save_view(ann, "  Second   decisions ", query)
    queues.save_view(ann, "all", QueueQuery())
    queues.save_view(ben, "Second decisions", QueueQuery())
    again = queues.save_view(ann, "Second decisions", QueueQuery(mine=True))

    assert (view.name, QueueQuery.parse(view.query)) == ("Second decisions", query)
    assert [(each.name, each.query) for each in queues.saved_views(ann)] == [
        ("all", ""),
        ("Second decisions", "mine=1"),
    ]
    assert again.id == view.id
    with pytest.raises(NotFoundError):
        queues.drop_view(ben, view.id)
    queues.drop_view(ann, view.id)
    assert [each.name for each in queues.saved_views(ann)] == ["all"]


def test_nobody_keeps_more_views_than_a_list_can_show(store: Store, queues: Queues):
    ann = keep_person(store, ANN)
    for number in range(50):
        queues.save_view(ann, f"view {number}", QueueQuery())

    with pytest.raises(ConflictError, match="50 views"):
        queues.save_view(ann, "one more", QueueQuery())
    assert queues.save_view(ann, "view 7", QueueQuery(mine=True)).query == "mine=1"


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x07b", "a\u202eb"])
def test_a_view_needs_a_name_that_can_be_read(queues: Queues, name: str):
    with pytest.raises(InvalidValueError, match="of a view"):
        queues.save_view(ANN, name, QueueQuery())


# Ranks


@pytest.fixture
def ranker(store: Store) -> Iterator[CaseRanker]:
    ranker = CaseRanker(store, Weights())
    ranker.run()
    yield ranker
    assert not ranker.has_work()


def test_a_changed_case_is_ranked_by_what_its_items_come_to(store: Store, ranker: CaseRanker):
    banks = make_banks(store)
    case = open_case(random_case(seeded(2), banks, [ANN]), item_count=2, account_count=2, signals=())
    write_cases(store, [case])
    write_item(store, case, "acc-1", screening_id="scr_1", album_ref="a", visibility=Visibility.LOCKED)
    write_item(store, case, "acc-2", screening_id="scr_2", album_ref="b", visibility=Visibility.SHARED)
    assert not ranker.has_work()

    change(store, case)
    assert ranker.has_work()
    assert ranker.run() == 1

    ranked = store.cases.case(case.id)
    assert ranked.widest_visibility is Visibility.SHARED
    assert ranked.signals == (Signal("further_albums", 1),)
    assert ranked.rank == rank_of(ranked, Weights())
    assert ranker.run() == 0


def test_a_confirmed_case_raises_the_others_of_its_accounts_until_it_is_undone(store: Store, ranker: CaseRanker):
    banks = make_banks(store)
    generator = seeded(2)
    first, second, third = cases = [
        open_case(random_case(generator, banks, [ANN]), signals=(), updated_at=NOW) for _ in range(3)
    ]
    write_cases(store, cases)
    for number, (case, account) in enumerate(
        ((first, "acc-1"), (second, "acc-1"), (second, "acc-2"), (third, "acc-3"))
    ):
        write_item(store, case, account, screening_id=f"scr_{number}")

    change(store, first, state=CaseState.DECIDED.value, decision=DecisionKind.CONFIRMED.value)
    assert ranker.run() == 2

    assert store.cases.case(second.id).signals == (Signal("repeat_account", 1),)
    assert store.cases.case(third.id).signals == store.cases.case(first.id).signals == ()
    _tell_decided(store, first)
    change(store, first, state=CaseState.OPEN.value, decision=None, updated_at=NOW + timedelta(hours=1))
    ranker.run()
    assert store.cases.case(second.id).signals == ()


def test_a_dry_run_says_which_cases_would_change_places_and_why(store: Store, queues: Queues):
    generator = seeded(9)
    banks = make_banks(store)
    cases = [open_case(random_case(generator, banks, [ANN])) for _ in range(60)]
    write_cases(store, cases)
    other = Weights.parse("per_day=1,public=90")

    run = queues.dry_run(other, places=10)

    old, new = (
        [case.id for case in sorted(cases, key=lambda case: (-points_of(case, weights, NOW).total, case.id))]
        for weights in (Weights(), other)
    )
    expected = {
        case_id: (old.index(case_id) + 1, new.index(case_id) + 1)
        for case_id in new
        if old.index(case_id) != new.index(case_id) and min(old.index(case_id), new.index(case_id)) < 10
    }
    assert {each.case.id: (each.place_before, each.place_after) for each in run.changes} == expected
    assert [each.place_after for each in run.changes] == sorted(each.place_after for each in run.changes)
    assert {name for each in run.changes for name, _ in each.reasons} == {FactorName.AGE, FactorName.VISIBILITY}
    assert (run.case_count, run.is_cut) == (60, False)
    assert queues.dry_run(Weights()).changes == ()


@pytest.mark.usefixtures("ranker")
def test_other_weights_rank_every_undecided_case_anew(store: Store):
    generator = seeded(4)
    cases = [random_case(generator, make_banks(store) if not number else store.banks(), [ANN]) for number in range(40)]
    write_cases(store, cases)
    other = Weights.parse("per_day=1,known_abuse=7")
    undecided = [case for case in cases if case.state is not CaseState.DECIDED]

    assert CaseRanker(store, other).run() == len(undecided)
    assert CaseRanker(store, other).run() == 0

    for case in undecided:
        ranked = store.cases.case(case.id)
        assert ranked.rank == rank_of(ranked, other)
    assert CaseRanker(store, Weights()).run() == len(undecided)


def _tell_decided(store: Store, case: Case) -> None:
    row = {"case_id": case.id, "seq": 2, "at": NOW, "kind": "decided", "actor": "user:usr_ann", "facts": {}}
    with store.queues._database.write() as connection:
        connection.execute(insert(schema.case_events).values(row))


def test_processes_that_start_at_once_keep_one_set_of_weights(store: Store, monkeypatch: pytest.MonkeyPatch):
    count = 4
    start = threading.Barrier(count)
    monkeypatch.setattr(store.case_ranks, "mark_all", start.wait)
    for _ in range(5):
        with store.queues._database.write() as connection:
            connection.execute(delete(schema.case_ranking))
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(store.case_ranks.set_weights, [f"weights {number}" for number in range(count)]))
        assert store.case_ranks.weights() in {f"weights {number}" for number in range(count)}
