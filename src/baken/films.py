"""Fingerprints and vPDQ of videos: what is done with one in the worker process that decodes it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import IOBase
from typing import BinaryIO

from baken import fingerprints
from baken.images.sniffing import SNIFFED_BYTES, video_format
from baken.model import MIN_QUALITY_PERCENT, Fingerprints, Unscreenable, UnscreenableReason
from baken.videos import DEFAULT_VIDEO_LIMITS, Film, VideoLimits, opened_video
from baken.vpdq import VpdqFrame, vpdq_of


@dataclass(frozen=True, slots=True)
class FilmFingerprinter:
    """A video in, its fingerprints out, with what is `asked` beside digests and PDQ."""

    limits: VideoLimits = DEFAULT_VIDEO_LIMITS
    min_quality_percent: int = MIN_QUALITY_PERCENT
    asked: fingerprints.Asked = fingerprints.NOTHING_MORE

    def __call__(self, file: BinaryIO) -> Fingerprints:
        """Decode and fingerprint one video; one that cannot be is unscreenable, not an error.

        Args:
            file: the video, seekable, at its start.
        """
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size_bytes > self.limits.max_size_bytes:
            detail = f"the video has {size_bytes} bytes; at most {self.limits.max_size_bytes} are looked at"
            return self._computed(file, Unscreenable(UnscreenableReason.TOO_LARGE, detail))
        with opened_video(file, self.limits) as opened:
            film = opened if isinstance(opened, Unscreenable) else Film(opened, self.limits)
            return self._computed(file, film)

    def _computed(self, file: BinaryIO, film: Film | Unscreenable) -> Fingerprints:
        return fingerprints.compute_film(file, film, min_quality_percent=self.min_quality_percent, asked=self.asked)


@dataclass(frozen=True, slots=True)
class VpdqMaker:
    """A video in, its vPDQ out, with what is said of frames that could not be looked at; or why there is none."""

    limits: VideoLimits
    seconds_per_frame: float

    def __call__(self, file: BinaryIO) -> tuple[list[VpdqFrame], str | None] | Unscreenable:
        """Decode one video, every frame of it."""
        with opened_video(file, self.limits) as opened:
            if isinstance(opened, Unscreenable):
                return opened
            film = Film(opened, self.limits)
            frames = list(vpdq_of(film, self.seconds_per_frame))
            return frames, film.unseen


def is_video(start: bytes) -> bool:
    """Whether a file that begins like this is a video, decodable or not."""
    return video_format(start) is not None


def is_film(source: object) -> bool:
    """Whether a worker gets a video: an open file, or bytes that are one."""
    return is_video(source[:SNIFFED_BYTES]) if isinstance(source, bytes) else isinstance(source, IOBase)
