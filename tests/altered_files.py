"""Altered copies of drawn pictures, for tests: as people make them, with Pillow."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from baken.samples import draw
from baken.samples_files import encoded

SIZE_PX = (640, 480)


def drawn(seed: int) -> Image.Image:
    return draw(seed, SIZE_PX)


def png(image: Image.Image) -> bytes:
    return encoded(image, "PNG")


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def captioned(image: Image.Image, share: float = 0.2) -> Image.Image:
    """The picture below a white band with black bars for words."""
    width, height = image.size
    band = round(share * height)
    made = Image.new("RGB", (width, height + band), "white")
    made.paste(image, (0, band))
    pen = ImageDraw.Draw(made)
    for line in range(2):
        top = band // 5 + line * 2 * band // 5
        pen.rectangle((width // 10, top, width * (8 - line) // 10, top + band // 5), "black")
    return made


def bordered(image: Image.Image, share: float = 0.15) -> Image.Image:
    """The picture with a plain border around it."""
    width, height = image.size
    edge = round(share * width)
    made = Image.new("RGB", (width + 2 * edge, height + 2 * edge), (235, 230, 220))
    made.paste(image, (edge, edge))
    return made


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """A part, in fractions of the picture."""
    width, height = image.size
    return image.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def collage(images: list[Image.Image]) -> Image.Image:
    """Four pictures in two rows."""
    width, height = images[0].size
    made = Image.new("RGB", (2 * width, 2 * height))
    for number, image in enumerate(images):
        made.paste(image, (number % 2 * width, number // 2 * height))
    return made
