"""What the edits draw over and around a picture: words, stickers, interfaces, a phone, a screen seen by a camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from baken import samples

Colour = tuple[int, int, int]

CANVAS_COLOURS: tuple[Colour, ...] = ((255, 255, 255), (0, 0, 0), (236, 232, 224), (38, 44, 60), (206, 84, 72))
"""What borders and empty parts of a canvas are filled with."""

STICKER_COLOURS: tuple[Colour, ...] = ((250, 204, 40), (228, 60, 76), (60, 150, 226), (120, 200, 90), (240, 240, 240))
_WORDS = (
    "a day by the water",
    "greetings from the coast",
    "look at this one",
    "my favourite place",
    "saturday morning",
    "the best view in town",
    "what a colour",
)
_FILLER_COUNT = 24
_FILLER_SEED = 9_000_000
"""Far from every seed whose picture is an original or a distractor."""
_FILLER_PX = (640, 480)
_PHONE_PX = (1080, 2160)
_LIGHT: tuple[Colour, Colour, Colour] = ((255, 255, 255), (24, 24, 28), (214, 216, 220))
_DARK: tuple[Colour, Colour, Colour] = ((18, 18, 20), (236, 236, 236), (70, 70, 76))


def with_watermark(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Half-transparent words across the middle, in two lines as wide as four fifths of the picture."""
    layer = Image.new("L", image.size, 0)
    font = _font_of_width("sample picture", image.width * 0.8)
    middle = image.width / 2, image.height * rng.uniform(0.4, 0.6)
    words = "sample picture\nsample picture"
    ImageDraw.Draw(layer).multiline_text(middle, words, font=font, fill=185, anchor="mm", align="center")
    image.paste((255, 255, 255), mask=layer)
    return image


