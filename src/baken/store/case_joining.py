"""Items into cases: what matches follows the decision of its file, joins its picture's or entry's case, or opens one.

All of a batch is written in one transaction, with the cases locked, so that nobody decides a case while it grows.
Repeating a batch changes nothing: an item is in a case once, and a match of it counts once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from baken.audit import ACTOR
from baken.cases import ActionKind, Awaits, Case, CaseEvent, CaseState, DecisionKind, EventKind, MatchOrigin
from baken.copies import WHOLE_VIEW, MatchStage
from baken.model import Match, Purpose, SeenItem
from baken.store import schema
from baken.store.audit import append
from baken.store.case_actions import add_actions
from baken.store.case_events import audit_event, insert_events, locked_cases
from baken.store.case_files import ScreenedFile, add_files, cases_of_near, holding_cases, screened_files
from baken.store.cases import known_entries_of, new_case_id
from baken.store.match_rows import match_row

_CASES = schema.cases.c
_KEYS = schema.case_keys.c
_ITEMS = schema.case_items.c
_EVENTS = schema.case_events.c
_SCREENINGS = schema.screenings.c

_KeyKind = Literal["cluster", "entry"]
_Key = tuple[_KeyKind, int]


@dataclass(frozen=True, slots=True)
class ScreenedItem:
    """A screened item that matched, as it stands in its screening; `cluster_id` once it is remembered."""

    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    seen_at: datetime
    cluster_id: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An item and the entries that it matches, those it was known to match before among them."""

    item: SeenItem | ScreenedItem
    matches: Sequence[Match]

    def pdq(self, file: ScreenedFile) -> bytes | None:
        """The PDQ of the item's file, if that tells which picture matched: it is the leading one's, whole."""
        return file.pdq if all(map(_is_of_leading, self.matches)) else None

    @property
    def shows_entries(self) -> bool:
        """Whether it surely shows the picture of every entry it matches: as a whole, or as the check confirmed."""
        return all(
            _is_of_leading(match) if match.evidence is None else match.evidence.is_same for match in self.matches
        )


def _is_of_leading(match: Match) -> bool:
    return match.stage is MatchStage.FINGERPRINT and match.view == WHOLE_VIEW and match.frame_shares is None


@dataclass(frozen=True, slots=True)
class Joining:
    """How items join cases.

    Attributes:
        at: when.
        undo: how long the actions of an item that follows a decision wait, at least.
        followed: what a decision of a purpose causes for each item; None where new items do not follow it.
        of_entries: the decisions that every sure copy of their entries follows, not copies of their files alone.
        once: the actions that are not done a second time to an item.
    """

    at: datetime
    undo: timedelta
    followed: Callable[[Purpose, DecisionKind], Sequence[ActionKind] | None]
    of_entries: Collection[DecisionKind]
    once: Collection[ActionKind]


def join_past(connection: Connection, found: Sequence[Found], joining: Joining) -> int:
    """Let items of the past join the cases of what they match and were not known to match; how many joined one.

    Call it under the turn: two at once could open two cases for one picture.
    """
    known = known_entries_of(connection, [each.item.screening_id for each in found])
    return _join_fresh(connection, found, known, joining, MatchOrigin.RETROACTIVE)


def join_screened(connection: Connection, found: Sequence[Found], joining: Joining) -> int:
    """Let screened items join the cases of what they matched when they were screened; otherwise like `join_past`."""
    ids = [each.item.screening_id for each in found]
    query = select(_ITEMS.screening_id, _ITEMS.matches).where(_ITEMS.screening_id.in_(ids))
    known: dict[str, set[int]] = {screening_id: set() for screening_id in ids}
    for screening_id, matches in connection.execute(query):
        known[screening_id] |= {match["entry_id"] for match in matches}
    return _join_fresh(connection, found, known, joining, MatchOrigin.SCREENING)


