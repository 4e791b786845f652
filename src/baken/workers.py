"""Processes that fingerprint files: every core used, answers in the order asked, and no file that can stop the run.

A decoder may crash on a hostile file, eat its memory or never end. That takes one worker process with it, which is
replaced; its file gets an answer that says so, and the files queued behind it go to the replacement.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

from baken import fingerprints, images
from baken.images import DecodeLimits
from baken.model import MIN_QUALITY_PERCENT, Fingerprints, Unscreenable, UnscreenableReason
from baken.workers_pool import DEFAULT_TIMEOUT_SECONDS, Failure, Isolation, WorkerPool

__all__ = [
    "DEFAULT_TIMEOUT_SECONDS",
    "Failure",
    "FileFingerprinter",
    "FileResult",
    "FileSource",
    "Isolation",
    "available_cores",
    "in_order",
    "read_file",
    "without_bytes",
    "without_picture",
]

FILES_PER_WORKER = 4
"""So many files are decoded in the time in which a worker starts: fewer get no worker of their own."""

# The window bounds what is finished and waits for a slow item before it, and with it the memory.
_WINDOW_ITEMS = 32
_POLL_SECONDS = 0.2

FileSource = str | bytes | Unscreenable
"""A file's path, its content, or why that could not be read."""

T = TypeVar("T")
R = TypeVar("R")


class ItemDescribing(Protocol):
    """What adds the vectors of a descriptor network; `vectors.ItemDescriber` is one."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Files that it opens."""
        ...

    def __call__(self, computed: Fingerprints) -> Fingerprints:
        """The same with vectors."""
        ...


@dataclass(frozen=True, slots=True)
class FileResult:
    """What one file gave.

    Attributes:
        fingerprints: of the file.
        elapsed_ms: how long its worker took for it.
        decoding_ms: how much of that was for the decoding of its (first) picture.
    """

    fingerprints: Fingerprints
    elapsed_ms: float
    decoding_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class FileFingerprinter:
    """The job of a worker: a file in, its fingerprints out, with what is `asked` beside digests and PDQ.

    `exact` decodes as entries of banks are decoded. `describe` adds what the descriptor network makes of an item.
    """

    limits: DecodeLimits = field(default_factory=DecodeLimits)
    min_quality_percent: int = MIN_QUALITY_PERCENT
    exact: bool = False
    asked: fingerprints.Asked = fingerprints.NOTHING_MORE
    describe: ItemDescribing | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Files that it opens beside those it is asked about."""
        return () if self.describe is None else self.describe.reads

    def __call__(self, source: FileSource) -> FileResult:
        """Decode and fingerprint one file; one that cannot be read is unscreenable, not an error."""
        started = time.perf_counter()
        data = self.read(source) if isinstance(source, str) else source
        if isinstance(data, Unscreenable):
            return FileResult(without_bytes(data), (time.perf_counter() - started) * 1000.0)
        read = time.perf_counter()
        picture = images.decode(data, limits=self.limits, exact=self.exact)
        decoded = time.perf_counter()
        frames = images.further_frames(data, picture, limits=self.limits) if self.asked.max_frames else None
        computed = fingerprints.compute(
            data, picture, frames, min_quality_percent=self.min_quality_percent, asked=self.asked
        )
        computed = computed if self.describe is None else self.describe(computed)
        return FileResult(computed, (time.perf_counter() - started) * 1000.0, (decoded - read) * 1000.0)

    def read(self, path: str) -> bytes | Unscreenable:
        """The file's bytes, or why they are not there; what a confined worker cannot do for itself."""
        return read_file(path, self.limits.max_size_bytes)


def without_picture(data: bytes | Unscreenable, failure: Failure) -> Fingerprints:
    """The fingerprints of a file that no worker got through: those of its bytes, which an entry may equal."""
    if isinstance(data, Unscreenable):
        return without_bytes(data)
    # What an exception says may quote the file's name or bytes, which no database holds as text.
    detail = failure.detail.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")
    return fingerprints.compute(data, Unscreenable(UnscreenableReason.DECODER_FAILED, detail))


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
            data = b""
            if status.st_size <= max_size_bytes:
                data = file.read(status.st_size + 1)  # room for what is there, not for all that is allowed
                if len(data) > status.st_size:  # it grew
                    data += file.read(max_size_bytes + 1 - len(data))
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
    job: Callable[[Any], R],
    items: Iterable[T],
    *,
    load: Callable[[T], object] | None = None,
    processes: int = 0,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    isolation: Isolation | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[T, R | Failure]]:
    """Do `job` for every item in worker processes and yield each item with its result, in the order of the items.

    Args:
        job: a picklable callable that worker processes can import, and that is annotated with what it gives. Where it
            has `reads`, those are paths that it opens.
        items: any number of items; only a bounded number is held at a time.
        load: makes of an item what `job` is called with, in a thread of this process: workers have no network, and with
            `load` they cannot open files. Without it `job` gets the item itself, which must be picklable, and may open
            files for reading.
        processes: worker processes; 0 means one for each core. Few items start fewer.
        timeout_seconds: how long one item may take before its worker is replaced.
        isolation: memory, and whether confinement is a must.
        should_stop: asked between items; once true, no further item is taken and unfinished ones are dropped.

    Raises:
        NotReadyError: a worker process could not be started.
    """
    rest = iter(items)
    width = processes or available_cores()
    first = list(islice(rest, FILES_PER_WORKER * width))
    width = min(width, -(-len(first) // FILES_PER_WORKER))
    if not width:
        return
    pool = WorkerPool(
        width,
        timeout_seconds=timeout_seconds,
        isolation=isolation,
        readable=getattr(job, "reads", ()),
        reads_everything=load is None,
    )

    def work(item: T) -> R | Failure:
        return pool.run(job, item if load is None else load(item))

    with ThreadPoolExecutor(width + 1, thread_name_prefix="baken-files") as threads, pool:
        window: deque[tuple[T, Future[R | Failure]]] = deque()
        rest = chain(first, rest)
        while not should_stop():
            for item in islice(rest, width * _WINDOW_ITEMS - len(window)):
                window.append((item, threads.submit(work, item)))
                if should_stop():
                    break
            if not window:
                return
            futures.wait([window[0][1]], _POLL_SECONDS)
            while window and window[0][1].done():
                item, future = window.popleft()
                yield item, future.result()
        for _, future in window:
            future.cancel()
