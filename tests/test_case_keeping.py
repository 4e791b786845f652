"""Matches into cases: live ones and those of the past, followers, actions, several cases and persons at once."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from baken import case_rules
from baken.accounts import Role, User
from baken.case_keeping import finish_actions
from baken.cases import (
    ActionKind,
    ActionState,
    Awaits,
    CaseState,
    Decision,
    DecisionKind,
    EventKind,
    MatchOrigin,
    Refusal,
)
from baken.copies import WHOLE, Evidence, MatchStage, View, ViewKind
from baken.errors import BakenError, ConflictError, InvalidValueError, NotAuthorisedError, NotFoundError, TooLargeError
from baken.model import EntryState, Fingerprint, FingerprintKind, Match, NewEntry, NoticeKind, Purpose, Verdict
from baken.review import Review
from baken.store.case_actions import ActionFilter
from baken.store.case_events import columns_of
from baken.store.case_files import ENCODED_ANEW_BITS, ScreenedFile
from baken.store.case_joining import Found, ScreenedItem
from review_world import (
    ALLOWED,
    CANNOT_TELL,
    CONFIRMED,
    NOT_A_MATCH,
    REFER,
    ReviewWorld,
    case_reads,
    person,
    world_of_an_engine,
)
from seen_world import code, flat, pdq_entry, picture, sha256_entry


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewWorld]:
    with world_of_an_engine(request, tmp_path_factory.mktemp("keeping")) as made:
        yield made


@pytest.fixture
def banked(world: ReviewWorld) -> int:
    """The number of a picture that is banked and was never screened."""
    world.number += 1
    world.add(pdq_entry(code(world.number)))
    return world.number


def event_kinds(world: ReviewWorld, case_id: str) -> list[str]:
    return [event.kind.value for event in world.store.case_events.events(case_id)]


def test_live_matches_of_one_entry_are_one_case_that_their_screenings_name(world: ReviewWorld, banked: int) -> None:
    first = world.more(banked, items=2)
    second = world.more(banked, items=1, file=1)
    case_id = world.case_of(first[0])
    assert {world.case_of(each) for each in first + second} == {case_id}
    case = world.review.case(world.ann, case_id)
    assert (case.item_count, case.account_count, case.awaits) == (3, 3, Awaits.FIRST)
    assert case.bank_ids == (world.store.bank("known").id,)
    assert [bank for bank, _ in case.entries] == ["known"]
    items = world.review.items(world.ann, case_id)
    assert {item.origin for item in items} == {MatchOrigin.SCREENING}
    assert event_kinds(world, case_id) == ["opened", "joined", "joined"]
    opened, *_, last = world.store.case_events.events(case_id)
    assert (opened.seq, opened.actor) == (1, "baken")
    assert dict(last.facts) == {"items": 1, "accounts": 1, "origin": "screening"}


def test_an_account_that_comes_again_counts_once(world: ReviewWorld, banked: int) -> None:
    for file in range(2):
        screening_id = world.match(banked, account="same", file=file)
        world.run()
    case = world.review.case(world.ann, world.case_of(screening_id))
    assert (case.item_count, case.account_count) == (2, 1)


def test_matches_of_benign_entries_are_no_case_and_purposes_never_share_one(world: ReviewWorld, banked: int) -> None:
    if "family" not in {bank.name for bank in world.store.banks()}:
        world.bank("family", Purpose.OWN_PHOTO)
        world.bank("harmless", Purpose.BENIGN)
    world.add(pdq_entry(code(banked)), bank="family")
    screening_id = world.match(banked)
    world.run()
    cases = [case for case in world.store.cases.cases(limit=1000) if world.has_item(case.id, screening_id)]
    assert sorted(case.purpose for case in cases) == [Purpose.KNOWN_ABUSE, Purpose.OWN_PHOTO]
    world.number += 1
    world.add(pdq_entry(code(world.number)), bank="harmless")
    world.see(picture(world.number))
    waiting = world.store.case_queue.first_id()
    world.run()
    assert waiting is None


def test_items_of_the_past_and_live_ones_meet_in_one_case(world: ReviewWorld) -> None:
    world.number += 1
    old = world.see(picture(world.number), account="old")
    world.add(pdq_entry(code(world.number)))
    [new] = world.more(world.number)
    assert world.case_of(old.id) == world.case_of(new)
    items = world.review.items(world.ann, world.case_of(new))
    assert [item.origin for item in items] == [MatchOrigin.SCREENING, MatchOrigin.RETROACTIVE]
    assert world.retroactive_pairs()


def test_scans_of_a_back_catalogue_open_cases_too(world: ReviewWorld, banked: int) -> None:
    screenings = world.see_all([picture(banked, file=file) for file in range(3)])
    world.run()
    assert len({world.case_of(each.id) for each in screenings}) == 1


def test_a_case_comes_without_anything_remembered(tmp_path: Path) -> None:
    with ReviewWorld(f"sqlite:///{tmp_path / 'b.sqlite3'}", tmp_path, retention_days=0) as forgetful:
        case_id = forgetful.open_case(items=2)
        assert forgetful.review.case(forgetful.ann, case_id).item_count == 2
        assert forgetful.store.seen.items() == []


def test_new_copies_follow_a_decision_and_nobody_looks_again(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    case_id = world.case_of(first)
    decided = world.review.decide(world.ann, case_id, CONFIRMED)
    world.clock.move(hours=1)
    [late] = world.more(banked, file=1)
    assert world.case_of(late) == case_id
    case = world.review.case(world.ann, case_id)
    assert (case.state, case.item_count) == (CaseState.DECIDED, 2)
    last = world.store.case_events.events(case_id)[-1]
    facts = {"items": 1, "accounts": 1, "origin": "screening", "seq": decided.event_count}
    assert (last.kind, dict(last.facts)) == (EventKind.FOLLOWED, facts)
    [told, *_] = world.store.audit.page(subject=f"case:{case_id}")
    assert (told.kind, told.actor) == ("case.followed", "baken")
    assert told.parsed()["facts"] == {**facts, "event_seq": last.seq}
    actions = [a for a in world.review.actions(world.ann, case_id) if a.due_at > world.clock.at]
    assert [action.kind for action in actions] == [ActionKind.REMOVE, ActionKind.PRESERVE, ActionKind.REPORT]
    assert {action.due_at for action in actions} == {world.clock.at + timedelta(minutes=5)}
    assert {action.event_seq for action in actions} == {decided.event_count}


def test_a_crowd_of_the_past_joins_a_decided_case_in_batches_and_its_actions_wait(
    world: ReviewWorld, banked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baken.retroaction._PAGE_ROWS", 20)
    [first] = world.more(banked)
    decided = world.review.decide(world.ann, world.case_of(first), ALLOWED)
    world.clock.move(days=1)
    entries = [entry_id for _, entry_id in decided.entries]
    world.store.set_entry_states("known", entries, EntryState.PAUSED, actor="cli:cur", reason="x")
    crowd = [world.see(picture(banked, file=file), account=f"crowd {file}") for file in range(1, 51)]
    world.store.set_entry_states("known", entries, EntryState.ACTIVE, actor="cli:cur", reason=None)
    world.run()
    assert {world.case_of(each.id) for each in crowd} == {decided.id}
    events = world.store.case_events.events(decided.id)
    followed = [event.facts["items"] for event in events if event.kind is EventKind.FOLLOWED]
    assert followed == [19, 20, 11]  # the first batch holds the item that was there
    late = [action for action in world.review.actions(world.ann, decided.id) if action.due_at > world.clock.at]
    assert len({action.item_id for action in late}) == len(late) == 50
    assert {(action.kind, action.state) for action in late} == {(ActionKind.RELEASE, ActionState.PENDING)}


def decided_unlike(world: ReviewWorld, decision: Decision) -> tuple[str, int, int]:
    """A case, decided, of a picture that is 20 bits from its entry; with the entry and the number of its code."""
    world.number += 1
    number = world.number
    [entry_id] = world.add(pdq_entry(code(number)))
    unlike = world.see(picture(number, 20), account="unlike")
    world.run()
    case_id = world.case_of(unlike.id)
    world.review.decide(world.ann, case_id, decision)
    world.clock.move(hours=1)
    return case_id, entry_id, number


@pytest.mark.parametrize("decision", [NOT_A_MATCH, ALLOWED])
def test_another_picture_near_the_same_entry_is_looked_at(world: ReviewWorld, decision: Decision) -> None:
    old_id, entry_id, number = decided_unlike(world, decision)
    own = world.see(picture(number), account="own")
    world.run()
    new = world.review.case(world.ann, world.case_of(own.id))
    assert (new.state, new.item_count, [each for _, each in new.entries]) == (CaseState.OPEN, 1, [entry_id])
    assert world.review.case(world.ann, old_id).item_count == 1
    copy = world.see(picture(number, 20, file=1), account="a copy of what was decided")
    anew = world.see(picture(number, 20 + ENCODED_ANEW_BITS), account="the same, encoded anew")
    other = world.see(picture(number, 19 - ENCODED_ANEW_BITS), account="other")
    world.run()
    # Nobody looks again, although the picture's keys lead elsewhere by now.
    assert {world.case_of(copy.id), world.case_of(anew.id)} == {old_id}
    assert world.case_of(other.id) == new.id
    farther = world.see(picture(number, 21 + ENCODED_ANEW_BITS), account="near what followed alone")
    world.run()
    assert world.case_of(farther.id) == new.id


def test_a_confirmed_decision_holds_for_every_copy_of_its_entries(world: ReviewWorld) -> None:
    old_id, _, number = decided_unlike(world, CONFIRMED)
    seen = [world.see(picture(number, bits), account=f"{bits} bits") for bits in (0, 5, 31)]
    world.run()
    assert {world.case_of(each.id) for each in seen} == {old_id}
    items = {item.id for item in world.review.items(world.ann, old_id)}
    removed = {a.item_id for a in world.review.actions(world.ann, old_id) if a.kind is ActionKind.REMOVE}
    assert (len(items), removed) == (4, items)


def test_only_what_surely_shows_an_entry_is_a_copy_of_it(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    [whole] = world.store.screening(first).outcome.matches
    part = replace(whole, view=View(ViewKind.CROPPED, WHOLE), stage=MatchStage.VIEWS)
    same = Evidence(is_same=True, inlier_count=60, overlap_fraction=0.9, correlation=0.9, corners=())
    other = replace(same, is_same=False)
    item = ScreenedItem(first, None, None, None, world.clock.at)

    def is_sure(*matches: Match) -> bool:
        return Found(item, matches).shows_entries

    assert is_sure(whole)
    assert is_sure(replace(part, evidence=same), whole)
    assert not is_sure(part)
    assert not is_sure(whole, part)
    assert not is_sure(replace(whole, evidence=other))


def test_what_matches_a_later_entry_as_well_is_looked_at(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    old_id = world.case_of(first)
    world.review.decide(world.ann, old_id, NOT_A_MATCH)
    world.clock.move(hours=1)
    [entry_id] = world.add(pdq_entry(code(banked, 3)))
    world.run()
    [new] = [case for case in world.store.cases.cases() if case.id != old_id and world.has_item(case.id, first)]
    assert (new.state, [each for _, each in new.entries]) == (CaseState.OPEN, [entry_id])
    [late] = world.more(banked, file=1)
    assert world.case_of(late) == new.id
    old = world.review.case(world.ann, old_id)
    assert (old.item_count, len(old.entries)) == (1, 1)
    assert {action.item_id for action in world.review.actions(world.ann, old_id)} == {
        item.id for item in world.review.items(world.ann, old_id)
    }
    world.review.decide(world.ann, new.id, ALLOWED)
    [later] = world.more(banked, file=2)
    assert world.case_of(later) == new.id
    assert event_kinds(world, new.id)[-1] == "followed"


def test_files_that_cannot_be_compared_follow_by_their_bytes_alone(world: ReviewWorld) -> None:
    world.number += 1
    plain = flat(world.number)
    other = replace(flat(world.number), sha256=bytes(32), sha1=bytes(20), md5=bytes(16))  # as plain, with other bytes
    world.add(sha256_entry(plain), NewEntry((Fingerprint(FingerprintKind.SHA256, other.sha256),)))
    first = world.see(plain, account="first")
    world.run()
    decided = world.review.decide(world.ann, world.case_of(first.id), ALLOWED)
    again, unlike = world.see(plain, account="again"), world.see(other, account="unlike")
    world.run()
    assert world.case_of(again.id) == decided.id
    assert world.case_of(unlike.id) != decided.id


def test_a_match_of_a_part_needs_the_same_bytes_to_follow(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    matches = world.store.screening(first).outcome.matches
    part = replace(matches[0], view=View(ViewKind.CROPPED, WHOLE), stage=MatchStage.VIEWS)
    item = ScreenedItem(first, None, None, None, world.clock.at)
    file = ScreenedFile(None, b"digest", b"picture")
    assert Found(item, matches).pdq(file) == b"picture"
    assert Found(item, [part]).pdq(file) is None


@pytest.mark.parametrize("decision", [CANNOT_TELL, REFER])
def test_what_decides_nothing_for_others_is_not_followed(world: ReviewWorld, banked: int, decision: Decision) -> None:
    [first] = world.more(banked)
    world.review.decide(world.ann, world.case_of(first), decision)
    late = world.more(banked, items=2, file=1)
    [case_id] = {world.case_of(each) for each in late}
    assert case_id != world.case_of(first)
    assert world.review.case(world.ann, case_id).state is CaseState.OPEN
    old = world.review.case(world.ann, world.case_of(first))
    assert (old.item_count, len(old.entries)) == (1, 1)  # it still says what it was about
    [again] = world.more(banked, file=2)
    assert world.case_of(again) == case_id


def test_a_bank_says_whether_its_decisions_are_followed(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    world.review.decide(world.ann, world.case_of(first), CONFIRMED)
    world.store.change_bank("known", follows_decisions=False, actor="cli:test")
    try:
        [late] = world.more(banked, file=1)
        assert world.case_of(late) != world.case_of(first)
    finally:
        world.store.change_bank("known", follows_decisions=True, actor="cli:test")
    [again] = world.more(banked, file=2)
    assert world.case_of(again) == world.case_of(late)  # which is open


def test_undo_reaches_the_followers(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    case_id = world.case_of(first)
    world.review.decide(world.ann, case_id, ALLOWED)
    world.more(banked, file=1)
    world.undo(world.ann, case_id)
    assert {action.state for action in world.review.actions(world.ann, case_id)} == {ActionState.CANCELLED}
    world.review.decide(world.ann, case_id, CONFIRMED)
    pending = [a for a in world.review.actions(world.ann, case_id) if a.state is ActionState.PENDING]
    assert len(pending) == 2 * 3


# Actions


def test_the_platform_takes_what_is_due_and_its_word_is_final(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    case_id = world.case_of(first)
    world.review.decide(world.ann, case_id, CONFIRMED)
    mine = [action.id for action in world.review.actions(world.ann, case_id)]

    def listed(which: ActionFilter) -> list[int]:
        page = world.store.case_actions.page(which, world.clock.at, limit=100_000)
        return [given.action.id for given in page if given.action.case_id == case_id]

    assert (listed(ActionFilter.DUE), listed(ActionFilter.PENDING)) == ([], mine)
    with pytest.raises(ConflictError, match="can be undone until then"):
        finish_actions(world.store, mine[:1], actor="key:k", now=world.clock.at)
    world.clock.move(minutes=5)
    assert listed(ActionFilter.DUE) == mine
    [done] = finish_actions(world.store, mine[:1], actor="key:k", now=world.clock.at)
    assert (done.action.state, done.action.done_by) == (ActionState.FINAL, "key:k")
    assert (done.item_ref, done.decision, done.purpose) == (
        world.store.screening(first).meta.item_ref,
        DecisionKind.CONFIRMED,
        Purpose.KNOWN_ABUSE,
    )
    assert EventKind.ACTED not in {event.kind for event in world.store.case_events.events(case_id)}
    finish_actions(world.store, mine, actor="key:k", now=world.clock.at)
    finish_actions(world.store, mine, actor="key:other", now=world.clock.at)
    acted = [event for event in world.store.case_events.events(case_id) if event.kind is EventKind.ACTED]
    assert [(event.actor, dict(event.facts)) for event in acted] == [("key:k", {"actions": 3})]
    told = [row.parsed() for row in world.store.audit.page(subject=f"case:{case_id}", kind="case.actions_done")]
    assert [each["actor"] for each in told] == ["key:k", "key:k"]
    assert [each["facts"] for each in told] == [
        {"actions": {"preserve": 1, "report": 1}, "first_action_id": mine[1], "last_action_id": mine[2]},
        {"actions": {"remove": 1}, "first_action_id": mine[0], "last_action_id": mine[0]},
    ]
    assert listed(ActionFilter.FINAL) == mine
    with pytest.raises(NotFoundError):
        finish_actions(world.store, [10**12], actor="key:k", now=world.clock.at)


def test_what_is_final_forbids_undo_and_is_not_done_twice_after_reopening(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    case_id = world.case_of(first)
    world.review.decide(world.ann, case_id, CONFIRMED)
    world.clock.move(minutes=5)
    remove, preserve, report = world.review.actions(world.ann, case_id)
    finish_actions(world.store, [remove.id, report.id], actor="key:k", now=world.clock.at)
    with pytest.raises(ConflictError, match="2 actions of the decision are done"):
        world.undo(world.ann, case_id)
    world.review.reopen(world.ann, case_id, "the account's owner wrote")
    last = world.store.case_events.events(case_id)[-1]
    assert dict(last.facts) == {"reason": "the account's owner wrote", "cancelled": 1, "final": 2}
    with pytest.raises(ConflictError, match="was cancelled"):
        finish_actions(world.store, [preserve.id], actor="key:k", now=world.clock.at)
    again = world.review.decide(world.ann, case_id, CONFIRMED)
    kinds = [a.kind for a in world.review.actions(world.ann, case_id) if a.event_seq == again.event_count]
    assert kinds == [ActionKind.REMOVE, ActionKind.PRESERVE]  # nobody is told the same twice


def test_own_photos_are_never_reported_and_watched_ones_never_removed() -> None:
    for decision in DecisionKind:
        own = set(case_rules.actions_for(Purpose.OWN_PHOTO, decision))
        watched = set(case_rules.actions_for(Purpose.WATCH, decision))
        assert not own & {ActionKind.REPORT, ActionKind.PRESERVE}
        assert not watched & {ActionKind.REMOVE, ActionKind.REPORT}


# After `not_a_match`


def test_a_picture_that_is_no_match_becomes_benign_until_the_decision_is_undone(
    world: ReviewWorld, banked: int
) -> None:
    if "fine" not in {bank.name for bank in world.store.banks()}:
        world.bank("fine", Purpose.BENIGN)
    [first] = world.more(banked)
    case_id = world.case_of(first)
    with pytest.raises(ConflictError, match="not decided to be no match"):
        world.review.make_benign(world.ann, case_id, "fine")
    world.review.decide(world.ann, case_id, NOT_A_MATCH)
    with pytest.raises(InvalidValueError, match="known_abuse"):
        world.review.make_benign(world.ann, case_id, "known")
    [entry_id] = world.review.make_benign(world.ann, case_id, "fine")
    assert world.review.make_benign(world.ann, case_id, "fine") == []  # it is there
    entry = world.store.entry("fine", entry_id)
    provenance = (entry.provenance.source, entry.provenance.added_by, entry.provenance.note)
    assert provenance == ("review", world.ann.actor, case_id)
    assert world.judge(picture(banked)).outcome.verdict is Verdict.ALLOW
    world.undo(world.ann, case_id)
    assert world.store.entry("fine", entry_id).state is EntryState.WITHDRAWN
    assert world.judge(picture(banked)).outcome.verdict is not Verdict.ALLOW
    assert event_kinds(world, case_id)[-3:] == ["benign_added", "undone", "benign_withdrawn"]
    world.review.decide(world.ann, case_id, NOT_A_MATCH)
    assert world.review.make_benign(world.ann, case_id, "fine") != []


def test_what_is_done_about_entries_of_other_banks_is_not_told(world: ReviewWorld, banked: int) -> None:
    if "fine" not in {bank.name for bank in world.store.banks()}:
        world.bank("fine", Purpose.BENIGN)
    world.number += 1
    other = f"other {world.number}"
    world.bank(other)
    [entry_id] = world.add(pdq_entry(code(banked)), bank=other)
    [first] = world.more(banked)
    case_id = world.case_of(first)
    near = person(world.store, f"near {world.number}", bank_ids=[world.store.bank("known").id])
    world.review.decide(world.ann, case_id, NOT_A_MATCH)
    world.review.make_benign(world.ann, case_id, "fine")
    world.review.dispute(world.ann, case_id, entry_id, "a landscape")

    every = event_kinds(world, case_id)

    assert {"benign_added", "disputed"} <= set(every)
    told = [event.kind.value for event in world.review.events(near, case_id)]
    assert told == [kind for kind in every if kind not in {"benign_added", "disputed"}]


def test_only_what_was_there_at_the_decision_becomes_benign(world: ReviewWorld, banked: int) -> None:
    if "fine" not in {bank.name for bank in world.store.banks()}:
        world.bank("fine", Purpose.BENIGN)
    [first] = world.more(banked, file=0)
    case_id = world.case_of(first)
    world.more(banked, file=1)
    world.review.decide(world.ann, case_id, NOT_A_MATCH)
    world.more(banked, file=2)
    assert world.review.case(world.ann, case_id).item_count == 3
    ids = world.review.make_benign(world.ann, case_id, "fine")
    added = {f.value for each in ids for f in world.store.entry("fine", each).fingerprints}
    digests = [picture(banked, file=file).sha256 for file in range(3)]
    assert [digest in added for digest in digests] == [True, True, False]


def test_a_dispute_is_a_notice_for_the_curators_and_the_entry_counts_on(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    case_id = world.case_of(first)
    case = world.review.decide(world.ann, case_id, NOT_A_MATCH)
    [(_, entry_id)] = case.entries
    with pytest.raises(NotFoundError, match="no item of the case"):
        world.review.dispute(world.ann, case_id, entry_id + 10**6, "a landscape")
    world.review.dispute(world.ann, case_id, entry_id, "a landscape")
    with pytest.raises(ConflictError, match="disputed already"):
        world.review.dispute(world.ben, case_id, entry_id, "a landscape")
    [notice] = [n for n in world.store.notices(open_only=True) if n.entry_id == entry_id]
    assert (notice.kind, notice.reason) == (NoticeKind.ENTRY_DISPUTED, "a landscape")
    assert notice.facts == {"case_id": case_id, "actor": world.ann.actor}
    assert world.store.entry("known", entry_id).state is EntryState.ACTIVE
    world.store.set_entry_states("known", [entry_id], EntryState.ACTIVE, actor="cli:cur", reason=None)
    assert world.store.notice(notice.id).resolved_by == "cli:cur"
    assert world.store.answered_entries([entry_id]) == set()  # a dispute is no word about a flood
    assert event_kinds(world, case_id)[-1] == "disputed"


# Several at once


def test_a_selection_is_decided_as_its_summary_says_or_not_at_all(world: ReviewWorld) -> None:
    ids = [world.open_case(items=2), world.open_case()]
    taken = world.open_case()
    world.review.claim(world.ben, taken)
    plan = world.review.plan(world.ann, [*ids, taken], CONFIRMED)
    assert {case.id for case in plan.cases} == set(ids)
    assert (plan.item_count, plan.account_count, plan.awaiting_count) == (3, 3, 0)
    assert plan.action_counts == {"remove": 3, "preserve": 3, "report": 3}
    assert plan.refused == ((taken, Refusal.CLAIMED),)
    assert {world.store.cases.case(each).state for each in ids} == {CaseState.OPEN}
    world.review.note(world.ben, ids[0], "wait")
    with pytest.raises(ConflictError, match="none was decided"):
        world.review.decide_all(world.ann, [*ids, taken], CONFIRMED, plan.digest)
    assert {world.store.cases.case(each).state for each in ids} == {CaseState.OPEN}
    plan = world.review.plan(world.ann, [*ids, taken], CONFIRMED)
    with pytest.raises(ConflictError):
        world.review.decide_all(world.ann, [*ids, taken], ALLOWED, plan.digest)
    decided = world.review.decide_all(world.ann, [taken, *ids], CONFIRMED, plan.digest)
    assert {(each, world.store.cases.case(each).decision) for each in decided} == {
        (each, DecisionKind.CONFIRMED) for each in ids
    }
    assert sum(len(world.review.actions(world.ann, each)) for each in ids) == 9
    assert world.store.cases.case(taken).state is CaseState.OPEN
    assert world.review.undo_all(world.lea, decided) == []  # not even by a lead: they are ann's
    stale = {ids[0]: decided[ids[0]] - 1}
    assert world.review.undo_all(world.ann, {**decided, **stale, "case_0": 4}) == ids[1:]
    assert [world.store.cases.case(each).state for each in ids] == [CaseState.DECIDED, CaseState.OPEN]


def test_a_picture_that_spreads_is_decided_as_its_summary_says(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    case_id, taken = world.case_of(first), world.open_case()
    world.review.claim(world.ben, taken)
    plan = world.review.plan(world.ann, [case_id, taken], CONFIRMED)

    world.more(banked, items=2, file=1)
    world.clock.move(minutes=1)
    world.review.heartbeat(world.ben, taken)

    assert world.review.plan(world.ann, [case_id, taken], CONFIRMED).item_count == 3
    assert set(world.review.decide_all(world.ann, [case_id, taken], CONFIRMED, plan.digest)) == {case_id}
    assert len(world.review.actions(world.ann, case_id)) == 9


def test_a_summary_counts_what_would_be_done_and_not_what_is_done_once_and_is_done(world: ReviewWorld) -> None:
    case_id, other = world.open_case(items=2), world.open_case()
    world.review.decide(world.ann, case_id, CONFIRMED)
    world.clock.move(minutes=5)
    done = [a.id for a in world.review.actions(world.ann, case_id) if a.kind is not ActionKind.PRESERVE]
    finish_actions(world.store, done, actor="key:k", now=world.clock.at)
    world.review.reopen(world.ann, case_id, "another look")
    plan = world.review.plan(world.ann, [case_id, other], CONFIRMED)
    assert plan.action_counts == {"remove": 3, "preserve": 3, "report": 1}
    before = world.store.case_actions.counts(case_id)
    world.review.decide_all(world.ann, [case_id, other], CONFIRMED, plan.digest)
    pending = Counter(
        action.kind.value
        for each in (case_id, other)
        for action in world.review.actions(world.ann, each)
        if action.state is ActionState.PENDING
    )
    assert pending == plan.action_counts
    assert before[ActionKind.REPORT, ActionState.FINAL] == 2


def test_every_reason_why_a_case_is_left_out_of_a_selection_is_told_apart(world: ReviewWorld) -> None:
    review, ann, ben, lea = world.review, world.ann, world.ben, world.lea
    auditor = person(world.store, f"aud {world.open_case()}", Role.AUDITOR)

    def refusal(user: User, case_id: str) -> Refusal | None:
        plan = review.plan(user, [case_id], ALLOWED)
        return plan.refused[0][1] if plan.refused else None

    lost, held, split, given = (world.open_case() for _ in range(4))
    assert (refusal(ann, held), refusal(auditor, held)) == (None, Refusal.NOT_THEIRS)
    review.hold(ann, held, "later", world.clock.at + timedelta(days=1))
    review.reassign(lea, given, ben.id, "yours")
    review.claim(ann, lost)
    assert [refusal(ben, each) for each in (lost, held)] == [Refusal.CLAIMED, Refusal.ON_HOLD]
    world.clock.move(minutes=6)
    review.claim(ben, lost)
    assert [refusal(ann, each) for each in (lost, given)] == [Refusal.LEASE_LOST, Refusal.GIVEN_AWAY]
    review.decide(ben, lost, ALLOWED)
    assert refusal(lea, lost) is Refusal.DECIDED
    review.ask_second(ann, split, "unsure")
    review.decide(ann, split, ALLOWED)
    assert (refusal(ann, split), refusal(ben, split)) == (Refusal.GAVE_DECISION, Refusal.SEALED)
    review.decide(ben, split, CONFIRMED)
    world.undo(ben, split)
    other = person(world.store, f"other {split}")
    assert (refusal(ben, split), refusal(other, split)) == (Refusal.DISAGREED, Refusal.AWAITS_LEAD)


def test_no_case_is_read_twice_for_one_answer(world: ReviewWorld) -> None:
    ids = [world.open_case() for _ in range(3)]
    plan = world.review.plan(world.ann, ids, ALLOWED)
    with case_reads(world.store) as read:
        world.review.decide_all(world.ann, ids, ALLOWED, plan.digest)
    assert len(read) == 1
    with case_reads(world.store) as read:
        assert len(world.review.items(world.ann, ids[0])) == 1
    assert len(read) == 1
    with pytest.raises(NotFoundError):
        world.store.cases.items("case_0")
    assert world.store.cases.items(ids[0], after_id=10**9) == []


def test_a_selection_has_bounds_and_every_case_its_reach(world: ReviewWorld) -> None:
    case_id = world.open_case()
    with pytest.raises(TooLargeError, match="at most 200"):
        world.review.plan(world.ann, [f"case_{number}" for number in range(201)], ALLOWED)
    with pytest.raises(InvalidValueError, match="no case was selected"):
        world.review.plan(world.ann, [], ALLOWED)
    with pytest.raises(NotFoundError):
        world.review.plan(world.ann, [case_id, "case_0"], ALLOWED)
    world.number += 1
    far = person(world.store, f"far {world.number}", bank_ids=[10**9])
    for ids, named in (([case_id], case_id), ([case_id, "case_z"], case_id), ([case_id, "case_0"], "case_0")):
        with pytest.raises(NotFoundError, match=f"there is no case '{named}'"):
            world.review.plan(far, ids, ALLOWED)
        with pytest.raises(NotFoundError, match=f"there is no case '{named}'"):
            world.review.decide_all(far, ids, ALLOWED, "any")


# Many at once, in any order


@pytest.mark.parametrize("seed", range(2))
def test_whatever_people_do_the_columns_are_what_the_events_come_to(world: ReviewWorld, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - a walk, not a secret
    world.two_person(Purpose.KNOWN_ABUSE)
    case_id = world.open_case()
    people = [world.ann, world.ben, world.lea, world.lou]
    done = 0
    for _ in range(100):
        world.clock.move(seconds=generator.randrange(200))
        user = generator.choice(people)
        try:
            _any_step(world, generator, user, case_id)
            done += 1
        except (ConflictError, NotAuthorisedError):
            continue
        events = world.store.case_events.events(case_id)
        status = case_rules.derive(events)
        case = world.store.cases.case(case_id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        for name, value in columns_of(status).items():
            assert getattr(case, name) == value, name
        assert (case.lease_until is None) == (case.holder_id is None)
        assert (case.hold_until is None) == (case.state is not CaseState.ON_HOLD)
        assert not status.disagreed or case.awaits in {Awaits.LEAD, None}
        pending = [a for a in world.store.case_actions.of_case(case_id) if a.state is ActionState.PENDING]
        assert case.state is CaseState.DECIDED or not pending
    assert done > 10
    world.two_person()


def _any_step(world: ReviewWorld, generator: random.Random, user: User, case_id: str) -> None:
    review, now = world.review, world.clock.at
    decision = generator.choice([CONFIRMED, CONFIRMED, ALLOWED, REFER, NOT_A_MATCH])
    step = generator.choice(
        [
            lambda: review.claim(user, case_id),
            lambda: review.heartbeat(user, case_id),
            lambda: review.release(user, case_id),
            lambda: review.hold(user, case_id, "later", now + timedelta(seconds=90)),
            lambda: review.resume(user, case_id),
            world.keeper.keep,
            lambda: review.note(user, case_id, "seen"),
            lambda: review.escalate(user, case_id, "unsure"),
            lambda: review.reassign(user, case_id, generator.choice([world.ann.id, world.lea.id, None]), "please"),
            lambda: review.ask_second(user, case_id, "unsure"),
            lambda: review.decide(user, case_id, decision),
            lambda: review.decide(user, case_id, CONFIRMED),
            lambda: world.undo(user, case_id),
            lambda: review.reopen(user, case_id, "new facts"),
        ]
    )
    step()


def test_of_many_who_claim_a_case_at_once_one_gets_it_and_the_others_hear_who(world: ReviewWorld) -> None:
    world.number += 1
    people = [person(world.store, f"crowd {world.number} {each}") for each in range(6)]
    for _ in range(3):
        case_id = world.open_case()
        outcomes = _all_claim(world, people, case_id)
        [winner] = [user for user in people if outcomes[user.id] == user.id]
        told = [said for user_id, said in outcomes.items() if user_id != winner.id]
        assert len(told) == len(people) - 1
        assert all(f"{winner.name!r} has claimed the case" in str(said) for said in told)
        assert event_kinds(world, case_id) == ["opened", "joined", "claimed"]


def _all_claim(world: ReviewWorld, people: list[User], case_id: str) -> dict[str, str | None]:
    """All at once; who has it by each one's answer, or what the person was told."""
    start = threading.Barrier(len(people))
    outcomes: dict[str, str | None] = {}

    def claim(user: User) -> None:
        start.wait()
        try:
            outcomes[user.id] = world.review.claim(user, case_id).holder_id
        except ConflictError as error:
            outcomes[user.id] = error.message

    threads = [threading.Thread(target=claim, args=(user,)) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_decisions_and_new_copies_at_once_leave_no_item_without_its_actions(world: ReviewWorld, banked: int) -> None:
    [first] = world.more(banked)
    case_id = world.case_of(first)
    failed: list[BaseException] = []

    def decide_and_undo() -> None:
        try:
            for _ in range(5):
                world.review.decide(world.ann, case_id, ALLOWED)
                world.undo(world.ann, case_id)
            world.review.decide(world.ann, case_id, ALLOWED)
        except BakenError as error:
            failed.append(error)

    thread = threading.Thread(target=decide_and_undo)
    thread.start()
    for file in range(1, 6):
        world.more(banked, file=file)
    thread.join()
    world.run()
    assert failed == []
    items = world.store.cases.items(case_id)
    pending = [a for a in world.store.case_actions.of_case(case_id) if a.state is ActionState.PENDING]
    assert sorted(action.item_id for action in pending) == [item.id for item in items]
    assert len(items) == 6
    events = world.store.case_events.events(case_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_two_reviews_of_one_database_see_each_others_claims(world: ReviewWorld) -> None:
    other = Review(world.store, world.review.policy, now=world.clock)
    case_id = world.open_case()
    world.review.claim(world.ann, case_id)
    with pytest.raises(ConflictError, match="ann"):
        other.claim(world.ben, case_id)


def test_the_documented_actions_are_those_of_the_rules() -> None:
    page = Path(__file__).parent.parent / "docs/how-to/review-cases.md"
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")]
    told = {(purpose, decision): actions for purpose, decision, actions in rows if purpose in set(Purpose)}
    assert told == {
        (purpose, decision): ", ".join(case_rules.actions_for(purpose, decision)) or "none"
        for purpose in Purpose
        if purpose is not Purpose.BENIGN
        for decision in DecisionKind
    }


def test_a_second_decision_is_never_part_of_a_selection(world: ReviewWorld) -> None:
    case_id, other = world.open_case(), world.open_case()
    world.review.ask_second(world.ann, case_id, "unsure")
    world.review.decide(world.ann, case_id, CONFIRMED)
    plan = world.review.plan(world.ben, [case_id, other], CONFIRMED)
    assert [case.id for case in plan.cases] == [other]
    assert plan.refused == ((case_id, Refusal.SEALED),)


def test_of_a_crowd_that_joins_the_newest_events_are_shown_and_everything_people_did(
    world: ReviewWorld, banked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baken.review.MAX_SHOWN_JOININGS", 2)
    [first] = world.more(banked)
    case_id = world.case_of(first)
    world.review.note(world.ann, case_id, "early")
    for file in range(1, 4):
        world.more(banked, file=file)
    shown = world.review.events(world.ann, case_id)
    assert [(event.seq, event.kind.value) for event in shown] == [
        (1, "opened"),
        (3, "noted"),
        (5, "joined"),
        (6, "joined"),
    ]
