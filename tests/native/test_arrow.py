"""Pixels read where their decoder put them."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from PIL import Image

from baken._native import arrow_uint8


def noise(width_px: int, height_px: int) -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 256, (height_px, width_px), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (1023, 511)])
def test_a_picture_is_seen_without_a_copy(size: tuple[int, int]):
    picture = noise(*size)
    seen = arrow_uint8(picture)
    assert np.array_equal(seen.reshape(picture.height, picture.width), np.asarray(picture))
    assert not seen.flags.owndata
    assert not seen.flags.writeable


def test_the_view_outlives_the_picture():
    picture = noise(640, 480)
    expected = np.array(picture)
    seen = arrow_uint8(picture)
    del picture
    gc.collect()
    Image.new("L", (640, 480), 255)  # would take the memory if it were free
    assert np.array_equal(seen, expected.ravel())


@pytest.mark.parametrize("mode", ["RGB", "F", "I;16"])
def test_another_type_is_refused(mode: str):
    with pytest.raises(ValueError, match="expected uint8 without nulls"):
        arrow_uint8(Image.new(mode, (8, 8)))


def test_memory_in_several_pieces_is_refused():
    with pytest.raises(ValueError, match="contiguous"):
        arrow_uint8(Image.new("L", (8000, 8000)))


def test_what_exports_nothing_is_refused():
    with pytest.raises(AttributeError, match="__arrow_c_array__"):
        arrow_uint8(object())
