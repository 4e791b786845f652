"""The known entries' indexes on disk, shared by all processes of a machine and kept equal to the database.

The first process that sees a change applies it under a lock; the others find it done. The database is the truth: an
index that is missing, damaged or of another database is built again from it, and a log line says so.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baken._native import GroupMatches, IdGroups, IndexFolder, NearestMatches, SearchPlan
from baken.errors import (
    IndexCorruptError,
    IndexDatabaseError,
    IndexFileError,
    IndexForeignError,
    IndexLockedError,
    IndexMissingError,
    IndexReadOnlyError,
    IndexTruncatedError,
)
from baken.matching import index_codes, index_ids
from baken.model import PDQ_BYTES, FingerprintKind
from baken.store import Change, Store

LOCK_TIMEOUT_SECONDS = 60.0

_LOCK_POLL_SECONDS = 0.002
_REBUILT_AFTER = (
    IndexMissingError,
    IndexForeignError,
    IndexTruncatedError,
    IndexCorruptError,
    IndexDatabaseError,
)

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
        self._check_current()
        return found

    def search_nearest(self, codes: NDArray[np.uint8], radius_bits: int, limit: int) -> NearestMatches:
        """Find the nearest codes of each query, and count the others.

        Raises:
            IndexMissingError: as `search` does.
        """
        found = self._index.search_nearest(codes, radius_bits, limit)
        self._check_current()
        return found

    def explain(self, radius_bits: int) -> list[SearchPlan]:
        """How each part would be searched."""
        return self._index.explain(radius_bits)

    def search_groups(
        self,
        codes: NDArray[np.uint8],
        codes_an_item: int,
        groups: IdGroups,
        limit: int,
        excluded_ids: NDArray[np.int64],
    ) -> GroupMatches:
        """Find the nearest codes of each group for each item, and count the others.

        Raises:
            IndexMissingError: as `search` does.
        """
        found = self._index.search_groups(codes, codes_an_item, groups, limit, excluded_ids)
        self._check_current()
        return found

    def _check_current(self) -> None:
        if self._index.applied_seq < self._least_seq:
            raise IndexMissingError("the index is being built again", hint="try again in a moment")


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
        self._make_folder()
        self._database_id = store.history_id()
        self.pdq = self._open("pdq")
        self.digests = self._open("digests")
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
        with self._turn():
            # A database that is behind its own index was restored from a backup: its numbers mean other changes now.
            if not 0 <= self.applied_seq <= self._store.head_seq():
                self._load()
            self._follow(head)
        self._merge_beside()

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise IndexReadOnlyError(
                f"the folder {self._folder} cannot be made: {error.strerror}",
                hint="let the user of Baken write into the data folder",
            ) from error

    def _open(self, name: str) -> IndexFolder:
        path = str(self._folder / name)
        try:
            return IndexFolder(path, self._database_id, lock_timeout_seconds=self._lock_timeout_seconds)
        except _REBUILT_AFTER as error:
            level = logging.INFO if isinstance(error, IndexMissingError) else logging.WARNING
            _log.log(level, "the index is built again from the database: %s", error.message)
            return IndexFolder(path, self._database_id, reset=True, lock_timeout_seconds=self._lock_timeout_seconds)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One follower at a time on this machine."""
        try:
            descriptor = os.open(self._folder / "follow-lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            raise IndexMissingError(f"the folder {self._folder} was deleted", hint="it is made again") from None
        try:
            self._wait_for(descriptor)
            yield
        finally:
            os.close(descriptor)  # which unlocks it

    def _wait_for(self, descriptor: int) -> None:
        end = time.monotonic() + self._lock_timeout_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(_LOCK_POLL_SECONDS)
                    continue
                raise IndexLockedError(
                    f"another process has been updating the index in {self._folder} "
                    f"for more than {self._lock_timeout_seconds:g} s",
                    hint="try again; building an index of ten million entries takes about a minute",
                ) from None
            return

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
