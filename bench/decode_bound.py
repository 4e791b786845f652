"""`python -m bench.decode_bound FOLDER`: the same worker processes on the same files; nothing is done with answers.

Prints one JSON object: files, and seconds from the first answer to the last.
"""

from __future__ import annotations

import json
import sys
import time

from baken.scan import ScanJob
from baken.scan_pace import Pacer
from baken.scan_steps import Sources, fetched, steps
from baken.store.scans import Position
from baken.workers import FileFingerprinter, in_order

_LIMIT_BYTES = 64 * 2**20


def main(folder: str) -> None:
    """Measure."""
    walked = steps(Sources([folder]), Position(), None, _LIMIT_BYTES, lambda _: None)
    first_at, count = 0.0, -1  # the last step of a walk is no file
    job, files = ScanJob(FileFingerprinter()), fetched(walked, Pacer(0, 0), lambda: False)
    for _ in in_order(job, files, load=lambda step: step.handed(_LIMIT_BYTES)):
        first_at = first_at or time.perf_counter()
        count += 1
    print(json.dumps({"files": count, "seconds": time.perf_counter() - first_at}))


if __name__ == "__main__":
    main(sys.argv[1])
