"""A small HTTP load generator: prebuilt requests over loopback connections, a bounded count, every answer checked.

Connections are kept alive where the server allows it. Against an empty ASGI application it sends as much as wrk does
(42,000 requests/s from one core), so it is not what limits the servers measured here.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CONNECTIONS = 4
_READ_SIZE_BYTES = 65_536
_TIMEOUT_SECONDS = 60.0


class LoadError(RuntimeError):
    """A server answered with something other than 2xx, or closed a connection early."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load run saw: how long it took, and how long each answer took."""

    elapsed_seconds: float
    latencies_ms: list[float]

    @property
    def requests_per_second(self) -> float:
        """Answers by wall time."""
        return len(self.latencies_ms) / self.elapsed_seconds


def build_request(method: str, target: str, *, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """The bytes of one HTTP/1.1 request."""
    fields = {"Host": HOST, **(headers or {}), **({"Content-Length": str(len(body))} if body else {})}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("ascii") + body


def ask(port: int, request: bytes) -> bytes:
    """The body of one answer.

    Raises:
        LoadError: the answer is not 2xx.
    """
    connection = _Connection(port)
    try:
        return connection.exchange(request)
    finally:
        connection.close()


def drive(port: int, requests: Sequence[bytes], *, count: int, connections: int = CONNECTIONS) -> Load:
    """Send `count` requests, taken in turn from `requests`, one thread a connection.

    Raises:
        LoadError: an answer is not 2xx.
    """
    work = _Work(port, requests, iter(range(count)))
    threads = [threading.Thread(target=work.send) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed_seconds = time.perf_counter() - start
    if work.failures:
        raise work.failures[0]
    return Load(elapsed_seconds, work.latencies_ms)


class LoadGenerator:
    """Sends load from a process of its own, so that none of its work is done in a measured process."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def send(self, port: int, requests: Sequence[bytes], *, count: int, connections: int = CONNECTIONS) -> Load:
        """What `drive` returns, from the other process."""
        return self._executor.submit(drive, port, requests, count=count, connections=connections).result()


@contextmanager
def load_generator(cores: set[int]) -> Iterator[LoadGenerator]:
    """A load generator held on these cores."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_hold_on, initargs=(cores,)) as executor:
        yield LoadGenerator(executor)


@dataclass(slots=True)
class _Work:
    """What the threads of one load run share; appending to a list and advancing an iterator are atomic."""

    port: int
    requests: Sequence[bytes]
    numbers: Iterator[int]
    latencies_ms: list[float] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def send(self) -> None:
        connection = _Connection(self.port)
        try:
            for number in self.numbers:
                start = time.perf_counter()
                connection.exchange(self.requests[number % len(self.requests)])
                self.latencies_ms.append((time.perf_counter() - start) * 1000)
        except (LoadError, OSError) as error:
            self.failures.append(error)
        finally:
            connection.close()


class _Connection:
    """One connection, opened when needed and again after an answer that closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def exchange(self, request: bytes) -> bytes:
        """Send one request and return the body of its answer."""
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port), timeout=_TIMEOUT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive(self._socket)
        head = received[:end].lower()
        body = received[end + 4 :]
        size_bytes = self._content_length(head)
        while len(body) < size_bytes:
            body += self._receive(self._socket)
        if b"\r\nconnection: close" in head:
            self.close()
        if head.split(b" ")[1][:1] != b"2":
            message = f"the server on port {self._port} answered {head.splitlines()[0]!r}: {body[:400]!r}"
            raise LoadError(message)
        return body

    def _receive(self, connected: socket.socket) -> bytes:
        received = connected.recv(_READ_SIZE_BYTES)
        if not received:
            message = f"the server on port {self._port} closed the connection within an answer"
            raise LoadError(message)
        return received

    def _content_length(self, head: bytes) -> int:
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return int(line.partition(b":")[2])
        message = f"the server on port {self._port} answered without Content-Length: {head!r}"
        raise LoadError(message)


def _hold_on(cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
