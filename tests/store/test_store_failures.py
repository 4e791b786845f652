"""When the database fails, people are told which one, why and what to do; and nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool
from store_samples import add, make_bank, screening

from baken.errors import NotInitialisedError, NotReadyError, SettingError, StoreBusyError, StoreError
from baken.model import FingerprintKind
from baken.store import Store
from baken.store.address import parse_address

SECRET = "correct horse/battery@staple"  # noqa: S105 - a made-up one
SECRET_IN_URL = "correct%20horse%2Fbattery%40staple"  # noqa: S105 - the same


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a bank of 2,000 entries in it."""
    path = tmp_path / "baken.sqlite3"
    with Store.initialise(f"sqlite:///{path}") as store:
        make_bank(store)
        add(store, 2000)
    return path


@contextmanager
def write_lock(url: str) -> Iterator[None]:
    """Hold what a writer needs, as another process would."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
    else:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text("SELECT * FROM change_head FOR UPDATE"))
            yield


@contextmanager
def as_another_user() -> Iterator[None]:
    """Give up root's right to write everywhere, for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that another user may reach: pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="baken-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_second_writer_waits_and_then_says_who_is_in_the_way(store_url: str):
    Store.initialise(store_url).close()
    with Store.open(store_url, busy_timeout_seconds=0.3) as store:
        with (
            write_lock(store_url),
            pytest.raises(StoreBusyError, match=r"busy: another .* for longer than 0\.3 s") as raised,
        ):
            make_bank(store)
        made = make_bank(store)

        assert parse_address(store_url).label in raised.value.message
        assert "stop it" in raised.value.hint
        assert store.banks() == [made]


def test_readers_do_not_wait_for_a_writer(store: Store, store_url: str):
    bank = make_bank(store)

    with write_lock(store_url):
        assert store.head_seq() == 1
        assert store.banks() == [bank]
        store.ping()


def test_threads_of_one_process_wait_for_each_other_no_longer_than_for_others(path: Path):
    with Store.open(f"sqlite:///{path}", busy_timeout_seconds=0.2) as store:
        holds, release = threading.Event(), threading.Event()

        def hold() -> None:
            with store._database.write():
                holds.set()
                release.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        holds.wait(30)
        with pytest.raises(StoreBusyError, match="another thread of this process"):
            make_bank(store, "other")
        release.set()
        holder.join()
        assert make_bank(store, "other") == store.bank("other")


def test_a_full_disk_is_named_and_leaves_what_was_there(path: Path):
    with Store.open(f"sqlite:///{path}") as store:
        store.record(screening(1))
        with store._database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 3}")
        with pytest.raises(StoreError, match=r"baken\.sqlite3.*SQLITE_FULL") as raised:
            add(store, 5000)
        with store._database.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")

        assert "free space" in raised.value.hint
        assert store.screening(screening(1).id) == screening(1)
        assert sum(len(chunk.entry_ids) for chunk in store.active_codes(FingerprintKind.PDQ)) == 2000
        assert len(add(store, 5000)) == 5000


def test_a_folder_that_cannot_be_written_is_named(public_folder: Path):
    path = public_folder / "baken.sqlite3"
    public_folder.chmod(0o555)

    with as_another_user(), pytest.raises(StoreError, match=str(path)) as raised:
        Store.initialise(f"sqlite:///{path}")

    assert "mode" in raised.value.hint


def test_a_read_only_data_folder_is_named(public_folder: Path):
    path = public_folder / "baken.sqlite3"
    Store.initialise(f"sqlite:///{path}").close()
    path.chmod(0o444)
    public_folder.chmod(0o555)

    def write() -> None:
        with Store.open(f"sqlite:///{path}") as store:
            make_bank(store)

    with as_another_user(), pytest.raises(StoreError, match=str(path)) as raised:
        write()

    assert "this user" in raised.value.hint


def test_another_kind_of_file_is_not_touched(tmp_path: Path):
    path = tmp_path / "holiday.jpg"
    content = b"this is no database " * 500
    path.write_bytes(content)

    for attempt in (Store.open, Store.initialise):
        with pytest.raises(StoreError, match="SQLITE_NOTADB") as raised:
            attempt(f"sqlite:///{path}")
        assert "no SQLite database" in raised.value.hint

    assert path.read_bytes() == content


