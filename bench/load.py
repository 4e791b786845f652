"""HTTP load: prebuilt requests over loopback connections, a bounded count, every answer's status and length checked.

The load is sent by a small native program (`native/load.cpp`), because what sending costs is taken from the servers
measured beside it: on two busy cores 65 us a request of 150 kB, where one thread of Python needed 135 and a thread for
each connection 170. Connections are kept alive where the server allows it.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import pinned

HOST = "127.0.0.1"
CONNECTIONS = 4
_READ_SIZE_BYTES = 65_536
_TIMEOUT_SECONDS = 60.0
_SOURCE = Path(__file__).parent / "native" / "load.cpp"
_PROGRAM = Path(__file__).parent.parent / "build" / "bench" / "load"
_STATUS = re.compile(rb"HTTP/1\.[01] 2\d\d")
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


def drive(
    port: int,
    requests: Sequence[bytes],
    *,
    count: int,
    connections: int = CONNECTIONS,
    cores: set[int] | None = None,
) -> Load:
    """Send `count` requests, taken in turn from `requests`, each connection one at a time, from a process of its own.

    Args:
        port: of the server, on this machine.
        requests: the bytes of each.
        count: how many to send.
        connections: how many to keep busy.
        cores: the generator is held on these; on any by default.

    Raises:
        LoadError: an answer is not 2xx.
    """
    command = [_built_program(), str(port), str(count), str(connections)]
    given = b"".join(struct.pack("=Q", len(request)) + request for request in requests)
    with pinned(cores or os.sched_getaffinity(0)):
        done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode != 0:
        message = f"the server on port {port} {done.stderr.decode('utf-8', 'replace').strip()}"
        raise LoadError(message)
    elapsed_ns, cpu_ns, *latencies_ns = map(int, done.stdout.split())
    return Load(elapsed_ns / 1e9, [each / 1e6 for each in latencies_ns], cpu_ns / 1e9)


def _built_program() -> str:
    """The path of the load generator, compiled when its source is newer; processes may do so at once."""
    if not _PROGRAM.exists() or _PROGRAM.stat().st_mtime < _SOURCE.stat().st_mtime:
        _PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_PROGRAM.parent) as folder:
            compiled = Path(folder) / "load"
            options = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror"]
            subprocess.run([os.environ.get("CXX", "g++"), *options, "-o", compiled, _SOURCE], check=True)
            compiled.rename(_PROGRAM)
    return str(_PROGRAM)


def ask(port: int, request: bytes) -> bytes:
    """The body of one answer.

    Raises:
        LoadError: the answer is not 2xx.
    """
    connection = Connection(port)
    try:
        return connection.exchange(request)
    finally:
        connection.close()


class Connection:
    """One connection for one request after the other; opened when needed, and again after an answer that closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Close it; repeating it does nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def local_port(self) -> int:
        """Our end's port; the connection is opened if need be."""
        return int(self._opened().getsockname()[1])

    def exchange(self, request: bytes) -> bytes:
        """Send one request and return the body of its answer.

        Raises:
            LoadError: the answer is not 2xx.
        """
        connected = self._opened()
        connected.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive(connected)
        head, body = received[:end], received[end + 4 :]
        size_bytes = self._content_length(head)
        while len(body) < size_bytes:
            body += self._receive(connected)
        if _CLOSE.search(head):
            self.close()
        if not _STATUS.match(head):
            message = f"the server on port {self._port} answered {head.splitlines()[0]!r}: {body[:400]!r}"
            raise LoadError(message)
        return body

    def _opened(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port), timeout=_TIMEOUT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _receive(self, connected: socket.socket) -> bytes:
        received = connected.recv(_READ_SIZE_BYTES)
        if not received:
            message = f"the server on port {self._port} closed the connection within an answer"
            raise LoadError(message)
        return received

    def _content_length(self, head: bytes) -> int:
        if length := _LENGTH.search(head):
            return int(length[1])
        message = f"the server on port {self._port} answered without Content-Length: {head!r}"
        raise LoadError(message)
