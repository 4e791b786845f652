"""`pdq-distance`: what the fast decoding path costs in bits, against the reference hasher on full pixels."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from baken import fingerprints, images
from baken.model import MIN_QUALITY_PERCENT
from bench.corpus import corpus_note, jpeg_files, resized
from bench.measure import percentile
from bench.peers import find_peer
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, plain

_MEDIAN_LIMIT_BITS = 2
_P99_LIMIT_BITS = 10
_ENLARGED_PX = ((1920, 1440), (4032, 3024))

Reference = Callable[[bytes], tuple[bytes, int]]
"""JPEG bytes to (PDQ, quality) by the peer."""


def _run(scale: Scale) -> Answer:
    peer = find_peer("pdqhash", "pdqhash")
    files = list(jpeg_files(limit=scale.pick(1_000_000, 10)))
    enlarged = list(jpeg_files("originals", limit=scale.pick(24, 1)))
    sizes = {"files": len(files), "enlarged files": len(enlarged)}
    if peer.module is None:
        return Answer([], sizes, notes=[*peer.notes, corpus_note()])
    reference = _full_pixel_pdq(peer.module)
    distances, low_quality = _distances(files, reference)
    figures = _judged(distances)
    for size_px in _ENLARGED_PX:
        larger, _ = _distances((resized(jpeg, size_px) for jpeg in enlarged), reference)
        figures.append(plain(f"median at {size_px[0]}x{size_px[1]}", "bits", median(larger)))
        figures.append(plain(f"largest at {size_px[0]}x{size_px[1]}", "bits", max(larger)))
    shares = ", ".join(f"{bits}: {count}" for bits, count in sorted(Counter(distances).items()))
    notes = [
        corpus_note(),
        f"Files at each distance in bits: {shares}.",
        f"{low_quality} of them are below quality {MIN_QUALITY_PERCENT}, where no PDQ is compared; they count too.",
    ]
    return Answer(figures, sizes, peer.versions, notes)


def _judged(distances: list[int]) -> list[Figure]:
    return [
        plain("median", "bits", median(distances), goal=Goal(GoalKind.OURS_AT_MOST, _MEDIAN_LIMIT_BITS)),
        plain("99th percentile", "bits", percentile(distances, 99), goal=Goal(GoalKind.OURS_AT_MOST, _P99_LIMIT_BITS)),
        plain("largest", "bits", max(distances)),
    ]


def _distances(files: Iterable[bytes], reference: Reference) -> tuple[list[int], int]:
    """Distance of each file's screening PDQ to the reference, and how many files are of low quality."""
    distances, low_quality = [], 0
    for jpeg in files:
        expected, quality_percent = reference(jpeg)
        computed = fingerprints.compute(jpeg, images.decode(jpeg)).pdq
        if computed is None:
            message = (
                f"a corpus file of {len(jpeg):,} bytes has no PDQ: it must be a readable JPEG of at least 5x5 pixels"
            )
            raise ValueError(message)
        distances.append((int.from_bytes(computed) ^ int.from_bytes(expected)).bit_count())
        low_quality += quality_percent < MIN_QUALITY_PERCENT
    return distances, low_quality


def _full_pixel_pdq(pdqhash: Any) -> Reference:  # noqa: ANN401 - pdqhash has no types
    def compute(jpeg: bytes) -> tuple[bytes, int]:
        with Image.open(io.BytesIO(jpeg)) as picture:
            bits, quality_percent = pdqhash.compute(np.asarray(picture.convert("RGB")))
        return np.packbits(bits).tobytes(), int(quality_percent)

    return compute


SCENARIOS = [
    Scenario(
        name="pdq-distance",
        question="How far is the fast path's PDQ from pdqhash on full pixels?",
        goal=f"over the corpus, median at most {_MEDIAN_LIMIT_BITS} and 99th percentile at most {_P99_LIMIT_BITS} bits",
        run=_run,
    )
]