def with_caption(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A white or black band with a line of words above or below, 16 % of the picture's height."""
    band_px = round(image.height * 0.16)
    paper, ink = ((255, 255, 255), (20, 20, 20)) if rng.random() < 0.7 else ((0, 0, 0), (245, 245, 245))
    canvas = Image.new("RGB", (image.width, image.height + band_px), paper)
    above = rng.random() < 0.5
    canvas.paste(image, (0, band_px if above else 0))
    words = _words(rng)
    font = _font_of_width(words, image.width * 0.8, largest_px=band_px * 0.6)
    middle = image.width / 2, band_px / 2 if above else image.height + band_px / 2
    ImageDraw.Draw(canvas).text(middle, words, font=font, fill=ink, anchor="mm")
    return canvas


def with_sticker(image: Image.Image, rng: np.random.Generator, *, percent: float) -> Image.Image:
    """A drawn sticker that hides `percent` of the area, wholly inside the picture."""
    area_px = image.width * image.height * percent / 100
    mask = _STICKERS[int(rng.integers(len(_STICKERS)))](area_px)
    if mask.width > image.width or mask.height > image.height:
        mask = _disc(min(area_px, math.pi * min(image.size) ** 2 / 4 * 0.95))
    left = int(rng.integers(image.width - mask.width + 1))
    top = int(rng.integers(image.height - mask.height + 1))
    image.paste(STICKER_COLOURS[int(rng.integers(len(STICKER_COLOURS)))], (left, top), mask)
    return image


def screenshot(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A phone's screenshot of a page that shows the picture: bars, an avatar, lines of text, icons."""
    dark = rng.random() < 0.4
    paper, ink, faint = (
        ((18, 18, 20), (236, 236, 236), (70, 70, 76)) if dark else ((255, 255, 255), (24, 24, 28), (214, 216, 220))
    )
    width, height = _PHONE_PX
    canvas = Image.new("RGB", _PHONE_PX, paper)
    pen = ImageDraw.Draw(canvas)
    _status_bar(pen, width, ink)
    pen.ellipse((36, 150, 132, 246), fill=STICKER_COLOURS[int(rng.integers(len(STICKER_COLOURS)))])
    pen.text((160, 160), "somebody", font=_font(38), fill=ink)
    pen.text((160, 208), "two hours ago", font=_font(28), fill=faint)
    shown = ImageOps.contain(image, (width, height - 700), Image.Resampling.LANCZOS)
    top = 280
    canvas.paste(shown, ((width - shown.width) // 2, top))
    y = top + shown.height + 30
    for number in range(3):
        pen.ellipse((40 + 100 * number, y, 100 + 100 * number, y + 60), outline=ink, width=5)
    pen.polygon(((980, y), (1030, y), (1030, y + 60), (1005, y + 40), (980, y + 60)), outline=ink, width=5)
    pen.text((40, y + 84), _words(rng), font=_font(36), fill=ink)
    _comments(pen, y + 150, height - 150, faint, rng)
    pen.line((0, height - 130, width, height - 130), fill=faint, width=2)
    for number in range(5):
        x = width * (number + 0.5) / 5
        pen.rounded_rectangle((x - 28, height - 96, x + 28, height - 40), 12, outline=ink, width=5)
    return canvas


def collage(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture and three others in two rows of two, each cell of the picture's shape, with a thin gap."""
    cell = image.width // 2, image.height // 2
    gap_px = max(2, round(max(cell) * float(rng.choice([0.0, 0.01, 0.02]))))
    others = [_filler(int(number)) for number in rng.permutation(_FILLER_COUNT)[:3]]
    cells = [ImageOps.fit(other, cell, Image.Resampling.BILINEAR) for other in others]
    cells.insert(int(rng.integers(4)), image.resize(cell, Image.Resampling.LANCZOS))
    canvas = Image.new("RGB", (2 * cell[0] + gap_px, 2 * cell[1] + gap_px), (255, 255, 255))
    for number, each in enumerate(cells):
        canvas.paste(each, ((number % 2) * (cell[0] + gap_px), (number // 2) * (cell[1] + gap_px)))
    return canvas


def phone_frame(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture as the screen of a drawn phone: a dark case, wider at one end, on a plain ground."""
    side_px, end_px, ground_px = (round(max(image.size) * share) for share in (0.02, 0.06, 0.05))
    along_x = image.width >= image.height
    case_x, case_y = (end_px, side_px) if along_x else (side_px, end_px)
    size_px = image.width + 2 * (case_x + ground_px), image.height + 2 * (case_y + ground_px)
    canvas = Image.new("RGB", size_px, CANVAS_COLOURS[int(rng.choice([0, 2]))])
    pen = ImageDraw.Draw(canvas)
    case = ground_px, ground_px, size_px[0] - ground_px - 1, size_px[1] - ground_px - 1
    pen.rounded_rectangle(case, end_px, fill=(16, 16, 18))
    canvas.paste(image, (ground_px + case_x, ground_px + case_y))
    return canvas


def on_a_screen(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A photo of the picture on a display: perspective, the screen's lines, glare, softness, a cast, grain."""
    shown = ImageOps.contain(image, (900, 900), Image.Resampling.LANCZOS)
    screen = ImageOps.expand(shown, 26, (14, 14, 16))
    size_px = screen.width + 200, screen.height + 200
    room = Image.new("RGB", size_px, (92, 84, 78))
    ImageDraw.Draw(room).rectangle((0, round(size_px[1] * 0.8), *size_px), fill=(120, 100, 82))
    corners = _shaken_corners(screen.size, (100, 100), rng)
    coefficients = perspective(corners, ((0, 0), (screen.width, 0), (screen.width, screen.height), (0, screen.height)))
    warped = screen.transform(size_px, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)
    mask = Image.new("L", size_px, 0)
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    room.paste(warped, mask=mask)
    return _as_a_camera_sees(room, rng)


def perspective(source: Sequence[tuple[float, float]], target: Sequence[tuple[float, float]]) -> list[float]:
    """The eight coefficients with which Pillow's perspective transform maps four points to four others.

    Solves a x + b y + c - u (g x + h y) = u and d x + e y + f - v (g x + h y) = v for each pair (x, y) -> (u, v).
    """
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float))]


def _shaken_corners(
    size_px: tuple[int, int], offset_px: tuple[int, int], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """The corners of a rectangle, each moved by up to 5 % of its sides."""

    def moved(offset: int, place: int, side: int) -> float:
        return offset + (place + rng.uniform(-0.05, 0.05)) * side

    corners = ((0, 0), (1, 0), (1, 1), (0, 1))
    return [(moved(offset_px[0], x, size_px[0]), moved(offset_px[1], y, size_px[1])) for x, y in corners]


def _as_a_camera_sees(room: Image.Image, rng: np.random.Generator) -> Image.Image:
    values = np.asarray(room.filter(ImageFilter.GaussianBlur(1.1))).astype(np.float32)
    height, width = values.shape[:2]
    across, down = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    lines = across[None, :] * rng.uniform(0.35, 0.6) + down[:, None] * rng.uniform(0.1, 0.3)
    values *= (1 + 0.05 * np.sin(lines))[..., None]
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    reach = 0.3 * max(width, height)
    glare = np.exp(-((across[None, :] - x) ** 2 + (down[:, None] - y) ** 2) / (2 * reach**2))
    values += (36 * glare)[..., None]
    values *= np.array([0.96, 1.0, 1.05], dtype=np.float32)
    values += rng.normal(0, 4, values.shape).astype(np.float32)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _status_bar(pen: ImageDraw.ImageDraw, width: int, ink: Colour) -> None:
    pen.text((50, 40), "12:34", font=_font(40), fill=ink)
    for number in range(4):
        x = width - 260 + 22 * number
        pen.rectangle((x, 76 - 10 * number, x + 14, 84), fill=ink)
    pen.rounded_rectangle((width - 140, 46, width - 60, 84), 8, outline=ink, width=4)
    pen.rectangle((width - 132, 54, width - 86, 76), fill=ink)


def _comments(pen: ImageDraw.ImageDraw, top: float, bottom: float, faint: Colour, rng: np.random.Generator) -> None:
    y = top
    while y + 90 < bottom:
        pen.ellipse((40, y, 100, y + 60), fill=faint)
        pen.rounded_rectangle((124, y + 4, 124 + rng.uniform(200, 700), y + 28), 8, fill=faint)
        pen.rounded_rectangle((124, y + 38, 124 + rng.uniform(100, 500), y + 58), 8, fill=faint)
        y += 110


def _words(rng: np.random.Generator) -> str:
    return _WORDS[int(rng.integers(len(_WORDS)))]


@lru_cache(maxsize=64)
def _font(size_px: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size_px)


def _font_of_width(
    words: str, width_px: float, *, largest_px: float = math.inf
) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    unit_px = _font(100).getlength(words) / 100
    return _font(max(8, round(min(width_px / unit_px, largest_px))))


@lru_cache(maxsize=_FILLER_COUNT)
def _filler(number: int) -> Image.Image:
    return samples.draw(_FILLER_SEED + number, _FILLER_PX)


def _disc(area_px: float) -> Image.Image:
    side_px = max(2, round(2 * math.sqrt(area_px / math.pi)))
    mask = Image.new("L", (side_px, side_px), 0)
    ImageDraw.Draw(mask).ellipse((0, 0, side_px - 1, side_px - 1), fill=255)
    return mask


def _label(area_px: float) -> Image.Image:
    """Twice as wide as high."""
    height_px = max(2, round(math.sqrt(area_px / 2)))
    return Image.new("L", (2 * height_px, height_px), 255)


def _star(area_px: float) -> Image.Image:
    """Eight points; the inner radius is 0.72 of the outer one."""
    inner, points = 0.72, 8
    reach_px = math.sqrt(area_px / (points * inner * math.sin(math.pi / points)))
    side_px = max(2, math.ceil(2 * reach_px))
    mask = Image.new("L", (side_px, side_px), 0)
    corners = [
        (side_px / 2 + radius * math.cos(angle), side_px / 2 + radius * math.sin(angle))
        for number in range(2 * points)
        for angle, radius in [(number * math.pi / points, reach_px * (inner if number % 2 else 1))]
    ]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask


_STICKERS = (_disc, _label, _star)
