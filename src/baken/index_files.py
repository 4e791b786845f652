"""What every index on disk has in common: opened or made anew, and one follower at a time on a machine."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from baken._native import IndexCheck, IndexFolder
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

LOCK_TIMEOUT_SECONDS = 60.0

MERGE_BYTES_PER_SECOND = 256 << 20
"""What a merge may write: about as fast as it computes, so that it never fills the disk's queue for long."""

VERIFY_BYTES_PER_SECOND = 64 << 20
"""What the check of an index beside the serving may read: ten million entries take 14 s, a hundred million 140 s."""

DAMAGE = (IndexForeignError, IndexTruncatedError, IndexCorruptError)
"""What is wrong with a file whose content is not what was written."""

Wait = Callable[[float], bool]
"""Waits so many seconds and returns whether to stop; `threading.Event.wait` is one."""

_VERIFY_PIECE_BYTES = 1 << 20
_LOCK_POLL_SECONDS = 0.002
_REBUILT_AFTER = (
    IndexMissingError,
    IndexForeignError,
    IndexTruncatedError,
    IndexCorruptError,
    IndexDatabaseError,
)

_log = logging.getLogger(__name__)


def make_folder(folder: Path) -> None:
    """Make the folder of some indexes, for its owner only.

    Raises:
        IndexReadOnlyError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise IndexReadOnlyError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="let the user of Baken write into the data folder",
        ) from error


def open_or_reset(path: Path, database_id: str, lock_timeout_seconds: float, member_bits: int = 0) -> IndexFolder:
    """Open an index; one that is missing, damaged or of another database is made empty, and a log line says so.

    Raises:
        IndexFileError: the folder can be neither used nor emptied.
    """
    try:
        return IndexFolder(str(path), database_id, lock_timeout_seconds=lock_timeout_seconds, member_bits=member_bits)
    except _REBUILT_AFTER as error:
        level = logging.INFO if isinstance(error, IndexMissingError) else logging.WARNING
        _log.log(level, "the index is built again from the database: %s", error.message)
        return IndexFolder(
            str(path), database_id, reset=True, lock_timeout_seconds=lock_timeout_seconds, member_bits=member_bits
        )


def verify_in_turn(folder: Path, interval_seconds: float, verify: Callable[[], bool]) -> None:
    """Call `verify`, unless another process of the machine does or did so less than the interval ago.

    Args:
        folder: of the indexes; its file `verify-lock` says who verifies and, by its time, when that was done.
        interval_seconds: between two verifications that came to their end.
        verify: reads the indexes through; False when it was stopped before the end.
    """
    descriptor = os.open(folder / "verify-lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        age_seconds = time.time() - os.fstat(descriptor).st_mtime
        if not 0 <= age_seconds < interval_seconds and is_locked_now(descriptor) and verify():
            os.utime(descriptor)
    finally:
        os.close(descriptor)  # which unlocks it


def read_through(index: IndexFolder, wait: Wait) -> bool:
    """Check every checksum of an index, slowly; False when `wait` said to stop before the end.

    Raises:
        IndexFileError: the index is damaged.
    """
    check = IndexCheck(index)
    while size_bytes := check.step(_VERIFY_PIECE_BYTES):
        if wait(size_bytes / VERIFY_BYTES_PER_SECOND):
            return False
    return True


@contextmanager
def follower_turn(folder: Path, timeout_seconds: float) -> Iterator[None]:
    """One follower of the indexes in a folder at a time on this machine.

    Raises:
        IndexLockedError: another has been at it for longer than the timeout.
        IndexMissingError: the folder was deleted.
        IndexFileError: its lock cannot be opened.
    """
    try:
        descriptor = os.open(folder / "follow-lock", os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        raise IndexMissingError(f"the folder {folder} was deleted", hint="it is made again") from None
    except OSError as error:
        raise IndexFileError(
            f"the lock in {folder} cannot be opened: {error.strerror}",
            hint="let the user of Baken write into the data folder, and see whether its disk is full",
        ) from error
    try:
        _wait_for(descriptor, folder, timeout_seconds)
        yield
    finally:
        os.close(descriptor)  # which unlocks it


def is_locked_now(descriptor: int) -> bool:
    """Take an open file's lock, unless another process holds it; closing the file gives it back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for(descriptor: int, folder: Path, timeout_seconds: float) -> None:
    end = time.monotonic() + timeout_seconds
    while not is_locked_now(descriptor):
        if time.monotonic() >= end:
            raise IndexLockedError(
                f"another process has been updating the index in {folder} for more than {timeout_seconds:g} s",
                hint="try again; building an index of ten million entries takes about a minute",
            )
        time.sleep(_LOCK_POLL_SECONDS)
