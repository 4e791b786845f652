"""Queues that people keep under a name: each person's own, a handful of rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from baken.errors import ConflictError, NotFoundError
from baken.store import schema
from baken.store.engine import Database
from baken.store.paging import is_database_id

_VIEWS = schema.saved_views.c

MAX_SAVED_VIEWS = 50
"""How many views a person may keep."""


@dataclass(frozen=True, slots=True)
class SavedView:
    """A query of a queue under a name; `query` is what `QueueQuery.parse` takes."""

    id: int
    name: str
    query: str
    created_at: datetime


class SavedViewRows:
    """Saved views of everybody; `Store.saved_views`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_user(self, user_id: str) -> list[SavedView]:
        """A person's views, by name."""
        query = select(schema.saved_views).where(_VIEWS.user_id == user_id)
        with self._database.read() as connection:
            views = [_view(row) for row in connection.execute(query)]
        return sorted(views, key=lambda view: (view.name.casefold(), view.id))

    def save(self, user_id: str, name: str, query: str) -> SavedView:
        """Keep a query under a name; a view of that name is replaced.

        Raises:
            ConflictError: the person keeps as many as one may.
        """
        named = (_VIEWS.user_id == user_id) & (_VIEWS.name == name)
        with self._database.write() as connection:
            # Two at once would both find room for one more.
            connection.execute(select(schema.users.c.id).where(schema.users.c.id == user_id).with_for_update())
            if connection.execute(select(_VIEWS.id).where(named)).first() is not None:
                changed = update(schema.saved_views).where(named).values(query=query)
                return _view(connection.execute(changed.returning(schema.saved_views)).one())
            kept = select(func.count()).select_from(schema.saved_views).where(_VIEWS.user_id == user_id)
            if connection.execute(kept).scalar_one() >= MAX_SAVED_VIEWS:
                message = f"you keep {MAX_SAVED_VIEWS} views, and no more can be kept"
                raise ConflictError(message, hint="Drop one that you no longer use.")
            row = {"user_id": user_id, "name": name, "query": query, "created_at": datetime.now(UTC)}
            added = insert(schema.saved_views).values(row).returning(schema.saved_views)
            return _view(connection.execute(added).one())

    def drop(self, user_id: str, view_id: int) -> None:
        """Forget one of a person's views.

        Raises:
            NotFoundError: the person has none with this id.
        """
        mine = (_VIEWS.user_id == user_id) & (_VIEWS.id == view_id)
        with self._database.write() as connection:
            dropped = is_database_id(view_id) and connection.execute(delete(schema.saved_views).where(mine)).rowcount
        if not dropped:
            raise NotFoundError(f"you have no saved view {view_id}", hint="It may be gone already.")


def _view(row: Row[Any]) -> SavedView:
    return SavedView(row.id, row.name, row.query, row.created_at)
