"""The known entries' indexes on disk, shared by all processes of a machine and kept equal to the database.

The first process that sees a change applies it under a lock; the others find it done. The database is the truth: an
index that is missing, damaged or of another database is built again from it, and a log line says so.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baken._native import IndexFolder
from baken.errors import IndexFileError, IndexMissingError
from baken.index_files import LOCK_TIMEOUT_SECONDS, follower_turn, make_folder, open_or_reset
from baken.matching import index_codes, index_ids
from baken.model import PDQ_BYTES, FingerprintKind
from baken.store import Change, Store

_log = logging.getLogger(__name__)


class KnownReader:
    """One index as it was once a change had been applied, or later; `matching.CodeIndex`."""

    def __init__(self, index: IndexFolder, least_seq: int) -> None:
        self._index = index
        self._least_seq = least_seq

    def __len__(self) -> int:
        return len(self._index)

    @property
    def memory_bytes(self) -> int:
        """Memory of this process alone."""
        return self._index.memory_bytes

    def add(self, codes: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        """Add codes under ids, for every process."""
        self._index.add(codes, ids)

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove every code of the ids, for every process."""
        return self._index.remove(ids)

    def search(
        self, codes: NDArray[np.uint8], radius_bits: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Find every code at most `radius_bits` from each query.

        Raises:
            IndexMissingError: another process has emptied the index meanwhile, to build it again. Not to have found
                anything there would mean nothing.
        """
        found = self._index.search(codes, radius_bits)
        if self._index.applied_seq < self._least_seq:
            raise IndexMissingError("the index is being built again", hint="try again in a moment")
        return found


class KnownFiles:
    """The two indexes in a folder: PDQ codes, and digests of exact values. Safe from any number of threads."""

    def __init__(self, folder: Path, store: Store, *, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> None:
        """Open the indexes of the store's database, or make them; the database must have seen a change.

        Raises:
            IndexFileError: the folder can be neither used nor emptied.
        """
        self._folder = folder
        self._store = store
        self._lock_timeout_seconds = lock_timeout_seconds
        make_folder(folder)
        database_id = store.history_id()
        self.pdq = open_or_reset(folder / "pdq", database_id, lock_timeout_seconds)
        self.digests = open_or_reset(folder / "digests", database_id, lock_timeout_seconds)
        self._merger = threading.Thread()

    def close(self) -> None:
        """Let go of the files; a merge that runs is finished first. Repeating it does nothing."""
        if self._merger.is_alive():
            self._merger.join()
        self.pdq.close()
        self.digests.close()

    @property
    def applied_seq(self) -> int:
        """The last change of the database that is in both indexes; -1 when they must be loaded."""
        return min(self.pdq.applied_seq, self.digests.applied_seq)

    def bring_to(self, head: int) -> None:
        """Apply every change up to `head`, or wait for who does.

        Raises:
            IndexFileError: the files could not be read or written in time.
            NotReadyError: the database could not be read.
        """
        if self.applied_seq == head or head < self.applied_seq <= self._store.head_seq():
            return
        with follower_turn(self._folder, self._lock_timeout_seconds):
            # A database that is behind its own index was restored from a backup: its numbers mean other changes now.
            if not 0 <= self.applied_seq <= self._store.head_seq():
                self._load()
            self._follow(head)
        self._merge_beside()

    def _load(self) -> None:
        # The head is read before the rows: a change committed between the two is applied again, which is harmless.
        self.pdq.clear()
        self.digests.clear()
        head = self._store.head_seq()
        for kind in FingerprintKind:
            for chunk in self._store.active_codes(kind):
                codes = index_codes(kind, chunk.values)
                self._index_of(kind).add(codes, index_ids(chunk.entry_ids, chunk.bank_ids), sync=False)
        self._commit(head)

    def _follow(self, head: int) -> None:
        while self.applied_seq < head:
            changes = self._store.changes_since(self.applied_seq)
            if not changes:
                return
            for change in changes:
                self._reload(change)
            self._commit(changes[-1].seq)

    def _commit(self, seq: int) -> None:
        # Without waiting for the disk: after a power cut the index is merely behind the database, and follows again.
        self.digests.commit(seq, sync=False)
        self.pdq.commit(seq, sync=False)

    def _reload(self, change: Change) -> None:
        """Take the entries of one change as they are now; doing it twice is harmless."""
        if change.bank_id is None or change.first_entry_id is None or change.last_entry_id is None:
            return
        entry_ids = np.arange(change.first_entry_id, change.last_entry_id + 1, dtype=np.int64)
        removed_ids = index_ids(entry_ids, np.full_like(entry_ids, change.bank_id))
        exact = [kind for kind in FingerprintKind if kind.is_exact]
        for index, kinds in ((self.digests, exact), (self.pdq, [FingerprintKind.PDQ])):
            codes, ids = self._entries(kinds, change.first_entry_id, change.last_entry_id)
            index.replace(removed_ids, codes, ids, -1, sync=False)

    def _entries(
        self, kinds: list[FingerprintKind], first_entry_id: int, last_entry_id: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        codes = [np.empty((0, PDQ_BYTES), np.uint8)]
        ids = [np.empty(0, np.int64)]
        for kind in kinds:
            for chunk in self._store.active_codes(kind, first_entry_id=first_entry_id, last_entry_id=last_entry_id):
                codes.append(index_codes(kind, chunk.values))
                ids.append(index_ids(chunk.entry_ids, chunk.bank_ids))
        return np.concatenate(codes), np.concatenate(ids)

    def _index_of(self, kind: FingerprintKind) -> IndexFolder:
        return self.pdq if kind is FingerprintKind.PDQ else self.digests

    def _merge_beside(self) -> None:
        if not self._merger.is_alive() and (self.pdq.merge_due or self.digests.merge_due):
            self._merger = threading.Thread(target=self._merge, name="index-merge")
            self._merger.start()

    def _merge(self) -> None:
        try:
            self.pdq.merge()
            self.digests.merge()
        except IndexFileError as error:
            _log.warning("merging the index failed and is tried again after the next change: %s", error.message)
