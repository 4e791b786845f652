"""Processes that fingerprint files: every core used, answers in the order asked, and no file that can stop the run.

A decoder may crash on a hostile file, eat its memory or never end. That takes one worker process with it, which is
replaced; its file gets an answer that says so, and the files queued behind it go to the replacement.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from baken import fingerprints, images
from baken.errors import NotReadyError
from baken.images import DecodeLimits
from baken.model import MIN_QUALITY_PERCENT, Fingerprints, Unscreenable, UnscreenableReason

DEFAULT_TIMEOUT_SECONDS = 60.0
"""A file that takes longer than this is given up; a 100-megapixel PNG takes about 3 s."""

FEW_ITEMS = 8
"""Fewer items than this are done in this process: a worker takes longer to start than they take to do."""

# Starting imports numpy and Pillow, which on a busy machine takes far longer than an item may.
_START_TIMEOUT_SECONDS = 60.0

# Each worker has its next items at hand, so that it need not wait while the parent searches and records; the window
# bounds what is finished and waits for a slow item before it, and with it the memory.
_QUEUE_ITEMS = 4
_WINDOW_ITEMS = 32
_POLL_SECONDS = 0.2

# A dying process closes its connection a moment before it leaves its exit status, which tells why it died.
_GRACE_SECONDS = 2.0

_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from baken.workers import serve; serve(int(sys.argv[1]))"

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Failure:
    """An item without a result: its worker died, took too long, or raised. `detail` is for people."""

    detail: str


@dataclass(frozen=True, slots=True)
class FileResult:
    """What one file gave, and how long its worker took for it."""

    fingerprints: Fingerprints
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class FileFingerprinter:
    """The job of a worker: a path in, its fingerprints out, with what is `asked` beside digests and PDQ.

    `exact` decodes as entries of banks are decoded.
    """

    limits: DecodeLimits = field(default_factory=DecodeLimits)
    min_quality_percent: int = MIN_QUALITY_PERCENT
    exact: bool = False
    asked: fingerprints.Asked = fingerprints.NOTHING_MORE

    def __call__(self, path: str) -> FileResult:
        """Read, decode and fingerprint one file; a file that cannot be read is unscreenable, not an error."""
        started = time.perf_counter()
        data = read_file(path, self.limits.max_size_bytes)
        computed = without_bytes(data) if isinstance(data, Unscreenable) else self.of_bytes(data)
        return FileResult(computed, (time.perf_counter() - started) * 1000.0)

    def of_bytes(self, data: bytes) -> Fingerprints:
        """The same for a file that is in memory."""
        picture = images.decode(data, limits=self.limits, exact=self.exact)
        frames = images.further_frames(data, picture, limits=self.limits) if self.asked.max_frames else None
        return fingerprints.compute(
            data, picture, frames, min_quality_percent=self.min_quality_percent, asked=self.asked
        )


def without_bytes(why: Unscreenable) -> Fingerprints:
    """The fingerprints of a file whose bytes were not read: empty digests, which no entry can equal."""
    return Fingerprints(sha256=b"", sha1=b"", md5=b"", pdq=None, quality_percent=None, unscreenable=why)


def read_file(path: str, max_size_bytes: int) -> bytes | Unscreenable:
    """Read a regular file of at most `max_size_bytes`; never waits for a pipe or a device."""
    try:
        # Without O_NONBLOCK a FIFO put in place of a file after the folder was listed would block here for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Unscreenable(UnscreenableReason.UNREADABLE, "not a regular file")
            data = b"" if status.st_size > max_size_bytes else file.read(max_size_bytes + 1)
    except OSError as error:
        return Unscreenable(UnscreenableReason.UNREADABLE, error.strerror or str(error))
    if status.st_size > max_size_bytes or len(data) > max_size_bytes:
        detail = f"{max(status.st_size, len(data))} bytes, at most {max_size_bytes} are read"
        return Unscreenable(UnscreenableReason.TOO_LARGE, detail)
    return data


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(
    job: Callable[[T], R],
    items: Iterable[T],
    *,
    processes: int = 0,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[T, R | Failure]]:
    """Do `job` for every item in worker processes and yield each item with its result, in the order of the items.

    Args:
        job: a picklable callable that worker processes can import.
        items: any number of picklable items; only a bounded number is held at a time.
        processes: worker processes; 0 means one for each core.
        timeout_seconds: how long one item may take before its worker is replaced. Not applied to fewer than
            `FEW_ITEMS` items, which are done in this process.
        should_stop: asked between items; once true, no further item is taken and unfinished ones are dropped.

    Raises:
        NotReadyError: a worker process could not be started.
    """
    rest = iter(items)
    first = list(islice(rest, FEW_ITEMS))
    if len(first) < FEW_ITEMS:
        for item in first:
            if should_stop():
                return
            yield item, _attempt(job, item)
        return
    yield from _Pool(job, processes or available_cores(), timeout_seconds, should_stop).run(chain(first, rest))


def _attempt(job: Callable[[T], R], item: T) -> R | Failure:
    try:
        return job(item)
    except Exception as error:  # noqa: BLE001 - the worker's edge: one bad item never stops the run
        return Failure(f"{type(error).__name__}: {error}")


def serve(descriptor: int) -> None:
    """Be a worker: receive a job, then items, and answer each; ends when the parent closes or dies."""
    connection: Connection[Any, Any] = Connection(descriptor)
    try:
        job = connection.recv()
        connection.send(None)  # ready: what goes wrong before this is no item's fault
        while True:
            connection.send(_attempt(job, connection.recv()))
    except (EOFError, ConnectionError):
        return


class _Task(Generic[T, R]):
    """One item on its way, and its answer once there is one."""

    __slots__ = ("answer", "item")

    def __init__(self, item: T) -> None:
        self.item = item
        self.answer: R | Failure | None = None


class _Worker(Generic[T, R]):
    """One worker process and the tasks it has been given; the first of them is the one it works on."""

    def __init__(self, job: Callable[[T], R]) -> None:
        self.connection, theirs = Pipe()
        arguments = [sys.executable, "-c", _BOOT, str(theirs.fileno()), *sys.path]
        # Its own process group, so that Ctrl-C reaches the parent alone, which then ends its workers.
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            arguments,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )
        theirs.close()
        self.tasks: deque[_Task[T, R]] = deque()
        self.is_ready = False
        self.since = time.monotonic()
        self._send(job)

    def give(self, task: _Task[T, R]) -> None:
        if not self.tasks:
            self.since = time.monotonic()
        self.tasks.append(task)
        self._send(task.item)

    def _send(self, message: object) -> None:
        # A worker that died is found by the next read, and its tasks are given to the replacement.
        with contextlib.suppress(ConnectionError):
            self.connection.send(message)

    def receive(self) -> bool:
        """Take one message; False when the process has ended."""
        try:
            message = self.connection.recv()
        except (EOFError, ConnectionError):
            return False
        self.since = time.monotonic()
        if self.is_ready:
            self.tasks.popleft().answer = message
        self.is_ready = True
        return True

    def is_late(self, timeout_seconds: float) -> bool:
        """Whether it has been silent for longer than this."""
        return bool(self.tasks) and time.monotonic() - self.since > timeout_seconds

    def end(self, grace_seconds: float = 0.0) -> int:
        """End the process, at once unless it is given a moment to end by itself; return its exit status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_seconds)
        self.process.kill()
        self.connection.close()
        return self.process.wait()


