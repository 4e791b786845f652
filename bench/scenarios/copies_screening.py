"""`copies-screening`: what one screening with all stages takes in a bank of 100,000 pictures with all their views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from PIL import Image, ImageOps

from baken.copies import MatchStage
from bench.copies_filler import fill_bank
from bench.copies_gate import CopiesGate, Sighting, gate_folder
from bench.copies_pictures import Source, as_jpeg, distractors, edit_named, originals, query_file
from bench.corpus import corpus_note, resized
from bench.machine import server_cores
from bench.measure import percentile, pinned
from bench.scenario import Answer, Figure, Goal, GoalKind, Scale, Scenario, plain

_LONGER_SIDE_PX = 1024
_SIZE_PX = (_LONGER_SIDE_PX, 768)
_NEAR_EDITS = (
    "jpeg_70",
    "jpeg_40",
    "webp",
    "contrast_up",
    "gamma_light",
    "blur_weak",
    "noise_weak",
    "filter_cold",
    "crop_2",
)
"""Each banked beside every second original: a copy then has ten candidates, as many as are ever checked."""

_COPY_EDITS = ("jpeg_20", "crop_10", "tilt_5", "border_10", "random_crop", "sticker_5", "screenshot", "collage")
_NOTHING_LIMIT_MS = 60.0
_CANDIDATES_LIMIT_MS = 120.0
_WARM_UP = 5


def _run(scale: Scale) -> Answer:
    copied, strangers = originals(scale.pick(24, 2)), distractors(scale.pick(64, 4))
    alone, crowded = copied[::2], copied[1::2]
    real = [*alone, *crowded, *_near_copies(crowded)]
    count = scale.pick(100_000, 200)
    with gate_folder(real) as path:
        code_count = fill_bank(path, count - len(real), seed=61)
        with pinned(server_cores()):
            gate = CopiesGate(path)
            unknown = [resized(source.file(), _SIZE_PX) for source in strangers]
            for data in unknown[:_WARM_UP]:
                gate.screen(data)
            nothing = [gate.screen(data) for data in unknown]
            one, ten = ([gate.screen(data) for data in _copies(each)] for each in (alone, crowded))
            gate.close()
    found = [*one, *ten]
    figures = [
        *_figures("nothing found", [ms for sightings, ms in nothing if not sightings], _NOTHING_LIMIT_MS),
        *_figures("one candidate found", [ms for sightings, ms in one if sightings], _CANDIDATES_LIMIT_MS),
        *_figures("ten candidates found", [ms for sightings, ms in ten if sightings], _CANDIDATES_LIMIT_MS),
        plain(f"strangers that were found, of {len(nothing)}", "pictures", sum(bool(each) for each, _ in nothing)),
        plain(f"copies that were found, of {len(found)}", "pictures", sum(bool(each) for each, _ in found)),
        plain("candidates checked, of ten", "candidates", median(_checked_count(each) for each, _ in ten)),
    ]
    sizes = {"pictures": count, "codes of views": code_count, "screenings": len(nothing) + len(found)}
    return Answer(figures, sizes, notes=[corpus_note(), _stages_note([each for each, _ in found])])


def _near_copies(sources: Sequence[Source]) -> list[Source]:
    """Nine copies of each that are pictures of the bank in their own right: a copy then has ten candidates."""
    return [
        Source(source.group, source.number, data=query_file(source, edit_named(edit)))
        for source in sources
        for edit in _NEAR_EDITS
    ]


def _copies(sources: Sequence[Source]) -> list[bytes]:
    """Each in several edits, the longer side as large as that of an upload."""
    edited = (edit_named(edit).apply(source.image(), source.number) for source in sources for edit in _COPY_EDITS)
    side_px = _LONGER_SIDE_PX
    return [as_jpeg(ImageOps.contain(copy, (side_px, side_px), Image.Resampling.LANCZOS)) for copy in edited]


def _checked_count(sightings: Sequence[Sighting]) -> int:
    return sum(sighting.is_checked is not None for sighting in sightings)


def _figures(name: str, milliseconds: Sequence[float], limit_ms: float) -> list[Figure]:
    if not milliseconds:
        return []
    goal = Goal(GoalKind.OURS_AT_MOST, limit_ms)
    return [
        plain(f"{name}, median", "ms", median(milliseconds), goal=goal),
        plain(f"{name}, 95th percentile", "ms", percentile(milliseconds, 95)),
    ]


def _stages_note(found: Sequence[Sequence[Sighting]]) -> str:
    counts = Counter(sighting.stage for sightings in found for sighting in sightings)
    shown = ", ".join(f"{stage.value} {counts[stage]}" for stage in MatchStage)
    return f"Processor time of the whole process on one core, decoding included. Matches by stage: {shown}."


SCENARIOS = [
    Scenario(
        name="copies-screening",
        question="What does one screening with all stages take among 100,000 pictures with all of their views?",
        goal=f"on one core at most {_NOTHING_LIMIT_MS:g} ms, with candidates at most {_CANDIDATES_LIMIT_MS:g} ms",
        run=_run,
        only_when_named=True,
    )
]
