"""Opens a video with FFmpeg, by way of PyAV, and lets it do as little as possible.

The demuxer is the one that the content asks for, never one that names other files (playlists, concatenations); whatever
else it would open is refused, so that no file and no network is reached beside the bytes at hand; only listed codecs
decode. A confined process is the second line (`workers_pool.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from baken.images.decoding import MIN_SIDE_PX
from baken.images.sniffing import SNIFFED_BYTES, describe, video_format
from baken.model import Unscreenable, UnscreenableReason
from baken.videos.limits import VideoLimits

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_DEMUXERS = {"avi": "avi", "matroska": "matroska", "mp4": "mov", "mpeg": "mpeg", "mpegts": "mpegts"}

CODECS = ("h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "h263", "msmpeg4v3")
"""What is decoded; the names are FFmpeg's. Its other decoders, hundreds of them, get no hostile byte."""

_DECODERS = ",".join((*CODECS, "libdav1d", "libvpx-vp9", "libvpx"))
_WITHOUT_HEADER = frozenset(("mpeg", "mpegts"))
_MAX_STREAMS = 32
_PROBED_BYTES = 5 << 20
_PROBED_MICROSECONDS = 5_000_000


@dataclass(frozen=True, slots=True)
class OpenedVideo:
    """A file that holds a film.

    Attributes:
        format: one of `sniffing.VIDEO_FORMATS`.
        container: PyAV's.
        stream: the track that viewers show.
        other_tracks: how many more tracks with moving pictures it has, which viewers do not show by themselves.
        claimed_seconds: how long the file says it is; None when it does not.
    """

    format: str
    container: InputContainer
    stream: VideoStream
    other_tracks: int
    claimed_seconds: float | None


def is_installed() -> bool:
    """Whether the extra `video` is there."""
    return find_spec("av") is not None


@contextmanager
def opened_video(file: BinaryIO, limits: VideoLimits) -> Iterator[OpenedVideo | Unscreenable]:
    """Open a video; what is given instead says why it is none that can be looked at. Closes what it opened.

    Args:
        file: the file, seekable, at its start; it stays open.
        limits: what it may ask for.
    """
    start = file.read(SNIFFED_BYTES)
    file.seek(0)
    name = video_format(start)
    if name is None:
        yield _unknown(f"the content is {describe(start)}, and no video that Baken reads")
        return
    if not is_installed():
        yield missing_extra(start)
        return
    from av import error  # noqa: PLC0415 - an optional extra

    try:
        container = _container(file, name, limits)
    except (error.FFmpegError, ValueError, OSError) as why:
        yield _damaged(name, why)
        return
    try:
        yield _film(name, container, limits)
    finally:
        container.close()


def words_of(error: Exception) -> str:
    """What FFmpeg says went wrong, without the number and the name of the file that PyAV puts around it."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def missing_extra(start: bytes) -> Unscreenable:
    """What is said of a video while PyAV is not installed; `start` is its beginning."""
    return _unknown(f"the content is {describe(start)}; videos need the extra `video`: pip install 'baken[video]'")


def _unknown(detail: str) -> Unscreenable:
    return Unscreenable(UnscreenableReason.UNKNOWN_FORMAT, detail)


def _damaged(name: str, why: Exception) -> Unscreenable:
    return Unscreenable(UnscreenableReason.CORRUPT, f"the {name} video cannot be opened: {words_of(why)}")


def _container(file: BinaryIO, name: str, limits: VideoLimits) -> InputContainer:
    import av  # noqa: PLC0415 - an optional extra

    options = {
        "protocol_whitelist": "",
        "format_whitelist": _DEMUXERS[name],
        "codec_whitelist": _DECODERS,
        "max_streams": str(_MAX_STREAMS),
        "probesize": str(_PROBED_BYTES),
        "analyzeduration": str(_PROBED_MICROSECONDS),
    }
    per_stream = [{"max_pixels": str(limits.max_pixels), "threads": "1"} for _ in range(_MAX_STREAMS)]
    # PyAV's types say that options for streams are texts; it makes a mapping of each.
    container: InputContainer = av.open(  # type: ignore[call-overload]
        file,
        "r",
        format=_DEMUXERS[name],
        options=options,
        # Formats that name their tracks only as they go along take no options for them.
        stream_options=[] if name in _WITHOUT_HEADER else per_stream,
        metadata_errors="replace",
        io_open=_refuse,
    )
    return container


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """Refuse what a file asks to be opened beside itself."""
    del url, flags, options
    raise PermissionError("a video may not open other files")


def _film(name: str, container: InputContainer, limits: VideoLimits) -> OpenedVideo | Unscreenable:
    from av import stream  # noqa: PLC0415 - an optional extra

    films = [each for each in container.streams.video if not each.disposition & stream.Disposition.attached_pic]
    if not films:
        return _unknown(f"the {name} file has no track with moving pictures")
    best = container.streams.best("video")
    shown = next((each for each in films if best is not None and each.index == best.index), films[0])
    for each in container.streams:
        each.discard = stream.Discard.default if each.index == shown.index else stream.Discard.all
    refused = _out_of_bounds(name, shown, limits)
    if refused is not None:
        return refused
    seconds = None
    if shown.duration is not None and shown.time_base is not None:
        seconds = float(shown.duration * shown.time_base)
    elif container.duration is not None:
        seconds = container.duration / 1e6
    return OpenedVideo(name, container, shown, len(films) - 1, seconds)


def _out_of_bounds(name: str, stream: VideoStream, limits: VideoLimits) -> Unscreenable | None:
    context = stream.codec_context
    if context is None or context.codec.canonical_name not in CODECS:
        codec = "an unknown codec" if context is None else context.codec.canonical_name
        return _unknown(f"the {name} video is coded as {codec}; Baken decodes {', '.join(CODECS)}")
    width, height = context.width, context.height
    if not width * height:  # what FFmpeg says of frames over its own `max_pixels`
        detail = f"the video's frames have no size, or more than the {limits.max_pixels} pixels that are decoded"
        return Unscreenable(UnscreenableReason.TOO_MANY_PIXELS, detail)
    if width * height > limits.max_pixels:
        detail = f"the video claims frames of {width} x {height} pixels; at most {limits.max_pixels} are decoded"
        return Unscreenable(UnscreenableReason.TOO_MANY_PIXELS, detail)
    if min(width, height) < MIN_SIDE_PX:
        detail = f"the video claims frames of {width} x {height} pixels; PDQ needs {MIN_SIDE_PX} on each side"
        return Unscreenable(UnscreenableReason.TOO_SMALL, detail)
    return None
