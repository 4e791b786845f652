"""Jobs for worker processes under test: some answer, some crash, hang or raise. Workers import this module."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from baken import images
from baken.copies import WHOLE_VIEW, QueryViews
from baken.model import Fingerprints, Unscreenable
from baken.workers import FileFingerprinter, FileResult, FileSource


def process_id(item: int) -> tuple[int, int]:
    return item, os.getpid()


def size_and_process_id(item: bytes) -> tuple[int, int]:
    return len(item), os.getpid()


def slow_first(item: int) -> int:
    if item == 0:
        time.sleep(0.5)
    return item


def crash_on_13(item: int) -> int:
    if item == 13:
        os.kill(os.getpid(), signal.SIGSEGV)
    return item


def exit_on_13(item: int) -> int:
    if item == 13:
        sys.exit(3)
    return item


def hang_on_13(item: int) -> int:
    if item == 13:
        time.sleep(600)
    return item


def raise_on_13(item: int) -> int:
    if item == 13:
        message = "thirteen"
        raise ValueError(message)
    return item


class SlowToStart:
    """Takes a second to arrive in a worker, as imports do on a busy machine."""

    def __setstate__(self, state: object) -> None:
        """Be received."""
        time.sleep(1)

    def __getstate__(self) -> object:
        """Be sent."""
        return True

    def __call__(self, item: int) -> int:
        """Answer at once."""
        return item


@dataclass(frozen=True)
class Adding:
    """A job of which there are as many as there are numbers."""

    number: int

    def __call__(self, item: int) -> int:
        """Add."""
        return item + self.number


CRASH = b"this file crashes its decoder"
HANG = b"this file keeps its decoder busy"


class CrashingFingerprinter(FileFingerprinter):
    """Dies of a segmentation fault on one file, and hangs on another, as a decoder with a bug would."""

    def __call__(self, source: FileSource) -> FileResult:
        """Fingerprint a file, crash or hang."""
        if source == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        if source == HANG:
            time.sleep(600)
        return super().__call__(source)


class RaisingFingerprinter(FileFingerprinter):
    """Raises what quotes a file name that no database can store."""

    def __call__(self, source: FileSource) -> FileResult:
        """Fingerprint a file, or raise."""
        if source == CRASH:
            message = "cannot decode 'caf\udce9.jpg\0'"
            raise ValueError(message)
        return super().__call__(source)


class UnstartableJob:
    """Cannot be unpickled by a worker."""

    def __reduce__(self) -> tuple[object, ...]:
        return (sys.exit, (7,))

    def __call__(self, item: int) -> int:
        """Never reached."""
        return item


ESCAPED = Path("/baken-escaped")


def attempt(what: str) -> str:
    """Try something that no decoder needs; what became of it, in words."""
    try:
        return str(ATTEMPTS[what]())
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")[:1000]


def _send_signal_to_parent() -> None:
    os.kill(os.getppid(), signal.SIGTERM)


def _raise_limits_of_parent() -> None:
    resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))


def _ptrace() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return 0


ATTEMPTS: dict[str, Callable[[], object]] = {
    "internet": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "fork": os.fork,
    "program": lambda: subprocess.run(["/bin/true"], check=True),
    "exec": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - it must fail
    "make a file": ESCAPED.touch,
    "write a file": lambda: Path("/dev/null").write_bytes(b""),
    "make a folder": ESCAPED.mkdir,
    "remove a file": ESCAPED.unlink,
    "rename a file": lambda: Path("/baken").rename(ESCAPED),
    "link a file": lambda: ESCAPED.symlink_to("/"),
    "change a mode": lambda: Path("/").chmod(0o700),
    "memory file": lambda: os.memfd_create("escaped"),
    "signal to the parent": _send_signal_to_parent,
    "limits of the parent": _raise_limits_of_parent,
    "memory of the parent": _ptrace,
    "passwords": lambda: _read("/etc/passwd"),
    "environment of the parent": lambda: _read(f"/proc/{os.getppid()}/environ"),
}


def read_and_try_to_write(file: BinaryIO) -> tuple[bytes, str, bool]:
    """A file that was handed over: its content, what becomes of writing to it, and whether another is there."""
    content = file.read()
    try:
        os.write(file.fileno(), b"escaped")
        outcome = "written"
    except OSError as error:
        outcome = errno.errorcode[error.errno or 0]
    return content, outcome, bool(os.read(file.fileno(), 1))


def pid_with_memory(item: object, size_bytes: int) -> int:
    """The worker's process, once it has had so much memory."""
    del item
    return os.getpid() if bytearray(size_bytes) else 0


def crash_with_file(file: BinaryIO) -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return file.fileno()


def environment(item: str) -> dict[str, str]:
    del item
    return dict(os.environ)


def limits(item: str) -> dict[str, int]:
    del item
    names = ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE")
    return {name: resource.getrlimit(getattr(resource, name))[1] for name in names}


def threads(item: int) -> int:
    """Libraries decode in threads of their own."""
    found: list[int] = []
    started = [threading.Thread(target=found.append, args=(item,)) for _ in range(3)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return sum(found)


def take_memory(size_bytes: int) -> int:
    return len(bytearray(size_bytes))


def hold_memory(size_bytes: int) -> int:
    """A leak: what is taken is never given back."""
    _LEAKED.append(bytearray(os.urandom(1)) * size_bytes)
    return os.getpid()


_LEAKED: list[bytearray] = []


def spin(item: int) -> int:
    while item:
        pass
    return item


def sleep_on_0(item: int) -> int:
    if item == 0:
        time.sleep(600)
    return os.getpid()


def give_nonsense(item: int) -> bytes:
    return item  # type: ignore[return-value]  # as a worker that was taken over may


def plain_answer(item: bytes) -> FileResult:
    """All that a result may hold."""
    views = QueryViews((WHOLE_VIEW,), np.arange(256, dtype=np.uint8).reshape(1, 8, 32))
    luma = np.frombuffer(item, np.uint8).reshape(2, -1)
    found = Fingerprints(b"1", b"2", b"3", None, None, None, query_views=views, working_luma=luma)
    return FileResult(found, 1.5)


def sampled_frames(data: bytes) -> tuple[int, bool, int]:
    """How many frames a file has, whether all of them were counted, and how many of a sample of eight there are."""
    frames = images.read_frames(data)
    if isinstance(frames, Unscreenable):
        return 0, False, 0
    return frames.count, frames.is_complete, sum(1 for _ in frames.sample(8))
