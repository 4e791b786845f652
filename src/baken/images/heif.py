"""HEIC (HEVC) and AVIF (AV1): the picture a viewer shows, in a file of its own with nothing but its pixels.

Metadata, thumbnails, depth and gain maps, other pictures, and the boxes that turn, mirror and crop stay out of it; the
last three are applied here, once. EXIF orientation is not: in these files it only repeats what the boxes say.
Source: ISO/IEC 23008-12 (HEIF), ISO/IEC 23000-22 (MIAF), AV1 Image File Format 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from pi_heif.as_plugin import HeifImageFile
from PIL.AvifImagePlugin import AvifImageFile

from baken.images.coded_size import Size, av1_sizes, hevc_sizes
from baken.images.colour import MAX_PROFILE_BYTES, profile_of_codes
from baken.images.container import Container, DamagedError, Placement, UnsupportedError
from baken.images.isobmff import Item, ItemFile, read_items, written
from baken.images.sequence import Sequence, read_sequence

MAX_TILES = 1000
"""Tiles of one picture, as libheif bounds its items. A phone's 48 megapixels are about 200 tiles of 512 x 512."""

_SMALL_CODED_PIXELS = 1 << 22
_MAX_PROPERTY_BYTES = 1 << 16
_GRID = b"grid"
_WIDE_GRID = 1
_ALPHA_KINDS = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
_SERVANTS = frozenset((b"thmb", b"auxl"))
"""References of pictures that belong to another one."""

_COLOUR_CODES, _PROFILE_KINDS = b"nclx", (b"prof", b"rICC")
_EXIF_OF_FLIPS = {  # transposed, then flipped top to bottom, then left to right
    (0, 0, 0): 1,
    (0, 0, 1): 2,
    (0, 1, 1): 3,
    (0, 1, 0): 4,
    (1, 0, 0): 5,
    (1, 0, 1): 6,
    (1, 1, 1): 7,
    (1, 1, 0): 8,
}


@dataclass(frozen=True, slots=True)
class _Codec:
    format: str
    brand: bytes
    configuration: bytes
    sizes: Callable[[memoryview, Iterable[memoryview]], Iterator[Size]]
    opener: type[AvifImageFile | HeifImageFile]


_CODECS = {
    b"hvc1": _Codec("heic", b"heic", b"hvcC", hevc_sizes, HeifImageFile),
    b"hev1": _Codec("heic", b"heic", b"hvcC", hevc_sizes, HeifImageFile),
    b"av01": _Codec("avif", b"avif", b"av1C", av1_sizes, AvifImageFile),
}


def read_heif(data: bytes) -> Container:
    """Raises: DamagedError, CutShortError, UnsupportedError, struct.error and IndexError (cut short)."""
    file = read_items(data)
    if file is not None:
        return still(file, file.item(file.primary))
    sequence = read_sequence(data)
    if sequence is None:
        raise DamagedError("it holds no picture")
    return film(replace(sequence, samples=sequence.samples[:1], starts=[0]))


def film(sequence: Sequence) -> Container:
    """The container of a sequence: Pillow's picture of it can be sought in."""
    return Container("avif", sequence.width_px, sequence.height_px, parts=sequence.parts(), opener=AvifImageFile)


def still(file: ItemFile, shown: Item) -> Container:
    """The container of one item. Raises: as `read_heif`."""
    width, height = _size(shown)
    copy = _Copy(file)
    copy.add(shown)
    alpha = next((item for item in file.items.values() if _is_alpha_of(item, shown)), None)
    if alpha is not None:
        copy.add_alpha(alpha, premultiplied=alpha.number in shown.references.get(b"prem", ()))
    assert copy.codec is not None  # noqa: S101 - every item that was added has one
    crop = _clean_aperture(shown.property(b"clap"), width, height)
    return Container(
        copy.codec.format,
        *((crop.width_px, crop.height_px) if crop else (width, height)),
        parts=written(copy.codec.brand, copy.items, copy.contents),
        opener=copy.codec.opener,
        orientation=_orientation(shown),
        crop=crop,
        coded_size_px=(width, height),
        profile=_profile(shown),
    )


