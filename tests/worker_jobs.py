"""Jobs for worker processes under test: some answer, some crash, hang or raise. Workers import this module."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from baken.scan import Measured, Passed, ScanJob
from baken.scan_steps import Handed, Step
from baken.workers import FileFingerprinter, FileResult


def process_id(item: int) -> tuple[int, int]:
    return item, os.getpid()


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


class CrashingFingerprinter(FileFingerprinter):
    """Dies of a segmentation fault on files whose name says so, as a decoder with a bug would."""

    def __call__(self, path: str) -> FileResult:
        """Fingerprint a file, or crash."""
        if "crash" in Path(path).name:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().__call__(path)


class RaisingFingerprinter(FileFingerprinter):
    """Raises what quotes a file name that no database can store."""

    def __call__(self, path: str) -> FileResult:
        """Fingerprint a file, or raise."""
        if "crash" in Path(path).name:
            message = "cannot decode 'caf\udce9.jpg\0'"
            raise ValueError(message)
        return super().__call__(path)


class CrashingScanJob(ScanJob):
    """Dies of a segmentation fault on files whose name says so, as a decoder with a bug would."""

    def __call__(self, handed: Handed | Step) -> Measured | Passed:
        """Fingerprint a file, or crash."""
        if isinstance(handed.content, str) and "crash" in Path(handed.content).name:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().__call__(handed)


class RaisingScanJob(ScanJob):
    """Raises what quotes a file name that no database can store."""

    def __call__(self, handed: Handed | Step) -> Measured | Passed:
        """Fingerprint a file, or raise."""
        if isinstance(handed.content, str) and "crash" in Path(handed.content).name:
            message = "cannot decode 'caf\udce9.jpg\0'"
            raise ValueError(message)
        return super().__call__(handed)


class UnstartableJob:
    """Cannot be unpickled by a worker."""

    def __reduce__(self) -> tuple[object, ...]:
        return (sys.exit, (7,))

    def __call__(self, item: int) -> int:
        """Never reached."""
        return item
