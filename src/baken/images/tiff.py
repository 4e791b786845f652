"""TIFF 6.0 and BigTIFF: the first page's directory, rewritten with nothing but what describes its pixels.

The tags that are kept are checked, the rest (EXIF, profiles, previews, the next page) is left out, so that a directory
that loops or points outside the file is never followed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL.TiffImagePlugin import TiffImageFile

from baken.images.colour import MAX_PROFILE_BYTES
from baken.images.container import Container, CutShortError, DamagedError
from baken.images.exif import ORIENTATION_TAG, UPRIGHT, valid_orientation

MAX_VALUES = 1 << 17
"""Values of one tag. 100 million pixels in tiles of 32 x 32 have 97,657 offsets."""

MAX_PAGES = 4096
"""Pages of one file whose directories are walked."""

_BITS, _PHOTOMETRIC = 258, 262
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_SCALARS = frozenset((_WIDTH, _HEIGHT, 259, _PHOTOMETRIC, 266, 277, 278, 284, 317, _TILE_WIDTH, _TILE_HEIGHT))
_LISTS = frozenset((_BITS, 273, 279, 292, 293, 320, 324, 325, 338, 339, 347, 530, 531, 532))
_TYPE_BYTES = {1: 1, 3: 2, 4: 4, 5: 8, 7: 1, 16: 8}
_TYPE_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_SMALL_TILE_PIXELS = 1 << 22
_BIG = 43
_PROFILE = 34675
_TWELVE_BITS = 12


@dataclass(frozen=True, slots=True)
class _Layout:
    """Byte order and field widths of classic (42) or big (43) TIFF."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.big else "H")

    @property
    def entry(self) -> str:
        return self.order + ("HHQ" if self.big else "HHI")

    @property
    def header_bytes(self) -> int:
        return 16 if self.big else 8

    @property
    def entry_bytes(self) -> int:
        return 20 if self.big else 12

    @property
    def value_bytes(self) -> int:
        return 8 if self.big else 4


@dataclass(frozen=True, slots=True)
class _Entry:
    """One tag that is kept; of an ICC profile, `first` is where it starts."""

    tag: int
    type: int
    count: int
    raw: bytes
    first: int  # the first value when it is a number that stands in the entry, else 0


def read_tiff(data: bytes) -> Container:
    """Raises: DamagedError, CutShortError, struct.error (cut short)."""
    layout = _layout(data)
    return _page(data, layout, _first_offset(data, layout))


def page_offsets(data: bytes) -> list[int]:
    """Where the directories of the file's pages stand, each once, at most `MAX_PAGES`.

    A chain that loops, or points outside the file, ends there. Raises: struct.error (cut short).
    """
    layout = _layout(data)
    at, offsets = _first_offset(data, layout), dict[int, None]()
    while at and at not in offsets and len(offsets) < MAX_PAGES:
        offsets[at] = None
        try:
            (count,) = struct.unpack_from(layout.count, data, at)
            end = at + struct.calcsize(layout.count) + count * layout.entry_bytes
            (at,) = struct.unpack_from(layout.offset, data, end)
        except struct.error:
            break
    return list(offsets)


def read_page(data: bytes, at: int) -> Container:
    """The page whose directory stands at byte `at`. Raises: as `read_tiff`."""
    return _page(data, _layout(data), at)


def _layout(data: bytes) -> _Layout:
    return _Layout("<" if data[:2] == b"II" else ">", _BIG in data[2:4])


