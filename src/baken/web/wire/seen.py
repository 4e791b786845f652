"""What is remembered of screened items."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from baken import model
from baken.web.wire.screenings import Fingerprints
from baken.web.wire.values import Ref


class SeenStats(msgspec.Struct):
    """How much is remembered of what was screened, and how far behind it is."""

    retention_days: int
    items: int
    files: int
    clusters: int
    oldest_at: datetime | None
    newest_at: datetime | None
    waiting_items: int
    unasked_changes: int
    index_size_bytes: int


class SeenItem(msgspec.Struct):
    """One remembered item; `pdq` is null when its picture could not be compared."""

    screening_id: str
    item_ref: str | None
    account_ref: str | None
    album_ref: str | None
    seen_at: datetime
    cluster_id: int
    fingerprints: Fingerprints


class SeenItemPage(msgspec.Struct):
    """Remembered items in the order in which they were taken over; `next_cursor` is null on the last page."""

    items: list[SeenItem]
    next_cursor: str | None


class SeenCluster(msgspec.Struct):
    """Copies of one picture, or of one file that could not be compared."""

    cluster_id: int
    items: int
    accounts: int
    first_seen_at: datetime
    last_seen_at: datetime


class SeenClusterPage(msgspec.Struct):
    """Clusters, largest first; `next_cursor` is null on the last page."""

    clusters: list[SeenCluster]
    next_cursor: str | None


class Forgetting(msgspec.Struct, forbid_unknown_fields=True):
    """What to forget: exactly one of these."""

    item_ref: Ref | None = None
    account_ref: Ref | None = None
    before: Annotated[datetime, Meta(tz=True)] | None = None
    everything: bool = False


class Forgotten(msgspec.Struct):
    """How many items were forgotten."""

    forgotten: int


def seen_item(given: model.SeenItem) -> SeenItem:
    """A remembered item as it is answered."""
    pdq = None if given.pdq is None else given.pdq.hex()
    return SeenItem(
        given.screening_id,
        given.item_ref,
        given.account_ref,
        given.album_ref,
        given.seen_at,
        given.cluster_id,
        Fingerprints(pdq, given.quality_percent, given.sha256.hex(), given.sha1.hex(), given.md5.hex()),
    )


def seen_cluster(given: model.SeenCluster) -> SeenCluster:
    """A cluster as it is answered."""
    return SeenCluster(given.id, given.item_count, given.account_count, given.first_seen_at, given.last_seen_at)


def seen_stats(given: model.SeenStats, *, retention_days: int, index_size_bytes: int) -> SeenStats:
    """How much is remembered, as it is answered."""
    return SeenStats(
        retention_days,
        given.item_count,
        given.file_count,
        given.cluster_count,
        given.oldest_at,
        given.newest_at,
        given.waiting_count,
        given.head_seq - given.asked_seq,
        index_size_bytes,
    )
