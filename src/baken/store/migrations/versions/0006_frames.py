"""Which pictures of a banked file its views are: frames, pages, and what it shows over black."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what is banked already has no other pictures."""
    op.add_column("entry_views", sa.Column("frames", sa.Text()))
