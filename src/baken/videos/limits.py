"""What one video may ask of this machine, and how closely it is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from baken.images.picture import MEBIBYTE


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """Bounds of one video. What lies beyond them is not looked at, and that is said.

    Attributes:
        max_size_bytes: larger files are `too_large` and are not read.
        max_seconds: how much of a film is looked at, from its start.
        max_pixels: of one frame; decoders hold up to 17 of them, so that 9 megapixels are 240 MB.
        max_frames: how many different frames are asked: 1 kB each, and 10 µs of a search.
        max_processor_seconds: processor time for decoding and hashing, all threads of the process together.
        max_elapsed_seconds: the same by the clock.
        max_memory_bytes: address space of the process that decodes. It is ended some time after the other limits,
            and nothing would be known of the film (`workers_kinds.py`).
        step_seconds: no moment of a film is farther than this from a frame that was looked at.
        threads: of the decoder.
    """

    max_size_bytes: int = 1024 * MEBIBYTE
    max_seconds: float = 7200.0
    max_pixels: int = 4096 * 2304
    max_frames: int = 4000
    max_processor_seconds: float = 90.0
    max_elapsed_seconds: float = 50.0
    max_memory_bytes: int = 4096 * MEBIBYTE
    step_seconds: float = 1.0
    threads: int = 2


DEFAULT_VIDEO_LIMITS = VideoLimits()
