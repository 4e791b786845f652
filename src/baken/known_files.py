"""The known entries' indexes on disk, shared by all processes of a machine and kept equal to the database.

The first process that sees a change applies it under a lock; the others find it done. The database is the truth: an
index that is missing, damaged, of another database or of another history of this one (a backup was restored) is built
again from it, and a log line says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baken._native import GroupMatches, IdGroups, IndexBuild, IndexFolder, NearestMatches, SearchPlan
from baken.errors import IndexFileError, IndexMissingError, IndexReadOnlyError
from baken.index_files import (
    DAMAGE,
    LOCK_TIMEOUT_SECONDS,
    MERGE_BYTES_PER_SECOND,
    Wait,
    follower_turn,
    make_folder,
    open_or_reset,
    read_through,
    verify_in_turn,
)
from baken.matching_ids import NO_IDS, VIEW_NUMBER_BITS, index_codes, index_ids, view_ids, view_owners
from baken.model import PDQ_BYTES, FingerprintKind
from baken.store import Change, Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexLayout:
    """How one of the indexes lies in the folder; `member_bits` as of `IndexFolder`."""

    name: str
    member_bits: int = 0

    def folder_in(self, folder: Path) -> Path:
        """Where it lies."""
        return folder / self.name

    def database_id(self, history_id: str) -> str:
        """What it says that it was made for: an index whose ids are of another layout is one of another database."""
        return f"{history_id} {self.name} {self.member_bits}" if self.member_bits else history_id


LAYOUTS = (IndexLayout("pdq"), IndexLayout("digests"), IndexLayout("views", VIEW_NUMBER_BITS))
"""PDQ codes of whole pictures, digests of exact values, PDQ codes of banked views."""


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
            IndexCorruptError: the index is damaged; all processes know it now.
        """
        with self._condemning_damage():
            found = self._index.search(codes, radius_bits)
        self._check_current()
        return found

    def search_nearest(self, codes: NDArray[np.uint8], radius_bits: int, limit: int) -> NearestMatches:
        """Find the nearest codes of each query, and count the others.

        Raises:
            IndexMissingError: as `search` does.
        """
        with self._condemning_damage():
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
        *,
        lists_counted: bool = False,
    ) -> GroupMatches:
        """Find the nearest codes of each group for each item, and count the others.

        Raises:
            IndexMissingError: as `search` does.
        """
        with self._condemning_damage():
            found = self._index.search_groups(codes, codes_an_item, groups, limit, excluded_ids, lists_counted)
        self._check_current()
        return found

    @contextmanager
    def _condemning_damage(self) -> Iterator[None]:
        """Let all processes know of damage that a search met; the next `KnownFollower.refresh` builds it again."""
        try:
            yield
        except DAMAGE as error:
            _log.error("the index is built again from the database, a search met damage: %s", error.message)
            if not self._index.read_only:
                self._index.condemn()
            raise

    def _check_current(self) -> None:
        if self._index.applied_seq < self._least_seq:
            raise IndexMissingError("the index is being built again", hint="try again in a moment")


