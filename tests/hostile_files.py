"""Files made to hurt a decoder. All are built here; none is a picture of anything but drawn scenery."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

import heif_files
from baken.images.png import png_chunk
from baken.model import UnscreenableReason as Reason
from baken.samples_files import encoded, huge_png, truncated_jpeg
from picture_files import original, png, rgb_of, tiff, tiff_file

Hostile = tuple[str, bytes, Reason]
SMALL_PX = (96, 64)
_PNG_HEADER_END = 8 + 25


def refused_files() -> Iterator[Hostile]:
    """Name, content and the reason it must be refused with."""
    yield from strangers()
    yield from cut_short()
    yield from damaged()
    yield from bombs()
    yield from heif_traps()
    yield "one_pixel_high.png", encoded(Image.new("L", (100, 1)), "PNG"), Reason.TOO_SMALL
    yield "four_wide.jpg", encoded(Image.new("L", (4, 100)), "JPEG"), Reason.TOO_SMALL


def strangers() -> Iterator[Hostile]:
    yield "empty.jpg", b"", Reason.EMPTY
    for name, content in (
        ("text.jpg", b"not a picture at all\n" * 9),
        ("page.png", b"<!DOCTYPE html><html><body>404</body></html>"),
        ("drawing.jpg", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("document.jpg", b"%PDF-1.7\n" + bytes(99)),
        ("archive.png", b"PK\x03\x04" + bytes(99)),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        ("layers.jpg", b"8BPS\0\x01" + bytes(99)),
        ("film.jpg", b"\0\0\0\x18ftypisom" + bytes(99)),
        ("film.mov", b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(99)),
        ("film.mkv", b"\x1aE\xdf\xa3" + bytes(99)),
        ("film.avi", b"RIFF\0\0\0\0AVI LIST" + bytes(99)),
        ("picture.jxl", b"\xff\x0a" + bytes(99)),
        ("noise.bin", bytes(range(7, 200))),
        ("one_byte.jpg", b"\xff"),
        ("almost.jpg", b"\xff\xd8"),
        ("sound.webp", b"RIFF\x24\0\0\0WAVEfmt "),
    ):
        yield name, content, Reason.UNKNOWN_FORMAT


def cut_short() -> Iterator[Hostile]:
    image = original(size=SMALL_PX)
    yield "half.jpg", truncated_jpeg(image), Reason.TRUNCATED
    for name, whole in (
        ("half_progressive.jpg", encoded(image, "JPEG", progressive=True)),
        ("half.png", encoded(image, "PNG")),
        ("half.gif", encoded(image.quantize(200), "GIF")),
        ("half.webp", encoded(image, "WEBP")),
        ("half.bmp", encoded(image, "BMP")),
        ("half.tif", encoded(image, "TIFF", compression="tiff_lzw")),
    ):
        yield name, whole[: len(whole) // 2], Reason.TRUNCATED
        yield f"header_of_{name}", whole[:14], Reason.TRUNCATED
    raw = tiff(rgb_of(image), photometric=2)
    yield "directory_outside.tif", raw[:4] + struct.pack("<I", 0xFFFFFF00) + raw[8:], Reason.TRUNCATED


def damaged() -> Iterator[Hostile]:
    image = original(size=SMALL_PX)
    jpeg, rows = encoded(image, "JPEG"), rgb_of(image)
    plain = png(rows, 8, 2)
    yield "no_frame.jpg", jpeg[: jpeg.index(b"\xff\xc0")] + jpeg[jpeg.index(b"\xff\xc4") :], Reason.CORRUPT
    yield "no_scan.jpg", b"\xff\xd8\xff\xd9" + bytes(50), Reason.CORRUPT
    frame = jpeg.index(b"\xff\xc0")
    yield "two_frames.jpg", jpeg[:frame] + jpeg[frame : frame + 19] + jpeg[frame:], Reason.CORRUPT
    yield "zero_length_segment.jpg", b"\xff\xd8\xff\xe1\0\0" + jpeg[2:], Reason.CORRUPT
    yield "no_height.jpg", jpeg[: frame + 5] + b"\0\0" + jpeg[frame + 7 :], Reason.CORRUPT
    yield "endless_segments.jpg", b"\xff\xd8" + b"\xff\xe2\0\x02" * 5000 + jpeg[2:], Reason.CORRUPT
    yield "twelve_bits.jpg", jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :], Reason.DECODER_FAILED
    yield "thousands_of_scans.jpg", scan_bomb(), Reason.CORRUPT
    yield "wrong_checksum.png", plain[:30] + b"\xff" + plain[31:], Reason.CORRUPT
    yield "no_palette.png", plain[:25] + b"\x03" + plain[26:], Reason.CORRUPT
    yield "no_pixels.png", plain[:_PNG_HEADER_END] + png_chunk(b"IEND", b""), Reason.CORRUPT
    middle = len(plain) // 2
    yield "broken_stream.png", plain[:middle] + bytes(64) + plain[middle + 64 :], Reason.CORRUPT
    yield "endless_chunks.png", plain[:_PNG_HEADER_END] + png_chunk(b"IDAT", b"") * 70_000, Reason.CORRUPT
    yield "no_frame.gif", b"GIF89a\x10\0\x10\0\0\0\0;", Reason.CORRUPT
    webp = encoded(image, "WEBP")
    yield "wrong_start.webp", webp[:23] + b"XXX" + webp[26:], Reason.CORRUPT
    yield "phone.heic", b"\0\0\0\x18ftypheic" + bytes(99), Reason.CORRUPT
    yield "short_header.bmp", b"BM" + bytes(12) + b"\x04\0\0\0" + bytes(40), Reason.CORRUPT
    yield "four_billion_values.tif", tiff_with_count(273, 0xFFFFFFFF), Reason.CORRUPT
    yield "huge_tile.tif", tiff_with_huge_tile(), Reason.CORRUPT


def bombs() -> Iterator[Hostile]:
    """Headers that claim more pixels than any machine should hold."""
    yield "bomb.png", huge_png(60_000, 60_000), Reason.TOO_MANY_PIXELS
    yield (
        "bomb.gif",
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + one_pixel_frame(),
        Reason.TOO_MANY_PIXELS,
    )
    yield "bomb_frame.gif", gif_frame_bomb(), Reason.TOO_MANY_PIXELS
    body = b"VP8X" + struct.pack("<II", 10, 2) + b"\xff" * 6 + animation_frame()
    yield "bomb.webp", b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body, Reason.TOO_MANY_PIXELS
    jpeg = encoded(original(size=SMALL_PX), "JPEG")
    size_at = jpeg.index(b"\xff\xc0") + 5
    yield "bomb.jpg", jpeg[:size_at] + b"\xff\xff\xff\xff" + jpeg[size_at + 4 :], Reason.TOO_MANY_PIXELS
    bmp = encoded(original(size=SMALL_PX), "BMP")
    yield "bomb.bmp", bmp[:18] + struct.pack("<ii", 2_000_000_000, -2_000_000_000) + bmp[26:], Reason.TOO_MANY_PIXELS
    tags = {256: ("I", [4_000_000_000]), 257: ("I", [4_000_000_000]), 262: ("H", [1]), 273: ("I", [8])}
    yield "bomb.tif", tiff_file(bytes(64), tags), Reason.TOO_MANY_PIXELS


def heif_traps() -> Iterator[Hostile]:
    """Boxes that loop, overlap, claim too much or hold something else than pixels."""
    image = original(size=SMALL_PX)
    one, av1 = heif_files.coded(image, "heic"), heif_files.coded(image, "avif")
    whole = heif_files.file_of([one], b"heic")
    yield "half.heic", whole[: len(whole) // 2], Reason.TRUNCATED
    yield "header_of_half.avif", encoded(image, "AVIF")[:40], Reason.CORRUPT
    size_at = whole.index(b"ispe") + 8
    yield "bomb.heic", whole[:size_at] + b"\xff" * 8 + whole[size_at + 8 :], Reason.TOO_MANY_PIXELS
    meta_at = whole.index(b"meta") - 4
    yield "endless_box.heic", whole[:meta_at] + b"\0\0\0\3" + whole[meta_at + 4 :], Reason.CORRUPT
    yield "many_boxes.heic", whole[:meta_at] + heif_files.box(b"free") * 5000 + whole[meta_at:], Reason.CORRUPT
    yield (
        "self_made.heic",
        heif_files.file_of([heif_files.grid_item(SMALL_PX, 1, 1)] * 2, b"heic"),
        Reason.DECODER_FAILED,
    )
    for number, tiles in (("65536", 256), ("1024", 32)):
        shared = heif_files.grid_item((60_000, 60_000), tiles, tiles)
        shared.references = [(b"dimg", [2] * min(tiles * tiles, 65_535))]
        yield (
            f"grid_of_{number}.heic",
            heif_files.file_of([shared, one], b"heic"),
            Reason.CORRUPT if tiles == 256 else Reason.DECODER_FAILED,
        )
    for name, coded in (("heic", one), ("avif", av1)):
        grid = heif_files.grid_item((SMALL_PX[0] * 30, SMALL_PX[1] * 30), 30, 30)
        grid.references = [(b"dimg", [2] * 900)]
        yield f"shared_tile.{name}", heif_files.file_of([grid, coded], name.encode()), Reason.CORRUPT
        yield (
            f"no_configuration.{name}",
            heif_files.file_of([_without(coded, b"hvcC", b"av1C")], name.encode()),
            Reason.CORRUPT,
        )
        yield f"no_size.{name}", heif_files.file_of([_without(coded, b"ispe")], name.encode()), Reason.CORRUPT
    yield (
        "jpeg_inside.heic",
        heif_files.file_of([heif_files.Coded(b"jpeg", b"x", one.properties)], b"heic"),
        Reason.DECODER_FAILED,
    )
    yield from bitstream_bombs()


def bitstream_bombs() -> Iterator[Hostile]:
    """A small picture by its boxes, whose bitstream makes the decoder allocate a gigabyte and more."""
    for name in ("heic", "avif"):
        large = heif_files.coded(Image.new("L", (4096, 3000)), name)
        large.properties = [part for part in large.properties if part[4:8] != b"ispe"] + [heif_files.ispe(64, 64)]
        yield f"bitstream_bomb.{name}", heif_files.file_of([large], name.encode()), Reason.CORRUPT
    vast = heif_files.coded(Image.new("L", (9600, 9600)), "avif", quality=0)
    yield "vast.avif", heif_files.file_of([vast], b"avif"), Reason.TOO_MANY_PIXELS
    yield "vast.webp", vast_webp(), Reason.TOO_MANY_PIXELS


def vast_webp() -> bytes:
    """A lossless WebP of 16,384 x 16,384 pixels in a few bytes, 65 times over in an animation: 65 GB of pixels."""
    bits = struct.pack("<BI", 0x2F, 0x3FFF | 0x3FFF << 14) + bytes(64)
    still = b"VP8L" + struct.pack("<I", len(bits)) + bits + b"\0" * (len(bits) & 1)
    frame = b"ANMF" + struct.pack("<I", 16 + len(still)) + bytes(6) + b"\xff\x3f\0" * 2 + bytes(4) + still
    body = (
        b"VP8X" + struct.pack("<II", 10, 2) + b"\xff\x3f\0" * 2 + b"ANIM" + struct.pack("<I", 6) + bytes(6) + frame * 65
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _without(coded: heif_files.Coded, *kinds: bytes) -> heif_files.Coded:
    kept = [part for part in coded.properties if part[4:8] not in kinds]
    return heif_files.Coded(coded.kind, coded.content, kept)


def harmless_looking() -> Iterator[tuple[str, bytes]]:
    """Good pictures in bad company: every viewer shows them, so they must be decoded, and cheaply."""
    image = original(size=SMALL_PX)
    jpeg, plain = encoded(image, "JPEG"), png(rgb_of(image), 8, 2)
    megabyte = zlib.compress(bytes(1 << 20))
    zeros = zlib.compressobj(9)
    bomb = b"".join(zeros.compress(bytes(1 << 24)) for _ in range(32)) + zeros.flush()  # 512 MiB of zeros
    yield "text_bomb.png", insert_chunks(plain, png_chunk(b"zTXt", b"note\0\0" + bomb))
    yield "many_texts.png", insert_chunks(plain, png_chunk(b"zTXt", b"note\0\0" + megabyte) * 200)
    yield "itxt_bomb.png", insert_chunks(plain, png_chunk(b"iTXt", b"note\0\1\0\0\0" + bomb))
    yield "profile_bomb.png", insert_chunks(plain, png_chunk(b"iCCP", b"icc\0\0" + bomb))
    yield "broken_animation.png", insert_chunks(plain, png_chunk(b"acTL", bytes(8)) * 3 + png_chunk(b"fcTL", bytes(26)))
    yield "no_end.png", plain[:-12]
    profile = b"".join(
        b"\xff\xe2"
        + struct.pack(">H", 2 + 14 + 60_000)
        + b"ICC_PROFILE\0"
        + bytes([n % 251, 3])
        + jpeg[:60_000].ljust(60_000)
        for n in range(40)
    )
    yield "nested_profiles.jpg", jpeg[:2] + profile + jpeg[2:]
    yield "looping_exif.jpg", with_exif(jpeg, looping_exif())
    yield "exif_outside.jpg", with_exif(jpeg, b"II*\0\xf0\xff\xff\xff")
    one = heif_files.coded(image, "heic")
    exif = heif_files.with_exif([one], one_tag_exif(0x0112, 3, 1, 6))
    yield "exif_repeats_nothing.heic", heif_files.file_of(exif, b"heic")
    loose = heif_files.box(b"free", b"\0" * 99) * 50
    yield "many_free_boxes.heic", heif_files.file_of([one], b"heic", extra=loose) + loose
    one.properties += [heif_files.clap(0, 0, 0, 0), heif_files.box(b"colr", b"prof"), heif_files.box(b"irot")]
    yield "empty_properties.heic", heif_files.file_of([one], b"heic")
    yield "exif_junk.jpg", with_exif(jpeg, b"\xde\xad\xbe\xef" * 20)
    yield "exif_wild_orientation.jpg", with_exif(jpeg, one_tag_exif(0x0112, 3, 1, 4711))
    yield "looping_directories.tif", looping_tiff()
    yield "trailing_film.jpg", jpeg + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400
    yield "stray_bytes.jpg", jpeg[:2] + b"\xff\xff\xff" + jpeg[2:]


def insert_chunks(plain: bytes, chunks: bytes) -> bytes:
    return plain[:_PNG_HEADER_END] + chunks + plain[_PNG_HEADER_END:]


def with_exif(jpeg: bytes, tiff_block: bytes) -> bytes:
    body = b"Exif\0\0" + tiff_block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + jpeg[2:]


def one_tag_exif(tag: int, kind: int, count: int, value: int) -> bytes:
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, tag, kind, count, value, 0)


def looping_exif() -> bytes:
    """An EXIF directory that is its own EXIF, GPS and next directory."""
    entries = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x8825, 4, 1, 8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + struct.pack("<I", 8)


def looping_tiff() -> bytes:
    """A TIFF whose next directory, EXIF directory and sub-directories are its first one."""
    once = tiff(rgb_of(original(size=SMALL_PX)), photometric=2)
    (directory,) = struct.unpack_from("<I", once, 4)
    (count,) = struct.unpack_from("<H", once, directory)
    entries = once[directory + 2 : directory + 2 + 12 * count]
    moved = len(once) + len(once) % 2
    loops = struct.pack("<HHII", 0x8769, 4, 1, moved) + struct.pack("<HHII", 0x014A, 4, 1, moved)
    new = struct.pack("<H", count + 2) + entries + loops + struct.pack("<I", moved)
    return once[:4] + struct.pack("<I", moved) + once[8:].ljust(moved - 8, b"\0") + new


def tiff_with_count(tag: int, count: int) -> bytes:
    data = bytearray(tiff(rgb_of(original(size=SMALL_PX)), photometric=2))
    (directory,) = struct.unpack_from("<I", data, 4)
    at = data.index(struct.pack("<H", tag), directory)
    struct.pack_into("<I", data, at + 4, count)
    return bytes(data)


def tiff_with_huge_tile() -> bytes:
    side = ("I", [0x7FFFFFF])
    tags = {256: ("H", [64]), 257: ("H", [64]), 258: ("H", [8]), 259: ("H", [8]), 262: ("H", [1]), 322: side, 323: side}
    return tiff_file(bytes(64), {**tags, 324: ("I", [8]), 325: ("I", [64])})


def scan_bomb() -> bytes:
    """A progressive JPEG whose last scan comes 2,000 times."""
    data = encoded(original(size=SMALL_PX), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * 2000 + data[-2:]


def one_pixel_frame() -> bytes:
    return b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0;"


def gif_frame_bomb() -> bytes:
    frame = b"\x2c" + struct.pack("<HHHHB", 65535, 65535, 65535, 65535, 0) + b"\x02\x02\x4c\x01\0;"
    return b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0, 0, 0) + frame


def animation_frame() -> bytes:
    still = encoded(original(size=SMALL_PX), "WEBP")[12:]
    size = (SMALL_PX[0] - 1).to_bytes(3, "little") + (SMALL_PX[1] - 1).to_bytes(3, "little")
    body = bytes(6) + size + bytes(4) + still
    return b"ANMF" + struct.pack("<I", len(body)) + body


def gif_of(places: list[tuple[int, int, int, int]], canvas: tuple[int, int], *, count: int | None = None) -> bytes:
    """Frames of one colour each, `count` in all, at places that repeat: as small as frames can be."""
    palette = b"".join(bytes([97 * n % 256] * 3) for n in range(16))
    head = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0xF3, 0, 0) + palette
    frames = []
    for left, top, width, height in places:
        image = Image.new("P", (width, height), color=len(frames) % 16)
        image.putpalette(palette)
        data = encoded(image, "GIF", optimize=False, interlace=0)
        start = data.index(b"\x2c", 13 + (3 << (data[10] & 7) + 1))
        frames.append(b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0) + data[start + 10 : -1])
    times = -(-(count or len(frames)) // len(frames))
    return head + (b"".join(frames) * times) + b";"
