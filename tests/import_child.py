"""`baken bank import` with small batches, as a process that tests interrupt: `python import_child.py FOLDER LIST`."""

from __future__ import annotations

import sys

from baken import banking, cli

BATCH_ENTRIES = 50

if __name__ == "__main__":
    banking.BATCH_ENTRIES = BATCH_ENTRIES
    sys.exit(cli.main(["--data-dir", sys.argv[1], "bank", "import", "known", sys.argv[2]]))
