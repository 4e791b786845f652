"""The edits that copied pictures come back with: 55 fixed kinds, and six whose parameters are drawn anew each time.

Every edit takes and returns a picture in RGB and follows from its name and a seed, so that a figure can be measured
again. Words are neutral; stickers, interfaces and phones are drawn (`bench.edit_drawings`).
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from bench.edit_drawings import (
    CANVAS_COLOURS,
    collage,
    on_a_screen,
    phone_frame,
    screenshot,
    with_caption,
    with_sticker,
    with_watermark,
)

Alteration = Callable[[Image.Image, np.random.Generator], Image.Image]

_STORY_PX = (1080, 1920)
_STORY_BLUR_PX = 40
_LARGEST_TILT_DEGREES = 16.0


class Family(StrEnum):
    """What kind of thing was done."""

    NONE = "nothing"
    ENCODING = "encoding and size"
    COLOUR = "colour and light"
    OVERLAY = "drawn over"
    FRAME = "framed"
    CROP = "cropped"
    TILT = "tilted"
    TURN = "turned or mirrored"
    SCENE = "shown inside something else"
    SEVERAL = "several at once"
    RANDOM = "random parameters"


@dataclass(frozen=True, slots=True)
class Edit:
    """One kind of edit.

    Attributes:
        name: what results and tests call it, stable across releases.
        family: what kind of thing is done.
        label: what tables call it.
        alter: does it; draws what is free (a colour, a corner, an angle) from the generator it is given.
    """

    name: str
    family: Family
    label: str
    alter: Alteration

    def apply(self, image: Image.Image, seed: int) -> Image.Image:
        """The edited picture, in RGB.

        Args:
            image: RGB, at least 64 px on each side; left as it is.
            seed: not negative; the same picture, edit and seed give the same pixels.

        Raises:
            ValueError: the picture is not RGB or too small.
        """
        if image.mode != "RGB" or min(image.size) < 64:
            message = f"got a picture in {image.mode} of {image.size}: give RGB of at least 64x64 px"
            raise ValueError(message)
        return self.alter(image.copy(), np.random.default_rng([seed, zlib.crc32(self.name.encode())]))


def _unaltered(image: Image.Image, _rng: np.random.Generator) -> Image.Image:
    return image


def _encoded(image: Image.Image, _rng: np.random.Generator, *, format_name: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format_name, quality=quality)
    with Image.open(file) as copy:
        return copy.convert("RGB")


def _resized(image: Image.Image, _rng: np.random.Generator, *, percent: int) -> Image.Image:
    size_px = max(1, image.width * percent // 100), max(1, image.height * percent // 100)
    return image.resize(size_px, Image.Resampling.LANCZOS)


def _contrast(image: Image.Image, _rng: np.random.Generator, *, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def _gamma(image: Image.Image, _rng: np.random.Generator, *, exponent: float) -> Image.Image:
    table = [round(255 * (value / 255) ** exponent) for value in range(256)]
    return image.point(table * 3)


def _brightness(image: Image.Image, _rng: np.random.Generator, *, added: int) -> Image.Image:
    return image.point([min(255, max(0, value + added)) for value in range(256)] * 3)


def _blurred(image: Image.Image, _rng: np.random.Generator, *, radius_percent: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) * radius_percent / 100))


def _noisy(image: Image.Image, rng: np.random.Generator, *, deviation: float) -> Image.Image:
    values = np.asarray(image).astype(np.float32)
    values += rng.normal(0, deviation, values.shape).astype(np.float32)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _grey(image: Image.Image, _rng: np.random.Generator) -> Image.Image:
    return image.convert("L").convert("RGB")


def _warm_filter(image: Image.Image, _rng: np.random.Generator) -> Image.Image:
    """Faded and warm, with darker corners, as photo applications offer it."""
    values = np.asarray(image).astype(np.float32)
    values = values * np.array([0.95, 0.86, 0.74], dtype=np.float32) + np.array([26, 20, 24], dtype=np.float32)
    across, down = np.linspace(-1, 1, image.width), np.linspace(-1, 1, image.height)
    corner_distance = np.sqrt(across[None, :] ** 2 + down[:, None] ** 2) / math.sqrt(2)
    values *= (1 - 0.3 * corner_distance**2)[..., None].astype(np.float32)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _cold_filter(image: Image.Image, _rng: np.random.Generator) -> Image.Image:
    """Colder, harder and more saturated."""
    vivid = ImageEnhance.Color(ImageEnhance.Contrast(image).enhance(1.25)).enhance(1.4)
    values = np.asarray(vivid).astype(np.float32) * np.array([0.9, 1.0, 1.12], dtype=np.float32)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _bordered(image: Image.Image, rng: np.random.Generator, *, percent: float) -> Image.Image:
    """A border whose width is a share of the shorter side, on each side, in one colour."""
    width_px = max(1, round(min(image.size) * percent / 100))
    return ImageOps.expand(image, width_px, _canvas_colour(rng))


def _padded_to_square(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    side_px = max(image.size)
    return ImageOps.pad(image, (side_px, side_px), Image.Resampling.LANCZOS, _canvas_colour(rng))


def _story(image: Image.Image, rng: np.random.Generator, *, blurred: bool) -> Image.Image:
    """Upright 9:16, the picture as wide as the screen, above and below it one colour or its own blurred likeness."""
    if blurred:
        small = ImageOps.fit(image, (_STORY_PX[0] // 4, _STORY_PX[1] // 4), Image.Resampling.BILINEAR)
        soft = small.filter(ImageFilter.GaussianBlur(_STORY_BLUR_PX / 4))
        canvas = ImageEnhance.Brightness(soft.resize(_STORY_PX, Image.Resampling.BICUBIC)).enhance(0.8)
    else:
        canvas = Image.new("RGB", _STORY_PX, _canvas_colour(rng))
    inside = ImageOps.contain(image, _STORY_PX, Image.Resampling.LANCZOS)
    canvas.paste(inside, ((_STORY_PX[0] - inside.width) // 2, (_STORY_PX[1] - inside.height) // 2))
    return canvas


def _centred_crop(image: Image.Image, _rng: np.random.Generator, *, percent: float) -> Image.Image:
    side = math.sqrt(1 - percent / 100)
    return _part(image, side, side, 0.5, 0.5)


def _corner_crop(image: Image.Image, rng: np.random.Generator, *, percent: float) -> Image.Image:
    """What is left touches one of the four corners."""
    side = math.sqrt(1 - percent / 100)
    return _part(image, side, side, float(rng.integers(2)), float(rng.integers(2)))


def _square_crop(image: Image.Image, _rng: np.random.Generator) -> Image.Image:
    side_px = min(image.size)
    return _part(image, side_px / image.width, side_px / image.height, 0.5, 0.5)


def _random_crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """2 to 45 % of the area is gone, the shape stays, and what is left lies anywhere."""
    side = math.sqrt(1 - rng.uniform(0.02, 0.45))
    return _part(image, side, side, rng.uniform(0, 1), rng.uniform(0, 1))


def _random_aspect_crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Width and height are cut by shares of their own, 45 % of the area gone at most."""
    while True:
        width, height = rng.uniform(0.6, 1.0), rng.uniform(0.6, 1.0)
        if 0.55 <= width * height <= 0.98 and abs(width - height) > 0.05:
            return _part(image, width, height, rng.uniform(0, 1), rng.uniform(0, 1))


