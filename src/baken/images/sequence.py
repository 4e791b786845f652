"""AVIF sequences: the samples of their film, in a file of its own with nothing but them.

Source: ISO/IEC 14496-12 (tracks and sample tables), AV1 Image File Format 1.1, section 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from baken.images.coded_size import av1_sizes
from baken.images.container import CutShortError, DamagedError, UnsupportedError
from baken.images.isobmff import Bytes, box, boxes, first_boxes, full_box

MAX_SAMPLES = 1 << 16
"""Frames of one sequence that are walked; at 30 a second, 36 minutes."""

_TIMES_SCALE = 1000
_FULL = 4
_ENTRY_BYTES = 78  # of a visual sample entry, before the boxes in it
_UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_SMALL_CODED_PIXELS = 1 << 22
_PICTURES = b"pict"


@dataclass(frozen=True, slots=True)
class Sequence:
    """A film of AV1 pictures.

    Attributes:
        width_px: of each.
        height_px: of each.
        samples: the coded bytes of each, at most `MAX_SAMPLES`.
        starts: numbers of those that decoding can start at, sorted; the first is 0.
        configuration: the body of its `av1C` box.
        is_complete: whether these are all.
    """

    width_px: int
    height_px: int
    samples: list[memoryview]
    starts: list[int]
    configuration: memoryview
    is_complete: bool

    def parts(self) -> tuple[Bytes, ...]:
        """A file with one track of these samples, in slices."""
        size = len(self._head(0))
        return self._head(size), *self.samples

    def _head(self, start: int) -> bytes:
        entry = struct.pack(">6xH16xHHIIIH32xHh", 1, self.width_px, self.height_px, 0x480000, 0x480000, 0, 1, 24, -1)
        count = len(self.samples)
        sizes = [len(sample) for sample in self.samples]
        table = box(
            b"stbl",
            full_box(b"stsd", struct.pack(">I", 1), box(b"av01", entry, box(b"av1C", self.configuration))),
            full_box(b"stts", struct.pack(">III", 1, count, 1)),
            full_box(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
            full_box(b"stsz", struct.pack(f">II{count}I", 0, count, *sizes)),
            full_box(b"stco", struct.pack(">II", 1, start)),
            full_box(b"stss", struct.pack(f">I{len(self.starts)}I", len(self.starts), *(n + 1 for n in self.starts))),
        )
        location = box(b"dinf", full_box(b"dref", struct.pack(">I", 1), full_box(b"url ", flags=1)))
        media = box(
            b"mdia",
            full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, _TIMES_SCALE, count, 0x55C4, 0)),
            full_box(b"hdlr", bytes(4), _PICTURES, bytes(13)),
            box(b"minf", full_box(b"vmhd", bytes(8), flags=1), location, table),
        )
        shape = struct.pack(">II", self.width_px << 16, self.height_px << 16)
        track = struct.pack(">IIIII", 0, 0, 1, 0, count) + bytes(16) + _UNITY + shape
        movie = struct.pack(">IIII", 0, 0, _TIMES_SCALE, count) + b"\0\1\0\0\1\0" + bytes(10) + _UNITY + bytes(24)
        moov = box(
            b"moov",
            full_box(b"mvhd", movie, struct.pack(">I", 2)),
            box(b"trak", full_box(b"tkhd", track, flags=7), media),
        )
        files = box(b"ftyp", b"avis", bytes(4), b"avis", b"msf1", b"miaf", b"iso8")
        return files + moov + struct.pack(">I4s", 8 + sum(sizes), b"mdat")


def read_sequence(data: bytes) -> Sequence | None:
    """The film of pictures in a file; None when it has none.

    Raises: DamagedError, CutShortError, UnsupportedError, struct.error and IndexError (cut short).
    """
    view = memoryview(data)
    movie = first_boxes(view, lenient=True).get(b"moov")
    for kind, track in boxes(movie) if movie is not None else ():
        if kind != b"trak":
            continue
        media = first_boxes(first_boxes(track).get(b"mdia", memoryview(b"")))
        if bytes(media.get(b"hdlr", memoryview(bytes(12)))[8:12]) == _PICTURES and b"minf" in media:
            tables = first_boxes(first_boxes(media[b"minf"]).get(b"stbl", memoryview(b"")))
            return _sequence(view, tables)
    return None


def _sequence(view: memoryview, tables: dict[bytes, memoryview]) -> Sequence:
    for name in (b"stsd", b"stsz", b"stsc"):
        if name not in tables:
            raise DamagedError("its film has no table of samples")
    kind, entry = next(boxes(tables[b"stsd"][_FULL + 4 :]), (b"", memoryview(b"")))
    if kind != b"av01":
        raise UnsupportedError("its film is not coded as AV1")
    width, height = struct.unpack_from(">HH", entry, 24)
    configuration = first_boxes(entry[_ENTRY_BYTES:]).get(b"av1C")
    if configuration is None:
        raise DamagedError("its film has no decoder configuration")
    sizes, is_complete = _sizes(tables[b"stsz"])
    samples = _samples(view, sizes, _chunk_offsets(tables), tables[b"stsc"])
    for sample in samples:
        for coded in av1_sizes(configuration, [sample]):
            if coded[0] * coded[1] > max(_SMALL_CODED_PIXELS, 4 * width * height):
                raise DamagedError(
                    f"its bitstream claims {coded[0]} x {coded[1]} pixels, its header {width} x {height}"
                )
    return Sequence(width, height, samples, _starts(tables, len(samples)), configuration, is_complete)


def _sizes(body: memoryview) -> tuple[list[int], bool]:
    same, count = struct.unpack_from(">II", body, _FULL)
    kept = min(count, MAX_SAMPLES)
    return [same] * kept if same else list(struct.unpack_from(f">{kept}I", body, 12)), kept == count


def _chunk_offsets(tables: dict[bytes, memoryview]) -> list[int]:
    wide = b"co64" in tables
    body = tables.get(b"co64" if wide else b"stco", memoryview(bytes(8)))
    (count,) = struct.unpack_from(">I", body, _FULL)
    return list(struct.unpack_from(f">{min(count, MAX_SAMPLES)}{'Q' if wide else 'I'}", body, 8))


def _samples(view: memoryview, sizes: list[int], chunks: list[int], table: memoryview) -> list[memoryview]:
    """The bytes of each sample: chunk after chunk, as many in each as `stsc` says."""
    (runs,) = struct.unpack_from(">I", table, _FULL)
    starts = [struct.unpack_from(">II", table, 8 + 12 * run) for run in range(min(runs, MAX_SAMPLES))]
    samples: list[memoryview] = []
    run, bytes_left = 0, len(view)
    for number, offset in enumerate(chunks, 1):
        while run + 1 < len(starts) and starts[run + 1][0] <= number:
            run += 1
        at = offset
        for size in sizes[len(samples) : len(samples) + (starts[run][1] if starts else 0)]:
            bytes_left -= size
            if at + size > len(view):
                raise CutShortError(f"sample {len(samples)} ends after the file")
            if bytes_left < 0:
                raise DamagedError("its samples are more bytes than the file, because they share them")
            samples.append(view[at : at + size])
            at += size
    if not samples:
        raise DamagedError("its film has no samples")
    return samples


def _starts(tables: dict[bytes, memoryview], count: int) -> list[int]:
    if b"stss" not in tables:
        return list(range(count))
    (listed,) = struct.unpack_from(">I", tables[b"stss"], _FULL)
    numbers = struct.unpack_from(f">{min(listed, MAX_SAMPLES)}I", tables[b"stss"], 8)
    return sorted({0, *(number - 1 for number in numbers if 1 <= number <= count)})
