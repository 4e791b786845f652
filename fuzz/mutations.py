"""Seeded damage to files: random bytes, and changes that know where formats keep their sizes, counts and checksums."""

from __future__ import annotations

import random
import struct
import zlib

EXTREMES = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x80",
    b"\xff\xff",
    b"\0\0",
    b"\0\1",
    b"\1\0",
)
_HEADER_BYTES = 120
_SIGNATURE_BYTES = 12
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def mutated(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """`data` with 1 to 40 changes, some of them bytes of `other`; sometimes cut short, or with its checksums mended."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8, 40))):
        at = rng.randrange(len(changed)) if rng.random() < 0.5 else rng.randrange(min(len(changed), _HEADER_BYTES))
        if rng.random() < 0.9:  # else most files would be of no known kind
            at = max(at, min(_SIGNATURE_BYTES, len(changed) - 1))
        _change(changed, at, rng, other)
        changed = changed or bytearray(b"\0")
    if rng.random() < 0.15:
        del changed[rng.randrange(1, len(changed) + 1) :]
    if changed.startswith(_PNG_SIGNATURE) and rng.random() < 0.8:
        return with_checksums(bytes(changed))
    return bytes(changed)


def _change(changed: bytearray, at: int, rng: random.Random, other: bytes) -> None:
    match rng.randrange(8):
        case 0:
            changed[at] = rng.randrange(256)
        case 1:
            changed[at] ^= 1 << rng.randrange(8)
        case 2:
            extreme = rng.choice(EXTREMES)
            changed[at : at + len(extreme)] = extreme
        case 3:
            del changed[at : at + rng.randrange(1, 40)]
        case 4:
            start = rng.randrange(len(other))
            changed[at:at] = other[start : start + rng.randrange(1, 60)]
        case 5:
            start, length = rng.randrange(len(changed)), rng.randrange(1, 60)
            changed[at : at + length], changed[start : start + length] = (
                changed[start : start + length],
                changed[at : at + length],
            )
        case 6:  # a number that is a little larger or smaller: sizes, counts, offsets
            order = rng.choice("<>")
            if at + 4 <= len(changed):
                (value,) = struct.unpack_from(order + "I", changed, at)
                struct.pack_into(order + "I", changed, at, (value + rng.choice((-1, 1, 2, 8, 255, 65535))) & 0xFFFFFFFF)
        case 7:  # a part once more: chunks, boxes, frames, entries of a directory
            length = rng.choice((8, 12, 16, 64, 300))
            changed[at:at] = changed[at : at + length] * rng.choice((1, 2, 50))


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums that a reader expects, as far as its lengths lead."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        parts.append(data[at:end] + struct.pack(">I", zlib.crc32(data[at + 4 : end])))
        at = end + 4
    return b"".join(parts) + data[at:]
