"""Baken's own pictures: drawn landscapes, streets and still lifes without people, for the demo, the docs and the tests.

Everything follows from a seed, so that no photo of anybody has to be shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from baken import samples_things as things
from baken.samples_brush import BRIGHT, LEAVES, PETALS, SUPERSAMPLING, WALLS, Brush, Colour, blend, shade, soft_noise
from baken.samples_files import altered_copies, huge_png, truncated_jpeg

__all__ = ["altered_copies", "broken_files", "draw", "draw_flat"]

DEFAULT_SIZE_PX = (1024, 768)

_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((70, 132, 206), (206, 226, 240)),
    ((50, 92, 160), (250, 204, 150)),
    ((96, 110, 150), (246, 168, 120)),
    ((120, 160, 196), (232, 232, 224)),
    ((44, 70, 120), (180, 150, 180)),
    ((98, 150, 190), (250, 236, 200)),
)
_GRASS: tuple[Colour, ...] = ((96, 140, 58), (132, 142, 62), (74, 122, 66), (158, 150, 76))
_STONE: tuple[Colour, ...] = ((120, 130, 150), (136, 120, 116), (96, 112, 126))
_SEA: tuple[Colour, ...] = ((34, 92, 130), (44, 116, 122), (60, 90, 120), (40, 76, 104))
_TEXTURE_CELLS = (44, 95)
_LIGHT_REDUCTION = 4
_GRAIN = 12


def draw(seed: int, size: tuple[int, int] = DEFAULT_SIZE_PX) -> Image.Image:
    """A varied picture without people, in RGB: the same for the same seed and size, far in PDQ from other seeds."""
    rng = np.random.default_rng(seed)
    brush = Brush(rng, size)
    _SCENES[seed % len(_SCENES)](brush)
    return _finished(brush.image, rng)


def draw_flat(seed: int, size: tuple[int, int] = DEFAULT_SIZE_PX) -> Image.Image:
    """A picture too plain for PDQ (quality below 50): an empty wall in soft light."""
    rng = np.random.default_rng(seed)
    colour = np.asarray(shade(WALLS[seed % len(WALLS)], float(rng.uniform(0.7, 1.05))), dtype=np.float32)
    light = 1 + 0.06 * soft_noise(rng, size, 3)[..., None]
    return Image.fromarray(np.clip(colour * light, 0, 255).astype(np.uint8))


def broken_files() -> Iterator[tuple[str, bytes]]:
    """Files that are no picture, each with its name: what a gate must call unscreenable and never clear."""
    yield "truncated.jpg", truncated_jpeg(draw(0, (640, 480)))
    yield "empty.jpg", b""
    yield "text.jpg", b"These are words, whatever the file's name says.\n" * 20
    yield "bomb.png", huge_png(60_000, 60_000)


def _finished(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The canvas at its final size, with uneven light, texture and the grain of a sensor."""
    picture = image.reduce(SUPERSAMPLING)
    coarse = max(2, picture.width // _LIGHT_REDUCTION), max(2, picture.height // _LIGHT_REDUCTION)
    light = 128 + 20 * soft_noise(rng, coarse, 3)
    for cells in _TEXTURE_CELLS:
        light += 4 * soft_noise(rng, coarse, cells)
    spread = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8)).resize(picture.size, Image.Resampling.BILINEAR)
    factor = np.asarray(spread).astype(np.uint16)
    factor += rng.integers(0, _GRAIN, factor.shape, dtype=np.uint8)
    shaded = np.asarray(picture) * factor[..., None]
    shaded >>= 7
    return Image.fromarray(np.minimum(shaded, 255, out=shaded).astype(np.uint8))


def _sky(brush: Brush, horizon: float) -> Colour:
    top, bottom = _SKIES[brush.number(0, len(_SKIES) - 1)]
    brush.sky(shade(top, brush.between(0.85, 1.15)), bottom, horizon)
    return bottom


def _hills(brush: Brush, horizon: float, haze: Colour, count: int) -> None:
    for depth in range(count):
        near = (depth + 1) / (count + 1)
        colour = blend(haze, brush.pick(_GRASS), 0.3 + 0.5 * near)
        brush.ridge(horizon + brush.unit * 5 * near, brush.unit * brush.between(8, 22), 0.5, colour)


