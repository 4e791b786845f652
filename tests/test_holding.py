"""What is held of what matched: only what is allowed, no longer than that, and not at all once more is known of it."""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from baken.errors import ConflictError, NotFoundError
from baken.housekeeping import Housekeeper
from baken.jurisdictions import REVIEWED, Profile, shipped
from baken.looking_holding import Holding, HoldRules
from baken.model import Purpose, Screening
from baken.sealing import Sealer
from baken.store import Store
from baken.store.vault_rows import VaultObject
from looking_world import START, Clock, Idle, World, jpeg, screening_of

DATA = jpeg(3)
SHA256 = hashlib.sha256(DATA).digest()
OWN, WATCH, ABUSE = Purpose.OWN_PHOTO, Purpose.WATCH, Purpose.KNOWN_ABUSE


@pytest.fixture
def world(sqlite_file: Path, tmp_path: Path) -> Iterator[World]:
    """SQLite; what rows must do on both databases stands in tests of their own."""
    with Store.open(f"sqlite:///{shutil.copy(sqlite_file, tmp_path)}") as opened:
        yield World(opened, tmp_path)


def profile_with(**days: int) -> Profile:
    """The generic profile, with so many days for some purposes."""
    made = shipped("generic")
    rules = {purpose: replace(of, hold_days=days.get(purpose, of.hold_days)) for purpose, of in made.rules.items()}
    return replace(made, rules=rules)


def holding_in(world: World, profile: Profile, **given: object) -> Holding:
    """Nine days, of everything that the profile allows."""
    rules = {"hold_days": 9, "purposes": frozenset(REVIEWED), "max_size_bytes": 10**6, **given}
    sealer = Sealer(world.folder / "feature.key")
    return Holding(world.store, world.vault, sealer, HoldRules(profile, **rules), now=world.clock)  # type: ignore[arg-type]


def recorded(world: World, number: int, *matched: Purpose, data: bytes = DATA) -> Screening:
    return world.store.record(screening_of(number, data, matched, bank_id=world.bank_id))


def held_in(world: World) -> VaultObject:
    """The one object that is held."""
    [held] = world.store.vault.objects()
    return held


def days_of(held: VaultObject) -> float:
    return (held.ends_at - held.held_at) / timedelta(days=1)


def kinds(world: World) -> list[str]:
    return [row.kind for row in world.store.audit.rows() if row.kind.startswith("vault.")]


def test_only_what_operator_and_profile_both_allow_is_held_and_a_video_too(world: World):
    both = [OWN, ABUSE]

    def held(number: int, matched: list[Purpose], data: bytes | BinaryIO = DATA, **given: object) -> bool:
        holding = holding_in(world, **{"profile": shipped("us"), **given})  # type: ignore[arg-type]
        content = data if isinstance(data, bytes) else data.read()
        return holding.after(screening_of(number, content, matched), data)

    assert not held(1, [OWN], hold_days=0)
    assert not held(1, [])
    assert not held(1, both, purposes=frozenset({OWN}))
    assert not held(1, both, profile=shipped("be"))
    assert not held(1, [OWN], max_size_bytes=len(DATA) - 1)
    assert not held(1, [OWN], io.BytesIO(DATA), max_size_bytes=len(DATA) - 1)
    assert world.store.vault.objects(with_destroyed=True) == []
    assert held(1, both)
    assert held(2, [OWN], io.BytesIO(b"a film"))
    assert {each.size_bytes: each.purposes for each in world.store.vault.objects()} == {6: {OWN}, len(DATA): {*both}}


@pytest.mark.parametrize("hold_days", [9, 0])
def test_what_may_not_be_held_is_destroyed_when_it_comes_in_again(world: World, hold_days: int):
    assert holding_in(world, shipped("be")).after(screening_of(1, DATA, [OWN]), DATA)
    later = holding_in(world, shipped("be"), hold_days=hold_days)
    assert not later.after(screening_of(2, DATA, [OWN, ABUSE]), DATA)
    assert world.store.vault.objects() == []
    [gone] = world.store.vault.objects(with_destroyed=True)
    assert gone.purposes == {OWN, ABUSE}
    assert kinds(world) == ["vault.held", "vault.restricted", "vault.destroyed"]


def test_to_hold_nothing_new_destroys_nothing_that_may_be_held(world: World):
    holding_in(world, shipped("us")).after(screening_of(1, DATA, [OWN]), DATA)
    before = held_in(world)
    later = holding_in(world, shipped("us"), hold_days=0)
    assert later.after(screening_of(2, DATA, [OWN]), DATA)
    later.apply_rules()
    assert held_in(world) == before


def test_copies_prolong_up_to_the_days_of_the_profile_and_no_further(world: World):
    holding = holding_in(world, profile_with(own_photo=20))
    ends = []
    for number in range(1, 20):
        holding.after(screening_of(number, DATA, [OWN]), DATA)
        ends.append(days_of(held_in(world)))
        world.clock.wait(days=1 if number > 2 else 0.5)
    assert ends == [9, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19] + [20] * 7
    assert held_in(world).held_at == START
    assert kinds(world).count("vault.extended") == 11
    world.clock.now = START + timedelta(days=20)
    assert world.vault.held(SHA256) is None


