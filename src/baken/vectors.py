"""Keeps the vectors of banked pictures equal to the database, and finds what an item's vectors are near to.

Each process holds the index in memory; one file in the data folder spares it the building at its next start. The file
is a cache, like every index: missing, damaged, of another network or of another history of the database, it is built
again, by one process of the machine while the others wait. `refresh` is called before every search.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baken.copies import FrameRef, MatchStage, QueryViews, Vectors, View, ViewKind
from baken.errors import IndexFileError
from baken.fingerprints.descriptor import descriptor_views
from baken.fingerprints.views import content_views
from baken.index_files import LOCK_TIMEOUT_SECONDS, follower_turn, make_folder
from baken.keeping import Describer
from baken.matching import KnownEntries
from baken.matching_ids import ENTRY_BITS, ENTRY_MASK, index_ids
from baken.model import Bank, FingerprintKind, Fingerprints, Found, Match, Purpose, Transform
from baken.vector_index import VectorIndex

if TYPE_CHECKING:  # a worker process imports this module for `ItemDescriber`, and no database
    from baken.store import Change, Store

MAX_CANDIDATES = 5
"""Entries that one item's vectors may bring in: of 99 in 100 copies the right one is the nearest, and a check costs."""

SAVE_INTERVAL_SECONDS = 60.0
"""How often a process that applied changes writes the file at most; what it lacks is followed at the next start."""

# More than the candidates are asked for: entries of paused banks, and those that were found already, do not count.
_ASKED = 4 * MAX_CANDIDATES

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How alike vectors must be, -1 to 1: to match without a check, and to be worth a check."""

    match: float
    candidate: float


@dataclass(frozen=True, slots=True)
class Alike:
    """An entry whose vectors are near to the item's: its owner id, which view of the item's vectors, how alike."""

    owner: int
    row: int
    similarity: float


class VectorFollower:
    """Follows one store for one network; safe to call from any number of threads."""

    def __init__(self, store: Store, model_sha256: bytes, dims: int, path: Path | None = None) -> None:
        """Follow a store.

        Args:
            store: what holds the vectors.
            model_sha256: 32 bytes, of the network's file.
            dims: values of a vector.
            path: the file that spares a rebuild, in a folder of its own.
        """
        self._model_sha256 = model_sha256
        self._dims = dims
        self._store = store
        self._path = path
        self._lock = threading.Lock()
        self._index: VectorIndex | None = None
        self._saved_at = -SAVE_INTERVAL_SECONDS
        self._saved_seq = -1
        self._saver = threading.Thread()

    def __len__(self) -> int:
        """How many vectors are held."""
        return 0 if self._index is None else len(self._index)

    @property
    def memory_bytes(self) -> int:
        """Memory of this process, about."""
        return 0 if self._index is None else self._index.memory_bytes

    def close(self) -> None:
        """Write what changed; repeating it does nothing."""
        if self._saver.is_alive():
            self._saver.join()
        with self._lock:
            if self._index is not None and self._index.applied_seq != self._saved_seq:
                self._save(self._index)

    def nearest(self, vectors: Vectors, limit: int) -> list[Alike]:
        """The entries whose vectors are nearest to any of an item's, most alike first; as of the last change.

        Raises:
            NotReadyError: the database could not be read, or another process is still building the index.
        """
        if vectors.model_sha256 != self._model_sha256 or not len(vectors.values):
            return []
        with self._lock:
            index = self._current()
            ids, similarities = index.search(vectors.values, limit)
        best: dict[int, Alike] = {}
        for row, (owners, alike) in enumerate(zip(ids.tolist(), similarities.tolist(), strict=True)):
            for owner, similarity in zip(owners, alike, strict=True):
                if owner >= 0 and (owner not in best or similarity > best[owner].similarity):
                    best[owner] = Alike(owner, row, similarity)
        return sorted(best.values(), key=lambda each: (-each.similarity, each.owner))[:limit]

    def refresh(self) -> None:
        """Bring the index up to the database's last change; raises as `nearest` does."""
        with self._lock:
            self._current()

    def check_history(self) -> None:
        """Begin anew when the database's change log is no longer the one that was followed; raises as `nearest`."""
        with self._lock:
            if self._index is not None and not self._is_of_this_history(self._index):
                self._index = None
            self._current()

    def _current(self) -> VectorIndex:
        head = self._store.head_seq()
        if self._index is None:
            self._index = self._opened(head)
        if self._index.applied_seq != head:
            if not self._is_of_this_history(self._index):
                _log.warning("the index of vectors is built again: the database has another history; was it restored?")
                self._index = self._built()
            self._follow(self._index, head)
            self._save_beside(self._index)
        return self._index

    def _opened(self, head: int) -> VectorIndex:
        """What the file holds, or a new index; of several processes one builds, and the others take its file."""
        loaded = self._loaded()
        if loaded is not None:
            return loaded
        if self._path is None or head <= 0:
            return self._built()
        try:
            make_folder(self._path.parent)
            with follower_turn(self._path.parent, LOCK_TIMEOUT_SECONDS):
                loaded = self._loaded()
                if loaded is not None:
                    return loaded
                built = self._built()
                self._save(built)
                return built
        except IndexFileError as error:
            _log.warning("the vectors are kept in memory alone: %s; %s", error.message, error.hint)
            self._path = None
            return self._built()

    def _loaded(self) -> VectorIndex | None:
        if self._path is None or not self._path.exists():
            return None
        try:
            index = VectorIndex.load(self._path, model_sha256=self._model_sha256)
        except IndexFileError as error:
            _log.warning("the index of vectors is built again from the database: %s", error.message)
            return None
        if index.dims != self._dims or not self._is_of_this_history(index):
            _log.warning("the index of vectors is built again from the database: it is of another history or network")
            return None
        self._saved_seq = index.applied_seq
        return index

    def _is_of_this_history(self, index: VectorIndex) -> bool:
        return index.applied_seq <= 0 or self._store.change_token(index.applied_seq) == index.applied_token

    def _built(self) -> VectorIndex:
        # The head is read before the rows: a change committed between the two is applied again, which is harmless.
        head = self._store.head_seq()
        token = self._store.change_token(head) if head > 0 else None
        index = VectorIndex(self._dims, self._model_sha256)
        self._put(index, 1, None)
        index.applied_seq, index.applied_token = head, token or 0
        return index

    def _follow(self, index: VectorIndex, head: int) -> None:
        while index.applied_seq < head:
            changes = self._store.changes_since(index.applied_seq)
            if not changes:
                return
            for change in changes:
                self._apply(index, change)
            index.applied_seq, index.applied_token = changes[-1].seq, changes[-1].token

    def _apply(self, index: VectorIndex, change: Change) -> None:
        """Take the entries of one change as they are now; doing it twice is harmless."""
        if change.bank_id is None or change.first_entry_id is None or change.last_entry_id is None:
            return
        entry_ids = np.arange(change.first_entry_id, change.last_entry_id + 1, dtype=np.int64)
        index.remove(index_ids(entry_ids, np.full_like(entry_ids, change.bank_id)))
        self._put(index, change.first_entry_id, change.last_entry_id)

    def _put(self, index: VectorIndex, first_entry_id: int, last_entry_id: int | None) -> None:
        chunks = self._store.kept.active_vectors(
            self._model_sha256, first_entry_id=first_entry_id, last_entry_id=last_entry_id
        )
        for chunk in chunks:
            index.add(index_ids(chunk.entry_ids, chunk.bank_ids), chunk.values)

    def _save_beside(self, index: VectorIndex) -> None:
        now = time.monotonic()
        if self._path is None or self._saver.is_alive() or now - self._saved_at < SAVE_INTERVAL_SECONDS:
            return
        self._saved_at = now
        self._saver = threading.Thread(target=self._save, args=(index,), name="vectors-save")
        self._saver.start()

    def _save(self, index: VectorIndex) -> None:
        if self._path is None:
            return
        seq = index.applied_seq
        try:
            make_folder(self._path.parent)
            index.save(self._path)
            self._saved_seq = seq
        except IndexFileError as error:
            _log.warning("the index of vectors could not be written: %s; %s", error.message, error.hint)


