"""The tables, for SQLite and PostgreSQL alike. `migrations/` makes them on disk; a test holds the two equal."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    false,
    text,
    true,
)

from baken.copies import ViewSet
from baken.model import DEFAULT_FLOOD_ACCOUNTS_PER_HOUR, DEFAULT_FLOOD_FACTOR, MAX_RADIUS_BITS
from baken.store.columns import Id, Json, PlainText, UtcTime, metadata
from baken.store.schema_review import (
    case_actions,
    case_banks,
    case_entries,
    case_events,
    case_files,
    case_items,
    case_keys,
    case_queue,
    case_ranking,
    cases,
    exposure_days,
    exposure_lifts,
    exposure_optouts,
    identities,
    provider_visits,
    reveals,
    saved_views,
    vault_objects,
    vault_state,
)

__all__ = [  # the tables of `schema_review.py`, so that every table is `schema.<name>`
    "case_actions",
    "case_banks",
    "case_entries",
    "case_events",
    "case_files",
    "case_items",
    "case_keys",
    "case_queue",
    "case_ranking",
    "cases",
    "exposure_days",
    "exposure_lifts",
    "exposure_optouts",
    "identities",
    "metadata",
    "provider_visits",
    "reveals",
    "saved_views",
    "vault_objects",
    "vault_state",
]

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every schema revision this version knows, oldest first; the last one is what it works with."""

change_head = Table(
    "change_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Id, nullable=False),
    Column("last_entry_id", Id, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("bank_id", Id),
    Column("first_entry_id", Id),
    Column("last_entry_id", Id),
    Column("created_at", UtcTime, nullable=False),
)

banks = Table(
    "banks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("radius_bits", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", PlainText),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    # With defaults in the database: banks were made before these columns were.
    Column(
        "flood_accounts_per_hour", Integer, nullable=False, server_default=text(str(DEFAULT_FLOOD_ACCOUNTS_PER_HOUR))
    ),
    Column("flood_factor", Integer, nullable=False, server_default=text(str(DEFAULT_FLOOD_FACTOR))),
    Column("view_set", Text, nullable=False, server_default=ViewSet.FULL.value),
    Column("keeps_keypoints", Boolean, nullable=False, server_default=false()),
    # Whether new copies of what was decided follow that decision, or open a case again.
    Column("follows_decisions", Boolean, nullable=False, server_default=true()),
    CheckConstraint(f"radius_bits BETWEEN 0 AND {MAX_RADIUS_BITS}", name="radius_bits_is_within_the_limit"),
    CheckConstraint("NOT (purpose = 'own_photo' AND verdict = 'block')", name="own_photo_never_blocks"),
    sqlite_autoincrement=True,
)

_live = text("state <> 'withdrawn'")
Index("banks_live_name", banks.c.name, unique=True, sqlite_where=_live, postgresql_where=_live)
Index("banks_name", banks.c.name, banks.c.id)

bank_events = Table(
    "bank_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("bank_id", Id, ForeignKey("banks.id"), nullable=False),
    Column("what", Text, nullable=False),
    Column("actor", PlainText, nullable=False),
    Column("reason", PlainText),
    Column("entry_count", Integer),
    Column("first_entry_id", Id),
    Column("last_entry_id", Id),
    Column("created_at", UtcTime, nullable=False),
    Column("facts", Json),
    sqlite_autoincrement=True,
)
Index("bank_events_bank", bank_events.c.bank_id, bank_events.c.id)

# One row for each add, not for each entry: ten thousand entries of one import share their provenance.
provenances = Table(
    "provenances",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", PlainText, nullable=False),
    Column("added_by", PlainText, nullable=False),
    Column("note", PlainText),
    sqlite_autoincrement=True,
)

