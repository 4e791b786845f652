"""Everything Baken computes from one file: exact digests of its bytes, the PDQ of its pictures, and their views."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from baken.copies import NO_VIEWS, ViewSet
from baken.fingerprints.asked import NOTHING_MORE, Asked
from baken.fingerprints.digests import Digests, digests_of
from baken.fingerprints.pictures import Pictures, pictures_of
from baken.fingerprints.views import bank_views, query_views, with_banked_frames, with_pictures
from baken.images import DEFAULT_LIMITS, DecodeLimits, Frames, Picture, decode, further_frames, too_large
from baken.model import MIN_QUALITY_PERCENT, Fingerprints, Unscreenable
from baken.videos import Film

__all__ = ["NOTHING_MORE", "Asked", "compute", "compute_film", "fingerprint"]

_CHUNK_BYTES = 1 << 20


def compute(
    data: bytes,
    picture: Picture | Unscreenable | None,
    frames: Frames | Unscreenable | None = None,
    *,
    min_quality_percent: int = MIN_QUALITY_PERCENT,
    asked: Asked = NOTHING_MORE,
) -> Fingerprints:
    """The fingerprints of a file and of the pictures that `images` made of it.

    A file that cannot be decoded still has its digests. The PDQ is that of the leading picture: the first that is rich
    enough. One below `min_quality_percent` keeps its `pdq` and says `low_quality`; its views are looked at all the
    same, for a plain frame may hold a rich picture.

    Args:
        data: the file.
        picture: its first picture, as `images.decode` gives it; None for a film, which has frames alone.
        frames: where it has more, as `images.further_frames` gives them.
        min_quality_percent: the quality gate, of every picture and of every view.
        asked: what to compute beside digests and PDQ.
    """
    pictures = pictures_of(picture, frames, asked, min_quality_percent)
    return _combined(digests_of((data,)), pictures, min_quality_percent, asked)


def compute_film(
    file: BinaryIO,
    film: Film | Unscreenable,
    *,
    min_quality_percent: int = MIN_QUALITY_PERCENT,
    asked: Asked = NOTHING_MORE,
) -> Fingerprints:
    """The fingerprints of a video and of the frames of it that are looked at; its bytes are read in pieces.

    Args:
        file: the video, seekable.
        film: what `videos.opened_video` made of it.
        min_quality_percent: the quality gate, of every frame and of every view.
        asked: what to compute beside digests and PDQ; a film's own limits say how many frames.
    """
    pictures = film if isinstance(film, Unscreenable) else pictures_of(None, film, asked, min_quality_percent)
    file.seek(0)
    return _combined(digests_of(_chunks(b"", file)), pictures, min_quality_percent, asked)


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
        return _of_bytes(path_or_bytes, exact, limits, asked)
    with Path(path_or_bytes).open("rb") as file:
        data = file.read(limits.max_size_bytes + 1)
        if len(data) > limits.max_size_bytes:
            return _without_picture(data, file, limits)
    return _of_bytes(data, exact, limits, asked)


def _of_bytes(data: bytes, exact: bool, limits: DecodeLimits, asked: Asked) -> Fingerprints:
    picture = decode(data, limits=limits, exact=exact)
    frames = further_frames(data, picture, limits=limits) if asked.max_frames else None
    return compute(data, picture, frames, asked=asked)


def _without_picture(start: bytes, rest: BinaryIO, limits: DecodeLimits) -> Fingerprints:
    digests = digests_of(_chunks(start, rest))
    return _combined(digests, too_large(rest.tell(), limits), MIN_QUALITY_PERCENT, NOTHING_MORE)


def _chunks(start: bytes, rest: BinaryIO) -> Iterator[bytes]:
    yield start
    while chunk := rest.read(_CHUNK_BYTES):
        yield chunk


def _combined(
    digests: Digests, pictures: Pictures | Unscreenable, min_quality_percent: int, asked: Asked
) -> Fingerprints:
    if isinstance(pictures, Unscreenable):
        return Fingerprints(digests.sha256, digests.sha1, digests.md5, None, None, pictures)
    leading, *others = pictures.shown
    width_px, height_px = leading.size_px
    computed = Fingerprints(
        sha256=digests.sha256,
        sha1=digests.sha1,
        md5=digests.md5,
        pdq=leading.pdq.value,
        quality_percent=leading.pdq.quality_percent,
        unscreenable=leading.pdq.unscreenable(min_quality_percent),
        format=pictures.format,
        width_px=width_px,
        height_px=height_px,
        pdq_orientations=leading.pdq.orientations,
        frame=leading.frame,
        unseen=pictures.unseen,
    )
    queried = banked = None
    if asked.max_frames and asked.bank_views is ViewSet.NONE and others:
        queried = with_pictures(NO_VIEWS, others, min_quality_percent=min_quality_percent)
    if not asked.needs_luma:
        return replace(computed, query_views=queried)
    if asked.query_views:
        queried = query_views(leading.luma, leading.frame, min_quality_percent=min_quality_percent)
        queried = with_pictures(queried, others, min_quality_percent=min_quality_percent)
    if asked.bank_views is not ViewSet.NONE:
        banked = bank_views(leading.luma, asked.bank_views, min_quality_percent=min_quality_percent)
        banked = with_banked_frames(banked, others, min_quality_percent=min_quality_percent)
    kept = asked.working_luma
    return replace(
        computed,
        query_views=queried,
        bank_views=banked,
        working_luma=leading.luma if kept else None,
        frame_lumas=tuple((each.frame, each.luma) for each in others if each.luma.size)
        if kept and asked.query_views
        else (),
    )
