"""`python -m bench [SCENARIO...]`: run scenarios, keep their results, and keep the documentation equal to them."""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.built import shared_by_processes
from bench.examples import stale_sheets, write_sheets
from bench.machine import describe_machine
from bench.report import lines_of, stale_docs, write_docs
from bench.results import newest_results, result_of, write_result
from bench.scenario import Scale, Scenario
from bench.scenarios import find_scenarios
from bench.tables import stale_tables, table_lines, write_tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 when everything ran, 1 otherwise. A missed goal is printed, not an exit code."""
    scenarios = {scenario.name: scenario for scenario in find_scenarios()}
    options = _parser(sorted(scenarios)).parse_args(arguments)
    if options.list:
        return _list(list(scenarios.values()))
    if options.check_docs:
        return _check_docs()
    if options.write_docs:
        _write_docs()
        return 0
    names = options.scenario or [name for name, scenario in scenarios.items() if not scenario.only_when_named]
    if len(names) == 1:
        return _run(scenarios[names[0]], Scale(quick=options.quick))
    return _run_each(names, quick=options.quick)


def _parser(names: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    meaning = "all but the largest when none is named"
    parser.add_argument("scenario", nargs="*", choices=[*names, []], help=meaning, metavar="SCENARIO")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: proves that it runs, keeps no result")
    parser.add_argument("--list", action="store_true", help="print the scenarios with their goals")
    parser.add_argument(
        "--check-docs", action="store_true", help="fail unless the documentation has the newest results"
    )
    parser.add_argument("--write-docs", action="store_true", help="put the newest results into the documentation")
    return parser


def _list(scenarios: list[Scenario]) -> int:
    for scenario in scenarios:
        print(f"{scenario.name:18} {scenario.question}\n{'':18} goal: {scenario.goal}")
    return 0


def _check_docs() -> int:
    stale = [*stale_docs(newest_results()), *stale_tables(newest_results()), *stale_sheets()]
    for path in stale:
        print(f"{path} does not show the newest files of bench/results: run `make bench ARGS=--write-docs`")
    return 1 if stale else 0


def _write_docs() -> None:
    write_docs(newest_results())
    write_tables(newest_results())
    write_sheets()


def _run(scenario: Scenario, scale: Scale) -> int:
    answer = scenario.run(scale)
    result = result_of(scenario, answer, machine=describe_machine(), baken=_version(), now=datetime.now(UTC))
    print("\n".join([*lines_of(result), *table_lines(result.tables)]), flush=True)
    if scale.quick:
        print("  quick sizes: the figures and the goals mean nothing, and no result is kept", flush=True)
    else:
        write_result(result)
        _write_docs()
    return 0


def _run_each(names: list[str], *, quick: bool) -> int:
    # A process each: ten million codes of one scenario must not sit in the caches and the memory of the next.
    command = [sys.executable, "-m", "bench"]
    options = ["--quick"] if quick else []
    with shared_by_processes():
        codes = [subprocess.run([*command, name, *options], check=False).returncode for name in names]
    failed = [name for name, code in zip(names, codes, strict=True) if code != 0]
    if failed:
        print(f"did not run to the end: {', '.join(failed)}")
    return 1 if failed else 0


def _version() -> str | None:
    try:
        return importlib.metadata.version("baken")
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
