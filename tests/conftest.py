"""The databases a test may ask for: a fresh SQLite file or an emptied PostgreSQL database, the same tests on both."""

from __future__ import annotations

import os
import secrets
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shutil import copy2

import pytest
from sqlalchemy import make_url

from baken.store import Store
from postgresql import NewTables, empty_postgresql

REQUIRE_SERVICES = "BAKEN_TEST_REQUIRE_SERVICES"
"""Set where every service must be there, as in CI: a skipped test then fails the run."""

POSTGRESQL_ADDRESS = ("127.0.0.1", 5432)


def postgresql_server() -> str | None:
    """The URL of a server for tests: BAKEN_TEST_POSTGRES_DSN, else one that listens on this machine, else None."""
    given = os.environ.get("BAKEN_TEST_POSTGRES_DSN")
    if given:
        return given
    try:
        socket.create_connection(POSTGRESQL_ADDRESS, timeout=1).close()
    except OSError:
        return None
    return "postgresql://postgres@{}:{}/postgres".format(*POSTGRESQL_ADDRESS)


@pytest.fixture(scope="session")
def postgresql_database() -> Iterator[str]:
    """The URL of a database made for this run of the tests and dropped after it, with what the last test left in it."""
    server = postgresql_server()
    if server is None:
        pytest.skip("PostgreSQL: set BAKEN_TEST_POSTGRES_DSN, or start a server on 127.0.0.1:5432")
    psycopg = pytest.importorskip("psycopg", reason="PostgreSQL: psycopg is not installed")
    admin_url = make_url(server).set(drivername="postgresql").render_as_string(hide_password=False)
    name = f"baken_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield make_url(server).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgresql_url(postgresql_database: str) -> str:
    """The URL of a PostgreSQL database without tables."""
    empty_postgresql(postgresql_database)
    return postgresql_database


@pytest.fixture(scope="session")
def postgresql_tables(postgresql_database: str) -> NewTables:
    """The same database, with tables that are made once for many tests."""
    return NewTables(postgresql_database)


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database as it is when its tables were made, to be copied: that takes a hundredth of the time."""
    path = tmp_path_factory.mktemp("tables") / "baken.sqlite3"
    Store.initialise(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables, once for each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'baken.sqlite3'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database whose tables were just made, once for each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{copy2(request.getfixturevalue('sqlite_file'), tmp_path / 'baken.sqlite3')}"
    tables: NewTables = request.getfixturevalue("postgresql_tables")
    return tables.url()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store with its tables, once for each engine."""
    with Store.open(store_url) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name at the very end what was skipped for want of a service."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"not run: {count} tests - {reason}", yellow=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped tests where every service must be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(REQUIRE_SERVICES) and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
