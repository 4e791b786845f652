"""The binding of `nearest_two` and `pairs_in_reach`: against NumPy, shapes, dtypes and errors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from baken import _native

RNG = np.random.default_rng(11)
CODES = RNG.integers(0, 256, (50, 32), dtype=np.uint8)
OTHERS = np.vstack((CODES[10:40] ^ np.uint8(1), RNG.integers(0, 256, (33, 32), dtype=np.uint8)))
PLACES = RNG.uniform(0, 90, (50, 2)).astype(np.float32)
OTHER_PLACES = np.vstack((PLACES[10:40] + 1, RNG.uniform(0, 90, (33, 2)))).astype(np.float32)


def distances(codes: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bitwise_count(codes[:, None] ^ others[None]).sum(axis=2, dtype=np.int64)


@pytest.fixture(params=_native.instruction_paths())
def _each_path(request: pytest.FixtureRequest):
    before = _native.instruction_path()
    _native.set_instruction_path(request.param)
    yield
    _native.set_instruction_path(before)


@pytest.mark.usefixtures("_each_path")
def test_the_nearest_two_are_those_of_brute_force():
    other_row, distance_bits, second_bits = _native.nearest_two(CODES, OTHERS)
    expected = distances(CODES, OTHERS)
    ordered = np.sort(expected, axis=1)
    assert (other_row.dtype, distance_bits.dtype, second_bits.dtype) == (np.int32, np.int32, np.int32)
    assert np.array_equal(other_row, expected.argmin(axis=1))
    assert np.array_equal(distance_bits, ordered[:, 0])
    assert np.array_equal(second_bits, ordered[:, 1])


@pytest.mark.usefixtures("_each_path")
def test_pairs_are_near_alike_and_each_keypoint_is_in_one_at_most():
    rows, other_rows, distance_bits = _native.pairs_in_reach(PLACES, CODES, OTHER_PLACES, OTHERS, 2.0, 40)
    assert (rows.dtype, other_rows.dtype, distance_bits.dtype) == (np.int64, np.int64, np.int32)
    assert sorted(zip(rows.tolist(), other_rows.tolist(), strict=True)) == [(row, row - 10) for row in range(10, 40)]
    assert np.array_equal(distance_bits, distances(CODES, OTHERS)[rows, other_rows])
    assert np.array_equal(np.lexsort((rows, distance_bits)), np.arange(30))


def test_no_code_has_no_nearest_and_no_pair():
    none, nowhere = np.empty((0, 32), np.uint8), np.empty((0, 2), np.float32)
    assert [column.shape for column in _native.nearest_two(none, OTHERS)] == [(0,)] * 3
    assert [column.shape for column in _native.pairs_in_reach(nowhere, none, PLACES, CODES, 3, 80)] == [(0,)] * 3


def test_a_place_that_is_not_finite_is_in_no_pair():
    places = PLACES.copy()
    places[3], places[9, 1] = np.nan, np.inf
    rows, other_rows, _ = _native.pairs_in_reach(places, CODES, PLACES, CODES, 0.01, 0)
    assert sorted(rows) == sorted(other_rows) == [row for row in range(50) if row not in (3, 9)]


def test_codes_of_the_wrong_dtype_shape_or_count_are_refused_by_name():
    with pytest.raises(TypeError, match=r"codes: got an array of int64"):
        _native.nearest_two(CODES.astype(np.int64), OTHERS)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="others: got NoneType"):
        _native.nearest_two(CODES, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"codes: got shape \(50, 16\), expected uint8\[N, 32\]"):
        _native.nearest_two(CODES[:, :16], OTHERS)
    with pytest.raises(ValueError, match="codes: got an array with gaps"):
        _native.nearest_two(CODES[::2], OTHERS)
    with pytest.raises(ValueError, match="others: got 1 codes, expected 2 to 4194303"):
        _native.nearest_two(CODES, OTHERS[:1])


def test_places_of_the_wrong_dtype_or_number_and_numbers_out_of_range_are_refused_by_name():
    with pytest.raises(TypeError, match=r"places: got an array of float64"):
        _native.pairs_in_reach(PLACES.astype(np.float64), CODES, PLACES, CODES, 3, 80)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="other_places: got 9 places and 50 codes"):
        _native.pairs_in_reach(PLACES, CODES, PLACES[:9], CODES, 3, 80)
    with pytest.raises(ValueError, match="other_places: row 0 is not finite"):
        _native.pairs_in_reach(PLACES, CODES, np.full_like(PLACES, np.nan), CODES, 3, 80)
    with pytest.raises(ValueError, match="reach_px: got 0"):
        _native.pairs_in_reach(PLACES, CODES, PLACES, CODES, 0, 80)
    with pytest.raises(ValueError, match="radius_bits: got 300"):
        _native.pairs_in_reach(PLACES, CODES, PLACES, CODES, 3, 300)
