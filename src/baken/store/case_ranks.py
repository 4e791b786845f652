"""Which cases are to be ranked anew, what their ranks follow from, and the ranks themselves as rows.

Whoever changes a case sets `updated_at`; that alone makes it due (`is_unranked`). It is ranked afterwards, in bounded
steps, by whichever process comes first: twice is harmless.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from baken.cases import Case, CaseState, DecisionKind, EventKind, Signal
from baken.model import Visibility
from baken.store import schema
from baken.store.cases import case_of
from baken.store.engine import Database
from baken.store.paging import page_limit
from baken.store.schema_review import is_unranked

_CASES = schema.cases.c
_ITEMS = schema.case_items.c
_EVENTS = schema.case_events.c
_RANKING = schema.case_ranking.c

MAX_ACCOUNTS = 1_000
"""Of how many accounts of one case it is asked what other cases they have; of a larger one, those that come first."""

_MAX_RELATED = 1_000
_MARKED_AT_ONCE = 5_000
_ASKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RankFacts:
    """What a case's rank follows from.

    Attributes:
        case: as it is; its signals, widest visibility and rank may be behind.
        visibilities: who can see its items; what the platform has not said is left out.
        album_count: in how many albums they stand.
        repeat_account_count: how many of its accounts stand in another case that is confirmed.
    """

    case: Case
    visibilities: Sequence[Visibility]
    album_count: int
    repeat_account_count: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """What was worked out of the facts."""

    facts: RankFacts
    rank: float
    widest_visibility: Visibility | None
    signals: Sequence[Signal]


class CaseRankRows:
    """Ranks of cases in one database; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect_insert = sqlite.insert if database.is_sqlite else postgresql.insert
        ranking: Any = dialect_insert(schema.case_ranking)
        self._upsert = ranking.on_conflict_do_update(
            index_elements=[_RANKING.id], set_={"weights": ranking.excluded.weights}
        )

    def weights(self) -> str | None:
        """The weights by which the cases are ranked; None when they never were."""
        with self._database.read() as connection:
            return connection.execute(select(_RANKING.weights).where(_RANKING.id == 1)).scalar_one_or_none()

    def set_weights(self, weights: str) -> None:
        """Have every undecided case ranked anew, by these weights; several processes may, when all of them start."""
        self.mark_all()
        with self._database.write() as connection:
            connection.execute(self._upsert, {"id": 1, "weights": weights})

    def mark_all(self) -> None:
        """Have every undecided case ranked anew; some at a time, so that nobody waits long to write."""
        after_id: str | None = ""
        while after_id is not None:
            batch = select(_CASES.id).where(_CASES.id > after_id).order_by(_CASES.id).limit(_MARKED_AT_ONCE)
            with self._database.write() as connection:
                last_id = connection.execute(select(func.max(batch.subquery().c.id))).scalar_one()
                if last_id is not None:
                    some = (_CASES.id > after_id) & (_CASES.id <= last_id) & (_CASES.state != CaseState.DECIDED.value)
                    connection.execute(update(schema.cases).where(some).values(ranked_at=None))
            after_id = last_id

    def due(self, limit: int) -> list[str]:
        """Cases that are to be ranked, at most `limit`: decided ones first, so that others hear of them in time."""
        query = select(_CASES.id).where(is_unranked).order_by(_CASES.state, _CASES.id).limit(page_limit(limit))
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def mark_related(self, case_ids: Collection[str]) -> None:
        """Have the undecided cases ranked anew that share an account with one of these that is, or was, decided.

        In a transaction of its own, before these are ranked: a process that dies in between does it again.
        """
        with self._database.read() as connection:
            accounts = _accounts_of(connection, _once_decided(connection, case_ids))
            related: set[str] = set()
            for refs in _chunks(sorted({account for _, account in accounts})):
                shared = select(_ITEMS.case_id).distinct().where(_ITEMS.account_ref.in_(refs))
                related |= set(connection.execute(shared.limit(_MAX_RELATED)).scalars())
        for some in _chunks(sorted(related - set(case_ids))[:_MAX_RELATED]):
            undecided = _CASES.id.in_(some) & (_CASES.state != CaseState.DECIDED.value)
            with self._database.write() as connection:
                # Locked in the order of their ids, as everywhere: two that wait for each other would wait for ever.
                connection.execute(select(_CASES.id).where(undecided).order_by(_CASES.id).with_for_update())
                connection.execute(update(schema.cases).where(undecided).values(ranked_at=None))

    def rank(self, case_ids: Collection[str], rank: Callable[[RankFacts], Ranked]) -> int:
        """Rank those of the cases that are due, and that nobody is changing; how many they were.

        Args:
            case_ids: some cases.
            rank: works out the rank of each.
        """
        wanted = select(schema.cases).where(_CASES.id.in_(sorted(case_ids)), is_unranked).order_by(_CASES.id)
        with self._database.write() as connection:
            # Locked until they are written: who marks one of them meanwhile does it after that, and it is not lost.
            rows = connection.execute(wanted.with_for_update(skip_locked=True)).all()
            ranked = [rank(facts) for facts in _facts(connection, [case_of(row) for row in rows])]
            if ranked:
                changed = update(schema.cases).where(_CASES.id == bindparam("case"))
                names = ("rank", "widest_visibility", "signals", "ranked_at")
                connection.execute(
                    changed.values({name: bindparam(f"new_{name}") for name in names}), [_row(each) for each in ranked]
                )
        return len(ranked)


