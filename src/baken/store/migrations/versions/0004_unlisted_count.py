"""Screenings say how many entries matched beyond those that are listed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was recorded before lists every match."""
    count = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("screenings", sa.Column("unlisted_count", count, nullable=False, server_default="0"))
