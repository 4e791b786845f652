"""The frames of a film that are looked at, one at a time, and what of it was not looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from baken.images import Frame, Picture
from baken.model import Unscreenable, UnscreenableReason
from baken.videos.limits import VideoLimits
from baken.videos.luma import luma_of, screening_size
from baken.videos.opening import OpenedVideo, words_of
from baken.videos.sampling import Fed, Numbering, chosen

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.video.stream import VideoStream

_GAP_STEPS = 2.5
"""Frames that were looked at lie a step apart; a stretch of so many steps without one was not looked at."""

_CUT_SHORT = 0.05
"""A film that is this much shorter than it says was cut off."""

_MAX_NAMED = 3
_FAST_OPTIONS = {"skip_loop_filter": "all"}
"""Screening leaves out the filter that hides the edges of blocks, and frames that nothing is built on."""


@dataclass(slots=True)
class Film:
    """A video's frames. `sample` goes through it once; what it could not look at stands in `unseen` afterwards.

    Attributes:
        opened: the file.
        limits: what it may ask of this machine.
    """

    opened: OpenedVideo
    limits: VideoLimits
    _seen_seconds: list[float] = field(default_factory=list, init=False)
    _stopped: str | None = field(default=None, init=False)
    _read_seconds: float = field(default=0.0, init=False)
    _numbering: Numbering = field(default_factory=Numbering, init=False)

    @property
    def format(self) -> str:
        """As in `Picture.format`."""
        return self.opened.format

    def sample(self) -> Iterator[Frame]:
        """The frames that are looked at, in the order of the film.

        Never raises for any bytes. When not one frame can be decoded, the one that is given says why.
        """
        from av import error  # noqa: PLC0415 - an optional extra

        failure = "it has no frame"
        try:
            yield from self._decoded()
        except error.FFmpegError as why:
            # A damaged file may end anywhere: what was looked at counts, and the rest is a gap at the end.
            self._stopped = self._stopped or f"the file is damaged: {words_of(why)}"
            failure = words_of(why)
        if not self._seen_seconds:
            detail = f"no frame of the {self.format} video can be decoded: {self._stopped or failure}"
            yield Frame(0, Unscreenable(UnscreenableReason.CORRUPT, detail))

    def stop(self, why: str) -> None:
        """Look at nothing more; `why` is said."""
        self._stopped = self._stopped or why

    @property
    def unseen(self) -> str | None:
        """What of the film was not looked at, in words; None when that is nothing."""
        gap_seconds = _GAP_STEPS * self.limits.step_seconds
        last, claimed = self._last_seconds, self.opened.claimed_seconds
        said = []
        if self._stopped is not None:
            said.append(f"what follows {last:.1f} s ({self._stopped})")
        looked_at = [0.0, *self._seen_seconds]
        if self._stopped is None:
            looked_at.append(self._read_seconds)
        gaps = [(start, end) for start, end in pairwise(looked_at) if end - start > gap_seconds]
        said += [f"{start:.1f} to {end:.1f} s" for start, end in gaps[:_MAX_NAMED]]
        if len(gaps) > _MAX_NAMED:
            said.append(f"{len(gaps) - _MAX_NAMED} more stretches")
        is_short = claimed is not None and claimed * (1 - _CUT_SHORT) > self._read_seconds + gap_seconds
        if self._stopped is None and is_short:
            said.append(f"what should follow {self._read_seconds:.1f} s: the file claims {claimed:.1f} s")
        if self.opened.other_tracks:
            said.append(f"{self.opened.other_tracks} more video tracks")
        return f"not looked at: {'; '.join(said)}" if said else None

    @property
    def _last_seconds(self) -> float:
        return max(self._seen_seconds, default=0.0)

    def _decoded(self) -> Iterator[Frame]:
        for fed, frame in self._frames(self._to_decode(), is_exact=False):
            if fed.is_wanted:
                yield self._looked_at(frame, fed.seconds, self._numbering.number_of(fed.seconds))

    def every(self, count: int) -> Iterator[Frame]:
        """Every frame whose number `count` divides, decoded as viewers do, as far as the file can be read."""
        packets = (Fed(packet, seconds) for packet, seconds in self._packets())
        for number, (fed, frame) in enumerate(self._frames(packets, is_exact=True)):
            if number % count == 0:
                yield self._looked_at(frame, fed.seconds, number)

    def _looked_at(self, frame: VideoFrame, seconds: float, number: int) -> Frame:
        self._seen_seconds.append(seconds)
        luma = luma_of(frame)
        height, width = luma.shape
        shown = screening_size(luma)
        picture = Picture(shown, self.format, width, height, exact=shown is luma)
        return Frame(number, picture, time_seconds=seconds)

    def _frames(
        self, packets: Iterator[Fed[Packet[VideoStream]]], *, is_exact: bool
    ) -> Iterator[tuple[Fed[Packet[VideoStream]], VideoFrame]]:
        """Decode packets; each frame comes with its packet, in the order in which frames are shown."""
        from av import error  # noqa: PLC0415 - an optional extra

        context = self.opened.stream.codec_context
        context.thread_count = self.limits.threads
        context.thread_type = "AUTO"
        context.copy_opaque = True
        context.options = {"max_pixels": str(self.limits.max_pixels), **({} if is_exact else _FAST_OPTIONS)}
        for fed in chain(packets, (None,)):
            context.skip_frame = "DEFAULT" if fed is None or fed.is_wanted or is_exact else "NONREF"
            if fed is not None:
                fed.packet.opaque = fed
            try:
                frames = context.decode(None if fed is None else fed.packet)
            except error.InvalidDataError:
                continue  # what it held is missing from what was looked at, and shows as a gap
            for frame in frames:
                if isinstance(frame.opaque, Fed):
                    yield frame.opaque, frame

    def _to_decode(self) -> Iterator[Fed[Packet[VideoStream]]]:
        return chosen(self._packets(), self.limits.step_seconds)

    def _packets(self) -> Iterator[tuple[Packet[VideoStream], float]]:
        """The packets of the film with their times, as far as the limits go."""
        stream, limits = self.opened.stream, self.limits
        base = float(stream.time_base or Fraction(1, 1000))
        start, seconds = stream.start_time, 0.0
        rate = stream.average_rate or stream.guessed_rate
        step = float(1 / rate) if rate else base
        began, used = time.monotonic(), time.process_time()
        for packet in self.opened.container.demux(stream):
            if not packet.size:
                continue  # PyAV's sign to flush
            at = packet.dts if packet.pts is None else packet.pts
            start = at if start is None else start
            seconds = seconds + step if at is None or start is None else (at - start) * base
            self._read_seconds = max(self._read_seconds, seconds)
            self._numbering.add(seconds)
            if seconds > limits.max_seconds:
                self.stop(f"at most {limits.max_seconds:g} s of a film are looked at")
            if time.process_time() - used > limits.max_processor_seconds:
                self.stop(f"it took {limits.max_processor_seconds:g} s of processor time")
            if time.monotonic() - began > limits.max_elapsed_seconds:
                self.stop(f"it took {limits.max_elapsed_seconds:g} s")
            if self._stopped is not None:
                return
            yield packet, seconds
