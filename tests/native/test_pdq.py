"""The native PDQ against `pdqhash` (Meta's reference code behind Python) on drawn textures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pdqhash  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baken import _native

Luma = NDArray[np.uint8]

# Ours and the reference's sums differ in the last bits of a float, so coefficients nearest the median may swap sides,
# in pairs: one comes above it for each that goes below. In 26,885 textures of quality 80 and more none did.
MAX_DISTANCE_BITS = 4

# Shrinking a side of 8 or 16 pixels repeats each pixel evenly. That makes whole lines of coefficients zero but for
# rounding, and rounding then decides their bits, in the reference too.
UNDECIDED_SIDES_PX = (8, 16)


def layer(height_px: int, width_px: int, cells: int, seed: int) -> NDArray[np.int64]:
    # Integers and a digest only: the same pixels on every machine and with every NumPy, as golden values need.
    digest = hashlib.shake_128(f"{seed}/{cells}".encode()).digest((cells + 1) ** 2)
    grid = np.frombuffer(digest, np.uint8).astype(np.int64).reshape(cells + 1, cells + 1)
    y, y_part = np.divmod(np.arange(height_px) * cells * 256 // height_px, 256)
    x, x_part = np.divmod(np.arange(width_px) * cells * 256 // width_px, 256)
    rows = grid[y] * (256 - y_part)[:, None] + grid[y + 1] * y_part[:, None]
    blended: NDArray[np.int64] = rows[:, x] * (256 - x_part) + rows[:, x + 1] * x_part
    return blended


def texture(height_px: int, width_px: int, seed: int, levels: int = 256) -> Luma:
    total = np.sum([layer(height_px, width_px, cells, seed) for cells in (3, 7, 13, 29)], axis=0)
    low, high = int(total.min()), int(total.max())
    stretched: NDArray[np.int64] = (total - low) * (levels - 1) // max(high - low, 1)
    return np.ascontiguousarray(stretched, dtype=np.uint8)


def reference(luma: Luma) -> tuple[NDArray[np.uint8], int]:
    bits, quality_percent = pdqhash.compute(np.stack([luma] * 3, axis=2))
    return np.packbits(bits.astype(np.uint8)), quality_percent


def distance_bits(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> int:
    return int(np.unpackbits(left ^ right).sum())


def turned(luma: Luma, transform: int) -> Luma:
    """`luma` with the transform of that index in `model.Transform` done to it."""
    start = luma[:, ::-1] if transform >= 4 else luma
    return np.ascontiguousarray(np.rot90(start, -(transform % 4)))


@pytest.fixture(autouse=True)
def restored_path() -> Iterator[None]:
    before = _native.instruction_path()
    yield
    _native.set_instruction_path(before)


# Recorded with pdqhash 0.2.8, from the root of the repository:
# PYTHONPATH=src:tests/native python -c "import test_pdq as t; [print(p, c.tobytes().hex(), q)
#   for p in t.GOLDEN for c, q in [t.reference(t.texture(*p))]]"
GOLDEN = {
    (64, 64, 1, 256): ("d7ba833f96027e463c64a35ca5b8d5e31a6eb7006cd6b234c523d39a63a418be", 100),
    (5, 5, 2, 20): ("9e27348d61d8cb72c1f091a4de376e5b348d348d9e27b48d61d8cb72cb7291a4", 8),
    (7, 300, 3, 40): ("1ab9b3f1c4564c1e65cf9bd9fa29bacf88544d3077ab453005d6602e1ab8b3e1", 33),
    (63, 65, 4, 40): ("c04dce391b2b7c0d3839403bfded6dd8350118b48257c18ad78ed8a7fff01e61", 28),
    (128, 128, 5, 30): ("db45bfc43f60c767c73c69a7bec1b0a8288254433e53da387da3906e3b2cc311", 18),
    (129, 257, 6, 50): ("2724bb48b927df430c62b2a1a835578b05fb7b92d747ba69643195148bad273b", 37),
    (480, 640, 7, 60): ("d80ca188995f23d9052ed7ae42b80aedc589b37be70e28fc0523d1b9af95ecc6", 50),
    (756, 1008, 8, 80): ("4e8b9677b7538e97646ef0f3e609e81e8a87c1d9c484388638a13bee24e74d31", 89),
    (1500, 1000, 9, 256): ("ad9bc9f065e018d494eca9e0774b52b66c76d200b8f655afab4bb0c3f68e8846", 100),
}


@pytest.mark.parametrize("picture", GOLDEN)
def test_golden_codes_and_qualities_come_out(picture: tuple[int, int, int, int]) -> None:
    orientations, quality_percent = _native.pdq(texture(*picture))
    assert (orientations[0].tobytes().hex(), quality_percent) == GOLDEN[picture]


@pytest.mark.parametrize("path", _native.instruction_paths())
@given(height_px=st.integers(5, 700), width_px=st.integers(5, 700), seed=st.integers(0, 1 << 30))
@example(height_px=5, width_px=5, seed=0)
@example(height_px=5, width_px=700, seed=0)
@example(height_px=64, width_px=64, seed=0)
@example(height_px=63, width_px=65, seed=0)
@example(height_px=128, width_px=129, seed=0)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_code_and_quality_equal_the_reference(path: str, height_px: int, width_px: int, seed: int) -> None:
    _native.set_instruction_path(path)
    luma = texture(height_px, width_px, seed)
    orientations, quality_percent = _native.pdq(luma)
    expected, expected_quality_percent = reference(luma)
    assert abs(quality_percent - expected_quality_percent) <= 1
    if expected_quality_percent >= 80 and height_px not in UNDECIDED_SIDES_PX and width_px not in UNDECIDED_SIDES_PX:
        assert distance_bits(orientations[0], expected) <= MAX_DISTANCE_BITS


@given(height_px=st.integers(5, 128), width_px=st.integers(5, 128), seed=st.integers(0, 1 << 30))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_unblurred_pictures_give_the_very_bits_of_the_reference(height_px: int, width_px: int, seed: int) -> None:
    luma = texture(height_px, width_px, seed)
    orientations, quality_percent = _native.pdq(luma)
    expected, expected_quality_percent = reference(luma)
    assert (orientations[0].tobytes(), quality_percent) == (expected.tobytes(), expected_quality_percent)


def test_textures_have_the_quality_that_the_comparison_asks_for() -> None:
    qualities = [_native.pdq(texture(60 + 20 * seed, 700 - 20 * seed, seed))[1] for seed in range(30)]
    assert sum(quality_percent >= 80 for quality_percent in qualities) >= 25


@pytest.mark.parametrize("transform", range(8))
@pytest.mark.parametrize("size", [(97, 64), (255, 256), (256, 384), (301, 511), (756, 1008)])
def test_row_i_is_the_code_of_the_original_when_transform_i_was_done(size: tuple[int, int], transform: int) -> None:
    for seed in range(4):
        original = texture(*size, seed)
        expected, quality_percent = reference(original)
        assert quality_percent >= 80
        orientations, _ = _native.pdq(turned(original, transform))
        assert distance_bits(orientations[transform], expected) <= MAX_DISTANCE_BITS


def test_the_eight_codes_of_a_texture_are_far_apart() -> None:
    orientations, _ = _native.pdq(texture(300, 400, 1))
    assert min(distance_bits(orientations[i], orientations[j]) for i in range(8) for j in range(i)) > 64


@given(height_px=st.integers(5, 700), width_px=st.integers(5, 700), seed=st.integers(0, 1 << 30))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_instruction_path_gives_the_same_bits(height_px: int, width_px: int, seed: int) -> None:
    luma = texture(height_px, width_px, seed)
    results = []
    for path in _native.instruction_paths():
        _native.set_instruction_path(path)
        orientations, quality_percent = _native.pdq(luma)
        results.append((orientations.tobytes(), quality_percent))
    assert len(set(results)) == 1


def test_threads_give_what_one_thread_gives() -> None:
    pictures = [texture(200 + 7 * seed, 500 - 11 * seed, seed) for seed in range(32)]
    serial = [_native.pdq(luma)[0].tobytes() for luma in pictures]
    with ThreadPoolExecutor(4) as pool:
        threaded = [orientations.tobytes() for orientations, _ in pool.map(_native.pdq, pictures * 4)]
    assert threaded == serial * 4


def test_views_with_rows_apart_give_the_code_of_their_copy() -> None:
    sheet = texture(400, 600, 3)
    for view in (sheet[50:350, 100:500], sheet[::-1], sheet[::2], sheet[10:11].repeat(9, axis=0)[:, 3:]):
        expected, expected_quality_percent = _native.pdq(np.ascontiguousarray(view))
        orientations, quality_percent = _native.pdq(view)
        assert np.array_equal(orientations, expected)
        assert quality_percent == expected_quality_percent


def test_a_read_only_picture_is_taken_and_left_as_it_was() -> None:
    luma = texture(90, 90, 4)
    before = luma.copy()
    luma.setflags(write=False)
    assert np.array_equal(_native.pdq(luma)[0], _native.pdq(before)[0])
    assert np.array_equal(luma, before)


def test_a_result_outlives_the_picture() -> None:
    luma = texture(90, 90, 5)
    orientations, _ = _native.pdq(luma)
    before = orientations.tobytes()
    luma[:] = 0
    del luma
    assert orientations.tobytes() == before
    assert orientations.shape == (8, 32)
    assert orientations.dtype == np.uint8


@pytest.mark.parametrize("level", [0, 200, 255])
def test_a_flat_picture_has_no_quality(level: int) -> None:
    assert _native.pdq(np.full((123, 456), level, np.uint8))[1] == 0


@pytest.mark.parametrize(
    "luma", [None, [[1, 2], [3, 4]], "text", np.zeros((9, 9), np.float32), np.zeros((9, 9), np.bool_)]
)
def test_what_is_no_uint8_array_is_refused_with_the_remedy(luma: object) -> None:
    with pytest.raises(TypeError, match=r"luma: got .*, expected a NumPy array uint8\[H, W\]; convert it"):
        _native.pdq(luma)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(), (9,), (9, 9, 3)])
def test_another_number_of_dimensions_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"luma: got shape \(.*\), expected uint8\[H, W\]; reshape"):
        _native.pdq(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("shape", "side"), [((4, 9), "height"), ((9, 4), "width"), ((0, 9), "height"), ((9, 0), "width")]
)
def test_a_side_below_five_pixels_is_refused(shape: tuple[int, int], side: str) -> None:
    with pytest.raises(ValueError, match=rf"{side}: got {min(shape)} px, expected at least 5"):
        _native.pdq(np.zeros(shape, np.uint8))


def test_gaps_between_the_pixels_of_a_row_are_refused_with_the_remedy() -> None:
    sheet = texture(40, 60, 6)
    for view in (sheet[:, ::2], sheet[:, ::-1], sheet.T):
        with pytest.raises(ValueError, match=r"luma: got an array with gaps .* numpy\.ascontiguousarray"):
            _native.pdq(view)


def test_an_unknown_instruction_path_is_refused_and_changes_nothing() -> None:
    before = _native.instruction_path()
    with pytest.raises(ValueError, match="instruction path: got 'mmx', expected one of scalar"):
        _native.set_instruction_path("mmx")
    assert _native.instruction_path() == before


def test_the_fastest_path_of_the_machine_is_the_one_in_use() -> None:
    assert _native.instruction_paths()[0] == "scalar"
    assert _native.instruction_path() == _native.instruction_paths()[-1]
