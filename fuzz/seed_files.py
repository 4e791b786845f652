"""The undamaged files: those of the tests, small, a film in every format that has films, and videos."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

import hostile_files
import picture_files
import video_files
from baken.samples_files import encoded

_FILMS: dict[str, dict[str, object]] = {
    "AVIF": {"speed": 10},
    "GIF": {},
    "PNG": {"blend": 1},
    "TIFF": {},
    "WEBP": {"method": 0},
}


def all_files() -> Iterator[tuple[str, bytes]]:
    """Name and content."""
    for name, data, _ in picture_files.all_cases(picture_files.original(size=hostile_files.SMALL_PX)):
        yield name, data
    for name, data, _ in hostile_files.refused_files():
        yield name, data
    yield from hostile_files.harmless_looking()
    pictures = [picture_files.original(seed, (48, 36)) for seed in range(4)]
    for name, options in _FILMS.items():
        first, *others = [picture.quantize(32) if name == "GIF" else _with_hole(picture) for picture in pictures]
        yield f"film.{name.lower()}", encoded(first, name, save_all=True, append_images=others, **options)
    yield from _videos()


def _videos() -> Iterator[tuple[str, bytes]]:
    pictures = [(picture_files.original(seed, (64, 48)), 0.5) for seed in range(3)]
    for kind in ("mp4", "hevc", "webm", "avi", "ts", "mpg", "mjpeg"):
        yield f"video.{kind}", video_files.clip(pictures, kind)


def _with_hole(image: Image.Image) -> Image.Image:
    transparent = image.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(image.size))
    return transparent
