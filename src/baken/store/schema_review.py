"""The tables of review: cases, their events and actions, what people looked at, and the bytes that are held for it."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Float, ForeignKey, Index, Integer, LargeBinary, Table, Text, false, text

from baken.store.columns import Id, Json, PlainText, UtcTime, metadata

# One row for each case: what its events come to (`case_rules.derive`), kept so that a queue can be read in its order.
# `rank` sorts the queue, the largest first: the case's points, without those of its age, less what a day counts for
# each day from 1970 to `opened_at`. All open cases age alike, so that the order of two never changes by waiting. A
# new case has 0, which is before all others where days count, until it is ranked.
cases = Table(
    "cases",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("item_count", Integer, nullable=False),
    Column("account_count", Integer, nullable=False),
    Column("event_count", Integer, nullable=False, server_default="0"),
    Column("awaits", Text),
    Column("holder_id", Text),
    Column("lease_until", UtcTime),
    Column("assignee_id", Text),
    Column("is_escalated", Boolean, nullable=False, server_default=false()),
    Column("hold_until", UtcTime),
    Column("decision", Text),
    Column("category", PlainText),
    Column("decided_at", UtcTime),
    Column("decided_by", Text),
    Column("undo_until", UtcTime),
    Column("widest_visibility", Text),
    Column("signals", Json),
    Column("rank", Float, nullable=False, server_default="0"),
    # The `updated_at` for which rank, signals and widest visibility were worked out. While it is another one, or NULL,
    # they are behind: whoever changes a case need not know how cases are ranked.
    Column("ranked_at", UtcTime),
)
# With what a queue can be asked behind it: of a hundred thousand open cases the few that a filter leaves are found
# without reading the others' rows, in tens of milliseconds instead of a second.
_asked = ("purpose", "awaits", "widest_visibility", "item_count", "account_count", "is_escalated", "assignee_id")
_asked_of = [cases.c[name] for name in (*_asked, "holder_id", "lease_until")]
Index("cases_queue", cases.c.state, cases.c.rank.desc(), cases.c.id, cases.c.opened_at, *_asked_of)
Index("cases_awaited", cases.c.state, cases.c.awaits, cases.c.rank.desc(), cases.c.id)
Index("cases_opened", cases.c.state, cases.c.opened_at, cases.c.id)
Index("cases_decided", cases.c.state, cases.c.decided_at, cases.c.id)
Index(
    "cases_escalated",
    cases.c.state,
    cases.c.rank.desc(),
    cases.c.id,
    sqlite_where=text("is_escalated = 1"),
    postgresql_where=text("is_escalated"),
)
is_unranked = text("(ranked_at IS NULL OR ranked_at <> updated_at)")
Index("cases_unranked", cases.c.state, cases.c.id, sqlite_where=is_unranked, postgresql_where=is_unranked)
_assigned = text("assignee_id IS NOT NULL")
Index("cases_assignee", cases.c.assignee_id, sqlite_where=_assigned, postgresql_where=_assigned)
_held = text("holder_id IS NOT NULL")
Index("cases_holder", cases.c.holder_id, sqlite_where=_held, postgresql_where=_held)
_waiting = text("hold_until IS NOT NULL")
Index("cases_hold_until", cases.c.hold_until, sqlite_where=_waiting, postgresql_where=_waiting)

# One row: the weights (`priorities.py`) by which the cases are ranked.
case_ranking = Table(
    "case_ranking",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("weights", Text, nullable=False),
)

# The banks whose entries a case's items match: who may see the case, and what a queue of one bank holds.
case_banks = Table(
    "case_banks",
    metadata,
    Column("bank_id", Id, ForeignKey("banks.id"), primary_key=True, autoincrement=False),
    Column("case_id", Text, ForeignKey("cases.id"), primary_key=True),
)
Index("case_banks_case", case_banks.c.case_id)

# The entries that a case's items match. A key that led to a closed case may lead elsewhere by now.
case_entries = Table(
    "case_entries",
    metadata,
    Column("case_id", Text, ForeignKey("cases.id"), primary_key=True),
    Column("entry_id", Id, ForeignKey("entries.id"), primary_key=True, autoincrement=False),
)
Index("case_entries_entry", case_entries.c.entry_id, case_entries.c.case_id)

# The files that a case's items were before it was decided, each by the SHA-256 of its bytes and by the PDQ of its
# picture: what follows the decision of a case is measured by them.
case_files = Table(
    "case_files",
    metadata,
    Column("code", LargeBinary, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), primary_key=True),
)
Index("case_files_case", case_files.c.case_id)

# What leads a match to the case it belongs to: the cluster of its picture, or the entry it matched.
case_keys = Table(
    "case_keys",
    metadata,
    Column("purpose", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key_id", Id, primary_key=True, autoincrement=False),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
)
Index("case_keys_case", case_keys.c.case_id)

case_items = Table(
    "case_items",
    metadata,
    Column("id", Id, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("screening_id", PlainText, nullable=False),
    Column("item_ref", PlainText),
    Column("account_ref", PlainText),
    Column("album_ref", PlainText),
    Column("visibility", Text),
    Column("seen_at", UtcTime, nullable=False),
    Column("joined_at", UtcTime, nullable=False),
    Column("origin", Text, nullable=False),
    Column("matches", Json, nullable=False),
    sqlite_autoincrement=True,
)
Index("case_items_screening", case_items.c.screening_id, case_items.c.case_id, unique=True)
Index("case_items_account", case_items.c.case_id, case_items.c.account_ref)
Index("case_items_item_ref", case_items.c.item_ref)
Index("case_items_account_ref", case_items.c.account_ref, case_items.c.screening_id, case_items.c.case_id)
Index("case_items_case", case_items.c.case_id, case_items.c.id)

# A case's life. Rows are only ever added; `seq` counts 1, 2, 3, … in each case.
case_events = Table(
    "case_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", PlainText, nullable=False),
    Column("facts", Json, nullable=False),
    sqlite_autoincrement=True,
)
Index("case_events_case", case_events.c.case_id, case_events.c.seq, unique=True)
Index("case_events_actor", case_events.c.actor, case_events.c.id)

# Screenings that matched and whose items have not joined a case yet; written in the screening's own transaction.
case_queue = Table(
    "case_queue",
    metadata,
    Column("id", Id, primary_key=True),
    Column("screening_id", PlainText, nullable=False),
)

# What is to be done because of a decision, an action for each item. It waits until the decision can no longer be undone
# (`due_at`), is taken by the platform, and is final from then on.
case_actions = Table(
    "case_actions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("event_seq", Integer, nullable=False),
    Column("item_id", Id, ForeignKey("case_items.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("done_at", UtcTime),
    Column("done_by", PlainText),
    sqlite_autoincrement=True,
)
Index("case_actions_due", case_actions.c.state, case_actions.c.id)
Index("case_actions_case", case_actions.c.case_id, case_actions.c.id)
is_pending_action = text("state = 'pending'")
Index(
    "case_actions_pending",
    case_actions.c.case_id,
    case_actions.c.id,
    sqlite_where=is_pending_action,
    postgresql_where=is_pending_action,
)

saved_views = Table(
    "saved_views",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("name", PlainText, nullable=False),
    Column("query", PlainText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)
Index("saved_views_user", saved_views.c.user_id, saved_views.c.name, unique=True)

# Who asked to see how much of which picture, and for how long it stood on the screen. Rows are never deleted.
reveals = Table(
    "reveals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("screening_id", PlainText, nullable=False),
    Column("level", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("reason", PlainText),
    Column("shown_at", UtcTime, nullable=False),
    Column("hidden_at", UtcTime),
    Column("shown_seconds", Float),
    sqlite_autoincrement=True,
)
Index("reveals_user", reveals.c.user_id, reveals.c.shown_at, reveals.c.level)
Index("reveals_case", reveals.c.case_id, reveals.c.shown_at)

# The same in sum, for each day in UTC, kept with every reveal: a month of everybody's looks is hundreds of thousands.
exposure_days = Table(
    "exposure_days",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("purpose", Text, primary_key=True),
    Column("look_count", Id, nullable=False),
    Column("shown_seconds", Float, nullable=False),
)

# A lead lets a person go on whose budget is spent.
exposure_lifts = Table(
    "exposure_lifts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("lifted_by", PlainText, nullable=False),
    Column("lifted_at", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("extra_count", Integer, nullable=False),
    Column("reason", PlainText, nullable=False),
    sqlite_autoincrement=True,
)
Index("exposure_lifts_user", exposure_lifts.c.user_id, exposure_lifts.c.until)

# The purposes of which a person wants to see no picture.
exposure_optouts = Table(
    "exposure_optouts",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("since", UtcTime, nullable=False),
)

# Bytes that are held, each under a key of its own, which is sealed: without it the file says nothing. A destroyed
# object keeps its row, so that it can be shown that it is gone.
vault_objects = Table(
    "vault_objects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("size_bytes", Id, nullable=False),
    Column("format", PlainText),
    Column("purposes", Json, nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("key_sealed", LargeBinary),
    Column("held_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("destroyed_at", UtcTime),
)
_there = text("destroyed_at IS NULL")
Index("vault_objects_sha256", vault_objects.c.sha256, unique=True, sqlite_where=_there, postgresql_where=_there)
Index("vault_objects_ends_at", vault_objects.c.ends_at, sqlite_where=_there, postgresql_where=_there)

# One row: up to which item of a case the vault has followed what its bytes match.
vault_state = Table(
    "vault_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("followed_item_id", Id, nullable=False),
)

# Who a person is elsewhere: issuer and subject of OpenID Connect.
identities = Table(
    "identities",
    metadata,
    Column("issuer", PlainText, primary_key=True),
    Column("subject", PlainText, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("created_at", UtcTime, nullable=False),
)
Index("identities_user", identities.c.user_id)

# Sign-ins that went to the provider and have not come back yet.
provider_visits = Table(
    "provider_visits",
    metadata,
    Column("state_sha256", LargeBinary, primary_key=True),
    Column("nonce", Text, nullable=False),
    Column("code_verifier", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)
Index("provider_visits_expires_at", provider_visits.c.expires_at)
