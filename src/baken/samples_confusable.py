"""Pictures of kinds that are easy to take for one another: empty views, logos, memes and pages.

False matches are counted on them. Each follows from its seed, and any two seeds of a kind are two different pictures.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from baken.samples_brush import BRIGHT, SUPERSAMPLING, WALLS, Brush, Colour, blend, shade, soft_noise

LOGO_SIZE_PX = (600, 600)
PAGE_SIZE_PX = (744, 1052)
"""A4 at 90 pixels an inch."""

# fmt: off
_WORDS = (
    "air", "all", "apple", "autumn", "back", "bear", "bird", "blue", "boat", "book", "bread", "bridge", "brown",
    "canal", "city", "cloud", "coast", "cold", "colour", "corner", "country", "day", "deep", "door", "dream",
    "east", "evening", "field", "fish", "flower", "forest", "garden", "glass", "gold", "grass", "green", "ground",
    "harbour", "heavy", "high", "hill", "home", "horse", "house", "island", "lake", "land", "large", "leaf",
    "letter", "light", "long", "low", "market", "meadow", "milk", "mill", "moon", "morning", "mountain", "music",
    "night", "north", "ocean", "old", "orange", "paint", "paper", "path", "plain", "point", "quiet", "rain",
    "red", "river", "road", "roof", "room", "round", "sail", "salt", "sand", "sea", "shade", "shell", "ship",
    "shore", "silver", "sky", "slow", "small", "snow", "south", "spring", "star", "stone", "storm", "street",
    "summer", "table", "tower", "town", "tree", "valley", "village", "wall", "warm", "water", "wave", "west",
    "wheel", "white", "wind", "window", "winter", "wood", "yellow",
)
# fmt: on

_HEADINGS = ("Letter", "Invoice", "Minutes", "Report", "Notice", "Programme", "Receipt", "Timetable")
_SUN_SHARE = 0.5
_INK: Colour = (24, 24, 28)
_FAINT: Colour = (150, 152, 156)


def draw_empty_view(seed: int, size: tuple[int, int] = (1024, 768)) -> Image.Image:
    """Two or three soft bands of colour (sky, sea, sand), some with a sun: little more than where the bands meet."""
    rng = np.random.default_rng(seed)
    width, height = size
    bands = int(rng.integers(2, 4))
    edges = np.sort(rng.uniform(0.15, 0.85, bands - 1)) * height
    colours = [shade(WALLS[int(rng.integers(len(WALLS)))], float(rng.uniform(0.5, 1.1))) for _ in range(bands)]
    softness = float(rng.uniform(2, 30))
    down = np.arange(height, dtype=np.float32)[:, None]
    picture = np.broadcast_to(np.asarray(colours[0], np.float32), (height, 3)).copy()
    for edge, colour in zip(edges, colours[1:], strict=True):
        share = 1 / (1 + np.exp(-np.clip((down - edge) / softness, -30, 30)))
        picture += (np.asarray(colour, np.float32) - picture) * share
    canvas = np.broadcast_to(picture[:, None], (height, width, 3)) * (1 + 0.05 * soft_noise(rng, size, 3)[..., None])
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    if rng.random() < _SUN_SHARE:
        reach = float(rng.uniform(0.02, 0.06)) * width
        x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.5) * height
        ImageDraw.Draw(image).ellipse((x - reach, y - reach, x + reach, y + reach), fill=(255, 246, 220))
    return image


def draw_logo(seed: int, size: tuple[int, int] = LOGO_SIZE_PX) -> Image.Image:
    """A sign without words: two to four simple shapes about the middle, in two or three colours on a plain ground."""
    brush = Brush(np.random.default_rng(seed), size)
    ground = (255, 255, 255) if brush.chance(0.6) else brush.pick((*WALLS, *BRIGHT))
    brush.box(0, 0, brush.width, brush.height, ground)
    colours = [brush.pick(BRIGHT), brush.pick(BRIGHT), blend(ground, (20, 20, 24), 0.9)]
    x, y = brush.width / 2, brush.height / 2
    reach = 34 * brush.unit
    for number in range(brush.number(2, 4)):
        colour = colours[number % len(colours)]
        shape = _LOGO_SHAPES[brush.number(0, len(_LOGO_SHAPES) - 1)]
        shape(brush, x + brush.unit * brush.between(-6, 6), y + brush.unit * brush.between(-6, 6), reach, colour)
        reach *= brush.between(0.45, 0.8)
    return brush.image.reduce(SUPERSAMPLING)


def _logo_disc(brush: Brush, x: float, y: float, reach: float, colour: Colour) -> None:
    brush.disc(x, y, reach, reach, colour)


def _logo_ring(brush: Brush, x: float, y: float, reach: float, colour: Colour) -> None:
    brush.ring(x, y, reach, reach * brush.between(0.15, 0.4), colour)


def _logo_box(brush: Brush, x: float, y: float, reach: float, colour: Colour) -> None:
    brush.box(x - reach, y - reach * 0.6, 2 * reach, 1.2 * reach, colour)


def _logo_star(brush: Brush, x: float, y: float, reach: float, colour: Colour) -> None:
    """A star; a polygon of twice as many corners where the inner radius is near the outer one."""
    count, inner, turn = brush.number(3, 9), brush.between(0.35, 1.0), brush.between(0, math.pi)
    radii = [reach * (inner if number % 2 else 1) for number in range(2 * count)]
    angles = [turn + math.pi * number / count for number in range(2 * count)]
    brush.polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)], colour)


def _logo_bars(brush: Brush, x: float, y: float, reach: float, colour: Colour) -> None:
    for place in (-0.7, 0.0, 0.7):
        brush.box(x + (place - 0.18) * reach, y - reach, 0.36 * reach, 2 * reach, colour)


def _logo_triangle(brush: Brush, x: float, y: float, reach: float, colour: Colour) -> None:
    brush.polygon(((x - reach, y + reach * 0.8), (x, y - reach), (x + reach, y + reach * 0.8)), colour)


def _logo_wave(brush: Brush, x: float, y: float, reach: float, colour: Colour) -> None:
    steps = 20
    wave = [
        (x + reach * (step / steps - 1), y + reach * 0.35 * math.sin(step / steps * math.pi * 2))
        for step in range(2 * steps + 1)
    ]
    brush.line(wave, reach * 0.3, colour)


_LOGO_SHAPES = (_logo_disc, _logo_ring, _logo_box, _logo_star, _logo_bars, _logo_triangle, _logo_wave)


def with_meme_words(template: Image.Image, words_seed: int) -> Image.Image:
    """A picture with large outlined words at its top and bottom: the same template with other words for other seeds."""
    rng = np.random.default_rng(words_seed)
    image = template.copy()
    pen = ImageDraw.Draw(image)
    for middle, anchor in ((0.03, "ma"), (0.97, "md")):
        words = _some_words(rng, int(rng.integers(2, 6))).upper()
        font = _fitting(words, image.width * 0.94, image.height * 0.15)
        place = image.width / 2, image.height * middle
        outline_px = max(1, image.height // 150)
        pen.text(place, words, (255, 255, 255), font, anchor=anchor, stroke_width=outline_px, stroke_fill=(0, 0, 0))
    return image


def draw_page(seed: int, size: tuple[int, int] = PAGE_SIZE_PX) -> Image.Image:
    """A page of a document: a heading, then paragraphs, lists, tables and framed boxes until it is full."""
    rng = np.random.default_rng(seed)
    width, height = size
    image = Image.new("RGB", size, shade((252, 252, 250), float(rng.uniform(0.94, 1.0))))
    pen = ImageDraw.Draw(image)
    margin, y = width * float(rng.uniform(0.08, 0.13)), height * float(rng.uniform(0.06, 0.12))
    heading = f"{_HEADINGS[int(rng.integers(len(_HEADINGS)))]} {rng.integers(10, 9999)}"
    pen.text((margin, y), heading, _INK, _font(width * float(rng.uniform(0.035, 0.055))))
    y += width * 0.09
    while y < height * 0.92:
        block = _BLOCKS[int(rng.integers(len(_BLOCKS)))]
        y = block(pen, rng, (margin, y, width - margin, height * 0.95)) + height * float(rng.uniform(0.015, 0.04))
    return image


Room = tuple[float, float, float, float]
"""Left, top, right and bottom of what a block of a page may fill, in pixels."""


def _paragraph(pen: ImageDraw.ImageDraw, rng: np.random.Generator, room: Room) -> float:
    left, y, right, bottom = room
    font, step = _font((right - left) * 0.02), (right - left) * 0.03
    for _ in range(int(rng.integers(2, 10))):
        if y + step > bottom:
            break
        line = _some_words(rng, 24)
        while font.getlength(line) > right - left:
            line = line.rpartition(" ")[0]
        pen.text((left, y), line, _INK, font)
        y += step
    return y


def _list(pen: ImageDraw.ImageDraw, rng: np.random.Generator, room: Room) -> float:
    left, y, right, bottom = room
    font, step = _font((right - left) * 0.021), (right - left) * 0.038
    for _ in range(int(rng.integers(3, 8))):
        if y + step > bottom:
            break
        pen.ellipse((left + step / 2, y + step * 0.2, left + step * 0.8, y + step * 0.5), fill=_INK)
        pen.text((left + step * 1.3, y), _some_words(rng, int(rng.integers(2, 8))), _INK, font)
        y += step
    return y


def _table(pen: ImageDraw.ImageDraw, rng: np.random.Generator, room: Room) -> float:
    left, y, right, bottom = room
    columns, step = int(rng.integers(2, 6)), (right - left) * 0.04
    font = _font((right - left) * 0.02)
    for row in range(int(rng.integers(3, 12))):
        if y + step > bottom:
            break
        if row == 0:
            pen.rectangle((left, y, right, y + step), fill=(224, 226, 230))
        pen.rectangle((left, y, right, y + step), outline=_FAINT)
        for column in range(columns):
            x = left + (right - left) * column / columns
            pen.line((x, y, x, y + step), fill=_FAINT)
            value = _some_words(rng, 1) if column == 0 else f"{rng.uniform(0, 900):.2f}"
            pen.text((x + step * 0.2, y + step * 0.2), value, _INK, font)
        y += step
    return y


def _frame(pen: ImageDraw.ImageDraw, rng: np.random.Generator, room: Room) -> float:
    left, y, right, bottom = room
    foot = min(bottom, y + (right - left) * float(rng.uniform(0.1, 0.35)))
    start, end = left + (right - left) * float(rng.uniform(0, 0.4)), right - (right - left) * float(rng.uniform(0, 0.4))
    grey = int(rng.integers(150, 245))
    pen.rectangle((start, y, end, foot), fill=(grey, grey, grey), outline=_INK)
    return foot


_BLOCKS = (_paragraph, _paragraph, _list, _table, _frame)


def _some_words(rng: np.random.Generator, count: int) -> str:
    return " ".join(_WORDS[int(number)] for number in rng.integers(len(_WORDS), size=count))


def _font(size_px: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(4.0, size_px))
    if not isinstance(font, ImageFont.FreeTypeFont):
        message = "this Pillow has no scalable default font: install one with FreeType, as the wheels on PyPI have"
        raise TypeError(message)
    return font


def _fitting(words: str, width_px: float, height_px: float) -> ImageFont.FreeTypeFont:
    unit_px = _font(100).getlength(words) / 100
    return _font(min(width_px / unit_px, height_px))
