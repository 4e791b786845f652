"""The brushes of `samples`: skies, hills, trees, houses and things, drawn at twice the size and reduced."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SUPERSAMPLING = 2
_BACKDROP_REDUCTION = 4
_BLUISH = 90

WALLS: tuple[Colour, ...] = (
    (236, 222, 196),
    (214, 190, 158),
    (178, 92, 70),
    (150, 70, 58),
    (222, 206, 214),
    (196, 206, 216),
)
ROOFS: tuple[Colour, ...] = ((150, 62, 44), (92, 74, 70), (70, 78, 92), (176, 88, 52), (110, 52, 44))
BRIGHT: tuple[Colour, ...] = (
    (226, 62, 52),
    (248, 186, 40),
    (44, 122, 206),
    (240, 240, 236),
    (238, 120, 40),
    (112, 60, 160),
    (24, 150, 132),
)
PETALS: tuple[Colour, ...] = (
    (222, 44, 56),
    (250, 202, 50),
    (236, 110, 160),
    (150, 70, 176),
    (250, 246, 236),
    (242, 124, 44),
)
LEAVES: tuple[Colour, ...] = ((70, 112, 48), (52, 94, 52), (96, 126, 50), (126, 120, 44), (58, 104, 74), (168, 108, 40))


def blend(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` (0 to 1) of `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """`colour` made darker (< 1) or lighter (> 1)."""
    red, green, blue = (max(0, min(255, round(part * factor))) for part in colour)
    return red, green, blue


def soft_noise(rng: np.random.Generator, size: tuple[int, int], cells: float) -> NDArray[np.float32]:
    """float32[H, W] in -1 to 1, smooth, with about `cells` blotches across."""
    width, height = size
    across = max(2, round(cells)), max(2, round(cells * height / width))
    small = rng.uniform(-1, 1, (across[1], across[0])).astype(np.float32)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


def _tone(colour: Colour) -> NDArray[np.float32]:
    return np.asarray(colour, dtype=np.float32)


class Brush:
    """A canvas of `width` x `height` units (pixels of the finished picture) and the brushes that paint on it."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng = rng
        self.width, self.height = size
        self.unit = min(size) / 100  # one hundredth of the shorter side: things are sized in it
        self.image = Image.new("RGB", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING))
        self._pen = ImageDraw.Draw(self.image)

    # Chance

    def between(self, low: float, high: float) -> float:
        """A number between two."""
        return float(self.rng.uniform(low, high))

    def number(self, low: int, high: int) -> int:
        """A whole number between two, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, colours: Sequence[Colour]) -> Colour:
        """One of the colours, a little changed."""
        return shade(colours[self.number(0, len(colours) - 1)], self.between(0.88, 1.1))

    def chance(self, share: float) -> bool:
        """True in `share` of all cases."""
        return bool(self.rng.random() < share)

    # Shapes

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._pen.polygon([(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points], fill=colour)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """A filled rectangle from its upper left corner."""
        self.polygon(((x, y), (x + width, y), (x + width, y + height), (x, y + height)), colour)

    def disc(self, x: float, y: float, radius_x: float, radius_y: float, colour: Colour) -> None:
        """A filled ellipse about its centre."""
        s = SUPERSAMPLING
        self._pen.ellipse(((x - radius_x) * s, (y - radius_y) * s, (x + radius_x) * s, (y + radius_y) * s), fill=colour)

    def ring(self, x: float, y: float, radius: float, thickness: float, colour: Colour) -> None:
        """The outline of a circle."""
        s = SUPERSAMPLING
        bounds = ((x - radius) * s, (y - radius) * s, (x + radius) * s, (y + radius) * s)
        self._pen.ellipse(bounds, outline=colour, width=max(1, round(thickness * s)))

    def line(self, points: Sequence[Point], thickness: float, colour: Colour) -> None:
        """A line through the points."""
        scaled = [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points]
        self._pen.line(scaled, fill=colour, width=max(1, round(thickness * SUPERSAMPLING)), joint="curve")

    # Backdrops

    def sky(self, top: Colour, bottom: Colour, horizon: float) -> None:
        """A gradient down to `horizon` with a sun and clouds."""
        size = max(2, self.width // _BACKDROP_REDUCTION), max(2, self.height // _BACKDROP_REDUCTION)
        x, y = np.meshgrid(np.linspace(0, 1, size[0], dtype=np.float32), np.linspace(0, 1, size[1], dtype=np.float32))
        down = np.clip(y * self.height / horizon, 0, 1)[..., None]
        sky = _tone(top) * (1 - down) + _tone(bottom) * down
        sun_x, sun_y = self.between(0.1, 0.9), self.between(0.08, 0.6) * horizon / self.height
        far = np.hypot((x - sun_x) * self.width / self.height, y - sun_y)[..., None]
        sky += _tone((120, 96, 50)) * np.exp(-far * self.between(4, 8))
        sky = np.where(far < self.between(0.03, 0.06), _tone((255, 247, 214)), sky)
        cover = self._clouds(size, y)
        lit = _tone((252, 248, 244)) * (0.87 + 0.16 * soft_noise(self.rng, size, 14)[..., None])
        backdrop = Image.fromarray(np.clip(sky + (lit - sky) * cover[..., None], 0, 255).astype(np.uint8))
        self.image = backdrop.resize(self.image.size, Image.Resampling.BILINEAR)
        self._pen = ImageDraw.Draw(self.image)

    def _clouds(self, size: tuple[int, int], y: NDArray[np.float32]) -> NDArray[np.float32]:
        cells = self.between(3, 6)
        shape = soft_noise(self.rng, size, cells) + 0.5 * soft_noise(self.rng, size, cells * 2.6)
        shape += 0.35 * soft_noise(self.rng, size, cells * 6) + 0.2 * soft_noise(self.rng, size, cells * 14)
        cover: NDArray[np.float32] = np.clip((shape - self.between(-0.15, 0.3)) * 2.2, 0, 0.92)
        return cover * (1 - 0.4 * y)

    def ridge(self, base: float, rise: float, roughness: float, colour: Colour, snow: float = 0) -> list[Point]:
        """Hills or mountains from edge to edge, filled to the bottom; returns their outline."""
        steps = 72
        outline = np.zeros(steps)
        for octave in range(1, 6):
            knots = self.rng.uniform(-1, 1, 2 + 2**octave)
            positions = np.linspace(0, len(knots) - 1, steps)
            outline += np.interp(positions, np.arange(len(knots)), knots) * roughness**octave
        outline = base - rise * (outline - outline.min()) / (np.ptp(outline) + 1e-9)
        points = [(i * self.width / (steps - 1), float(value)) for i, value in enumerate(outline)]
        self.polygon([*points, (self.width, self.height), (0, self.height)], colour)
        if snow:
            self._snow(points, base, rise, snow, colour)
        return points

    def _snow(self, points: list[Point], base: float, rise: float, share: float, colour: Colour) -> None:
        line = base - rise * (1 - share)
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if min(y0, y1) < line:
                depth0, depth1 = (max(0, line - y) * self.between(0.4, 0.9) for y in (y0, y1))
                white = blend(colour, (250, 250, 255), 0.85 if y1 >= y0 else 0.6)
                self.polygon(((x0, y0), (x1, y1), (x1, y1 + depth1), (x0, y0 + depth0)), white)

    def ground(self, top: float, near: Colour, far: Colour, patches: int = 160) -> None:
        """Land from `top` to the bottom: a gradient with tufts that grow towards the viewer."""
        bands = 24
        for band in range(bands):
            y = top + (self.height - top) * band / bands
            self.box(0, y, self.width, self.height - y, blend(far, near, band / bands))
        for depth in np.sort(self.rng.random(patches)):
            y = top + (self.height - top) * float(depth)
            reach = self.unit * (1 + 7 * depth)
            x = self.between(0, self.width)
            colour = shade(blend(far, near, float(depth)), self.between(0.62, 1.4))
            self.disc(x, y, reach * self.between(0.8, 2.4), reach * self.between(0.25, 0.6), colour)

    def water(self, top: float, colour: Colour, sky: Colour) -> None:
        """Water from `top` to the bottom, with waves that grow towards the viewer."""
        bands = 20
        for band in range(bands):
            y = top + (self.height - top) * band / bands
            self.box(0, y, self.width, self.height - y, blend(sky, colour, 0.35 + 0.65 * band / bands))
        for depth in np.sort(self.rng.random(260)):
            y = top + (self.height - top) * float(depth)
            reach = self.unit * (1.5 + 10 * depth)
            tone = (
                blend(colour, sky, self.between(0, 1)) if self.chance(0.55) else shade(colour, self.between(0.55, 0.9))
            )
            self.disc(self.between(0, self.width), y, reach * self.between(0.6, 1.6), reach * 0.14, tone)

    # Growing things

    def tree(self, x: float, foot: float, height: float, leaves: Colour) -> None:
        """A broad-leaved tree."""
        bark = (92, 68, 50)
        trunk = height * 0.05
        self.polygon(
            (
                (x - trunk, foot),
                (x + trunk, foot),
                (x + trunk / 2, foot - height * 0.5),
                (x - trunk / 2, foot - height * 0.5),
            ),
            bark,
        )
        for layer in range(34):
            light = layer / 34
            angle, far = self.between(0, 2 * math.pi), math.sqrt(self.between(0, 1))
            cx = x + math.cos(angle) * far * height * 0.3 - light * height * 0.05
            cy = foot - height * 0.66 + math.sin(angle) * far * height * 0.27 - light * height * 0.05
            reach = height * self.between(0.06, 0.12) * (1.2 - 0.5 * light)
            self.disc(cx, cy, reach, reach * 0.85, shade(leaves, 0.55 + 0.75 * light + self.between(-0.08, 0.08)))

    def conifer(self, x: float, foot: float, height: float, leaves: Colour) -> None:
        """A spruce."""
        self.box(x - height * 0.025, foot - height * 0.15, height * 0.05, height * 0.15, (80, 60, 46))
        for tier in range(6):
            y, half = foot - height * (0.1 + 0.14 * tier), height * (0.24 - 0.034 * tier)
            tone = shade(leaves, 0.6 + 0.09 * tier)
            self.polygon(((x - half, y), (x, y - height * 0.26), (x + half, y)), tone)
            self.polygon(((x - half, y), (x, y - height * 0.26), (x - half * 0.2, y)), shade(tone, 1.25))

    def flower(self, x: float, y: float, reach: float, petals: Colour) -> None:
        """A flower head seen from the front."""
        count, turn = self.number(5, 9), self.between(0, 2)
        for petal in range(count):
            angle = turn + 2 * math.pi * petal / count
            cx, cy = x + math.cos(angle) * reach * 0.62, y + math.sin(angle) * reach * 0.62
            self.disc(cx, cy, reach * 0.42, reach * 0.42, shade(petals, self.between(0.82, 1.1)))
        self.disc(x, y, reach * 0.34, reach * 0.34, (240, 190, 60) if petals[2] > _BLUISH else (92, 60, 36))

    def tulip(self, x: float, foot: float, height: float, petals: Colour) -> None:
        """A tulip on its stem."""
        top, half = foot - height, height * 0.17
        self.line(((x, foot), (x, top + half)), height * 0.05, (74, 122, 58))
        self.polygon(
            ((x, foot), (x + half * 1.7, foot - height * 0.5), (x + half * 0.3, foot - height * 0.1)), (84, 136, 66)
        )
        self.polygon(
            (
                (x - half, top),
                (x - half * 0.3, top + half),
                (x, top - half * 0.3),
                (x + half * 0.3, top + half),
                (x + half, top),
                (x + half * 0.8, top + half * 2),
                (x - half * 0.8, top + half * 2),
            ),
            petals,
        )
        self.disc(x, top + half * 1.7, half * 0.92, half * 0.95, petals)
        self.disc(x - half * 0.3, top + half * 1.5, half * 0.3, half * 0.7, shade(petals, 1.2))
