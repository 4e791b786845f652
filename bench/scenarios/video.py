"""`video`: how much faster than it plays a film is looked at, and how far its hashes are from vPDQ's."""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from baken import samples
from baken.films import FilmFingerprinter
from baken.fingerprints import Asked
from baken.fingerprints.pdq import pdq_of
from baken.images import Frame, Picture
from baken.videos import Film, VideoLimits, opened_video
from baken.videos.opening import OpenedVideo
from baken.workers_kinds import video_workers
from baken.workers_pool import Failure
from bench.built import built
from bench.measure import pinned
from bench.scenario import Answer, Goal, GoalKind, Scale, Scenario, plain

_SIZE_PX = (1280, 720)
_DRAWN_PX = (1600, 900)
_FPS = 30
_PART_SECONDS = 40
_PARTS = 15
_SCENE_SECONDS = (3, 12)
_NOISE_LEVELS = 12
_TWO_CORES = 2
_SPEED = 20.0
_LIMITS = VideoLimits(max_elapsed_seconds=900.0, max_processor_seconds=900.0)


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a film took in a process of its own, the start of the process included."""

    processor_seconds: float
    peak_bytes: int
    frames: int


@dataclass(frozen=True, slots=True)
class _Measured:
    """The job: fingerprint a film as a screening does, and say what it took."""

    fingerprint: FilmFingerprinter

    def __call__(self, file: BinaryIO) -> _Cost:
        computed = self.fingerprint(file)
        if computed.unscreenable is not None or computed.unseen is not None or computed.query_views is None:
            message = f"the film was not seen whole: {computed.unscreenable or computed.unseen}"
            raise RuntimeError(message)
        frames = {view.frame for view in computed.query_views.views}
        used = resource.getrusage(resource.RUSAGE_SELF)
        return _Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, len(frames))


def _run(scale: Scale) -> Answer:
    parts = scale.pick(_PARTS, 1)
    part_seconds = scale.pick(_PART_SECONDS, 4)
    job = _Measured(FilmFingerprinter(_LIMITS, asked=Asked(query_views=True, working_luma=True, max_frames=16)))
    cores = set(sorted(os.sched_getaffinity(0))[:_TWO_CORES])
    with built(f"film-{part_seconds}-{parts}", lambda folder: _make(folder, part_seconds, parts)) as folder:
        path = folder / "film.mp4"
        seconds = part_seconds * parts
        with pinned(cores):
            began = time.perf_counter()
            with path.open("rb") as file, video_workers(1, _LIMITS, is_required=False) as workers:
                cost = workers.run(job, file)
            elapsed_seconds = time.perf_counter() - began
            if isinstance(cost, Failure):
                raise RuntimeError(cost.detail)  # noqa: TRY004 - a value that says what went wrong
            distances = _distances(folder / "part.mp4")
        size_bytes = path.stat().st_size
    size = f"{seconds // 60} minutes at {_SIZE_PX[0]} x {_SIZE_PX[1]}, H.264"
    goal = Goal(GoalKind.OURS_AT_LEAST, _SPEED)
    figures = [
        plain(f"{size}: film for each second of one core", "s", seconds / cost.processor_seconds, goal=goal),
        plain(
            f"film for each second by the clock, {len(cores)} cores and whatever else they do",
            "s",
            seconds / elapsed_seconds,
        ),
        plain("processor time for it", "s", cost.processor_seconds),
        plain("peak memory of its process", "MiB", cost.peak_bytes / (1 << 20)),
        plain("a fast frame from the same frame decoded exactly, median", "bits", statistics.median(distances)),
        plain("the same, 99 in 100 at most", "bits", float(np.percentile(distances, 99))),
    ]
    sizes = {"seconds": seconds, "frames": seconds * _FPS, "asked frames": cost.frames, "file bytes": size_bytes}
    notes = [
        f"Drawn scenes that pan, with noise, {size_bytes * 8 // seconds // 1000} kbit/s, {parts} times the same.",
        "By x264, with key frames where scenes change and after 250 frames.",
        "Decoding, sampling, PDQ in 8 orientations, content boxes and digests, in a process whose start is counted.",
    ]
    return Answer(figures, sizes, {}, notes)


def _distances(path: Path) -> list[int]:
    """Bits between each frame that a screening looks at and the same frame as a viewer sees it."""
    with path.open("rb") as file:
        exact = {frame.number: _code(frame) for frame in _frames(file, every=1)}
        file.seek(0)
        fast = {frame.number: _code(frame) for frame in _frames(file, every=None)}
    return [int(np.bitwise_count(code ^ exact[number]).sum()) for number, code in fast.items()]


def _frames(file: BinaryIO, *, every: int | None) -> Iterator[Frame]:
    with opened_video(file, _LIMITS) as opened:
        if not isinstance(opened, OpenedVideo):
            raise TypeError(opened.detail)
        film = Film(opened, _LIMITS)
        yield from film.sample() if every is None else film.every(every)


def _code(frame: Frame) -> NDArray[np.uint8]:
    if not isinstance(frame.picture, Picture):
        raise TypeError(frame.picture.detail)
    return np.frombuffer(pdq_of(frame.picture.luma).value, np.uint8)


def _make(folder: Path, seconds: int, parts: int) -> None:
    """A film in `film.mp4`, `parts` times the `part.mp4` beside it."""
    import av  # noqa: PLC0415 - an optional extra

    part = folder / "part.mp4"
    with av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=_FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = *_SIZE_PX, "yuv420p"
        for number, planes in enumerate(_drawn(seconds * _FPS)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(part)) as source, av.open(str(folder / "film.mp4"), "w") as container:
        template = source.streams.video[0]
        stream = container.add_stream_from_template(template)
        packets = [packet for packet in source.demux(template) if packet.size]
        span = round(seconds / (template.time_base or Fraction(1)))
        for turn in range(parts):
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts = (packet.pts or 0) + turn * span, (packet.dts or 0) + turn * span
                copy.time_base, copy.is_keyframe, copy.stream = template.time_base, packet.is_keyframe, stream
                container.mux(copy)


def _drawn(count: int) -> Iterator[NDArray[np.uint8]]:
    """Frames as I420, uint8[H * 3 / 2, W]: drawn scenes that pan slowly, with noise."""
    import cv2  # noqa: PLC0415 - for this function alone

    rng = np.random.default_rng(1)
    (width, height), (wide, high) = _SIZE_PX, _DRAWN_PX
    noise = rng.integers(0, _NOISE_LEVELS, (height + 64, width + 64), dtype=np.uint8)
    scene = 0
    while count > 0:
        planes = cv2.cvtColor(np.asarray(samples.draw(scene, _DRAWN_PX)), cv2.COLOR_RGB2YUV_I420)
        luma, chroma = planes[:high], planes[high:].reshape(2, high // 2, wide // 2)
        length = min(count, int(rng.integers(_SCENE_SECONDS[0] * _FPS, _SCENE_SECONDS[1] * _FPS)))
        start, end = rng.integers(0, (high - height) // 2, (2, 2)) * 2
        for at in np.linspace(start, end, length):
            left, top = (int(each) // 2 * 2 for each in at)
            x, y = rng.integers(0, 64, 2)
            shown = cv2.add(
                np.ascontiguousarray(luma[top : top + height, left : left + width]),
                np.ascontiguousarray(noise[y : y + height, x : x + width]),
            )
            half = chroma[:, top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
            yield np.concatenate([np.asarray(shown, np.uint8), half.reshape(-1, width)])
        count, scene = count - length, scene + 1


SCENARIOS = [
    Scenario(
        name="video",
        question="How long does a video take?",
        goal=f"at least {_SPEED:g} times as fast as it plays, on one core (10 minutes at 720p)",
        run=_run,
    )
]
