"""Limits and cursors of lists, read the same way everywhere."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from baken.model import ID_LIMIT
from baken.web.errors import InvalidFieldError

_MAX_PAGE = 1000

Limit = Annotated[int, Query(ge=1, le=_MAX_PAGE, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before; opaque.")]


def after_id_of(cursor: str | None) -> int:
    """The id after which a page begins.

    Raises:
        InvalidFieldError: no list gave this cursor.
    """
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor) >= ID_LIMIT:
        message = "cursor is not one that this list gave"
        raise InvalidFieldError(message, hint="Use the next_cursor of the page before, or none.", field="cursor")
    return int(cursor)
