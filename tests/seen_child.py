"""A process of its own for the tests of the seen index: `python seen_child.py URL FOLDER` keeps it until killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from baken.store.seen_turn import Turn
from seen_world import World


def main(url: str, folder: str) -> None:
    with World(url, Path(folder), turn_seconds=1.0) as world:
        write = Turn.write

        def announced(turn: Turn):
            # One line before each transaction: whoever reads it kills us before, within or after that transaction.
            os.write(1, b"writing\n")
            return write(turn)

        Turn.write = announced  # type: ignore[method-assign]
        world.keeper.settle()
        os.write(1, b"settled\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
