"""`catalogue`: `baken screen` on a folder of 1024 px JPEGs, as a user runs it, against its workers' decoding alone."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baken import assemble, settings
from baken.model import Fingerprint, FingerprintKind, NewEntry, Provenance, Purpose, Verdict
from baken.scan_tally import STAGES
from bench.catalogue_folder import drawn_jpegs, write_catalogue
from bench.codes import random_codes
from bench.measure import Turns
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared, plain

_GOAL_SHARE = 0.8
_GOAL_HOURS = 2.0
_PHOTOS = 3_000_000
_BATCH_ENTRIES = 10_000
_ROUNDS = 3
_EXIT_MATCHED = 10
_PLAIN = {"BAKEN_STAGE_VIEWS": "false", "BAKEN_STAGE_DESCRIPTOR": "false"}


@dataclass(frozen=True, slots=True)
class _Screened:
    """One run of the command: its own summary, the whole time by the clock, and the most memory of the main process."""

    summary: dict[str, Any]
    seconds: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        return float(self.summary["screened_count"]) / self.seconds


def _run(scale: Scale) -> Answer:
    entries = scale.pick(1_000_000, 1_000)
    growth = [scale.pick(1_000, 20), scale.pick(10_000, 40), scale.pick(100_000, 80)]
    pictures = drawn_jpegs(scale.pick(300, 4))
    with tempfile.TemporaryDirectory(prefix="baken-catalogue-") as name:
        data, folder = Path(name, "data"), Path(name, "photos")
        _fill(data, entries)
        screened: list[_Screened] = []
        write_catalogue(folder, pictures, growth[0])
        _screen(data, folder, "warm")
        turns = Turns([], [])
        for number, files in enumerate(growth):
            write_catalogue(folder, pictures, files)
            screened.append(_screen(data, folder, f"growth-{number}"))
            if number == 1:  # in turns, at a size where the start of the processes counts little
                turns = _in_turns(data, folder)
        unchanged = _screen(data, folder, f"growth-{len(growth) - 1}")
        figures = _figures(growth, screened, unchanged, turns)
    sizes = {"files": growth[-1], "drawn pictures": len(pictures), "entries": entries, "turns": _ROUNDS}
    return Answer(figures, sizes, notes=_notes())


def _notes() -> list[str]:
    return [
        "Peer: the same worker processes decode, digest and compute PDQ; nothing is searched or recorded.",
        "Ours is the whole command by the clock, its start and the taking over into the seen index included.",
        "Files differ in their last bytes; several hundred drawn pictures repeat. They are in the system's cache.",
        "Stages are summed over processes: the first three in workers, the others in the main process.",
    ]


def _fill(data: Path, entries: int) -> None:
    with assemble.initialise(settings.load({}, data_dir=data)) as baken:
        baken.store.create_bank("known", Purpose.KNOWN_ABUSE, radius_bits=31, verdict=Verdict.BLOCK, actor="bench")
        codes = random_codes(entries, seed=71)
        for first in range(0, entries, _BATCH_ENTRIES):
            batch = [
                NewEntry((Fingerprint(FingerprintKind.PDQ, code.tobytes(), 100),))
                for code in codes[first : first + _BATCH_ENTRIES]
            ]
            baken.store.add_entries("known", batch, Provenance("bench", "bench"), actor="bench")
        baken.gate.load()
        baken.keeper.settle()  # an import asks the past itself; else the first scan would


def _in_turns(data: Path, folder: Path) -> Turns:
    turns = Turns([], [])
    for number in range(_ROUNDS):
        turns.ours.append(_screen(data, folder, f"turn-{number}").rate)
        turns.peer.append(_decode_bound(folder))
    return turns


def _screen(data: Path, folder: Path, name: str) -> _Screened:
    command = [sys.executable, "-m", "baken.cli", "--data-dir", str(data), "screen", str(folder)]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--scan", name, "--json-summary"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_PLAIN},
    )
    out = process.stdout.read() if process.stdout is not None else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, _EXIT_MATCHED}:
        message = f"baken screen ended with {process.returncode}"
        raise RuntimeError(message)
    return _Screened(json.loads(out), time.perf_counter() - started, _peak_bytes(used))


def _peak_bytes(used: resource.struct_rusage) -> int:
    return used.ru_maxrss * 1024  # of the process itself; its workers are counted in themselves


def _decode_bound(folder: Path) -> float:
    command = [sys.executable, "-m", "bench.decode_bound", str(folder)]
    measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return float(measured["files"] / measured["seconds"])


def _figures(growth: list[int], screened: list[_Screened], unchanged: _Screened, turns: Turns) -> list[Figure]:
    goal = Goal(GoalKind.RATIO_AT_LEAST, _GOAL_SHARE)
    figures = [compared("screened against decoded only", "files/s", turns, goal=goal, higher_is_better=True)]
    for files, each in zip(growth, screened, strict=True):
        figures.append(plain(f"{files:,} files", "files/s", each.rate))
        figures.append(plain(f"{files:,} files, most memory of the main process", "MB", each.peak_bytes / 1e6))
    last = screened[-1]
    hours = _PHOTOS / last.rate / 3_600
    figures.append(plain("three million photos", "h", hours, goal=Goal(GoalKind.OURS_AT_MOST, _GOAL_HOURS)))
    for stage in STAGES:
        stage_ms = last.summary["stage_seconds"][stage] / growth[-1] * 1_000
        figures.append(plain(f"of a file, {stage}", "ms", stage_ms))
    taking_over = last.seconds - last.summary["elapsed_seconds"]
    figures.append(plain("of a file, start and seen index", "ms", taking_over / growth[-1] * 1_000))
    figures.append(plain("next run, nothing changed", "files/s", growth[-1] / unchanged.seconds))
    return figures


SCENARIOS = [
    Scenario(
        name="catalogue",
        question="How fast is a back catalogue of 1024 px photos screened, and where does the time go?",
        goal=f"at least {_GOAL_SHARE:.0%} of the decode-bound rate, three million photos in {_GOAL_HOURS:g} hours",
        run=_run,
        only_when_named=True,
    )
]
