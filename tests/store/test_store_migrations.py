"""The tables on disk: exactly what the code expects, made once, refused when they are another version's."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from kept_samples import picture_entry
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from store_samples import ORIGIN, make_bank

from baken.copies import ViewSet
from baken.errors import NotInitialisedError
from baken.store import Store
from baken.store.address import parse_address
from baken.store.bulk import insert_rows
from baken.store.engine import Database
from baken.store.migrate import MIGRATIONS, revision_complaint
from baken.store.schema import REVISIONS, fingerprints, metadata

OLD_ENTRY = """
INSERT INTO banks (name, purpose, radius_bits, verdict, state, created_at, updated_at)
    VALUES ('old', 'watch', 20, 'allow', 'active', '2026-01-02 03:04:05', '2026-01-02 03:04:05');
INSERT INTO provenances (source, added_by) VALUES ('files', 'alice');
INSERT INTO entries (id, bank_id, provenance_id, state, created_at, updated_at)
    VALUES (1, 1, 1, 'active', '2026-01-02 03:04:05', '2026-01-02 03:04:05');
INSERT INTO changes (seq, kind, bank_id, first_entry_id, last_entry_id, created_at)
    VALUES (1, 'entries', 1, 1, 1, '2026-01-02 03:04:05');
UPDATE change_head SET seq = 1, last_entry_id = 1
"""

OLD_CASE = """
INSERT INTO cases (id, purpose, state, opened_at, updated_at, item_count, account_count)
    VALUES ('{name}', 'watch', 'open', '2026-01-02 03:04:05', '2026-01-02 03:04:05', 1, 0);
INSERT INTO screenings (id, created_at, sha256, sha1, md5, pdq, unscreenable_reason, finding, verdict, elapsed_ms,
        matches, suppressed)
    VALUES ('{name}', '2026-01-02 03:04:05', :sha256, :sha256, :sha256, :pdq, {reason}, 'clear', 'allow', 1,
        '[]', '[]');
INSERT INTO case_items (case_id, screening_id, seen_at, joined_at, origin, matches)
    VALUES ('{name}', '{name}', '2026-01-02 03:04:05', '2026-01-02 03:04:05', 'retroactive', '[]')
