"""A folder of many distinct JPEGs, cheaply: a few hundred drawn pictures, and copies of their files that differ."""

from __future__ import annotations

from pathlib import Path

from baken.samples import draw
from baken.samples_files import encoded

SIZE_PX = (1024, 768)
FILES_A_FOLDER = 1_000
_END_OF_IMAGE = b"\xff\xd9"


def drawn_jpegs(count: int) -> list[bytes]:
    """Files of `count` drawn pictures of 1024 px."""
    return [encoded(draw(1_000 + number, SIZE_PX), "JPEG", quality=85) for number in range(count)]


def write_catalogue(folder: Path, pictures: list[bytes], count: int) -> None:
    """Write `count` files, no two with the same bytes: behind a picture's end stands the file's number.

    A file that exists is left alone, so that a smaller catalogue grows into a larger one.
    """
    for number in range(count):
        path = folder / f"{number // FILES_A_FOLDER:04}" / f"{number:07}.jpg"
        if number % FILES_A_FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(pictures[number % len(pictures)] + number.to_bytes(8, "big") + _END_OF_IMAGE)