class KnownFiles:
    """The indexes in a folder: PDQ codes, digests of exact values, banked views. Safe from any number of threads."""

    def __init__(self, folder: Path, store: Store, *, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> None:
        """Open the indexes of the store's database, or make them; the database must have seen a change.

        Raises:
            IndexFileError: the folder can be neither used nor emptied.
        """
        self._folder = folder
        self._store = store
        self._lock_timeout_seconds = lock_timeout_seconds
        make_folder(folder)
        history_id = store.history_id()
        self.pdq, self.digests, self.views = (
            open_or_reset(
                layout.folder_in(folder), layout.database_id(history_id), lock_timeout_seconds, layout.member_bits
            )
            for layout in LAYOUTS
        )
        self.is_read_only = any(index.read_only for index in self._indexes)
        """Whether this process may only read the indexes: it uses them as long as others keep them current."""
        self._is_history_known = False
        self._merger = threading.Thread()

    def close(self) -> None:
        """Let go of the files; a merge that runs is finished first. Repeating it does nothing."""
        if self._merger.is_alive():
            self._merger.join()
        for index in self._indexes:
            index.close()

    @property
    def applied_seq(self) -> int:
        """The last change of the database that is in all indexes; -1 when one must be loaded."""
        return min(index.applied_seq for index in self._indexes)

    def doubt_history(self) -> None:
        """Compare the indexes with the database's change log again, the next time they are brought to its head."""
        self._is_history_known = False

    def bring_to(self, head: int) -> None:
        """Apply every change up to `head`, or wait for who does.

        Raises:
            IndexFileError: the files could not be read or written in time.
            NotReadyError: the database could not be read.
        """
        is_current = self.applied_seq == head or head < self.applied_seq <= self._store.head_seq()
        if is_current and self._is_history_known:
            return
        if self.is_read_only:
            self._require(is_current=is_current)
            return
        with follower_turn(self._folder, self._lock_timeout_seconds):
            stale = [index for index in self._indexes if not self._is_of_this_history(index)]
            if any(index.applied_seq >= 0 for index in stale):
                _log.warning(
                    "the index is built again from the database: %s holds change %d of another history; was a backup "
                    "of the database restored?",
                    self._folder,
                    self.applied_seq,
                )
            if stale:
                self._load(stale)
            self._follow(head)
        self._is_history_known = True
        self._merge_beside()

    def settle(self) -> None:
        """Merge to few segments, which are faster to search: once nothing is added for a while. Failing is logged."""
        if self._merger.is_alive():
            self._merger.join()  # one merges at a time, and the other would leave nothing
        if not self.is_read_only and any(index.merge_due(settle=True) for index in self._indexes):
            self._merge(settle=True)

    def verify_when_due(self, interval_seconds: float, wait: Wait) -> None:
        """Read the indexes through, slowly, unless another process does or did so less than the interval ago.

        Raises:
            IndexFileError: they are damaged; all processes know it, and the next `bring_to` builds them again.
        """
        if self.is_read_only:
            return
        verify_in_turn(self._folder, interval_seconds, lambda: self.verify(wait))

    def verify(self, wait: Wait) -> bool:
        """Check every checksum; False when `wait` said to stop before the end.

        Raises:
            IndexFileError: an index is damaged. Unless this process may only read it, all processes know now, and the
                next `bring_to` builds it again.
        """
        for index in self._indexes:
            try:
                if not read_through(index, wait):
                    return False
            except IndexFileError:
                if not self.is_read_only:
                    self._condemn(index)
                raise
        return True

    @property
    def _indexes(self) -> tuple[IndexFolder, IndexFolder, IndexFolder]:
        return (self.pdq, self.digests, self.views)

    def _condemn(self, index: IndexFolder) -> None:
        with follower_turn(self._folder, self._lock_timeout_seconds):
            index.condemn()

    def _require(self, *, is_current: bool) -> None:
        if not is_current or not all(self._is_of_this_history(index) for index in self._indexes):
            raise IndexReadOnlyError(
                f"the index in {self._folder} is not that of the database's last change, and this process may only "
                "read it",
                hint="let a process that may write there follow the database, or let this one write there",
            )
        self._is_history_known = True

    def _is_of_this_history(self, index: IndexFolder) -> bool:
        """Whether the index is equal to the database as it was at a change that the database still has."""
        seq, token = index.applied_seq, index.applied_token
        if seq < 0:
            return False
        found = self._store.change_token(seq)
        return found is not None and token in {0, found}

    def _load(self, indexes: Sequence[IndexFolder]) -> None:
        # What was there is gone before anything else: nobody may take an answer from it, and its space is needed.
        for index in indexes:
            index.clear()
        # The head is read before the rows: a change committed between the two is applied again, which is harmless.
        head = self._store.head_seq()
        token = self._store.change_token(head)
        for index in indexes:
            build = IndexBuild(index)
            try:
                for codes, ids in self._rows_of(index):
                    build.add(codes, ids)
                build.finish(head, token or 0)
            finally:
                build.close()

    def _rows_of(
        self, index: IndexFolder, first_entry_id: int = 1, last_entry_id: int | None = None
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Codes, uint8[N, 32], and ids, int64[N], that an index should hold of a range of entries, in chunks."""
        if index is self.views:
            for chunk in self._store.kept.active_views(first_entry_id=first_entry_id, last_entry_id=last_entry_id):
                yield chunk.codes, view_ids(chunk.entry_ids, chunk.bank_ids, chunk.numbers)
            return
        for kind in FingerprintKind:
            if kind.is_exact == (index is self.digests):
                for part in self._store.active_codes(kind, first_entry_id=first_entry_id, last_entry_id=last_entry_id):
                    yield index_codes(kind, part.values), index_ids(part.entry_ids, part.bank_ids)

    def _follow(self, head: int) -> None:
        while self.applied_seq < head:
            changes = self._store.changes_since(self.applied_seq)
            if not changes:
                return
            for change in changes:
                self._reload(change)
            self._commit(changes[-1])

    def _commit(self, change: Change) -> None:
        # Without waiting for the disk: after a power cut the index is merely behind the database, and follows again.
        for index in reversed(self._indexes):
            index.commit(change.seq, sync=False, applied_token=change.token)

    def _reload(self, change: Change) -> None:
        """Take the entries of one change as they are now; doing it twice is harmless."""
        if change.bank_id is None or change.first_entry_id is None or change.last_entry_id is None:
            return
        entry_ids = np.arange(change.first_entry_id, change.last_entry_id + 1, dtype=np.int64)
        owners = index_ids(entry_ids, np.full_like(entry_ids, change.bank_id))
        for index in reversed(self._indexes):
            codes, ids = [np.empty((0, PDQ_BYTES), np.uint8)], [NO_IDS]
            for some_codes, some_ids in self._rows_of(index, change.first_entry_id, change.last_entry_id):
                codes.append(some_codes)
                ids.append(some_ids)
            if index is self.views and len(ids) == 1 and not len(index):
                continue  # nothing to remove and nothing to add: a database without views pays nothing for them
            removed = view_owners(owners) if index is self.views else owners
            index.replace(removed, np.concatenate(codes), np.concatenate(ids), -1, sync=False)

    def _merge_beside(self) -> None:
        if not self._merger.is_alive() and any(index.merge_due() for index in self._indexes):
            self._merger = threading.Thread(target=self._merge, name="index-merge")
            self._merger.start()

    def _merge(self, *, settle: bool = False) -> None:
        for index in self._indexes:
            try:
                index.merge(MERGE_BYTES_PER_SECOND, settle=settle)
            except DAMAGE as error:
                _log.error("the index is built again from the database, it is damaged: %s", error.message)
                self._condemn(index)
            except IndexFileError as error:
                _log.warning("merging the index failed and is tried again after the next change: %s", error.message)
