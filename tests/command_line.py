"""The command line for tests: in this process for most, as a real process for a few."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2
from typing import Any

import pytest

from baken import cli


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command printed
        """Stdout as one document."""
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        """Stdout as one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """`baken` on one data folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
        self._capsys = capsys
        self.data_dir = data_dir

    def __call__(self, *arguments: str | Path) -> Ended:
        """Run a command in this process."""
        self._capsys.readouterr()
        exit_code = cli.main(["--data-dir", str(self.data_dir), *map(str, arguments)])
        printed = self._capsys.readouterr()
        return Ended(exit_code, printed.out, printed.err)

    def ok(self, *arguments: str | Path) -> Ended:
        """Run a command that must succeed."""
        ended = self(*arguments)
        assert ended.exit_code == 0, ended.err
        return ended


def initialised(capsys: pytest.CaptureFixture[str], data_dir: Path, sqlite_file: Path) -> Command:
    """`baken` on a data folder as `baken init` leaves it, of which `sqlite_file` is a part; see `conftest.py`."""
    data_dir.mkdir(mode=0o700, parents=True)
    copy2(sqlite_file, data_dir)
    return Command(capsys, data_dir)


def process(*arguments: str | Path, module: str = "baken.cli") -> subprocess.Popen[str]:
    """A module's command line as a process of its own, with pipes for its output."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
