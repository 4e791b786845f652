"""JPEG (ITU-T T.81): the frame header, the orientation, and the file without its metadata."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from PIL.JpegImagePlugin import JpegImageFile

from baken.images.container import Container, CutShortError, DamagedError, UnsupportedError
from baken.images.exif import UPRIGHT, orientation_of

MAX_SEGMENTS = 4096
"""Before the first scan. Extended XMP of 16 MB has 256."""

MAX_SCANS = 100
"""Every scan walks all blocks, so a small file of thousands of scans costs minutes. Encoders write 3 to about 20."""

_SOI = b"\xff\xd8"
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset((0x00, 0x01, _START_OF_IMAGE, *range(0xD0, 0xD8)))
_APP0, _APP1, _APP2, _APP14, _APP15, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_PROFILE_START = b"ICC_PROFILE\0"
_MAX_PROFILE_PARTS = 255
_SPACES = {1: b"GRAY", 3: b"RGB ", 4: b"CMYK"}
_COLOUR_SEGMENTS = ((_APP0, b"JFIF\0"), (_APP14, b"Adobe"))
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_LENGTH_BYTES = 2
_SAMPLE_BITS = 8
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


@dataclass(slots=True)
class _Header:
    parts: list[bytes | memoryview] = field(default_factory=lambda: [_SOI])
    frame: tuple[int, int, int, int] | None = None  # marker, width, height, components
    orientation: int | None = None
    profile: list[memoryview] = field(default_factory=list)


def read_jpeg(data: bytes) -> Container:
    """Raises: DamagedError, CutShortError, UnsupportedError, struct.error (cut short)."""
    header = _Header()
    scan_at = _read_segments(data, header)
    if header.frame is None:
        raise DamagedError("no frame header stands before the first scan")
    marker, width, height, components = header.frame
    if marker in _PROGRESSIVE or data[scan_at + 4 : scan_at + 5] != bytes([components]):
        _check_scans(data, scan_at)
    header.parts.append(memoryview(data)[scan_at:])
    return Container(
        "jpeg",
        width,
        height,
        parts=tuple(header.parts),
        opener=JpegImageFile,
        orientation=header.orientation or UPRIGHT,
        profile=_profile(header.profile, _SPACES.get(components)),
    )


def _read_segments(data: bytes, header: _Header) -> int:
    at = 2
    for _ in range(MAX_SEGMENTS):
        at, marker = _marker_from(data, at)
        if marker == _START_OF_SCAN:
            return at
        if marker == _END_OF_IMAGE:
            raise DamagedError("the file ends its image before the first scan")
        if marker in _STANDALONE:
            at += 2
            continue
        end = at + 2 + _segment_bytes(data, at)
        if end > len(data):
            raise CutShortError(f"segment FF{marker:02X} at byte {at} ends after the file")
        _take(header, marker, memoryview(data)[at:end])
        at = end
    raise DamagedError(f"more than {MAX_SEGMENTS} segments stand before the first scan")


def _marker_from(data: bytes, at: int) -> tuple[int, int]:
    at = data.find(b"\xff", at)
    while at >= 0 and data[at + 1 : at + 2] == b"\xff":  # any number of fill bytes may precede a marker
        at += 1
    if at < 0 or at + 1 >= len(data):
        raise CutShortError("the file ends before its first scan")
    return at, data[at + 1]


def _segment_bytes(data: bytes, at: int) -> int:
    (length,) = struct.unpack_from(">H", data, at + 2)
    if length < _LENGTH_BYTES:
        raise DamagedError(f"the segment at byte {at} gives its length as {length}")
    return int(length)


def _take(header: _Header, marker: int, segment: memoryview) -> None:
    if marker == _APP1:
        if header.orientation is None and bytes(segment[4:10]) == b"Exif\0\0":
            header.orientation = orientation_of(segment[10:])
    elif marker == _APP2:
        if segment[4:16] == _PROFILE_START and len(header.profile) < _MAX_PROFILE_PARTS:
            header.profile.append(segment[16:])
    elif marker in _FRAMES:
        _take_frame(header, marker, segment)
    elif not (_APP0 <= marker <= _APP15 or marker == _COMMENT) or _sets_colour(marker, segment):
        header.parts.append(segment)


def _profile(parts: list[memoryview], space: bytes | None) -> bytes | None:
    """The ICC profile in the order of its numbered parts (ICC.1:2022, annex B.4).

    None when a part is missing, or when it is of another colour space than the picture.
    """
    numbered = {part[0]: part[2:] for part in parts if len(part) > _LENGTH_BYTES}
    if not numbered or sorted(numbered) != list(range(1, parts[0][1] + 1)):
        return None
    profile = b"".join(numbered[number] for number in sorted(numbered))
    return profile if profile[16:20] == space else None


def _sets_colour(marker: int, segment: memoryview) -> bool:
    # libjpeg tells YCbCr from RGB and CMYK from YCCK by these two.
    return (marker, bytes(segment[4:9])) in _COLOUR_SEGMENTS


def _take_frame(header: _Header, marker: int, segment: memoryview) -> None:
    if header.frame is not None:
        raise DamagedError("there are two frame headers")
    bits, height, width, components = struct.unpack_from(">BHHB", segment, 4)
    if bits != _SAMPLE_BITS:
        raise UnsupportedError(f"its samples have {bits} bits, and this decoder reads {_SAMPLE_BITS}")
    header.frame = (marker, width, height, components)
    header.parts.append(segment)


def _check_scans(data: bytes, scan_at: int) -> None:
    # Counting the two bytes is fast and may count too many, never too few; only then are the scans walked.
    if data.count(b"\xff\xda", scan_at) <= MAX_SCANS:
        return
    scans, at = 1, scan_at + 2
    while (found := _NEXT_MARKER.search(data, at)) and data[found.start() + 1] != _END_OF_IMAGE:
        scans += data[found.start() + 1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise DamagedError(f"the picture is spread over more than {MAX_SCANS} scans")
        at = found.end()
        if data[found.start() + 1] not in _STANDALONE and at + 2 <= len(data):
            at = found.start() + 2 + _segment_bytes(data, found.start())
