"""Keeps the known entries equal to the database, by following its change log.

The database is the truth, the index a rebuildable cache. `refresh` is called before every search: one cheap read tells
whether anything changed, so an added, paused or withdrawn entry counts on the very next request, whichever process
wrote it. With a folder, all processes of the machine share one index on disk; without, each has its own in memory.

A number alone does not say that nothing changed: a backup may have been restored, and the database have grown to the
same number again. So the token of the last change is remembered with it, and compared whenever changes are applied and
by `check_history`, which a server calls now and then.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np

from baken.errors import IndexFileError, IndexLockedError
from baken.index_files import Wait
from baken.known_files import KnownFiles, KnownReader
from baken.matching import KnownEntries
from baken.model import FingerprintKind
from baken.store import Change, Store

_log = logging.getLogger(__name__)


class KnownFollower:
    """Follows one store; safe to call from any number of threads."""

    def __init__(self, store: Store, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        self._left_folder: Path | None = None  # that could not be used; the entries are in memory
        self._files: KnownFiles | None = None
        self._known = KnownEntries()
        self._seq = -1
        self._token: int | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the index's files; repeating it does nothing."""
        with self._lock:
            if self._files is not None:
                self._files.close()
                self._files = None

    @property
    def seq(self) -> int:
        """The number of the last change that counts; -1 before the first load."""
        return self._seq

    @property
    def latest(self) -> KnownEntries:
        """The known entries as of the last `refresh`, which may have changed since."""
        return self._known

    def is_current(self) -> bool:
        """Whether `refresh` would return at once, without a change to apply or an index to build."""
        head = self._store.head_seq()
        return head == self._seq and not self._is_behind(head)

    def refresh(self) -> KnownEntries:
        """Bring the index up to the database's last change and return the known entries.

        Raises:
            NotReadyError: the database could not be read, or another process is still building the index. Answering
                from a stale index would be a guess.
        """
        known = self._known
        # The same before and after: entries that are loaded anew meanwhile are not those that were found current.
        if self.is_current() and known is self._known:
            return known
        head = self._store.head_seq()
        with self._lock:
            if self._folder is not None:
                self._follow_files(self._folder, head)
            else:
                self._follow_in_memory(head)
            return self._known

    def check_history(self) -> None:
        """Begin anew when the database's change log is no longer the one that was followed.

        Raises:
            NotReadyError: the database could not be read, or another process is still building the index.
        """
        with self._lock:
            if self._seq <= 0 or self._store.change_token(self._seq) == self._token:
                return
            self._seq = -1
            if self._files is not None:
                self._files.doubt_history()
        self.refresh()

    def settle(self) -> None:
        """Merge the index on disk to few segments: to be called when nothing is added for a while."""
        files = self._files
        if files is not None:
            files.settle()

    def return_to_folder(self) -> None:
        """Share the index on disk again, if this process had to leave it and it can be used by now.

        Searches are answered from memory until it is whole. A folder that may only be read is not gone back to: this
        process would have to leave it with the next change.

        Raises:
            NotReadyError: the database could not be read.
        """
        folder, head = self._left_folder, self._store.head_seq()
        if folder is None or head <= 0:
            return
        try:
            files = KnownFiles(folder, self._store)
            if files.is_read_only:
                files.close()
                return
            files.bring_to(head)
            with self._lock:
                self._left_folder, self._folder, self._files = None, folder, files
                self._follow_files(folder, self._store.head_seq())
        except IndexFileError as error:
            _log.info("this process still keeps the known entries in memory: %s", error.message)
            return
        if self._left_folder is None:
            _log.warning("this process shares the index in %s again", folder)

    def verify_when_due(self, interval_seconds: float, wait: Wait) -> None:
        """Read the index on disk through, unless that was done less than the interval ago, and mend what is damaged.

        Raises:
            NotReadyError: it was damaged and could not be built again yet; until it is, nobody takes an answer from it.
        """
        files = self._files
        if files is None:
            return
        try:
            files.verify_when_due(interval_seconds, wait)
        except IndexLockedError:
            raise
        except IndexFileError as error:
            _log.error("the index is built again from the database, it is damaged: %s", error.message)
            self.refresh()

    def _is_behind(self, head: int) -> bool:
        """Whether another process emptied the index, to build it again."""
        files = self._files
        try:
            return files is not None and files.applied_seq < head
        except IndexFileError:
            return True

    def _follow_files(self, folder: Path, head: int) -> None:
        try:
            self._bring_files_to(folder, head)
        except IndexLockedError:
            raise
        except IndexFileError as error:
            # Memory serves as well, only not shared: a full disk must not stop the screening.
            _log.warning("this process keeps the known entries in memory: %s; %s", error.message, error.hint)
            self._files = None
            self._left_folder, self._folder, self._seq = folder, None, -1
            self._follow_in_memory(head)

    def _bring_files_to(self, folder: Path, head: int) -> None:
        known = self._known
        if head > 0:  # a database without any change has no entries, and nothing to tell it from another one
            try:
                files = self._opened(folder)
                files.bring_to(head)
            except IndexLockedError:
                raise
            except IndexFileError:
                # What became damaged while it was open is found, and built again, by opening it anew.
                # The old files are let go, not closed: other threads may be searching them.
                self._files = None
                files = self._opened(folder)
                files.bring_to(head)
            known = KnownEntries(*(KnownReader(each, head) for each in (files.pdq, files.digests, files.views)))
        known.set_banks(self._store.banks())
        known.seq = head
        self._known, self._token = known, self._store.change_token(head)
        self._seq = head

    def _opened(self, folder: Path) -> KnownFiles:
        if self._files is None:
            self._files = KnownFiles(folder, self._store)
        return self._files

    def _follow_in_memory(self, head: int) -> None:
        if self._seq > 0 and self._store.change_token(self._seq) != self._token:
            _log.warning("the known entries are loaded again: the database has another history; was it restored?")
            self._seq = -1
        if self._seq < 0:
            self._load()
        self._follow(head)
        self._known.seq = self._seq

    def _load(self) -> None:
        # The head is read before the rows: a change committed between the two is loaded now and applied again by
        # `_follow`, which is harmless because applying is idempotent; the other order would lose it.
        head = self._store.head_seq()
        self._known = KnownEntries()
        self._known.set_banks(self._store.banks())
        self._put_codes(1, None)
        self._token = self._store.change_token(head)
        self._seq = head

    def _follow(self, head: int) -> None:
        while self._seq < head:
            changes = self._store.changes_since(self._seq)
            if not changes:
                return
            for change in changes:
                self._apply(change)
            self._token = changes[-1].token
            self._seq = changes[-1].seq

    def _apply(self, change: Change) -> None:
        if change.kind == "bank":
            self._known.set_banks(self._store.banks())
        elif change.kind == "entries" and change.first_entry_id is not None and change.last_entry_id is not None:
            self._reload(change)

    def _reload(self, change: Change) -> None:
        """Take the entries of one change as they are now; removing first makes applying twice harmless."""
        if change.bank_id is None or change.first_entry_id is None or change.last_entry_id is None:
            return
        entry_ids = np.arange(change.first_entry_id, change.last_entry_id + 1, dtype=np.int64)
        self._known.remove_entries(entry_ids, np.full_like(entry_ids, change.bank_id))
        self._put_codes(change.first_entry_id, change.last_entry_id)

    def _put_codes(self, first_entry_id: int, last_entry_id: int | None) -> None:
        for kind in FingerprintKind:
            for chunk in self._store.active_codes(kind, first_entry_id=first_entry_id, last_entry_id=last_entry_id):
                self._known.put_codes(kind, chunk.entry_ids, chunk.bank_ids, chunk.values)
        for views in self._store.kept.active_views(first_entry_id=first_entry_id, last_entry_id=last_entry_id):
            self._known.put_views(views.entry_ids, views.bank_ids, views.numbers, views.codes)
