"""One more process that reads an index on disk: `python -m bench.reader FOLDER QUERIES.npy` prints what it took."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from baken._native import IndexFolder
from baken.model import DEFAULT_RADIUS_BITS
from bench.built import DATABASE_ID


class Reading(msgspec.Struct, frozen=True):
    """What a reader needed.

    Attributes:
        open_seconds: to open the index.
        first_seconds: for its first lookup.
        matches: how many it found for all queries.
        private_bytes: memory of the whole process that no other process shares, after all queries.
        private_growth_bytes: by how much that grew since before the index was opened.
    """

    open_seconds: float
    first_seconds: float
    matches: int
    private_bytes: int
    private_growth_bytes: int


def read(folder: str, queries_path: str) -> Reading:
    """Open an index and look up every query, uint8[Q, 32], one by one."""
    queries = np.load(queries_path)
    before_bytes = private_bytes()
    start = time.perf_counter()
    index = IndexFolder(folder, DATABASE_ID)
    opened = time.perf_counter()
    index.search(queries[:1], DEFAULT_RADIUS_BITS)
    first = time.perf_counter()
    matches = sum(len(index.search(queries[row : row + 1], DEFAULT_RADIUS_BITS)[0]) for row in range(len(queries)))
    after_bytes = private_bytes()
    return Reading(opened - start, first - opened, matches, after_bytes, after_bytes - before_bytes)


def private_bytes() -> int:
    """Memory of this process that it shares with no other one: pages it wrote, and pages only it has mapped."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


if __name__ == "__main__":
    print(msgspec.json.encode(read(sys.argv[1], sys.argv[2])).decode())
