"""A store as it is after two months: screenings by the million, and a hundred thousand open cases of all sizes.

Rows are written past the flow that makes them, in the form in which it leaves them, because screening a million
pictures takes hours. What people do with the cases afterwards goes through the real thing.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Connection, Date, Table, insert

from baken.cases import Awaits, Case, CaseState, DecisionKind, EventKind, MatchOrigin
from baken.model import (
    Bank,
    Finding,
    Fingerprint,
    FingerprintKind,
    Match,
    NewEntry,
    Provenance,
    Purpose,
    Transform,
    Verdict,
    Visibility,
)
from baken.priorities import Weights, rank_of
from baken.store import Store, schema
from baken.store.bulk import for_driver, insert_rows
from baken.store.columns import UtcTime
from baken.store.match_rows import match_row
from baken.store.seen_turn import set_state
from bench.codes import random_codes

NOW = datetime(2026, 11, 28, tzinfo=UTC)
CROWD_ACCOUNT = "account crowd"
"""An account with thousands of screenings and cases, of which as many are decided as of all."""

LOOKING_DAYS = 30

_BANKS = (("lists", Purpose.KNOWN_ABUSE), ("hotline", Purpose.KNOWN_ABUSE), ("families", Purpose.OWN_PHOTO))
_CHUNK = 20_000
_ENTRIES = 1_000
_PEOPLE_ACCOUNTS = 50_000
_MIRRORINGS_BYTES = 128
_DECIDED_SHARE = 6  # of six cases, one is decided
_CROWD_CASES = 2_000
_LARGEST_CASE = 3_000
_LOOK = timedelta(seconds=4)


@dataclass(frozen=True, slots=True)
class Filled:
    """What was written, as far as requests need it.

    Attributes:
        open_ids: the open cases.
        large_id: the one with most items.
        item_refs: some items of cases.
        account_ref: an account like most.
        codes: uint8[N, 128], the mirrorings of the first screenings.
    """

    open_ids: list[str]
    large_id: str
    item_refs: list[str]
    account_ref: str
    codes: Any


def fill(store: Store, screening_count: int, open_count: int) -> Filled:
    """Banks with entries, screenings that are remembered, and cases with their items and events."""
    chance = random.Random(61)  # noqa: S311 - test data, not secrets
    cases = list(_cases(chance, _banks(store), open_count, screening_count))
    crowd = frozenset(case.numbers[0] for case in cases if case.is_crowd)
    with store.queues._database.write() as connection:
        codes = _write_screenings(connection, screening_count, crowd)
        set_state(connection, seq=screening_count, last_item_id=screening_count)
    with store.queues._database.write() as connection:
        for table, columns, rows in _rows_of(cases, chance):
            _write(connection, table, columns, rows)
        connection.execute(insert(schema.case_ranking).values(id=1, weights=str(Weights())))
    _settle(store)
    still_open = [case for case in cases if case.state is CaseState.OPEN]
    largest = max(still_open, key=lambda case: len(case.numbers))
    refs = [f"item {case.numbers[0]}" for case in still_open[:100]]
    [usual, *_] = (account_of(case.numbers[0]) for case in still_open if not case.is_crowd)
    return Filled([case.id for case in still_open], largest.id, refs, usual, codes)


def fill_looks(store: Store, user_ids: Sequence[str], data: Filled, looks_a_day: int) -> None:
    """What people looked at in the month until now: one look of a hundred was at the case with most items."""
    columns = (
        "user_id",
        "case_id",
        "screening_id",
        "level",
        "purpose",
        "reason",
        "shown_at",
        "hidden_at",
        "shown_seconds",
    )
    count = LOOKING_DAYS * looks_a_day * len(user_ids)
    now, step = datetime.now(UTC), timedelta(days=LOOKING_DAYS) / count

    of_days: Counter[tuple[str, date, int, str]] = Counter()

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(count):
            at, user_id = now - step * (count - number), user_ids[number % len(user_ids)]
            level, purpose = 1 + number % 3, Purpose.KNOWN_ABUSE.value
            of_days[user_id, at.date(), level, purpose] += 1
            case_id = data.large_id if number % 100 == 0 else data.open_ids[number % len(data.open_ids)]
            yield user_id, case_id, screening_id_of(number), level, purpose, None, at, at + _LOOK, _LOOK.total_seconds()

    with store.queues._database.write() as connection:
        _write(connection, schema.reveals, columns, rows())
        sums = ((*key, looks, looks * _LOOK.total_seconds()) for key, looks in of_days.items())
        columns = ("user_id", "day", "level", "purpose", "look_count", "shown_seconds")
        _write(connection, schema.exposure_days, columns, sums)
    _settle(store)


@dataclass(frozen=True, slots=True)
class _Case:
    id: str
    bank: Bank
    entry_id: int
    state: CaseState
    opened_at: datetime
    numbers: range  # of the screenings that are in it
    visibility: Visibility
    is_crowd: bool

    def account_of(self, number: int) -> str:
        return account_of(number, is_crowd=self.is_crowd and number == self.numbers[0])


def account_of(number: int, *, is_crowd: bool = False) -> str:
    """Whose the screening of a number is."""
    return CROWD_ACCOUNT if is_crowd else f"account {number % _PEOPLE_ACCOUNTS}"


def screening_id_of(number: int) -> str:
    """What the screening of a number is called."""
    return f"scr_{number:026x}"


def _banks(store: Store) -> list[Bank]:
    banks = [
        store.create_bank(name, purpose, radius_bits=31, verdict=Verdict.HOLD, actor="bench")
        for name, purpose in (
            ("lists", Purpose.KNOWN_ABUSE),
            ("hotline", Purpose.KNOWN_ABUSE),
            ("families", Purpose.OWN_PHOTO),
        )
    ]
    codes = random_codes(_ENTRIES * len(banks), seed=62)
    for number, bank in enumerate(banks):
        mine = codes[number * _ENTRIES : (number + 1) * _ENTRIES]
        entries = [NewEntry((Fingerprint(FingerprintKind.PDQ, code.tobytes(), 90),)) for code in mine]
        store.add_entries(bank.name, entries, Provenance("bench", "bench"), actor="bench")
    return banks


def _write_screenings(connection: Connection, count: int, crowd: Collection[int]) -> Any:  # noqa: ANN401 - codes
    """Screenings and what is remembered of them; those of the numbers `crowd` are of the crowd's account."""
    first = None
    for start in range(0, count, _CHUNK):
        numbers = range(start, min(start + _CHUNK, count))
        codes = random_codes(len(numbers) * 4, seed=1_000 + start).reshape(len(numbers), _MIRRORINGS_BYTES)
        first = codes if first is None else first
        digests = [hashlib.sha256(b"%d" % number).digest() for number in numbers]
        at = [NOW - timedelta(seconds=5 * (count - number)) for number in numbers]
        given = list(zip(numbers, codes, digests, at, strict=True))
        digest_names = ("sha256", "sha1", "md5", "pdq", "quality_percent")
        refs = [_references(n, crowd) for n in numbers]
        rows = [
            (*ref, when, Visibility.PUBLIC.value, digest, digest[:20], digest[:16], code[:32].tobytes(), 90)
            for ref, (_, code, digest, when) in zip(refs, given, strict=True)
        ]
        names = ("id", "item_ref", "account_ref", "album_ref", "created_at", "visibility", *digest_names)
        result = ("finding", "verdict", "matches", "suppressed", "elapsed_ms")
        found = (Finding.MATCHED.value, Verdict.HOLD.value, [], [], 20.0)
        _write(connection, schema.screenings, (*names, *result), [(*row, *found) for row in rows])
        columns: tuple[str, ...]
        columns = ("id", "key", "sha256", "sha1", "md5", "quality_percent", "mirrorings", "cluster_id")
        files = [
            (n + 1, digest[16:], digest, digest[:20], digest[:16], 90, code.tobytes(), n + 1, 1)
            for n, code, digest, _ in given
        ]
        _write(connection, schema.seen_files, (*columns, "item_count"), files)
        clusters = [(n + 1, code[:32].tobytes(), 1) for n, code, _, _ in given]
        _write(connection, schema.seen_clusters, ("id", "pdq", "item_count"), clusters)
        columns = ("id", "file_id", "screening_id", "item_ref", "account_ref", "album_ref", "seen_at")
        items = [(n + 1, n + 1, *ref, when) for ref, (n, _, _, when) in zip(refs, given, strict=True)]
        _write(connection, schema.seen_items, columns, items)
    return first


