"""The size that the bitstream of an HEVC or AV1 picture claims: a decoder allocates it, whatever the container says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from baken.images.container import CutShortError, DamagedError

MAX_UNITS = 1 << 14
"""Units of one coded picture that are walked: slices, tiles, parameter sets."""

_SPS = 33
_SEQUENCE_HEADER = 1
_HEADER_SEARCH_BYTES = 512
"""A parameter set's size fields stand in its first 100 bytes."""

Size = tuple[int, int]


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise CutShortError("it ends inside a header of its bitstream")
        return self._value >> self._left & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros >= 32:  # noqa: PLR2004 - no field of either standard is longer
                raise DamagedError("a number in its bitstream has more than 32 bits")
        return (1 << zeros) - 1 + self.read(zeros)


def hevc_sizes(configuration: memoryview, content: Iterable[memoryview]) -> Iterator[Size]:
    """Width and height of every sequence parameter set in an `hvcC` box and in the coded bytes.

    Source: ITU-T H.265, 7.3.2.2; ISO/IEC 14496-15, 8.3.3.1. Raises: CutShortError, DamagedError, IndexError.
    """
    at = 23
    for _ in range(configuration[22]):
        count = int.from_bytes(configuration[at + 1 : at + 3])
        at += 3
        for _ in range(min(count, MAX_UNITS)):
            length = int.from_bytes(configuration[at : at + 2])
            yield from _unit_size(configuration[at + 2 : at + 2 + length])
            at += 2 + length
            if at > len(configuration):
                raise CutShortError("it ends inside its configuration")
    yield from _sizes_in_units(b"".join(content), (configuration[21] & 3) + 1)


def _sizes_in_units(data: bytes, prefix_bytes: int) -> Iterator[Size]:
    at = 0
    for _ in range(MAX_UNITS):
        if at + prefix_bytes >= len(data):
            return
        length = int.from_bytes(data[at : at + prefix_bytes])
        start = at + prefix_bytes
        yield from _unit_size(memoryview(data)[start : start + length])
        at = start + length
    raise DamagedError(f"its bitstream has more than {MAX_UNITS} units")


def _unit_size(unit: memoryview) -> Iterator[Size]:
    if len(unit) > 2 and unit[0] >> 1 & 63 == _SPS:  # noqa: PLR2004 - the header of a unit
        yield _sps_size(bytes(unit[2:_HEADER_SEARCH_BYTES]).replace(b"\0\0\3", b"\0\0"))


def _sps_size(body: bytes) -> Size:
    bits = _Bits(body)
    bits.read(4)
    sub_layers = bits.read(3)
    bits.read(1 + 96)
    present = [(bits.read(1), bits.read(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.read(2 * (8 - sub_layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)
    bits.exp_golomb()
    if bits.exp_golomb() == 3:  # noqa: PLR2004 - 4:4:4 may have its colours as separate pictures
        bits.read(1)
    return bits.exp_golomb(), bits.exp_golomb()


def av1_sizes(configuration: memoryview, content: Iterable[memoryview]) -> Iterator[Size]:
    """The largest frame of every sequence header in an `av1C` box and in the coded bytes.

    Source: AV1 bitstream specification, 5.3 and 5.5. Raises: CutShortError, DamagedError, IndexError.
    """
    for data in (bytes(configuration[4:]), b"".join(content)):
        at = 0
        for _ in range(MAX_UNITS):
            if at >= len(data):
                break
            kind, start, length = _obu(data, at)
            if kind == _SEQUENCE_HEADER:
                yield _sequence_size(data[start : start + min(length, _HEADER_SEARCH_BYTES)])
            at = start + length
        else:
            raise DamagedError(f"its bitstream has more than {MAX_UNITS} units")


def _obu(data: bytes, at: int) -> tuple[int, int, int]:
    header = data[at]
    start = at + 1 + (header >> 2 & 1)
    if not header >> 1 & 1:
        return header >> 3 & 15, start, max(0, len(data) - start)
    length = 0
    for position in range(8):
        byte = data[start + position]
        length |= (byte & 127) << 7 * position
        if byte < 128:  # noqa: PLR2004 - the last byte of a number
            return header >> 3 & 15, start + position + 1, length
    raise DamagedError("a length in its bitstream has more than 8 bytes")


def _sequence_size(body: bytes) -> Size:
    bits = _Bits(body)
    bits.read(4)
    if bits.read(1):
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.read(1):  # timing information
        bits.read(64)
        if bits.read(1):
            bits.exp_golomb()
        if bits.read(1):  # decoder model
            delay_bits = bits.read(5) + 1
            bits.read(42)
    has_display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:  # noqa: PLR2004 - levels above 3.3 have a tier
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if has_display_delay and bits.read(1):
            bits.read(4)
