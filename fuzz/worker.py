"""A process that runs damaged files through a target, one after another, and says what became of each.

`python -m fuzz.worker SEEDS TARGET SEED FIRST STOP STEP`: SEEDS is of `write_seeds`, TARGET is `module:function`.
A line for each file on stdout.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path

from fuzz.corpus import file_number, read_seeds

MAX_ADDRESS_SPACE_BYTES = 6 << 30
MAX_GROWTH_BYTES = 160 << 20
"""More resident memory than before, at the peak of one file. The largest picture of `fuzz.targets` takes 48 MB."""


def main() -> None:
    """Run the files `FIRST`, `FIRST + STEP`, ... below `STOP`."""
    files = read_seeds(Path(sys.argv[1]))
    module, _, function = sys.argv[2].partition(":")
    target = getattr(importlib.import_module(module), function)
    seed, first, stop, step = map(int, sys.argv[3:7])
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target(file_number(first, seed, files)[1][:16])  # so that what libraries take once is not counted
    say("ready")
    for number in range(first, stop, step):
        _, data = file_number(number, seed, files)
        before = forget_peak()
        try:
            outcome = target(data)
        except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
            outcome = f"raised {type(error).__name__}: {error}"
        grown = peak_bytes() - before
        say(outcome if grown <= MAX_GROWTH_BYTES else f"took {grown >> 20} MiB")


def forget_peak() -> int:
    """Let the peak of resident memory start from now; what is resident now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """The most resident memory since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024


def say(outcome: str) -> None:
    """One line for the driver."""
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
