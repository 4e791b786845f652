"""Cases by the hundred for the tests of queues: made up from a seed, written as rows, so that any state can be had."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, update

from baken.accounts import Role, User
from baken.cases import Awaits, Case, CaseItem, CaseState, DecisionKind, MatchOrigin, Signal
from baken.model import Bank, FingerprintKind, Match, Purpose, Transform, Verdict, Visibility
from baken.store import Store, schema
from baken.store.cases import new_case_id
from baken.store.match_rows import match_row

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def seeded(seed: int) -> random.Random:
    """Chance that repeats."""
    return random.Random(seed)  # noqa: S311 - test data, not secrets


def person(name: str, *roles: Role, bank_ids: Sequence[int] | None = None) -> User:
    """A person's account."""
    reached = None if bank_ids is None else frozenset(bank_ids)
    return User(f"usr_{name}", name, None, frozenset(roles), reached, NOW, None, True, False, 0)


def keep_person(store: Store, user: User) -> User:
    """Write the account down."""
    store.people.create(user, password_hash=None, actor="test")
    return user


def make_banks(store: Store) -> list[Bank]:
    """A bank of each purpose that can have cases, and a second one of the first."""
    return [
        store.create_bank(name, purpose, radius_bits=31, verdict=verdict, actor="test")
        for name, purpose, verdict in (
            ("known", Purpose.KNOWN_ABUSE, Verdict.BLOCK),
            ("known-2", Purpose.KNOWN_ABUSE, Verdict.BLOCK),
            ("families", Purpose.OWN_PHOTO, Verdict.HOLD),
            ("watched", Purpose.WATCH, Verdict.ALLOW),
        )
    ]


def random_case(generator: random.Random, banks: Sequence[Bank], people: Sequence[User]) -> Case:
    """A case that could be; many are alike in what they are sorted by."""
    opened_at = NOW - timedelta(hours=generator.randrange(24 * 40))
    of_banks = generator.sample(list(banks), min(len(banks), generator.choice((1, 1, 2))))
    state = generator.choice((CaseState.OPEN, CaseState.OPEN, CaseState.OPEN, CaseState.ON_HOLD, CaseState.DECIDED))
    is_decided = state is CaseState.DECIDED
    items = generator.choice((1, 1, 2, 8, 500))
    case = Case(
        new_case_id(opened_at),
        of_banks[0].purpose,
        state,
        opened_at,
        opened_at + timedelta(hours=1),
        items,
        generator.randint(1, items),
        bank_ids=tuple(sorted(bank.id for bank in of_banks)),
        event_count=1,
        awaits=None if is_decided else generator.choice((Awaits.FIRST, Awaits.FIRST, Awaits.SECOND, Awaits.LEAD)),
        is_escalated=generator.random() < 0.1,
        widest_visibility=generator.choice((None, *Visibility)),
        signals=generator.choice(((), (), (Signal("repeat_account", generator.randint(1, 4)),))),
        rank=generator.choice((0.0, 1.5, -2.25, generator.random())),
    )
    if is_decided:
        decided_at = NOW - timedelta(hours=generator.randrange(100))
        by = generator.choice(people).actor
        return replace(case, decision=generator.choice(list(DecisionKind)), decided_at=decided_at, decided_by=by)
    if generator.random() < 0.3:
        until = NOW + timedelta(minutes=generator.choice((-5, 0, 5)))
        case = replace(case, holder_id=generator.choice(people).id, lease_until=until)
    return replace(case, assignee_id=generator.choice(people).id) if generator.random() < 0.1 else case


def open_case(case: Case, **values: object) -> Case:
    """The case as it would be before anybody did anything with it, with some values of its own."""
    nobodys: dict[str, object] = {"state": CaseState.OPEN, "awaits": Awaits.FIRST, "decision": None}
    nobodys |= dict.fromkeys(("decided_at", "decided_by", "holder_id", "lease_until", "assignee_id"))
    return replace(case, **{**nobodys, **values})  # type: ignore[arg-type]


def write_cases(store: Store, cases: Sequence[Case]) -> None:
    """Write cases as they are, ranked already as far as the database knows."""
    names = [each.name for each in fields(Case) if each.name not in {"entries", "bank_ids"}]
    rows = []
    for case in cases:
        row = {name: getattr(case, name) for name in names}
        row["signals"] = [asdict(signal) for signal in case.signals]
        rows.append({**row, "ranked_at": case.updated_at})
    of_banks = [{"bank_id": bank_id, "case_id": case.id} for case in cases for bank_id in case.bank_ids]
    with store.queues._database.write() as connection:
        connection.execute(insert(schema.cases), rows)
        connection.execute(insert(schema.case_banks), of_banks)


def match_of(bank: Bank, entry_id: int = 1) -> Match:
    """A match with an entry of a bank."""
    return Match(bank.id, bank.name, bank.purpose, bank.verdict, entry_id, FingerprintKind.PDQ, 4, Transform.IDENTITY)


def write_item(
    store: Store,
    case: Case,
    account_ref: str | None,
    *,
    screening_id: str,
    item_ref: str = "item",
    album_ref: str | None = None,
    visibility: Visibility | None = None,
    seen_at: datetime = NOW,
    joined_at: datetime = NOW,
    matches: Sequence[Match] = (),
) -> None:
    """Let an item join a case, without anything else that happens then."""
    item = CaseItem(
        0, case.id, screening_id, item_ref, account_ref, album_ref, visibility, seen_at, joined_at,
        MatchOrigin.SCREENING, (),
    )  # fmt: skip
    row = {**asdict(item), "origin": item.origin.value, "matches": [match_row(match) for match in matches]}
    del row["id"]
    with store.queues._database.write() as connection:
        connection.execute(insert(schema.case_items), [row])


def change(store: Store, case: Case, **values: object) -> None:
    """Change columns of a case; `updated_at` as well, as everything that changes one does."""
    with store.queues._database.write() as connection:
        at = connection.execute(select(schema.cases.c.updated_at).where(schema.cases.c.id == case.id)).scalar_one()
        later = {"updated_at": at + timedelta(seconds=1), **values}
        connection.execute(update(schema.cases).where(schema.cases.c.id == case.id).values(later))
