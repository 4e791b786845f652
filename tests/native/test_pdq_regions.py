"""The binding of `pdq_regions`: shapes, dtypes and errors; what it computes is tested in native/tests."""

from __future__ import annotations

import numpy as np
import pytest

from baken import _native

LUMA = np.random.default_rng(3).integers(0, 256, (60, 80), dtype=np.uint8)
WHOLE = [0.0, 0.0, 1.0, 1.0, 0.0]


def test_each_region_has_eight_codes_and_a_quality():
    codes, quality = _native.pdq_regions(LUMA, np.array([WHOLE, [0.1, 0.1, 0.9, 0.9, 5.0]]))
    assert (codes.shape, codes.dtype) == ((2, 8, 32), np.uint8)
    assert (quality.shape, quality.dtype) == ((2,), np.uint8)


def test_no_region_gives_no_code():
    codes, quality = _native.pdq_regions(LUMA, np.empty((0, 5)))
    assert codes.shape == (0, 8, 32)
    assert quality.shape == (0,)


def test_rows_may_be_apart_in_memory():
    part = LUMA[5:50, 10:70]
    regions = np.array([WHOLE, [0.2, 0.3, 0.8, 0.7, -9.0]])
    apart, together = (_native.pdq_regions(luma, regions)[0] for luma in (part, np.ascontiguousarray(part)))
    assert np.array_equal(apart, together)


@pytest.mark.parametrize(
    ("regions", "error", "words"),
    [
        (np.array([WHOLE], np.float32), TypeError, "regions"),
        (np.zeros((2, 4)), ValueError, "left, top, right, bottom and tilt"),
        (np.zeros(5), ValueError, "float64\\[N, 5\\]"),
        (np.array([[0.5, 0.0, 0.5, 1.0, 0.0]]), ValueError, "left < right"),
        (np.array([[0.0, 0.0, 1.0, np.nan, 0.0]]), ValueError, "finite"),
    ],
)
def test_bad_regions_are_refused_with_words(regions: np.ndarray, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        _native.pdq_regions(LUMA, regions)


def test_bad_pictures_are_refused_with_words():
    regions = np.array([WHOLE])
    with pytest.raises(TypeError, match="luma"):
        _native.pdq_regions(LUMA.astype(np.float32), regions)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one pixel"):
        _native.pdq_regions(LUMA[:0], regions)
    with pytest.raises(ValueError, match="gaps between the pixels"):
        _native.pdq_regions(LUMA[:, ::2], regions)
