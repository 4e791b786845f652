"""The seen index on disk: the codes and digests of every seen file, and the leaders of the clusters.

The database is the truth: each machine follows the numbers of files and removals there, and builds an index that is
missing, damaged, foreign or too far behind again. All processes of a machine share it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from baken._native import IndexFolder
from baken.errors import IndexFileError, IndexLockedError
from baken.fingerprints.orientations import MIRRORINGS, transposed
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
from baken.matching import index_codes
from baken.model import DEFAULT_RADIUS_BITS, PDQ_BYTES, FingerprintKind, Transform
from baken.store import Store
from baken.store.seen import IndexChanges, SeenFile

_CHUNK_FILES = 100_000

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Files:
    """The three indexes: four codes a file, three digests a file, one code a cluster."""

    pdq: IndexFolder
    digests: IndexFolder
    leaders: IndexFolder

    def all(self) -> tuple[IndexFolder, ...]:
        return (self.pdq, self.digests, self.leaders)

    @property
    def applied_seq(self) -> int:
        return min(index.applied_seq for index in self.all())


class SeenIndex:
    """Follows the seen files of one store; thread-safe. Searches see what was there at the last `follow`, or more."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._opened: _Files | None = None
        self._opening = threading.Lock()
        self._merger = threading.Thread()

    def close(self) -> None:
        """Let go of the files; a merge that runs is finished first. Repeating it does nothing."""
        if self._merger.is_alive():
            self._merger.join()
        if self._opened is not None:
            for index in self._opened.all():
                index.close()
            self._opened = None

    @property
    def size_bytes(self) -> int:
        """How large the mapped files are."""
        return sum(index.mapped_bytes for index in self._files().all())

    def __len__(self) -> int:
        """How many codes and digests of files are held."""
        files = self._files()
        return len(files.pdq) + len(files.digests)

    def follow(self) -> None:
        """Bring the index up to the database's last file and removal.

        Raises:
            IndexFileError: the files could not be read or written; a damaged index was built again first.
            NotReadyError: the database could not be read.
        """
        self._trying_twice(self._follow)

    def verify_when_due(self, interval_seconds: float, wait: Wait) -> None:
        """Read the index through, slowly, unless that was done less than the interval ago, and mend what is damaged.

        Raises:
            IndexFileError: it was damaged, or could not be read, and could not be built again yet.
            NotReadyError: the database could not be read.
        """
        files = self._files()
        if any(index.read_only for index in files.all()):
            return
        try:
            verify_in_turn(
                self._folder, interval_seconds, lambda: all(read_through(each, wait) for each in files.all())
            )
        except DAMAGE as error:
            _log.error("the seen index is built again from the database, it is damaged: %s", error.message)
            self._condemn(files)
            self.follow()

    def merge_beside(self) -> None:
        """Begin to merge what is due in a thread of its own; searches and writes go on meanwhile."""
        files = self._files()
        if not self._merger.is_alive() and any(index.merge_due() for index in files.all()):
            self._merger = threading.Thread(target=self._merge, args=(files,), name="seen-index-merge")
            self._merger.start()

    def files_near(self, codes: NDArray[np.uint8], radius_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The files within the radius of each PDQ, uint8[N, 32], in any orientation.

        Returns:
            `(query_row, file_id)`: int64[R] each; a pair may repeat.
        """
        # A file's four mirrorings meet the code itself and the code transposed: that is all eight orientations.
        asked = np.concatenate([codes, transposed(codes)])
        rows, file_ids, _ = self._trying_twice(lambda: self._files().pdq.search(asked, radius_bits))
        return rows % max(1, len(codes)), file_ids

    def files_with(
        self, kind: FingerprintKind, values: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The files with each digest, uint8[N, kind.size_bytes]; returns as `files_near`."""
        codes = index_codes(kind, values)
        rows, file_ids, _ = self._trying_twice(lambda: self._files().digests.search(codes, 0))
        return rows, file_ids

    def nearest_leaders(self, orientations: NDArray[np.uint8]) -> list[tuple[int, int] | None]:
        """For each picture, uint8[N, 8, 32], distance in bits and id of the nearest cluster it belongs to, or None."""
        asked = np.ascontiguousarray(orientations.reshape(-1, PDQ_BYTES))
        found = self._trying_twice(lambda: self._files().leaders.search(asked, DEFAULT_RADIUS_BITS))
        return nearest(found, len(orientations))

    def _follow(self) -> None:
        files = self._files()
        state = self._store.seen.state()
        if files.applied_seq == state.seq:
            return
        with follower_turn(self._folder, LOCK_TIMEOUT_SECONDS):
            state = self._store.seen.state()
            if not max(0, state.removals_after) <= files.applied_seq <= state.seq:
                for index in files.all():
                    index.clear()
            while files.applied_seq < state.seq:
                self._apply(files, max(0, files.applied_seq))

    def _apply(self, files: _Files, after_seq: int) -> None:
        changes = self._store.seen.index_changes(after_seq, limit=_CHUNK_FILES)
        for index, codes, ids, removed_ids in (
            (files.pdq, *_pdq_rows(changes.files), changes.removed_file_ids),
            (files.digests, *_digest_rows(changes.files), changes.removed_file_ids),
            (files.leaders, *_leader_rows(changes), changes.removed_cluster_ids),
        ):
            # What is added is removed first: after a crash between two indexes one of them is given it again.
            index.replace(np.concatenate([removed_ids, np.unique(ids)]), codes, ids, changes.seq, sync=False)

    def _files(self) -> _Files:
        with self._opening:
            if self._opened is None:
                make_folder(self._folder)
                database_id = self._store.seen.state().database_id
                names = ("pdq", "digests", "clusters")
                opened = (open_or_reset(self._folder / name, database_id, LOCK_TIMEOUT_SECONDS) for name in names)
                self._opened = _Files(*opened)
            return self._opened

    def _merge(self, files: _Files) -> None:
        try:
            for index in files.all():
                index.merge(MERGE_BYTES_PER_SECOND)
        except IndexFileError as error:
            _log.warning("merging the seen index failed and is tried again later: %s", error.message)
            if isinstance(error, DAMAGE):
                with suppress(IndexFileError):  # damaged beyond that: opening it finds the rest
                    self._condemn(files)

    def _condemn(self, files: _Files) -> None:
        """Let all processes know that nothing may be taken from it; the next `follow` builds it again."""
        with follower_turn(self._folder, LOCK_TIMEOUT_SECONDS):
            for index in files.all():
                index.condemn()

    def _trying_twice(self, work: Callable[[], T]) -> T:
        files = self._opened
        try:
            return work()
        except IndexLockedError:
            raise
        except IndexFileError as error:
            # What became damaged while it was open is found, and built again, by opening it anew; damage inside a
            # segment, which opening does not see, must be said.
            _log.warning("the seen index is opened anew: %s", error.message)
            if files is not None and isinstance(error, DAMAGE) and not files.pdq.read_only:
                with suppress(IndexFileError):  # damaged beyond that: opening it finds the rest
                    self._condemn(files)
            self._opened = None  # let go, not closed: other threads may be searching them
            self._follow()
            return work()


def nearest(
    found: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]], picture_count: int
) -> list[tuple[int, int] | None]:
    """Distance and id of the best hit of each picture, from a search for eight orientations a picture."""
    best: list[tuple[int, int] | None] = [None] * picture_count
    for row, found_id, distance_bits in zip(*(column.tolist() for column in found), strict=True):
        known = best[row // len(Transform)]
        if known is None or (distance_bits, found_id) < known:
            best[row // len(Transform)] = (distance_bits, found_id)
    return best


def _pdq_rows(files: Sequence[SeenFile]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    compared = [(each.id, each.mirrorings) for each in files if each.mirrorings is not None]
    codes = np.frombuffer(b"".join(mirrorings for _, mirrorings in compared), np.uint8).reshape(-1, PDQ_BYTES)
    return codes, np.repeat(np.array([file_id for file_id, _ in compared], np.int64), len(MIRRORINGS))


def _digest_rows(files: Sequence[SeenFile]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    file_ids = np.array([each.id for each in files], np.int64)
    codes = [
        index_codes(kind, np.frombuffer(b"".join(values), np.uint8).reshape(-1, kind.size_bytes))
        for kind, values in (
            (FingerprintKind.SHA256, [each.sha256 for each in files]),
            (FingerprintKind.SHA1, [each.sha1 for each in files]),
            (FingerprintKind.MD5, [each.md5 for each in files]),
        )
    ]
    return np.concatenate(codes), np.tile(file_ids, len(codes))


def _leader_rows(changes: IndexChanges) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    codes = np.frombuffer(b"".join(pdq for _, pdq in changes.clusters), np.uint8).reshape(-1, PDQ_BYTES)
    return codes, np.array([cluster_id for cluster_id, _ in changes.clusters], np.int64)
