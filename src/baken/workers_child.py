"""The inside of a worker process: it gives up its rights, then answers items until whoever asks is gone."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import baken.workers  # the decoders are there before the first file comes, and before rights are given up
from baken import _native, workers_answers
from baken.workers_orders import ANSWER, LOADED, OUT_OF_MEMORY, RAISED, REQUEST, RESULT, Orders, make_room

_MAX_DESCRIPTORS = 64
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/sys/devices")


def serve(descriptor: int) -> None:
    """Be a worker; ends when the parent closes or dies."""
    connection = _Connection(descriptor)
    try:
        size = int.from_bytes(connection.read(4), "little")
        orders: Orders = pickle.loads(connection.read(size))  # noqa: S301 - it comes from the process that started this one
        connection.answer(LOADED, workers_answers.encode(_confine(orders)))
        jobs: dict[bytes, Callable[[Any], Any]] = {}
        while True:
            _answer(connection, jobs)
    except (EOFError, ConnectionError):
        return


def _confine(orders: Orders) -> tuple[str, str]:
    """Give up rights and take limits; what the system refused, in words, of system calls and of files."""
    for name in orders.imports:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Decoders complain there, and hostile files would write a server's log.
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
    taken_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: taken_bytes + orders.memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _MAX_DESCRIPTORS,
    }
    for which, limit in limits.items():
        resource.setrlimit(which, (limit, limit))
    own = (str(Path(baken.workers.__file__).parent), sys.prefix, sys.base_prefix)
    return _native.confine([*own, *orders.path, *orders.readable, *_SYSTEM], orders.reads_everything)


def _answer(connection: _Connection, jobs: dict[bytes, Callable[[Any], Any]]) -> None:
    head, descriptors = connection.read_request()
    cpu_seconds, job_size, item_size, data_size, is_file = REQUEST.unpack(head)
    named = connection.read(job_size)
    item_bytes = connection.read(item_size)
    data = connection.read(data_size)
    if named not in jobs:
        make_room(jobs)
        jobs[named] = pickle.loads(named)  # noqa: S301 - likewise
        connection.answer(LOADED, b"")
    _limit_processor_time(cpu_seconds)
    try:
        with contextlib.ExitStack() as stack:
            item: object = data
            if is_file:
                item = stack.enter_context(os.fdopen(descriptors[0], "rb"))
            elif item_bytes:
                item = pickle.loads(item_bytes)  # noqa: S301 - likewise
            kind, answer = RESULT, workers_answers.encode(jobs[named](item))
    except MemoryError:
        kind, answer = OUT_OF_MEMORY, b""
    except Exception as error:  # noqa: BLE001 - the worker's edge: one bad item never stops the run
        kind, answer = RAISED, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")
    connection.answer(kind, answer)


def _limit_processor_time(seconds: float) -> None:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(spent.ru_utime + spent.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


class _Connection:
    """The one way out. Plain reads and writes but for files: a confined process can do nothing else with sockets."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # All of it is said, so that Python does not ask the system, which would refuse.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)

    def read_request(self) -> tuple[bytes, list[int]]:
        """The head of a request, and the descriptor of a file that came with it."""
        head, descriptors, _, _ = socket.recv_fds(self._socket, REQUEST.size, 1)
        return head + self.read(REQUEST.size - len(head)), descriptors

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while size:
            piece = os.read(self._descriptor, size)
            if not piece:
                raise EOFError
            pieces.append(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def answer(self, kind: int, answer: bytes) -> None:
        left = [memoryview(ANSWER.pack(kind, len(answer))), memoryview(answer)]
        while left:
            written = os.writev(self._descriptor, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left and written:
                left[0] = left[0][written:]
