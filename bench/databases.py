"""The databases that scenarios with a data folder run on: SQLite always, PostgreSQL where a server is named."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import make_url

POSTGRES_VARIABLE = "BAKEN_BENCH_POSTGRES_DSN"


@dataclass(frozen=True, slots=True)
class Database:
    """A database by its name; `url` is None for SQLite in the data folder, and names an empty one otherwise."""

    name: str
    url: str | None


@contextmanager
def databases() -> Iterator[list[Database]]:
    """SQLite, and a PostgreSQL database that is dropped afterwards if BAKEN_BENCH_POSTGRES_DSN names a server."""
    server = os.environ.get(POSTGRES_VARIABLE)
    sqlite = Database("SQLite", None)
    if server is None:
        yield [sqlite]
        return
    import psycopg  # noqa: PLC0415 - not installed for a user without PostgreSQL

    name = f"baken_bench_{secrets.token_hex(6)}"
    plain = make_url(server).set(drivername="postgresql").render_as_string(hide_password=False)
    url = make_url(server).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield [sqlite, Database("PostgreSQL", url)]
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