def _trees(brush: Brush, low: float, high: float, count: int, height: float) -> None:
    """Trees with their feet between two heights of the picture, the far ones first and smaller."""
    grow = brush.conifer if brush.chance(0.35) else brush.tree
    for depth in sorted(brush.between(0, 1) for _ in range(count)):
        foot = low + (high - low) * depth
        tall = brush.unit * height * (0.45 + 0.75 * depth) * brush.between(0.8, 1.2)
        grow(brush.between(0, brush.width), foot, tall, brush.pick(LEAVES))


def _meadow(brush: Brush) -> None:
    horizon = brush.height * brush.between(0.4, 0.62)
    haze = _sky(brush, horizon)
    _hills(brush, horizon, haze, brush.number(1, 3))
    near = brush.pick(_GRASS)
    brush.ground(horizon + brush.unit * 4, near, blend(near, haze, 0.35))
    _trees(brush, horizon + brush.unit * 5, horizon + brush.unit * 14, brush.number(4, 9), 26)
    for _ in range(brush.number(1, 3)):
        foot = horizon + brush.unit * brush.between(10, 22)
        things.cottage(brush, brush.between(0.1, 0.9) * brush.width, foot, brush.unit * brush.between(20, 34))
    _trees(brush, brush.height * 0.85, brush.height * 1.02, brush.number(1, 3), 62)
    for _ in range(brush.number(20, 60)):
        y = brush.between(brush.height * 0.82, brush.height)
        brush.flower(brush.between(0, brush.width), y, brush.unit * brush.between(0.8, 2), brush.pick(PETALS))


def _lake(brush: Brush) -> None:
    horizon = brush.height * brush.between(0.42, 0.6)
    haze = _sky(brush, horizon)
    for layer in range(brush.number(2, 3)):
        stone = blend(haze, brush.pick(_STONE), 0.45 + 0.25 * layer)
        rise = brush.unit * brush.between(18, 40) / (1 + 0.5 * layer)
        brush.ridge(horizon + brush.unit, rise, 0.62, stone, snow=brush.between(0.3, 0.6))
    brush.water(horizon, brush.pick(_SEA), haze)
    for place in np.arange(0, brush.width, brush.unit * 3.2):
        foot = horizon + brush.unit * brush.between(0, 2)
        brush.conifer(float(place), foot, brush.unit * brush.between(5, 15), brush.pick(LEAVES[:2]))
    for depth in sorted(brush.between(0, 1) for _ in range(brush.number(1, 4))):
        waterline = horizon + (brush.height * 0.9 - horizon) * (0.15 + 0.8 * depth)
        tall = brush.unit * (12 + 36 * depth)
        things.sailing_boat(brush, brush.between(0.08, 0.92) * brush.width, waterline, tall)


def _tulips(brush: Brush) -> None:
    horizon = brush.height * brush.between(0.4, 0.58)
    haze = _sky(brush, horizon)
    _trees(brush, horizon, horizon + brush.unit * 2, brush.number(6, 14), 12)
    brush.ground(horizon, (84, 120, 56), blend((110, 140, 80), haze, 0.3), patches=40)
    vanish, rows = brush.between(0.2, 0.8) * brush.width, brush.number(9, 15)
    for row in range(-rows, rows):
        left, right = (brush.width / 2 + (row + shift) * brush.width / 7 for shift in (0.0, 0.62))
        tip = vanish + row * brush.unit * 1.6
        petals = brush.pick(PETALS)
        brush.polygon(
            ((tip, horizon), (tip + brush.unit, horizon), (right, brush.height), (left, brush.height)), petals
        )
    for _ in range(brush.number(1, 2)):
        foot = horizon + brush.unit * brush.between(1, 8)
        things.windmill(brush, brush.between(0.12, 0.88) * brush.width, foot, brush.unit * brush.between(28, 48))
    for depth in sorted(brush.between(0, 1) for _ in range(brush.number(30, 70))):
        foot = brush.height * (0.8 + 0.25 * depth)
        brush.tulip(brush.between(0, brush.width), foot, brush.unit * (6 + 12 * depth), brush.pick(PETALS))


def _canal(brush: Brush) -> None:
    quay = brush.height * brush.between(0.62, 0.76)
    haze = _sky(brush, quay)
    left = -brush.unit * brush.between(0, 10)
    while left < brush.width:
        width = brush.unit * brush.between(14, 24)
        things.canal_house(brush, left, quay, width, quay * brush.between(0.5, 0.82))
        left += width
    brush.box(0, quay, brush.width, brush.unit * 4, (120, 108, 98))
    brush.water(quay + brush.unit * 4, brush.pick(_SEA), haze)
    for _ in range(brush.number(2, 4)):
        x = brush.between(0, brush.width)
        brush.tree(x, quay + brush.unit, brush.unit * brush.between(24, 38), brush.pick(LEAVES))
    for _ in range(brush.number(1, 3)):
        x = brush.between(0.1, 0.9) * brush.width
        things.bicycle(brush, x, quay + brush.unit * 3, brush.unit * brush.between(9, 13))
    waterline = brush.between(quay + brush.unit * 10, brush.height)
    things.sailing_boat(brush, brush.between(0.1, 0.9) * brush.width, waterline, brush.unit * brush.between(20, 40))


