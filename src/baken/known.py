"""Keeps the known entries in memory equal to the database, by following its change log.

The database is the truth, the index a rebuildable cache. `refresh` is called before every search: one cheap read tells
whether anything changed, so an added, paused or withdrawn entry counts on the very next request, whichever process
wrote it.
"""

from __future__ import annotations

import threading

import numpy as np

from baken.matching import KnownEntries
from baken.model import FingerprintKind
from baken.store import Change, Store


class KnownFollower:
    """Follows one store; safe to call from any number of threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = KnownEntries()
        self._seq = -1
        self._lock = threading.Lock()

    @property
    def seq(self) -> int:
        """The number of the last change that is in memory; -1 before the first load."""
        return self._seq

    def refresh(self) -> KnownEntries:
        """Bring memory up to the database's last change and return the known entries.

        Raises:
            NotReadyError: the database could not be read. Answering from a stale index would be a guess.
        """
        head = self._store.head_seq()
        if head != self._seq:
            with self._lock:
                if self._seq < 0:
                    self._load()
                self._follow(head)
        return self._known

    def _load(self) -> None:
        # The head is read before the rows: a change committed between the two is loaded now and applied again by
        # `_follow`, which is harmless because applying is idempotent; the other order would lose it.
        head = self._store.head_seq()
        self._known.set_banks(self._store.banks())
        self._put_codes(1, None)
        self._seq = head

    def _follow(self, head: int) -> None:
        while self._seq < head:
            changes = self._store.changes_since(self._seq)
            if not changes:
                return
            for change in changes:
                self._apply(change)
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
