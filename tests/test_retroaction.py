"""What was seen before is found when an entry begins to count: every pair once, live or later, never neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from baken.cases import MatchOrigin
from baken.model import BankState, EntryState, Purpose
from seen_world import World, code, flat, pdq_entry, picture, sha256_entry, turned


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path / "index") as opened:
        yield opened


def test_an_entry_finds_the_item_that_was_seen_before_it(world: World):
    world.bank()
    seen, other = world.see(picture(1, 9), "upload-1", "account-1"), world.see(picture(2), "upload-2")
    [entry_id] = world.add(pdq_entry(code(1)))
    world.run()

    [case] = world.store.cases.cases()
    assert (case.item_count, case.account_count, case.purpose) == (1, 1, Purpose.KNOWN_ABUSE)
    assert case.entries == (("known", entry_id),)
    [item] = world.store.cases.items(case.id)
    assert (item.screening_id, item.item_ref, item.account_ref) == (seen.id, "upload-1", "account-1")
    assert item.origin is MatchOrigin.RETROACTIVE
    [match] = item.matches
    assert (match.entry_id, match.distance_bits, match.bank) == (entry_id, 9, "known")
    assert world.store.screening(seen.id).case_id == case.id
    assert world.store.screening(other.id).case_id is None


def test_every_orientation_of_a_seen_picture_is_found(world: World):
    world.bank(radius_bits=0)
    seen = picture(1)
    world.see(seen)
    assert seen.pdq_orientations is not None
    entries = [pdq_entry(row.tobytes()) for row in seen.pdq_orientations]
    ids = world.add(*entries)
    world.run()

    [case] = world.store.cases.cases()
    [item] = world.store.cases.items(case.id)
    assert sorted(match.entry_id for match in item.matches) == ids
    assert len({match.transform for match in item.matches}) == 8


def test_a_turned_entry_is_found_at_its_distance(world: World):
    world.bank(radius_bits=20)
    world.see(picture(1, 20))
    world.see(picture(2, 21))
    world.add(pdq_entry(turned(code(1))), pdq_entry(turned(code(2))))
    world.run()

    assert [case.item_count for case in world.store.cases.cases()] == [1]


def test_a_flat_picture_is_found_by_its_digest_alone(world: World):
    world.bank()
    world.see(flat(1))
    world.add(pdq_entry(code(1)))
    world.run()
    assert world.store.cases.cases() == []

    world.add(sha256_entry(flat(1)))
    world.run()
    assert [case.item_count for case in world.store.cases.cases()] == [1]


def test_what_matched_when_it_was_screened_is_not_found_again(world: World):
    world.bank()
    [first] = world.add(pdq_entry(code(1)))
    seen = world.see(picture(1))
    assert [match.entry_id for match in seen.outcome.matches] == [first]
    world.run()
    world.store.set_bank_state("known", BankState.PAUSED, actor="a", reason="r")
    world.store.set_bank_state("known", BankState.ACTIVE, actor="a", reason="r")
    world.run()
    assert world.retroactive_pairs() == {}

    [second] = world.add(pdq_entry(code(1, 3)))
    world.run()
    assert list(world.retroactive_pairs()) == [(seen.id, second)]


def test_an_item_judged_before_an_entry_and_recorded_after_it_was_asked_is_found(world: World):
    world.bank()
    world.see(picture(5))
    world.run()
    judged = world.judge(picture(1))
    [entry_id] = world.add(pdq_entry(code(1)))
    world.run()
    assert world.retroactive_pairs() == {}

    world.store.record(judged)
    world.run()
    assert list(world.retroactive_pairs()) == [(judged.id, entry_id)]


def test_an_item_that_comes_while_a_change_is_half_asked_is_found(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("baken.retroaction.ENTRIES_AT_ONCE", 2)
    world.bank()
    world.see(picture(50))
    world.run()
    judged = world.judge(picture(1))
    ids = world.add(*(pdq_entry(code(number)) for number in range(1, 6)))
    steps = iter(range(1))
    assert world.keeper.keep(lambda: next(steps, None) is None)
    assert world.store.seen.state().asked_entry_id == ids[1], "the change must be half asked here"

    world.store.record(judged)
    world.run()
    assert list(world.retroactive_pairs()) == [(judged.id, ids[0])]


@pytest.mark.parametrize("resume", ["entry", "bank"])
def test_what_was_seen_during_a_pause_is_found_when_it_ends(world: World, resume: str):
    world.bank()
    ids = world.add(pdq_entry(code(1)))
    if resume == "bank":
        world.store.set_bank_state("known", BankState.PAUSED, actor="a", reason="r")
    else:
        world.store.set_entry_states("known", ids, EntryState.PAUSED, actor="a", reason="r")
    seen = world.see(picture(1))
    world.run()
    assert world.retroactive_pairs() == {}

    if resume == "bank":
        world.store.set_bank_state("known", BankState.ACTIVE, actor="a", reason="r")
    else:
        world.store.set_entry_states("known", ids, EntryState.ACTIVE, actor="a", reason="r")
    world.run()
    assert list(world.retroactive_pairs()) == [(seen.id, ids[0])]


def test_a_larger_radius_finds_what_was_seen_farther_away(world: World):
    world.bank(radius_bits=5)
    seen = world.see(picture(1, 9))
    [entry_id] = world.add(pdq_entry(code(1)))
    world.run()
    assert world.retroactive_pairs() == {}

    world.store.change_bank("known", radius_bits=9, actor="a", reason="r")
    world.run()
    assert list(world.retroactive_pairs()) == [(seen.id, entry_id)]


def test_a_benign_twin_keeps_the_past_quiet_until_it_is_withdrawn(world: World):
    world.bank()
    world.bank("fine", Purpose.BENIGN)
    twins = world.add(pdq_entry(code(1, 5)), bank="fine")
    seen = world.see(picture(1, 5))
    ids = world.add(pdq_entry(code(1)))
    world.run()
    assert world.retroactive_pairs() == {}

    world.store.set_entry_states("fine", twins, EntryState.WITHDRAWN, actor="a", reason="r")
    world.run()
    assert list(world.retroactive_pairs()) == [(seen.id, ids[0])]


def test_copies_of_one_picture_join_one_case_and_another_picture_opens_its_own(world: World):
    world.bank()
    for number, account in enumerate(("a", "a", "b")):
        world.see(picture(1, 2 * number, file=number), f"upload-{number}", account)
    world.see(picture(2), "upload-9", "c")
    world.add(pdq_entry(code(1)))
    world.run()
    world.add(pdq_entry(code(1, 6)), pdq_entry(code(2)))
    world.run()

    assert sorted((case.item_count, case.account_count) for case in world.store.cases.cases()) == [(1, 1), (3, 2)]


def test_known_abuse_and_own_photos_never_share_a_case(world: World):
    world.bank()
    world.bank("family", Purpose.OWN_PHOTO)
    world.see(picture(1))
    world.add(pdq_entry(code(1)))
    world.add(pdq_entry(code(1)), bank="family")
    world.run()

    assert sorted(case.purpose for case in world.store.cases.cases()) == [Purpose.KNOWN_ABUSE, Purpose.OWN_PHOTO]


def test_asking_again_changes_nothing(world: World):
    world.bank()
    world.see_all(picture(1, file=number) for number in range(5))
    world.add(pdq_entry(code(1)))
    world.run()
    before = world.store.cases.cases()
    with world.store._database.write() as connection:
        connection.exec_driver_sql("UPDATE seen_state SET asked_seq = 0")
    world.run()

    assert world.store.cases.cases()[0].item_count == before[0].item_count == 5
    assert len(world.retroactive_pairs()) == 5


def flood(world: World, accounts: int, *, number: int = 1) -> None:
    """As many accounts that each sent an altered copy of one picture."""
    screenings = [
        world.judge(picture(number, account % 20, file=account), f"item {account}", f"account {account}")
        for account in range(accounts)
    ]
    world.store.record_many(screenings)


@pytest.fixture
def flooded(world: World) -> int:
    """An entry that matched more of the past than its bank allows: 2 accounts x 3."""
    world.bank()
    world.store.change_bank("known", flood_accounts_per_hour=2, flood_factor=3, actor="a", reason="r")
    flood(world, 7)
    [entry_id] = world.add(pdq_entry(code(1)))
    world.run()
    return entry_id


def test_an_entry_that_matches_too_much_of_the_past_is_quarantined_and_opens_no_case(world: World, flooded: int):
    assert world.store.cases.cases() == []
    assert world.store.entry("known", flooded).state is EntryState.QUARANTINED
    [notice] = world.store.notices()
    assert (notice.entry_id, notice.facts["count"], notice.facts["limit"]) == (flooded, 7, 6)
    assert "7 accounts with items seen before" in notice.reason


def test_when_a_person_resumes_it_the_past_is_asked_again_and_answers(world: World, flooded: int):
    world.store.set_entry_states("known", [flooded], EntryState.ACTIVE, actor="a", reason="it is right")
    world.run()

    [case] = world.store.cases.cases()
    assert (case.item_count, case.account_count) == (7, 7)
    assert world.store.entry("known", flooded).state is EntryState.ACTIVE


def test_a_flood_takes_no_other_entry_along(world: World):
    world.bank()
    world.store.change_bank("known", flood_accounts_per_hour=2, flood_factor=3, actor="a", reason="r")
    flood(world, 7)
    seen = world.see(picture(2), "other", "other")
    world.add(pdq_entry(code(1)), pdq_entry(code(2)))
    world.run()

    assert [pair[0] for pair in world.retroactive_pairs()] == [seen.id]
    assert len(world.store.notices()) == 1


@pytest.mark.parametrize("why", ["within the limit", "switched off", "one account", "equal bytes", "known before"])
def test_what_is_no_flood_opens_its_case(world: World, why: str):
    world.bank()
    accounts = 0 if why == "switched off" else 2
    world.store.change_bank("known", flood_accounts_per_hour=accounts, flood_factor=3, actor="a", reason="r")
    if why == "one account":
        world.store.record_many([world.judge(picture(1, file=number), "item", "same") for number in range(20)])
    elif why == "equal bytes":
        world.store.record_many([world.judge(picture(1), "item", f"account {number}") for number in range(20)])
    elif why == "known before":
        flood(world, 6)
        world.add(pdq_entry(code(1)))
        world.run()
        for number in range(3):  # found when they were screened, so that in retrospect only the first six are new
            world.store.record_many([world.judge(picture(1, file=100 + number), "item", f"later {number}")])
        world.store.set_bank_state("known", BankState.PAUSED, actor="a", reason="r")
        world.store.set_bank_state("known", BankState.ACTIVE, actor="a", reason="r")
    else:
        flood(world, 6 if why == "within the limit" else 20)
    if why != "known before":
        world.add(sha256_entry(picture(1)) if why == "equal bytes" else pdq_entry(code(1)))
    world.run()

    assert world.store.notices() == []
    assert len(world.store.cases.cases()) == 1