@dataclass(frozen=True, slots=True)
class ItemDescriber:
    """Adds vectors to what was computed of an item; it goes to worker processes, which load the network themselves."""

    describer: Describer
    keeps_luma: bool = True

    @property
    def reads(self) -> tuple[str, ...]:
        """Files that it opens."""
        return self.describer.reads

    def __call__(self, computed: Fingerprints) -> Fingerprints:
        """The same with the vectors of its views, and with its pixels only where they are needed further on."""
        luma, network = computed.working_luma, self.describer.network()
        if luma is None or network is None:
            return computed
        views = descriptor_views(luma, _content_views(computed.query_views, luma, computed.frame))
        vectors = network.describe(luma, views)
        return replace(computed, vectors=vectors, working_luma=luma if self.keeps_luma else None)


def _content_views(queried: QueryViews | None, luma: NDArray[np.uint8], frame: FrameRef) -> tuple[View, ...]:
    """The content boxes of the leading picture, which were looked for already when the item's views were asked."""
    if queried is None:
        return content_views(luma)
    boxes = {ViewKind.TRIMMED, ViewKind.CAPTION_CUT}
    return tuple(view for view in queried.views if view.kind in boxes and view.frame == frame)


class VectorStage:
    """Stage 2 of a search: what an item's vectors are alike, as matches beside those that were found already.

    Without a network, or without any banked vector of it, it does nothing and costs nothing.
    """

    def __init__(self, store: Store, describer: Describer, folder: Path | None, thresholds: Thresholds) -> None:
        """Make the stage; the network is loaded when it is first needed. `folder` is where the index's file lies."""
        self.describer = describer
        self._store = store
        self._thresholds = thresholds
        self._path = None if folder is None else folder / "vectors"
        self._lock = threading.Lock()
        self._follower: VectorFollower | None = None

    def follower(self) -> VectorFollower | None:
        """What follows the banked vectors; None without a network.

        Raises:
            ModelFileError: the network's file is not what it should be.
        """
        with self._lock:
            if self._follower is None:
                network = self.describer.network()
                if network is None:
                    return None
                self._follower = VectorFollower(self._store, network.model_sha256, network.size, self._path)
            return self._follower

    def is_asked(self) -> bool:
        """Whether there is anything that an item's vectors could be alike; as of the last change."""
        follower = self.follower()
        if follower is None:
            return False
        follower.refresh()
        return len(follower) > 0

    def check_history(self) -> None:
        """Begin anew when the database's change log is no longer the one that was followed.

        Raises:
            NotReadyError: the database could not be read, or another process is still building the index.
        """
        if self._follower is not None:
            self._follower.check_history()

    def close(self) -> None:
        """Write what changed; repeating it does nothing."""
        if self._follower is not None:
            self._follower.close()

    def added(self, found: Found, fingerprints: Fingerprints, known: KnownEntries) -> Found:
        """Add the entries that are alike enough, at most `MAX_CANDIDATES`; those that were found already stay as found.

        Entries that are less alike than what matches without a check are added where a check can say more: in banks
        that keep keypoints. Whoever calls this drops those that no check confirmed.

        Raises:
            NotReadyError: the database could not be read, or the index is still being built.
        """
        vectors, follower = fingerprints.vectors, self.follower()
        if vectors is None or follower is None:
            return found
        there = {(match.bank_id, match.entry_id) for match in found.matches}
        # Of these banks more matched than are listed, perhaps these too: a bank with so many stronger ones needs none.
        full = {bank_id for bank_id, count in Counter(each[0] for each in there).items() if count > MAX_CANDIDATES}
        alike = []
        for each in follower.nearest(vectors, _ASKED):
            bank = known.banks.get(each.owner >> ENTRY_BITS)
            if bank is None or bank.id in full or (bank.id, each.owner & ENTRY_MASK) in there:
                continue
            least = self._thresholds.candidate if bank.keeps_keypoints else self._thresholds.match
            if each.similarity >= least:
                alike.append((bank, each))
        if not alike:
            return found
        alike = alike[:MAX_CANDIDATES]
        codes = self._store.kept.codes_of(FingerprintKind.PDQ, [each.owner & ENTRY_MASK for _, each in alike])
        matches = [_match(bank, each, vectors, fingerprints, codes) for bank, each in alike]
        counted = sum(match.purpose is not Purpose.BENIGN for match in matches)
        return Found((*found.matches, *matches), found.match_count + counted)

    def settled(self, found: Found) -> Found:
        """Without those that are too little alike to match and that no check confirmed."""
        gone = {match for match in found.matches if _is_too_little(match, self._thresholds.match)}
        if not gone:
            return found
        counted = sum(match.purpose is not Purpose.BENIGN for match in gone)
        kept = tuple(match for match in found.matches if match not in gone)
        return replace(found, matches=kept, match_count=found.match_count - counted)


