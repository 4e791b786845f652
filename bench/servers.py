"""Servers as real processes on loopback: started, waited for, stopped."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import LoadError, ask
from bench.measure import pinned

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and the body of its first answer to the probe."""

    port: int
    pid: int
    first_answer: bytes

    def cpu_seconds(self) -> float:
        """The processor time it has used so far, with the worker processes it started."""
        return sum(_cpu_seconds(pid) for pid in (self.pid, *_children(self.pid)))


class ServerError(RuntimeError):
    """A server ended or stayed silent before it answered, or lacks a connection; the message says what it printed."""


@contextmanager
def serving(
    command: Sequence[str],
    *,
    probe: bytes,
    cores: set[int],
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 300,
) -> Iterator[Server]:
    """Run a server, yield it once it answered `probe` with 2xx, and stop it afterwards.

    The server must print its address, `http://127.0.0.1:PORT`. It inherits this process's environment unless it is
    given one.

    Raises:
        ServerError: it ended, or gave no 2xx answer in time.
    """
    with tempfile.NamedTemporaryFile(prefix="baken-bench-", suffix=".log") as log:
        with pinned(cores):
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=None if environment is None else dict(environment)
            )
        try:
            yield _wait_until_answering(process, Path(log.name), probe, timeout_seconds)
        finally:
            process.terminate()
            process.wait(timeout=60)


def worker_of(server: Server, local_port: int) -> int:
    """The process of a server that answers the connection whose end with us has this port.

    Raises:
        ServerError: none of its processes has it.
    """
    wanted = f"socket:[{_inode_of(server.port, local_port)}]"
    for pid in (*_children(server.pid), server.pid):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            if _link_of(descriptor) == wanted:
                return pid
    raise ServerError(f"no process of server {server.pid} has the connection from port {local_port}")


def _inode_of(port: int, remote_port: int) -> int:
    """Of the socket on 127.0.0.1 between two ports; see proc(5), /proc/net/tcp."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if (fields[1][-4:], fields[2][-4:]) == (f"{port:04X}", f"{remote_port:04X}"):
            return int(fields[9])
    raise ServerError(f"there is no connection between the ports {port} and {remote_port}")


def _link_of(descriptor: Path) -> str | None:
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - what it names is no path
    except FileNotFoundError:
        return None  # closed meanwhile


def _wait_until_answering(process: subprocess.Popen[bytes], log: Path, probe: bytes, timeout_seconds: float) -> Server:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and process.poll() is None:
        address = _ADDRESS.search(log.read_text(encoding="utf-8", errors="replace"))
        answer = _answer(int(address.group(1)), probe) if address else None
        if address and answer is not None:
            return Server(int(address.group(1)), process.pid, answer)
        time.sleep(_POLL_SECONDS)
    printed = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    waited = f"within {timeout_seconds:g} s (exit status {process.poll()})"
    message = f"{process.args!r} gave no 2xx answer {waited}; it printed:\n{printed}"
    raise ServerError(message)


def _answer(port: int, probe: bytes) -> bytes | None:
    try:
        return ask(port, probe)
    except (LoadError, OSError):
        return None


def _children(pid: int) -> list[int]:
    # The processes that decode are children of the thread that started them.
    lists = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    children = [int(child) for listed in lists for child in listed.read_text(encoding="ascii").split()]
    return [*children, *(grandchild for child in children for grandchild in _children(child))]


def _cpu_seconds(pid: int) -> float:
    # The second field, the command's name in brackets, may hold spaces; user and system ticks are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
