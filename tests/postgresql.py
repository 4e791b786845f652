"""PostgreSQL for tests that need more than the fixtures give. It is no `conftest`, of which there are several."""

from __future__ import annotations

from sqlalchemy import make_url


def empty_postgresql(url: str) -> None:
    """Drop every table, and every connection a failed test may have left."""
    import psycopg  # noqa: PLC0415 - only here is PostgreSQL sure to be wanted

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
