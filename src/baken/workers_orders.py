"""What a worker process and the process that asks it say to each other."""

from __future__ import annotations

import struct
from dataclasses import dataclass

REQUEST = struct.Struct("<dIIQ?")
"""Processor seconds, then the sizes of the pickled job, of the pickled item, and of an item that is bytes; and whether
the item is an open file, whose descriptor comes with these bytes."""

ANSWER = struct.Struct("<BQ")
"""What kind of answer, and its size."""

LOADED, RESULT, RAISED, OUT_OF_MEMORY = range(4)
"""Kinds of answers: ready, or a job is; a result; what the job raised; too little memory."""


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
