"""The first tables: banks with their history and entries, the change log, API keys and screenings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _json_type() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _id(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _id_type(), nullable=nullable)


def _own_id() -> sa.Column[int]:
    return sa.Column("id", _id_type(), primary_key=True)


def _given_id(name: str) -> sa.Column[int]:
    return sa.Column(name, _id_type(), primary_key=True, autoincrement=False)


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def _reference(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, _id_type(), sa.ForeignKey(target), nullable=False)


def upgrade() -> None:
    """Make the tables."""
    _make_change_log()
    _make_banks()
    _make_entries()
    _make_keys()
    _make_screenings()


def _make_change_log() -> None:
    op.create_table(
        "change_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        _id("seq"),
        _id("last_entry_id"),
    )
    op.execute("INSERT INTO change_head (id, seq, last_entry_id) VALUES (1, 0, 0)")
    op.create_table(
        "changes",
        _given_id("seq"),
        _text("kind"),
        _id("bank_id", nullable=True),
        _id("first_entry_id", nullable=True),
        _id("last_entry_id", nullable=True),
        _time("created_at"),
    )


def _make_banks() -> None:
    op.create_table(
        "banks",
        _own_id(),
        _text("name"),
        _text("purpose"),
        _integer("radius_bits"),
        _text("verdict"),
        _text("state"),
        _text("reason", nullable=True),
        _time("created_at"),
        _time("updated_at"),
        sa.CheckConstraint("radius_bits BETWEEN 0 AND 64", name="radius_bits_is_within_the_limit"),
        sa.CheckConstraint("NOT (purpose = 'own_photo' AND verdict = 'block')", name="own_photo_never_blocks"),
        sqlite_autoincrement=True,
    )
    live = sa.text("state <> 'withdrawn'")
    op.create_index("banks_live_name", "banks", ["name"], unique=True, sqlite_where=live, postgresql_where=live)
    op.create_index("banks_name", "banks", ["name", "id"])
    op.create_table(
        "bank_events",
        _own_id(),
        _reference("bank_id", "banks.id"),
        _text("what"),
        _text("actor"),
        _text("reason", nullable=True),
        _integer("entry_count", nullable=True),
        _id("first_entry_id", nullable=True),
        _id("last_entry_id", nullable=True),
        _time("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_index("bank_events_bank", "bank_events", ["bank_id", "id"])


def _make_entries() -> None:
    op.create_table(
        "provenances",
        _own_id(),
        _text("source"),
        _text("added_by"),
        _text("note", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "entries",
        _given_id("id"),
        _reference("bank_id", "banks.id"),
        _reference("provenance_id", "provenances.id"),
        _text("state"),
        _text("state_reason", nullable=True),
        _text("label", nullable=True),
        _time("created_at"),
        _time("updated_at"),
    )
    op.create_index("entries_bank_state", "entries", ["bank_id", "state", "id"])
    op.create_index("entries_bank", "entries", ["bank_id", "id"])
    op.create_table(
        "fingerprints",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("entry_id", _id_type(), sa.ForeignKey("entries.id"), primary_key=True, autoincrement=False),
        _id("bank_id"),
        sa.Column("active", sa.Boolean(), nullable=False),
        _bytes("value"),
        _integer("quality_percent", nullable=True),
        sqlite_with_rowid=False,
    )


def _make_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), primary_key=True),
        _text("name"),
        sa.Column("scopes", _json_type(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False, unique=True),
        _time("created_at"),
        _text("created_by"),
        _time("expires_at", nullable=True),
        _time("revoked_at", nullable=True),
        _text("revoked_by", nullable=True),
    )


def _make_screenings() -> None:
    op.create_table(
        "screenings",
        sa.Column("id", sa.Text(), primary_key=True),
        _time("created_at"),
        *(_text(name, nullable=True) for name in ("item_ref", "account_ref", "album_ref", "visibility")),
        *(_text(name, nullable=True) for name in ("caption", "url")),
        *(_bytes(name) for name in ("sha256", "sha1", "md5")),
        _bytes("pdq", nullable=True),
        _integer("quality_percent", nullable=True),
        *(_text(name, nullable=True) for name in ("unscreenable_reason", "unscreenable_detail", "format")),
        *(_integer(name, nullable=True) for name in ("width_px", "height_px")),
        *(_text(name) for name in ("finding", "verdict")),
        _text("reason", nullable=True),
        *(sa.Column(name, _json_type(), nullable=False) for name in ("matches", "suppressed")),
        sa.Column("elapsed_ms", sa.Float(), nullable=False),
        *(_text(name, nullable=True) for name in ("case_id", "idempotency_key_id", "idempotency_token")),
        _bytes("idempotency_request_sha256", nullable=True),
    )
    has_token = sa.text("idempotency_token IS NOT NULL")
    token = ["idempotency_key_id", "idempotency_token"]
    op.create_index(
        "screenings_idempotency", "screenings", token, unique=True, sqlite_where=has_token, postgresql_where=has_token
    )
