"""Clips made on the fly, of drawn pictures, by whatever encoders the wheel of PyAV has."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from io import BytesIO

import av
from PIL import Image

from baken import samples

SIZE_PX = (320, 240)
FPS = 10
KINDS = {
    "mp4": ("mp4", "libx264", "mp4"),
    "mov": ("mov", "mpeg4", "mp4"),
    "hevc": ("mp4", "libx265", "mp4"),
    "webm": ("webm", "libvpx-vp9", "matroska"),
    "mkv": ("matroska", "libx264", "matroska"),
    "av1": ("mp4", "libsvtav1", "mp4"),
    "avi": ("avi", "mpeg4", "avi"),
    "ts": ("mpegts", "mpeg2video", "mpegts"),
    "mpg": ("vob", "mpeg2video", "mpeg"),
    "mjpeg": ("mov", "mjpeg", "mp4"),
}
"""Muxer, encoder, and the name that Baken gives the format."""

_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "26"},
    "libx265": {"preset": "ultrafast", "crf": "26", "x265-params": "log-level=none:pools=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "36", "b": "0"},
    "libsvtav1": {"preset": "13", "crf": "40", "svtav1-params": "lp=1"},
    "mpeg4": {"qscale": "4"},
    "mpeg2video": {"qscale": "4"},
}


@cache
def picture(seed: int, size_px: tuple[int, int] = SIZE_PX) -> Image.Image:
    """A drawn picture, drawn once."""
    return samples.draw(seed, size_px)


def black(size_px: tuple[int, int] = SIZE_PX) -> Image.Image:
    """Nothing."""
    return Image.new("RGB", size_px)


def clip(
    shown: Iterable[tuple[Image.Image, float]],
    kind: str = "mp4",
    *,
    fps: int = FPS,
    key_every: int = 250,
    options: dict[str, str] | None = None,
) -> bytes:
    """A film that shows each picture for so many seconds."""
    frames = [image for image, seconds in shown for _ in range(round(seconds * fps))]
    return timed_clip([(image, Fraction(at, fps)) for at, image in enumerate(frames)], kind, fps, key_every, options)


def timed_clip(
    shown: Sequence[tuple[Image.Image, Fraction]],
    kind: str = "mp4",
    fps: int = FPS,
    key_every: int = 250,
    options: dict[str, str] | None = None,
) -> bytes:
    """A film whose frames have the times given, in seconds."""
    muxer, encoder, _ = KINDS[kind]
    file = BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(encoder, rate=fps, options={**_OPTIONS.get(encoder, {}), **(options or {})})
        stream.width, stream.height = shown[0][0].size if shown else SIZE_PX
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = key_every
        stream.codec_context.thread_count = 1
        base = Fraction(1, fps) if encoder.startswith("mpeg") else Fraction(1, 1000)
        stream.codec_context.time_base = base
        for image, at in shown:
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = round(at / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def sound(seconds: int = 1) -> bytes:
    """An MP4 without a picture track."""
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        for at in range(0, seconds * 8000, 1024):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 8000, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def box_at(data: bytes, kind: bytes) -> int:
    """Where the body of the first box of a kind begins."""
    return data.index(kind) + 4


def turned(data: bytes, degrees: int) -> bytes:
    """An MP4 that viewers show turned clockwise: the matrix of its track header, as phones write it."""
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = (cosine, sine, 0, -sine, cosine, 0, 0, 0)
    numbers = struct.pack(">8i", *(number << 16 for number in matrix)) + struct.pack(">i", 1 << 30)
    at = box_at(data, b"tkhd") + 40
    return data[:at] + numbers + data[at + len(numbers) :]
