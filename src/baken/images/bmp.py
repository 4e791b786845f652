"""BMP: its size, and a bound for the one variant that decodes slowly."""

from __future__ import annotations

import struct

from PIL.BmpImagePlugin import BmpImageFile

from baken.images.container import Container, DamagedError

_CORE_HEADER_BYTES = 12
_RUN_LENGTHS = frozenset((1, 2))
MAX_RUN_LENGTH_BYTES = 4 << 20
"""Pillow decodes run-length BMP in Python, about a third of a second for 1 MB."""


def read_bmp(data: bytes) -> Container:
    """Raises: DamagedError, struct.error (cut short)."""
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes < _CORE_HEADER_BYTES:
        raise DamagedError(f"its header gives its length as {header_bytes}")
    width, height = struct.unpack_from("<HH" if header_bytes == _CORE_HEADER_BYTES else "<ii", data, 18)
    if header_bytes > _CORE_HEADER_BYTES:
        (compression,) = struct.unpack_from("<I", data, 30)
        if compression in _RUN_LENGTHS and len(data) > MAX_RUN_LENGTH_BYTES:
            raise DamagedError(f"it is run-length coded and larger than {MAX_RUN_LENGTH_BYTES} bytes")
    return Container("bmp", width, abs(height), parts=(data,), opener=BmpImageFile)
