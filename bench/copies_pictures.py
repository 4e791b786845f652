"""The pictures that altered copies are measured on: originals, distractors, and drawn ones that are easily confused."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from baken import samples
from baken.samples_confusable import draw_empty_view, draw_logo, draw_page, with_meme_words
from bench.corpus import JPEG_QUALITY, corpus_folder, spread
from bench.edits import EDITS, RANDOM_EDITS, Edit

MEMES_A_TEMPLATE = 5
_RELATED = Path(__file__).with_name("copies_related.csv")
_DRAWN_SIZE_PX = (1024, 768)
_HARD_SIZE_PX = (800, 600)
_DRAWN_ORIGINALS = 60
_DRAWN_DISTRACTORS = 240
_FIRST_DISTRACTOR_SEED = 100_000
_FIRST_TEMPLATE_SEED = 300_000


@dataclass(frozen=True, slots=True)
class Source:
    """One picture, read or drawn when it is needed.

    Attributes:
        group: which set it belongs to, `original`, `distractor` or a kind of confusable picture.
        number: its number in that set.
        template: memes of one template share it; -1 for everything else.
        data: the file, or None for a drawn picture.
        name: of the file in the corpus.
    """

    group: str
    number: int
    template: int = -1
    data: bytes | None = None
    name: str = ""

    def file(self) -> bytes:
        """The picture as the file that enters a bank: as it lies in the corpus, or a JPEG of quality 90."""
        return self.data if self.data is not None else as_jpeg(_DRAWING[self.group](self.number))

    def image(self) -> Image.Image:
        """The picture in RGB."""
        with Image.open(io.BytesIO(self.file())) as image:
            return image.convert("RGB")


def as_jpeg(image: Image.Image) -> bytes:
    """A JPEG of quality 90: how every edited picture reaches the gate."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def query_file(source: Source, edit: Edit, draw: int = 0) -> bytes:
    """One edited picture as it is uploaded; `draw` is another set of free parameters for every number."""
    return as_jpeg(edit.apply(source.image(), seed=source.number + 1_000_000 * draw))


def edit_named(name: str) -> Edit:
    """The edit of that name.

    Raises:
        KeyError: there is none.
    """
    return _EDITS[name]


def originals(limit: int | None = None) -> list[Source]:
    """What is banked and copied: the corpus' originals, or drawn pictures; `limit` of them, spread evenly."""
    return _photographs("originals", "original", limit) or _drawn("original", _DRAWN_ORIGINALS, limit)


def distractors(limit: int | None = None) -> list[Source]:
    """What is banked or asked and is no copy: the corpus' distractors, or drawn pictures."""
    return _photographs("distractors", "distractor", limit) or _drawn("distractor", _DRAWN_DISTRACTORS, limit)


def related(sources: Sequence[Source]) -> dict[int, frozenset[int]]:
    """Which photographs show the same thing as others, by their places among `sources`: `copies_related.csv`.

    Each pair was found by what the stages said of it and then looked at. A search that finds it is not wrong, so it is
    counted apart from strangers.
    """
    with _RELATED.open(newline="", encoding="utf-8") as file:
        pairs = [(row["first"], row["second"]) for row in csv.DictReader(file)]
    places = {source.name: place for place, source in enumerate(sources) if source.name}
    found: dict[int, frozenset[int]] = {}
    for pair in pairs:
        if all(name in places for name in pair):
            for one, other in (pair, pair[::-1]):
                found[places[one]] = found.get(places[one], frozenset()) | {places[other]}
    return found


def confusable(count: int) -> list[Source]:
    """Drawn pictures of kinds that are easily confused, `count` of each kind."""
    plain = [Source(group, number) for group in ("flat", "empty view", "logo", "page") for number in range(count)]
    return [*plain, *(Source("meme", number, number // MEMES_A_TEMPLATE) for number in range(count))]


def _photographs(part: str, group: str, limit: int | None) -> list[Source]:
    folder = corpus_folder()
    paths = [] if folder is None else spread(sorted(folder.glob(f"{part}/*.jpg")), limit)
    return [Source(group, number, data=path.read_bytes(), name=path.name) for number, path in enumerate(paths)]


def _drawn(group: str, count: int, limit: int | None) -> list[Source]:
    return [Source(group, number) for number in range(count if limit is None else min(limit, count))]


def _draw_flat(number: int) -> Image.Image:
    return samples.draw_flat(number, _HARD_SIZE_PX)


def _draw_meme(number: int) -> Image.Image:
    template = samples.draw(_FIRST_TEMPLATE_SEED + number // MEMES_A_TEMPLATE, _HARD_SIZE_PX)
    return with_meme_words(template, number)


_DRAWING: dict[str, Callable[[int], Image.Image]] = {
    "original": lambda number: samples.draw(number, _DRAWN_SIZE_PX),
    "distractor": lambda number: samples.draw(_FIRST_DISTRACTOR_SEED + number, _DRAWN_SIZE_PX),
    "flat": _draw_flat,
    "empty view": lambda number: draw_empty_view(number, _HARD_SIZE_PX),
    "logo": draw_logo,
    "page": draw_page,
    "meme": _draw_meme,
}
_EDITS = {edit.name: edit for edit in (*EDITS, *RANDOM_EDITS)}
