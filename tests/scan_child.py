"""`baken screen` with small batches, as a process that tests kill: `python scan_child.py FOLDER ARGUMENT...`."""

from __future__ import annotations

import sys

from baken import cli, scan

if __name__ == "__main__":
    scan.BATCH_SECONDS = 0.0  # so that every answer is a transaction of its own
    sys.exit(cli.main(["--data-dir", sys.argv[1], "screen", "--processes", "1", *sys.argv[2:]]))
