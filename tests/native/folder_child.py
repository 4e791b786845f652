"""Runs in a process of its own: answers searches over standard input and output, or writes and is killed."""

from __future__ import annotations

import json
import os
import signal
import sys

import numpy as np

from baken import _native


def answer(path: str) -> None:
    index = _native.IndexFolder(path, "a database")
    for line in sys.stdin:
        code = np.frombuffer(bytes.fromhex(line.strip()), np.uint8).reshape(1, 32)
        _, ids, _ = index.search(code, 0)
        print(json.dumps([ids.tolist(), index.applied_seq]), flush=True)  # noqa: T201 - its parent reads it


def add_and_die(path: str) -> None:
    index = _native.IndexFolder(path, "a database")
    index.replace(np.empty(0, np.int64), np.full((1, 32), 7, np.uint8), np.array([7]), 7, sync=False)
    os.kill(os.getpid(), signal.SIGKILL)


def search_beside(path: str) -> None:
    """Search for what a line names and answer how often each code was found, until the input ends."""
    index = _native.IndexFolder(path, "a database")
    for line in sys.stdin:
        codes = np.frombuffer(bytes.fromhex(line.strip()), np.uint8).reshape(-1, 32)
        found = index.search_nearest(codes, 0, 5)
        print(json.dumps([found.match_count.tolist(), found.query_row.tolist(), found.id.tolist()]), flush=True)  # noqa: T201


if __name__ == "__main__":
    {"answer": answer, "add_and_die": add_and_die, "search_beside": search_beside}[sys.argv[1]](sys.argv[2])
