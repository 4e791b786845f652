"""What an operator asks of the index on disk: in which state it is, and whether every byte of it is sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from baken._native import IndexFolder
from baken.errors import (
    IndexCorruptError,
    IndexDatabaseError,
    IndexFileError,
    IndexForeignError,
    IndexMissingError,
    IndexTruncatedError,
)
from baken.known_files import LAYOUTS, KnownFiles
from baken.store import Store


class IndexState(StrEnum):
    """What an index can be found to be."""

    CURRENT = "current"
    BEHIND = "behind"
    READ_ONLY = "read_only"
    MISSING = "missing"
    OTHER_HISTORY = "other_history"
    DAMAGED = "damaged"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What was found.

    Attributes:
        state: the worst of all indexes.
        detail: what is wrong, in words; empty when nothing is.
        codes: how many codes they hold.
        size_bytes: of the mapped files.
        applied_seq: the last change of the database in all of them; -1 for none.
        head_seq: the last change of the database.
        is_rebuilt: whether it was damaged and has been built again.
    """

    state: IndexState
    detail: str = ""
    codes: int = 0
    size_bytes: int = 0
    applied_seq: int = -1
    head_seq: int = 0
    is_rebuilt: bool = False


def inspect(folder: Path, store: Store) -> IndexReport:
    """Open the indexes as they are and compare them with the database; nothing is built, and headers only are read."""
    head = store.head_seq()
    opened: list[IndexFolder] = []
    try:
        # Without a change there is nothing to index, and nothing to tell the database from another one.
        if head == 0 or not folder.is_dir():
            return IndexReport(IndexState.MISSING, f"there is no index in {folder}", head_seq=head)
        history_id = store.history_id()
        for layout in LAYOUTS:
            path, database_id = str(layout.folder_in(folder)), layout.database_id(history_id)
            opened.append(IndexFolder(path, database_id, member_bits=layout.member_bits))
        return _compared(opened, store, head)
    except IndexFileError as error:
        return IndexReport(_state_of(error), error.message, head_seq=head)
    finally:
        for index in opened:
            index.close()


def _compared(indexes: Sequence[IndexFolder], store: Store, head: int) -> IndexReport:
    seq = min(index.applied_seq for index in indexes)
    state, detail = IndexState.CURRENT, ""
    tokens = [(each.applied_token, store.change_token(each.applied_seq)) for each in indexes if each.applied_seq >= 0]
    if seq < 0:
        state, detail = IndexState.MISSING, "the index is being built, or its building was interrupted"
    elif any(found is None or kept not in {0, found} for kept, found in tokens):
        state, detail = IndexState.OTHER_HISTORY, f"the index holds change {seq} of another history of the database"
    elif any(index.read_only for index in indexes):
        state, detail = IndexState.READ_ONLY, "this user may only read the index"
    elif seq < head:
        state, detail = IndexState.BEHIND, f"the index holds the database up to change {seq} of {head}"
    size_bytes = sum(index.mapped_bytes for index in indexes)
    return IndexReport(state, detail, sum(map(len, indexes)), size_bytes, seq, head)


def _state_of(error: IndexFileError) -> IndexState:
    if isinstance(error, IndexMissingError):
        return IndexState.MISSING
    if isinstance(error, IndexForeignError | IndexTruncatedError | IndexCorruptError):
        return IndexState.DAMAGED
    return IndexState.OTHER_HISTORY if isinstance(error, IndexDatabaseError) else IndexState.UNUSABLE


def verify(folder: Path, store: Store) -> IndexReport:
    """Read the indexes through, as fast as the disk gives; one that is damaged is built again from the database.

    Returns:
        What was found before anything was mended.
    """
    report = inspect(folder, store)
    if report.state in {IndexState.MISSING, IndexState.UNUSABLE}:
        return report
    try:
        files = KnownFiles(folder, store)
    except IndexFileError as error:
        return IndexReport(_state_of(error), error.message, head_seq=report.head_seq)
    try:
        if report.state is not IndexState.DAMAGED:
            report = _read_through(files, report)
        if report.state is IndexState.DAMAGED and not files.is_read_only:
            files.bring_to(store.head_seq())
            report = replace(report, is_rebuilt=True)
    finally:
        files.close()
    return report


def _read_through(files: KnownFiles, report: IndexReport) -> IndexReport:
    try:
        files.verify(lambda _: False)
    except IndexFileError as error:
        return IndexReport(_state_of(error), error.message, head_seq=report.head_seq)
    return report