def _coast(brush: Brush) -> None:
    horizon = brush.height * brush.between(0.45, 0.62)
    haze = _sky(brush, horizon)
    brush.water(horizon, brush.pick(_SEA), haze)
    for _ in range(brush.number(2, 5)):
        waterline = horizon + brush.unit * brush.between(1, 14)
        things.sailing_boat(brush, brush.between(0, 1) * brush.width, waterline, brush.unit * brush.between(7, 18))
    x, side = brush.between(0.15, 0.85) * brush.width, brush.between(20, 44) * brush.unit
    foot = horizon + brush.unit * brush.between(6, 20)
    for _ in range(46):
        spread = brush.between(-1, 1)
        y = foot + brush.unit * brush.between(0, 26) * (1 - abs(spread))
        reach = brush.unit * brush.between(2.5, 7)
        brush.disc(x + spread * side, y, reach * 1.4, reach, shade(brush.pick(_STONE), brush.between(0.55, 1.15)))
    things.lighthouse(brush, x, foot + brush.unit * 3, brush.unit * brush.between(42, 60))
    brush.ridge(brush.height * 1.02, brush.unit * brush.between(6, 16), 0.5, (214, 194, 150))
    for _ in range(30):
        x, y = brush.between(0, brush.width), brush.between(0.93, 1) * brush.height
        brush.disc(x, y, brush.unit * 1.2, brush.unit * 0.7, shade((170, 160, 140), brush.between(0.5, 1.3)))


def _mountains(brush: Brush) -> None:
    horizon = brush.height * brush.between(0.6, 0.75)
    haze = _sky(brush, horizon)
    ranges = brush.number(3, 4)
    for layer in range(ranges):
        stone = blend(haze, brush.pick(_STONE), 0.35 + 0.6 * layer / ranges)
        base = horizon - brush.unit * 4 * (ranges - layer)
        brush.ridge(base, brush.unit * brush.between(20, 52) / (1 + 0.6 * layer), 0.66, stone, snow=0.5 - 0.12 * layer)
    near = brush.pick(_GRASS)
    brush.ground(horizon, near, shade(near, 0.8))
    common = brush.between(18, 34)
    for depth in sorted(brush.between(0, 1) for _ in range(brush.number(14, 30))):
        foot = horizon + (brush.height * 1.05 - horizon) * depth
        tall = brush.unit * common * (0.4 + depth)
        brush.conifer(brush.between(0, brush.width), foot, tall, brush.pick(LEAVES[:5]))


def _still_life(brush: Brush) -> None:
    wall, stripe = brush.pick(WALLS), brush.between(4, 9) * brush.unit
    brush.box(0, 0, brush.width, brush.height, shade(wall, 0.75))
    for column in range(int(brush.width / stripe) + 1):
        brush.box(column * stripe, 0, stripe / 2, brush.height, shade(wall, 0.6 if column % 2 else 0.9))
    frame_x, frame_y = brush.between(0.05, 0.6) * brush.width, brush.between(0.04, 0.16) * brush.height
    brush.box(frame_x, frame_y, brush.unit * 42, brush.unit * 32, (110, 82, 48))
    brush.box(frame_x + brush.unit * 3, frame_y + brush.unit * 3, brush.unit * 36, brush.unit * 26, brush.pick(BRIGHT))
    brush.disc(frame_x + brush.unit * 21, frame_y + brush.unit * 17, brush.unit * 9, brush.unit * 8, brush.pick(BRIGHT))
    table = brush.height * brush.between(0.6, 0.72)
    cloth = brush.pick((*WALLS, *BRIGHT))
    brush.box(0, table, brush.width, brush.height, cloth)
    for row in range(12):
        for column in range(20):
            if (row + column) % 2:
                x, y = (column - row * 0.2) * brush.width / 17, table + row * brush.unit * 4
                brush.box(x, y, brush.width / 17, brush.unit * 4, shade(cloth, 0.72))
    _on_the_table(brush, table)


