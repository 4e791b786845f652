"""What a worker process and the process that asks it say to each other."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

REQUEST = struct.Struct("<dIIQ?")
"""Processor seconds, then the sizes of the pickled job, of the pickled item, and of an item that is bytes; and whether
the item is an open file, whose descriptor comes with these bytes."""

ANSWER = struct.Struct("<BQ")
"""What kind of answer, and its size."""

LOADED, RESULT, RAISED, OUT_OF_MEMORY = range(4)
"""Kinds of answers: ready, or a job is; a result; what the job raised; too little memory."""

MOST_JOBS = 8
"""So many jobs a worker keeps. A server has a few: items for screening, pictures for banks, previews of each level."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told before anything else.

    Attributes:
        path: where its modules lie.
        memory_bytes: how much more address space it may take than it has once it is ready.
        readable: files and folders that it may read beside those of Python and of the system.
        reads_everything: whether it may read whatever this user may.
        imports: modules that it needs and that may not be installed, imported before rights are given up.
    """

    path: tuple[str, ...]
    memory_bytes: int
    readable: tuple[str, ...] = ()
    reads_everything: bool = False
    imports: tuple[str, ...] = ()


def make_room(jobs: set[bytes] | dict[bytes, Any]) -> None:
    """Forget all jobs before one more than a worker keeps is loaded.

    The worker and who asks it both call this at the same request: a job that one of them alone remembers shifts every
    answer that follows.
    """
    if len(jobs) >= MOST_JOBS:
        jobs.clear()
