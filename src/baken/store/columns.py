"""What columns of both databases are made of: times, text, ids, JSON; and the one `metadata` of all tables."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

from baken.errors import InvalidValueError
from baken.model import is_storable


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC: `timestamptz` on PostgreSQL, sortable ISO text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a naive time: nobody could say when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise InvalidValueError(
                f"time {value.isoformat()} has no time zone, expected an aware datetime",
                hint="use datetime.now(UTC)",
            )
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise InvalidValueError(
                f"time {value.isoformat()} is before the year 1 or after the year 9999 in UTC",
                hint="use a time that every zone can write",
            ) from None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """SQLite gives back naive times, PostgreSQL aware ones in the zone of the session."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text that both engines can hold (`is_storable`)."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Refuse the same text on both engines, so that a move from one to the other loses nothing."""
        if value is not None and not is_storable(value):
            raise InvalidValueError(
                f"text {value[:80]!r} holds a NUL or a lone surrogate, which no database can store as text",
                hint="send valid UTF-8 without NUL characters",
            )
        return value


# SQLite numbers rows by itself only in a column declared INTEGER; there INTEGER is 64 bits wide.
Id = BigInteger().with_variant(Integer(), "sqlite")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

metadata = MetaData()
