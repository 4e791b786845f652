"""`python -m fuzz`: run damaged files through the decoders and say what went wrong.

Exit status 1 when a file crashed or hung a worker, took too much memory, raised, or broke a promise. Each such file is
written to the folder of findings with its number, and `--only NUMBER` runs it again in this process.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fuzz.corpus import file_number, seeds
from fuzz.driver import run
from fuzz.targets import decode


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="how many damaged files (20000)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--limit-seconds", type=float, default=20.0, help="for one file (20)")
    parser.add_argument(
        "--findings", type=Path, default=Path("build/fuzz"), help="where files at fault go (build/fuzz)"
    )
    parser.add_argument("--only", type=int, help="run this one file, here, without a worker")
    options = parser.parse_args()
    if options.only is not None:
        name, data = file_number(options.only, options.seed, seeds())
        print(f"{options.only} ({name}, {len(data)} bytes): {decode(data)}")
        return 0
    report = run(
        options.files,
        seed=options.seed,
        jobs=options.jobs,
        limit_seconds=options.limit_seconds,
        progress=print_progress,
    )
    for outcome, count in report.outcomes.most_common():
        print(f"{count:8} {outcome}")
    for number, fault in sorted(report.faults.items()):
        name, data = file_number(number, options.seed, seeds())
        options.findings.mkdir(parents=True, exist_ok=True)
        (options.findings / f"{options.seed}-{number}-{name}").write_bytes(data)
        print(f"file {number} ({name}) {fault}")
    print(f"{sum(report.outcomes.values())} files, {len(report.faults)} at fault")
    return 1 if report.faults else 0


def print_progress(done: int) -> None:
    """A line now and then."""
    if done % 1000 == 0:
        print(f"{done} files", flush=True)


if __name__ == "__main__":
    sys.exit(main())