def _on_the_table(brush: Brush, table: float) -> None:
    places = [float(place) for place in brush.rng.permutation(np.linspace(0.1, 0.9, 6))]
    foot = table + brush.unit * brush.between(4, 12)
    things.books(brush, places[0] * brush.width - brush.unit * 14, foot, brush.unit * brush.between(22, 32))
    things.vase(brush, places[1] * brush.width, foot, brush.unit * brush.between(40, 58))
    things.bottle(brush, places[2] * brush.width, foot + brush.unit * 3, brush.unit * brush.between(34, 48))
    for place in places[3:]:
        for _ in range(brush.number(1, 4)):
            x = place * brush.width + brush.unit * brush.between(-9, 9)
            things.fruit(brush, x, foot + brush.unit * brush.between(4, 20), brush.unit * brush.between(4, 8))


def _wall_with_bicycle(brush: Brush) -> None:
    street = brush.height * brush.between(0.7, 0.82)
    brick, length, thick = brush.pick(WALLS[1:4]), brush.unit * brush.between(7, 11), brush.unit * brush.between(3, 4.5)
    brush.box(0, 0, brush.width, brush.height, shade(brick, 0.6))
    for row in range(int(street / thick) + 1):
        for column in range(-1, int(brush.width / length) + 1):
            x = (column + 0.5 * (row % 2)) * length
            tone = shade(brick, brush.between(0.7, 1.25))
            brush.box(x, row * thick, length * 0.94, thick * 0.88, tone)
    for _ in range(brush.number(1, 3)):
        x, width = brush.between(0.02, 0.8) * brush.width, brush.unit * brush.between(18, 28)
        things.window(brush, x, brush.between(0.06, 0.16) * brush.height, width, width * 1.4)
    brush.ground(street, (112, 106, 100), (138, 130, 122), patches=220)
    for _ in range(brush.number(3, 7)):
        x = brush.between(0, brush.width)
        for _ in range(14):
            y = street - brush.unit * brush.between(0, 20)
            brush.disc(x + brush.unit * brush.between(-7, 7), y, brush.unit * 3, brush.unit * 2, brush.pick(LEAVES))
    x = brush.between(0.3, 0.7) * brush.width
    things.bicycle(brush, x, street + brush.unit * brush.between(6, 12), brush.unit * brush.between(46, 62))


def _kites(brush: Brush) -> None:
    horizon = brush.height * brush.between(0.66, 0.82)
    haze = _sky(brush, horizon)
    _hills(brush, horizon, haze, 2)
    near = brush.pick(_GRASS)
    brush.ground(horizon + brush.unit * 4, near, blend(near, haze, 0.3))
    _trees(brush, horizon + brush.unit * 3, horizon + brush.unit * 10, brush.number(5, 12), 20)
    for _ in range(brush.number(1, 3)):
        x, y = brush.between(0.08, 0.92) * brush.width, brush.between(0.15, 0.5) * brush.height
        things.balloon(brush, x, y, brush.unit * brush.between(7, 15))
    for _ in range(brush.number(3, 6)):
        x, y = brush.between(0.05, 0.95) * brush.width, brush.between(0.1, 0.55) * brush.height
        brush.line(
            ((x, y), (x + brush.unit * brush.between(-30, 30), brush.height * 0.95)), brush.unit * 0.12, (240, 240, 240)
        )
        things.kite(brush, x, y, brush.unit * brush.between(5, 10))


def _flower_bed(brush: Brush) -> None:
    brush.ground(0, (44, 76, 40), (70, 100, 60), patches=420)
    low, high = sorted((brush.between(3, 8), brush.between(8, 15)))
    kinds = [brush.pick(PETALS) for _ in range(3)]
    for depth in sorted(brush.between(0, 1) for _ in range(brush.number(50, 90))):
        x, y = brush.between(0, brush.width), brush.height * (0.02 + 1.0 * depth)
        reach = brush.unit * (low + (high - low) * depth)
        brush.line(((x, y), (x + brush.unit * brush.between(-6, 6), y + reach * 4)), reach * 0.12, (70, 116, 56))
        brush.disc(x + reach, y + reach * 1.6, reach * 0.9, reach * 0.35, brush.pick(LEAVES))
        brush.flower(x, y, reach, kinds[brush.number(0, 2)])


_SCENES: tuple[Callable[[Brush], None], ...] = (
    _meadow,
    _lake,
    _tulips,
    _canal,
    _coast,
    _still_life,
    _mountains,
    _kites,
    _wall_with_bicycle,
    _flower_bed,
)
