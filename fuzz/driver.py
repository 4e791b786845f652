"""Runs damaged files in worker processes, and notices what no worker could tell: that it crashed, or hangs."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.corpus import write_seeds

ROOT = Path(__file__).parent.parent
_FAULTS = ("raised ", "took ", "hangs ", "crashed ")
_READY = "ready"
_START_SECONDS = 120.0


@dataclass
class Report:
    """What became of the files: outcomes and how often, and the number and fault of each that is one."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)

    def add(self, number: int, outcome: str) -> None:
        """Count one file."""
        if outcome.startswith(_FAULTS):
            self.faults[number] = outcome
        self.outcomes[outcome.split(" ", maxsplit=1)[0]] += 1


def run(
    files: int,
    *,
    seed: int = 1,
    jobs: int = 2,
    target: str = "fuzz.targets:decode",
    limit_seconds: float = 20.0,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Run files 0 to `files` - 1 of `seed` through a target, in `jobs` processes at a time.

    Args:
        files: how many.
        seed: which files.
        jobs: processes.
        target: `module:function`; it takes the bytes and returns a word, or raises.
        limit_seconds: a file that takes longer is a fault; its worker is ended and another goes on with the next file.
        progress: told the number of files done.
    """
    report, lock = Report(), threading.Lock()

    def note(number: int, outcome: str) -> None:
        with lock:
            report.add(number, outcome)
            progress(sum(report.outcomes.values()))

    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "seeds.zip"
        write_seeds(archive)
        command = [sys.executable, "-m", "fuzz.worker", str(archive), target, str(seed)]
        shares = [_Share(command, job, files, jobs, limit_seconds, note) for job in range(jobs)]
        threads = [threading.Thread(target=share.run) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return report


@dataclass
class _Share:
    """Every `step`th file from `number` on, in one worker after another."""

    command: list[str]
    number: int
    files: int
    step: int
    limit_seconds: float
    note: Callable[[int, str], None]

    def run(self) -> None:
        while self.number < self.files:
            self._run_worker()

    def _run_worker(self) -> None:
        """One worker's life, which a fault ends; files that are done are counted."""
        command = [*self.command, str(self.number), str(self.files), str(self.step)]
        worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(worker, lines))
        reader.start()
        limit_seconds = _START_SECONDS
        try:
            while (line := lines.get(timeout=limit_seconds)) is not None:
                outcome = json.loads(line)
                if outcome != _READY:
                    self._done(outcome)
                limit_seconds = self.limit_seconds
            code = worker.wait()
            if self.number < self.files:
                self._done(f"crashed with status {code}")
        except queue.Empty:
            self._done(f"hangs for more than {limit_seconds:g} seconds")
        finally:
            worker.kill()
            worker.wait()
            reader.join()

    def _done(self, outcome: str) -> None:
        self.note(self.number, outcome)
        self.number += self.step


def _read(worker: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert worker.stdout is not None
    with worker.stdout:
        for line in worker.stdout:
            lines.put(line)
    lines.put(None)
