"""Scans: how far each one is, and the marks of the files it recorded, from which the next run tells what is new."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _needed(name: str, type_: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    json_type: sa.types.TypeEngine[Any] = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "scans",
        sa.Column("id", _id_type(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        _needed("is_named", sa.Boolean()),
        _needed("roots", sa.LargeBinary()),
        _needed("ref_prefix", sa.Text()),
        _needed("state", sa.Text()),
        _needed("run", sa.Integer()),
        _needed("is_whole", sa.Boolean()),
        _needed("started_at", sa.DateTime(timezone=True)),
        _needed("updated_at", sa.DateTime(timezone=True)),
        _needed("root_number", sa.Integer()),
        _needed("cursor", sa.LargeBinary()),
        _needed("counts", json_type),
        sa.Column("holder", sa.Text()),
        _needed("held_until", sa.Float()),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "scan_pages",
        sa.Column("scan_id", _id_type(), primary_key=True, autoincrement=False),
        sa.Column("run", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("root_number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("last_key", sa.LargeBinary(), primary_key=True),
        _needed("marks", sa.LargeBinary()),
    )