def test_a_damaged_file_is_reported_instead_of_read(path: Path):
    noise = random.Random(1)  # noqa: S311 - noise, not secrets
    with path.open("r+b") as file:
        size_bytes = path.stat().st_size
        file.seek(size_bytes // 4 // 4096 * 4096)
        file.write(noise.randbytes(size_bytes // 2))

    def read_everything() -> None:
        with Store.open(f"sqlite:///{path}") as store:
            list(store.active_codes(FingerprintKind.PDQ))
            store.entries("known", limit=10_000)

    with pytest.raises(StoreError, match=r"baken\.sqlite3.*SQLITE_CORRUPT") as raised:
        read_everything()

    assert "backup" in raised.value.hint


def test_codes_of_the_wrong_length_are_not_loaded(store: Store):
    make_bank(store)
    add(store, 3)
    with store._database.write() as connection:
        connection.execute(text("UPDATE fingerprints SET value = :short WHERE entry_id = 2"), {"short": b"short"})

    with pytest.raises(StoreError, match="3 pdq fingerprints hold 69 bytes, expected 32 each"):
        list(store.active_codes(FingerprintKind.PDQ))


def test_tables_that_went_away_ask_for_init(store: Store):
    with store._database.write() as connection:
        connection.execute(text("DROP TABLE change_head"))

    for use in (store.head_seq, store.ping, lambda: make_bank(store)):
        with pytest.raises(NotInitialisedError, match="no Baken tables"):
            use()


def test_a_lost_head_is_reported(store: Store):
    with store._database.write() as connection:
        connection.execute(text("DELETE FROM change_head"))

    with pytest.raises(StoreError, match="head row"):
        store.head_seq()


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        f"mysql://baken:{SECRET_IN_URL}@db.example/baken",
        f"postgresql://baken:{SECRET_IN_URL}@db.example:port/baken",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////tmp/x.sqlite3?mode=memory",
    ],
)
def test_a_url_that_names_no_database_is_refused_without_repeating_it(url: str):
    with pytest.raises(SettingError) as raised:
        Store.open(url)

    told = "".join(traceback.format_exception(raised.value)) + raised.value.hint
    assert "postgresql+psycopg://" in raised.value.hint
    assert SECRET not in told
    assert SECRET_IN_URL not in told


@pytest.mark.parametrize("place", ["user information", "query"])
def test_an_unreachable_server_is_named_without_its_password(place: str):
    pytest.importorskip("psycopg", reason="PostgreSQL: psycopg is not installed")
    url = f"postgresql://baken:{SECRET_IN_URL}@127.0.0.1:1/baken"
    if place == "query":
        url = f"postgresql://baken@127.0.0.1:1/baken?password={SECRET_IN_URL}"

    with pytest.raises(StoreError, match=r"postgresql://baken@127\.0\.0\.1:1/baken") as raised:
        Store.open(url)

    told = "".join(traceback.format_exception(raised.value)) + raised.value.hint
    assert SECRET not in told
    assert SECRET_IN_URL not in told
    assert "check that the server runs" in raised.value.hint


def test_a_message_that_repeats_the_password_is_redacted():
    address = parse_address(f"postgresql://baken:{SECRET_IN_URL}@db.example/baken")

    assert address.redacted(f"tried {SECRET} and {SECRET_IN_URL}") == "tried *** and ***"
    assert SECRET not in address.label


def test_a_database_that_does_not_exist_is_to_be_created_first(postgresql_url: str):
    url = make_url(postgresql_url).set(database="baken_test_none").render_as_string(hide_password=False)

    with pytest.raises(StoreError, match="baken_test_none") as raised:
        Store.initialise(url)

    assert "createdb" in raised.value.hint


def cut_connections(postgresql_url: str) -> None:
    with create_engine(postgresql_url, poolclass=NullPool).begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def test_connections_cut_by_the_server_are_replaced(postgresql_url: str):
    with Store.initialise(postgresql_url) as store:
        seq = store.head_seq()
        banks = store.banks(include_withdrawn=True)
        cut_connections(postgresql_url)

        assert store.head_seq() == seq
        assert store.banks(include_withdrawn=True) == banks
        store.record(screening(12345))
        assert store.screening(screening(12345).id) == screening(12345)


@pytest.mark.parametrize(("asked_after_seconds", "is_lost"), [(0.0, False), (60.0, True)])
def test_a_connection_lost_without_a_word_is_found_out_once_it_was_idle(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, asked_after_seconds: float, is_lost: bool
):
    monkeypatch.setattr("baken.store.engine._has_news", lambda _: False)  # the network dropped it, and says nothing
    monkeypatch.setattr("baken.store.engine._ASKED_AFTER_IDLE_SECONDS", asked_after_seconds)
    with Store.initialise(postgresql_url) as store:
        banks = store.banks(include_withdrawn=True)
        cut_connections(postgresql_url)

        with pytest.raises(NotReadyError) if is_lost else nullcontext():
            assert store.banks(include_withdrawn=True) == banks

        assert store.banks(include_withdrawn=True) == banks
