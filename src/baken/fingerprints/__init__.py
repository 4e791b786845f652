"""Everything Baken computes from one file: exact digests of its bytes, the PDQ of its pixels, and its views."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from baken.copies import WORKING_SIDE_PX, ViewSet
from baken.fingerprints.asked import NOTHING_MORE, Asked
from baken.fingerprints.digests import Digests, digests_of
from baken.fingerprints.pdq import pdq_of
from baken.fingerprints.views import bank_views, query_views
from baken.images import DEFAULT_LIMITS, DecodeLimits, Picture, decode, reduced, too_large
from baken.model import MIN_QUALITY_PERCENT, Fingerprints, Unscreenable

__all__ = ["NOTHING_MORE", "Asked", "compute", "fingerprint"]

_CHUNK_BYTES = 1 << 20


def compute(
    data: bytes,
    picture: Picture | Unscreenable,
    *,
    min_quality_percent: int = MIN_QUALITY_PERCENT,
    asked: Asked = NOTHING_MORE,
) -> Fingerprints:
    """The fingerprints of a file and of the picture that `images.decode` made of it.

    A file that cannot be decoded still has its digests. A picture below `min_quality_percent` keeps its `pdq` and says
    `low_quality`; its views are looked at all the same, for a plain frame may hold a rich picture.

    Args:
        data: the file.
        picture: what was decoded of it.
        min_quality_percent: the quality gate, of the picture and of every view.
        asked: what to compute beside digests and PDQ.
    """
    return _combined(digests_of((data,)), picture, min_quality_percent, asked)


def fingerprint(
    path_or_bytes: str | os.PathLike[str] | bytes,
    *,
    exact: bool = True,
    limits: DecodeLimits = DEFAULT_LIMITS,
    asked: Asked = NOTHING_MORE,
) -> Fingerprints:
    """The fingerprints of one picture: `.pdq` (32 bytes), `.quality_percent`, `.sha256`, `.sha1`, `.md5`.

    A bad picture is no error: its `.unscreenable` says why it cannot be compared (`.reason`, `.detail`). A file over
    `limits.max_size_bytes` is digested in pieces and never held in memory.

    Args:
        path_or_bytes: a file's name, or its content.
        exact: decode a JPEG at full size, as entries of a bank are; False is faster from 4 megapixels on and
            a few bits off.
        limits: what a file may ask of this machine.
        asked: what to compute beside digests and PDQ.

    Raises:
        OSError: the file cannot be opened or read (FileNotFoundError, IsADirectoryError, PermissionError).
    """
    if isinstance(path_or_bytes, bytes):
        return compute(path_or_bytes, decode(path_or_bytes, limits=limits, exact=exact), asked=asked)
    with Path(path_or_bytes).open("rb") as file:
        data = file.read(limits.max_size_bytes + 1)
        if len(data) > limits.max_size_bytes:
            return _without_picture(data, file, limits)
    return compute(data, decode(data, limits=limits, exact=exact), asked=asked)


def _without_picture(start: bytes, rest: BinaryIO, limits: DecodeLimits) -> Fingerprints:
    digests = digests_of(_chunks(start, rest))
    return _combined(digests, too_large(rest.tell(), limits), MIN_QUALITY_PERCENT, NOTHING_MORE)


def _chunks(start: bytes, rest: BinaryIO) -> Iterator[bytes]:
    yield start
    while chunk := rest.read(_CHUNK_BYTES):
        yield chunk


def _combined(
    digests: Digests, picture: Picture | Unscreenable, min_quality_percent: int, asked: Asked
) -> Fingerprints:
    if isinstance(picture, Unscreenable):
        return Fingerprints(digests.sha256, digests.sha1, digests.md5, None, None, picture)
    pdq = pdq_of(picture)
    computed = Fingerprints(
        sha256=digests.sha256,
        sha1=digests.sha1,
        md5=digests.md5,
        pdq=pdq.value,
        quality_percent=pdq.quality_percent,
        unscreenable=pdq.unscreenable(min_quality_percent),
        format=picture.format,
        width_px=picture.width_px,
        height_px=picture.height_px,
        pdq_orientations=pdq.orientations,
    )
    return _with_views(computed, picture, min_quality_percent, asked) if asked.is_anything else computed


def _with_views(computed: Fingerprints, picture: Picture, min_quality_percent: int, asked: Asked) -> Fingerprints:
    luma = reduced(picture.luma, WORKING_SIDE_PX)
    queried = query_views(luma, min_quality_percent=min_quality_percent) if asked.query_views else None
    banked = None
    if asked.bank_views is not ViewSet.NONE:
        banked = bank_views(luma, asked.bank_views, min_quality_percent=min_quality_percent)
    kept = luma if asked.working_luma else None
    return replace(computed, query_views=queried, bank_views=banked, working_luma=kept)
