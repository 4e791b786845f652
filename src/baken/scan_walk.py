"""What there is to screen under folders of this machine, in an order that does not depend on what else lies there.

Every folder is walked in the order of its names' bytes, and a file's key is its path below the root with NUL between
the names: keys then sort as the walk goes. So a walk can begin behind any key, also behind one that is gone, and files
that came or went meanwhile move no other file.
"""

from __future__ import annotations

import heapq
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from baken.errors import InvalidValueError

# A folder is read in runs of this many of its names, smallest first: a folder of three million files is never held
# whole. It is listed once for each run, which took 0.5 s of processor time a million names.
_RUN_ENTRIES = 100_000

SETTLED_SECONDS = 2.0
"""A file changed so shortly before it was looked at may change again within one tick of the file system's clock."""


class SkipReason(StrEnum):
    """Why a path was not taken for a file to screen."""

    SPECIAL_FILE = "special_file"
    LINKED_FOLDER = "linked_folder"
    UNREADABLE_FOLDER = "unreadable_folder"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to read.

    Attributes:
        path: what it is opened by, and what people are told.
        relative: its path relative to the root it was found under.
        key: where it stands in the walk of its root.
        size_bytes: when it was found; None when that is not known.
        stamp: what changes whenever the file's bytes do; empty when nothing can say so.
    """

    path: str
    relative: str
    key: bytes = b""
    size_bytes: int | None = None
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class SkippedPath:
    """A path that holds no file that could be read, and why."""

    path: str
    reason: SkipReason
    detail: str


Found = FoundFile | SkippedPath


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


def files(roots: Sequence[str], on_skip: Callable[[SkippedPath], None]) -> Iterator[FoundFile]:
    """The files under the roots; what is skipped is told to `on_skip`."""
    for root in roots:
        for found in walk(root):
            if isinstance(found, SkippedPath):
                on_skip(found)
            else:
                yield found


def walk(root: str, after: bytes = b"") -> Iterator[Found]:
    """Every file under a file or folder behind a key; linked folders are not followed, special files are skipped."""
    if Path(root).is_dir():
        yield from _walk_folder(root, after)
    elif not stat.S_ISREG(Path(root).stat().st_mode):
        yield SkippedPath(root, SkipReason.SPECIAL_FILE, "not a regular file")
    elif not after:
        name = Path(root).name
        yield _file(root, name, os.fsencode(name), Path(root).stat())


def _walk_folder(root: str, after: bytes) -> Iterator[Found]:
    """Depth first, without recursion: a hostile tree may be deeper than Python's stack."""
    pending: list[Iterator[os.DirEntry[str] | SkippedPath]] = [_entries(root, first_name(after, b""))]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
        elif isinstance(entry, SkippedPath):
            yield entry
        elif entry.is_dir(follow_symlinks=False):
            pending.append(_entries(entry.path, first_name(after, _key(_relative(entry, root)))))
        else:
            found = _classify(entry, root)
            if isinstance(found, SkippedPath) or found.key > after:
                yield found


def first_name(after: bytes, folder_key: bytes) -> bytes:
    """The first name in a folder behind which, or below which, there is something behind a key."""
    prefix = folder_key + b"\0" if folder_key else b""
    return after[len(prefix) :].split(b"\0", 1)[0] if after.startswith(prefix) else b""


def _entries(folder: str, first: bytes) -> Iterator[os.DirEntry[str] | SkippedPath]:
    """The entries of a folder by name, from a name on."""
    told, is_more = b"", True
    while is_more:
        try:
            with os.scandir(folder) as entries:  # closed before the first is told: a deep tree holds no descriptors
                named = ((os.fsencode(entry.name), entry) for entry in entries)
                run = heapq.nsmallest(_RUN_ENTRIES, (each for each in named if each[0] > told and each[0] >= first))
        except OSError as error:
            yield SkippedPath(folder, SkipReason.UNREADABLE_FOLDER, error.strerror or str(error))
            return
        is_more = len(run) == _RUN_ENTRIES
        if run:
            told = run[-1][0]
        for _, entry in run:
            yield entry


def _relative(entry: os.DirEntry[str], root: str) -> str:
    return entry.path.removeprefix(root).lstrip("/")


def _key(relative: str) -> bytes:
    return os.fsencode(relative).replace(b"/", b"\0")


def _classify(entry: os.DirEntry[str], root: str) -> Found:
    relative = _relative(entry, root)
    key = _key(relative)
    try:
        if entry.is_symlink() and entry.is_dir():
            return SkippedPath(entry.path, SkipReason.LINKED_FOLDER, "symbolic links to folders are not followed")
        if entry.is_file():
            return _file(entry.path, relative, key, entry.stat())
        if entry.is_symlink():  # a broken link is a file that cannot be read, and is reported as one
            return FoundFile(entry.path, relative, key)
    except OSError:
        return FoundFile(entry.path, relative, key)
    return SkippedPath(entry.path, SkipReason.SPECIAL_FILE, "not a regular file")


def _file(path: str, relative: str, key: bytes, status: os.stat_result) -> FoundFile:
    # The time of the inode's change as well: who writes a file may set the time of its bytes' change to what it was.
    is_settled = max(status.st_mtime, status.st_ctime) < time.time() - SETTLED_SECONDS
    stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}" if is_settled else ""
    return FoundFile(path, relative, key, status.st_size, stamp)
