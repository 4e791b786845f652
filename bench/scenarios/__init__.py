"""The scenarios: every module here with a `SCENARIOS` list is found and can be named on the command line."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from bench.scenario import Scenario


def find_scenarios() -> Iterator[Scenario]:
    """Every scenario, in the order of the module names."""
    for module in pkgutil.iter_modules(__path__):
        yield from importlib.import_module(f"{__name__}.{module.name}").SCENARIOS
