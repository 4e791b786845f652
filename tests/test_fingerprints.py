"""`fingerprint` and `compute`: what is in the bytes and in the pixels, and what is said when there is no picture."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from PIL import Image

import picture_files
from baken import samples
from baken.fingerprints import compute, fingerprint
from baken.images import DecodeLimits, decode
from baken.model import FingerprintKind, Transform, UnscreenableReason
from baken.samples_files import encoded

ORIGINAL = picture_files.original()
JPEG = encoded(ORIGINAL, "JPEG", quality=90)
SMALL_LIMIT = DecodeLimits(max_size_bytes=10_000)
TRANSFORMS = list(Transform)
COPIES = list(samples.altered_copies(ORIGINAL))
BROKEN = list(samples.broken_files())


def distances_to(image: Image.Image, orientations: np.ndarray) -> list[int]:
    bits, _ = pdqhash.compute(np.asarray(image.convert("RGB")))
    return (np.unpackbits(orientations, axis=1) != bits.astype(np.uint8)).sum(axis=1).tolist()


def test_a_picture_has_all_its_fingerprints():
    prints = fingerprint(JPEG)
    bits, quality = pdqhash.compute(np.asarray(Image.open(BytesIO(JPEG)).convert("RGB")))
    assert prints.sha256 == hashlib.sha256(JPEG).digest()
    assert prints.sha1 == hashlib.sha1(JPEG, usedforsecurity=False).digest()
    assert prints.md5 == hashlib.md5(JPEG, usedforsecurity=False).digest()
    assert prints.pdq is not None
    assert (np.unpackbits(np.frombuffer(prints.pdq, np.uint8)) != bits).sum() <= 4
    assert prints.quality_percent == quality
    assert prints.unscreenable is None
    assert (prints.format, prints.width_px, prints.height_px) == ("jpeg", *ORIGINAL.size)
    assert [digest.kind for digest in prints.digests()] == [
        FingerprintKind.SHA256,
        FingerprintKind.SHA1,
        FingerprintKind.MD5,
    ]


def test_the_first_orientation_is_the_fingerprint_itself():
    prints = fingerprint(JPEG)
    assert prints.pdq_orientations is not None
    assert prints.pdq_orientations.shape == (8, 32)
    assert bytes(prints.pdq_orientations[0]) == prints.pdq


def test_a_path_a_string_and_bytes_give_the_same(tmp_path: Path):
    path = tmp_path / "holiday.txt"
    path.write_bytes(JPEG)
    assert fingerprint(path) == fingerprint(str(path)) == fingerprint(JPEG)


@pytest.mark.parametrize(("name", "suffix", "data"), COPIES, ids=[name for name, *_ in COPIES])
def test_altered_copies_are_found_and_say_how_they_were_turned(name: str, suffix: str, data: bytes, tmp_path: Path):
    path = tmp_path / (name + suffix)
    path.write_bytes(data)
    for exact in (True, False):
        prints = fingerprint(path, exact=exact)
        assert prints.quality_percent is not None
        assert prints.quality_percent >= 80
        assert prints.pdq_orientations is not None
        distances = distances_to(ORIGINAL, prints.pdq_orientations)
        expected = Transform.MIRRORED if name == "mirrored" else Transform.IDENTITY
        assert distances[TRANSFORMS.index(expected)] <= 10
        assert sorted(distances)[1] > 60


def test_a_plain_picture_keeps_its_pdq_and_says_low_quality():
    prints = fingerprint(encoded(samples.draw_flat(1), "PNG"))
    assert prints.unscreenable is not None
    assert prints.unscreenable.reason is UnscreenableReason.LOW_QUALITY
    assert f"quality {prints.quality_percent} of 50" in prints.unscreenable.detail
    assert prints.pdq is not None
    assert len(prints.pdq) == 32


def test_the_quality_gate_is_the_callers_and_includes_its_own_value():
    flat = encoded(samples.draw_flat(1), "PNG")
    picture = decode(flat)
    quality = compute(flat, picture).quality_percent
    assert quality is not None
    assert compute(flat, picture, min_quality_percent=quality).unscreenable is None
    assert compute(flat, picture, min_quality_percent=quality + 1).unscreenable is not None


@pytest.mark.parametrize(("name", "data"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_file_still_has_its_digests(name: str, data: bytes, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(data)
    prints = fingerprint(path)
    assert prints.unscreenable is not None
    assert prints.pdq is None
    assert prints.quality_percent is None
    assert prints.pdq_orientations is None
    assert prints.sha256 == hashlib.sha256(data).digest()


def test_a_file_over_the_limit_is_digested_without_being_held(tmp_path: Path):
    data = bytes(3 << 20) + JPEG
    path = tmp_path / "long.jpg"
    path.write_bytes(data)
    prints = fingerprint(path, limits=SMALL_LIMIT)
    assert prints.sha256 == hashlib.sha256(data).digest()
    assert prints.md5 == hashlib.md5(data, usedforsecurity=False).digest()
    assert prints.unscreenable is not None
    assert prints.unscreenable.reason is UnscreenableReason.TOO_LARGE
    assert str(len(data)) in prints.unscreenable.detail
    assert prints == fingerprint(data, limits=SMALL_LIMIT)


def test_a_missing_file_and_a_folder_are_the_callers_errors(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "nowhere.jpg")
    with pytest.raises(IsADirectoryError):
        fingerprint(tmp_path)


def test_threads_give_what_one_thread_gives():
    files = [data for _, _, data in samples.altered_copies(ORIGINAL)] * 4
    serial = [fingerprint(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fingerprint, files)) == serial
