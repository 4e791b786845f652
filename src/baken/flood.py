"""The flood breaker's rule: when an entry matches far more than its history allows.

Pure: `store/flood_breaker.py` counts and acts. docs/how-to/flood-breaker.md has the rule as a table, and says why.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from baken.errors import InvalidValueError
from baken.model import (
    DEFAULT_FLOOD_ACCOUNTS_PER_HOUR,
    DEFAULT_FLOOD_FACTOR,
    MAX_FLOOD_ACCOUNTS_PER_HOUR,
    MAX_FLOOD_FACTOR,
    Screening,
)

HISTORY_HOURS = 30 * 24
"""How far back an entry's history reaches."""

_HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class FloodLimits:
    """What a bank allows its entries.

    Attributes:
        accounts_per_hour: how many distinct accounts an hour may always match one entry; 0 switches the breaker off.
        factor: how many times the busiest earlier hour may match it.
    """

    accounts_per_hour: int
    factor: int

    def check(self) -> None:
        """Do nothing when both are within bounds.

        Raises:
            InvalidValueError: one is not.
        """
        _check("flood_accounts_per_hour", self.accounts_per_hour, 0, MAX_FLOOD_ACCOUNTS_PER_HOUR)
        _check("flood_factor", self.factor, 1, MAX_FLOOD_FACTOR)


DEFAULT_FLOOD_LIMITS = FloodLimits(DEFAULT_FLOOD_ACCOUNTS_PER_HOUR, DEFAULT_FLOOD_FACTOR)


def _check(name: str, value: int, smallest: int, largest: int) -> None:
    if not smallest <= value <= largest:
        message = f"{name} is {value}, expected {smallest} to {largest}"
        raise InvalidValueError(message, hint="docs/how-to/flood-breaker.md says what it does; 0 an hour is off.")


@dataclass(frozen=True, slots=True)
class Tally:
    """How many distinct accounts matched one entry.

    Attributes:
        count: in the hour that is asked about.
        approved_count: how many of those had come when a person resumed the entry; 0 if nobody did.
        busiest_count: in the busiest earlier hour of the history; 0 if there is none.
    """

    count: int
    approved_count: int = 0
    busiest_count: int = 0


@dataclass(frozen=True, slots=True)
class FloodFacts:
    """Why an entry was quarantined; a notice keeps it.

    Attributes:
        counted: what was counted, in words that follow a number: `accounts in one hour`.
        count: how many of them matched the entry.
        limit: how many were allowed.
        busiest_count: in the busiest earlier hour, where a history was looked at.
        history_hours: how long that history is.
        hour: the hour that was counted, where one was.
        without_account_count: how many of `count` came without account and were told apart by their bytes alone, so
            that one person could have made them all.
    """

    counted: str
    count: int
    limit: int
    busiest_count: int | None = None
    history_hours: int | None = None
    hour: datetime | None = None
    without_account_count: int | None = None

    @property
    def sentence(self) -> str:
        """The same for people."""
        return f"flood breaker: {self.count:,} {self.counted} matched this entry, {self.limit:,} are allowed"

    def as_json(self) -> dict[str, int | str]:
        """What a notice stores: the facts there are."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return known | ({"hour": self.hour.isoformat()} if self.hour is not None else {})


def limit_of(limits: FloodLimits, tally: Tally) -> int | None:
    """How many accounts may match an entry in an hour; None when the breaker is off.

    Who resumes an entry says that what came until then is right: it becomes history, and counting starts after it.
    """
    if limits.accounts_per_hour == 0:
        return None
    busiest_count = max(tally.busiest_count, tally.approved_count)
    return tally.approved_count + max(limits.accounts_per_hour, limits.factor * busiest_count)


def past_limit_of(limits: FloodLimits) -> int | None:
    """How many accounts of the past an entry may match at once when it begins to count; None when the breaker is off.

    The past is many hours long, so it may hold as many as `factor` hours that are just within bounds.
    """
    return limits.accounts_per_hour * limits.factor or None


def is_flood(limits: FloodLimits, tally: Tally) -> bool:
    """Whether an entry matched more than its history allows."""
    limit = limit_of(limits, tally)
    return limit is not None and tally.count > limit


def hour_of(time: datetime) -> int:
    """The hour of a time, counted from 1970 in UTC."""
    return (time - _EPOCH) // _HOUR


def hour_start(hour: int) -> datetime:
    """When an hour began."""
    return _EPOCH + hour * _HOUR


def countable_entries(screening: Screening) -> list[int]:
    """The entries that a screening counts for: those it was near. Equal bytes are a copy for certain, not a flood."""
    return [match.entry_id for match in screening.outcome.matches if not match.kind.is_exact]


def sighting_key(screening: Screening) -> bytes:
    """What makes two screenings count once, 16 bytes: the account, or the file's bytes where no account was named."""
    account_ref = screening.meta.account_ref
    if account_ref:
        return hashlib.blake2b(account_ref.encode(), digest_size=_KEY_BYTES, person=b"account").digest()
    return hashlib.blake2b(screening.fingerprints.sha256, digest_size=_KEY_BYTES, person=b"sha256").digest()
