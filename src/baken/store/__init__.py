"""Everything Baken keeps: one class, `Store`, over SQLite or PostgreSQL."""

from baken.store.banks import BankEvent
from baken.store.changes import Change
from baken.store.entries import MAX_BATCH_ENTRIES, CodeChunk
from baken.store.store import Store

__all__ = ["MAX_BATCH_ENTRIES", "BankEvent", "Change", "CodeChunk", "Store"]
