"""A small HTTP load generator: prebuilt requests over loopback connections, a bounded count, every answer checked.

One thread waits for all connections at once and looks at nothing of an answer but its status and its length, because
what it spends is taken from the servers measured beside it: about 45 us for a request of 150 kB, nearly all of it the
kernel's copying, where a thread for each connection took 97. Connections are kept alive where the server allows it.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import select
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

HOST = "127.0.0.1"
CONNECTIONS = 4
_READ_SIZE_BYTES = 65_536
_TIMEOUT_SECONDS = 60.0
_HEAD = re.compile(rb"HTTP/1\.[01] (?P<status>\d{3}).*?\r\n\r\n", re.DOTALL)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class LoadError(RuntimeError):
    """A server answered with something other than 2xx, stayed silent, or closed a connection early."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load run saw: how long it took, how long each answer took, and what asking cost the processor."""

    elapsed_seconds: float
    latencies_ms: list[float]
    cpu_seconds: float

    @property
    def requests_per_second(self) -> float:
        """Answers by wall time."""
        return len(self.latencies_ms) / self.elapsed_seconds

    def requests_per_second_of_rest(self, cores: int) -> float:
        """Answers by the time that was left for the server on `cores` cores, which it shared with this generator."""
        return len(self.latencies_ms) / (self.elapsed_seconds - self.cpu_seconds / cores)


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
    with connected(port) as connection:
        return connection.exchange(request)


@contextmanager
def connected(port: int) -> Iterator[Connection]:
    """A connection for one request after the other."""
    connection = Connection(port)
    try:
        yield connection
    finally:
        connection.close()


def drive(port: int, requests: Sequence[bytes], *, count: int, connections: int = CONNECTIONS) -> Load:
    """Send `count` requests, taken in turn from `requests`, each connection one at a time.

    Raises:
        LoadError: an answer is not 2xx.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    latencies_ms = _Run(port, requests, count).latencies_ms(connections)
    return Load(time.perf_counter() - start, latencies_ms, time.process_time() - cpu_start)


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


class Connection:
    """One connection, opened when needed and again after an answer that closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._unsent = memoryview(b"")
        self._received = b""
        self._size_bytes: int | None = None

    def close(self) -> None:
        """Close it; repeating it does nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def is_open(self) -> bool:
        """Whether the last answer left it open."""
        return self._socket is not None

    @property
    def local_port(self) -> int:
        """Our end's port; the connection is opened if need be."""
        return int(self._opened().getsockname()[1])

    def fileno(self) -> int:
        """The descriptor to wait on; the connection is opened if need be."""
        return self._opened().fileno()

    def exchange(self, request: bytes) -> bytes:
        """Send one request and return the body of its answer."""
        is_sent = self.begin(request)
        while True:
            _wait_for(self, may_send=not is_sent)
            is_sent = is_sent or self.send_rest()
            answer = self.receive()
            if answer is not None:
                return answer

    def begin(self, request: bytes) -> bool:
        """Send as much of a request as the kernel takes; whether that was all."""
        self._unsent, self._received, self._size_bytes = memoryview(request), b"", None
        self._opened()
        return self.send_rest()

    def send_rest(self) -> bool:
        """Send more; whether all is sent."""
        while self._unsent:
            try:
                sent = self._opened().send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def receive(self) -> bytes | None:
        """The body once the whole answer is there, else None.

        Raises:
            LoadError: the answer is not 2xx, or ended early.
        """
        try:
            received = self._opened().recv(_READ_SIZE_BYTES)
        except BlockingIOError:
            return None
        if not received:
            raise LoadError(f"the server on port {self._port} closed the connection within an answer")
        self._received += received
        if self._size_bytes is not None and len(self._received) < self._size_bytes:
            return None
        head = _HEAD.match(self._received)
        if head is None:
            return None
        self._size_bytes = head.end() + self._content_length(head[0])
        if len(self._received) < self._size_bytes:
            return None
        return self._checked(head)

    def _checked(self, head: re.Match[bytes]) -> bytes:
        body = self._received[head.end() :]
        if _CLOSE.search(head[0]):
            self.close()
        if head["status"][:1] != b"2":
            message = f"the server on port {self._port} answered {head[0].splitlines()[0]!r}: {body[:400]!r}"
            raise LoadError(message)
        return body

    def _content_length(self, head: bytes) -> int:
        if length := _LENGTH.search(head):
            return int(length[1])
        raise LoadError(f"the server on port {self._port} answered without Content-Length: {head!r}")

    def _opened(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port), timeout=_TIMEOUT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
        return self._socket


class _Run:
    """One bounded run over several connections."""

    def __init__(self, port: int, requests: Sequence[bytes], count: int) -> None:
        self._port = port
        self._requests = requests
        self._count = count
        self._begun = 0
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._started: dict[Connection, float] = {}

    def latencies_ms(self, connections: int) -> list[float]:
        """Send everything; how long each answer took, in the order they came."""
        every = [Connection(self._port) for _ in range(connections)]
        try:
            return self._exchange_all(every)
        finally:
            self._epoll.close()
            for connection in every:
                connection.close()

    def _exchange_all(self, every: list[Connection]) -> list[float]:
        latencies_ms: list[float] = []
        for connection in every:
            self._begin_next(connection)
        while len(latencies_ms) < self._count:
            events = self._epoll.poll(_TIMEOUT_SECONDS)
            if not events:
                raise LoadError(f"the server on port {self._port} was silent for {_TIMEOUT_SECONDS:g} s")
            for descriptor, event in events:
                connection = self._connections[descriptor]
                if event & select.EPOLLOUT and connection.send_rest():
                    self._epoll.modify(descriptor, select.EPOLLIN)
                # A hang-up or an error is found by receiving.
                if event & ~select.EPOLLOUT and connection.receive() is not None:
                    latencies_ms.append((time.perf_counter() - self._started[connection]) * 1000)
                    self._begin_next(connection)
        return latencies_ms

    def _begin_next(self, connection: Connection) -> None:
        if self._begun == self._count:
            if connection.is_open:
                self._epoll.unregister(connection)
            return
        request = self._requests[self._begun % len(self._requests)]
        self._begun += 1
        self._started[connection] = time.perf_counter()
        is_known = connection.is_open
        events = select.EPOLLIN if connection.begin(request) else select.EPOLLIN | select.EPOLLOUT
        if not is_known:
            # Closing the one before took it off the list.
            self._connections[connection.fileno()] = connection
            self._epoll.register(connection, events)
        elif events & select.EPOLLOUT:
            self._epoll.modify(connection, events)


def _wait_for(connection: Connection, *, may_send: bool) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLIN | (select.POLLOUT if may_send else 0))
    if not poll.poll(_TIMEOUT_SECONDS * 1000):
        raise LoadError(f"the server was silent for {_TIMEOUT_SECONDS:g} s")


def _hold_on(cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
