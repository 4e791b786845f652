"""How far a scan is, while it runs: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from baken import cli_output as output
from baken.errors import BakenError
from baken.model import Finding
from baken.scan import Scanner
from baken.scan_pace import Remaining, duration

_LINE_SECONDS = 60.0
_COUNT_AFTER_SECONDS = 2.0
_SHOW_SECONDS = 0.5


class ScanProgress:
    """Shows files done, all that were left when it began once they are counted, and the time that is left.

    They are counted by a second walk in a thread. A scan that is over in a moment is neither counted nor shown.
    """

    def __init__(self, scanner: Scanner, should_stop: Callable[[], bool]) -> None:
        self._scanner = scanner
        self._should_stop = should_stop
        self._remaining = Remaining()
        self._total: int | None = None
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=work, name="baken-progress", daemon=True) for work in (self._count, self._tick)
        ]
        self._is_terminal = sys.stderr.isatty()
        self._line_due = time.monotonic() + _LINE_SECONDS
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TimeElapsedColumn(),
            TextColumn("left: {task.fields[left]}"),
            console=output.console(stderr=True),
            transient=True,
            disable=not self._is_terminal,
        )
        self._task = self._bar.add_task("screening", total=None, done="0 files", left="unknown")

    def __enter__(self) -> Self:
        self._bar.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._bar.stop()

    def _tick(self) -> None:
        while not self._ended.wait(_SHOW_SECONDS):
            self._show()

    def _show(self) -> None:
        done = self._scanner.done_count
        self._remaining.saw(done)
        if self._is_terminal:
            matched = self._scanner.tally.findings[Finding.MATCHED.value]
            description = f"screening, {matched:,} matched"
            left = duration(self._remaining.seconds(self._total, done))
            self._bar.update(
                self._task, completed=done, total=self._total, description=description, done=self._done(), left=left
            )
        elif time.monotonic() >= self._line_due:
            self._line_due = time.monotonic() + _LINE_SECONDS
            rate = self._remaining.files_per_second()
            words = "" if rate is None else f" at {rate:,.0f} files/s"
            output.note(f"{self._done()}{words}, left: {duration(self._remaining.seconds(self._total, done))}")

    def _done(self) -> str:
        done = self._scanner.done_count
        return f"{done:,} files" if self._total is None else f"{done:,} of {self._total:,} files"

    def _count(self) -> None:
        if self._ended.wait(_COUNT_AFTER_SECONDS):
            return
        try:
            self._total = self._scanner.remaining_count(lambda: self._ended.is_set() or self._should_stop())
        except (BakenError, OSError):
            return  # the time that is left stays unknown; the scan itself says what is wrong