def test_a_stricter_purpose_shortens_or_destroys(world: World):
    profile = profile_with(watch=5)
    holding = holding_in(world, profile)
    holding.after(screening_of(1, DATA, [OWN]), DATA)
    world.clock.wait(days=3)
    assert holding.after(screening_of(2, DATA, [WATCH]), DATA)
    assert (days_of(held_in(world)), held_in(world).purposes) == (5, {OWN, WATCH})
    assert holding.after(screening_of(3, DATA, [OWN]), DATA)  # what is known stays known
    assert days_of(held_in(world)) == 5
    other = b"another picture"
    holding.after(screening_of(4, other, [OWN]), other)
    world.clock.wait(days=6)
    assert not holding.after(screening_of(5, other, [WATCH]), other)
    assert world.vault.held(hashlib.sha256(other).digest()) is None
    assert kinds(world)[-2:] == ["vault.restricted", "vault.destroyed"]


def test_an_extension_reaches_as_far_as_all_purposes_allow(world: World):
    holding = holding_in(world, profile_with(watch=12))
    holding.after(screening_of(1, DATA, [OWN]), DATA)
    holding.after(screening_of(2, DATA, [OWN, WATCH]), DATA)
    held = held_in(world)

    def extend(days: float) -> VaultObject:
        return holding.extend(held.id, START + timedelta(days=days), actor="cli:bob", reason="asked by the police")

    with pytest.raises(ConflictError, match=r"may be held until 2026-12-10T12:00.* own_photo, watch"):
        extend(12.1)
    with pytest.raises(ConflictError, match="already"):
        extend(9)
    assert extend(12).ends_at == held_in(world).ends_at == START + timedelta(days=12)
    assert not holding.after(screening_of(3, DATA, []), DATA)
    assert holding.after(screening_of(4, DATA, [OWN]), DATA)
    assert days_of(held_in(world)) == 12  # nothing shortens what a person extended
    world.clock.wait(days=12)
    with pytest.raises(ConflictError, match="ended"):
        extend(13)
    with pytest.raises(NotFoundError):
        holding.extend("vlt_none", START, actor="cli:bob", reason="asked")


def test_ends_that_are_set_at_once_never_shorten_each_other(store: Store, tmp_path: Path):
    world = World(store, tmp_path)
    holding = holding_in(world, profile_with(own_photo=1_000))
    holding.after(screening_of(1, DATA, [OWN]), DATA)
    held, gate = held_in(world), threading.Barrier(8)

    def extend(days: int) -> None:
        gate.wait()
        try:
            holding.extend(held.id, START + timedelta(days=days), actor="test", reason="more")
        except ConflictError:
            assert days < 800

    threads = [threading.Thread(target=extend, args=(100 * number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert days_of(held_in(world)) == 800


def test_bytes_follow_what_their_items_are_found_to_match_in_the_past(store: Store, tmp_path: Path):
    world = World(store, tmp_path)
    holding = holding_in(world, shipped("be"))
    screening, other = recorded(world, 1, OWN), recorded(world, 2, OWN, data=b"another picture")
    holding.after(screening, DATA)
    holding.after(other, b"another picture")
    for each in (screening, other):
        world.join(world.case(int(each.id[-1]), OWN), each)
    holding.follow_cases()
    assert len(world.store.vault.objects()) == 2
    world.join(world.case(3, ABUSE), screening)
    holding.follow_cases(lambda: True)
    assert len(world.store.vault.objects()) == 2
    holding.follow_cases()
    assert world.vault.held(SHA256) is None
    assert [each.purposes for each in world.store.vault.objects()] == [{OWN}]
    assert world.store.vault.joined() == []
    assert kinds(world)[-2:] == ["vault.restricted", "vault.destroyed"]
    world.store.vault.follow_to(1)  # another process, which is behind
    assert world.store.vault.joined() == []


def test_what_was_found_while_a_screening_went_on_is_not_held(world: World):
    holding = holding_in(world, shipped("be"))
    screening = recorded(world, 1, OWN)
    world.join(world.case(1, ABUSE), screening)
    holding.follow_cases()
    assert not holding.after(screening, DATA)
    assert world.store.vault.objects() == []


def test_a_change_of_the_rules_ends_what_they_forbid_and_nothing_else(world: World):
    holding_in(world, profile_with(own_photo=300, watch=300), hold_days=300).after(screening_of(1, DATA, [OWN]), DATA)
    other = b"another picture"
    holding_in(world, shipped("us")).after(screening_of(2, other, [OWN, ABUSE]), other)
    world.clock.wait(days=2)
    later = holding_in(world, shipped("eu"))
    later.apply_rules()
    assert (held_in(world).sha256, days_of(held_in(world))) == (SHA256, 300)
    assert later.after(screening_of(3, DATA, [OWN]), DATA)
    assert days_of(held_in(world)) == 300
    assert later.after(screening_of(4, DATA, [WATCH]), DATA)
    assert days_of(held_in(world)) == 30
    holding_in(world, shipped("us"), purposes=frozenset({ABUSE})).apply_rules()
    assert world.store.vault.objects() == []


def test_the_housekeeper_follows_cases_and_applies_the_rules(world: World):
    world.clock = Clock(START)
    screening = recorded(world, 1, OWN)
    holding_in(world, shipped("us")).after(screening, DATA)
    other = b"another picture"
    holding_in(world, shipped("us")).after(screening_of(2, other, [ABUSE]), other)
    holding = holding_in(world, shipped("eu"))
    keeper = Housekeeper(Idle(), None, None, holding, poll_seconds=0.01)  # type: ignore[arg-type]
    keeper.start()
    try:
        _wait_until(lambda: [each.sha256 for each in world.store.vault.objects()] == [SHA256])
        world.join(world.case(1, ABUSE), screening)
        _wait_until(lambda: world.store.vault.objects() == [])
    finally:
        keeper.close()


def _wait_until(condition: object) -> None:
    until = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.01)
