"""Photographs to measure on: a folder of people-free JPEG files where there is one, else pictures drawn by Baken."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageOps

from baken import samples

T = TypeVar("T")

CORPUS_VARIABLE = "BAKEN_BENCH_CORPUS"
JPEG_QUALITY = 90
_DRAWN_COUNT = 200
_DRAWN_SIZE_PX = (1280, 960)


def corpus_folder() -> Path | None:
    """The folder named by BAKEN_BENCH_CORPUS, else `../shared/corpus` beside the checkout, else None."""
    named = os.environ.get(CORPUS_VARIABLE)
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "corpus"
    return folder if folder.is_dir() else None


def corpus_note() -> str:
    """What the figures were measured on."""
    if corpus_folder() is None:
        return f"Pictures: drawn by Baken, since {CORPUS_VARIABLE} names no folder."
    return "Pictures: photographs without people."


def jpeg_files(part: str = "**", *, limit: int | None = None) -> Iterator[bytes]:
    """JPEG files of the corpus as they lie in its folder `part`, or drawn ones; `limit` of them, spread evenly."""
    folder = corpus_folder()
    if folder is None:
        return (_as_jpeg(samples.draw(seed, _DRAWN_SIZE_PX)) for seed in spread(range(_DRAWN_COUNT), limit))
    return (path.read_bytes() for path in spread(sorted(folder.glob(f"{part}/*.jpg")), limit))


def resized(jpeg: bytes, size_px: tuple[int, int]) -> bytes:
    """The same picture as a JPEG of quality 90 that fills `size_px`, its edges cropped where the shapes differ."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        return _as_jpeg(ImageOps.fit(picture.convert("RGB"), size_px, Image.Resampling.LANCZOS))


def spread(every: Sequence[T], limit: int | None) -> list[T]:
    """`limit` of them (all without one), spread evenly."""
    # The first few by name would be one subject.
    count = len(every) if limit is None else min(limit, len(every))
    return [every[position * len(every) // count] for position in range(count)]


def _as_jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
