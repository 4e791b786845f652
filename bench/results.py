"""Result files: one JSON document a scenario and day, written here and read by the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.machine import Machine
from bench.scenario import Answer, Figure, Scenario, Table

RESULTS_FOLDER = Path(__file__).parent / "results"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one scenario, as kept. `met` is None when no goal could be judged here."""

    schema_version: int
    scenario: str
    question: str
    goal: str
    date: str
    machine: Machine
    baken: str | None
    peers: dict[str, str]
    sizes: dict[str, int]
    figures: list[Figure]
    notes: list[str]
    met: bool | None
    tables: list[Table] = field(default_factory=list)


def result_of(scenario: Scenario, answer: Answer, *, machine: Machine, baken: str | None, now: datetime) -> Result:
    """The record of one run."""
    return Result(
        schema_version=SCHEMA_VERSION,
        scenario=scenario.name,
        question=scenario.question,
        goal=scenario.goal,
        date=now.astimezone(UTC).date().isoformat(),
        machine=machine,
        baken=baken,
        peers=answer.peers,
        sizes=answer.sizes,
        figures=answer.figures,
        notes=answer.notes,
        met=_all_met(answer.figures),
        tables=answer.tables,
    )


def write_result(result: Result, folder: Path = RESULTS_FOLDER) -> Path:
    """Keep a result; a second run of the same scenario on the same day replaces the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.date}-{result.scenario}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return path


def read_result(path: Path) -> Result:
    """Read one result file.

    Raises:
        msgspec.ValidationError: the file is not of this schema.
    """
    return msgspec.json.decode(path.read_bytes(), type=Result)


def newest_results(folder: Path = RESULTS_FOLDER) -> list[Result]:
    """The newest result of each scenario, by scenario name."""
    newest: dict[str, Path] = {}
    for path in sorted(folder.glob("*.json")):
        if name := re.fullmatch(r"\d{4}-\d{2}-\d{2}-(.+)", path.stem):
            newest[name.group(1)] = path
    return [read_result(newest[name]) for name in sorted(newest)]


def _all_met(figures: list[Figure]) -> bool | None:
    judged = [figure.met for figure in figures if figure.goal is not None]
    if not judged or None in judged:
        return False if False in judged else None
    return all(judged)
