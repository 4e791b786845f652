"""Targets with every fault that the driver of the fuzzing must notice."""

from __future__ import annotations

import os
import time

_calls = 0


def fault(data: bytes) -> str:
    """The first call only warms up; the calls after it crash, hang, raise, take memory and go well, in this order."""
    global _calls  # noqa: PLW0603 - the process counts its own files
    _calls += 1
    match (os.environ.get("FAULT"), _calls):
        case ("crash", 3):
            os.abort()
        case ("hang", 3):
            time.sleep(600)
        case ("raise", 3):
            raise LookupError(str(len(data)))
        case ("memory", 3):
            return str(len(bytearray(os.urandom(1)) * (400 << 20)))
    return "fine"
