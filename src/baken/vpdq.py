"""vPDQ: a video as the PDQ of one frame a second, in the two forms in which the field exchanges it.

The text form has a line `frame,quality,hash,seconds` for each frame; the C++ tools of vPDQ write and read it. The JSON
form is a list of texts `hash,quality,seconds`; python-threatexchange reads it. Sources:
https://github.com/facebook/ThreatExchange/blob/main/vpdq/cpp/vpdq/cpp/io/vpdqio.cpp and
https://github.com/facebook/ThreatExchange/blob/main/python-threatexchange/threatexchange/extensions/vpdq/vpdq_util.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from baken.errors import InvalidValueError
from baken.fingerprints.pdq import pdq_of
from baken.images import Picture
from baken.model import FingerprintKind
from baken.values import parse_value
from baken.videos import Film

_COLUMNS = 4
_SHOWN_CHARACTERS = 80
_MAX_QUALITY = 100


class VpdqForm(StrEnum):
    """How vPDQ is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class VpdqFrame:
    """One frame: its number in the film from 0, PDQ (32 bytes), quality (0 to 100) and time from the start."""

    number: int
    pdq: bytes
    quality_percent: int
    seconds: float


def vpdq_of(film: Film, seconds_per_frame: float = 1.0) -> Iterator[VpdqFrame]:
    """The frames that vPDQ hashes: each whose number is a multiple of those that a second has, rounded down.

    They are decoded as viewers see them. What cannot be decoded is left out, and `film.unseen` says so afterwards.
    """
    stream = film.opened.stream
    rate = stream.average_rate or stream.base_rate or 1
    for frame in film.every(max(1, int(seconds_per_frame * rate))):
        if isinstance(frame.picture, Picture):
            pdq = pdq_of(frame.picture.luma)
            yield VpdqFrame(frame.number, pdq.value, pdq.quality_percent, frame.time_seconds or 0.0)


def to_text(frames: Iterable[VpdqFrame]) -> Iterator[str]:
    """The lines of the text form, without line ends."""
    for frame in frames:
        yield f"{frame.number},{frame.quality_percent},{frame.pdq.hex()},{frame.seconds:.3f}"


def to_json(frames: Iterable[VpdqFrame]) -> str:
    """The JSON form, one line."""
    return json.dumps([f"{frame.pdq.hex()},{frame.quality_percent},{frame.seconds:.3f}" for frame in frames])


def from_line(text: str) -> VpdqFrame:
    """A line of the text form.

    Raises:
        InvalidValueError: it is none.
    """
    columns = text.strip().split(",")
    if len(columns) != _COLUMNS:
        raise _not_a_line(text, f"it has {len(columns)} columns")
    number, quality, code, seconds = columns
    try:
        frame = VpdqFrame(int(number), parse_value(FingerprintKind.PDQ, code), int(quality), float(seconds))
    except (ValueError, InvalidValueError) as error:
        raise _not_a_line(text, str(error)) from error
    if not 0 <= frame.quality_percent <= _MAX_QUALITY or frame.number < 0 or not 0 <= frame.seconds < float("inf"):
        raise _not_a_line(text, "a number is out of bounds")
    return frame


def _not_a_line(text: str, why: str) -> InvalidValueError:
    message = f"the line {text[:_SHOWN_CHARACTERS]!r} is not vPDQ: {why}"
    return InvalidValueError(message, hint="Expected `frame,quality,hash,seconds`, for example `30,100,f8f8…,1.000`.")
