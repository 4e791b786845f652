"""PostgreSQL for tests that need more than the fixtures give. It is no `conftest`, of which there are several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import make_url

from baken.store import Store

_SHAPE = """
SELECT md5(string_agg(line, '\n' ORDER BY line)) FROM (
    SELECT format('%s %s %s', relname, relkind, oid) AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('%s %s %s %s', attrelid, attname, atttypid, attnotnull) FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('%s %s', oid, tgenabled) FROM pg_trigger
    UNION ALL
    SELECT format('%s %s', oid, pg_get_constraintdef(oid)) FROM pg_constraint
    UNION ALL
    SELECT format('%s %s', oid, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS lines
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


def empty_postgresql(url: str) -> None:
    """Drop every table, and every connection a failed test may have left."""
    with _alone(url) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


class NewTables:
    """A database that is given to one test after the other as if its tables had just been made.

    Making them takes a hundred times as long as deleting what a test wrote: most tests write a handful of rows. Where a
    test changed or dropped the tables themselves they are made again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._shape: str | None = None

    def url(self) -> str:
        """The URL, with tables as they are made."""
        with _alone(self._url) as connection:
            if self._shape is not None and _scalar(connection, _SHAPE) == self._shape:
                self._delete_rows(connection)
                return self._url
        empty_postgresql(self._url)
        Store.initialise(self._url).close()
        with _alone(self._url) as connection:
            self._keep_rows(connection)
            self._shape = _scalar(connection, _SHAPE)
        return self._url

    def _keep_rows(self, connection: Any) -> None:  # noqa: ANN401 - of psycopg
        """Remember what stands in the tables from the beginning."""
        connection.execute("DROP SCHEMA IF EXISTS beginning CASCADE")
        connection.execute("CREATE SCHEMA beginning")
        for (name,) in connection.execute(_TABLES).fetchall():
            if _scalar(connection, f"SELECT count(*) FROM {name}"):  # noqa: S608 - names of ours
                connection.execute(f"CREATE TABLE beginning.{name} AS TABLE public.{name}")

    def _delete_rows(self, connection: Any) -> None:  # noqa: ANN401 - of psycopg
        begun = {name for (name,) in connection.execute(_TABLES.replace("public", "beginning")).fetchall()}
        names = [name for (name,) in connection.execute(_TABLES).fetchall()]
        sequences = connection.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'").fetchall()
        statements = [f"DELETE FROM {name}" for name in names]  # noqa: S608 - names of ours, here and below
        statements += [f"INSERT INTO {name} SELECT * FROM beginning.{name}" for name in names if name in begun]  # noqa: S608
        statements += [f"SELECT setval('{name}', 1, false)" for (name,) in sequences]
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")  # neither foreign keys nor triggers
            connection.execute("; ".join(statements))


@contextmanager
def _alone(url: str) -> Iterator[Any]:
    """A connection of psycopg, after every other one to the database was ended."""
    import psycopg  # noqa: PLC0415 - only here is PostgreSQL sure to be wanted

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        yield connection


def _scalar(connection: Any, query: str) -> Any:  # noqa: ANN401 - of psycopg
    return connection.execute(query).fetchone()[0]
