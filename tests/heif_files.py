"""HEIC and AVIF files, boxed here: the codecs' bytes come from encoders, every box around them from this file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO

import pillow_heif
from PIL import Image

from baken.images.isobmff import read_items
from baken.samples_files import encoded

ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"


@dataclass
class Coded:
    """One item to put into a file."""

    kind: bytes
    content: bytes
    properties: list[bytes]
    references: list[tuple[bytes, list[int]]] = field(default_factory=list)
    is_hidden: bool = False


def heic(image: Image.Image, **options: object) -> bytes:
    """A HEIC as libheif and x265 write it."""
    file = BytesIO()
    pillow_heif.from_pillow(image).save(file, **options)
    return file.getvalue()


def coded(image: Image.Image, format_name: str, quality: int = 90) -> Coded:
    """The bytes of a picture as HEVC or AV1, with its decoder configuration and size."""
    data = heic(image, quality=quality) if format_name == "heic" else encoded(image, "AVIF", quality=quality, speed=10)
    file = read_items(data)
    assert file is not None
    item = file.item(file.primary)
    kept = (b"hvcC", b"av1C", b"pixi", b"colr")
    properties = [box(kind, bytes(body)) for kind, body in item.properties if kind in kept]
    return Coded(item.kind, b"".join(file.slices(item)), [*properties, ispe(*image.size)])


def grid(image: Image.Image, format_name: str, tile_px: int) -> list[Coded]:
    """A picture in square tiles, as phones write them: the grid, then its tiles, padded."""
    columns, rows = -(-image.width // tile_px), -(-image.height // tile_px)
    tiles = []
    for row in range(rows):
        for column in range(columns):
            left, top = column * tile_px, row * tile_px
            tile = image.crop((left, top, left + tile_px, top + tile_px))
            tiles.append(coded(tile, format_name))
            tiles[-1].is_hidden = True
    return [grid_item(image.size, rows, columns), *tiles]


def grid_item(size: tuple[int, int], rows: int, columns: int) -> Coded:
    content = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)
    return Coded(b"grid", content, [ispe(*size)], [(b"dimg", list(range(2, rows * columns + 2)))])


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def ispe(width: int, height: int) -> bytes:
    return box(b"ispe", struct.pack(">III", 0, width, height))


def irot(quarters: int) -> bytes:
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


def clap(width: int, height: int, right: int, down: int) -> bytes:
    """A clean aperture of whole pixels around a centre moved by halves of pixels."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right, 2, down, 2))


def colr_icc(profile: bytes) -> bytes:
    return box(b"colr", b"prof", profile)


def auxc(kind: bytes = ALPHA) -> bytes:
    return box(b"auxC", bytes(4), kind)


def file_of(items: list[Coded], brand: bytes, *, extra: bytes = b"") -> bytes:
    """A file whose item 1 is shown; the bytes of grids stand in `idat`, the rest in `mdat`."""
    infos, references, rows, known, idat = [], [], [], [], b""
    for number, item in enumerate(items, 1):
        infos.append(box(b"infe", struct.pack(">BBHHH4s", 2, 0, int(item.is_hidden), number, 0, item.kind), b"\0"))
        for kind, targets in item.references:
            references.append(box(kind, struct.pack(f">HH{len(targets)}H", number, len(targets), *targets)))
        places = [len(known) + n + 1 for n in range(len(item.properties))]
        known += item.properties
        rows.append(struct.pack(f">HB{len(places)}H", number, len(places), *places))
    head = box(b"hdlr", bytes(8), b"pict", bytes(13)) + box(b"pitm", struct.pack(">IH", 0, 1))
    head += box(b"iinf", struct.pack(">IH", 0, len(infos)), *infos)
    head += box(b"iref", bytes(4), *references)
    head += box(b"iprp", box(b"ipco", *known), box(b"ipma", struct.pack(">II", 1, len(rows)), *rows))
    start = box(b"ftyp", brand, bytes(4), brand, b"mif1")
    iloc_bytes = 8 + 8 + 16 * len(items)
    grids = b"".join(item.content for item in items if item.kind == b"grid")
    meta_bytes = 8 + 4 + len(head) + iloc_bytes + 8 + len(grids) + len(extra)
    at = len(start) + meta_bytes + 8
    places = []
    for number, item in enumerate(items, 1):
        if item.kind == b"grid":
            places.append(struct.pack(">HHHHII", number, 1, 0, 1, len(idat), len(item.content)))
            idat += item.content
        else:
            places.append(struct.pack(">HHHHII", number, 0, 0, 1, at, len(item.content)))
            at += len(item.content)
    iloc = box(b"iloc", struct.pack(">IBBH", 1 << 24, 0x44, 0, len(items)), *places)
    meta = box(b"meta", bytes(4), head, iloc, box(b"idat", idat), extra)
    media = b"".join(item.content for item in items if item.kind != b"grid")
    return start + meta + box(b"mdat", media)


# How item properties say each EXIF orientation: quarters anticlockwise, then an axis to mirror on.
BOXES_FOR_ORIENTATION: dict[int, list[bytes]] = {
    1: [],
    2: [imir(1)],
    3: [irot(2)],
    4: [imir(0)],
    5: [irot(1), imir(0)],
    6: [irot(3)],
    7: [irot(1), imir(1)],
    8: [irot(1)],
}


def with_exif(items: list[Coded], exif: bytes) -> list[Coded]:
    """The same items and EXIF of the first, as phones write it beside `irot`."""
    return [*items, Coded(b"Exif", struct.pack(">I", 0) + exif, [], [(b"cdsc", [1])], is_hidden=True)]


def transparent(image: Image.Image, alpha: Image.Image, format_name: str) -> list[Coded]:
    """A picture and the picture of its opacity."""
    second = coded(alpha.convert("RGB" if format_name == "heic" else "L"), format_name)
    second.properties.append(auxc())
    second.references.append((b"auxl", [1]))
    return [coded(image, format_name), second]


def cases(image: Image.Image, stored_for_orientation: dict[int, Image.Transpose | None]) -> Iterator[tuple[str, bytes]]:
    """Files that all show `image`."""
    yield "heic", heic(image, quality=90)
    yield "heic_444", heic(image, quality=90, chroma=444)
    yield "avif", encoded(image, "AVIF", quality=90, speed=10)
    yield "avif_444", encoded(image, "AVIF", quality=90, speed=10, subsampling="4:4:4")
    yield "avif_limited_range", encoded(image, "AVIF", quality=90, speed=10, range="limited")
    yield (
        "avif_sequence",
        encoded(
            image,
            "AVIF",
            quality=90,
            speed=10,
            save_all=True,
            append_images=[image.transpose(Image.Transpose.ROTATE_180)],
        ),
    )
    for name in ("heic", "avif"):
        brand = name.encode()
        yield f"{name}_tiles", file_of(grid(image, name, 256), brand)
        for orientation, stored_as in stored_for_orientation.items():
            item = coded(image if stored_as is None else image.transpose(stored_as), name)
            item.properties += BOXES_FOR_ORIENTATION[orientation]
            exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0112, 3, 1, orientation, 0)
            yield f"{name}_exif_{orientation}", file_of(with_exif([item], exif), brand)
