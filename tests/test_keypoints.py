"""Keypoints: the same every time, spread over the picture, kept as bytes that cannot be damaged unseen."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baken import samples
from baken.copies import WORKING_SIDE_PX
from baken.errors import InvalidValueError
from baken.fingerprints import keypoints as kp
from baken.fingerprints.keypoints import Keypoints, from_bytes, keypoints_of, to_bytes


def luma_of(seed: int, size: tuple[int, int] = (1024, 768)) -> NDArray[np.uint8]:
    return np.asarray(samples.draw(seed, size).convert("L"))


def same(some: Keypoints, other: Keypoints) -> bool:
    return (some.width_px, some.height_px) == (other.width_px, other.height_px) and all(
        np.array_equal(getattr(some, name), getattr(other, name))
        for name in ("positions", "angles_degrees", "octaves", "descriptors")
    )


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


KEPT = to_bytes(keypoints_of(luma_of(1)))


def test_a_large_picture_gives_the_keypoints_of_its_working_size():
    luma = luma_of(2)
    found = keypoints_of(luma)
    assert (found.width_px, found.height_px) == (WORKING_SIDE_PX, 384)
    assert same(found, keypoints_of(kp.working_luma_of(luma)))
    assert len(found) == kp.MAX_KEYPOINTS
    assert (found.positions >= 0).all()
    assert (found.positions < (found.width_px, found.height_px)).all()


def test_keypoints_are_the_same_in_many_threads_at_once():
    lumas = [luma_of(seed, (640, 480)) for seed in range(6)]
    alone = [keypoints_of(luma) for luma in lumas]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(keypoints_of, lumas * 4))
    assert all(same(alone[number % len(lumas)], found) for number, found in enumerate(together))


def test_keypoints_lie_all_over_the_picture_and_not_on_its_strongest_corner():
    luma = np.tile(np.linspace(90, 110, 512, dtype=np.uint8), (512, 1))
    rng = np.random.default_rng(5)
    for y, x in np.ndindex(8, 8):
        luma[y * 64 + 20 : y * 64 + 40, x * 64 + 20 : x * 64 + 40] += 12
    luma[:128, :128] = rng.integers(0, 256, (128, 128))
    found = keypoints_of(luma)
    in_the_corner = (found.positions < 128).all(axis=1).mean()
    assert in_the_corner < 0.5


def test_a_picture_without_corners_or_too_small_has_none():
    assert len(keypoints_of(np.full((300, 400), 120, np.uint8))) == 0
    rng = np.random.default_rng(1)
    for size in ((1, 1), (39, 500), (5, 512)):
        assert len(keypoints_of(rng.integers(0, 256, size).astype(np.uint8))) == 0


def test_the_mirrored_picture_has_nearly_the_keypoints_computed_in_the_mirror():
    luma = kp.working_luma_of(luma_of(3))
    mirrored = kp.mirrored_keypoints_of(luma, keypoints_of(luma))
    rows, descriptors = kp.descriptors_at(np.ascontiguousarray(luma[:, ::-1]), mirrored)
    assert len(mirrored) > 0.9 * kp.MAX_KEYPOINTS
    assert np.array_equal(descriptors, mirrored.descriptors[rows])


def test_kept_keypoints_describe_their_own_picture_to_the_bit():
    luma = luma_of(4)
    kept = from_bytes(to_bytes(keypoints_of(luma)))
    rows, descriptors = kp.descriptors_at(kp.working_luma_of(luma), kept)
    assert len(rows) == len(kept)
    assert np.array_equal(descriptors, kept.descriptors)


@pytest.mark.parametrize("luma", [np.zeros((10, 10, 3), np.uint8), np.zeros((0, 9), np.uint8), np.zeros(9, np.uint8)])
def test_an_array_that_is_no_greyscale_picture_is_refused(luma: NDArray[np.uint8]):
    with pytest.raises(ValueError, match="shape"):
        keypoints_of(luma)


def test_an_array_that_is_not_of_bytes_is_refused():
    with pytest.raises(TypeError, match="float64"):
        keypoints_of(np.zeros((50, 50)))  # type: ignore[arg-type]


def test_bytes_hold_exactly_the_keypoints_in_under_20_kilobytes():
    for luma in (luma_of(5), np.full((60, 60), 9, np.uint8)):
        found = keypoints_of(luma)
        written = to_bytes(found)
        assert len(written) < 20_000
        assert same(from_bytes(written), found)


def test_more_keypoints_than_are_kept_are_not_written():
    found = keypoints_of(luma_of(6), limit=800)
    assert len(found) > kp.MAX_KEYPOINTS
    with pytest.raises(ValueError, match="at most 500"):
        to_bytes(found)


@given(position=st.integers(0, len(KEPT) - 1), change=st.integers(1, 255))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_a_changed_byte_is_always_noticed(position: int, change: int):
    damaged = bytearray(KEPT)
    damaged[position] ^= change
    with pytest.raises(InvalidValueError) as failure:
        from_bytes(bytes(damaged))
    assert failure.value.hint


@given(length=st.integers(0, len(KEPT) - 1))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_bytes_that_are_cut_off_are_always_noticed(length: int):
    with pytest.raises(InvalidValueError):
        from_bytes(KEPT[:length])


@given(body=st.binary(max_size=200), header=st.binary(max_size=12))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_bytes_with_a_right_checksum_are_keypoints_or_a_clear_error(body: bytes, header: bytes):
    try:
        found = from_bytes(sealed(b"BKKP\x01" + header + body))
    except InvalidValueError as error:
        assert error.message  # noqa: PT017 - either outcome is right
    else:
        assert (found.positions < (found.width_px, found.height_px)).all()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (sealed(b"NOPE" + KEPT[4:-4]), "NOPE"),
        (sealed(KEPT[:4] + b"\x02" + KEPT[5:-4]), "version 2"),
        (sealed(struct.pack("<4sBxHHH", b"BKKP", 1, 513, 10, 0)), "513 x 10"),
        (
            sealed(struct.pack("<4sBxHHH", b"BKKP", 1, 10, 10, 1) + struct.pack("<HHBB", 640, 0, 0, 0) + bytes(32)),
            "10 x 10",
        ),
        (
            sealed(struct.pack("<4sBxHHH", b"BKKP", 1, 10, 10, 1) + struct.pack("<HHBB", 0, 0, 0, 8) + bytes(32)),
            "octave",
        ),
        (sealed(struct.pack("<4sBxHHH", b"BKKP", 1, 10, 10, 501) + bytes(38 * 501)), "501 keypoints"),
    ],
)
def test_an_error_names_what_is_wrong_with_the_bytes(data: bytes, said: str):
    with pytest.raises(InvalidValueError, match=said):
        from_bytes(data)
