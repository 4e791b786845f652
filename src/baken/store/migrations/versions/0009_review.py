"""Review: a case's life as events, the actions of its decision, reveals and budgets, held bytes, provider accounts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _json_type() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _needed(name: str, type_: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _own_id() -> sa.Column[Any]:
    return sa.Column("id", _id_type(), primary_key=True)


def _of(table: str, name: str, *, is_key: bool = False) -> sa.Column[Any]:
    type_ = _id_type() if table in {"banks", "case_items", "entries"} else sa.Text()
    reference = sa.ForeignKey(f"{table}.id")
    if is_key:
        return sa.Column(name, type_, reference, primary_key=True, autoincrement=False)
    return sa.Column(name, type_, reference, nullable=False)


def upgrade() -> None:
    """Make columns and tables; cases that are there begin their life with the event that opened them."""
    op.add_column("banks", sa.Column("follows_decisions", sa.Boolean(), nullable=False, server_default=sa.true()))
    _widen_cases()
    _make_matched()
    _make_events()
    _make_actions()
    _make_queues()
    _make_looking()
    _make_identities()


def _widen_cases() -> None:
    for column in (
        sa.Column("event_count", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("awaits", sa.Text()),
        sa.Column("holder_id", sa.Text()),
        _time("lease_until", nullable=True),
        sa.Column("assignee_id", sa.Text()),
        sa.Column("is_escalated", sa.Boolean(), nullable=False, server_default=sa.false()),
        _time("hold_until", nullable=True),
        sa.Column("decision", sa.Text()),
        sa.Column("category", sa.Text()),
        _time("decided_at", nullable=True),
        sa.Column("decided_by", sa.Text()),
        _time("undo_until", nullable=True),
        sa.Column("widest_visibility", sa.Text()),
        sa.Column("signals", _json_type()),
        sa.Column("rank", sa.Float(), nullable=False, server_default="0"),
        _time("ranked_at", nullable=True),
    ):
        op.add_column("cases", column)
    asked = ("opened_at", "purpose", "awaits", "widest_visibility", "item_count", "account_count", "is_escalated")
    people = ("assignee_id", "holder_id", "lease_until")
    op.create_index("cases_queue", "cases", ["state", sa.text("rank DESC"), "id", *asked, *people])
    op.create_index("cases_awaited", "cases", ["state", "awaits", sa.text("rank DESC"), "id"])
    op.create_index("cases_opened", "cases", ["state", "opened_at", "id"])
    op.create_index("cases_decided", "cases", ["state", "decided_at", "id"])
    op.create_index(
        "cases_escalated",
        "cases",
        ["state", sa.text("rank DESC"), "id"],
        sqlite_where=sa.text("is_escalated = 1"),
        postgresql_where=sa.text("is_escalated"),
    )
    is_unranked = sa.text("(ranked_at IS NULL OR ranked_at <> updated_at)")
    op.create_index("cases_unranked", "cases", ["state", "id"], sqlite_where=is_unranked, postgresql_where=is_unranked)
    for name, indexed in (
        ("cases_holder", "holder_id"),
        ("cases_hold_until", "hold_until"),
        ("cases_assignee", "assignee_id"),
    ):
        is_set = sa.text(f"{indexed} IS NOT NULL")
        op.create_index(name, "cases", [indexed], sqlite_where=is_set, postgresql_where=is_set)
    op.add_column("case_items", sa.Column("visibility", sa.Text()))
    op.create_index("case_items_item_ref", "case_items", ["item_ref"])
    op.create_index("case_items_account_ref", "case_items", ["account_ref", "screening_id", "case_id"])
    op.create_index("case_items_case", "case_items", ["case_id", "id"])
    op.drop_index("seen_items_account_ref", "seen_items")
    op.create_index("seen_items_account_ref", "seen_items", ["account_ref", "screening_id"])


def _make_matched() -> None:
    """What the items of a case match, and by what further ones are led to it."""
    op.create_table("case_queue", _own_id(), _needed("screening_id", sa.Text()))
    op.create_table("case_banks", _of("banks", "bank_id", is_key=True), _of("cases", "case_id", is_key=True))
    op.create_index("case_banks_case", "case_banks", ["case_id"])
    op.execute(
        "INSERT INTO case_banks (bank_id, case_id) SELECT DISTINCT entries.bank_id, case_keys.case_id FROM case_keys"
        " JOIN entries ON entries.id = case_keys.key_id WHERE case_keys.kind = 'entry'"
    )
    op.create_table("case_entries", _of("cases", "case_id", is_key=True), _of("entries", "entry_id", is_key=True))
    op.create_index("case_entries_entry", "case_entries", ["entry_id", "case_id"])
    op.execute(
        "INSERT INTO case_entries (case_id, entry_id) SELECT DISTINCT case_keys.case_id, entries.id FROM case_keys"
        " JOIN entries ON entries.id = case_keys.key_id WHERE case_keys.kind = 'entry'"
    )
    op.create_table(
        "case_files", sa.Column("code", sa.LargeBinary(), primary_key=True), _of("cases", "case_id", is_key=True)
    )
    op.create_index("case_files_case", "case_files", ["case_id"])
    items = "case_items JOIN screenings ON screenings.id = case_items.screening_id"
    op.execute(
        f"INSERT INTO case_files (code, case_id) SELECT screenings.sha256, case_items.case_id FROM {items}"  # noqa: S608
        f" UNION SELECT screenings.pdq, case_items.case_id FROM {items}"
        " WHERE screenings.pdq IS NOT NULL AND screenings.unscreenable_reason IS NULL"
    )


def _make_events() -> None:
    op.create_table(
        "case_events",
        _own_id(),
        _of("cases", "case_id"),
        _needed("seq", sa.Integer()),
        _time("at"),
        _needed("kind", sa.Text()),
        _needed("actor", sa.Text()),
        _needed("facts", _json_type()),
        sqlite_autoincrement=True,
    )
    op.create_index("case_events_case", "case_events", ["case_id", "seq"], unique=True)
    op.create_index("case_events_actor", "case_events", ["actor", "id"])
    op.execute(
        "INSERT INTO case_events (case_id, seq, at, kind, actor, facts)"
        " SELECT id, 1, opened_at, 'opened', 'baken', '{}' FROM cases ORDER BY id"
    )
    op.execute("UPDATE cases SET event_count = 1, awaits = 'first'")


def _make_actions() -> None:
    op.create_table(
        "case_actions",
        _own_id(),
        _of("cases", "case_id"),
        _needed("event_seq", sa.Integer()),
        _of("case_items", "item_id"),
        _needed("kind", sa.Text()),
        _needed("state", sa.Text()),
        _time("due_at"),
        _time("done_at", nullable=True),
        sa.Column("done_by", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("case_actions_due", "case_actions", ["state", "id"])
    op.create_index("case_actions_case", "case_actions", ["case_id", "id"])
    is_pending = sa.text("state = 'pending'")
    op.create_index(
        "case_actions_pending",
        "case_actions",
        ["case_id", "id"],
        sqlite_where=is_pending,
        postgresql_where=is_pending,
    )


def _make_queues() -> None:
    op.create_table(
        "case_ranking",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        _needed("weights", sa.Text()),
    )
    op.create_table(
        "saved_views",
        _own_id(),
        _of("users", "user_id"),
        _needed("name", sa.Text()),
        _needed("query", sa.Text()),
        _time("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_index("saved_views_user", "saved_views", ["user_id", "name"], unique=True)


def _make_looking() -> None:
    op.create_table(
        "reveals",
        _own_id(),
        _of("users", "user_id"),
        _of("cases", "case_id"),
        _needed("screening_id", sa.Text()),
        _needed("level", sa.Integer()),
        _needed("purpose", sa.Text()),
        sa.Column("reason", sa.Text()),
        _time("shown_at"),
        _time("hidden_at", nullable=True),
        sa.Column("shown_seconds", sa.Float()),
        sqlite_autoincrement=True,
    )
    op.create_index("reveals_user", "reveals", ["user_id", "shown_at", "level"])
    op.create_index("reveals_case", "reveals", ["case_id", "shown_at"])
    op.create_table(
        "exposure_days",
        _of("users", "user_id", is_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("level", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("purpose", sa.Text(), primary_key=True),
        _needed("look_count", _id_type()),
        _needed("shown_seconds", sa.Float()),
    )
    op.create_table(
        "exposure_lifts",
        _own_id(),
        _of("users", "user_id"),
        _needed("lifted_by", sa.Text()),
        _time("lifted_at"),
        _time("until"),
        _needed("extra_count", sa.Integer()),
        _needed("reason", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("exposure_lifts_user", "exposure_lifts", ["user_id", "until"])
    op.create_table(
        "exposure_optouts",
        _of("users", "user_id", is_key=True),
        sa.Column("purpose", sa.Text(), primary_key=True),
        _time("since"),
    )
    op.create_table(
        "vault_objects",
        sa.Column("id", sa.Text(), primary_key=True),
        _needed("sha256", sa.LargeBinary()),
        _needed("size_bytes", _id_type()),
        sa.Column("format", sa.Text()),
        _needed("purposes", _json_type()),
        _needed("reason", sa.Text()),
        sa.Column("key_sealed", sa.LargeBinary()),
        _time("held_at"),
        _time("ends_at"),
        _time("destroyed_at", nullable=True),
    )
    is_there = sa.text("destroyed_at IS NULL")
    for column, is_unique in (("sha256", True), ("ends_at", False)):
        name = f"vault_objects_{column}"
        op.create_index(
            name, "vault_objects", [column], unique=is_unique, sqlite_where=is_there, postgresql_where=is_there
        )
    op.create_table(
        "vault_state",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        _needed("followed_item_id", _id_type()),
    )
    op.execute("INSERT INTO vault_state (id, followed_item_id) VALUES (1, 0)")


def _make_identities() -> None:
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), primary_key=True),
        sa.Column("subject", sa.Text(), primary_key=True),
        _of("users", "user_id"),
        _time("created_at"),
    )
    op.create_index("identities_user", "identities", ["user_id"])
    op.create_table(
        "provider_visits",
        sa.Column("state_sha256", sa.LargeBinary(), primary_key=True),
        _needed("nonce", sa.Text()),
        _needed("code_verifier", sa.Text()),
        _time("expires_at"),
    )
    op.create_index("provider_visits_expires_at", "provider_visits", ["expires_at"])
