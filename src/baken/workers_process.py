"""One worker process, from the side of the process that asks it."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from array import array
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from baken.workers_answers import MAX_ANSWER_BYTES
from baken.workers_orders import ANSWER, OUT_OF_MEMORY, RAISED, REQUEST, Orders, make_room

# Starting imports numpy and Pillow, which on a busy machine takes far longer than an item may.
START_TIMEOUT_SECONDS = 60.0

# A dying process closes its connection a moment before it leaves its exit status, which tells why it died.
_GRACE_SECONDS = 2.0

_BUFFER_BYTES = 1 << 20
_PAGE_BYTES = resource.getpagesize()
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from baken.workers_child import serve; serve(int(sys.argv[1]))"

# A worker gets nothing of its parent's environment but this: there may be passwords in it.
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")

# One thread of each library: workers are as many as cores, and threads' stacks count as memory.
_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    # Pictures come and go: memory that is given back to the system each time costs a page fault for every 4 KiB.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Loss(StrEnum):
    """Why a worker is there no more, or an item has no answer."""

    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"


class WorkerLost(Exception):  # noqa: N818 - it is no error of whoever asks
    """The process is gone or cannot be used any more; `detail` says why, for people.

    Attributes:
        is_started: whether it, and the job that it was asked for, had been ready.
        is_killed: whether it was ended from outside, by a person or for want of memory on the machine.
        has_begun: whether it may have been at the item. If not, the item is as good as before and another can have it.
    """

    def __init__(
        self, loss: Loss, detail: str, *, is_started: bool = True, is_killed: bool = False, has_begun: bool = True
    ) -> None:
        super().__init__(detail)
        self.loss = loss
        self.detail = detail
        self.is_started = is_started
        self.is_killed = is_killed
        self.has_begun = has_begun


class ItemFailed(Exception):  # noqa: N818 - likewise
    """The job raised; the process is as good as before. `loss` is None unless it ran out of memory."""

    def __init__(self, detail: str, loss: Loss | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.loss = loss


@dataclass(frozen=True, slots=True)
class Item:
    """What a job is called with: something pickled, or bytes as they are, or an open file, which is read only."""

    pickled: bytes = b""
    data: bytes = b""
    descriptor: int | None = None


class WorkerProcess:
    """A process that answers one item at a time; not to be used by two threads at once."""

    def __init__(self, orders: Orders) -> None:
        """Start it, without waiting until it is ready.

        It ends with the *thread* that calls this, which must therefore be one that stays.
        """
        self._socket, theirs = socket.socketpair()
        for end in (self._socket, theirs):  # a photo goes through at once; the system may allow less
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        with theirs:
            # Its own process group, so that Ctrl-C reaches the parent alone, which then ends its workers.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), *orders.path],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={**{name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}, **_VARIABLES},
                process_group=0,
            )
        self._jobs: set[bytes] = set()
        self._memory_bytes = orders.memory_bytes
        self.pid = self._process.pid
        self.answered = 0
        self.refused: tuple[str, str] | None = None
        """Once it is ready: what the system refused of its confinement, of system calls and of files."""
        given = pickle.dumps(orders)
        self._socket.sendall(len(given).to_bytes(4, "little") + given)

    def wait_ready(self) -> None:
        """Wait until it has started.

        Raises:
            WorkerLost: it did not.
        """
        if self.refused is None:
            report = self._receive(START_TIMEOUT_SECONDS, is_started=False)
            self.refused = msgspec.msgpack.decode(report[1], type=tuple[str, str])

    def is_gone(self) -> bool:
        """Whether it ended while nobody asked it anything."""
        return bool(select.select([self._socket], [], [], 0)[0]) and self.refused is not None

    def ask(self, job: bytes, item: Item, timeout_seconds: float) -> bytes:
        """What the pickled `job` gives for the item.

        Raises:
            ItemFailed: the job raised.
            WorkerLost: there is no answer; the process must be ended.
        """
        until = time.monotonic() + timeout_seconds
        data = item.data
        request = REQUEST.pack(timeout_seconds, len(job), len(item.pickled), len(data), item.descriptor is not None)
        files = (
            [] if item.descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [item.descriptor]))]
        )
        try:
            self._socket.settimeout(max(timeout_seconds, START_TIMEOUT_SECONDS))
            # At once: a worker that is woken by the first bytes waits for the rest.
            head = b"".join((request, job, item.pickled))
            sent = self._socket.sendmsg((head, data), files)
            if sent < len(head) + len(data):
                self._socket.sendall(memoryview(head)[sent:])
                self._socket.sendall(memoryview(data)[max(0, sent - len(head)) :])
        except TimeoutError:
            raise self._late(timeout_seconds) from None
        except OSError:
            raise self._ended(has_begun=False) from None
        if job not in self._jobs:
            self._receive(START_TIMEOUT_SECONDS, is_started=False)
            make_room(self._jobs)
            self._jobs.add(job)
            until = time.monotonic() + timeout_seconds
        kind, answer = self._receive(until - time.monotonic(), limit_seconds=timeout_seconds)
        self.answered += 1
        if kind == OUT_OF_MEMORY:
            detail = f"the file needs more memory than the {self._memory_bytes} bytes that decoding may take"
            raise ItemFailed(detail, Loss.OUT_OF_MEMORY)
        if kind == RAISED:
            raise ItemFailed(answer.decode("utf-8", "backslashreplace"))
        return answer

    def resident_bytes(self) -> int:
        """Memory it holds now; 0 when it is gone."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        except OSError:
            return 0

    def kill(self) -> None:
        """Kill it, from any thread; whoever asks it hears that it is lost."""
        self._process.kill()

    def end(self, grace_seconds: float = 0.0) -> int:
        """End the process, at once unless it is given a moment to end by itself; return its exit status."""
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._socket.close()
        return self._process.wait()

    def _receive(
        self, timeout_seconds: float, *, is_started: bool = True, limit_seconds: float | None = None
    ) -> tuple[int, bytes]:
        """One answer, whole, within the time."""
        until = time.monotonic() + timeout_seconds
        try:
            kind, size = ANSWER.unpack(self._read(ANSWER.size, until))
            if size > MAX_ANSWER_BYTES:
                raise WorkerLost(Loss.CRASHED, f"the decoding process answered {size} bytes")
            return kind, self._read(size, until)
        except TimeoutError:
            raise self._late(limit_seconds or timeout_seconds, is_started=is_started) from None
        except ConnectionResetError:  # the system's word that it ended with a part of the request unread
            raise self._ended(is_started=is_started, has_begun=False) from None
        except (EOFError, OSError):
            raise self._ended(is_started=is_started, has_begun=is_started) from None

    def _read(self, size: int, until: float) -> bytes:
        read = bytearray(size)
        rest = memoryview(read)
        while rest:
            self._socket.settimeout(max(until - time.monotonic(), 0.001))
            count = self._socket.recv_into(rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return bytes(read)

    def _late(self, seconds: float, *, is_started: bool = True) -> WorkerLost:
        detail = f"the decoding process gave no answer within {seconds:g} seconds"
        return WorkerLost(Loss.TIMED_OUT, detail, is_started=is_started)

    def _ended(self, *, is_started: bool = True, has_begun: bool = True) -> WorkerLost:
        status = self.end(_GRACE_SECONDS)
        if -status == signal.SIGXCPU:
            detail = "the decoding process used more processor time than one file may"
            return WorkerLost(Loss.TIMED_OUT, detail, is_started=is_started, has_begun=has_begun)
        return WorkerLost(
            Loss.CRASHED,
            f"the decoding process ended by {_named(status)}",
            is_started=is_started,
            is_killed=-status in {signal.SIGKILL, signal.SIGTERM},
            has_begun=has_begun,
        )


def _named(status: int) -> str:
    """An exit status in words: a signal's name when it is one."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
