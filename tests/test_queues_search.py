"""Searching cases by any of their names, and the page of an account, on real indexes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from baken.accounts import Role, User
from baken.cases import Case, CaseState, DecisionKind
from baken.errors import InvalidValueError, NotAuthorisedError, NotFoundError
from baken.model import Bank, Finding, Verdict
from baken.priorities import Weights
from baken.queues import Queues, SearchKind, SearchResult
from baken.queues_search import CaseSearch
from baken.store import case_search, schema
from case_world import make_banks, match_of, open_case, person, random_case, seeded, write_cases, write_item
from seen_world import NOW, World, code, flat, pdq_entry, picture, turned

ANN = person("ann", Role.REVIEWER)


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path / "data") as world:
        yield world


@pytest.fixture
def queues(world: World) -> Queues:
    return Queues(world.store, Weights(), CaseSearch(world.store, world.known, world.index), now=lambda: NOW)


@pytest.fixture
def banks(world: World) -> list[Bank]:
    return make_banks(world.store)


def new_case(world: World, banks: list[Bank], seed: int = 1, **values: object) -> Case:
    """A case that is written down, of these banks."""
    case = open_case(random_case(seeded(seed), banks, [ANN]), bank_ids=tuple(bank.id for bank in banks), **values)
    write_cases(world.store, [case])
    return case


def led_to(result: SearchResult) -> dict[SearchKind, list[str]]:
    return {group.taken_for: [row.case.id for row in group.rows] for group in result.groups}


def test_a_text_is_looked_up_as_everything_that_it_may_be(world: World, queues: Queues, banks: list[Bank]):
    case = new_case(world, banks[:1])
    other = new_case(world, banks[:1], seed=2)
    write_item(world.store, case, "acc-1", screening_id="scr_01", item_ref="2026-11-05")
    write_item(world.store, other, "2026-11-05", screening_id="scr_02", item_ref="photo 7")
    dated = new_case(world, banks[:1], seed=3, opened_at=NOW.replace(day=5, hour=23))

    by_date = queues.search(ANN, " 2026-11-05 ")

    assert led_to(by_date)[SearchKind.ITEM] == [case.id]
    assert led_to(by_date)[SearchKind.ACCOUNT] == [other.id]
    assert dated.id in led_to(by_date)[SearchKind.DATE]
    assert by_date.account_ref == "2026-11-05"
    assert led_to(queues.search(ANN, case.id)) == {SearchKind.CASE: [case.id]}
    assert led_to(queues.search(ANN, "scr_02")) == {SearchKind.SCREENING: [other.id]}
    nothing = queues.search(ANN, "photo")
    assert (nothing.groups, nothing.account_ref) == ((), None)
    assert nothing.taken_for == (SearchKind.ITEM, SearchKind.ACCOUNT)


def test_a_fingerprint_finds_the_cases_of_seen_items_and_of_entries(world: World, queues: Queues, banks: list[Bank]):
    seen = world.see(picture(1, 3), "seen", "acc-1")
    world.run()
    [entry_id] = world.add(pdq_entry(code(1, 9)))
    world.run()
    [case] = world.store.cases.cases()
    plain = world.see(flat(5), "flat", "acc-2")
    world.run()
    of_flat = new_case(world, banks[:1])
    write_item(world.store, of_flat, "acc-2", screening_id=plain.id, matches=[match_of(banks[0], entry_id)])

    near = queues.search(ANN, code(1, 1).hex())
    turned_round = queues.search(ANN, turned(code(1)).hex().upper())

    assert case.id in led_to(near)[SearchKind.PDQ]
    assert case.id in led_to(turned_round)[SearchKind.PDQ]
    for kind, value in (("sha256", seen.fingerprints.sha256), ("sha1", seen.fingerprints.sha1)):
        assert led_to(queues.search(ANN, value.hex())) == {SearchKind(kind): [case.id]}
    assert led_to(queues.search(ANN, flat(5).md5.hex())) == {SearchKind.MD5: [of_flat.id]}
    assert queues.search(ANN, code(77).hex()).groups == ()
    assert set(queues.search(ANN, code(77).hex()).taken_for) >= {SearchKind.PDQ, SearchKind.SHA256}


def test_nothing_is_found_beyond_a_persons_banks(world: World, queues: Queues, banks: list[Bank]):
    case = new_case(world, banks[:1])
    write_item(world.store, case, "acc-1", screening_id="scr_01", item_ref="photo 7")
    elsewhere = person("cat", Role.REVIEWER, bank_ids=[banks[2].id])

    for text in (case.id, "photo 7", "acc-1", "scr_01"):
        assert queues.search(elsewhere, text).groups == ()
    with pytest.raises(NotFoundError, match="nothing is known"):
        queues.account(elsewhere, "acc-1")
    assert queues.search(elsewhere, "acc-1").account_ref is None
    for role in (Role.ADMIN, Role.CURATOR):
        with pytest.raises(NotAuthorisedError):
            queues.search(person("dan", role), case.id)
        with pytest.raises(NotAuthorisedError):
            queues.account(person("dan", role), "acc-1")


@pytest.mark.parametrize("text", ["", "  ", "x" * 501, "a\0b"])
def test_a_search_for_nothing_is_refused(queues: Queues, text: str):
    with pytest.raises(InvalidValueError, match="a search has"):
        queues.search(ANN, text)


def test_a_day_that_is_none_is_no_date(queues: Queues):
    for text in ("2026-02-30", "9999-12-31"):
        assert SearchKind.DATE not in queues.search(ANN, text).taken_for


def test_many_cases_of_one_reference_are_cut_to_the_newest(world: World, queues: Queues, banks: list[Bank]):
    cases = [open_case(random_case(seeded(seed), banks, [ANN])) for seed in range(55)]
    write_cases(world.store, cases)
    for number, case in enumerate(cases):
        write_item(world.store, case, "acc-1", screening_id=f"scr_{number}")

    [group] = queues.search(ANN, "acc-1").groups

    assert [row.case.id for row in group.rows] == sorted((case.id for case in cases), reverse=True)[:50]
    assert group.is_cut
    page = queues.account(ANN, "acc-1")
    assert (len(page.cases), page.are_cases_cut) == (25, True)


def test_a_name_of_more_items_than_are_asked_says_that_there_may_be_more_cases(
    world: World, queues: Queues, banks: list[Bank], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(case_search, "_MAX_ITEMS", 3)
    case = new_case(world, banks[:1])
    for number in range(3):
        write_item(world.store, case, "acc-1", screening_id=f"scr_{number}")
    assert [group.is_cut for group in queues.search(ANN, "acc-1").groups] == [False]

    write_item(world.store, case, "acc-1", screening_id="scr_3")

    assert [(len(group.rows), group.is_cut) for group in queues.search(ANN, "acc-1").groups] == [(1, True)]
    page = queues.account(ANN, "acc-1")
    assert (len(page.cases), page.are_cases_cut, page.is_linked_cut) == (1, True, True)


def test_a_picture_of_more_cases_than_are_looked_at_says_so(
    world: World, queues: Queues, banks: list[Bank], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(case_search, "_MAX_CASES", 2)
    [entry_id] = world.add(pdq_entry(code(1)))
    world.run()
    cases = [new_case(world, banks[:1], seed=seed) for seed in range(3)]
    rows = [{"case_id": case.id, "entry_id": entry_id} for case in cases]
    with world.store.queues._database.write() as connection:
        connection.execute(insert(schema.case_entries), rows)

    [group] = queues.search(ANN, code(1).hex()).groups

    assert ([row.case.id for row in group.rows], group.is_cut) == (
        sorted((case.id for case in cases), reverse=True)[:2],
        True,
    )


# Accounts


def test_an_account_shows_what_was_screened_of_it_with_its_cases(world: World, queues: Queues, banks: list[Bank]):
    screenings = []
    for number in range(7):
        screenings.append(world.see(picture(number), f"item {number}", "acc-1"))
        time.sleep(0.002)  # ids sort by the millisecond
        world.clock.move(hours=1)
    world.see(picture(50), "another", "acc-2")
    world.run()
    case = new_case(world, banks[:1])
    write_item(
        world.store, case, "acc-1", screening_id=screenings[2].id, item_ref="item 2", seen_at=NOW + timedelta(hours=2)
    )
    write_item(
        world.store, case, "acc-1", screening_id="scr_00", item_ref="forgotten", seen_at=NOW - timedelta(days=200)
    )

    first = queues.account(ANN, "acc-1", limit=5)
    second = queues.account(ANN, "acc-1", first.next_cursor, limit=5)

    shown = [*first.screenings, *second.screenings]
    assert [each.item_ref for each in shown] == [*(f"item {number}" for number in range(6, -1, -1)), "forgotten"]
    assert [each.case_ids for each in shown] == [(), (), (), (), (case.id,), (), (), (case.id,)]
    assert [each.verdict for each in shown] == [Verdict.ALLOW] * 7 + [None]
    assert (first.screening_count, first.is_screening_count_exact, second.next_cursor) == (8, True, None)
    assert (first.first_seen_at, first.last_seen_at) == (NOW - timedelta(days=200), NOW + timedelta(hours=6))


def test_a_match_of_another_bank_is_not_told_from_nothing(world: World, queues: Queues, banks: list[Bank]):
    mine, theirs = banks[2], banks[0]
    world.add(pdq_entry(code(1)), pdq_entry(code(3)), bank=mine.name)
    world.add(pdq_entry(code(2)), pdq_entry(code(3)), bank=theirs.name)
    for number in range(4):
        world.see(picture(number), f"item {number}", "acc-1")
    world.run()
    cat = person("cat", Role.REVIEWER, bank_ids=[mine.id])

    def told(user: User) -> list[tuple[Finding | None, Verdict | None]]:
        screenings = sorted(queues.account(user, "acc-1").screenings, key=lambda each: each.item_ref or "")
        return [(each.finding, each.verdict) for each in screenings]

    matched = Finding.MATCHED
    assert told(ANN) == [
        (Finding.CLEAR, Verdict.ALLOW),
        (matched, Verdict.HOLD),
        (matched, Verdict.BLOCK),
        (matched, Verdict.BLOCK),
    ]
    assert told(cat) == [(None, None), (matched, Verdict.HOLD), (None, None), (matched, Verdict.HOLD)]


def test_accounts_are_linked_by_the_cases_that_they_share(world: World, queues: Queues, banks: list[Bank]):
    decided = new_case(
        world, banks[:1], state=CaseState.DECIDED, decision=DecisionKind.CONFIRMED, decided_at=NOW, decided_by=ANN.actor
    )
    cases = [decided, new_case(world, banks[:1], seed=2), new_case(world, banks[:1], seed=3)]
    members = [["acc-1", "acc-2"], ["acc-1", "acc-2", "acc-3", None], ["acc-4"]]
    for case, accounts in zip(cases, members, strict=True):
        for account in accounts:
            write_item(world.store, case, account, screening_id=f"scr_{account}")

    page = queues.account(ANN, "acc-1")

    assert [(each.account_ref, each.shared_case_count) for each in page.linked] == [("acc-2", 2), ("acc-3", 1)]
    assert not page.is_linked_cut
    assert {row.case.id for row in page.cases} == {case.id for case in cases[:2]}
    assert page.decided_count == 1


def test_a_crowd_of_linked_accounts_is_cut_and_says_so(world: World, queues: Queues, banks: list[Bank]):
    case = new_case(world, banks[:1])
    for number in range(120):
        write_item(world.store, case, f"acc-{number:03}", screening_id=f"scr_{number:03}")

    page = queues.account(ANN, "acc-000")

    assert (len(page.linked), page.is_linked_cut) == (100, True)


def test_an_account_that_never_was_is_not_found(queues: Queues):
    for ref in ("nobody", "a\0b"):
        with pytest.raises(NotFoundError, match="nothing is known"):
            queues.account(ANN, ref)
    with pytest.raises(InvalidValueError, match="cursor"):
        queues.account(ANN, "nobody", "\0")