def _references(number: int, crowd: Collection[int]) -> tuple[str, str, str, str]:
    account_ref = account_of(number, is_crowd=number in crowd)
    return screening_id_of(number), f"item {number}", account_ref, f"album {number % 9_000}"


def _cases(chance: random.Random, banks: Sequence[Bank], open_count: int, screening_count: int) -> Iterator[_Case]:
    """Most cases have an item or two, a few have thousands; together they have at most every screening."""
    total = open_count + open_count // (_DECIDED_SHARE - 1)
    next_number, spare = 0, screening_count - total
    for number in range(total):
        wanted = min(_LARGEST_CASE, int(chance.paretovariate(1.1)))
        extra = max(0, min(wanted - 1, spare))
        spare -= extra
        opened_at = NOW - timedelta(seconds=chance.randrange(60 * 86_400), microseconds=number)
        case_id = f"case_{int(opened_at.timestamp() * 1000):012x}{number:014x}"
        bank = banks[0] if number % 10 else banks[1 + number // 10 % 2]
        entry_id = (bank.id - banks[0].id) * _ENTRIES + 1 + number % _ENTRIES
        state = CaseState.DECIDED if number % _DECIDED_SHARE == 0 else CaseState.OPEN
        numbers = range(next_number, next_number + 1 + extra)
        is_crowd = chance.random() * total < min(_CROWD_CASES, total // 2)
        visibility = chance.choice(list(Visibility))
        yield _Case(case_id, bank, entry_id, state, opened_at, numbers, visibility, is_crowd)
        next_number += 1 + extra


_Written = tuple[Table, tuple[str, ...], Iterator[tuple[Any, ...]]]


def _rows_of(cases: Sequence[_Case], chance: random.Random) -> Iterator[_Written]:
    """The tables in the order in which they refer to each other."""
    yield (
        schema.cases,
        (
            *(
                "id",
                "purpose",
                "state",
                "opened_at",
                "updated_at",
                "item_count",
                "account_count",
                "event_count",
                "awaits",
            ),
            *("decision", "decided_at", "decided_by", "undo_until", "is_escalated", "widest_visibility"),
            *("signals", "rank", "ranked_at"),
        ),
        (_case_row(case, chance) for case in cases),
    )
    yield schema.case_banks, ("bank_id", "case_id"), ((case.bank.id, case.id) for case in cases)
    yield schema.case_entries, ("case_id", "entry_id"), ((case.id, case.entry_id) for case in cases)
    yield (
        schema.case_keys,
        ("purpose", "kind", "key_id", "case_id"),
        ((case.bank.purpose.value, "cluster", case.numbers[0] + 1, case.id) for case in cases),
    )
    names = ("case_id", "screening_id", "item_ref", "account_ref", "album_ref", "visibility", "seen_at", "joined_at")
    yield schema.case_items, (*names, "origin", "matches"), (row for case in cases for row in _item_rows(case))
    yield (
        schema.case_events,
        ("case_id", "seq", "at", "kind", "actor", "facts"),
        (row for case in cases for row in _event_rows(case)),
    )


def _case_row(case: _Case, chance: random.Random) -> tuple[Any, ...]:
    at, is_decided = case.opened_at, case.state is CaseState.DECIDED
    accounts = len({case.account_of(number) for number in case.numbers})
    facts = (case.id, case.bank.purpose.value, case.state.value, at, at, len(case.numbers), accounts)
    counted = Case(
        *(case.id, case.bank.purpose, case.state, at, at, len(case.numbers), accounts),
        widest_visibility=case.visibility,
    )
    ranked: tuple[Any, ...] = (False, case.visibility.value, [], rank_of(counted, Weights()), at)
    if is_decided:
        kind = chance.choice((DecisionKind.CONFIRMED, DecisionKind.NOT_A_MATCH)).value
        return (*facts, 3, None, kind, at, "user:usr_bench", at, *ranked)
    return (*facts, 2, Awaits.FIRST.value, None, None, None, None, *ranked)


def _item_rows(case: _Case) -> Iterator[tuple[Any, ...]]:
    bank = case.bank
    match = Match(
        bank.id, bank.name, bank.purpose, bank.verdict, case.entry_id, FingerprintKind.PDQ, 4, Transform.IDENTITY
    )
    matches = [match_row(match)]
    for number in case.numbers:
        references = (f"item {number}", case.account_of(number), f"album {number % 9_000}", case.visibility.value)
        times = (case.opened_at, case.opened_at)
        yield (case.id, screening_id_of(number), *references, *times, MatchOrigin.SCREENING.value, matches)


def _event_rows(case: _Case) -> Iterator[tuple[Any, ...]]:
    items = {"items": len(case.numbers), "accounts": 1, "origin": MatchOrigin.SCREENING.value}
    yield case.id, 1, case.opened_at, EventKind.OPENED.value, "baken", {}
    yield case.id, 2, case.opened_at, EventKind.JOINED.value, "baken", items
    if case.state is CaseState.DECIDED:
        facts = {"kind": "confirmed", "category": None, "reason": "bench", "items": len(case.numbers)}
        facts |= {"awaits": None, "undo_until": None}
        yield case.id, 3, case.opened_at, EventKind.DECIDED.value, "user:usr_bench", facts


def _write(connection: Connection, table: Table, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    # Only these are not what both drivers take as they are; turning every value would take as long as writing it.
    turned = [
        (place, for_driver(connection, table, name))
        for place, name in enumerate(columns)
        if isinstance(table.c[name].type, UtcTime | JSON | Date)
    ]
    chunk: list[tuple[Any, ...]] = []
    for row in rows:
        values = list(row)
        for place, convert in turned:
            values[place] = convert(values[place])
        chunk.append(tuple(values))
        if len(chunk) == _CHUNK:
            insert_rows(connection, table, columns, chunk)
            chunk = []
    insert_rows(connection, table, columns, chunk)


def _settle(store: Store) -> None:
    """Let the database count its rows, as its own upkeep does within minutes on a server that runs."""
    database = store.queues._database
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if database.is_sqlite else "VACUUM ANALYZE")
