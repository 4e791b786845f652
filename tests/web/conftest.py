"""Fixtures of the web tests: the application on each database, and a data folder for server processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import copy2

import pytest
from console_browser import Site, Visitor, browsing, cheap_passwords, serving, visiting
from playwright.sync_api import Browser as Chromium
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
def data_dir(sqlite_file: Path, tmp_path: Path) -> Path:
    """A data folder as `baken init` leaves it."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    copy2(sqlite_file, folder)
    return folder


@pytest.fixture
def sqlite_api(data_dir: Path) -> Iterator[Api]:
    """The application on SQLite alone, for what does not depend on the database."""
    settings = load({}, data_dir=data_dir, max_upload_size_bytes=1_000_000, decode_processes=1)
    with running_app(assemble.initialise(settings)) as running:
        yield running


@pytest.fixture
def serve(data_dir: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers on one data folder (SQLite); all are gone after the test."""
    with assemble.initialise(load({}, data_dir=data_dir)) as baken:
        _, secret = create_key(baken.store, "admin", frozenset({Scope.ADMIN}), actor="test")
    with ExitStack() as stack:

        def start(**settings: object) -> ServerProcess:
            return stack.enter_context(ServerProcess(data_dir, secret, **settings))

        yield start


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served console for all tests of a file, with everybody of the cast (`console_browser.CAST`)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "Passwords", cheap_passwords)
        settings = load(
            {},
            data_dir=tmp_path_factory.mktemp("site") / "data",
            decode_processes=1,
            require_second_factor_roles="",  # test_web_second_factor.py has it
        )
        with serving(assemble.initialise(settings)) as served:
            yield served


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chromium]:
    """A browser for all tests of a file."""
    with browsing() as browser:
        yield browser


@pytest.fixture
def visit(site: Site, chrome: Chromium) -> Iterator[Callable[..., Visitor]]:
    """Opens a browser's window: `visit("alice")` is signed in; all are closed after the test and must be clean."""
    with ExitStack() as stack:
        yield lambda name=None, **given: stack.enter_context(visiting(site, chrome, name, **given))
