"""The check of a candidate: an altered copy is told from another picture, without the banked picture's pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from baken import samples
from baken.checking import Banked, CheckedItem, check
from baken.fingerprints.keypoints import keypoints_of


def item_of(image: Image.Image) -> CheckedItem:
    return CheckedItem(np.asarray(image.convert("L")))


def banked_of(image: Image.Image) -> Banked:
    return Banked(keypoints_of(np.asarray(image.convert("L"))), *image.size)


@pytest.mark.parametrize("seed", range(10))
def test_a_picture_is_the_same_as_itself_all_of_it(seed: int):
    picture = samples.draw(seed)
    evidence = check(item_of(picture), banked_of(picture))
    assert evidence.is_same
    assert evidence.overlap_fraction == pytest.approx(1.0, abs=0.01)
    assert evidence.correlation > 0.95
    assert np.allclose(evidence.corners, ((0, 0), (1, 0), (1, 1), (0, 1)), atol=0.01)


@pytest.mark.parametrize("seed", range(10))
def test_a_crop_says_how_much_is_left_and_where(seed: int):
    picture = samples.draw(seed)
    evidence = check(item_of(picture.crop((200, 100, 824, 568))), banked_of(picture))
    assert evidence.is_same
    assert evidence.overlap_fraction == pytest.approx(624 * 468 / (1024 * 768), abs=0.02)
    assert np.allclose(evidence.corners[0], (-200 / 624, -100 / 468), atol=0.03)


@pytest.mark.parametrize("seed", range(10))
def test_a_mirrored_copy_says_so_and_its_corners_lie_in_the_item_as_it_is(seed: int):
    picture = samples.draw(seed)
    evidence = check(item_of(ImageOps.mirror(picture)), banked_of(picture))
    assert evidence.is_same
    assert evidence.is_mirrored
    assert np.allclose(evidence.corners, ((1, 0), (0, 0), (0, 1), (1, 1)), atol=0.01)


def test_no_drawn_picture_is_the_same_as_another():
    pictures = [samples.draw(seed, (640, 480)) for seed in range(20)]
    banked = [banked_of(picture) for picture in pictures]
    for number, picture in enumerate(pictures):
        item = item_of(picture)
        assert [check(item, other).is_same for other in banked] == [place == number for place in range(len(banked))]
