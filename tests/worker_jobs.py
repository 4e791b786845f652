"""Jobs for worker processes under test: some answer, some crash, hang or raise. Workers import this module."""

from __future__ import annotations

import os
import signal
import sys
import time

from baken.workers import FileFingerprinter, FileResult, FileSource


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
