"""What banks keep of their pictures beside fingerprints: views, vectors, and sealed keypoints."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _entry_id() -> sa.Column[Any]:
    return sa.Column("entry_id", _id_type(), sa.ForeignKey("entries.id"), primary_key=True, autoincrement=False)


def _needed(name: str, type_: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def upgrade() -> None:
    """Make the columns and tables; banks that are there keep views from now on, and no keypoints."""
    op.add_column("banks", sa.Column("view_set", sa.Text(), nullable=False, server_default="full"))
    op.add_column("banks", sa.Column("keeps_keypoints", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "entry_views",
        _entry_id(),
        _needed("bank_id", _id_type()),
        _needed("width_px", sa.Integer()),
        _needed("height_px", sa.Integer()),
        _needed("numbers", sa.LargeBinary()),
        _needed("codes", sa.LargeBinary()),
    )
    op.create_table(
        "entry_vectors",
        sa.Column("model_sha256", sa.LargeBinary(), primary_key=True),
        _entry_id(),
        _needed("bank_id", _id_type()),
        _needed("model_id", sa.Text()),
        _needed("views", sa.Text()),
        _needed("components", sa.LargeBinary()),
    )
    op.create_index("entry_vectors_entry", "entry_vectors", ["entry_id"])
    op.create_table("entry_keypoints", _entry_id(), _needed("bank_id", _id_type()), _needed("sealed", sa.LargeBinary()))
    for table in ("entry_views", "entry_vectors", "entry_keypoints"):
        op.create_index(f"{table}_bank", table, ["bank_id", "entry_id"])
