"""Views: each kind of edit is found by one of them, which names what of which picture matched."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from baken import _native, samples
from baken.copies import MAX_VIEW_NUMBER, WORKING_SIDE_PX, Region, View, ViewKind, ViewSet
from baken.fingerprints.view_table import CROPS, TABLE
from baken.fingerprints.views import MAX_QUERY_VIEWS, bank_views, content_views, query_views, view_of
from baken.images import reduced
from baken.model import DEFAULT_RADIUS_BITS, Transform

TABLE_FILE = Path(__file__).parent / "view_table.csv"
TABLE_SIZES_PX = ((640, 480), (480, 640))
SEEDS = (0, 1, 3, 4, 6)
TRANSFORMS = list(Transform)


@dataclass(frozen=True)
class Found:
    """What matched what, nearest first."""

    distance_bits: int
    transform: Transform
    view: View
    entry_view: View


def luma_of(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("L"))


def distances(codes: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    left, right = (np.unpackbits(each, axis=-1).astype(bool) for each in (codes, others))
    return np.count_nonzero(left[:, None] != right[None], axis=2)


def nearest(edited: Image.Image, original: Image.Image, view_set: ViewSet) -> Found:
    """The nearest of what a screening asks and what a bank with this view set keeps."""
    luma = luma_of(edited)
    asked = query_views(reduced(luma, WORKING_SIDE_PX))
    codes = np.concatenate((_native.pdq(luma)[0][None], asked.codes)).reshape(-1, 32)
    picture = luma_of(original)
    banked = bank_views(reduced(picture, WORKING_SIDE_PX), view_set)
    kept = np.concatenate((_native.pdq(picture)[0][:1], banked.codes))
    table = distances(codes, kept)
    row, column = np.unravel_index(np.argmin(table), table.shape)
    views = (View(ViewKind.WHOLE), *asked.views)
    number = 0 if column == 0 else int(banked.numbers[column - 1])
    return Found(
        int(table[row, column]), TRANSFORMS[row % 8], views[row // 8], view_of(number, original.width, original.height)
    )


def edges(region: Region) -> tuple[float, float, float, float]:
    return region.left, region.top, region.right, region.bottom


def is_near(region: Region, expected: tuple[float, float, float, float], tolerance: float) -> bool:
    return all(abs(mine - other) <= tolerance for mine, other in zip(edges(region), expected, strict=True))


def part_of(outer: Region, inner: Region) -> Region:
    width, height = outer.right - outer.left, outer.bottom - outer.top
    return Region(
        outer.left + inner.left * width,
        outer.top + inner.top * height,
        outer.left + inner.right * width,
        outer.top + inner.bottom * height,
    )


def pasted(inner: Image.Image, size: tuple[int, int], place: tuple[int, int], colour: object) -> Image.Image:
    canvas = Image.new("RGB", size, colour)  # type: ignore[arg-type]
    canvas.paste(inner, place)
    return canvas


def test_the_numbers_of_the_table_never_change():
    with TABLE_FILE.open(newline="") as file:
        rows = [[float(cell) for cell in row] for row in list(csv.reader(file))[1:]]
    assert len(rows) == len(TABLE) * len(TABLE_SIZES_PX)
    for width, height, number, *numbers in rows:
        region = view_of(int(number), int(width), int(height)).region
        assert [*edges(region), region.tilt_degrees] == pytest.approx(numbers, abs=1e-5), number


def test_numbers_fit_a_byte_and_the_crops_come_first():
    assert 0 < len(CROPS) < len(TABLE) <= MAX_VIEW_NUMBER
    assert TABLE[: len(CROPS)] == CROPS
    assert {view_of(number + 1, 640, 480).kind for number in range(len(CROPS))} == {ViewKind.CROPPED}
    kinds = {view_of(number + 1, 640, 480).kind for number in range(len(CROPS), len(TABLE))}
    assert kinds == {ViewKind.CROPPED, ViewKind.TILTED}


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (512, 512), (3000, 700)])
def test_views_lie_in_the_picture_whatever_its_shape(size: tuple[int, int]):
    for number in range(1, len(TABLE) + 1):
        region = view_of(number, *size).region
        assert -1e-9 <= region.left < region.right <= 1 + 1e-9
        assert -1e-9 <= region.top < region.bottom <= 1 + 1e-9


def test_no_two_views_are_the_same():
    regions = [view_of(number, 700, 480).region for number in range(1, len(TABLE) + 1)]
    assert len({tuple(round(edge, 3) for edge in (*edges(each), each.tilt_degrees)) for each in regions}) == len(TABLE)


def test_a_view_that_would_show_the_whole_is_left_out():
    luma = luma_of(samples.draw(1, (640, 480)))
    numbers = bank_views(luma, min_quality_percent=0).numbers
    wholes = [n for n in range(1, len(TABLE) + 1) if edges(view_of(n, 640, 480).region) == pytest.approx((0, 0, 1, 1))]
    upright = [number for number in wholes if not view_of(number, 640, 480).region.tilt_degrees]
    assert upright, "the table has a crop to 4:3"
    assert sorted(set(range(1, len(TABLE) + 1)) - set(numbers.tolist())) == upright


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (512, 512)])
def test_a_tilted_view_shows_the_corners_or_leaves_them_out_altogether(size: tuple[int, int]):
    for number in range(len(CROPS) + 1, len(TABLE) + 1):
        region = view_of(number, *size).region
        if edges(region) == (0, 0, 1, 1) or not region.tilt_degrees:
            continue
        angle = math.radians(region.tilt_degrees)
        across, down = (region.right - region.left) * size[0] / 2, (region.bottom - region.top) * size[1] / 2
        for x, y in ((across, down), (-across, down), (across, -down), (-across, -down)):
            assert abs(x * math.cos(angle) - y * math.sin(angle)) <= size[0] / 2 + 1e-6
            assert abs(x * math.sin(angle) + y * math.cos(angle)) <= size[1] / 2 + 1e-6


@pytest.mark.parametrize("number", [-1, len(TABLE) + 1, 255, 1000])
def test_an_unknown_number_says_what_to_do(number: int):
    with pytest.raises(ValueError, match=f"got {number}, expected 0 to {len(TABLE)}; a newer Baken stored it"):
        view_of(number, 640, 480)


def test_number_0_is_the_whole_picture():
    assert view_of(0, 640, 480) == View(ViewKind.WHOLE, Region())


def test_each_view_set_holds_the_smaller_one():
    luma = reduced(luma_of(samples.draw(1)), WORKING_SIDE_PX)
    none, crops, full = (bank_views(luma, view_set) for view_set in (ViewSet.NONE, ViewSet.CROPS, ViewSet.FULL))
    assert none.codes.shape == (0, 32)
    assert none.numbers.shape == (0,)
    kept = np.isin(full.numbers, crops.numbers)
    assert np.array_equal(full.codes[kept], crops.codes)
    assert full.numbers.dtype == np.uint8
    assert all(np.diff(full.numbers.astype(int)) > 0)
    assert len(full.numbers) > len(crops.numbers) > 50


@pytest.mark.parametrize(
    "crop",
    [(0.025, 0.025, 0.975, 0.975), (0.0, 0.0, 0.89, 0.89), (0.23, 0.23, 1.0, 1.0), (0.11, 0.11, 0.89, 0.89)],
    ids=["middle", "upper left", "lower right", "close"],
)
def test_a_crop_names_its_region(crop: tuple[float, float, float, float]):
    hits = 0
    for seed in SEEDS:
        original = samples.draw(seed)
        sides = (original.width, original.height) * 2
        edited = original.crop(tuple(round(e * s) for e, s in zip(crop, sides, strict=True)))  # type: ignore[arg-type]
        found = nearest(edited, original, ViewSet.FULL)
        if found.distance_bits <= DEFAULT_RADIUS_BITS:
            hits += 1
            assert ViewKind.CROPPED in (found.entry_view.kind, found.view.kind)
            shown = part_of(Region(*crop), found.view.region)
            assert is_near(found.entry_view.region, edges(shown), 0.03)
    assert hits >= len(SEEDS) - 1


@pytest.mark.parametrize("degrees", [-14.0, -5.0, 2.0, 9.0])
def test_a_tilt_with_black_corners_is_found_and_says_how_far(degrees: float):
    hits = 0
    for seed in SEEDS:
        original = samples.draw(seed)
        found = nearest(original.rotate(-degrees, Image.Resampling.BICUBIC), original, ViewSet.FULL)
        if found.distance_bits <= DEFAULT_RADIUS_BITS:
            hits += 1
            turned = found.view.region.tilt_degrees - found.entry_view.region.tilt_degrees
            assert turned == pytest.approx(degrees, abs=1.6)
    assert hits >= len(SEEDS) - 1


@pytest.mark.parametrize("colour", ["black", (206, 84, 72)])
def test_a_small_tilt_is_found_with_the_plain_fingerprint_alone(colour: object):
    hits = 0
    for seed in SEEDS:
        original = samples.draw(seed)
        edited = original.rotate(-3, Image.Resampling.BICUBIC, fillcolor=colour)  # type: ignore[arg-type]
        found = nearest(edited, original, ViewSet.NONE)
        if found.distance_bits <= DEFAULT_RADIUS_BITS:
            hits += 1
            assert found.view.kind is ViewKind.TILTED
            assert found.view.region.tilt_degrees == pytest.approx(3, abs=0.5)
    assert hits >= len(SEEDS) - 1


def test_a_tilt_cropped_inside_is_found():
    for seed in SEEDS:
        original = samples.draw(seed)
        inner = view_of(next(n for n in range(1, len(TABLE) + 1) if _is_inner_tilt(n)), original.width, original.height)
        region = inner.region
        turned = original.rotate(region.tilt_degrees, Image.Resampling.BICUBIC)
        sides = (original.width, original.height) * 2
        edited = turned.crop(tuple(round(e * s) for e, s in zip(edges(region), sides, strict=True)))  # type: ignore[arg-type]
        found = nearest(edited, original, ViewSet.FULL)
        assert found.distance_bits <= DEFAULT_RADIUS_BITS
        assert found.entry_view.kind is ViewKind.TILTED


def _is_inner_tilt(number: int) -> bool:
    region = view_of(number, 1024, 768).region
    return abs(region.tilt_degrees) > 6 and region.left > 0


def test_a_sticker_leaves_tiles_that_are_found():
    for seed in SEEDS:
        original = samples.draw(seed)
        edited = original.copy()
        ImageDraw.Draw(edited).ellipse((560, 420, 960, 740), fill=(250, 204, 40))
        found = nearest(edited, original, ViewSet.FULL)
        assert found.distance_bits <= DEFAULT_RADIUS_BITS
        assert found.view.kind is ViewKind.TILE
        assert is_near(found.entry_view.region, edges(found.view.region), 0.03)


@pytest.mark.parametrize("transform", [Transform.MIRRORED, Transform.ROTATED_180, Transform.ROTATED_90])
def test_a_turned_picture_in_a_border_is_found_and_says_how_it_was_turned(transform: Transform):
    ways = {
        Transform.MIRRORED: Image.Transpose.FLIP_LEFT_RIGHT,
        Transform.ROTATED_180: Image.Transpose.ROTATE_180,
        Transform.ROTATED_90: Image.Transpose.ROTATE_270,
    }
    for seed in SEEDS:
        original = samples.draw(seed)
        edited = ImageOps.expand(original.transpose(ways[transform]), 90, (236, 232, 224))
        found = nearest(edited, original, ViewSet.NONE)
        assert found.distance_bits <= DEFAULT_RADIUS_BITS
        assert found.transform is transform
        assert found.view.kind is ViewKind.TRIMMED


@pytest.mark.parametrize("seed", range(12))
def test_a_box_is_where_the_picture_was_pasted(seed: int):
    rng = np.random.default_rng(seed)
    original = samples.draw(100 + seed)
    share = rng.uniform(0.45, 0.9)
    inner = original.resize((round(original.width * share), round(original.height * share)))
    left, top = (int(rng.integers(20, 1 + space)) for space in (1064 - inner.width, 808 - inner.height))
    size = 1064 + 20, 808 + 20
    colours = [(255, 255, 255), (0, 0, 0), (206, 84, 72), (38, 44, 60)]
    edited = pasted(inner, size, (left, top), colours[seed % 4])
    expected = left / size[0], top / size[1], (left + inner.width) / size[0], (top + inner.height) / size[1]
    boxes = content_views(reduced(luma_of(edited), WORKING_SIDE_PX))
    assert any(is_near(box.region, expected, 0.01) for box in boxes)
    found = nearest(edited, original, ViewSet.NONE)
    assert found.distance_bits <= DEFAULT_RADIUS_BITS
    assert is_near(found.view.region, expected, 0.01)


@pytest.mark.parametrize("above", [True, False])
def test_a_caption_is_cut_off(above: bool):
    hits = 0
    for seed in SEEDS:
        original = samples.draw(seed)
        band = Image.new("RGB", (original.width, 120), "white")
        ImageDraw.Draw(band).text((100, 30), "a day by the water", font_size=60, fill="black")
        edited = pasted(original, (original.width, original.height + 120), (0, 120 if above else 0), "white")
        edited.paste(band, (0, 0 if above else original.height))
        found = nearest(edited, original, ViewSet.NONE)
        hits += found.distance_bits <= DEFAULT_RADIUS_BITS and found.view.kind is ViewKind.CAPTION_CUT
    assert hits >= len(SEEDS) - 1


def test_a_picture_on_its_own_blurred_likeness_is_found():
    hits = 0
    for seed in SEEDS:
        original = samples.draw(seed)
        filler = ImageOps.fit(original, (54, 96)).resize((540, 960), Image.Resampling.BICUBIC).point(lambda v: v * 0.8)
        inner = original.resize((540, 405))
        filler.paste(inner, (0, 277))
        found = nearest(filler, original, ViewSet.NONE)
        hits += found.distance_bits <= DEFAULT_RADIUS_BITS and is_near(
            found.view.region, (0, 277 / 960, 1, 682 / 960), 0.01
        )
    assert hits >= len(SEEDS) - 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_picture_that_nobody_framed_or_turned_has_no_tilt(seed: int):
    luma = reduced(luma_of(samples.draw(seed)), WORKING_SIDE_PX)
    assert ViewKind.TILTED not in {view.kind for view in query_views(luma).views}


def test_another_picture_is_not_found():
    originals = [samples.draw(seed) for seed in range(20, 26)]
    for before, after in pairwise(originals):
        assert (
            nearest(ImageOps.expand(before, 60, "white"), after, ViewSet.FULL).distance_bits > 2 * DEFAULT_RADIUS_BITS
        )


def test_the_quality_gate_holds_for_every_view():
    half = samples.draw(2, (800, 600))
    half.paste((120, 130, 140), (0, 0, 400, 600))
    luma = reduced(luma_of(half), WORKING_SIDE_PX)
    for gate in (0, 50, 90, 100):
        asked, banked = query_views(luma, min_quality_percent=gate), bank_views(luma, min_quality_percent=gate)
        regions = [view.region for view in asked.views]
        regions += [view_of(int(number), luma.shape[1], luma.shape[0]).region for number in banked.numbers]
        numbers = np.array([(*edges(region), region.tilt_degrees) for region in regions]).reshape(-1, 5)
        _, quality = _native.pdq_regions(luma, numbers)
        assert all(quality >= gate)
    assert len(bank_views(luma).numbers) < len(bank_views(luma, min_quality_percent=0).numbers)
    left_half = Region(0.0, 0.0, 0.4975, 0.4975)
    assert left_half in {view.region for view in query_views(luma, min_quality_percent=0).views}
    assert left_half not in {view.region for view in query_views(luma).views}


@pytest.mark.parametrize("seed", range(6))
def test_a_flat_picture_has_no_view_and_its_black_corners_do_not_make_it_one(seed: int):
    luma = reduced(luma_of(samples.draw_flat(seed)), WORKING_SIDE_PX)
    assert len(bank_views(luma).numbers) == 0
    assert query_views(luma).views == ()


SHAPES = [
    (1, 1),
    (1, 512),
    (512, 1),
    (2, 3),
    (5, 5),
    (31, 512),
    (32, 32),
    (33, 40),
    (512, 512),
    (512, 77),
    (3000, 4000),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_raises_and_the_number_of_views_is_bounded(shape: tuple[int, int]):
    rng = np.random.default_rng(7)
    pictures = [
        np.zeros(shape, np.uint8),
        np.full(shape, 255, np.uint8),
        rng.integers(0, 256, shape, dtype=np.uint8),
        rng.integers(0, 2, shape, dtype=np.uint8) * np.uint8(255),
        np.broadcast_to(np.arange(shape[1], dtype=np.uint8), shape).copy(),
        np.kron(rng.integers(0, 256, (8, 8)), np.ones((shape[0] // 8 + 1, shape[1] // 8 + 1))).astype(np.uint8)[
            : shape[0], : shape[1]
        ],
    ]
    for luma in pictures:
        cut = np.ascontiguousarray(luma)
        for gate in (0, 50):
            asked, banked = query_views(cut, min_quality_percent=gate), bank_views(cut, min_quality_percent=gate)
            assert asked.codes.shape == (len(asked.views), 8, 32)
            assert len(asked.views) <= MAX_QUERY_VIEWS
            assert banked.codes.shape == (len(banked.numbers), 32)


@pytest.mark.parametrize("seed", range(40))
def test_no_arrangement_of_bars_and_boxes_raises(seed: int):
    rng = np.random.default_rng(seed)
    luma = np.full((int(rng.integers(1, 300)), int(rng.integers(1, 300))), int(rng.integers(256)), np.uint8)
    for _ in range(int(rng.integers(12))):
        top, bottom = np.sort(rng.integers(0, luma.shape[0] + 1, 2))
        left, right = np.sort(rng.integers(0, luma.shape[1] + 1, 2))
        part = luma[top:bottom, left:right]
        part[:] = rng.integers(256) if rng.random() < 0.5 else rng.integers(0, 256, part.shape)
    for view in content_views(luma):
        assert -1e-9 <= view.region.left < view.region.right <= 1 + 1e-9
        assert -1e-9 <= view.region.top < view.region.bottom <= 1 + 1e-9
    assert query_views(luma, min_quality_percent=0).codes.dtype == np.uint8
