"""Screening of files and folders: walk, fingerprint in worker processes, judge, record in batches, yield.

Nothing here grows with the number of files: folders are read in runs, and what is on its way is bounded.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path

from baken.errors import InvalidValueError
from baken.model import ItemMeta, Screening, Unscreenable
from baken.pipeline import Gate, judge
from baken.store import Store
from baken.workers import (
    DEFAULT_TIMEOUT_SECONDS,
    Failure,
    FileResult,
    Isolation,
    in_order,
    without_picture,
)

# A folder is sorted in runs of this many entries: the order is the same at every scan of an unchanged folder, and a
# folder of a million files is never held whole.
_RUN_ENTRIES = 10_000

BATCH_SCREENINGS = 256
BATCH_SECONDS = 0.5


class SkipReason(StrEnum):
    """Why a path was not taken for a file to screen."""

    SPECIAL_FILE = "special_file"
    LINKED_FOLDER = "linked_folder"
    UNREADABLE_FOLDER = "unreadable_folder"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to read: its path, and its path relative to the root it was found under."""

    path: str
    relative: str


@dataclass(frozen=True, slots=True)
class SkippedPath:
    """A path that holds no file that could be read, and why."""

    path: str
    reason: SkipReason
    detail: str


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file and its recorded screening."""

    path: str
    screening: Screening


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How a scan runs; see `workers.in_order` for the first three. `ref_prefix` stands before every `item_ref`."""

    processes: int = 0
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    isolation: Isolation = field(default_factory=Isolation)
    ref_prefix: str = ""


def printable(path: str) -> str:
    r"""A path as valid text: bytes that are no UTF-8 are written `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def check_roots(roots: Sequence[str]) -> None:
    """Check that every named path exists before any work begins.

    Raises:
        InvalidValueError: a path does not exist or may not be reached.
    """
    for root in roots:
        try:
            Path(root).stat()
        except (OSError, ValueError) as error:
            message = f"the path {printable(root)!r} cannot be read: {getattr(error, 'strerror', None) or error}"
            raise InvalidValueError(message, hint="Nothing was done; name files and folders that exist.") from error


def walk(roots: Sequence[str]) -> Iterator[FoundFile | SkippedPath]:
    """Every file under the roots, in a stable order; linked folders are not followed, special files are skipped."""
    for root in roots:
        if Path(root).is_dir():
            yield from _walk_folder(root)
        elif stat.S_ISREG(Path(root).stat().st_mode):
            yield FoundFile(root, Path(root).name)
        else:
            yield SkippedPath(root, SkipReason.SPECIAL_FILE, "not a regular file")


def _walk_folder(root: str) -> Iterator[FoundFile | SkippedPath]:
    """Depth first, without recursion: a hostile tree may be deeper than Python's stack."""
    pending: list[Iterator[os.DirEntry[str] | SkippedPath]] = [_entries(root)]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
        elif isinstance(entry, SkippedPath):
            yield entry
        elif entry.is_dir(follow_symlinks=False):
            pending.append(_entries(entry.path))
        else:
            yield _classify(entry, root)


def _entries(folder: str) -> Iterator[os.DirEntry[str] | SkippedPath]:
    try:
        with os.scandir(folder) as entries:
            run = sorted(islice(entries, _RUN_ENTRIES), key=_name)
            while len(run) == _RUN_ENTRIES:
                yield from run
                run = sorted(islice(entries, _RUN_ENTRIES), key=_name)
    except OSError as error:
        yield SkippedPath(folder, SkipReason.UNREADABLE_FOLDER, error.strerror or str(error))
        return
    yield from run  # the folder is closed by now: a deep tree of small folders holds no descriptors


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _classify(entry: os.DirEntry[str], root: str) -> FoundFile | SkippedPath:
    try:
        if entry.is_symlink() and entry.is_dir():
            return SkippedPath(entry.path, SkipReason.LINKED_FOLDER, "symbolic links to folders are not followed")
        if entry.is_file() or entry.is_symlink():  # a broken link is a file that cannot be read, and is reported as one
            return FoundFile(entry.path, entry.path.removeprefix(root).lstrip("/"))
    except OSError:
        return FoundFile(entry.path, entry.path.removeprefix(root).lstrip("/"))
    return SkippedPath(entry.path, SkipReason.SPECIAL_FILE, "not a regular file")


def files(roots: Sequence[str], on_skip: Callable[[SkippedPath], None]) -> Iterator[FoundFile]:
    """The files of a walk; what is skipped is told to `on_skip`."""
    for found in walk(roots):
        if isinstance(found, SkippedPath):
            on_skip(found)
        else:
            yield found


def screen_files(
    roots: Sequence[str],
    gate: Gate,
    store: Store,
    options: ScanOptions,
    *,
    on_skip: Callable[[SkippedPath], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[ScannedFile, None, None]:
    """Screen every file under the roots and yield each once it is recorded, in the order of the walk.

    Args:
        roots: files and folders.
        gate: known entries, policy and limits.
        store: where screenings are kept, in batches.
        options: processes, time-out and the prefix of `item_ref`.
        on_skip: told of every path that is no file to screen.
        should_stop: asked between files; once true, what is finished is still recorded and yielded.

    Raises:
        InvalidValueError: a root does not exist.
        NotReadyError: the database failed or no worker process starts. A bad file raises nothing.
    """
    check_roots(roots)
    gate.load()  # before the first file, so that its `elapsed_ms` is its own
    job = gate.item_fingerprinter

    def load(found: FoundFile) -> bytes | Unscreenable:
        return job.read(found.path)

    results = in_order(
        job,
        files(roots, on_skip),
        load=load,
        processes=options.processes,
        timeout_seconds=options.timeout_seconds,
        isolation=options.isolation,
        should_stop=should_stop,
    )
    batch: list[ScannedFile] = []
    due = time.monotonic() + BATCH_SECONDS
    for found, answer in results:
        # A file that no worker got through is read again: its digests need no decoder, and an entry may have them.
        result = FileResult(without_picture(load(found), answer), 0.0) if isinstance(answer, Failure) else answer
        batch.append(ScannedFile(found.path, _judged(found, result, gate, options)))
        if len(batch) >= BATCH_SCREENINGS or time.monotonic() >= due:
            yield from _recorded(batch, store)
            batch = []
            due = time.monotonic() + BATCH_SECONDS
    yield from _recorded(batch, store)


def _judged(found: FoundFile, result: FileResult, gate: Gate, options: ScanOptions) -> Screening:
    meta = ItemMeta(item_ref=printable(options.ref_prefix + found.relative))
    return judge(result.fingerprints, meta, gate, time.perf_counter() - result.elapsed_ms / 1000.0)


def _recorded(batch: list[ScannedFile], store: Store) -> Iterator[ScannedFile]:
    if batch:
        store.record_many([scanned.screening for scanned in batch])
    yield from batch