def _first_offset(data: bytes, layout: _Layout) -> int:
    return int(struct.unpack_from(layout.offset, data, layout.header_bytes // 2)[0])


def _page(data: bytes, layout: _Layout, at: int) -> Container:
    entries = _directory(data, layout, at)
    profile = entries.pop(_PROFILE, None)
    numbers = {tag: entry.first for tag, entry in entries.items()}
    width, height = numbers.get(_WIDTH, 0), numbers.get(_HEIGHT, 0)
    _check_tiles(numbers, width * height)
    orientation = numbers.get(ORIENTATION_TAG, UPRIGHT)
    return Container(
        "tiff",
        width,
        height,
        parts=_rewritten(data, layout, [entry for tag, entry in entries.items() if tag != ORIENTATION_TAG]),
        opener=TiffImageFile,
        orientation=valid_orientation(orientation),
        grey_bits=_TWELVE_BITS if numbers.get(_BITS) == _TWELVE_BITS else 16,
        inverted=numbers.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        profile=data[profile.first : profile.first + profile.count] if profile else None,
    )


def _directory(data: bytes, layout: _Layout, at: int) -> dict[int, _Entry]:
    (count,) = struct.unpack_from(layout.count, data, at)
    start = at + struct.calcsize(layout.count)
    if start + count * layout.entry_bytes > len(data):
        raise CutShortError(f"its directory of {count} entries ends after the file")
    entries: dict[int, _Entry] = {}
    for entry_at in range(start, start + min(count, MAX_VALUES) * layout.entry_bytes, layout.entry_bytes):
        entry = _read_entry(data, layout, entry_at)
        if entry is not None:
            entries.setdefault(entry.tag, entry)
    return entries


def _read_entry(data: bytes, layout: _Layout, at: int) -> _Entry | None:
    tag, kind, count = struct.unpack_from(layout.entry, data, at)
    if tag == _PROFILE:
        return _profile_entry(data, layout, at)
    scalar = tag in _SCALARS or tag == ORIENTATION_TAG
    if not (scalar or tag in _LISTS) or kind not in _TYPE_BYTES:
        return None
    if count > MAX_VALUES or count < 1 or (scalar and count != 1):
        if tag == ORIENTATION_TAG:
            return None
        raise DamagedError(f"tag {tag} has {count} values")
    value_at = at + layout.entry_bytes - layout.value_bytes
    raw = data[at : at + layout.entry_bytes]
    size = count * _TYPE_BYTES[kind]
    if size > layout.value_bytes:
        (value_at,) = struct.unpack_from(layout.offset, data, value_at)
        if value_at + size > len(data):
            raise CutShortError(f"the values of tag {tag} end after the file")
    code = _TYPE_CODES.get(kind)
    first = struct.unpack_from(layout.order + code, data, value_at)[0] if code else 0
    return _Entry(tag, kind, count, raw, first)


def _profile_entry(data: bytes, layout: _Layout, at: int) -> _Entry | None:
    """Where the ICC profile stands; None when it is not all there: a picture is shown without its profile too."""
    _, _, count = struct.unpack_from(layout.entry, data, at)
    (start,) = struct.unpack_from(layout.offset, data, at + layout.entry_bytes - layout.value_bytes)
    inside = count <= MAX_PROFILE_BYTES and start + count <= len(data)
    return _Entry(_PROFILE, 7, count, b"", start) if inside else None


def _check_tiles(numbers: dict[int, int], picture_pixels: int) -> None:
    tile_pixels = numbers.get(_TILE_WIDTH, 0) * numbers.get(_TILE_HEIGHT, 0)
    if tile_pixels > max(_SMALL_TILE_PIXELS, 4 * picture_pixels):
        raise DamagedError(f"one tile of {tile_pixels} pixels is larger than the picture")


def _rewritten(data: bytes, layout: _Layout, entries: list[_Entry]) -> tuple[bytes | memoryview, ...]:
    """The same file with a new directory at its end; values that stand elsewhere stay where they are."""
    padding = b"\0" * (-len(data) % 16)
    header = data[: layout.header_bytes // 2] + struct.pack(layout.offset, len(data) + len(padding))
    directory = [struct.pack(layout.count, len(entries))]
    directory += [_black_is_zero(entry, layout) for entry in sorted(entries, key=lambda entry: entry.tag)]
    directory.append(struct.pack(layout.offset, 0))
    return header, memoryview(data)[layout.header_bytes :], padding, *directory


def _black_is_zero(entry: _Entry, layout: _Layout) -> bytes:
    # Pillow inverts white-is-zero pictures of up to 8 bits and not the wider ones: the decoder inverts them all.
    if entry.tag != _PHOTOMETRIC or entry.first != _WHITE_IS_ZERO:
        return entry.raw
    value = struct.pack(layout.order + "H", _BLACK_IS_ZERO).ljust(layout.value_bytes, b"\0")
    return struct.pack(layout.entry, _PHOTOMETRIC, 3, 1) + value
