"""What several scenarios need and takes long to build: built once a run, in a folder that the run's processes share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from baken._native import IndexFolder
from bench.codes import Codes, random_codes

SHARED_VARIABLE = "BAKEN_BENCH_BUILT"
DATABASE_ID = "bench"
_CHUNK_CODES = 100_000
"""How many codes Baken itself adds at once when it builds an index from the database."""


@contextmanager
def shared_by_processes() -> Iterator[None]:
    """Let the processes started in this block share what they build; it is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="baken-bench-") as name:
        os.environ[SHARED_VARIABLE] = name
        try:
            yield
        finally:
            del os.environ[SHARED_VARIABLE]


@contextmanager
def built(name: str, build: Callable[[Path], None]) -> Iterator[Path]:
    """The folder that `build` fills, by an earlier scenario of this run if one did; copy it rather than change it."""
    with ExitStack() as stack:
        shared = os.environ.get(SHARED_VARIABLE) or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="baken-bench-")
        )
        path = Path(shared) / name
        if not path.exists():
            unfinished = path.with_name(f"{name}.unfinished")
            unfinished.mkdir()
            build(unfinished)
            unfinished.rename(path)
        yield path


@contextmanager
def index_folder(size: int) -> Iterator[Path]:
    """An index on disk of `codes_of_index(size)`, row numbers as ids, no merge due."""
    with built(f"index-{size}", lambda path: _fill(path, codes_of_index(size))) as path:
        yield path


def codes_of_index(size: int) -> Codes:
    """The codes that the scenarios of this size look through, uint8[size, 32]."""
    return random_codes(size, seed=size)


def _fill(path: Path, codes: Codes) -> None:
    index = IndexFolder(str(path), DATABASE_ID, reset=True)
    ids = np.arange(len(codes), dtype=np.int64)
    for first in range(0, len(codes), _CHUNK_CODES):
        rows = slice(first, first + _CHUNK_CODES)
        index.add(codes[rows], ids[rows], sync=False)
    index.merge()
    index.close()