def read_pictures(data: bytes) -> list[Callable[[], Container]]:
    """What makes the container of each picture of the file, the shown one first.

    Thumbnails, tiles, depth maps and hidden pictures are left out. Raises: as `read_heif`.
    """
    file = read_items(data)
    if file is None:
        raise DamagedError("it holds no picture")
    parts = {number for item in file.items.values() for number in item.references.get(b"dimg", ())}
    others = [
        item
        for item in file.items.values()
        if (item.kind in _CODECS or item.kind == _GRID)
        and not item.is_hidden
        and item.number not in parts
        and item.number != file.primary
        and not item.references.keys() & _SERVANTS
    ]
    return [partial(still, file, item) for item in (file.item(file.primary), *others)]


class _Copy:
    """The items of the new file. Raises, in every method: as `read_heif`."""

    def __init__(self, file: ItemFile) -> None:
        self._file = file
        self._bytes_left = len(file.data)
        self.codec: _Codec | None = None
        self.items: list[Item] = []
        self.contents: list[list[memoryview]] = []

    def add(self, item: Item) -> Item:
        """A coded picture, or a grid with its tiles."""
        if item.kind == _GRID:
            return self._add_grid(item)
        return self._add_coded(item, *_size(item))

    def add_alpha(self, alpha: Item, *, premultiplied: bool) -> None:
        """The picture of how opaque the first one is."""
        added = self.add(alpha)
        added.properties.append((b"auxC", memoryview(bytes(4) + _ALPHA_KINDS[0])))
        added.references[b"auxl"] = [1]
        if premultiplied:
            self.items[0].references[b"prem"] = [added.number]

    def _add_grid(self, grid: Item) -> Item:
        width, height = _size(grid)
        tiles = grid.references.get(b"dimg", [])
        content = b"".join(self._file.slices(grid))
        flags, rows, columns = struct.unpack_from(">xBBB", content)
        shown = struct.unpack_from(">II" if flags & _WIDE_GRID else ">HH", content, 4)
        if len(tiles) != (rows + 1) * (columns + 1):
            raise DamagedError(f"its grid of {rows + 1} x {columns + 1} tiles has {len(tiles)}")
        if len(tiles) > MAX_TILES:
            raise UnsupportedError(f"it is made of {len(tiles)} tiles; at most {MAX_TILES} are put together")
        if shown != (width, height):
            raise DamagedError(f"its headers disagree: {shown} and {(width, height)}")
        added = self._new(grid, _GRID, [(b"ispe", _ispe(width, height))], [memoryview(content)])
        size = _size(self._file.item(tiles[0]))
        fits = (columns + 1) * size[0] >= width and (rows + 1) * size[1] >= height
        if not fits or len(tiles) * size[0] * size[1] > max(_SMALL_CODED_PIXELS, 4 * width * height):
            raise DamagedError(f"tiles of {size[0]} x {size[1]} pixels do not make up {width} x {height}")
        for number in tiles:
            tile = self._file.item(number)
            if _size(tile) != size:
                raise DamagedError("its tiles differ in size")
            added.references.setdefault(b"dimg", []).append(self._add_coded(tile, *size).number)
        return added

    def _add_coded(self, item: Item, width: int, height: int) -> Item:
        codec = _CODECS.get(item.kind)
        if codec is None or (self.codec or codec).format != codec.format:
            kind = item.kind.decode("ascii", "replace")
            raise UnsupportedError(f"its pixels are of kind {kind!r}; HEVC, AV1 and grids of them are decoded")
        self.codec = codec
        configuration = item.property(codec.configuration)
        if configuration is None:
            raise DamagedError(f"picture {item.number} has no decoder configuration")
        content = self._file.slices(item)
        for coded in codec.sizes(configuration, content):
            if coded[0] * coded[1] > max(_SMALL_CODED_PIXELS, 4 * width * height):
                raise DamagedError(
                    f"its bitstream claims {coded[0]} x {coded[1]} pixels, its header {width} x {height}"
                )
        kept = [(codec.configuration, configuration), (b"ispe", _ispe(width, height))]
        colours = item.property(b"colr")
        if colours is not None and colours[:4] == _COLOUR_CODES:
            kept.append((b"colr", colours[:11]))
        channels = item.property(b"pixi")
        if channels is not None:
            kept.append((b"pixi", channels[:16]))
        return self._new(item, item.kind, kept, content)

    def _new(
        self, source: Item, kind: bytes, properties: list[tuple[bytes, memoryview]], content: list[memoryview]
    ) -> Item:
        self._bytes_left -= sum(map(len, content))
        if self._bytes_left < 0:
            raise DamagedError("its pictures are more bytes than the file, because they share them")
        if any(len(body) > _MAX_PROPERTY_BYTES for _, body in properties):
            raise DamagedError(f"a property of picture {source.number} has more than {_MAX_PROPERTY_BYTES} bytes")
        item = Item(len(self.items) + 1, kind, properties=properties)
        self.items.append(item)
        self.contents.append(content)
        return item


