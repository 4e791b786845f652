"""The flood breaker: what each bank allows, how often entries matched, notices for people; stopped codes by value."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _json_type() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _key(name: str, type_: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, type_, primary_key=True, autoincrement=False)


def upgrade() -> None:
    """Make the columns and tables."""
    for name, default in (("flood_accounts_per_hour", "100"), ("flood_factor", "10")):
        op.add_column("banks", sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text(default)))
    op.add_column("bank_events", sa.Column("facts", _json_type()))
    inactive = sa.text("NOT active")
    op.create_index(
        "fingerprints_inactive", "fingerprints", ["value"], sqlite_where=inactive, postgresql_where=inactive
    )
    _make_notices()
    _make_counts()


def _make_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", _id_type(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("bank_id", _id_type(), sa.ForeignKey("banks.id"), nullable=False),
        sa.Column("entry_id", _id_type(), sa.ForeignKey("entries.id"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("facts", _json_type(), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_by", sa.Text()),
        sqlite_autoincrement=True,
    )
    is_open = sa.text("resolved_at IS NULL")
    columns = ["entry_id", "kind"]
    op.create_index("notices_open", "notices", columns, unique=True, sqlite_where=is_open, postgresql_where=is_open)


def _make_counts() -> None:
    op.create_table(
        "flood_hours",
        _key("entry_id", _id_type()),
        _key("hour", sa.Integer()),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("sighting_count", "without_account_count", "approved_count")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("flood_hours_hour", "flood_hours", ["hour"])
    op.create_table(
        "flood_sightings",
        _key("hour", sa.Integer()),
        _key("entry_id", _id_type()),
        _key("key", sa.LargeBinary()),
        sqlite_with_rowid=False,
    )