def _join_fresh(
    connection: Connection,
    found: Sequence[Found],
    known: Mapping[str, set[int]],
    joining: Joining,
    origin: MatchOrigin,
) -> int:
    by_purpose: dict[Purpose, list[Found]] = defaultdict(list)
    joined: set[str] = set()
    for each in found:
        fresh: dict[Purpose, list[Match]] = defaultdict(list)
        for match in each.matches:
            if match.entry_id not in known[each.item.screening_id] and match.purpose is not Purpose.BENIGN:
                fresh[match.purpose].append(match)
        for purpose, matches in fresh.items():
            by_purpose[purpose].append(Found(each.item, matches))
            joined.add(each.item.screening_id)
    followed: list[CaseEvent] = []
    for purpose in sorted(by_purpose, key=list(Purpose).index):
        followed += _Batch(connection, purpose, by_purpose[purpose], joining, origin).join()
    # The audit log's lock is the last of all: every case is locked by now.
    append(connection, [audit_event(event) for event in followed])
    return len(joined)


@dataclass(slots=True)
class _Target:
    """A case that items join in this batch, new or locked."""

    case: Case
    is_new: bool
    members: list[Found] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it is not decided."""
        return self.case.state is not CaseState.DECIDED


class _Batch:
    """Items of one purpose that join cases together."""

    def __init__(
        self, connection: Connection, purpose: Purpose, found: Sequence[Found], joining: Joining, origin: MatchOrigin
    ) -> None:
        self._connection = connection
        self._purpose = purpose
        self._found = found
        self._joining = joining
        self._origin = origin
        self._targets: dict[str, _Target] = {}
        self._following = _following_banks(connection, found)
        self._files = screened_files(connection, {each.item.screening_id for each in found})

    def join(self) -> list[CaseEvent]:
        """Choose the case of each item, and write all of them; the events of those that follow a decision."""
        self._choose()
        chosen = [target for target in self._targets.values() if target.members]
        self._open([target for target in chosen if target.is_new])
        self._write_keys()
        self._add_matched(chosen)
        new_items = self._add_items(chosen)
        events = self._count(chosen, new_items)
        self._point(chosen)
        return [event for event in events if event.kind is EventKind.FOLLOWED]

    def _choose(self) -> None:
        """The case of each: one that has its file, else that of its cluster or of an entry it matches, or a new one."""
        self._before = self._cases_of({key for each in self._found for key in _keys_of(each)})
        self._holding = self._cases_with_files()
        for case in locked_cases(self._connection, set(self._before.values()).union(*self._holding.values())):
            self._targets[case.id] = _Target(case, is_new=False)
        self._case_of = dict(self._before)
        for each in self._found:
            wanted = _keys_of(each)
            by_key = [self._targets[self._case_of[key]] for key in wanted if key in self._case_of]
            there = (target for target in [*self._with_file(each), *by_key] if self._takes(target, each))
            target = next(there, None) or self._new_target()
            for key in wanted:
                # A key of a case that takes no more items leads to the open one, from now on.
                there_id = self._case_of.get(key)
                if there_id is None or (target.is_open and not self._takes(self._targets[there_id], each)):
                    self._case_of[key] = target.case.id
            target.members.append(each)

    def _cases_with_files(self) -> Mapping[bytes, set[str]]:
        """The cases that take more of the items' files, by their codes."""
        followed = [kind for kind in DecisionKind if self._joining.followed(self._purpose, kind) is not None]
        codes = {code for each in self._found for code in self._codes_of(each)}
        holding = holding_cases(self._connection, self._purpose, codes, followed)
        # What no case holds may be a file of one encoded anew.
        new = [each for each in self._found if not any(code in holding for code in self._codes_of(each))]
        pdqs = {code for each in new for code in self._codes_of(each)[1:]}
        entry_ids = {match.entry_id for each in new for match in each.matches}
        return {**holding, **cases_of_near(self._connection, self._purpose, pdqs, entry_ids, followed)}

    def _codes_of(self, found: Found) -> tuple[bytes, ...]:
        """The SHA-256 of the item's file, and the PDQ where that tells which picture matched."""
        file = self._files.get(found.item.screening_id)
        if file is None:
            return ()
        pdq = found.pdq(file)
        return (file.sha256,) if pdq is None else (file.sha256, pdq)

    def _with_file(self, found: Found) -> list[_Target]:
        """The cases that hold the item's file: those where somebody is about to look, then what was decided last."""
        ids: set[str] = set().union(*(self._holding.get(code, set()) for code in self._codes_of(found)))
        targets = sorted((self._targets[case_id] for case_id in ids), key=lambda target: target.case.id)
        decided = [target for target in targets if not target.is_open]
        decided.sort(key=lambda target: target.case.decided_at or target.case.opened_at, reverse=True)
        return [*(target for target in targets if target.is_open), *decided]

    def _takes(self, target: _Target, found: Found) -> bool:
        """Whether an item may join: an open case takes all, a decided one copies of what its decision was about.

        Such a copy is a file that the case has or, where the decision holds for the entries, surely shows them. It
        matches nothing that was not weighed when the case was decided: as a decided case takes nothing else, its
        entries are still those of its decision.
        """
        decision = target.case.decision
        if target.is_open or decision is None:
            return True
        has_file = any(target.case.id in self._holding.get(code, ()) for code in self._codes_of(found))
        return (
            (has_file or (decision in self._joining.of_entries and found.shows_entries))
            and {match.entry_id for match in found.matches} <= {entry_id for _, entry_id in target.case.entries}
            and all(match.bank_id in self._following for match in found.matches)
            and self._joining.followed(self._purpose, decision) is not None
        )

    def _new_target(self) -> _Target:
        at = self._joining.at
        case = Case(new_case_id(at), self._purpose, CaseState.OPEN, at, at, item_count=0, account_count=0)
        self._targets[case.id] = _Target(case, is_new=True)
        return self._targets[case.id]

    def _cases_of(self, keys: set[_Key]) -> dict[_Key, str]:
        kinds: tuple[_KeyKind, ...] = ("cluster", "entry")
        wanted = [
            (_KEYS.kind == kind) & _KEYS.key_id.in_([key_id for kind_, key_id in keys if kind_ == kind])
            for kind in kinds
        ]
        query = select(schema.case_keys).where(_KEYS.purpose == self._purpose.value, or_(*wanted))
        return {(row.kind, row.key_id): row.case_id for row in self._connection.execute(query)}

    def _open(self, new: Sequence[_Target]) -> None:
        if not new:
            return
        at = self._joining.at
        same: dict[str, Any] = {
            "purpose": self._purpose.value,
            "state": CaseState.OPEN.value,
            "opened_at": at,
            "updated_at": at,
        }
        same |= {"awaits": Awaits.FIRST.value, "item_count": 0, "account_count": 0, "event_count": 1}
        self._connection.execute(insert(schema.cases), [{"id": target.case.id, **same} for target in new])
        opened = [CaseEvent(target.case.id, 1, at, EventKind.OPENED, ACTOR) for target in new]
        insert_events(self._connection, opened)

    def _write_keys(self) -> None:
        same = {"purpose": self._purpose.value}
        changed = {key: case_id for key, case_id in self._case_of.items() if self._before.get(key) != case_id}
        new = [
            {**same, "kind": kind, "key_id": key_id, "case_id": case_id}
            for (kind, key_id), case_id in sorted(changed.items())
            if (kind, key_id) not in self._before
        ]
        if new:
            self._connection.execute(insert(schema.case_keys), new)
        for (kind, key_id), case_id in sorted(changed.items()):
            if (kind, key_id) in self._before:
                mine = (_KEYS.purpose == self._purpose.value) & (_KEYS.kind == kind) & (_KEYS.key_id == key_id)
                self._connection.execute(update(schema.case_keys).where(mine).values(case_id=case_id))

    def _add_matched(self, chosen: Sequence[_Target]) -> None:
        """Note the entries, and their banks, that the items of each case match."""
        matches = [(target.case.id, match) for target in chosen for each in target.members for match in each.matches]
        entries = {(case_id, match.entry_id) for case_id, match in matches}
        banks = {(case_id, match.bank_id) for case_id, match in matches}
        for table, column, wanted in (
            (schema.case_entries, schema.case_entries.c.entry_id, entries),
            (schema.case_banks, schema.case_banks.c.bank_id, banks),
        ):
            case_ids, ids = {case_id for case_id, _ in wanted}, {each for _, each in wanted}
            there = select(table.c.case_id, column).where(table.c.case_id.in_(case_ids), column.in_(ids))
            missing = wanted - {(row[0], row[1]) for row in self._connection.execute(there)}
            if missing:
                rows = [{"case_id": case_id, column.name: each} for case_id, each in sorted(missing)]
                self._connection.execute(insert(table), rows)

    def _add_items(self, chosen: Sequence[_Target]) -> dict[str, list[Found]]:
        """Write items that are new in their cases, and new matches of those that are there; the new ones by case."""
        pairs = [(target.case.id, each) for target in chosen for each in target.members]
        ids = {each.item.screening_id for _, each in pairs}
        query = select(_ITEMS.case_id, _ITEMS.screening_id, _ITEMS.matches).where(_ITEMS.screening_id.in_(ids))
        there = {(row.case_id, row.screening_id): row.matches for row in self._connection.execute(query)}
        new: dict[str, list[Found]] = defaultdict(list)
        rows = []
        for case_id, each in pairs:
            screening_id = each.item.screening_id
            if (case_id, screening_id) in there:
                matches = there[case_id, screening_id] + [match_row(match) for match in each.matches]
                mine = (_ITEMS.screening_id == screening_id) & (_ITEMS.case_id == case_id)
                self._connection.execute(update(schema.case_items).where(mine).values(matches=matches))
            else:
                new[case_id].append(each)
                rows.append(self._row(case_id, each))
        if rows:
            self._connection.execute(insert(schema.case_items), rows)
        self._add_files(chosen)
        return new

    def _add_files(self, chosen: Sequence[_Target]) -> None:
        """Note the files that somebody is about to look at; what follows a decision is no measure for what comes."""
        held = [
            (target.case.id, self._files[each.item.screening_id])
            for target in chosen
            if target.is_open
            for each in target.members
            if each.item.screening_id in self._files
        ]
        add_files(self._connection, held)

    def _row(self, case_id: str, found: Found) -> dict[str, Any]:
        item, file = found.item, self._files.get(found.item.screening_id)
        return {
            "case_id": case_id,
            "screening_id": item.screening_id,
            "item_ref": item.item_ref,
            "account_ref": item.account_ref,
            "album_ref": item.album_ref,
            "visibility": None if file is None else file.visibility,
            "seen_at": item.seen_at,
            "joined_at": self._joining.at,
            "origin": self._origin.value,
            "matches": [match_row(match) for match in found.matches],
        }

    def _count(self, chosen: Sequence[_Target], new_items: Mapping[str, Sequence[Found]]) -> list[CaseEvent]:
        """Tell the cases what joined them, and let it follow what is decided; the events that say so."""
        new_accounts = self._new_accounts(new_items)
        decided = [target.case.id for target in chosen if target.case.state is CaseState.DECIDED]
        decision_seqs = _decision_seqs(self._connection, decided)
        events: list[CaseEvent] = []
        counts = []
        for target in chosen:
            case, new = target.case, new_items.get(target.case.id, ())
            seq = max(case.event_count, 1) + bool(new)
            accounts = new_accounts[case.id]
            if new:
                facts: dict[str, Any] = {"items": len(new), "accounts": accounts, "origin": self._origin.value}
                kind = EventKind.JOINED
                if case.state is CaseState.DECIDED:
                    kind, facts["seq"] = EventKind.FOLLOWED, decision_seqs[case.id]
                    self._follow(case, decision_seqs[case.id], new)
                events.append(CaseEvent(case.id, seq, self._joining.at, kind, ACTOR, facts))
            counts.append({"counted": case.id, "items": len(new), "accounts": accounts, "seq": seq})
        insert_events(self._connection, events)
        counting = update(schema.cases).where(_CASES.id == bindparam("counted"))
        counting = counting.values(
            updated_at=self._joining.at,
            item_count=_CASES.item_count + bindparam("items"),
            account_count=_CASES.account_count + bindparam("accounts"),
            event_count=bindparam("seq"),
        )
        self._connection.execute(counting, counts)
        return events

    def _new_accounts(self, new_items: Mapping[str, Sequence[Found]]) -> dict[str, int]:
        """How many accounts each case has only since these items are in it."""
        given = {
            case_id: Counter(each.item.account_ref for each in new if each.item.account_ref is not None)
            for case_id, new in new_items.items()
        }
        refs = {account for accounts in given.values() for account in accounts}
        query = select(_ITEMS.case_id, _ITEMS.account_ref, func.count()).group_by(_ITEMS.case_id, _ITEMS.account_ref)
        there = self._connection.execute(query.where(_ITEMS.case_id.in_(given), _ITEMS.account_ref.in_(refs)))
        # The new items are written already: an account that has more of them in the case was there before.
        fresh: dict[str, int] = defaultdict(int)
        for case_id, account, count in there:
            fresh[case_id] += count == given[case_id][account]
        return fresh

    def _follow(self, case: Case, seq: int, new: Sequence[Found]) -> None:
        decision = case.decision
        kinds = None if decision is None else self._joining.followed(self._purpose, decision)
        ids = select(_ITEMS.id).where(
            _ITEMS.case_id == case.id, _ITEMS.screening_id.in_([each.item.screening_id for each in new])
        )
        item_ids = list(self._connection.execute(ids).scalars())
        due_at = max(self._joining.at + self._joining.undo, case.undo_until or self._joining.at)
        add_actions(self._connection, case.id, seq, kinds or (), due_at, once=self._joining.once, item_ids=item_ids)

    def _point(self, chosen: Sequence[_Target]) -> None:
        """Let screenings name the first case that their item is in."""
        pointing = update(schema.screenings)
        pointing = pointing.where(_SCREENINGS.id == bindparam("screened"), _SCREENINGS.case_id.is_(None))
        rows = [
            {"screened": each.item.screening_id, "case": target.case.id} for target in chosen for each in target.members
        ]
        self._connection.execute(pointing.values(case_id=bindparam("case")), rows)


def _keys_of(found: Found) -> list[_Key]:
    keys: list[_Key] = [("entry", match.entry_id) for match in found.matches]
    cluster_id = found.item.cluster_id
    return keys if cluster_id is None else [("cluster", cluster_id), *keys]


def _following_banks(connection: Connection, found: Sequence[Found]) -> set[int]:
    """The banks of the matches whose new copies follow decisions."""
    bank_ids = {match.bank_id for each in found for match in each.matches}
    query = select(schema.banks.c.id).where(schema.banks.c.id.in_(bank_ids), schema.banks.c.follows_decisions)
    return set(connection.execute(query).scalars())


def _decision_seqs(connection: Connection, case_ids: Sequence[str]) -> dict[str, int]:
    """The number of the event that decided each of the cases."""
    query = select(_EVENTS.case_id, func.max(_EVENTS.seq).label("last")).group_by(_EVENTS.case_id)
    query = query.where(_EVENTS.case_id.in_(case_ids), _EVENTS.kind == EventKind.DECIDED.value)
    return {row.case_id: row.last for row in connection.execute(query)} if case_ids else {}
