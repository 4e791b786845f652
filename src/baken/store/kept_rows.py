"""What is kept of banked pictures beside their fingerprints: views, vectors and keypoints, as `Store.kept` has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from baken.copies import Vectors
from baken.model import FingerprintKind
from baken.sealing import Sealed
from baken.store import kept, kept_reading
from baken.store.engine import Database
from baken.store.kept import KeptCounts
from baken.store.kept_reading import KeptViews, VectorChunk, ViewChunk


class KeptRows:
    """What is kept of pictures in one database; thread-safe. They are written with their entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, bank_id: int) -> KeptCounts:
        """How many entries of the bank have views, vectors and keypoints."""
        return kept.kept_counts(self._database, bank_id)

    def active_views(
        self, *, first_entry_id: int = 1, last_entry_id: int | None = None, chunk: int = 100_000
    ) -> Iterator[ViewChunk]:
        """Views of active entries in banks that are active or paused, by rising entry id; like `Store.active_codes`.

        At most `chunk` views are held at once, or one entry's; an entry never stands in two chunks.
        """
        return kept_reading.active_views(
            self._database, first_entry_id=first_entry_id, last_entry_id=last_entry_id, chunk=chunk
        )

    def active_vectors(
        self, model_sha256: bytes, *, first_entry_id: int = 1, last_entry_id: int | None = None, chunk: int = 100_000
    ) -> Iterator[VectorChunk]:
        """Vectors that the network with this checksum made; otherwise like `active_views`."""
        return kept_reading.active_vectors(
            self._database, model_sha256, first_entry_id=first_entry_id, last_entry_id=last_entry_id, chunk=chunk
        )

    def entry_views_of(self, entry_ids: Collection[int]) -> dict[int, KeptViews]:
        """The views of those of the entries that have any, whatever their state, with the size of their pictures."""
        return kept_reading.entry_views_of(self._database, entry_ids)

    def vectors_of(self, entry_ids: Collection[int], model_sha256: bytes) -> dict[int, Vectors]:
        """The vectors that the network with this checksum made of those of the entries that have any, likewise."""
        return kept_reading.vectors_of(self._database, entry_ids, model_sha256)

    def codes_of(self, kind: FingerprintKind, entry_ids: Collection[int]) -> dict[int, bytes]:
        """The fingerprints of one kind of those of the entries that have one, whatever their state."""
        return kept_reading.codes_of(self._database, kind, entry_ids)

    def keypoints_of(self, entry_ids: Collection[int]) -> dict[int, Sealed]:
        """The keypoints, as `Sealer.open` takes them, of those of the entries whose bank keeps them."""
        return kept_reading.keypoints_of(self._database, entry_ids)

    def has_keypoints(self) -> bool:
        """Whether any bank has keypoints, those included that are no longer read."""
        return kept.has_keypoints(self._database)

    def sample_of_keypoints(self, limit: int) -> list[int]:
        """Some entries that have keypoints: the `limit` oldest and the `limit` newest."""
        return kept.sample_of_keypoints(self._database, limit)

    def keypoint_entries(self, *, after_id: int = 0, limit: int = 100) -> list[int]:
        """Entries that have keypoints, those after `after_id` in the order of their ids, at most `limit`."""
        return kept.keypoint_entries(self._database, after_id, limit)

    def reseal_keypoints(self, resealed: Mapping[int, tuple[bytes, bytes]]) -> int:
        """Replace the sealed bytes of entries, given as before and after, where they are still those before.

        In one transaction; returns how many were replaced. Followers need not know: what is sealed is the same.
        """
        return kept.reseal_keypoints(self._database, resealed)
