"""`jpeg-pdq`: JPEG bytes to PDQ on one core, against the field's own bytes-to-hash function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from baken import fingerprints, images
from baken._native import pdq
from baken.model import Unscreenable
from bench.corpus import JPEG_QUALITY, corpus_note, jpeg_files, resized
from bench.machine import server_cores
from bench.measure import cpu_seconds_of, pinned, take_turns
from bench.peers import find_peer
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, compared

_RATIO_LIMITS = {(4032, 3024): 20.0, (1920, 1440): 8.0, (1024, 768): 6.0}
_TURNS_PER_FILE = 3


def _run(scale: Scale) -> Answer:
    peer = find_peer("threatexchange", "threatexchange.signal_type.pdq.signal")
    hash_from_bytes = peer.module.PdqSignal.hash_from_bytes if peer.module else None
    originals = list(jpeg_files("originals", limit=scale.pick(12, 1)))
    figures: list[Figure] = []
    sizes = {"files": len(originals)}
    with pinned(server_cores()):
        for size_px, ratio_limit in _RATIO_LIMITS.items():
            files = [resized(jpeg, size_px) for jpeg in originals]
            sizes[f"mean {size_px[0]}x{size_px[1]} file bytes"] = sum(map(len, files)) // len(files)
            name = f"{size_px[0]}x{size_px[1]}, one core"
            goal = Goal(GoalKind.RATIO_AT_LEAST, ratio_limit)
            figures.append(_in_turns(f"{name}, PDQ in 8 orientations", _pdq_of, hash_from_bytes, files, goal))
            figures.append(_in_turns(f"{name}, and SHA-256, SHA-1, MD5", _fingerprint, hash_from_bytes, files, None))
    notes = [
        corpus_note(),
        f"Resized and cropped, JPEG quality {JPEG_QUALITY}; enlarged pictures are softer than a camera's of that size.",
        "Ours is `images.decode` and the PDQ of all eight orientations; the peer gives one orientation, as text.",
    ]
    return Answer(figures, sizes, peer.versions, peer.notes + notes)


def _in_turns(
    name: str,
    ours: Callable[[bytes], object],
    peer: Callable[[bytes], object] | None,
    files: list[bytes],
    goal: Goal | None,
) -> Figure:
    def milliseconds(work: Callable[[bytes], object], turn: int) -> float:
        return cpu_seconds_of(lambda: work(files[turn % len(files)])) * 1000

    rounds = _TURNS_PER_FILE * len(files)
    turns = take_turns(partial(milliseconds, ours), partial(milliseconds, peer) if peer else None, rounds)
    return compared(name, "ms", turns, goal=goal)


def _pdq_of(jpeg: bytes) -> object:
    picture = images.decode(jpeg)
    if isinstance(picture, Unscreenable):
        message = f"a corpus file of {len(jpeg):,} bytes is unscreenable: {picture.detail}"
        raise TypeError(message)
    return pdq(picture.luma)


def _fingerprint(jpeg: bytes) -> object:
    return fingerprints.compute(jpeg, images.decode(jpeg))


SCENARIOS = [
    Scenario(
        name="jpeg-pdq",
        question="How fast do JPEG bytes become a PDQ?",
        goal="at least 20x / 8x / 6x threatexchange's PdqSignal.hash_from_bytes at 4032x3024 / 1920x1440 / 1024x768",
        run=_run,
    )
]
