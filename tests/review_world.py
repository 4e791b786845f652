"""People and cases for the tests of review: matches that were taken over into cases, and who decides them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from baken.accounts import Role, User
from baken.case_rules import ReviewPolicy, derive
from baken.cases import Category, Decision, DecisionKind
from baken.model import Purpose
from baken.review import Review
from baken.store import Store
from postgresql import empty_postgresql
from seen_world import NOW, Clock, World, code, pdq_entry, picture

CATEGORIES = (Category("rules", "Against our rules"), Category("other", "Other"))

CONFIRMED = Decision(DecisionKind.CONFIRMED, "the same picture", "rules")
ALLOWED = Decision(DecisionKind.ALLOWED, "with permission")
NOT_A_MATCH = Decision(DecisionKind.NOT_A_MATCH, "another picture")
CANNOT_TELL = Decision(DecisionKind.CANNOT_TELL, "too small")
REFER = Decision(DecisionKind.REFER, "for the hotline")


def person(store: Store, name: str, *roles: Role, bank_ids: Iterable[int] | None = None) -> User:
    """An account."""
    banks = None if bank_ids is None else frozenset(bank_ids)
    user = User(
        f"usr_{secrets.token_hex(8)}",
        name,
        None,
        frozenset(roles or {Role.REVIEWER}),
        banks,
        NOW,
        None,
        has_password=False,
        has_totp=False,
        recovery_code_count=0,
    )
    store.people.create(user, password_hash=None, actor="cli:test")
    return user


class ReviewWorld(World):
    """A world with people and review, whose time moves by hand."""

    def __init__(self, url: str, folder: Path, *, retention_days: int = 90) -> None:
        super().__init__(url, folder, clock=Clock(), retention_days=retention_days)
        self.two_person()
        self.ann = person(self.store, "ann")
        self.ben = person(self.store, "ben")
        self.lea = person(self.store, "lea", Role.LEAD)
        self.lou = person(self.store, "lou", Role.LEAD)
        self.bank()
        self.number = 0

    def two_person(self, *purposes: Purpose) -> None:
        """Let the two-person rule hold for these purposes alone."""
        minutes = timedelta(minutes=5)
        policy = ReviewPolicy(minutes, minutes, frozenset(purposes), CATEGORIES)
        self.review = Review(self.store, policy, known=self.known, now=self.clock)

    def open_case(self, items: int = 1, number: int | None = None) -> str:
        """A case of a picture that no other case has, with items of as many accounts; its id."""
        if number is None:
            self.number += 1
            number = self.number
        self.add(pdq_entry(code(number)))
        case_ids = {self.match(number, account=f"account {number}/{each}") for each in range(items)}
        self.run()
        [case_id] = {self.store.screening(screening_id).case_id for screening_id in case_ids}
        assert case_id is not None
        return case_id

    def more(self, number: int, items: int = 1, file: int = 0) -> list[str]:
        """Further items of a banked picture, taken over; their screenings' ids."""
        ids = [self.match(number, account=f"late {number}/{file}/{each}", file=file) for each in range(items)]
        self.run()
        return ids

    def has_item(self, case_id: str, screening_id: str) -> bool:
        """Whether a case holds an item."""
        return screening_id in {item.screening_id for item in self.store.cases.items(case_id, limit=10_000)}

    def case_of(self, screening_id: str) -> str:
        """The case that an item is in."""
        case_id = self.store.screening(screening_id).case_id
        assert case_id is not None
        return case_id

    def undo(self, user: User, case_id: str) -> None:
        """Take back the last decision, as somebody who sees all of them."""
        given = derive(self.store.case_events.events(case_id)).given
        self.review.undo(user, case_id, given[-1].seq if given else 0)

    def match(self, number: int, account: str | None = None, file: int = 0) -> str:
        """Screen a picture that is banked; the screening's id."""
        screening = self.see(picture(number, file=file), f"item of {account}", account)
        assert screening.outcome.matches
        return screening.id


@contextmanager
def case_reads(store: Store) -> Iterator[list[str]]:
    """The statements that read rows of `cases` while this is open."""
    read: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT cases."):
            read.append(statement)

    engine = store.case_events._database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield read
    finally:
        event.remove(engine, "before_cursor_execute", note)


@contextmanager
def world_of_an_engine(request: pytest.FixtureRequest, folder: Path) -> Iterator[ReviewWorld]:
    """One world for all tests of an engine (`request.param`): each has cases of its own, and time only goes on."""
    url = f"sqlite:///{folder / 'baken.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_database")
        empty_postgresql(url)
    with ReviewWorld(url, folder) as made:
        yield made
