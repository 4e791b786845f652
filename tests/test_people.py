"""People: signing in, the second factor, sessions, invitations and waiting, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import insert, text

from baken.accounts import Role, SignInMethod, User
from baken.errors import (
    ConflictError,
    InvalidValueError,
    NotAuthenticatedError,
    NotFoundError,
    SealKeyMissingError,
    TooManyAttemptsError,
)
from baken.keeping import Keeping
from baken.passwords import Passwords
from baken.people import Browser, People, SecondFactorWanted, SessionLimits, SignedIn
from baken.people_attempts import wait_after
from baken.sealing import Sealer
from baken.second_factor import code_at
from baken.store import Store
from baken.store.schema import audit_head
from postgresql import empty_postgresql

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GOOD, OTHER = "correct horse battery", "staple of another kind"
HOME = Browser("192.0.2.7", "a browser")
CHEAP = Passwords(time_cost=1, memory_kib=8, parallelism=1)


@dataclass
class World:
    """People on one store, and a clock that the test moves."""

    store: Store
    sealer: Sealer
    at: datetime = START
    people: People = field(init=False)

    def __post_init__(self) -> None:
        limits = SessionLimits(timedelta(hours=1), timedelta(hours=12))
        self.people = People(self.store, self.sealer, CHEAP, limits=limits, now=lambda: self.at)

    def wait(self, **given: float) -> None:
        """Let time pass."""
        self.at += timedelta(**given)

    def make(self, name: str = "alice", *roles: Role, **given: object) -> User:
        """An account with a password."""
        asked = {"password": GOOD, "actor": "cli:test", **given}
        return self.people.create(name, roles or (Role.REVIEWER,), **asked)

    def enter(self, name: str = "alice", password: str = GOOD, browser: Browser = HOME) -> SignedIn:
        """Sign in, without a second factor."""
        entered = self.people.sign_in(name, password, browser)
        assert isinstance(entered, SignedIn)
        return entered

    def half_enter(self, name: str = "alice", password: str = GOOD, browser: Browser = HOME) -> str:
        """Give the right password; the ticket for the second step."""
        wanted = self.people.sign_in(name, password, browser)
        assert isinstance(wanted, SecondFactorWanted)
        return wanted.ticket

    def enrol(self, user: User) -> tuple[bytes, list[str]]:
        """Set up a second factor; its secret and the recovery codes."""
        offer = self.people.second_factors.offer(user)
        codes = self.people.second_factors.confirm(user, offer.secret, code_at(offer.secret, self.at))
        self.wait(seconds=60)
        return offer.secret, codes

    def is_in(self, token: str) -> bool:
        """Whether a token still opens anything."""
        try:
            self.people.session(token)
        except NotAuthenticatedError:
            return False
        return True

    def kinds(self) -> list[str]:
        """What the audit log tells."""
        return [row.kind for row in self.store.audit.rows()]

    def stored(self) -> str:
        """Everything in the database, as text."""
        tables = ("users", "recovery_codes", "sessions", "tickets", "sign_in_attempts", "audit_events")
        with self.store._database.read() as connection:
            return repr([connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in tables])  # noqa: S608


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all tests of this file on each engine: making the tables costs more than any of them."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('people') / 'baken.sqlite3'}"
    url: str = request.getfixturevalue("postgresql_database")
    empty_postgresql(url)
    return url


@pytest.fixture(scope="module")
def shared_store(shared_url: str) -> Iterator[Store]:
    with Store.initialise(shared_url) as opened:
        yield opened


@pytest.fixture
def store_url(shared_url: str) -> str:
    return shared_url


@pytest.fixture
def world(shared_store: Store, tmp_path: Path) -> World:
    tables = ("sessions", "tickets", "recovery_codes", "sign_in_attempts", "users", "audit_events", "audit_head")
    with shared_store._database.write() as connection:
        for table in tables:
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of ours
        connection.execute(insert(audit_head), {"id": 1, "seq": 0, "digest": bytes(32)})
    return World(shared_store, Sealer(tmp_path / "feature.key"))


def test_who_has_the_password_is_in_and_the_log_says_so(world: World):
    user = world.make()
    entered = world.enter(" ALICE ")

    assert world.people.session(entered.token) == (user, entered.session)
    assert (entered.session.method, entered.session.address) == (SignInMethod.PASSWORD, "192.0.2.7")
    assert world.kinds() == ["user.created", "user.signed_in"]


def test_nothing_secret_is_kept_as_it_was_given(world: World):
    user = world.make()
    secret, codes = world.enrol(user)
    ticket = world.half_enter()
    token = world.people.give_second_factor(ticket, code_at(secret, world.at), HOME).token
    invitation = world.people.invite(user, actor="cli:test")

    stored = world.stored()
    for given in (GOOD, ticket, token, invitation, *codes, secret.hex(), repr(secret)):
        assert given not in stored


@pytest.mark.parametrize("case", ["wrong password", "no such name", "disabled", "no password yet"])
def test_every_refusal_reads_the_same(world: World, case: str):
    world.make("root", Role.ADMIN)
    user = world.make(password=None if case == "no password yet" else GOOD)
    if case == "disabled":
        world.store.people.change(user.id, disabled_at=world.at, actor="cli:test")
    name, password = ("bob" if case == "no such name" else "alice"), (OTHER if case == "wrong password" else GOOD)

    with pytest.raises(
        NotAuthenticatedError, match="name or password are wrong, or the account cannot be used"
    ) as raised:
        world.people.sign_in(name, password, HOME)

    assert "alice" not in raised.value.message
    assert ("user.sign_in_failed" in world.kinds()) is (case != "no such name")


def test_an_unknown_name_costs_a_hash_like_a_known_one(world: World, monkeypatch: pytest.MonkeyPatch):
    verified: list[str] = []
    real = PasswordHasher.verify

    def verify(hasher: PasswordHasher, kept: str, given: str) -> bool:
        verified.append(kept[:20])
        return real(hasher, kept, given)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    world.make()
    for name in ("alice", "nobody"):
        with pytest.raises(NotAuthenticatedError):
            world.people.sign_in(name, OTHER, HOME)

    assert len(verified) == 2
    assert verified[0] == verified[1]


def test_an_account_waits_longer_after_each_failure_and_is_free_after_a_success(world: World):
    world.make()
    for _ in range(5):
        with pytest.raises(NotAuthenticatedError):
            world.people.sign_in("alice", OTHER, HOME)
    for name in ("alice", "Alice"):
        with pytest.raises(TooManyAttemptsError, match="in 2 seconds"):
            world.people.sign_in(name, GOOD, HOME)
    world.wait(seconds=1)
    with pytest.raises(NotAuthenticatedError):
        world.people.sign_in("alice", OTHER, HOME)
    world.wait(seconds=1)
    with pytest.raises(TooManyAttemptsError):
        world.people.sign_in("alice", GOOD, HOME)
    world.wait(seconds=1)
    world.enter()

    for _ in range(5):
        with pytest.raises(NotAuthenticatedError):
            world.people.sign_in("alice", OTHER, HOME)


def test_a_name_that_nobody_has_waits_like_any_other(world: World):
    for _ in range(5):
        with pytest.raises(NotAuthenticatedError):
            world.people.sign_in("nobody", GOOD, HOME)
    with pytest.raises(TooManyAttemptsError):
        world.people.sign_in("nobody", GOOD, HOME)


def test_an_address_that_tries_many_names_waits_whatever_it_tries_next(world: World):
    world.make()
    for number in range(30):
        with pytest.raises(NotAuthenticatedError):
            world.people.sign_in(f"name {number}", GOOD, Browser(f"2001:db8::{number:x}"))

    with pytest.raises(TooManyAttemptsError):
        world.people.sign_in("alice", GOOD, Browser("2001:db8::ffff:1"))  # the same site
    world.enter(browser=Browser("2001:db8:0:1::1"))


def test_an_office_that_signs_in_with_two_factors_is_never_kept_waiting(world: World):
    secret, _ = world.enrol(world.make())
    for _ in range(40):
        ticket = world.half_enter()
        world.people.give_second_factor(ticket, code_at(secret, world.at), HOME)
        world.wait(seconds=30)

    for number in range(30):  # and has lost nothing of its allowance, nor won anything
        with pytest.raises(NotAuthenticatedError):
            world.people.sign_in(f"name {number}", GOOD, HOME)
    with pytest.raises(TooManyAttemptsError):
        world.people.sign_in("alice", GOOD, HOME)


def test_second_factors_that_fail_use_the_allowance_of_their_address_up(world: World):
    for number in range(10):
        world.enrol(world.make(f"person {number}"))
    for number in range(10):
        ticket = world.half_enter(f"person {number}")
        for _ in range(3):
            with pytest.raises(NotAuthenticatedError):
                world.people.give_second_factor(ticket, "000000", HOME)

    with pytest.raises(TooManyAttemptsError):
        world.people.sign_in("somebody else", GOOD, HOME)
    with pytest.raises(NotAuthenticatedError):
        world.people.sign_in("somebody else", GOOD, Browser("192.0.2.8"))


def test_a_one_time_link_gives_an_address_nothing_back(world: World):
    user = world.make()
    for number in range(29):
        with pytest.raises(NotAuthenticatedError):
            world.people.sign_in(f"name {number}", GOOD, HOME)
    for _ in range(3):
        world.people.sign_in_once(world.people.link_once(user, actor="cli:test"), HOME)

    with pytest.raises(NotAuthenticatedError):
        world.people.sign_in("name 29", GOOD, HOME)
    with pytest.raises(TooManyAttemptsError):
        world.people.sign_in("name 30", GOOD, HOME)


def test_waits_double_up_to_an_hour():
    waits = [wait_after(count, 5).total_seconds() for count in (1, 4, 5, 6, 16, 17, 1000)]
    assert waits == [0, 0, 1, 2, 2048, 3600, 3600]


def test_attempts_that_run_at_once_are_all_counted(world: World, store_url: str):
    world.make()
    outcomes: list[type[BaseException]] = []

    def attempt() -> None:
        with Store.open(store_url) as store:
            people = People(store, world.sealer, CHEAP, now=lambda: START)
            try:
                people.sign_in("alice", OTHER, HOME)
            except (NotAuthenticatedError, TooManyAttemptsError) as error:
                outcomes.append(type(error))

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(kind.__name__ for kind in outcomes) == ["NotAuthenticatedError"] * 5 + ["TooManyAttemptsError"] * 7


def test_a_second_factor_is_asked_for_once_it_is_confirmed(world: World):
    user = world.make()
    offer = world.people.second_factors.offer(user)
    with pytest.raises(InvalidValueError, match="the code is not the one"):
        world.people.second_factors.confirm(user, offer.secret, "000000")
    world.enter()
    secret, _ = world.enrol(user)

    entered = world.people.give_second_factor(world.half_enter(), code_at(secret, world.at), HOME)

    assert entered.session.method is SignInMethod.TOTP
    assert world.store.people.user(user.id).has_totp


def test_a_code_is_taken_once(world: World):
    secret, _ = world.enrol(world.make())
    first, second = world.half_enter(), world.half_enter()
    code = code_at(secret, world.at)
    world.people.give_second_factor(first, code, HOME)

    with pytest.raises(NotAuthenticatedError, match="used already"):
        world.people.give_second_factor(second, code, HOME)
    world.wait(seconds=30)
    world.people.give_second_factor(second, code_at(secret, world.at), HOME)


def test_a_ticket_for_the_second_factor_is_good_once_and_for_minutes(world: World):
    secret, _ = world.enrol(world.make())
    ticket = world.half_enter()
    world.people.give_second_factor(ticket, code_at(secret, world.at), HOME)
    late = world.half_enter()
    world.wait(minutes=6)

    for used in (ticket, late, "nonsense", ""):
        with pytest.raises(NotAuthenticatedError):
            world.people.give_second_factor(used, code_at(secret, world.at), HOME)
    assert not world.is_in(late)


def test_codes_cannot_be_guessed_without_waiting(world: World):
    world.enrol(world.make())
    ticket = world.half_enter()
    refused = []
    for _ in range(8):
        with pytest.raises((NotAuthenticatedError, TooManyAttemptsError)) as raised:
            world.people.give_second_factor(ticket, "000000", HOME)
        refused.append(raised.type)

    assert refused == [NotAuthenticatedError] * 4 + [TooManyAttemptsError] * 4


def test_a_recovery_code_stands_in_for_the_device_once(world: World):
    user = world.make()
    _, codes = world.enrol(user)
    entered = world.people.give_second_factor(world.half_enter(), codes[3].upper(), HOME)

    assert entered.session.method is SignInMethod.RECOVERY_CODE
    assert world.store.people.user(user.id).recovery_code_count == 9
    with pytest.raises(NotAuthenticatedError):
        world.people.give_second_factor(world.half_enter(), codes[3], HOME)

    world.wait(days=2)  # both steps of what failed were counted
    fresh = world.people.second_factors.renew_recovery_codes(world.store.people.user(user.id))
    with pytest.raises(NotAuthenticatedError):
        world.people.give_second_factor(world.half_enter(), codes[4], HOME)
    world.people.give_second_factor(world.half_enter(), fresh[0], HOME)


def test_the_recovery_code_of_another_person_is_worth_nothing(world: World):
    world.enrol(world.make("alice"))
    _, codes_of_bob = world.enrol(world.make("bob"))

    with pytest.raises(NotAuthenticatedError):
        world.people.give_second_factor(world.half_enter("alice"), codes_of_bob[0], HOME)


def test_a_lost_device_is_reset_by_an_administrator(world: World):
    user = world.make()
    world.enrol(user)
    world.store.people.reset_totp(user.id, actor="cli:test")

    world.enter()
    assert world.store.people.user(user.id).recovery_code_count == 0


def test_secrets_of_second_factors_are_sealed_for_their_person_and_sealed_again(world: World):
    alice, bob = world.make("alice"), world.make("bob")
    secret, _ = world.enrol(alice)
    world.enrol(bob)
    key = world.sealer.key_path
    key.write_text("ab" * 32 + "\n" + key.read_text())

    assert Keeping(world.sealer).reseal(world.store) == 2
    key.write_text("ab" * 32 + "\n")
    world.people.give_second_factor(world.half_enter(), code_at(secret, world.at), HOME)

    key.unlink()
    with pytest.raises(SealKeyMissingError, match="sealed already"):
        world.people.second_factors.confirm(bob, secret, code_at(secret, world.at))
    assert not key.exists()


def test_a_session_ends_when_it_is_unused_over_or_revoked(world: World):
    user = world.make()
    idle, used, revoked = (world.enter() for _ in range(3))
    for _ in range(12):
        assert world.is_in(used.token)
        world.wait(minutes=59)
    assert not world.is_in(idle.token)
    assert world.is_in(used.token)
    world.wait(minutes=13)
    assert not world.is_in(used.token)  # twelve hours are over

    assert not world.is_in(revoked.token)
    again, other = world.enter(), world.enter()
    assert world.people.end_sessions(user, session_id=again.session.id, actor="cli:test") == 1
    assert [world.is_in(each.token) for each in (again, other)] == [False, True]
    world.people.sign_out(other.session)
    assert not world.is_in(other.token)
    assert world.kinds()[-2:] == ["user.signed_out"] * 2
    for token in (None, "", "nonsense", "\udcff"):
        assert not world.is_in(token or "")


def test_a_session_is_ended_by_its_own_person_only(world: World):
    world.make("alice")
    bob = world.make("bob")
    entered = world.enter("alice")

    with pytest.raises(NotFoundError):
        world.people.end_sessions(bob, session_id=entered.session.id, actor=bob.actor)
    assert world.is_in(entered.token)


def test_a_new_password_ends_all_other_sessions_and_invitations(world: World):
    user = world.make()
    mine, other = world.enter(), world.enter()
    invitation = world.people.invite(user, actor="cli:test")
    world.people.set_password(user, OTHER, actor=user.actor, keep_session=mine.session.id)

    assert [world.is_in(each.token) for each in (mine, other)] == [True, False]
    with pytest.raises(NotAuthenticatedError):
        world.people.set_up(invitation, GOOD)
    with pytest.raises(NotAuthenticatedError):
        world.people.sign_in("alice", GOOD, HOME)
    world.enter(password=OTHER)


def test_a_disabled_account_is_out_at_once_and_comes_back_as_it_was(world: World):
    world.make("root", Role.ADMIN)
    user = world.make()
    entered = world.enter()
    world.store.people.change(user.id, disabled_at=world.at, actor="cli:test")
    assert not world.is_in(entered.token)
    with pytest.raises(ConflictError, match="disabled"):
        world.people.invite(world.store.people.user(user.id), actor="cli:test")

    world.store.people.change(user.id, enable=True, actor="cli:test")

    assert not world.is_in(entered.token)
    world.enter()


def test_an_invitation_sets_a_password_once(world: World):
    user = world.make(password=None)
    earlier = world.people.invite(user, actor="cli:test")
    token = world.people.invite(user, actor="cli:test")
    with pytest.raises(InvalidValueError):
        world.people.set_up(token, "too short")

    world.people.set_up(token, GOOD)

    world.enter()
    for used in (earlier, token, "nonsense"):
        with pytest.raises(NotAuthenticatedError):
            world.people.set_up(used, OTHER)


def test_an_invitation_ends_after_three_days(world: World):
    user = world.make(password=None)
    token = world.people.invite(user, actor="cli:test")
    world.wait(days=3, seconds=1)
    with pytest.raises(NotAuthenticatedError):
        world.people.set_up(token, GOOD)


def test_a_password_hashed_with_old_parameters_is_hashed_again_at_the_next_sign_in(world: World):
    user = world.make()
    newer = Passwords(time_cost=2, memory_kib=8, parallelism=1)
    People(world.store, world.sealer, newer, now=lambda: START).sign_in("alice", GOOD, HOME)

    kept = world.store.people.credentials(user_id=user.id)
    assert kept is not None
    assert kept.password_hash is not None
    assert "t=2" in kept.password_hash


def test_names_differ_in_more_than_capitals(world: World):
    world.make("alice")
    with pytest.raises(ConflictError, match="already"):
        world.make("ALICE")
    for name in ("", "  ", "x" * 101, "a\nb"):
        with pytest.raises(InvalidValueError):
            world.make(name)
    with pytest.raises(InvalidValueError, match="without a role"):
        world.people.create("bob", (), actor="cli:test")
    with pytest.raises(InvalidValueError, match="address"):
        world.make("bob", email="nonsense")


def test_roles_and_banks_are_changed_and_told_and_addresses_stay_out_of_the_log(world: World):
    user = world.make(email="alice@example.org", bank_ids=[2, 1])
    changed = world.store.people.change(user.id, roles=[Role.LEAD], all_banks=True, email="", actor="cli:test")
    again = world.store.people.change(user.id, roles=[Role.LEAD], actor="cli:test")

    assert (changed.roles, changed.bank_ids, changed.email) == (frozenset({Role.LEAD}), None, None)
    assert again == changed
    assert world.kinds() == ["user.created", "user.changed"]
    events = [row.parsed() for row in world.store.audit.rows()]
    assert events[1]["facts"]["roles"] == {"before": ["reviewer"], "now": ["lead"]}
    assert events[1]["facts"]["bank_ids"] == {"before": [1, 2], "now": None}
    assert "example.org" not in str(events)


def test_the_last_administrator_stays_even_when_two_go_at_once(world: World, store_url: str):
    alice, bob = world.make("alice", Role.ADMIN), world.make("bob", Role.ADMIN)
    outcomes: list[str] = []

    def demote(user: User) -> None:
        with Store.open(store_url) as store:
            try:
                store.people.change(user.id, roles=[Role.AUDITOR], actor="cli:test")
                outcomes.append("changed")
            except ConflictError:
                outcomes.append("refused")

    threads = [threading.Thread(target=demote, args=(user,)) for user in (alice, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["changed", "refused"]
    [left] = [user for user in world.store.people.all() if Role.ADMIN in user.roles]
    with pytest.raises(ConflictError, match="last administrator"):
        world.store.people.change(left.id, disabled_at=world.at, actor="cli:test")
