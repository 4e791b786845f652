"""The audit log, and people who sign in."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _needed(name: str, type_: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def _json_type() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _of_user() -> sa.Column[Any]:
    return sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id"), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Make the tables. The audit log begins here: what was done before stands in each bank's history."""
    _make_audit_log()
    _make_accounts()
    _make_sign_ins()


def _make_audit_log() -> None:
    op.create_table(
        "audit_events",
        sa.Column("seq", _id_type(), primary_key=True, autoincrement=False),
        _needed("kind", sa.Text()),
        _needed("actor", sa.Text()),
        sa.Column("subject", sa.Text()),
        _needed("event", sa.Text()),
        _needed("digest", sa.LargeBinary()),
    )
    for column in ("kind", "actor", "subject"):
        op.create_index(f"audit_events_{column}", "audit_events", [column, "seq"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        _needed("seq", _id_type()),
        _needed("digest", sa.LargeBinary()),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "digest": bytes(32)}])
    op.create_table(
        "audit_stamps",
        sa.Column("id", _id_type(), primary_key=True),
        _needed("seq", _id_type()),
        _needed("digest", sa.LargeBinary()),
        _time("stamped_at"),
        _needed("authority", sa.Text()),
        _needed("token", sa.LargeBinary()),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_stamps_seq", "audit_stamps", ["seq", "id"])


def _make_accounts() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), primary_key=True),
        _needed("name", sa.Text()),
        sa.Column("name_key", sa.Text(), nullable=False, unique=True),
        sa.Column("email", sa.Text()),
        _needed("roles", _json_type()),
        sa.Column("bank_ids", _json_type()),
        sa.Column("password_hash", sa.Text()),
        sa.Column("totp_sealed", sa.LargeBinary()),
        sa.Column("totp_step", _id_type(), nullable=False, server_default="0"),
        _time("created_at"),
        _needed("created_by", sa.Text()),
        _time("disabled_at", nullable=True),
    )
    op.create_table("recovery_codes", sa.Column("digest", sa.LargeBinary(), primary_key=True), _of_user())
    op.create_index("recovery_codes_user", "recovery_codes", ["user_id"])


def _make_sign_ins() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False, unique=True),
        _of_user(),
        _needed("method", sa.Text()),
        _time("created_at"),
        _time("last_seen_at"),
        _time("expires_at"),
        _time("ended_at", nullable=True),
        sa.Column("address", sa.Text()),
        sa.Column("agent", sa.Text()),
    )
    op.create_index("sessions_user", "sessions", ["user_id", "created_at"])
    op.create_index("sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "tickets",
        sa.Column("token_sha256", sa.LargeBinary(), primary_key=True),
        _needed("kind", sa.Text()),
        _of_user(),
        _time("expires_at"),
    )
    op.create_index("tickets_user", "tickets", ["user_id"])
    op.create_index("tickets_expires_at", "tickets", ["expires_at"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        _needed("attempt_count", sa.Integer()),
        _time("last_at"),
        _time("blocked_until", nullable=True),
    )
    op.create_index("sign_in_attempts_last_at", "sign_in_attempts", ["last_at"])
