"""What a person is shown of a picture: small, grey and blurred first; encoded anew; and never the file's own bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from baken import samples
from baken.cases import Level
from baken.images import DecodeLimits
from baken.images.colours import colours_of
from baken.model import Unscreenable
from baken.previews import LARGEST_SIDE_PX, MEDIA_TYPE, Preview, PreviewMaker, checked, derive
from baken.samples_files import encoded
from baken.videos import DEFAULT_VIDEO_LIMITS
from baken.workers_kinds import FileWorkers
from picture_files import all_cases, original
from video_files import black, clip, picture

SHOWING = (Level.PREVIEW, Level.CLEARER, Level.ORIGINAL)
BIG = samples.draw(5, (1200, 800))


def shown(data: bytes, level: Level) -> Image.Image:
    """The preview of a file, opened."""
    made = PreviewMaker(level)(data)
    assert isinstance(made, Preview), made
    image = Image.open(io.BytesIO(made.data))
    assert Image.MIME[image.format or ""] == MEDIA_TYPE
    assert image.size == (made.width_px, made.height_px)
    return image


def coarse(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Means of blocks of 8 px, which lossy formats keep."""
    height, width = (side // 8 * 8 for side in colours.shape[:2])
    blocks = colours[:height, :width].astype(float).reshape(height // 8, 8, width // 8, 8, 3)
    return np.asarray(blocks.mean(axis=(1, 3)))


def edges(image: Image.Image, side_px: int = 160) -> float:
    """How much fine structure a picture has, at one size: the mean difference of neighbours."""
    grey = np.asarray(image.convert("L").resize((side_px, side_px * 2 // 3), Image.Resampling.BOX), dtype=float)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def test_each_level_shows_more_than_the_one_before():
    data = encoded(BIG, "JPEG")
    first, second, third = (shown(data, level) for level in SHOWING)
    assert (first.size, second.size, third.size) == ((160, 107), (480, 320), (1200, 800))
    assert (first.mode, second.mode, third.mode) == ("L", "L", "RGB")
    assert edges(first) < 0.5 * edges(second)
    assert edges(second, 480) == pytest.approx(edges(BIG, 480), rel=0.2)


def test_a_small_picture_is_never_enlarged_and_is_blurred_as_much():
    small = samples.draw(5, (90, 60))
    first = shown(encoded(small, "PNG"), Level.PREVIEW)
    assert first.size == (90, 60)
    assert edges(first, 90) < 0.5 * edges(small, 90)


def test_level_3_is_the_picture_without_its_metadata():
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "MARKERWORD1")
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "MARKERWORD2"
    BIG.save(file, "PNG", pnginfo=text, exif=exif)
    assert b"MARKERWORD1" in file.getvalue()
    made = PreviewMaker(Level.ORIGINAL)(file.getvalue())
    assert isinstance(made, Preview)
    assert b"MARKERWORD" not in made.data
    assert Image.open(io.BytesIO(made.data)).getexif() == {}
    difference = np.abs(np.asarray(Image.open(io.BytesIO(made.data)), dtype=int) - np.asarray(BIG, dtype=int))
    assert difference.mean() < 3


def test_nothing_larger_than_a_screen_leaves_a_worker():
    wide = samples.draw(5, (500, 20)).resize((6000, 240))
    assert shown(encoded(wide, "JPEG"), Level.ORIGINAL).size == (LARGEST_SIDE_PX[Level.ORIGINAL], 164)


CASES = {name: (data, rgb) for name, data, rgb in all_cases(original(size=(160, 120)))}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_file_is_shown_in_the_colours_that_a_viewer_shows(name: str):
    data, rgb = CASES[name]
    colours = colours_of(data)
    assert not isinstance(colours, Unscreenable), colours
    if colours.ndim == 2:
        colours = np.stack([colours] * 3, axis=-1)
    assert colours.shape == rgb.shape
    assert np.abs(coarse(colours) - coarse(rgb)).mean() < 2.5


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(BIG, "JPEG")[:60]], ids=["empty", "text", "cut"])
def test_what_cannot_be_decoded_is_said_and_not_shown(data: bytes):
    for level in SHOWING:
        assert isinstance(PreviewMaker(level)(data), str)


def test_a_picture_over_the_limits_is_not_decoded():
    made = PreviewMaker(Level.PREVIEW, DecodeLimits(max_pixels=1_000))(encoded(BIG, "PNG"))
    assert isinstance(made, str)
    assert "at most 1000" in made


def test_an_animation_that_begins_black_shows_its_first_frame_with_something_in_it():
    frames = [Image.new("RGB", (320, 240)), Image.new("RGB", (320, 240)), samples.draw(3, (320, 240))]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    assert np.asarray(shown(file.getvalue(), Level.CLEARER)).std() > 20
    only_black = encoded(frames[0], "PNG")
    assert np.asarray(shown(only_black, Level.CLEARER)).std() < 1


def test_of_a_video_the_leading_frame_is_shown():
    pytest.importorskip("av")
    data = clip([(black(), 1.0), (picture(3), 1.0)])
    assert np.asarray(shown(data, Level.CLEARER)).std() > 20
    assert np.asarray(shown(data, Level.PREVIEW)).std() > 10
    with FileWorkers(1, videos=DEFAULT_VIDEO_LIMITS) as workers:
        assert workers.run(PreviewMaker(Level.CLEARER), data) == PreviewMaker(Level.CLEARER)(data)


def test_a_worker_makes_the_same_preview_and_a_bad_file_costs_nothing():
    data = encoded(BIG, "JPEG")
    with FileWorkers(1, videos=DEFAULT_VIDEO_LIMITS) as workers:
        assert workers.run(PreviewMaker(Level.CLEARER), data) == PreviewMaker(Level.CLEARER)(data)
        assert isinstance(workers.run(PreviewMaker(Level.CLEARER), b"no picture"), str)


def test_what_a_worker_sends_is_checked_before_it_is_shown():
    small, large = derive(np.asarray(BIG), Level.PREVIEW), derive(np.asarray(BIG), Level.ORIGINAL)
    assert checked(small, Level.PREVIEW) is small
    assert checked("why not", Level.PREVIEW) == "why not"
    assert isinstance(checked(large, Level.PREVIEW), str)
    assert isinstance(checked(Preview(b"<svg/>", 10, 10), Level.ORIGINAL), str)
    lying = Preview(large.data, small.width_px, small.height_px)
    assert isinstance(checked(lying, Level.PREVIEW), str)
