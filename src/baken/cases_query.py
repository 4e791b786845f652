"""Which cases a queue shows and in which order, as a value and as the query string of an address."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

from baken.cases import Awaits, CaseState
from baken.errors import InvalidValueError
from baken.model import Purpose, Visibility

_MAX_COUNT = 1_000_000_000
_MAX_TEXT = 2_000

UNDECIDED = (CaseState.OPEN, CaseState.CLAIMED)
"""What a queue shows when no state is named: what somebody can work on, or is working on."""

Word = TypeVar("Word", bound=StrEnum)


class CaseSort(StrEnum):
    """The orders of a queue; cases that are equal in it stand in the order of their ids, so that none moves."""

    PRIORITY = "priority"
    NEWEST = "newest"
    OLDEST = "oldest"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class QueueQuery:
    """Which cases: those that meet everything that is given. Nothing given means the open ones, claimed or not.

    Attributes:
        states: as people see them (`Case.state_at`); empty for `UNDECIDED`.
        purposes: of these; empty for any.
        bank: with a match of the bank of this name.
        mine: claimed by whoever asks, or assigned to them.
        unclaimed: nobody's lease runs, and nobody else is assigned.
        visibility: whose most public copy is one of these; empty for any.
        min_items: with at least so many items.
        min_accounts: likewise, accounts.
        opened_after: at or after this time.
        opened_before: before this time.
        awaits: whose decision it waits for.
        escalated: only those that were escalated.
        sort: None for the one that goes with the states: the latest decision first if only decided ones are asked for,
            else by priority.
    """

    states: tuple[CaseState, ...] = ()
    purposes: tuple[Purpose, ...] = ()
    bank: str | None = None
    mine: bool = False
    unclaimed: bool = False
    visibility: tuple[Visibility, ...] = ()
    min_items: int | None = None
    min_accounts: int | None = None
    opened_after: datetime | None = None
    opened_before: datetime | None = None
    awaits: Awaits | None = None
    escalated: bool = False
    sort: CaseSort | None = None

    def __post_init__(self) -> None:
        if self.sort is CaseSort.DECIDED and set(self.states) != {CaseState.DECIDED}:
            message = "sort=decided needs state=decided and no other state: only decided cases have such a time"
            raise InvalidValueError(message, hint="ask for state=decided, or sort by priority, newest or oldest")

    @property
    def shown_states(self) -> frozenset[CaseState]:
        """The states that are asked for."""
        return frozenset(self.states or UNDECIDED)

    @property
    def order(self) -> CaseSort:
        """The order that is asked for."""
        if self.sort is not None:
            return self.sort
        return CaseSort.DECIDED if self.shown_states == {CaseState.DECIDED} else CaseSort.PRIORITY

    @classmethod
    def parse(cls, text: str, *, besides: Collection[str] = ()) -> Self:
        """A query from `state=open&purpose=known_abuse&min_items=10`; a field that was left empty is not given.

        Args:
            text: a query string.
            besides: other parameters of the same address, which are left out.

        Raises:
            InvalidValueError: a name is unknown, or a value is not one of its kind.
        """
        if len(text) > _MAX_TEXT:
            message = f"a query of a queue has {len(text)} characters, at most {_MAX_TEXT} are read"
            raise InvalidValueError(message, hint="name fewer things")
        pairs = [(name, value.strip()) for name, value in parse_qsl(text) if name not in besides]
        return cls.of((name, value) for name, value in pairs if value)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """A query from names and values as in its query string.

        Raises:
            InvalidValueError: a name is unknown, or a value is not one of its kind.
        """
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in _READERS:
                message = f"a queue knows no {name!r}, expected {', '.join(_READERS)}"
                raise InvalidValueError(
                    message, hint="docs/how-to/queue-and-priority.md lists what a queue can be asked"
                )
            values.setdefault(name, []).append(value)
        return cls(**{_FIELDS.get(name, name): _READERS[name](name, given) for name, given in values.items()})

    def format(self) -> str:
        """The query string that `parse` takes; empty when nothing is given."""
        names = {field_name: name for name, field_name in _FIELDS.items()}
        pairs: list[tuple[str, str]] = []
        for each in fields(self):
            value = getattr(self, each.name)
            many = value if isinstance(value, tuple) else (value,)
            pairs += [
                (names.get(each.name, each.name), _text(one)) for one in many if one is not None and one is not False
            ]
        return urlencode(pairs)


_FIELDS = {"state": "states", "purpose": "purposes"}
"""Parameters that are repeated for each of several values, and the fields that hold them."""


def _text(value: object) -> str:
    if value is True:
        return "1"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _words(kind: type[Word]) -> Callable[[str, list[str]], tuple[Word, ...]]:
    def read(name: str, given: list[str]) -> tuple[Word, ...]:
        chosen = {_word(kind, name, value) for value in given}
        return tuple(word for word in kind if word in chosen)

    return read


def _one_word(kind: type[Word]) -> Callable[[str, list[str]], Word]:
    return lambda name, given: _word(kind, name, _only(name, given))


def _word(kind: type[Word], name: str, value: str) -> Word:
    try:
        return kind(value)
    except ValueError:
        message = f"{name} is {value!r}, expected one of {', '.join(kind)}"
        raise InvalidValueError(message, hint="leave it out for all") from None


def _only(name: str, given: list[str]) -> str:
    if len(given) > 1:
        raise InvalidValueError(f"{name} is given {len(given)} times, expected once", hint="leave one of them out")
    return given[0]


def _yes(name: str, given: list[str]) -> bool:
    value = _only(name, given)
    if value not in {"0", "1"}:
        raise InvalidValueError(f"{name} is {value!r}, expected 1 or 0", hint="leave it out for 0")
    return value == "1"


def _count(name: str, given: list[str]) -> int:
    value = _only(name, given)
    if not (value.isascii() and value.isdecimal() and 0 < int(value) <= _MAX_COUNT):
        message = f"{name} is {value!r}, expected a number from 1 to {_MAX_COUNT:,}"
        raise InvalidValueError(message, hint="leave it out for any number")
    return int(value)


def _time(name: str, given: list[str]) -> datetime:
    return read_time(name, _only(name, given))


def read_time(name: str, value: str) -> datetime:
    """A date (its beginning, in UTC) or a time with a zone.

    Raises:
        InvalidValueError: it is neither.
    """
    time = utc_time(value, zone=UTC if len(value) <= len("2026-01-02") else None)
    if time is None:
        message = f"{name} is {value!r}, expected a date or a time with a zone, of the years 1 to 9999 in UTC"
        raise InvalidValueError(message, hint="write 2026-01-31 or 2026-01-31T12:00:00+00:00")
    return time


def utc_time(text: str, zone: tzinfo | None = None) -> datetime | None:
    """A time as ISO 8601 writes it, in UTC; None when it is not written so, or when UTC has no such time.

    `zone` is that of a text which names none; without it, the text must.
    """
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=zone)
        return None if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # in its own zone, a time may be of the year 1 and in UTC of the one before
        return None


_READERS: Mapping[str, Callable[[str, list[str]], Any]] = {
    "state": _words(CaseState),
    "purpose": _words(Purpose),
    "bank": _only,
    "mine": _yes,
    "unclaimed": _yes,
    "visibility": _words(Visibility),
    "min_items": _count,
    "min_accounts": _count,
    "opened_after": _time,
    "opened_before": _time,
    "awaits": _one_word(Awaits),
    "escalated": _yes,
    "sort": _one_word(CaseSort),
}
