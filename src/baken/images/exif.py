"""The one EXIF tag that decides how a picture is shown."""

from __future__ import annotations

import struct

ORIENTATION_TAG = 0x0112
UPRIGHT = 1
SWAPS_SIDES = (5, 6, 7, 8)
_VALID = range(1, 9)
_SHORT, _LONG = 3, 4


def orientation_of(tiff: bytes | memoryview) -> int:
    """The orientation (1 to 8) in an EXIF block that starts at its TIFF header; 1 when it says none or is broken.

    A viewer shows a picture whose EXIF is junk, so junk must not keep it from being screened.
    Source: CIPA DC-008 (Exif 3.0), section 4.6.2.
    """
    try:
        return _first_orientation(bytes(tiff))
    except struct.error:
        return UPRIGHT


def _first_orientation(tiff: bytes) -> int:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    (at,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, at)
    entry = struct.Struct(order + "HHI")
    for start in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, _ = entry.unpack_from(tiff, start)
        if tag == ORIENTATION_TAG:
            return valid_orientation(
                struct.unpack_from(order + {_SHORT: "H", _LONG: "I"}.get(kind, "B"), tiff, start + 8)[0]
            )
    return UPRIGHT


def valid_orientation(orientation: int) -> int:
    """`orientation` when it is one of the eight, else 1."""
    return orientation if orientation in _VALID else UPRIGHT