def _profile(item: Item) -> bytes | None:
    """The ICC profile of a picture, or the one that its colour codes stand for."""
    codes = None
    for kind, body in item.properties:
        if kind == b"colr" and body[:4] in _PROFILE_KINDS and len(body) <= MAX_PROFILE_BYTES:
            return bytes(body[4:])
        if kind == b"colr" and body[:4] == _COLOUR_CODES and codes is None:
            codes = profile_of_codes(*struct.unpack_from(">HH", body, 4))
    return codes


def _size(item: Item) -> Size:
    body = item.property(b"ispe")
    if body is None:
        raise DamagedError(f"picture {item.number} does not say its size")
    width, height = struct.unpack_from(">II", body, 4)
    return width, height


def _ispe(width: int, height: int) -> memoryview:
    return memoryview(struct.pack(">III", 0, width, height))


def _is_alpha_of(item: Item, shown: Item) -> bool:
    kind = item.property(b"auxC")
    return kind is not None and shown.number in item.references.get(b"auxl", ()) and bytes(kind[4:]) in _ALPHA_KINDS


def _orientation(item: Item) -> int:
    """`irot` turns anticlockwise by quarters; `imir` 0 mirrors top to bottom and 1 left to right; in their order."""
    transposed, upside_down, mirrored = 0, 0, 0
    for kind, body in item.properties:
        if kind == b"irot" and body:
            for _ in range(body[0] & 3):
                transposed, upside_down, mirrored = 1 - transposed, 1 - mirrored, upside_down
        elif kind == b"imir" and body:
            if body[0] & 1:
                mirrored = 1 - mirrored
            else:
                upside_down = 1 - upside_down
    return _EXIF_OF_FLIPS[transposed, upside_down, mirrored]


def _clean_aperture(body: memoryview | None, width: int, height: int) -> Placement | None:
    """What a `clap` property leaves of the picture; None when there is none or it is not within the picture."""
    if body is None:
        return None
    numbers = struct.unpack_from(">IIIIiIiI", body)
    if 0 in numbers[1::2]:
        return None
    wide, high, right, down = (Fraction(top, bottom) for top, bottom in zip(numbers[::2], numbers[1::2], strict=True))
    left = (width - wide) / 2 + right
    top = (height - high) / 2 + down
    inside = left >= 0 and top >= 0 and wide >= 1 and high >= 1 and left + wide <= width and top + high <= height
    return Placement(round(left), round(top), int(wide), int(high)) if inside else None
