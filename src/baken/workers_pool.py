"""Worker processes that stay: any thread asks, each file has its limits, and whatever dies is replaced."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from io import IOBase
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from baken.errors import NotReadyError
from baken.workers_answers import AnswerDecoder, function_of
from baken.workers_orders import Orders
from baken.workers_process import Item, ItemFailed, Loss, WorkerLost, WorkerProcess

DEFAULT_TIMEOUT_SECONDS = 60.0
"""A file that takes longer than this is given up; a 100-megapixel PNG takes about 3 s."""

DEFAULT_MEMORY_BYTES = 3 << 30
"""What decoding may take: 16 bytes for each of 100 million pixels, the file twice, and as much again."""

RECYCLED_AFTER_FILES = 20_000
RECYCLED_AFTER_BYTES = 256 << 20
"""A worker that holds so much more than when it was new is replaced: decoders leak."""

_LOOKED_AT_EVERY = 16
_LONGEST_PAUSE_SECONDS = 30.0
_MOST_KILLED_STARTS = 8
_MOST_HANDED_OVER_AGAIN = 8

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """An item without a result: its worker died, took too long or too much, or raised. `detail` is for people."""

    detail: str


@dataclass(frozen=True, slots=True)
class Isolation:
    """How worker processes are kept apart from everything else.

    Attributes:
        memory_bytes: address space that one file may take.
        is_required: whether nothing is decoded where the system refuses a part of the confinement.
    """

    memory_bytes: int = DEFAULT_MEMORY_BYTES
    is_required: bool = False


class Event(StrEnum):
    """What happens to worker processes, for `/metrics`."""

    STARTED = "started"
    RECYCLED = "recycled"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"


@dataclass(slots=True)
class _Held:
    """A worker and what it held when it was new."""

    process: WorkerProcess
    first_bytes: int = 0


@dataclass(slots=True)
class _State:
    """What the threads share, under one lock."""

    idle: deque[_Held] = field(default_factory=deque)
    all: set[WorkerProcess] = field(default_factory=set)
    starting: int = 0
    failed_starts: int = 0
    pause_until: float = 0.0
    error: NotReadyError | None = None
    is_closed: bool = False


class WorkerPool:
    """At most `processes` workers, started when they are needed; safe to call from any number of threads."""

    def __init__(
        self,
        processes: int,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        isolation: Isolation | None = None,
        readable: Sequence[str] = (),
        reads_everything: bool = False,
        imports: Sequence[str] = (),
    ) -> None:
        """Make it; nothing starts yet.

        Args:
            processes: how many files are worked on at once.
            timeout_seconds: how long one may take, by the clock and in processor time.
            isolation: memory, and whether confinement is a must.
            readable: files and folders that jobs open themselves.
            reads_everything: whether they may open any file that this user may read.
            imports: modules that jobs need and that may not be installed.
        """
        self.processes = processes
        self.counts: dict[Event, int] = dict.fromkeys(Event, 0)
        self._timeout_seconds = timeout_seconds
        self._isolation = isolation or Isolation()
        path = tuple(str(Path(each).absolute()) for each in sys.path if each)
        self._orders = Orders(path, self._isolation.memory_bytes, tuple(readable), reads_everything, tuple(imports))
        self._decoders: dict[object, AnswerDecoder] = {}
        self._named: tuple[object, bytes] = (None, b"")
        self._state = _State()
        self._changed = threading.Condition()
        # A process ends with the thread that started it, so one thread that stays starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="baken-workers")
        self._has_warned = False

    def run(self, job: Callable[[T], R], item: T) -> R | Failure:
        """What `job` gives for `item` in a worker; waits for one.

        A worker that ends before it was at the item, killed while idle for instance, costs nothing: another gets it.

        Args:
            job: a picklable callable that says by annotations what it gives (`workers_answers.AnswerDecoder`), and that
                does not change.
            item: bytes, or something picklable, or a file that is open: the job gets it for reading, from its start.

        Raises:
            NotReadyError: no worker starts, or the pool is closed.
        """
        decoder = self._decoder_of(job)
        named = self._named_as(job)
        handed_over = 0
        while True:
            held = self._borrowed()
            handed_over += 1
            try:
                with _sent(item) as sent:
                    result: R = decoder.decode(held.process.ask(named, sent, self._timeout_seconds))
            except ItemFailed as failed:
                self._count(failed.loss)
                self._give_back(held)
                return Failure(failed.detail)
            except WorkerLost as lost:
                failure = self._lost(held, lost)
                if lost.has_begun or handed_over > _MOST_HANDED_OVER_AGAIN:
                    return failure
            except ValueError as error:
                return self._lost(held, WorkerLost(Loss.CRASHED, f"the decoding process answered nonsense: {error}"))
            except BaseException:
                self._drop(held)
                raise
            else:
                self._give_back(held)
                return result

    def prestart(self) -> None:
        """Start all workers, so that the first files need not wait for them."""
        with self._changed:
            for _ in range(self.processes - len(self._state.all) - self._state.starting):
                self._start()

    def refused(self) -> tuple[str, str]:
        """What the system refused of a worker's confinement, of system calls and of files; empty where it holds.

        Raises:
            NotReadyError: no worker starts.
        """
        held = self._borrowed()
        self._give_back(held)
        return held.process.refused or ("", "")

    def pids(self) -> list[int]:
        """The processes that live now, or are starting."""
        with self._changed:
            return [process.pid for process in self._state.all]

    def close(self) -> None:
        """End all workers, whatever they are at; idempotent."""
        with self._changed:
            self._state.is_closed = True
            processes = list(self._state.all)
            self._changed.notify_all()
        for process in processes:
            process.kill()
        self._starter.shutdown(wait=True)
        with self._changed:
            idle, self._state.idle = list(self._state.idle), deque()
        for held in idle:
            self._drop(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _named_as(self, job: object) -> bytes:
        """The job pickled; of the last one that is at hand, because mostly all files have the same."""
        last, named = self._named
        if last is not job:
            named = pickle.dumps(job)
            self._named = (job, named)
        return named

    def _decoder_of(self, job: Callable[[T], R]) -> AnswerDecoder:
        key = function_of(job)
        decoder = self._decoders.get(key)
        if decoder is None:
            decoder = self._decoders[key] = AnswerDecoder(job)
        return decoder

    def _borrowed(self) -> _Held:
        """A worker that is ready, for this thread alone."""
        kills = 0
        while True:
            held = self._next()
            try:
                if not held.process.is_gone():
                    self._make_ready(held)
                    return held
            except WorkerLost as lost:
                kills += lost.is_killed
                if not lost.is_killed or kills > _MOST_KILLED_STARTS:
                    raise self._not_started(held, lost) from None
            self._count(Loss.CRASHED)  # while nobody asked it anything
            self._drop(held)

    def _next(self) -> _Held:
        state = self._state
        with self._changed:
            while True:
                if state.is_closed:
                    raise NotReadyError("the worker processes are stopped", hint="Try again; another process answers.")
                if state.idle:
                    return state.idle.pop()
                if len(state.all) + state.starting < self.processes:
                    if state.error is not None and time.monotonic() < state.pause_until:
                        raise state.error
                    self._start()
                self._changed.wait()

    def _start(self) -> None:
        """Have one started; called under the lock."""
        self._state.starting += 1
        self._starter.submit(self._started)

    def _started(self) -> None:
        process: WorkerProcess | None = None
        try:
            if not self._state.is_closed:
                process = WorkerProcess(self._orders)
        except OSError as error:
            with self._changed:
                self._pause(f"it cannot be started: {error}")
        with self._changed:
            self._state.starting -= 1
            if process is not None:
                self._state.all.add(process)
                self._state.idle.appendleft(_Held(process))  # those that are ready come first
                self.counts[Event.STARTED] += 1
                if self._state.is_closed:
                    process.kill()
            self._changed.notify_all()

    def _make_ready(self, held: _Held) -> None:
        if held.first_bytes:
            return
        held.process.wait_ready()
        held.first_bytes = max(held.process.resident_bytes(), 1)
        refused = [each for each in held.process.refused or () if each]
        if refused and self._isolation.is_required:
            raise WorkerLost(Loss.CRASHED, f"the system refuses to confine it ({'; '.join(refused)})", is_started=False)
        with self._changed:
            self._state.failed_starts, self._state.error = 0, None
            is_new, self._has_warned = bool(refused) and not self._has_warned, self._has_warned or bool(refused)
        if is_new:
            _log.warning("decoding is confined only in part: the system refuses %s", "; ".join(refused))

    def _give_back(self, held: _Held) -> None:
        process = held.process
        if process.answered >= RECYCLED_AFTER_FILES or self._has_grown(held):
            self._drop(held)
            with self._changed:
                self.counts[Event.RECYCLED] += 1
                if not self._state.is_closed:
                    self._start()
            return
        with self._changed:
            if not self._state.is_closed:
                self._state.idle.append(held)
                self._changed.notify()
                return
        self._drop(held)

    def _has_grown(self, held: _Held) -> bool:
        is_looked_at = held.process.answered % _LOOKED_AT_EVERY == 0
        return is_looked_at and held.process.resident_bytes() > held.first_bytes + RECYCLED_AFTER_BYTES

    def _lost(self, held: _Held, lost: WorkerLost) -> Failure:
        if not lost.is_started and not lost.is_killed:
            raise self._not_started(held, lost)
        self._count(lost.loss)
        self._drop(held)
        with self._changed:
            if not self._state.is_closed:
                self._start()  # now, and not when the next file comes
        return Failure(lost.detail)

    def _not_started(self, held: _Held, lost: WorkerLost) -> NotReadyError:
        self._drop(held)
        with self._changed:
            if self._state.is_closed:
                return NotReadyError("the worker processes are stopped", hint="Try again; another process answers.")
            return self._pause(lost.detail.replace("the decoding process", "it"))

    def _pause(self, why: str) -> NotReadyError:
        """No further start for a while, longer each time; called under the lock."""
        state = self._state
        message = f"a worker process did not start: {why}"
        hint = "What it wrote above says why; check memory and the installation, and run `baken check`."
        state.error = NotReadyError(message, hint=hint)
        state.pause_until = time.monotonic() + min(_LONGEST_PAUSE_SECONDS, 0.5 * 2**state.failed_starts)
        state.failed_starts += 1
        self._changed.notify_all()
        return state.error

    def _drop(self, held: _Held) -> None:
        held.process.end()
        with self._changed:
            self._state.all.discard(held.process)
            self._changed.notify_all()

    def _count(self, loss: Loss | None) -> None:
        if loss is not None:
            with self._changed:
                self.counts[Event(loss.value)] += 1


@contextmanager
def _sent(item: object) -> Iterator[Item]:
    """An item as a worker gets it."""
    if isinstance(item, bytes):
        yield Item(data=item)
    elif isinstance(item, IOBase):
        # Opened anew: the worker may not write to it, and has a place in it of its own.
        descriptor = os.open(f"/proc/self/fd/{item.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield Item(descriptor=descriptor)
        finally:
            os.close(descriptor)
    else:
        yield Item(pickled=pickle.dumps(item))


class Decoding(Protocol):
    """Where jobs that decode files run; `WorkerPool` is one."""

    def run(self, job: Callable[[T], R], item: T) -> R | Failure:
        """What `job` gives for `item`."""
        ...


class InProcess:
    """The same without workers: for programs that trust their files, and for measuring what isolation costs."""

    def run(self, job: Callable[[T], R], item: T) -> R | Failure:
        """What `job` gives for `item`, here."""
        if isinstance(item, IOBase):
            item.seek(0)
        return job(item)
