"""Which frames of a film are looked at, told from its packets before any is decoded.

Key frames are, for encoders put them where the picture changes, and so is a frame at every step of time. Between two
key frames that lie near each other nothing is decoded; elsewhere whatever a wanted frame is built on is, and no more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

KEY_FRAME_SECONDS = 0.25
"""Key frames that follow each other faster than this are frames like any other: films of nothing else exist."""

LONG_SHOWN = 0.5
"""A frame that is shown for longer than this share of a step is looked at, wherever it lies."""

MAX_STEP_PACKETS = 240
"""A step has at most this many frames, whatever their times say."""

MAX_PENDING_BYTES = 32 << 20
"""Compressed frames that are held until it is known whether they are needed."""

_NUMBERING_WINDOW = 4096


class Coded(Protocol):
    """What is read of a packet; PyAV's packets have it."""

    size: int
    is_keyframe: bool
    is_discard: bool


Packet = TypeVar("Packet", bound=Coded)


@dataclass(slots=True)
class Fed(Generic[Packet]):
    """A packet for the decoder: when its frame is shown, in seconds from the start, and whether it is looked at."""

    packet: Packet
    seconds: float
    is_wanted: bool = False


def chosen(packets: Iterable[tuple[Packet, float]], step_seconds: float) -> Iterator[Fed[Packet]]:
    """The packets to decode, in their order, and of them the wanted ones.

    Args:
        packets: all of a track, in the order of the file, each with the time at which its frame is shown.
        step_seconds: no wanted frame is farther than this from the next.
    """
    pending: list[Fed[Packet]] = []
    pending_bytes = since_wanted = 0
    last_wanted = float("-inf")
    for packet, seconds in packets:
        fed = Fed(packet, seconds)
        since_wanted += 1
        apart = KEY_FRAME_SECONDS if packet.is_keyframe else step_seconds
        # A time before the last one by a step and more is no reordered frame: the clock of the film was set back.
        is_due = not -step_seconds < seconds - last_wanted < apart or since_wanted > MAX_STEP_PACKETS
        fed.is_wanted = is_due and not packet.is_discard
        if packet.is_keyframe:
            yield from _needed(pending, seconds, step_seconds)
            pending, pending_bytes = [], 0
        pending.append(fed)
        pending_bytes += packet.size
        if fed.is_wanted:
            last_wanted, since_wanted = seconds, 0
        if fed.is_wanted or pending_bytes > MAX_PENDING_BYTES:
            _want_long_shown(pending, seconds, step_seconds)
            yield from pending
            pending, pending_bytes = [], 0
    yield from _needed(pending, float("inf"), step_seconds)


def _needed(pending: list[Fed[Packet]], until: float, step_seconds: float) -> list[Fed[Packet]]:
    """Of packets after which decoding begins anew: those up to the last that is shown for long."""
    _want_long_shown(pending, until, step_seconds)
    last = max((at for at, fed in enumerate(pending) if fed.is_wanted), default=-1)
    return pending[: last + 1]


def _want_long_shown(pending: list[Fed[Packet]], until: float, step_seconds: float) -> None:
    shown = sorted(pending, key=lambda fed: fed.seconds)
    ends = [*(fed.seconds for fed in shown), until][1:]
    for fed, end in zip(shown, ends, strict=True):
        if end - fed.seconds > LONG_SHOWN * step_seconds and not fed.packet.is_discard:
            fed.is_wanted = True


class Numbering:
    """The number of a frame in the order in which a film shows them, from 0.

    Packets come in another order; a few thousand times are kept, which is far more than any codec reorders.
    """

    def __init__(self) -> None:
        self._before = 0
        self._times: list[float] = []

    def add(self, seconds: float) -> None:
        """Take the time of the next packet of the file."""
        insort(self._times, seconds)
        if len(self._times) > 2 * _NUMBERING_WINDOW:
            self._before += _NUMBERING_WINDOW
            del self._times[:_NUMBERING_WINDOW]

    def number_of(self, seconds: float) -> int:
        """The number of the frame shown at that time, one that was added."""
        return self._before + bisect_left(self._times, seconds)
