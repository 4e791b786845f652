"""Videos: which frames of a film are looked at, and their pixels, decoded by FFmpeg (the extra `video`)."""

from __future__ import annotations

from baken.videos.frames import Film
from baken.videos.limits import DEFAULT_VIDEO_LIMITS, VideoLimits
from baken.videos.opening import OpenedVideo, is_installed, missing_extra, opened_video

__all__ = [
    "DEFAULT_VIDEO_LIMITS",
    "Film",
    "OpenedVideo",
    "VideoLimits",
    "is_installed",
    "missing_extra",
    "opened_video",
]