def _is_too_little(match: Match, least: float) -> bool:
    is_sure = match.similarity is None or match.similarity >= least
    return match.stage is MatchStage.DESCRIPTOR and not is_sure and match.evidence is None


def _match(bank: Bank, alike: Alike, vectors: Vectors, fingerprints: Fingerprints, codes: Mapping[int, bytes]) -> Match:
    entry_id = alike.owner & ENTRY_MASK
    bits, transform = _nearest_orientation(fingerprints, codes.get(entry_id))
    return Match(
        bank.id,
        bank.name,
        bank.purpose,
        bank.verdict,
        entry_id,
        FingerprintKind.PDQ,
        bits,
        transform,
        stage=MatchStage.DESCRIPTOR,
        view=replace(vectors.views[alike.row], frame=fingerprints.frame),
        similarity=alike.similarity,
    )


def _nearest_orientation(fingerprints: Fingerprints, code: bytes | None) -> tuple[int, Transform]:
    """How far the whole pictures are apart, in the orientation in which they are nearest; 256 where none is known.

    It tells the person who reviews it how much was changed, not how sure the match is.
    """
    if fingerprints.pdq_orientations is None or code is None:
        return 256, Transform.IDENTITY
    flips = fingerprints.pdq_orientations ^ np.frombuffer(code, np.uint8)
    bits = np.unpackbits(flips, axis=1).sum(axis=1)
    nearest = int(bits.argmin())
    return int(bits[nearest]), tuple(Transform)[nearest]