class _Pool(Generic[T, R]):
    """The parent's side of the workers; holds a bounded window of tasks."""

    def __init__(
        self, job: Callable[[T], R], processes: int, timeout_seconds: float, should_stop: Callable[[], bool]
    ) -> None:
        self._job = job
        self._timeout_seconds = timeout_seconds
        self._should_stop = should_stop
        self._processes = processes
        self._workers: list[_Worker[T, R]] = []
        self._window: deque[_Task[T, R]] = deque()

    def run(self, items: Iterator[T]) -> Iterator[tuple[T, R | Failure]]:
        try:
            self._workers = [_Worker(self._job) for _ in range(self._processes)]
            while not self._should_stop():
                self._fill(items)
                if not self._window:
                    return
                self._collect()
                yield from self._finished()
            yield from self._finished()
        finally:
            for worker in self._workers:
                worker.end()

    def _fill(self, items: Iterator[T]) -> None:
        while len(self._window) < self._processes * _WINDOW_ITEMS and not self._should_stop():
            worker = min(self._workers, key=lambda each: len(each.tasks))
            if len(worker.tasks) >= _QUEUE_ITEMS:
                return
            for item in islice(items, 1):
                task: _Task[T, R] = _Task(item)
                self._window.append(task)
                worker.give(task)
                break
            else:
                return

    def _finished(self) -> Iterator[tuple[T, R | Failure]]:
        while self._window and self._window[0].answer is not None:
            task = self._window.popleft()
            if task.answer is not None:
                yield task.item, task.answer

    def _collect(self) -> None:
        """Wait a moment for answers; replace the workers that died or take too long."""
        ready = wait([worker.connection for worker in self._workers], _POLL_SECONDS)
        for position, worker in enumerate(self._workers):
            if worker.connection in ready:
                if not worker.receive():
                    self._replace(position, "")
                continue
            limit_seconds = self._timeout_seconds if worker.is_ready else _START_TIMEOUT_SECONDS
            if worker.is_late(limit_seconds):
                self._replace(position, f"gave no answer within {limit_seconds:g} seconds")

    def _replace(self, position: int, late: str) -> None:
        worker = self._workers[position]
        status = worker.end(grace_seconds=0.0 if late else _GRACE_SECONDS)
        why = late or f"ended by {_named(status)}"
        if not worker.is_ready:
            message = f"a worker process did not start: it {why}"
            raise NotReadyError(message, hint="What it wrote above says why; check memory and the installation.")
        if worker.tasks:
            worker.tasks.popleft().answer = Failure(f"the decoding process {why}")
        replacement: _Worker[T, R] = _Worker(self._job)
        self._workers[position] = replacement
        for task in worker.tasks:
            replacement.give(task)


def _named(status: int) -> str:
    """An exit status in words: a signal's name when it is one."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