def _part(image: Image.Image, width: float, height: float, x: float, y: float) -> Image.Image:
    """A part of given width and height (fractions), `x` and `y` (0 to 1) of the way from the upper left corner."""
    width_px, height_px = max(1, round(image.width * width)), max(1, round(image.height * height))
    left, top = round((image.width - width_px) * x), round((image.height - height_px) * y)
    return image.crop((left, top, left + width_px, top + height_px))


def _tilted(image: Image.Image, rng: np.random.Generator, *, degrees: float) -> Image.Image:
    """Turned about the centre in a canvas of the same size, black where nothing is; to the left or to the right."""
    return image.rotate(_either_way(degrees, rng), Image.Resampling.BICUBIC)


def _tilted_inside(image: Image.Image, rng: np.random.Generator, *, degrees: float) -> Image.Image:
    """Tilted, and cropped to the largest rectangle without a black corner."""
    return _inner_part(_tilted(image, rng, degrees=degrees), degrees)


def _random_tilt(image: Image.Image, rng: np.random.Generator, *, inside: bool) -> Image.Image:
    degrees = rng.uniform(1, _LARGEST_TILT_DEGREES)
    return (_tilted_inside if inside else _tilted)(image, rng, degrees=degrees)


def _inner_part(tilted: Image.Image, degrees: float) -> Image.Image:
    width, height = inner_size(tilted.width, tilted.height, degrees)
    return _part(tilted, width / tilted.width, height / tilted.height, 0.5, 0.5)