entries = Table(
    "entries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("bank_id", Id, ForeignKey("banks.id"), nullable=False),
    Column("provenance_id", Id, ForeignKey("provenances.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("state_reason", PlainText),
    Column("label", PlainText),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)
Index("entries_bank_state", entries.c.bank_id, entries.c.state, entries.c.id)
Index("entries_bank", entries.c.bank_id, entries.c.id)

# `bank_id` and `active` repeat what `entries` says, so that loading every code of a kind is one scan of one table in
# the order of its key.
fingerprints = Table(
    "fingerprints",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("entry_id", Id, ForeignKey("entries.id"), primary_key=True, autoincrement=False),
    Column("bank_id", Id, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("quality_percent", Integer),
    sqlite_with_rowid=False,
)

# Which stopped entries hold a value: small, because nearly all codes are active, and without cost for those that are.
is_inactive = text("NOT active")
Index("fingerprints_inactive", fingerprints.c.value, sqlite_where=is_inactive, postgresql_where=is_inactive)

# What is kept of a picture beside its fingerprints. Whether it may match, `entries` says: these rows are large, and
# writing them again for each pause would cost more than joining costs a reader. `numbers` stands before `codes` so that
# it can be read without them.
entry_views = Table(
    "entry_views",
    metadata,
    Column("entry_id", Id, ForeignKey("entries.id"), primary_key=True, autoincrement=False),
    Column("bank_id", Id, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("numbers", LargeBinary, nullable=False),
    Column("codes", LargeBinary, nullable=False),
    Column("frames", Text),  # JSON: which pictures of the file the views from FIRST_FRAME_VIEW on are
)
Index("entry_views_bank", entry_views.c.bank_id, entry_views.c.entry_id)

# One row for each network whose vectors were made of the picture; the key leads through those of one network by entry.
entry_vectors = Table(
    "entry_vectors",
    metadata,
    Column("model_sha256", LargeBinary, primary_key=True),
    Column("entry_id", Id, ForeignKey("entries.id"), primary_key=True, autoincrement=False),
    Column("bank_id", Id, nullable=False),
    Column("model_id", PlainText, nullable=False),
    Column("views", Text, nullable=False),
    Column("components", LargeBinary, nullable=False),
)
Index("entry_vectors_entry", entry_vectors.c.entry_id)
Index("entry_vectors_bank", entry_vectors.c.bank_id, entry_vectors.c.entry_id)

entry_keypoints = Table(
    "entry_keypoints",
    metadata,
    Column("entry_id", Id, ForeignKey("entries.id"), primary_key=True, autoincrement=False),
    Column("bank_id", Id, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
Index("entry_keypoints_bank", entry_keypoints.c.bank_id, entry_keypoints.c.entry_id)

notices = Table(
    "notices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("bank_id", Id, ForeignKey("banks.id"), nullable=False),
    Column("entry_id", Id, ForeignKey("entries.id"), nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("facts", Json, nullable=False),
    Column("resolved_at", UtcTime),
    Column("resolved_by", PlainText),
    sqlite_autoincrement=True,
)
# An entry is quarantined once until a person decides.
_open = text("resolved_at IS NULL")
Index("notices_open", notices.c.entry_id, notices.c.kind, unique=True, sqlite_where=_open, postgresql_where=_open)

# Hours are counted from 1970 in UTC. No foreign keys: an entry that matched exists, entries are never deleted, and each
# check would cost a matched screening a lookup.
flood_hours = Table(
    "flood_hours",
    metadata,
    Column("entry_id", Id, primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("sighting_count", Integer, nullable=False),
    Column("without_account_count", Integer, nullable=False),
    Column("approved_count", Integer, nullable=False),
    sqlite_with_rowid=False,
)
Index("flood_hours_hour", flood_hours.c.hour)

# Who matched an entry in the hour that is being counted; the hour stands first, because old ones go all at once.
flood_sightings = Table(
    "flood_sightings",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("entry_id", Id, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, primary_key=True),
    sqlite_with_rowid=False,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", PlainText, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("revoked_by", PlainText),
)

screenings = Table(
    "screenings",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("item_ref", PlainText),
    Column("account_ref", PlainText),
    Column("album_ref", PlainText),
    Column("visibility", Text),
    Column("caption", PlainText),
    Column("url", PlainText),
    Column("sha256", LargeBinary, nullable=False),
    Column("sha1", LargeBinary, nullable=False),
    Column("md5", LargeBinary, nullable=False),
    Column("pdq", LargeBinary),
    Column("quality_percent", Integer),
    Column("unscreenable_reason", Text),
    Column("unscreenable_detail", PlainText),
    Column("format", PlainText),
    Column("width_px", Integer),
    Column("height_px", Integer),
    Column("finding", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", PlainText),
    Column("matches", Json, nullable=False),
    Column("suppressed", Json, nullable=False),
    Column("unlisted_count", Id, nullable=False, server_default="0"),
    Column("elapsed_ms", Float, nullable=False),
    Column("case_id", PlainText),
    Column("idempotency_key_id", PlainText),
    Column("idempotency_token", PlainText),
    Column("idempotency_request_sha256", LargeBinary),
)
# Every index is written to for every screening: there is one for each query, and no other. A time is found through the
# id, which sorts by it. NULLs are distinct in both engines, and here not even indexed.
has_token = text("idempotency_token IS NOT NULL")
Index(
    "screenings_idempotency",
    screenings.c.idempotency_key_id,
    screenings.c.idempotency_token,
    unique=True,
    sqlite_where=has_token,
    postgresql_where=has_token,
)

# What a screening leaves for the seen index. It is written with the screening, so it is as narrow as can be: the rest
# stands in `screenings` and is taken over, by the housekeeper, into the tables below.
seen_queue = Table(
    "seen_queue",
    metadata,
    Column("id", Id, primary_key=True),
    Column("screening_id", Text, nullable=False),
    Column("known_seq", Id, nullable=False),
    Column("mirrorings", LargeBinary),
)

# One row for each distinct file, however often it was sent: a crowd of identical uploads is one row to search.
seen_files = Table(
    "seen_files",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("sha1", LargeBinary, nullable=False),
    Column("md5", LargeBinary, nullable=False),
    Column("quality_percent", Integer),
    Column("mirrorings", LargeBinary),
    Column("cluster_id", Id, nullable=False),
    Column("item_count", Integer, nullable=False),
)
Index("seen_files_cluster", seen_files.c.cluster_id)

seen_clusters = Table(
    "seen_clusters",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("pdq", LargeBinary),
    Column("item_count", Integer, nullable=False),
)
Index("seen_clusters_size", seen_clusters.c.item_count, seen_clusters.c.id)

seen_items = Table(
    "seen_items",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("file_id", Id, nullable=False),
    Column("screening_id", PlainText, nullable=False),
    Column("item_ref", PlainText),
    Column("account_ref", PlainText),
    Column("album_ref", PlainText),
    Column("seen_at", UtcTime, nullable=False),
)
Index("seen_items_file", seen_items.c.file_id, seen_items.c.id)
Index("seen_items_seen_at", seen_items.c.seen_at)
Index("seen_items_item_ref", seen_items.c.item_ref)
Index("seen_items_account_ref", seen_items.c.account_ref, seen_items.c.screening_id)

# Which files and clusters are gone, so that each machine's index drops them too. Numbered with the files' own ids.
seen_removals = Table(
    "seen_removals",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("file_id", Id),
    Column("cluster_id", Id),
)

# One row: how far the seen index is, and which process keeps it at the moment.
seen_state = Table(
    "seen_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("database_id", Text, nullable=False),
    Column("seq", Id, nullable=False),
    Column("last_item_id", Id, nullable=False),
    Column("removals_after", Id, nullable=False),
    Column("asked_seq", Id, nullable=False),
    Column("asked_entry_id", Id, nullable=False),
    Column("holder", Text),
    Column("held_until", Float, nullable=False),
)

# A scan of a back catalogue: one row, however many files. `roots` are the bytes of the addresses, parted by NUL: a path
# need not be text. `cursor` is the key of the last file of root `root_number` that is dealt with.
scans = Table(
    "scans",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", PlainText, nullable=False, unique=True),
    Column("is_named", Boolean, nullable=False),
    Column("roots", LargeBinary, nullable=False),
    Column("ref_prefix", PlainText, nullable=False),
    Column("state", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("is_whole", Boolean, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("root_number", Integer, nullable=False),
    Column("cursor", LargeBinary, nullable=False),
    Column("counts", Json, nullable=False),
    Column("holder", Text),
    Column("held_until", Float, nullable=False),
    sqlite_autoincrement=True,
)

# What a named scan recorded: 16 bytes a file, thousands of files a row, in the order of the walk. A row for each file
# would cost five times as much, and a random place in a tree at each insert.
scan_pages = Table(
    "scan_pages",
    metadata,
    Column("scan_id", Id, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("root_number", Integer, primary_key=True, autoincrement=False),
    Column("last_key", LargeBinary, primary_key=True),
    Column("marks", LargeBinary, nullable=False),
)

# What was done, by whom: `baken.audit` says how events are chained. Rows are only ever added.
audit_events = Table(
    "audit_events",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("actor", PlainText, nullable=False),
    Column("subject", PlainText),
    Column("event", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
Index("audit_events_kind", audit_events.c.kind, audit_events.c.seq)
Index("audit_events_actor", audit_events.c.actor, audit_events.c.seq)
Index("audit_events_subject", audit_events.c.subject, audit_events.c.seq)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Id, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

audit_stamps = Table(
    "audit_stamps",
    metadata,
    Column("id", Id, primary_key=True),
    Column("seq", Id, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("stamped_at", UtcTime, nullable=False),
    Column("authority", PlainText, nullable=False),
    Column("token", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Index("audit_stamps_seq", audit_stamps.c.seq, audit_stamps.c.id)

# People who sign in. `name_key` is the name without the case of its letters. `bank_ids` is a list of ids, or null for
# all banks. Accounts are disabled and never deleted: the audit log names them by their ids.
users = Table(
    "users",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("name_key", PlainText, nullable=False, unique=True),
    Column("email", PlainText),
    Column("roles", Json, nullable=False),
    Column("bank_ids", Json),
    Column("password_hash", Text),
    Column("totp_sealed", LargeBinary),
    Column("totp_step", Id, nullable=False, server_default="0"),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", PlainText, nullable=False),
    Column("disabled_at", UtcTime),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
)
Index("recovery_codes_user", recovery_codes.c.user_id)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("method", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("address", PlainText),
    Column("agent", PlainText),
)
Index("sessions_user", sessions.c.user_id, sessions.c.created_at)
Index("sessions_expires_at", sessions.c.expires_at)

# Random secrets that are taken once: links to set an account up, and sign-ins that wait for the second factor.
tickets = Table(
    "tickets",
    metadata,
    Column("token_sha256", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)
Index("tickets_user", tickets.c.user_id)
Index("tickets_expires_at", tickets.c.expires_at)

# Sign-ins that have not succeeded, by account and by address; the key is a digest of either.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("attempt_count", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("blocked_until", UtcTime),
)
Index("sign_in_attempts_last_at", sign_in_attempts.c.last_at)
