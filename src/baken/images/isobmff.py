"""ISO base media files (ISO/IEC 14496-12) with pictures as items (ISO/IEC 23008-12): their boxes, read and written.

Only known boxes are entered, each once, so that no box can loop; every list has a bound.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from baken.images.container import CutShortError, DamagedError, UnsupportedError

MAX_BOXES = 4096
"""Boxes beside each other that are walked."""

MAX_ITEMS = 4096
"""Items of one file. A phone's picture of 48 megapixels has about 200."""

_FULL = 4  # version and flags, at the start of some boxes
_LONG_SIZE, _TO_THE_END = 1, 0
_HEADER_BYTES = 8
_IN_FILE, _IN_IDAT = 0, 1
_WIDE_ID_VERSION = 2

Bytes = bytes | memoryview


@dataclass(slots=True)
class Item:
    """One coded or derived picture of the file.

    Attributes:
        kind: `hvc1`, `av01`, `grid`, ...
        extents: where its bytes lie: offset and length; the offset is into the `idat` box where `in_idat` is true.
        properties: kind and body of each, in the order in which they apply.
        references: kind of reference to the items it points at.
    """

    number: int
    kind: bytes = b""
    is_hidden: bool = False
    in_idat: bool = False
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[tuple[bytes, memoryview]] = field(default_factory=list)
    references: dict[bytes, list[int]] = field(default_factory=dict)

    def property(self, kind: bytes) -> memoryview | None:
        """The first property of that kind."""
        return next((body for name, body in self.properties if name == kind), None)


@dataclass(slots=True)
class ItemFile:
    """The items of a file; `primary` is the number of the one that a viewer shows."""

    data: memoryview
    items: dict[int, Item] = field(default_factory=dict)
    primary: int = 0
    idat: memoryview = field(default_factory=lambda: memoryview(b""))

    def item(self, number: int) -> Item:
        """Raises: DamagedError (no such item)."""
        found = self.items.get(number)
        if found is None or not found.kind:
            raise DamagedError(f"it names a picture {number} that it does not have")
        return found

    def slices(self, item: Item) -> list[memoryview]:
        """The bytes of an item. Raises: CutShortError, DamagedError."""
        source = self.idat if item.in_idat else self.data
        parts = []
        for at, length in item.extents:
            end = at + length if length else len(source)  # no length: to the end
            if end > len(source) or at > len(source):
                raise CutShortError(f"picture {item.number} ends after the file")
            parts.append(source[at:end])
        if not parts:
            raise DamagedError(f"picture {item.number} has no bytes")
        return parts


