"""What was seen: items, their files and clusters, how far the past has been asked; and cases with their items."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _id(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _id_type(), nullable=nullable)


def _own_id() -> sa.Column[int]:
    return sa.Column("id", _id_type(), primary_key=True)


def _given_id(name: str) -> sa.Column[int]:
    return sa.Column(name, _id_type(), primary_key=True, autoincrement=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _time(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _refs() -> list[sa.Column[str]]:
    return [_text(name, nullable=True) for name in ("item_ref", "account_ref", "album_ref")]


def upgrade() -> None:
    """Make the tables."""
    _make_files()
    _make_items()
    _make_state()
    _make_cases()


def _make_files() -> None:
    op.create_table(
        "seen_files",
        _given_id("id"),
        sa.Column("key", sa.LargeBinary(), nullable=False, unique=True),
        *(_bytes(name) for name in ("sha256", "sha1", "md5")),
        _integer("quality_percent", nullable=True),
        _bytes("mirrorings", nullable=True),
        _id("cluster_id"),
        _integer("item_count"),
    )
    op.create_index("seen_files_cluster", "seen_files", ["cluster_id"])
    op.create_table("seen_clusters", _given_id("id"), _bytes("pdq", nullable=True), _integer("item_count"))
    op.create_index("seen_clusters_size", "seen_clusters", ["item_count", "id"])
    op.create_table("seen_removals", _given_id("seq"), _id("file_id", nullable=True), _id("cluster_id", nullable=True))


def _make_items() -> None:
    op.create_table(
        "seen_queue", _own_id(), _text("screening_id"), _id("known_seq"), _bytes("mirrorings", nullable=True)
    )
    op.create_table(
        "seen_items",
        _given_id("id"),
        _id("file_id"),
        _text("screening_id"),
        *_refs(),
        _time("seen_at"),
    )
    op.create_index("seen_items_file", "seen_items", ["file_id", "id"])
    for column in ("seen_at", "item_ref", "account_ref"):
        op.create_index(f"seen_items_{column}", "seen_items", [column])


def _make_state() -> None:
    op.create_table(
        "seen_state",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        _text("database_id"),
        *(_id(name) for name in ("seq", "last_item_id", "removals_after", "asked_seq", "asked_entry_id")),
        _text("holder", nullable=True),
        sa.Column("held_until", sa.Float(), nullable=False),
    )
    # Nothing was seen before now, so the entries there are have no past to be asked.
    statement = sa.text(
        "INSERT INTO seen_state"
        " (id, database_id, seq, last_item_id, removals_after, asked_seq, asked_entry_id, held_until)"
        " SELECT 1, :database_id, 0, 0, 0, seq, 0, 0 FROM change_head"
    )
    op.get_bind().execute(statement, {"database_id": secrets.token_hex(16)})


def _make_cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Text(), primary_key=True),
        *(_text(name) for name in ("purpose", "state")),
        *(_time(name) for name in ("opened_at", "updated_at")),
        *(_integer(name) for name in ("item_count", "account_count")),
    )
    op.create_table(
        "case_keys",
        *(sa.Column(name, sa.Text(), primary_key=True) for name in ("purpose", "kind")),
        _given_id("key_id"),
        sa.Column("case_id", sa.Text(), sa.ForeignKey("cases.id"), nullable=False),
    )
    op.create_index("case_keys_case", "case_keys", ["case_id"])
    json_type: sa.types.TypeEngine[Any] = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "case_items",
        _own_id(),
        sa.Column("case_id", sa.Text(), sa.ForeignKey("cases.id"), nullable=False),
        _text("screening_id"),
        *_refs(),
        *(_time(name) for name in ("seen_at", "joined_at")),
        _text("origin"),
        sa.Column("matches", json_type, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("case_items_screening", "case_items", ["screening_id", "case_id"], unique=True)
    op.create_index("case_items_account", "case_items", ["case_id", "account_ref"])
