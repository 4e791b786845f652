"""Where a measurement was taken."""

from __future__ import annotations

import importlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of a run: `cores` is how many this process may use."""

    cpu: str
    cores: int
    memory_gib: int
    instruction_path: str | None
    python: str
    system: str


def describe_machine() -> Machine:
    """The machine this process runs on."""
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        instruction_path=_instruction_path(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
    )


def server_cores() -> set[int]:
    """The core a one-worker server is held on."""
    return {min(os.sched_getaffinity(0))}


def client_cores() -> set[int]:
    """The cores left for the load generator: all but the server's, or the same one where there is only one."""
    return os.sched_getaffinity(0) - server_cores() or server_cores()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _instruction_path() -> str | None:
    try:
        native = importlib.import_module("baken._native")
    except ModuleNotFoundError:
        return None
    return str(native.instruction_path())
