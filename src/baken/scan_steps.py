"""A scan before its files are decoded: what is walked over, passed, waited for and fetched, in one order."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from baken.errors import NotReadyError
from baken.model import Unscreenable, UnscreenableReason
from baken.scan_pace import Pacer
from baken.scan_remote import CONNECTIONS, RemoteFiles, Unreached, is_address, local_path, open_address
from baken.scan_walk import Found, FoundFile, SkippedPath, check_roots, printable, walk
from baken.store.scans import MARK_BYTES, Position
from baken.workers import FileContent, read_file

# Files that need no work travel in one step, so that three million of them cost seconds.
_PASSED_FILES = 4_096
_PASSED_SECONDS = 1.0

# What may wait in memory to be handed to a worker; one file more may be on its way.
_FETCHED_BYTES = 128 * 2**20

# So many files in a row that cannot be reached are no matter of the files.
_UNREACHED_FILES = 50


class Held:
    """How many bytes wait in memory between the fetching and a worker; fetching waits while there are too many."""

    def __init__(self, limit_bytes: int = _FETCHED_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._changed = threading.Condition()

    def take(self, size_bytes: int) -> None:
        """Wait until there is room for so many; one file is let in however large it is."""
        with self._changed:
            self._changed.wait_for(lambda: not self._size_bytes or self._size_bytes + size_bytes <= self._limit_bytes)
            self._size_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """They went to a worker."""
        with self._changed:
            self._size_bytes -= size_bytes
            self._changed.notify_all()


@dataclass(slots=True)
class Step:
    """A file of the walk that is to be screened, if any, and what was passed on the way to it.

    Attributes:
        position: behind this step.
        found: the file; None when everything was passed.
        root_number: of the file.
        content: a path to read, the bytes, why there are none, or nothing to do. The bytes of a file that was fetched
            are here only until they are handed over.
        mark: of the file, empty when nothing can say whether it changes.
        passed_marks: of the files that were passed.
        skips: of the paths that were no files.
        fetch: reads the file's bytes (again), when it is no path.
        read_seconds: how long reading took, here or from afar.
        held: what counts its bytes while they wait here.
        is_last: whether the walk ended here.
    """

    position: Position
    found: FoundFile | None = None
    content: str | bytes | Unscreenable | None = None
    mark: bytes = b""
    passed_marks: list[bytes] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)
    fetch: Callable[[], bytes | Unscreenable] | None = None
    read_seconds: float = 0.0
    held: Held | None = None
    is_last: bool = False

    def handed(self, max_size_bytes: int) -> FileContent | None:
        """What a worker gets: the file's content, or why there is none; None when there is nothing to do.

        A video of this machine is an open file, which whoever asks closes (`workers.released`). Fetched bytes are not
        kept beside: whoever needs them again has them fetched again.
        """
        started = time.perf_counter()
        content: FileContent | None
        if isinstance(self.content, str):
            content = read_file(self.content, max_size_bytes)
        elif self.fetch is None:
            content = self.content
        else:
            content = self.fetch() if self.content is None else self.content
            if self.held is not None and isinstance(self.content, bytes):
                self.held.give_back(len(self.content))
            self.content = None
        self.read_seconds += time.perf_counter() - started
        if isinstance(content, bytes) and len(content) > max_size_bytes:
            detail = f"more than {max_size_bytes} bytes, which is the most that is read"
            return Unscreenable(UnscreenableReason.TOO_LARGE, detail)
        return content


class Marks:
    """The marks of an earlier run, asked in the order of the walk; one page of them is held."""

    def __init__(self, pages: Iterator[tuple[int, bytes, bytes]]) -> None:
        self._pages = pages
        self._last: tuple[int, bytes] | None = (-1, b"")
        self._marks: set[bytes] = set()

    def has(self, root_number: int, found: FoundFile, mark: bytes) -> bool:
        """Whether the run recorded the file as it is now."""
        while self._last is not None and self._last < (root_number, found.key):
            page = next(self._pages, None)
            self._last = None if page is None else page[:2]
            marks = b"" if page is None else page[2]
            self._marks = {marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES)}
        return bool(mark) and mark in self._marks


class Sources:
    """The roots of a scan, opened."""

    def __init__(self, roots: Sequence[str]) -> None:
        """Reach every root.

        Raises:
            ExtraMissingError: the extra that reads an address is not installed.
            InvalidValueError: a root does not exist or is no address that can be screened.
            NotReadyError: an address cannot be reached.
        """
        check_roots([local_path(root) for root in roots if not is_address(root)])
        self.roots = [open_address(root) if is_address(root) else local_path(root) for root in roots]
        for root in self.roots:
            if not isinstance(root, str):
                root.check()

    def walk(self, after: Position) -> Iterator[tuple[int, Found]]:
        """Everything behind a position, with the number of its root.

        Raises:
            NotReadyError: an address could not be listed to the end, or not in the order of its keys.
        """
        for number, root in enumerate(self.roots[after.root_number :], after.root_number):
            key = after.key if number == after.root_number else b""
            for found in walk(root, key) if isinstance(root, str) else root.walk(key):
                if isinstance(found, FoundFile):
                    if found.key <= key:
                        raise _out_of_order(found)
                    key = found.key
                yield number, found

    def content(self, number: int, found: FoundFile, max_size_bytes: int) -> str | Callable[[], bytes | Unscreenable]:
        """What a worker reads itself, or what fetches it."""
        root = self.roots[number]
        return found.path if isinstance(root, str) else _fetcher(root, found, max_size_bytes)


def _fetcher(root: RemoteFiles, found: FoundFile, max_size_bytes: int) -> Callable[[], bytes | Unscreenable]:
    return lambda: root.read(found, max_size_bytes)


def _out_of_order(found: FoundFile) -> NotReadyError:
    message = f"{printable(found.path)} was listed behind a later name, so a scan could lose files when it is resumed"
    return NotReadyError(message, hint="A directory bucket of S3 lists so: copy its names to a general purpose bucket.")


def mark_of(found: FoundFile) -> bytes:
    """What tells a file from the same one changed; empty when nothing can."""
    if not found.stamp:
        return b""
    return hashlib.blake2b(found.key + b"\0" + found.stamp.encode(), digest_size=MARK_BYTES).digest()


def steps(
    sources: Sources, after: Position, marks: Marks | None, max_size_bytes: int, on_skip: Callable[[SkippedPath], None]
) -> Iterator[Step]:
    """The walk in steps; files that an earlier run marked are passed."""
    step, due = Step(after), time.monotonic() + _PASSED_SECONDS
    for number, found in sources.walk(after):
        if isinstance(found, SkippedPath):
            on_skip(found)
            step.skips[found.reason.value] += 1
            continue
        mark = mark_of(found)
        step.position = Position(number, found.key)
        if marks is not None and marks.has(number, found, mark):
            step.passed_marks.append(mark)
            if len(step.passed_marks) < _PASSED_FILES and time.monotonic() < due:
                continue
        else:
            content = sources.content(number, found, max_size_bytes)
            step.found, step.mark = found, mark
            step.content, step.fetch = (content, None) if isinstance(content, str) else (None, content)
        yield step
        step, due = Step(step.position), time.monotonic() + _PASSED_SECONDS
    step.is_last = True
    yield step


def fetched(walked: Iterator[Step], pacer: Pacer, should_stop: Callable[[], bool]) -> Iterator[Step]:
    """The same steps at the pace that is allowed, with the bytes of those that must be fetched, ahead of time.

    Raises:
        NotReadyError: many files in a row could not be reached; they are not among what was given.
    """
    ahead: deque[tuple[Step, Future[None] | None]] = deque()
    unreached: list[Step] = []
    held = Held()
    with ThreadPoolExecutor(CONNECTIONS, "baken-fetch") as threads:  # none is started before it is needed
        try:
            is_more = True
            while is_more or ahead:
                while is_more and _has_room(ahead) and (not ahead or pacer.is_free()):
                    pacer.wait(should_stop)
                    step = None if should_stop() else next(walked, None)
                    is_more = step is not None
                    if step is not None:
                        if step.found is not None:
                            pacer.took(step.found.size_bytes or 0)
                        ahead.append((step, None if step.fetch is None else threads.submit(_fetch, step)))
                if ahead:
                    step, future = ahead.popleft()
                    if future is not None:
                        future.result()
                    if isinstance(step.content, bytes):
                        step.held = held
                        held.take(len(step.content))
                    yield from _reached(step, unreached)
            yield from unreached
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _has_room(ahead: deque[tuple[Step, Future[None] | None]]) -> bool:
    """Whether to look further: not at all ahead of a file that a worker reads itself."""
    if not ahead:
        return True
    if ahead[-1][1] is None:
        return False
    size_bytes = sum(step.found.size_bytes or 0 for step, _ in ahead if step.found is not None)
    return len(ahead) < 2 * CONNECTIONS and size_bytes < _FETCHED_BYTES


def _fetch(step: Step) -> None:
    started = time.perf_counter()
    if step.fetch is not None:
        step.content = step.fetch()
    step.read_seconds = time.perf_counter() - started


def _reached(step: Step, unreached: list[Step]) -> Iterator[Step]:
    """The step; while file after file cannot be reached they are kept back, to be given up or told together."""
    if isinstance(step.content, Unreached):
        unreached.append(step)
        if len(unreached) == _UNREACHED_FILES:
            message = f"{_UNREACHED_FILES} files in a row could not be read; the last one: {step.content.detail}"
            hint = "They are not recorded: check rights and connection, then go on with `baken screen --resume`."
            raise NotReadyError(message, hint=hint)
        return
    yield from unreached
    unreached.clear()
    yield step
