"""Small drawn examples of every edit, one sheet a family, for docs/altered-copies.md."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from baken import samples
from bench.edits import EDITS, RANDOM_EDITS, Edit, Family

SHEETS_FOLDER = Path(__file__).parent.parent / "docs" / "images" / "copies"

_PICTURE_SEED = 3
_EDIT_SEED = 7
_PICTURE_PX = (800, 600)
_TILE_PX = (160, 122)
_LABEL_PX = 18
_COLUMNS = 5
_WEBP_QUALITY = 60
_TOLERANCE = 2.0
"""Mean difference of a value of a pixel: what another version of an encoder may change."""


def sheet_path(family: Family, folder: Path = SHEETS_FOLDER) -> Path:
    """Where the sheet of a family lies."""
    return folder / f"{family.name.lower()}.webp"


def sheets() -> dict[Family, Image.Image]:
    """A sheet of labelled examples for each family of edits."""
    picture = samples.draw(_PICTURE_SEED, _PICTURE_PX)
    families = {family: [edit for edit in (*EDITS, *RANDOM_EDITS) if edit.family is family] for family in Family}
    return {family: _sheet(picture, edits) for family, edits in families.items()}


def write_sheets(folder: Path = SHEETS_FOLDER) -> None:
    """Write the sheets that do not show what the edits do now; the others stay as they are, byte for byte."""
    folder.mkdir(parents=True, exist_ok=True)
    for family, sheet in sheets().items():
        path = sheet_path(family, folder)
        if not _shows(path, sheet):
            path.write_bytes(_encoded(sheet))


def stale_sheets(folder: Path = SHEETS_FOLDER) -> list[Path]:
    """The sheets that are missing or do not show what the edits do now."""
    paths = {sheet_path(family, folder): sheet for family, sheet in sheets().items()}
    return [path for path, sheet in paths.items() if not _shows(path, sheet)]


def _sheet(picture: Image.Image, edits: list[Edit]) -> Image.Image:
    columns = min(_COLUMNS, len(edits))
    rows = -(-len(edits) // columns)
    cell_px = _TILE_PX[0] + 8, _TILE_PX[1] + _LABEL_PX + 8
    sheet = Image.new("RGB", (columns * cell_px[0], rows * cell_px[1]), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for number, edit in enumerate(edits):
        left, top = (number % columns) * cell_px[0] + 4, (number // columns) * cell_px[1] + 4
        tile = edit.apply(picture, _EDIT_SEED)
        tile.thumbnail(_TILE_PX, Image.Resampling.LANCZOS)
        at = left + (_TILE_PX[0] - tile.width) // 2, top + (_TILE_PX[1] - tile.height) // 2
        pen.rectangle((at[0] - 1, at[1] - 1, at[0] + tile.width, at[1] + tile.height), outline=(200, 200, 200))
        sheet.paste(tile, at)
        middle = left + _TILE_PX[0] / 2, top + _TILE_PX[1] + _LABEL_PX / 2
        pen.text(middle, edit.label, (40, 40, 40), ImageFont.load_default(_label_size(edit.label)), anchor="mm")
    return sheet


def _label_size(label: str) -> float:
    """Points at which a label fits under its tile."""
    return min(11.0, 100 * _TILE_PX[0] / ImageFont.load_default(100).getbbox(label)[2])


def _shows(path: Path, sheet: Image.Image) -> bool:
    if not path.exists():
        return False
    with Image.open(path) as kept:
        if kept.size != sheet.size:
            return False
        was = np.asarray(kept.convert("RGB"), np.float32)
    with Image.open(io.BytesIO(_encoded(sheet))) as current:
        now = np.asarray(current.convert("RGB"), np.float32)
    return float(np.abs(was - now).mean()) <= _TOLERANCE


def _encoded(sheet: Image.Image) -> bytes:
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=_WEBP_QUALITY, method=6)
    return file.getvalue()
