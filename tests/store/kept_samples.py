"""Made-up views, vectors and keypoints for the store's tests: every value follows from a number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from store_samples import digest, full_entry

from baken.copies import BankViews, Region, Vectors, View, ViewKind
from baken.model import NewEntry

MODEL = digest(1_000_001)
OTHER_MODEL = digest(1_000_002)
VECTOR_VIEWS = (View(ViewKind.WHOLE), View(ViewKind.CROPPED, Region(0.1, 0.2, 0.9, 1.0, -2.5)))


def views(number: int, count: int = 3, first: int = 1) -> BankViews:
    numbers = np.arange(first, first + count, dtype=np.uint8)
    codes = [np.frombuffer(digest(1_000 * number + int(each)), np.uint8) for each in numbers]
    return BankViews(numbers, np.array(codes, np.uint8).reshape(count, 32))


def vectors(number: int, model: bytes = MODEL, size: int = 16) -> Vectors:
    values = np.random.default_rng(number).integers(-127, 128, (len(VECTOR_VIEWS), size)).astype(np.int8)
    return Vectors("a network 1", model, VECTOR_VIEWS, values)


def keypoints(number: int) -> bytes:
    return b"sealed" + digest(number)


def bare_entry(number: int) -> NewEntry:
    """What a list gives: fingerprints alone."""
    return full_entry(number)


def picture_entry(number: int, count: int = 3) -> NewEntry:
    """What a picture gives: everything."""
    kept = {"views": views(number, count), "vectors": vectors(number), "keypoints": keypoints(number)}
    return replace(bare_entry(number), **kept, width_px=400 + number, height_px=300)
