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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO, IOBase
from itertools import chain, islice
from typing import Any, BinaryIO, Protocol, TypeVar

from baken import fingerprints, images
from baken.films import FilmFingerprinter, is_video
from baken.images import DecodeLimits
from baken.images.sniffing import SNIFFED_BYTES
from baken.model import MIN_QUALITY_PERCENT, Fingerprints, Unscreenable, UnscreenableReason
from baken.videos import DEFAULT_VIDEO_LIMITS, VideoLimits
from baken.workers_kinds import FileWorkers
from baken.workers_pool import DEFAULT_TIMEOUT_SECONDS, Failure, Isolation

__all__ = [
    "DEFAULT_TIMEOUT_SECONDS",
    "Failure",
    "FileContent",
    "FileFingerprinter",
    "FileResult",
    "FileSource",
    "Isolation",
    "available_cores",
    "in_order",
    "read_file",
    "released",
    "without_bytes",
    "without_picture",
]

FILES_PER_WORKER = 4
"""So many files are decoded in the time in which a worker starts: fewer get no worker of their own."""

# The window bounds what is finished and waits for a slow item before it, and with it the memory.
_WINDOW_ITEMS = 32
_POLL_SECONDS = 0.2

FileContent = bytes | BinaryIO | Unscreenable
"""A file's bytes, a video as a file that is open, or why there are none."""

FileSource = str | FileContent
"""The same, or a file's path."""

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
    Videos have limits of their own.
    """

    limits: DecodeLimits = field(default_factory=DecodeLimits)
    min_quality_percent: int = MIN_QUALITY_PERCENT
    exact: bool = False
    asked: fingerprints.Asked = fingerprints.NOTHING_MORE
    describe: ItemDescribing | None = None
    videos: VideoLimits = DEFAULT_VIDEO_LIMITS

    @property
    def reads(self) -> tuple[str, ...]:
        """Files that it opens beside those it is asked about."""
        return () if self.describe is None else self.describe.reads

    def __call__(self, source: FileSource) -> FileResult:
        """Decode and fingerprint one file; one that cannot be read is unscreenable, not an error."""
        started = time.perf_counter()
        if isinstance(source, str):
            with released(self.read(source)) as content:
                return self(content)
        if isinstance(source, Unscreenable):
            return FileResult(without_bytes(source), (time.perf_counter() - started) * 1000.0)
        if isinstance(source, bytes) and not is_video(source[:SNIFFED_BYTES]):
            picture = images.decode(source, limits=self.limits, exact=self.exact)
            decoded = time.perf_counter()
            frames = images.further_frames(source, picture, limits=self.limits) if self.asked.max_frames else None
            computed = fingerprints.compute(
                source, picture, frames, min_quality_percent=self.min_quality_percent, asked=self.asked
            )
        else:
            film = FilmFingerprinter(self.videos, self.min_quality_percent, self.asked)
            computed = film(BytesIO(source) if isinstance(source, bytes) else source)
            decoded = time.perf_counter()
        computed = computed if self.describe is None else self.describe(computed)
        return FileResult(computed, (time.perf_counter() - started) * 1000.0, (decoded - started) * 1000.0)

    def read(self, path: str) -> FileContent:
        """What a worker gets of a file; a confined one cannot open it for itself."""
        return read_file(path, self.limits.max_size_bytes)


@contextmanager
def released(content: T) -> Iterator[T]:
    """The same; a video's file is closed afterwards."""
    try:
        yield content
    finally:
        if isinstance(content, IOBase):
            content.close()


def without_picture(content: FileContent, failure: Failure) -> Fingerprints:
    """The fingerprints of a file that no worker got through: those of its bytes, which an entry may equal."""
    if isinstance(content, Unscreenable):
        return without_bytes(content)
    # What an exception says may quote the file's name or bytes, which no database holds as text.
    detail = failure.detail.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")
    why = Unscreenable(UnscreenableReason.DECODER_FAILED, detail)
    if isinstance(content, bytes):
        return fingerprints.compute(content, why)
    return fingerprints.compute_film(content, why)


def without_bytes(why: Unscreenable) -> Fingerprints:
    """The fingerprints of a file whose bytes were not read: empty digests, which no entry can equal."""
    return Fingerprints(sha256=b"", sha1=b"", md5=b"", pdq=None, quality_percent=None, unscreenable=why)


def read_file(path: str, max_size_bytes: int) -> FileContent:
    """Read a regular file of at most `max_size_bytes`; never waits for a pipe or a device.

    A video is given as an open file, however large it is: it has limits of its own, and whoever asks closes it.
    """
    try:
        # Without O_NONBLOCK a FIFO put in place of a file after the folder was listed would block here for ever.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        with ExitStack() as stack:
            stack.callback(file.close)
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return Unscreenable(UnscreenableReason.UNREADABLE, "not a regular file")
            is_film = is_video(file.read(SNIFFED_BYTES))
            file.seek(0)
            if is_film:
                stack.pop_all()
                return file
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
            has `reads`, those are paths that it opens; where it has `videos`, those are the limits of videos.
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
    workers = FileWorkers(
        width,
        videos=getattr(job, "videos", DEFAULT_VIDEO_LIMITS),
        timeout_seconds=timeout_seconds,
        isolation=isolation,
        readable=getattr(job, "reads", ()),
        reads_everything=load is None,
    )

    def work(item: T) -> R | Failure:
        if load is None:
            return workers.run(job, item)
        with released(load(item)) as given:
            return workers.run(job, given)

    with ThreadPoolExecutor(width + 1, thread_name_prefix="baken-files") as threads, workers:
        yield from _as_given(work, chain(first, rest), threads, width * _WINDOW_ITEMS, should_stop)


def _as_given(
    work: Callable[[T], R],
    items: Iterator[T],
    threads: ThreadPoolExecutor,
    max_begun: int,
    should_stop: Callable[[], bool],
) -> Iterator[tuple[T, R]]:
    """Each item with what `work` gives, in the order of the items, of which at most `max_begun` are not yielded yet."""
    window: deque[tuple[T, Future[R]]] = deque()
    while not should_stop():
        for item in islice(items, max_begun - len(window)):
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
