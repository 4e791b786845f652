"""The audit log, and people who sign in."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _needed(name: str, type_: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Make the tables. The audit log begins here: what was done before stands in each bank's history."""
    _make_audit_log()


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
