"""Fixtures of the web tests: the application on each database, and a data folder for server processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from web_client import Api, ServerProcess, running_app

from baken import assemble
from baken.access import create_key
from baken.model import Scope
from baken.settings import load


@pytest.fixture
def api(store_url: str, tmp_path: Path) -> Iterator[Api]:
    """The application on each database, with limits that small requests reach."""
    settings = load(
        {},
        data_dir=tmp_path / "data",
        database_url=store_url,
        max_upload_size_bytes=1_000_000,
        max_lookups=200,
        max_bulk_entries=100,
        decode_processes=2,
    )
    with running_app(assemble.initialise(settings)) as running:
        yield running


@pytest.fixture
def sqlite_api(tmp_path: Path) -> Iterator[Api]:
    """The application on SQLite alone, for what does not depend on the database."""
    settings = load({}, data_dir=tmp_path / "data", max_upload_size_bytes=1_000_000, decode_processes=1)
    with running_app(assemble.initialise(settings)) as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers on one data folder (SQLite); all are gone after the test."""
    data_dir = tmp_path / "data"
    with assemble.initialise(load({}, data_dir=data_dir)) as baken:
        _, secret = create_key(baken.store, "admin", frozenset({Scope.ADMIN}), actor="test")
    with ExitStack() as stack:

        def start(**settings: object) -> ServerProcess:
            return stack.enter_context(ServerProcess(data_dir, secret, **settings))

        yield start
