"""Cursors and limits, checked the same way for every list."""

from __future__ import annotations

from baken.errors import InvalidValueError
from baken.model import ID_LIMIT


def page_limit(limit: int) -> int:
    """`limit` itself, when it is one: SQLite reads a negative one as "everything", PostgreSQL fails on it."""
    if not 0 < limit < ID_LIMIT:
        raise InvalidValueError(f"limit is {limit}, expected a positive number", hint="ask for 1 row or more")
    return limit


def cursor_id(after_id: int) -> int:
    """`after_id` within what a database integer holds; beyond the largest id there is nothing to list."""
    return min(max(after_id, 0), ID_LIMIT - 1)


def is_database_id(value: int) -> bool:
    """Whether a row could have this id at all; drivers raise on larger integers."""
    return 0 < value < ID_LIMIT
