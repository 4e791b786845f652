"""Random alterations of pictures, as copies come back with: what the network must see through.

Written for speed on small pictures (about 2 ms each). They are not the edits of `bench`: parameters, shapes and fonts
differ, so that measuring on those is measuring on something the network was not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Colours = NDArray[np.uint8]

cv2.setNumThreads(1)

_BT601 = np.array([0.299, 0.587, 0.114], np.float32)
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
_LETTERS = tuple("abcdefghijklmnopqrstuvwxyz      ABCDEFGHIKLMNOPRSTUVW0123456789!?.,")
_LONGER_SIDE_PX = 288


class Alterer:
    """Draws alterations from one generator.

    Args:
        rng: where everything random comes from.
        others: lumas of other pictures: what stands beside, behind or upon the altered one.
    """

    def __init__(self, rng: Generator, others: Sequence[Colours]) -> None:
        self.rng = rng
        self.others = others

    def plain(self, colours: Colours) -> Luma:
        """The picture as a bank holds it: at another size and compression."""
        return self._compressed(_luma(colours, _BT601), 60, 96)

    def altered(self, colours: Colours) -> Luma:
        """uint8[H, W, 3] to uint8[H, W]: the picture after one to five alterations."""
        luma = _shrunk(self._toned(colours), _LONGER_SIDE_PX)
        strength = self.rng.random()
        if self._happens(0.72):
            luma = self._moved(luma)
        if self._happens(0.25 + 0.3 * strength):
            luma = self._degraded(luma)
        if self._happens(0.3 + 0.3 * strength):
            luma = self._covered(luma)
        if self._happens(0.36):
            luma = self._framed(luma)
            if self._happens(0.15):
                luma = self._covered(luma)
        luma = self._compressed(luma, 12, 95)
        return self._loosely_trimmed(luma) if self._happens(0.1) else luma

    # Drawing of numbers.

    def _happens(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def _between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def _whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def _one_of(self, choices: Sequence[Callable[[Luma], Luma]], weights: Sequence[float]) -> Callable[[Luma], Luma]:
        shares = np.asarray(weights, float)
        return choices[int(self.rng.choice(len(choices), p=shares / shares.sum()))]

    def _grey(self) -> int:
        return (0, 255, self._whole(0, 255), self._whole(0, 40), self._whole(225, 255))[self._whole(0, 4)]

    def _other(self) -> Luma:
        return _luma(self.others[self._whole(0, len(self.others) - 1)], _BT601)

    def _words(self) -> str:
        return "".join(self.rng.choice(_LETTERS, self._whole(3, 24)))

    # Light and colour.

    def _toned(self, colours: Colours) -> Luma:
        weights = _BT601
        if self._happens(0.3):
            weights = self.rng.dirichlet((1.2, 1.2, 1.2)).astype(np.float32)
        luma = _luma(colours, weights)
        if not self._happens(0.6):
            return luma
        levels = np.arange(256, dtype=np.float32) / 255
        levels = levels ** float(np.exp(self._between(-0.7, 0.7)))
        levels = (levels - 0.5) * self._between(0.45, 1.8) + 0.5 + self._between(-0.22, 0.22)
        if self._happens(0.1):
            levels = np.round(levels * self._whole(3, 8)) / 6
        toned: Luma = cv2.LUT(luma, np.clip(levels * 255, 0, 255).astype(np.uint8))
        if self._happens(0.08):
            toned = cv2.createCLAHE(self._between(2, 6), (6, 6)).apply(toned)
        if self._happens(0.15):
            toned = self._unevenly_lit(toned)
        return toned

    def _unevenly_lit(self, luma: Luma) -> Luma:
        coarse = self.rng.uniform(0.45, 1.35, (3, 3)).astype(np.float32)
        light = cv2.resize(coarse, luma.shape[::-1], interpolation=cv2.INTER_CUBIC)
        return np.clip(luma * light, 0, 255).astype(np.uint8)

    # Geometry.

    def _moved(self, luma: Luma) -> Luma:
        if self._happens(0.55):
            luma = self._cropped(luma)
        if self._happens(0.3):
            luma = np.ascontiguousarray(luma[:, ::-1])
        if self._happens(0.3):
            luma = np.ascontiguousarray(np.rot90(luma, self._whole(1, 3)))
        if self._happens(0.25):
            luma = self._tilted(luma)
        if self._happens(0.12):
            luma = self._seen_askew(luma)
        return luma

    def _cropped(self, luma: Luma) -> Luma:
        height, width = luma.shape
        area = self._between(0.5, 1) if self._happens(0.8) else self._between(0.25, 0.6)
        shape = float(np.exp(self._between(-0.4, 0.4))) if self._happens(0.5) else 1.0
        across = min(1.0, (area * shape) ** 0.5)
        down = min(1.0, area / across)
        left, top = self._between(0, 1 - across), self._between(0, 1 - down)
        if self._happens(0.15):
            left, top = (1 - across) / 2, (1 - down) / 2
        return luma[
            int(top * height) : max(int((top + down) * height), int(top * height) + 16),
            int(left * width) : max(int((left + across) * width), int(left * width) + 16),
        ]

    def _tilted(self, luma: Luma) -> Luma:
        height, width = luma.shape
        degrees = self._between(-20, 20)
        zoom = self._between(0.75, 1.0) if self._happens(0.5) else self._between(1.1, 1.5)
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
        return np.asarray(cv2.warpAffine(luma, turn, (width, height), borderValue=self._grey()), np.uint8)

    def _seen_askew(self, luma: Luma) -> Luma:
        height, width = luma.shape
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        moved = corners + self.rng.uniform(-0.13, 0.13, (4, 2)).astype(np.float32) * (width, height)
        warp = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
        return np.asarray(cv2.warpPerspective(luma, warp, (width, height), borderValue=self._grey()), np.uint8)

    def _loosely_trimmed(self, luma: Luma) -> Luma:
        height, width = luma.shape
        cut = self.rng.uniform(0, 0.06, 4)
        return luma[
            int(cut[0] * height) : height - int(cut[1] * height), int(cut[2] * width) : width - int(cut[3] * width)
        ]

    # Damage.

    def _degraded(self, luma: Luma) -> Luma:
        degrade = self._one_of(
            (self._blurred, self._noisy, self._coarse, self._sharpened, self._lined), (3, 5, 3, 1.5, 2)
        )
        return degrade(luma)

    def _blurred(self, luma: Luma) -> Luma:
        return np.asarray(cv2.GaussianBlur(luma, (0, 0), self._between(0.6, 4.0)), np.uint8)

    def _noisy(self, luma: Luma) -> Luma:
        noise = self.rng.standard_normal(luma.shape, np.float32) * self._between(4, 50)
        return np.clip(luma + noise, 0, 255).astype(np.uint8)

    def _coarse(self, luma: Luma) -> Luma:
        factor = self._between(0.12, 0.6)
        small = cv2.resize(luma, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        style = cv2.INTER_NEAREST if self._happens(0.3) else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(small, luma.shape[::-1], interpolation=style), np.uint8)

    def _sharpened(self, luma: Luma) -> Luma:
        return np.asarray(cv2.addWeighted(luma, 3.0, cv2.GaussianBlur(luma, (0, 0), 2), -2.0, 0), np.uint8)

    def _lined(self, luma: Luma) -> Luma:
        """What a camera sees of a screen."""
        y, x = np.indices(luma.shape, dtype=np.float32)
        angle, period = self._between(0, np.pi), self._between(2, 9)
        lines = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period)) * self._between(5, 25)
        return np.clip(luma + lines, 0, 255).astype(np.uint8)

    def _compressed(self, luma: Luma, worst: int, best: int) -> Luma:
        data = cv2.imencode(".jpg", luma, (cv2.IMWRITE_JPEG_QUALITY, self._whole(worst, best)))[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)

    # What is drawn over a picture.

    def _covered(self, luma: Luma) -> Luma:
        luma = luma.copy()
        for _ in range(1 + int(self.rng.geometric(0.65)) // 2):
            cover = self._one_of((self._stickered, self._captioned, self._watermarked, self._scribbled), (5, 3, 2, 1))
            luma = cover(luma)
        return luma

    def _stickered(self, luma: Luma) -> Luma:
        height, width = luma.shape
        for _ in range(self._whole(1, 3)):
            side = (self._between(0.02, 0.22) * height * width) ** 0.5
            across, down = (max(6, int(side * self._between(0.7, 1.4))) for _ in range(2))
            across, down = min(across, width), min(down, height)
            left, top = self._whole(0, width - across), self._whole(0, height - down)
            patch = luma[top : top + down, left : left + across]
            mask = np.full((down, across), 255, np.uint8)
            if self._happens(0.6):
                mask[:] = 0
                cv2.ellipse(mask, (across // 2, down // 2), (across // 2, down // 2), 0, 0, 360, 255, -1)
            np.copyto(patch, self._sticker(across, down), where=mask > 0)
        return luma

    def _sticker(self, across: int, down: int) -> Luma:
        if self._happens(0.3):
            return np.asarray(cv2.resize(self._other(), (across, down), interpolation=cv2.INTER_AREA), np.uint8)
        face = np.full((down, across), self._grey(), np.uint8)
        for _ in range(self._whole(0, 4)):
            centre = self._whole(0, across), self._whole(0, down)
            axes = self._whole(1, max(1, across // 3)), self._whole(1, max(1, down // 3))
            cv2.ellipse(face, centre, axes, 0, 0, self._whole(120, 360), self._grey(), self._whole(-1, 3) or 1)
        return face

    def _text(self, luma: Luma, x: int, y: int, height_px: float, grey: int) -> None:
        scale = height_px / 22
        font = _FONTS[self._whole(0, len(_FONTS) - 1)]
        thickness = max(1, round(scale * self._between(1, 3)))
        if self._happens(0.4):
            cv2.putText(luma, self._words(), (x, y), font, scale, 255 - grey, thickness + 2)
        cv2.putText(luma, self._words(), (x, y), font, scale, grey, thickness)

    def _captioned(self, luma: Luma) -> Luma:
        height, width = luma.shape
        band = int(height * self._between(0.08, 0.28))
        grey = self._grey()
        where = self._whole(0, 3)
        if where < 2:  # outside: above or below
            luma = cv2.copyMakeBorder(luma, band * where, band * (1 - where), 0, 0, cv2.BORDER_CONSTANT, value=grey)
            top = 0 if where else height
        else:
            top = 0 if where == 2 else height - band
            if self._happens(0.7):
                luma[top : top + band] = grey
        lines = self._whole(1, 2)
        for line in range(lines):
            y = top + int(band * (line + 0.8) / lines)
            self._text(luma, self._whole(0, width // 3), y, band * 0.5 / lines, 0 if grey > 127 else 255)
        return luma

    def _watermarked(self, luma: Luma) -> Luma:
        height, width = luma.shape
        marked = luma.copy()
        size_px = height * self._between(0.05, 0.22)
        for _ in range(self._whole(1, 8)):
            self._text(marked, self._whole(0, width * 2 // 3), self._whole(height // 8, height), size_px, self._grey())
        share = self._between(0.3, 1)
        return np.asarray(cv2.addWeighted(marked, share, luma, 1 - share, 0), np.uint8)

    def _scribbled(self, luma: Luma) -> Luma:
        height, width = luma.shape
        grey = self._grey()
        for _ in range(self._whole(1, 5)):
            points = self.rng.uniform(0, 1, (self._whole(2, 7), 2)) * (width, height)
            cv2.polylines(luma, [points.astype(np.int32)], self._happens(0.3), grey, self._whole(1, 7))
        return luma

    # What a picture is set into.

    def _framed(self, luma: Luma) -> Luma:
        frame = self._one_of(
            (self._bordered, self._squared, self._story, self._screenshot, self._collage, self._on_another),
            (3, 2, 4, 4, 2.5, 1),
        )
        return frame(luma)

    def _bordered(self, luma: Luma) -> Luma:
        height, width = luma.shape
        share = self._between(0.02, 0.22)
        sides = [int(share * side) for side in (height, height, width, width)]
        if self._happens(0.3):
            sides = [int(side * self._between(0, 1.5)) for side in sides]
        return np.asarray(cv2.copyMakeBorder(luma, *sides, cv2.BORDER_CONSTANT, value=self._grey()), np.uint8)

    def _squared(self, luma: Luma) -> Luma:
        side = max(luma.shape)
        return self._placed(luma, np.full((side, side), self._grey(), np.uint8), 1.0)

    def _story(self, luma: Luma) -> Luma:
        across, down = (162, 288) if self._happens(0.7) else (256, 144)
        kind = min(self._whole(0, 3), 2)
        if kind == 0:
            ground = np.full((down, across), self._grey(), np.uint8)
        elif kind == 1:
            ramp = np.linspace(self._grey(), self._grey(), down).astype(np.uint8)
            ground = np.repeat(ramp[:, None], across, 1)
        else:
            source = luma if self._happens(0.8) else self._other()
            ground = cv2.GaussianBlur(cv2.resize(source, (across, down)), (0, 0), self._between(4, 14))
        return self._placed(luma, np.asarray(ground, np.uint8), self._between(0.7, 1.0))

    def _screenshot(self, luma: Luma) -> Luma:
        across, down = ((150, 300), (288, 200), (200, 280))[self._whole(0, 2)]
        back = (255, 20, 240, self._whole(0, 255))[self._whole(0, 3)]
        ink = 0 if back > 127 else 255
        screen = np.full((down, across), back, np.uint8)
        for _ in range(self._whole(2, 9)):
            y = self._whole(0, down) if self._happens(0.3) else int(down * (1 - self._between(0, 0.3) ** 1.3))
            left = self._whole(2, across // 2)
            if self._happens(0.5):
                cv2.rectangle(screen, (left, y), (left + self._whole(10, 80), y + self._whole(2, 14)), self._grey(), -1)
            else:
                self._text(screen, left, y, self._between(5, 11), ink)
        bar = int(down * self._between(0.03, 0.1))
        screen[:bar] = self._grey()
        cv2.circle(screen, (bar, bar // 2 + self._whole(0, bar)), max(2, bar // 3), self._grey(), -1)
        return self._placed(luma, screen, self._between(0.75, 1.0))

    def _placed(self, luma: Luma, ground: Luma, share: float) -> Luma:
        """A picture set into a ground, filling `share` of the side it meets first."""
        scale = share * min(ground.shape[0] / luma.shape[0], ground.shape[1] / luma.shape[1])
        size = max(8, int(luma.shape[1] * scale)), max(8, int(luma.shape[0] * scale))
        small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
        free_y, free_x = ground.shape[0] - small.shape[0], ground.shape[1] - small.shape[1]
        top = free_y // 2 if self._happens(0.5) else self._whole(0, max(0, free_y))
        left = free_x // 2 if self._happens(0.7) else self._whole(0, max(0, free_x))
        ground[top : top + small.shape[0], left : left + small.shape[1]] = small[: ground.shape[0], : ground.shape[1]]
        return ground

    def _collage(self, luma: Luma) -> Luma:
        rows, columns = ((1, 2), (2, 1), (2, 2), (2, 2))[self._whole(0, 3)]
        across, down, gap = 320 // columns, 280 // rows, self._whole(0, 8)
        canvas = np.full((rows * (down + gap) + gap, columns * (across + gap) + gap), self._grey(), np.uint8)
        own = self._whole(0, rows * columns - 1)
        for place in range(rows * columns):
            tile = luma if place == own else self._other()
            y, x = gap + place // columns * (down + gap), gap + place % columns * (across + gap)
            canvas[y : y + down, x : x + across] = cv2.resize(tile, (across, down), interpolation=cv2.INTER_AREA)
        if self._happens(0.55):  # a quadrant, as it is asked: a little off
            y, x = (
                own // columns * (down + gap) + self._whole(0, gap),
                own % columns * (across + gap) + self._whole(0, gap),
            )
            return canvas[y : y + down + gap, x : x + across + gap]
        return canvas

    def _on_another(self, luma: Luma) -> Luma:
        ground = _shrunk(self._other(), _LONGER_SIDE_PX)
        return self._placed(luma, ground.copy(), self._between(0.6, 0.9))


def _luma(colours: Colours, weights: NDArray[np.float32]) -> Luma:
    return np.asarray(cv2.transform(colours, weights[None]), np.uint8).reshape(colours.shape[:2])


def _shrunk(luma: Luma, longer_side_px: int) -> Luma:
    scale = longer_side_px / max(luma.shape)
    if scale >= 1:
        return luma
    return np.asarray(cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