"""


def test_the_migrations_make_exactly_the_tables_of_the_schema(bare_store_url: str):
    Store.initialise(bare_store_url).close()

    with create_engine(bare_store_url, poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_code_knows_every_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert list(REVISIONS) == revisions[::-1]


def test_a_database_of_the_first_revision_is_brought_up_to_date_with_its_banks(bare_store_url: str):
    address = parse_address(bare_store_url)
    database = Database(address, busy_timeout_seconds=30, may_create=True)
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO banks (name, purpose, radius_bits, verdict, state, created_at, updated_at)"
                " VALUES ('old', 'watch', 20, 'allow', 'active', '2026-01-02 03:04:05', '2026-01-02 03:04:05')"
            )
        )
    database.close()

    with pytest.raises(NotInitialisedError, match="older \\(0001\\)"):
        Store.open(bare_store_url)
    with Store.initialise(bare_store_url) as store:
        bank = store.bank("old")
        changed = store.change_bank("old", radius_bits=21, actor="alice")

    assert (bank.radius_bits, bank.flood_accounts_per_hour, bank.flood_factor) == (20, 100, 10)
    assert changed.radius_bits == 21


def test_a_database_of_revision_4_keeps_its_entries_and_can_complete_them(bare_store_url: str):
    database = Database(parse_address(bare_store_url), busy_timeout_seconds=30, may_create=True)
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for statement in OLD_ENTRY.split(";"):
            connection.execute(text(statement))
        codes = [(code.kind.value, 1, 1, True, code.value, None) for code in picture_entry(1).fingerprints]
        insert_rows(
            connection, fingerprints, ("kind", "entry_id", "bank_id", "active", "value", "quality_percent"), codes
        )
    database.close()

    with Store.initialise(bare_store_url) as store:
        bank, entry = store.bank("old"), store.entry("old", 1)
        added = store.add_missing_entries("old", [picture_entry(1)], ORIGIN, find_active=lambda *_: [1], actor="bob")

        assert (bank.view_set, bank.keeps_keypoints) == (ViewSet.FULL, False)
        assert (entry.view_count, entry.has_vectors, entry.has_keypoints) == (0, False, False)
        assert added.completed_count == 1
        assert store.entry("old", 1).view_count == 3


def test_cases_of_revision_8_hold_the_files_of_their_items(bare_store_url: str):
    database = Database(parse_address(bare_store_url), busy_timeout_seconds=30, may_create=True)
    files = {"compared": (b"1" * 32, b"p" * 32, "NULL"), "plain": (b"2" * 32, b"p" * 32, "'low_quality'")}
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        for name, (sha256, pdq, reason) in files.items():
            for statement in OLD_CASE.format(name=name, reason=reason).split(";"):
                wanted = {key: value for key, value in (("sha256", sha256), ("pdq", pdq)) if f":{key}" in statement}
                connection.execute(text(statement), wanted)
    database.close()

    Store.initialise(bare_store_url).close()
    with create_engine(bare_store_url, poolclass=NullPool).connect() as connection:
        held = {(bytes(row.code), row.case_id) for row in connection.execute(text("SELECT * FROM case_files"))}
    assert held == {(b"1" * 32, "compared"), (b"p" * 32, "compared"), (b"2" * 32, "plain")}


def test_initialising_again_keeps_what_is_there(bare_store_url: str):
    with Store.initialise(bare_store_url) as store:
        bank = make_bank(store)

    with Store.initialise(bare_store_url) as store:
        assert store.banks() == [bank]
        assert store.head_seq() == 1


def test_a_database_without_tables_asks_for_init(bare_store_url: str):
    if bare_store_url.startswith("sqlite"):
        Path(bare_store_url.removeprefix("sqlite:///")).touch()

    with pytest.raises(NotInitialisedError, match="no Baken tables") as raised:
        Store.open(bare_store_url)

    assert "baken init" in raised.value.hint


def test_a_database_made_by_a_newer_version_is_left_alone(bare_store_url: str):
    Store.initialise(bare_store_url).close()
    with create_engine(bare_store_url, poolclass=NullPool).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for attempt in (Store.open, Store.initialise):
        with pytest.raises(NotInitialisedError, match="newer \\(9999\\)"):
            attempt(bare_store_url)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [(None, "no Baken tables"), ("0001", "older"), ("0002", "older"), ("0004", "newer"), ("x", "newer")],
)
def test_tables_of_another_version_are_named_older_or_newer(found: str | None, complaint: str):
    assert complaint in (revision_complaint(found, ("0001", "0002", "0003")) or "")


def test_tables_of_this_version_are_fine():
    assert revision_complaint("0003", ("0001", "0002", "0003")) is None


def test_a_file_that_is_not_there_is_not_made_by_opening(tmp_path: Path):
    path = tmp_path / "none" / "baken.sqlite3"

    with pytest.raises(NotInitialisedError, match="no such file") as raised:
        Store.open(f"sqlite:///{path}")

    assert "baken init" in raised.value.hint
    assert not path.parent.exists()


def test_initialising_makes_the_folder_and_a_file_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "a folder with é and %" / "baken.sqlite3"

    with Store.initialise(f"sqlite:///{path}") as store:
        make_bank(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes["baken.sqlite3"] == 0o600
    assert set(modes.values()) == {0o600}


def test_sqlite_writes_ahead_and_syncs_each_commit(tmp_path: Path):
    with Store.initialise(f"sqlite:///{tmp_path / 'baken.sqlite3'}") as store, store._database.write() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_postgresql_syncs_each_commit_even_when_the_server_would_not(postgresql_url: str):
    url = f"{postgresql_url}?options=-csynchronous_commit%3Doff"

    with Store.initialise(url) as store, store._database.write() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "30s"
