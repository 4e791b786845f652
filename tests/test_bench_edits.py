"""The edits of the evaluation of altered copies do what they say, and follow from their seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps

from baken import samples
from bench.edit_drawings import perspective
from bench.edits import EDITS, RANDOM_EDITS, Edit, Family, inner_size

SIZE_PX = (480, 360)
PICTURE = samples.draw(4, SIZE_PX)
BY_NAME = {edit.name: edit for edit in (*EDITS, *RANDOM_EDITS)}


def altered(name: str, *, seed: int = 5, image: Image.Image = PICTURE) -> Image.Image:
    return BY_NAME[name].apply(image, seed)


def share_changed(name: str, *, seed: int = 5) -> float:
    """How many of the pixels the edit changed, where it leaves the size as it is."""
    difference = np.asarray(ImageChops.difference(PICTURE, altered(name, seed=seed)))
    return float(difference.any(axis=2).mean())


def test_there_are_55_fixed_kinds_and_six_random_ones_with_names_of_their_own() -> None:
    assert (len(EDITS), len(RANDOM_EDITS)) == (55, 6)
    assert len(BY_NAME) == 61
    assert {edit.family for edit in RANDOM_EDITS} == {Family.RANDOM}
    assert len({edit.label for edit in BY_NAME.values()}) == 61


@pytest.mark.parametrize("edit", BY_NAME.values(), ids=lambda edit: edit.name)
def test_an_edit_follows_from_picture_and_seed_and_leaves_its_picture_alone(edit: Edit) -> None:
    before = PICTURE.tobytes()

    first, second = edit.apply(PICTURE, 3), edit.apply(PICTURE, 3)

    assert first.mode == "RGB"
    assert (first.size, first.tobytes()) == (second.size, second.tobytes())
    assert PICTURE.tobytes() == before
    if edit.family is not Family.NONE:
        assert (first.size, first.tobytes()) != (PICTURE.size, before)


@pytest.mark.parametrize("edit", BY_NAME.values(), ids=lambda edit: edit.name)
@pytest.mark.parametrize("size_px", [(64, 64), (64, 300), (301, 97)])
def test_an_edit_takes_any_shape(edit: Edit, size_px: tuple[int, int]) -> None:
    assert min(edit.apply(samples.draw(1, size_px), 0).size) > 10


@pytest.mark.parametrize("edit", RANDOM_EDITS, ids=lambda edit: edit.name)
def test_another_seed_draws_other_parameters(edit: Edit) -> None:
    assert edit.apply(PICTURE, 1).tobytes() != edit.apply(PICTURE, 2).tobytes()


@pytest.mark.parametrize("image", [PICTURE.convert("L"), samples.draw(0, (63, 200))])
def test_a_picture_that_is_not_rgb_or_too_small_is_refused(image: Image.Image) -> None:
    with pytest.raises(ValueError, match="give RGB of at least 64x64"):
        altered("grey", image=image)


@pytest.mark.parametrize("percent", [5, 10, 20])
def test_a_sticker_hides_the_share_it_names(percent: int) -> None:
    shares = [share_changed(f"sticker_{percent}", seed=seed) * 100 for seed in range(8)]

    assert shares == pytest.approx([percent] * 8, rel=0.06)


@pytest.mark.parametrize("percent", [2, 5, 10, 20, 40])
@pytest.mark.parametrize("kind", ["crop", "corner"])
def test_a_crop_takes_away_the_share_it_names_and_keeps_the_shape(kind: str, percent: int) -> None:
    part = altered(f"{kind}_{percent}")

    assert 1 - part.width * part.height / (SIZE_PX[0] * SIZE_PX[1]) == pytest.approx(percent / 100, abs=0.005)
    assert part.width / part.height == pytest.approx(SIZE_PX[0] / SIZE_PX[1], rel=0.01)


def test_a_corner_crop_touches_each_corner_for_some_seed() -> None:
    touched = set()
    for seed in range(30):
        part = altered("corner_20", seed=seed)
        for left in (0, SIZE_PX[0] - part.width):
            for top in (0, SIZE_PX[1] - part.height):
                if (
                    ImageChops.difference(
                        PICTURE.crop((left, top, left + part.width, top + part.height)), part
                    ).getbbox()
                    is None
                ):
                    touched.add((left > 0, top > 0))

    assert len(touched) == 4


def test_random_crops_take_2_to_45_percent_away() -> None:
    gone = [
        1 - part.width * part.height / (SIZE_PX[0] * SIZE_PX[1])
        for part in (altered("random_crop", seed=seed) for seed in range(100))
    ]

    assert 0.015 <= min(gone) < 0.06
    assert 0.41 < max(gone) <= 0.455


def test_an_aspect_crop_changes_the_shape() -> None:
    shape = SIZE_PX[0] / SIZE_PX[1]

    assert all(
        abs(part.width / part.height / shape - 1) > 0.04
        for part in (altered("random_aspect", seed=seed) for seed in range(30))
    )


@pytest.mark.parametrize("percent", [5, 10, 20])
def test_a_border_is_a_share_of_the_shorter_side_on_each_side(percent: int) -> None:
    bordered = altered(f"border_{percent}")
    width_px = round(SIZE_PX[1] * percent / 100)

    assert bordered.size == (SIZE_PX[0] + 2 * width_px, SIZE_PX[1] + 2 * width_px)
    assert ImageOps.crop(bordered, width_px).tobytes() == PICTURE.tobytes()


@pytest.mark.parametrize("degrees", [2, 10, 15, 40, 75])
@pytest.mark.parametrize("size", [(480, 360), (360, 480), (900, 100)])
def test_the_inner_rectangle_of_a_tilted_one_lies_inside_and_touches_it(degrees: float, size: tuple[int, int]) -> None:
    width, height = inner_size(*size, degrees)
    angle = math.radians(degrees)

    across = (width * math.cos(angle) + height * math.sin(angle)) / size[0]
    down = (width * math.sin(angle) + height * math.cos(angle)) / size[1]

    assert max(across, down) == pytest.approx(1)


def test_a_tilted_picture_cropped_inside_has_no_black_corner() -> None:
    white = Image.new("RGB", SIZE_PX, (255, 255, 255))

    tilted, inside = altered("tilt_10", image=white), altered("tilt_10_inside", image=white)

    assert tilted.getpixel((0, 0)) == (0, 0, 0)
    assert min(np.asarray(inside.crop((2, 2, inside.width - 2, inside.height - 2))).ravel()) == 255


def test_a_quarter_turn_is_clockwise_and_exact() -> None:
    assert altered("turn_90").tobytes() == PICTURE.rotate(-90, expand=True).tobytes()


def test_a_story_is_upright_with_the_picture_across_it() -> None:
    for name in ("story_solid", "story_blurred"):
        story = altered(name)

        assert story.size == (1080, 1920)
        inside = np.asarray(story.crop((0, 555, 1080, 1365)).resize(SIZE_PX, Image.Resampling.BOX), dtype=float)
        assert np.abs(inside - np.asarray(PICTURE, dtype=float)).mean() < 6


@pytest.mark.parametrize("name", ["screenshot", "collage"])
def test_the_picture_is_whole_in_what_shows_it(name: str) -> None:
    scene = altered(name)
    size_px = (1080, 810) if name == "screenshot" else (SIZE_PX[0] // 2, SIZE_PX[1] // 2)
    shown = np.asarray(PICTURE.resize(size_px, Image.Resampling.LANCZOS), dtype=float)
    places = (
        [(0, 280)]
        if name == "screenshot"
        else [(left, top) for left in (0, scene.width - size_px[0]) for top in (0, scene.height - size_px[1])]
    )

    errors = [
        np.abs(np.asarray(scene.crop((x, y, x + size_px[0], y + size_px[1])), dtype=float) - shown).mean()
        for x, y in places
    ]

    assert min(errors) < 1


def test_a_caption_band_leaves_the_picture_beside_it_whole() -> None:
    captioned = altered("caption")
    band_px = captioned.height - SIZE_PX[1]

    assert band_px == round(SIZE_PX[1] * 0.16)
    assert PICTURE.tobytes() in [
        captioned.crop((0, top, SIZE_PX[0], top + SIZE_PX[1])).tobytes() for top in (0, band_px)
    ]


def test_a_mirrored_crop_with_a_caption_shows_a_mirrored_part() -> None:
    captioned = altered("mirror_crop_caption")
    part = altered("crop_10", image=ImageOps.mirror(PICTURE))

    tops = range(captioned.height - part.height + 1)
    assert part.tobytes() in [captioned.crop((0, top, part.width, top + part.height)).tobytes() for top in tops]


def test_a_perspective_maps_four_points_to_four_points() -> None:
    source, target = [(10, 12), (90, 5), (96, 80), (4, 88)], [(0, 0), (100, 0), (100, 100), (0, 100)]

    a, b, c, d, e, f, g, h = perspective(source, target)

    mapped = [((a * x + b * y + c) / (g * x + h * y + 1), (d * x + e * y + f) / (g * x + h * y + 1)) for x, y in source]
    assert np.allclose(mapped, target)
