"""The drawing of a match: what agrees can be seen, and no numbers or names can break it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from baken import samples
from baken.checking import Banked, CheckedItem, check
from baken.copies import Evidence, MatchStage, Region, View, ViewKind
from baken.fingerprints.keypoints import keypoints_of
from baken.model import FingerprintKind, Match, Purpose, Transform, Verdict
from baken.overlay import overlay_svg

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {"svg", "title", "desc", "style", "defs", "pattern", "rect", "path", "clipPath", "g", "circle", "text"}
wild = st.floats(allow_nan=True, allow_infinity=True)


def match_with(
    *,
    bank: str = "hotline",
    stage: MatchStage = MatchStage.VIEWS,
    transform: Transform = Transform.IDENTITY,
    view: Region | None = None,
    entry_view: Region | None = None,
    similarity: float | None = None,
    evidence: Evidence | None = None,
) -> Match:
    return Match(
        bank_id=1,
        bank=bank,
        purpose=Purpose.KNOWN_ABUSE,
        verdict=Verdict.BLOCK,
        entry_id=42,
        kind=FingerprintKind.PDQ,
        distance_bits=18,
        transform=transform,
        stage=stage,
        view=View(ViewKind.TRIMMED, view or Region()),
        entry_view=View(ViewKind.CROPPED, entry_view or Region()),
        similarity=similarity,
        evidence=evidence,
    )


def drawn(match: Match, item: tuple[int, int] = (800, 600), banked: tuple[int, int] = (1024, 768)) -> ET.Element:
    text = overlay_svg(
        match,
        item_width_px=item[0],
        item_height_px=item[1],
        banked_width_px=banked[0],
        banked_height_px=banked[1],
    )
    root = ET.fromstring(text)  # noqa: S314 - our own drawing
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in ALLOWED
        assert not [name for name in element.attrib if name.startswith("on") or "href" in name]
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    return root


def shares_of_region(root: ET.Element, panel: int) -> list[tuple[float, float]]:
    """The corners of the item's (0) or the banked picture's (1) region, in fractions of its frame."""
    frame = root.findall(f"{SVG}rect[@class='frame']")[panel]
    left, top, width, height = (float(frame.attrib[name]) for name in ("x", "y", "width", "height"))
    path = root.findall(f"{SVG}g/{SVG}path[@class='region']")[panel].attrib["d"]
    pairs = [pair.split() for pair in path.strip("MZ").split("L")]
    return [((float(x) - left) / width, (float(y) - top) / height) for x, y in pairs]


def words_of(root: ET.Element) -> str:
    return " ".join(element.text or "" for element in root.iter(f"{SVG}text"))


def checked(item: Image.Image, banked: Image.Image) -> Evidence:
    kept = Banked(keypoints_of(np.asarray(banked.convert("L"))), *banked.size)
    return check(CheckedItem(np.asarray(item.convert("L"))), kept)


def test_a_crop_is_drawn_as_the_whole_item_and_the_part_of_the_banked_picture():
    picture = samples.draw(4)
    evidence = checked(picture.crop((512, 0, 1024, 384)), picture)
    root = drawn(match_with(evidence=evidence), item=(512, 384))
    assert np.allclose(shares_of_region(root, 0), ((0, 0), (1, 0), (1, 1), (0, 1)), atol=0.03)
    assert np.allclose(shares_of_region(root, 1), ((0.5, 0), (1, 0), (1, 0.5), (0.5, 0.5)), atol=0.03)
    assert "the same picture" in words_of(root)
    assert f"{evidence.inlier_count} keypoints agree" in words_of(root)


def test_corners_with_one_number_are_one_place_in_a_mirrored_copy():
    picture = samples.draw(5)
    root = drawn(match_with(evidence=checked(ImageOps.mirror(picture), picture)), item=(1024, 768))
    assert np.allclose(shares_of_region(root, 1), ((0, 0), (1, 0), (1, 1), (0, 1)), atol=0.03)
    assert np.allclose(shares_of_region(root, 0), ((1, 0), (0, 0), (0, 1), (1, 1)), atol=0.03)
    assert "mirrored" in words_of(root)


@pytest.mark.parametrize("transform", Transform)
def test_corners_of_views_follow_the_transform(transform: Transform):
    picture = Image.new("L", (40, 40))
    picture.putpixel((2, 2), 255)
    picture.putpixel((37, 2), 128)
    turned = ImageOps.mirror(picture) if "mirrored" in transform else picture
    degrees = int(re.sub(r"\D", "", transform) or 0)
    turned = turned.rotate(-degrees)
    values = np.asarray(turned)
    first, second = (np.argwhere(values == value)[0][::-1] / 39 for value in (255, 128))
    corners = shares_of_region(drawn(match_with(transform=transform)), 0)
    assert np.allclose(corners[0], first, atol=0.1)
    assert np.allclose(corners[1], second, atol=0.1)


def test_a_match_by_views_names_and_draws_both_regions():
    root = drawn(match_with(view=Region(0.1, 0.2, 0.9, 0.8), entry_view=Region(0.0, 0.25, 0.5, 0.75, 90.0)))
    assert np.allclose(shares_of_region(root, 0), ((0.1, 0.2), (0.9, 0.2), (0.9, 0.8), (0.1, 0.8)), atol=0.01)
    turned = shares_of_region(root, 1)
    assert np.allclose(np.mean(turned, axis=0), (0.25, 0.5), atol=0.01)
    assert turned[0][0] > turned[2][0]
    assert "trimmed, 10 % to 90 % across, 20 % to 80 % down" in words_of(root)
    assert "tilt 90.0°" in words_of(root)
    assert "distance 18 bits" in words_of(root)


def test_frames_have_the_shapes_of_the_pictures():
    frames = drawn(match_with(), item=(1080, 1920), banked=(1600, 900)).findall(f"{SVG}rect[@class='frame']")
    aspects = [float(frame.attrib["width"]) / float(frame.attrib["height"]) for frame in frames]
    assert aspects == pytest.approx([1080 / 1920, 1600 / 900], abs=0.01)


def test_a_screen_reader_is_told_what_the_drawing_says():
    root = drawn(match_with(bank="own_photos"))
    assert root.attrib["role"] == "img"
    assert "own_photos" in (root.findtext(f"{SVG}title") or "")
    assert "Found by views" in (root.findtext(f"{SVG}desc") or "")


@given(
    bank=st.text(max_size=40),
    numbers=st.lists(wild, min_size=18, max_size=18),
    count=st.integers(-(10**6), 10**12),
    corner_count=st.sampled_from([0, 3, 4]),
    point_count=st.integers(0, 100),
    sizes=st.tuples(*(st.integers(-5, 10**9),) * 4),
    is_mirrored=st.booleans(),
)
@settings(max_examples=250, derandomize=True, deadline=None)
def test_any_names_and_numbers_give_a_sound_drawing_within_bounds(
    *,
    bank: str,
    numbers: list[float],
    count: int,
    corner_count: int,
    point_count: int,
    sizes: tuple[int, int, int, int],
    is_mirrored: bool,
):
    corners = tuple((numbers[place], numbers[place + 1]) for place in range(0, 2 * corner_count, 2))
    point = (numbers[8], numbers[9], numbers[10], numbers[11])
    evidence = Evidence(True, count, numbers[12], numbers[13], corners, (point,) * point_count, is_mirrored)
    region = Region(numbers[14], numbers[15], numbers[16], numbers[17], numbers[13])
    match = match_with(bank=bank, view=region, entry_view=region, similarity=numbers[12], evidence=evidence)
    root = drawn(match, item=sizes[:2], banked=sizes[2:])
    for element in root.iter():
        for name in ("x", "y", "cx", "cy", "width", "height", "d"):
            written = re.findall(r"-?\d+\.?\d*", element.attrib.get(name, ""))
            assert all(abs(float(number)) <= 4000 for number in written)
        assert "nan" not in str(element.attrib).lower()