def _row(ranked: Ranked) -> dict[str, Any]:
    return {
        "case": ranked.facts.case.id,
        "new_rank": ranked.rank,
        "new_widest_visibility": ranked.widest_visibility,
        "new_signals": [asdict(signal) for signal in ranked.signals],
        "new_ranked_at": ranked.facts.case.updated_at,
    }


def _facts(connection: Connection, cases: Sequence[Case]) -> list[RankFacts]:
    ids = [case.id for case in cases]
    among = _ITEMS.case_id.in_(ids)
    seen_by: dict[str, list[Visibility]] = defaultdict(list)
    kinds = select(_ITEMS.case_id, _ITEMS.visibility).distinct().where(among, _ITEMS.visibility.is_not(None))
    for case_id, visibility in connection.execute(kinds):
        seen_by[case_id].append(Visibility(visibility))
    counted = select(_ITEMS.case_id, func.count(_ITEMS.album_ref.distinct())).where(among).group_by(_ITEMS.case_id)
    albums: dict[str, int] = {case_id: count for case_id, count in connection.execute(counted)}  # noqa: C416 - typed rows
    repeated = _repeat_accounts(connection, ids)
    return [RankFacts(case, seen_by[case.id], albums.get(case.id, 0), repeated[case.id]) for case in cases]


def _repeat_accounts(connection: Connection, case_ids: Sequence[str]) -> Counter[str]:
    """How many accounts of each case stand in another case that is confirmed."""
    accounts = _accounts_of(connection, case_ids)
    confirmed: dict[str, set[str]] = defaultdict(set)
    for refs in _chunks(sorted({account for _, account in accounts})):
        query = select(_ITEMS.account_ref, _ITEMS.case_id).distinct()
        query = query.join(schema.cases, _CASES.id == _ITEMS.case_id).where(_ITEMS.account_ref.in_(refs))
        for account, case_id in connection.execute(query.where(_CASES.decision == DecisionKind.CONFIRMED.value)):
            confirmed[account].add(case_id)
    return Counter(case_id for case_id, account in accounts if confirmed[account] - {case_id})


def _accounts_of(connection: Connection, case_ids: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of case and account, at most `MAX_ACCOUNTS` of each case."""
    numbered = select(
        _ITEMS.case_id,
        _ITEMS.account_ref,
        func.dense_rank().over(partition_by=_ITEMS.case_id, order_by=_ITEMS.account_ref).label("number"),
    ).where(_ITEMS.case_id.in_(sorted(case_ids)), _ITEMS.account_ref.is_not(None))
    each = numbered.subquery().c
    query = select(each.case_id, each.account_ref).distinct().where(each.number <= MAX_ACCOUNTS)
    return [(case_id, account) for case_id, account in connection.execute(query)]


def _once_decided(connection: Connection, case_ids: Collection[str]) -> list[str]:
    """Those of the cases of whose decision others may not know: decided, or decided once and changed since.

    A case that was only marked is none of them, or two could mark each other for ever.
    """
    decided = select(_EVENTS.case_id).where(_EVENTS.case_id == _CASES.id, _EVENTS.kind == EventKind.DECIDED.value)
    is_decided = _CASES.state == CaseState.DECIDED.value
    known = select(_CASES.id).where(_CASES.id.in_(sorted(case_ids)))
    return list(
        connection.execute(known.where(is_decided | (_CASES.ranked_at.is_not(None) & decided.exists()))).scalars()
    )


def _chunks(refs: Sequence[str]) -> list[Sequence[str]]:
    return [refs[start : start + _ASKED_AT_ONCE] for start in range(0, len(refs), _ASKED_AT_ONCE)]