def inner_size(width: float, height: float, degrees: float) -> tuple[float, float]:
    """Width and height of the largest upright rectangle in a `width` x `height` one that is tilted by 0 to 90 degrees.

    Either two opposite corners of it touch the longer sides, or all four corners touch a side each.
    """
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    longer, shorter = max(width, height), min(width, height)
    if shorter <= 2 * sine * cosine * longer:
        half = shorter / 2
        return (half / sine, half / cosine) if width >= height else (half / cosine, half / sine)
    scale = cosine**2 - sine**2
    return (width * cosine - height * sine) / scale, (height * cosine - width * sine) / scale


def _either_way(degrees: float, rng: np.random.Generator) -> float:
    return degrees if rng.random() < 0.5 else -degrees


def _transposed(image: Image.Image, _rng: np.random.Generator, *, way: Image.Transpose) -> Image.Image:
    return image.transpose(way)


def _canvas_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    return CANVAS_COLOURS[int(rng.integers(len(CANVAS_COLOURS)))]


def _in_turn(*alterations: Alteration) -> Alteration:
    """One edit after the other."""

    def alter(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for each in alterations:
            image = each(image, rng)
        return image

    return alter


_jpeg = partial(partial, _encoded, format_name="JPEG")
_mirrored = partial(_transposed, way=Image.Transpose.FLIP_LEFT_RIGHT)

EDITS: tuple[Edit, ...] = (
    Edit("unaltered", Family.NONE, "unaltered", _unaltered),
    *(
        Edit(f"jpeg_{quality}", Family.ENCODING, f"JPEG, quality {quality}", _jpeg(quality=quality))
        for quality in (70, 40, 20)
    ),
    Edit("webp", Family.ENCODING, "WebP, quality 50", partial(_encoded, format_name="WEBP", quality=50)),
    Edit("resize_50", Family.ENCODING, "resized to 50 %", partial(_resized, percent=50)),
    Edit("resize_25", Family.ENCODING, "resized to 25 %", partial(_resized, percent=25)),
    Edit("contrast_up", Family.COLOUR, "more contrast", partial(_contrast, factor=1.4)),
    Edit("contrast_down", Family.COLOUR, "less contrast", partial(_contrast, factor=0.75)),
    Edit("gamma_dark", Family.COLOUR, "gamma 1.5, darker", partial(_gamma, exponent=1.5)),
    Edit("gamma_light", Family.COLOUR, "gamma 0.67, lighter", partial(_gamma, exponent=0.67)),
    Edit("brightness_40", Family.COLOUR, "brightness + 40", partial(_brightness, added=40)),
    Edit("blur_weak", Family.COLOUR, "slightly blurred", partial(_blurred, radius_percent=0.15)),
    Edit("blur_strong", Family.COLOUR, "blurred", partial(_blurred, radius_percent=0.35)),
    Edit("noise_weak", Family.COLOUR, "noise, deviation 10", partial(_noisy, deviation=10)),
    Edit("noise_strong", Family.COLOUR, "noise, deviation 25", partial(_noisy, deviation=25)),
    Edit("grey", Family.COLOUR, "greyscale", _grey),
    Edit("filter_warm", Family.COLOUR, "warm filter, dark corners", _warm_filter),
    Edit("filter_cold", Family.COLOUR, "cold, hard filter", _cold_filter),
    Edit("watermark", Family.OVERLAY, "watermark text", with_watermark),
    *(
        Edit(f"sticker_{percent}", Family.OVERLAY, f"sticker over {percent} %", partial(with_sticker, percent=percent))
        for percent in (5, 10, 20)
    ),
    Edit("caption", Family.FRAME, "caption band", with_caption),
    *(
        Edit(f"border_{percent}", Family.FRAME, f"border of {percent} %", partial(_bordered, percent=percent))
        for percent in (5, 10, 20)
    ),
    Edit("square_pad", Family.FRAME, "padded to a square", _padded_to_square),
    Edit("story_solid", Family.FRAME, "story, one colour", partial(_story, blurred=False)),
    Edit("story_blurred", Family.FRAME, "story, blurred filler", partial(_story, blurred=True)),
    *(
        Edit(f"crop_{percent}", Family.CROP, f"centred crop of {percent} %", partial(_centred_crop, percent=percent))
        for percent in (2, 5, 10, 20, 40)
    ),
    *(
        Edit(f"corner_{percent}", Family.CROP, f"corner crop of {percent} %", partial(_corner_crop, percent=percent))
        for percent in (2, 5, 10, 20, 40)
    ),
    Edit("square_crop", Family.CROP, "square crop", _square_crop),
    *(
        Edit(f"tilt_{degrees}", Family.TILT, f"tilt of {degrees}°", partial(_tilted, degrees=degrees))
        for degrees in (2, 5, 10, 15)
    ),
    Edit("tilt_10_inside", Family.TILT, "tilt of 10°, cropped inside", partial(_tilted_inside, degrees=10)),
    Edit("turn_90", Family.TURN, "turned 90°", partial(_transposed, way=Image.Transpose.ROTATE_270)),
    Edit("turn_180", Family.TURN, "turned 180°", partial(_transposed, way=Image.Transpose.ROTATE_180)),
    Edit("mirrored", Family.TURN, "mirrored", _mirrored),
    Edit("screenshot", Family.SCENE, "screenshot with interface", screenshot),
    Edit("collage", Family.SCENE, "collage 2 x 2", collage),
    Edit("screen_photo", Family.SCENE, "photo of a screen", on_a_screen),
    Edit(
        "crop_sticker_jpeg",
        Family.SEVERAL,
        "crop + sticker + JPEG 40",
        _in_turn(partial(_corner_crop, percent=10), partial(with_sticker, percent=5), _jpeg(quality=40)),
    ),
    Edit(
        "mirror_crop_caption",
        Family.SEVERAL,
        "mirrored + crop + caption",
        _in_turn(_mirrored, partial(_centred_crop, percent=10), with_caption),
    ),
    Edit(
        "filter_phone_jpeg",
        Family.SEVERAL,
        "filter + phone frame + JPEG",
        _in_turn(_warm_filter, phone_frame, _jpeg(quality=60)),
    ),
)
"""The 55 kinds of the baseline, with the unaltered picture. A crop of 10 % takes 10 % of the area away."""

RANDOM_EDITS: tuple[Edit, ...] = (
    Edit("random_crop", Family.RANDOM, "crop of 2-45 % of the area, any offset", _random_crop),
    Edit("random_aspect", Family.RANDOM, "aspect crop", _random_aspect_crop),
    Edit("random_tilt", Family.RANDOM, "tilt up to 16°, black corners", partial(_random_tilt, inside=False)),
    Edit("random_tilt_inside", Family.RANDOM, "tilt up to 16°, inner crop", partial(_random_tilt, inside=True)),
    Edit(
        "random_crop_mirror_jpeg",
        Family.RANDOM,
        "crop + mirror + JPEG 50",
        _in_turn(_random_crop, _mirrored, _jpeg(quality=50)),
    ),
    Edit(
        "random_crop_border",
        Family.RANDOM,
        "crop + border",
        _in_turn(_random_crop, lambda image, rng: _bordered(image, rng, percent=rng.uniform(3, 15))),
    ),
)
"""Six kinds that lie on nobody's grid."""
