"""Everything Baken keeps: one class, `Store`, over SQLite or PostgreSQL."""

from baken.store.banks import BankEvent
from baken.store.changes import Change
from baken.store.entries import MAX_BATCH_ENTRIES, AddedEntries, CodeChunk
from baken.store.kept import KeptCounts
from baken.store.kept_reading import KeptViews, VectorChunk, ViewChunk
from baken.store.store import Store

__all__ = [
    "MAX_BATCH_ENTRIES",
    "AddedEntries",
    "BankEvent",
    "Change",
    "CodeChunk",
    "KeptCounts",
    "KeptViews",
    "Store",
    "VectorChunk",
    "ViewChunk",
]
