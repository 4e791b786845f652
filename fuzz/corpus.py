"""The files that are damaged: those of the tests, in every format, mode and variant, small."""

from __future__ import annotations

import random
import sys
import zipfile
from functools import cache
from pathlib import Path

from fuzz.mutations import mutated

_MAX_SEED_BYTES = 1 << 18


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    """Name and content of each undamaged file, sorted by name, so that numbers mean the same everywhere."""
    folder = str(Path(__file__).parent.parent / "tests")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from fuzz import seed_files  # noqa: PLC0415 - it needs the tests' modules, and workers need none of it

    return tuple(sorted((name, data) for name, data in seed_files.all_files() if 0 < len(data) <= _MAX_SEED_BYTES))


def write_seeds(path: Path) -> None:
    """Keep the seed files for workers, which would take seconds to make them again."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in seeds():
            archive.writestr(name, data)


def read_seeds(path: Path) -> tuple[tuple[str, bytes], ...]:
    """What `write_seeds` kept."""
    with zipfile.ZipFile(path) as archive:
        return tuple((name, archive.read(name)) for name in archive.namelist())


def file_number(number: int, seed: int, files: tuple[tuple[str, bytes], ...]) -> tuple[str, bytes]:
    """The damaged file of that number: which of `files` it was, and its bytes. The same for the same arguments."""
    rng = random.Random(f"{seed}:{number}")
    name, data = files[number % len(files)]
    return name, mutated(data, rng, rng.choice(files)[1])
