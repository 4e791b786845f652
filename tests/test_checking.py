"""The check of a candidate: an altered copy is told from another picture, without the banked picture's pixels."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps

from baken import _native, samples
from baken import checking_geometry as geometry
from baken import checking_looks as looks
from baken.checking import Banked, CheckedItem, check, check_all
from baken.checking_geometry import MIN_INLIERS
from baken.copies import Evidence
from baken.copies_json import MAX_POINTS
from baken.fingerprints.keypoints import keypoints_of, working_luma_of
from baken.fingerprints.views import bank_views
from bench.edit_drawings import perspective
from bench.edits import EDITS, RANDOM_EDITS

HARD_EDITS = (
    "resize_25",
    "noise_strong",
    "sticker_20",
    "caption",
    "story_blurred",
    "corner_40",
    "tilt_15",
    "screenshot",
    "screen_photo",
    "crop_sticker_jpeg",
    "mirror_crop_caption",
    "filter_phone_jpeg",
    "random_crop",
    "random_tilt_inside",
)


def item_of(image: Image.Image) -> CheckedItem:
    return CheckedItem(np.asarray(image.convert("L")))


def banked_of(image: Image.Image, *, with_views: bool = False) -> Banked:
    luma = np.asarray(image.convert("L"))
    if not with_views:
        return Banked(keypoints_of(luma), *image.size)
    views = bank_views(working_luma_of(luma))
    return Banked(keypoints_of(luma), *image.size, views, _native.pdq(luma)[0][0].tobytes())


@functools.cache
def drawn(seed: int) -> Image.Image:
    """Drawing costs more than checking: each picture is drawn once."""
    return samples.draw(seed)


PICTURES = {seed: drawn(seed) for seed in (1, 3, 5, 8)}
KEPT = {seed: banked_of(picture) for seed, picture in PICTURES.items()}


@pytest.mark.parametrize("seed", range(10))
def test_a_picture_is_the_same_as_itself_all_of_it(seed: int):
    picture = drawn(seed)
    evidence = check(item_of(picture), banked_of(picture))
    assert evidence.is_same
    assert evidence.overlap_fraction == pytest.approx(1.0, abs=0.01)
    assert evidence.correlation > 0.95
    assert np.allclose(evidence.corners, ((0, 0), (1, 0), (1, 1), (0, 1)), atol=0.01)


@pytest.mark.parametrize("seed", range(10))
def test_a_crop_says_how_much_is_left_and_where(seed: int):
    picture = drawn(seed)
    evidence = check(item_of(picture.crop((200, 100, 824, 568))), banked_of(picture))
    assert evidence.is_same
    assert evidence.overlap_fraction == pytest.approx(624 * 468 / (1024 * 768), abs=0.02)
    assert np.allclose(evidence.corners[0], (-200 / 624, -100 / 468), atol=0.03)


@pytest.mark.parametrize("seed", range(10))
def test_a_mirrored_copy_says_so_and_its_corners_lie_in_the_item_as_it_is(seed: int):
    picture = drawn(seed)
    evidence = check(item_of(ImageOps.mirror(picture)), banked_of(picture))
    assert evidence.is_same
    assert evidence.is_mirrored
    assert np.allclose(evidence.corners, ((1, 0), (0, 0), (0, 1), (1, 1)), atol=0.01)


def test_no_drawn_picture_is_the_same_as_another():
    pictures = [samples.draw(seed, (640, 480)) for seed in range(12)]
    banked = [banked_of(picture) for picture in pictures]
    for number, picture in enumerate(pictures):
        item = item_of(picture)
        assert [check(item, other).is_same for other in banked] == [place == number for place in range(len(banked))]


def with_perspective(
    image: Image.Image, corners: tuple[tuple[float, float], ...], size: tuple[int, int]
) -> Image.Image:
    """The quadrilateral of `image`, from its upper left corner clockwise, that fills a picture of `size`."""
    target = ((0, 0), (size[0], 0), size, (0, size[1]))
    return image.transform(size, Image.Transform.PERSPECTIVE, perspective(corners, target), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("name", HARD_EDITS)
def test_a_hard_edit_is_still_the_same_picture(name: str):
    edit = next(edit for edit in (*EDITS, *RANDOM_EDITS) if edit.name == name)
    same = [check(item_of(edit.apply(PICTURES[seed], seed)), KEPT[seed]).is_same for seed in PICTURES]
    assert sum(same) >= len(same) - 1


@pytest.mark.parametrize("name", ["crop_5", "tilt_5", "border_10", "jpeg_20", "resize_50", "mirrored", "turn_90"])
def test_an_easy_edit_is_always_the_same_picture(name: str):
    edit = next(edit for edit in EDITS if edit.name == name)
    assert all(check(item_of(edit.apply(PICTURES[seed], seed)), KEPT[seed]).is_same for seed in PICTURES)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 6])
def test_the_same_scene_from_another_place_is_like_it_and_not_the_same_picture(seed: int):
    scene = samples.draw(seed, (1400, 1050))
    banked = banked_of(scene.crop((150, 120, 1174, 888)))
    moved_on = with_perspective(scene, ((260, 170), (1300, 210), (1260, 1010), (250, 930)), (1024, 768))
    evidence = check(item_of(moved_on), banked)
    assert evidence.inlier_count >= MIN_INLIERS
    assert not evidence.is_same


@pytest.mark.parametrize("seed", range(6))
def test_a_photograph_of_a_screen_is_the_same_picture_although_it_is_bent(seed: int):
    picture = drawn(seed)
    room = Image.new("RGB", (1200, 900), (24, 22, 26))
    room.paste(picture.resize((1024, 768)), (88, 66))
    photo = with_perspective(room, ((20, 40), (1190, 0), (1150, 890), (0, 850)), (1200, 900))
    evidence = check(item_of(photo), banked_of(picture))
    assert evidence.is_same
    assert evidence.overlap_fraction > 0.98


def test_a_logo_in_common_does_not_make_two_pictures_the_same():
    logo = samples.draw(8, (330, 250))
    pictures = [samples.draw(seed, (1024, 768)) for seed in (0, 6)]
    for picture in pictures:
        picture.paste(logo, (30, 30))
    assert not check(item_of(pictures[0]), banked_of(pictures[1])).is_same
    assert not check(item_of(pictures[1]), banked_of(pictures[0], with_views=True)).is_same


def test_views_and_whole_pdq_are_looked_at_where_detail_agrees_only_so_far():
    picture = drawn(7)
    evidence = check(item_of(picture), banked_of(picture, with_views=True))
    luma = working_luma_of(np.asarray(picture.convert("L")))
    views = banked_of(picture, with_views=True).coded_regions()
    whole = np.array(((0, 0), (512, 0), (512, 384), (0, 384)), np.float64)
    assert evidence.is_same
    assert looks.views_correlation(luma, whole, views) == pytest.approx(1.0, abs=0.05)
    assert looks.views_correlation(luma[::-1, ::-1].copy(), whole, views) < 0.62
    assert looks.views_correlation(luma, whole / 50, views) is None


def test_evidence_is_the_same_in_many_threads_at_once():
    lumas = [np.asarray(PICTURES[seed].convert("L")) for seed in PICTURES]
    alone = [[check(CheckedItem(luma), banked) for banked in KEPT.values()] for luma in lumas]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda luma: list(check_all(CheckedItem(luma), list(KEPT.values()))), lumas * 2)
        assert list(together) == alone * 2


def test_only_so_many_candidates_are_checked_in_their_order():
    item = item_of(PICTURES[1])
    found = check_all(item, [KEPT[3], KEPT[1], KEPT[5]], limit=2)
    assert [evidence.is_same for evidence in found] == [False, True]


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (39, 39), (640, 480)])
def test_a_plain_or_tiny_item_is_nothing_and_no_error(size: tuple[int, int]):
    evidence = check(item_of(Image.new("L", size, 90)), KEPT[1])
    assert evidence == Evidence(is_same=False, inlier_count=0, overlap_fraction=0.0, correlation=0.0, corners=())


def test_a_banked_picture_without_keypoints_matches_nothing():
    assert not check(item_of(PICTURES[1]), banked_of(Image.new("L", (640, 480), 90))).is_same


def test_evidence_lists_points_that_lie_where_the_corners_say():
    evidence = check(item_of(PICTURES[5].crop((100, 50, 900, 700))), KEPT[5])
    assert 8 <= len(evidence.points) <= MAX_POINTS
    for x, y, banked_x, banked_y in evidence.points:
        assert (x * 800 + 100, y * 650 + 50) == pytest.approx((banked_x * 1024, banked_y * 768), abs=8)


@pytest.mark.parametrize(
    ("matrix", "is_right"),
    [
        (((1, 0, 0), (0, 1, 0), (0, 0, 1)), True),
        (((0, -0.5, 200), (0.5, 0, 0), (0, 0, 1)), True),
        (((-1, 0, 400), (0, 1, 0), (0, 0, 1)), False),  # mirrored
        (((1, 0.9, 0), (0, 1, 0), (0, 0, 1)), False),  # sheared
        (((0.05, 0, 0), (0, 0.05, 0), (0, 0, 1)), False),  # a speck
        (((2, 0, 0), (0, 0.5, 0), (0, 0, 1)), False),  # stretched
        (((1, 0, 0), (0, 1, 0), (-0.004, 0, 1)), False),  # beyond the horizon
        (((0, 0, 5), (0, 0, 5), (0, 0, 1)), False),  # a point
    ],
)
def test_a_place_where_no_copy_can_lie_is_refused(matrix: tuple[tuple[float, ...], ...], is_right: bool):
    assert geometry.is_plausible(np.array(matrix, np.float64), 400, 300) is is_right


def test_a_straightened_model_turns_and_stretches_and_leaves_the_rest():
    rng = np.random.default_rng(3)
    points = rng.uniform(0, 400, (50, 2))
    turn = np.array(((0, -1), (1, 0)), np.float64) @ np.diag((0.8, 1.1))
    matrix = geometry.straightened(points, points @ turn.T + (20, 30))
    assert np.allclose(matrix, ((0, -1.1, 20), (0.8, 0, 30), (0, 0, 1)), atol=1e-6)
    sheared = geometry.straightened(points, points @ np.array(((1, 0.3), (0, 1))).T)
    assert abs(sheared[:2, 0] @ sheared[:2, 1]) < 1e-9
