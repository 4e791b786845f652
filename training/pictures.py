"""Pictures to learn from: photographs without people in a folder the caller names, and pictures Baken draws."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baken import samples

STORED_SIDE_PX = 352
HELD_OUT_PERCENT = 20


def is_held_out(path: Path) -> bool:
    """Whether a file is kept back for measuring: a fifth of all, told from its name."""
    return hashlib.sha256(path.name.encode()).digest()[0] * 100 < HELD_OUT_PERCENT * 256


def training_files(folder: Path) -> list[Path]:
    """The JPEG files of a folder that are not held out, in the order of their names."""
    return [path for path in sorted(folder.glob("*.jpg")) if not is_held_out(path)]


def permissive_only(files: Sequence[Path], sources: Path) -> list[Path]:
    """The files whose licence is listed as permissive.

    Args:
        files: files beside or below the folder of `sources`.
        sources: a CSV file with the columns `file` (path from its own folder) and `licence_class`.
    """
    with sources.open(newline="") as lines:
        classes = {sources.parent / row["file"]: row["licence_class"] for row in csv.DictReader(lines)}
    return [path for path in files if classes.get(path, "unknown").startswith("permissive")]


def stored(image: Image.Image, longer_side_px: int = STORED_SIDE_PX) -> NDArray[np.uint8]:
    """uint8[H, W, 3] with the longer side at most `longer_side_px`."""
    small = image.convert("RGB")
    small.thumbnail((longer_side_px, longer_side_px), Image.Resampling.BOX)
    return np.asarray(small)


def load(files: Sequence[Path]) -> list[NDArray[np.uint8]]:
    """Read files as `stored` keeps them."""
    pictures = []
    for path in files:
        with Image.open(path) as image:
            image.draft("RGB", (STORED_SIDE_PX, STORED_SIDE_PX))
            pictures.append(stored(image))
    return pictures


def drawn(count: int, first_seed: int) -> list[NDArray[np.uint8]]:
    """Pictures of Baken's generator."""
    return [stored(samples.draw(first_seed + offset, (STORED_SIDE_PX, 264))) for offset in range(count)]