def boxes(view: memoryview, *, lenient: bool = False) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and body of the boxes in `view`.

    Args:
        view: the bytes of one level.
        lenient: give what there is of a last box that the file cuts short.

    Raises: DamagedError, CutShortError.
    """
    at = 0
    for _ in range(MAX_BOXES):
        if at + _HEADER_BYTES > len(view):
            return
        size, kind = struct.unpack_from(">I4s", view, at)
        start = at + _HEADER_BYTES
        if size == _LONG_SIZE:
            (size,) = struct.unpack_from(">Q", view, start)
            start += 8
        elif size == _TO_THE_END:
            size = len(view) - at
        if size < start - at:
            raise DamagedError(f"the box at byte {at} gives its size as {size}")
        if at + size > len(view) and not lenient:
            raise CutShortError(f"a box of {size} bytes ends after what holds it")
        yield bytes(kind), view[start : at + size]
        at += size
    raise DamagedError(f"it has more than {MAX_BOXES} boxes beside each other")


def first_boxes(view: memoryview, *, lenient: bool = False) -> dict[bytes, memoryview]:
    """The first box of each kind. Raises: DamagedError, CutShortError."""
    first: dict[bytes, memoryview] = {}
    for kind, body in boxes(view, lenient=lenient):
        first.setdefault(kind, body)
    return first


def read_items(data: bytes) -> ItemFile | None:
    """The items of a file; None when it has none.

    Raises: DamagedError, CutShortError, UnsupportedError, struct.error and IndexError (cut short).
    """
    view = memoryview(data)
    meta = first_boxes(view, lenient=True).get(b"meta")
    if meta is None:
        return None
    inside = first_boxes(meta[_FULL:])
    file = ItemFile(view, idat=inside.get(b"idat", memoryview(b"")))
    if b"pitm" not in inside or b"iinf" not in inside or b"iloc" not in inside:
        return None
    (file.primary,) = struct.unpack_from(">I" if inside[b"pitm"][0] else ">H", inside[b"pitm"], _FULL)
    _read_infos(inside[b"iinf"], file)
    _read_locations(inside[b"iloc"], file)
    if b"iref" in inside:
        _read_references(inside[b"iref"], file)
    if b"iprp" in inside:
        _read_properties(inside[b"iprp"], file)
    return file


def _at(file: ItemFile, number: int) -> Item:
    if len(file.items) >= MAX_ITEMS and number not in file.items:
        raise DamagedError(f"it has more than {MAX_ITEMS} items")
    return file.items.setdefault(number, Item(number))


def _read_infos(body: memoryview, file: ItemFile) -> None:
    for kind, info in boxes(body[_FULL + (4 if body[0] else 2) :]):
        if kind != b"infe" or info[0] < _WIDE_ID_VERSION:
            continue
        wide = info[0] > _WIDE_ID_VERSION
        number, _, name = struct.unpack_from(">IH4s" if wide else ">HH4s", info, _FULL)
        item = _at(file, number)
        item.kind, item.is_hidden = name, bool(info[3] & 1)


class _Numbers:
    """Big-endian numbers of 0, 4 or 8 bytes and of 2, one after another."""

    def __init__(self, view: memoryview, at: int) -> None:
        self._view, self._at = view, at

    def next(self, size: int) -> int:
        if self._at + size > len(self._view):
            raise CutShortError("it ends inside a table")
        value = int.from_bytes(self._view[self._at : self._at + size])
        self._at += size
        return value


def _read_locations(body: memoryview, file: ItemFile) -> None:
    version = body[0]
    sizes = _Numbers(body, _FULL)
    packed = sizes.next(2)
    offset_size, length_size, base_size = packed >> 12, packed >> 8 & 15, packed >> 4 & 15
    index_size = packed & 15 if version else 0
    wide = version >= _WIDE_ID_VERSION
    count = sizes.next(4 if wide else 2)
    if count > MAX_ITEMS:
        raise DamagedError(f"it has {count} items; at most {MAX_ITEMS} are read")
    extents_left = MAX_ITEMS * 2
    for _ in range(count):
        item = _at(file, sizes.next(4 if wide else 2))
        method = sizes.next(2) & 15 if version else _IN_FILE
        if method not in (_IN_FILE, _IN_IDAT):
            raise UnsupportedError(f"the bytes of picture {item.number} lie in another picture")
        sizes.next(2)  # the data reference: another file is never opened
        base, extents = sizes.next(base_size), sizes.next(2)
        extents_left -= extents
        if extents_left < 0:
            raise DamagedError(f"its items lie in more than {MAX_ITEMS * 2} pieces")
        item.in_idat = method == _IN_IDAT
        item.extents = []
        for _ in range(extents):
            sizes.next(index_size)
            item.extents.append((base + sizes.next(offset_size), sizes.next(length_size)))


def _read_references(body: memoryview, file: ItemFile) -> None:
    size = 4 if body[0] else 2
    for kind, reference in boxes(body[_FULL:]):
        numbers = _Numbers(reference, 0)
        source, count = numbers.next(size), numbers.next(2)
        if source in file.items:
            targets = file.items[source].references.setdefault(kind, [])
            targets += [numbers.next(size) for _ in range(min(count, MAX_ITEMS - len(targets)))]


def _read_properties(body: memoryview, file: ItemFile) -> None:
    inside = first_boxes(body)
    known = list(boxes(inside.get(b"ipco", memoryview(b""))))
    if b"ipma" not in inside:
        return
    table = inside[b"ipma"]
    numbers = _Numbers(table, _FULL)
    wide_index = bool(table[3] & 1)
    for _ in range(min(numbers.next(4), MAX_ITEMS)):
        item = file.items.get(numbers.next(4 if table[0] else 2))
        for _ in range(numbers.next(1)):
            index = numbers.next(2) & 0x7FFF if wide_index else numbers.next(1) & 0x7F
            if item is not None and 0 < index <= len(known):
                item.properties.append(known[index - 1])


def box(kind: bytes, *parts: Bytes) -> bytes:
    """A box of these parts."""
    body = b"".join(parts)
    return struct.pack(">I4s", _HEADER_BYTES + len(body), kind) + body


def full_box(kind: bytes, *parts: Bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def written(brand: bytes, items: list[Item], contents: list[list[memoryview]]) -> tuple[Bytes, ...]:
    """A file of `items`, whose numbers count from 1 and whose first is shown; `contents` are their bytes.

    Returns:
        The parts of the file, in order: what stands before the bytes, and the bytes as given.
    """
    size = len(_head(brand, items, contents, 0))
    return _head(brand, items, contents, size), *(part for parts in contents for part in parts)


def _head(brand: bytes, items: list[Item], contents: list[list[memoryview]], start: int) -> bytes:
    handler = full_box(b"hdlr", struct.pack(">I4s", 0, b"pict"), bytes(13))
    infos = [full_box(b"infe", struct.pack(">HH4s", item.number, 0, item.kind), b"\0", version=2) for item in items]
    locations = []
    at = start
    for item, parts in zip(items, contents, strict=True):
        length = sum(map(len, parts))
        locations.append(struct.pack(">HHHII", item.number, 0, 1, at, length))
        at += length
    meta = full_box(
        b"meta",
        handler,
        full_box(b"pitm", struct.pack(">H", items[0].number)),
        full_box(b"iinf", struct.pack(">H", len(infos)), *infos),
        full_box(b"iloc", b"\x44\0", struct.pack(">H", len(items)), *locations),
        full_box(b"iref", *_references(items)),
        _properties(items),
    )
    media = struct.pack(">I4s", 8 + at - start, b"mdat")
    return box(b"ftyp", brand, bytes(4), brand, b"mif1", b"miaf") + meta + media


def _references(items: Iterable[Item]) -> Iterator[bytes]:
    for item in items:
        for kind, targets in item.references.items():
            yield box(kind, struct.pack(f">HH{len(targets)}H", item.number, len(targets), *targets))


def _properties(items: list[Item]) -> bytes:
    numbers: dict[tuple[bytes, bytes], int] = {}
    rows = []
    for item in items:
        own = [numbers.setdefault((kind, bytes(body)), len(numbers) + 1) for kind, body in item.properties]
        rows.append(struct.pack(f">HB{len(own)}H", item.number, len(own), *own))
    known = [box(kind, body) for kind, body in numbers]
    return box(b"iprp", box(b"ipco", *known), full_box(b"ipma", struct.pack(">I", len(rows)), *rows, flags=1))
