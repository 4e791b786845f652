"""One drawn picture in every format, mode and variant, each beside the RGB pixels that a viewer shows.

Pillow writes what it can; the rest is written here byte by byte, so that no decoder judges its own encoder.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import heif_files
from baken import samples
from baken.images.png import png_chunk
from baken.samples_files import encoded

SIZE_PX = (640, 480)
Rgb = NDArray[np.uint8]
Case = tuple[str, bytes, Rgb]  # name, file, what a viewer shows

# How a picture must be stored so that EXIF orientation n shows it upright (CIPA DC-008, 4.6.2).
STORED_FOR_ORIENTATION = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def original(seed: int = 3, size: tuple[int, int] = SIZE_PX) -> Image.Image:
    return samples.draw(seed, size)


def rgb_of(image: Image.Image) -> Rgb:
    return np.asarray(image.convert("RGB"))


def over_white(rgb: Rgb, alpha: NDArray[np.uint8]) -> Rgb:
    share = alpha[..., None].astype(np.float64) / 255
    return np.rint(rgb * share + 255 * (1 - share)).astype(np.uint8)


def fading_alpha(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Opaque at the left, a third at the right, and a hole in the middle."""
    width, height = size
    alpha = np.tile(np.linspace(255, 85, width), (height, 1)).astype(np.uint8)
    alpha[height // 3 : height // 2, width // 3 : width // 2] = 0
    return alpha


def all_cases(image: Image.Image) -> Iterator[Case]:
    yield from jpeg_cases(image)
    yield from oriented_cases(image)
    yield from png_cases(image)
    yield from handmade_png_cases(image)
    yield from gif_cases(image)
    yield from webp_cases(image)
    yield from bmp_cases(image)
    yield from tiff_cases(image)
    yield from handmade_tiff_cases(image)
    yield from ((name, data, rgb_of(image)) for name, data in heif_files.cases(image, STORED_FOR_ORIENTATION))
    yield from transparent_heif_cases(image)


# JPEG


def jpeg_cases(image: Image.Image) -> Iterator[Case]:
    rgb = rgb_of(image)
    grey = image.convert("L")
    yield "jpeg_baseline", encoded(image, "JPEG", quality=90), rgb
    yield "jpeg_progressive", encoded(image, "JPEG", quality=90, progressive=True), rgb
    yield "jpeg_444", encoded(image, "JPEG", quality=90, subsampling=0), rgb
    yield "jpeg_grey", encoded(grey, "JPEG", quality=90), rgb_of(grey)
    yield "jpeg_rgb_stored", encoded(image, "JPEG", quality=90, keep_rgb=True), rgb
    yield "jpeg_cmyk", encoded(image.convert("CMYK"), "JPEG", quality=90), rgb
    yield "jpeg_cmyk_black", encoded(_with_black(image), "JPEG", quality=90), rgb
    yield "jpeg_ycck", ycck_jpeg(_with_black(image)), rgb
    yield "jpeg_multi_picture", encoded(image, "MPO", save_all=True, append_images=[original(9, image.size)]), rgb
    yield "jpeg_with_profile_junk", encoded(image, "JPEG", quality=90, icc_profile=b"junk" * 40_000), rgb


def _with_black(image: Image.Image) -> Image.Image:
    """CMYK with all the black it can have, as print programs write it."""
    ink = 255 - rgb_of(image).astype(np.float64)
    black = ink.min(axis=-1, keepdims=True)
    colour = (ink - black) / np.maximum(255 - black, 1) * 255
    return Image.fromarray(np.rint(np.concatenate([colour, black], axis=-1)).astype(np.uint8), "CMYK")


def ycck_jpeg(cmyk: Image.Image) -> bytes:
    """Adobe's YCCK: libjpeg makes C = 255 - R of the stored YCbCr, and the whole is stored inverted."""
    cyan, magenta, yellow, black = cmyk.split()
    as_rgb = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr")
    inverted = [band.point(lambda value: 255 - value) for band in as_rgb.split()]
    data = bytearray(encoded(Image.merge("CMYK", (*inverted, black)), "JPEG", quality=92, subsampling=0))
    data[data.index(b"Adobe") + 11] = 2  # the transform: YCCK
    return bytes(data)


def oriented_cases(image: Image.Image) -> Iterator[Case]:
    rgb = rgb_of(image)
    for orientation, stored_as in STORED_FOR_ORIENTATION.items():
        stored = image if stored_as is None else image.transpose(stored_as)
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"jpeg_exif_{orientation}", encoded(stored, "JPEG", quality=90, exif=exif), rgb
        yield f"png_exif_{orientation}", encoded(stored, "PNG", exif=exif, compress_level=1), rgb
        yield f"webp_exif_{orientation}", encoded(stored, "WEBP", quality=90, method=0, exif=exif.tobytes()), rgb
        yield f"tiff_exif_{orientation}", encoded(stored, "TIFF", tiffinfo={0x0112: orientation}), rgb


# PNG


def png_cases(image: Image.Image) -> Iterator[Case]:
    rgb, alpha = rgb_of(image), fading_alpha(image.size)
    yield "png_rgb", encoded(image, "PNG", compress_level=1), rgb
    yield "png_grey", encoded(image.convert("L"), "PNG", compress_level=1), rgb_of(image.convert("L"))
    black_and_white = image.convert("1")
    yield "png_1_bit", encoded(black_and_white, "PNG"), rgb_of(black_and_white)
    for bits in (1, 2, 4, 8):
        indexed = image.quantize(2**bits)
        yield f"png_palette_{bits}_bit", encoded(indexed, "PNG", bits=bits), rgb_of(indexed)
    indexed = image.quantize(64)
    shown = np.arange(64) % 7 != 0
    yield (
        "png_palette_alpha",
        encoded(indexed, "PNG", transparency=bytes(255 * shown.astype(np.uint8))),
        over_white(rgb_of(indexed), (255 * shown[np.asarray(indexed)]).astype(np.uint8)),
    )
    yield (
        "png_palette_one_hole",
        encoded(indexed, "PNG", transparency=5),
        over_white(rgb_of(indexed), (255 * (np.asarray(indexed) != 5)).astype(np.uint8)),
    )
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    yield "png_rgba", encoded(rgba, "PNG", compress_level=1), over_white(rgb, alpha)
    grey = image.convert("L")
    grey_alpha = Image.merge("LA", (grey, Image.fromarray(alpha)))
    yield "png_la", encoded(grey_alpha, "PNG", compress_level=1), over_white(rgb_of(grey), alpha)
    luma = np.asarray(grey)
    yield (
        "png_grey_key",
        encoded(grey, "PNG", transparency=90),
        over_white(rgb_of(grey), (255 * (luma != 90)).astype(np.uint8)),
    )
    wide = Image.fromarray(luma.astype(np.uint16) * 256 + 77)
    yield "png_grey_16", encoded(wide, "PNG"), rgb_of(grey)


def handmade_png_cases(image: Image.Image) -> Iterator[Case]:
    rgb, alpha = rgb_of(image), fading_alpha(image.size)
    luma = np.asarray(image.convert("L"))
    grey_rgb = np.dstack([luma] * 3)
    yield "png_rgb_16", png(_wide(rgb), 16, 2), rgb
    yield "png_rgba_16", png(_wide(np.dstack([rgb, alpha])), 16, 6), over_white(rgb, alpha)
    yield "png_la_16", png(_wide(np.dstack([luma, alpha])), 16, 4), over_white(grey_rgb, alpha)
    key = rgb[rgb.shape[0] // 2, rgb.shape[1] // 2]
    shown = (255 * (rgb != key).any(axis=-1)).astype(np.uint8)
    yield "png_rgb_key", png(rgb, 8, 2, key=struct.pack(">HHH", *key.tolist())), over_white(rgb, shown)
    yield (
        "png_grey_16_key",
        png(_wide(luma), 16, 0, key=struct.pack(">H", 90 * 257)),
        over_white(grey_rgb, (255 * (luma != 90)).astype(np.uint8)),
    )
    four_bits = luma // 16
    packed = four_bits[:, ::2] << 4 | four_bits[:, 1::2]
    yield (
        "png_grey_4_key",
        png(packed, 4, 0, key=struct.pack(">H", 6), width=luma.shape[1]),
        over_white(np.dstack([four_bits * 17] * 3), (255 * (four_bits != 6)).astype(np.uint8)),
    )
    yield "png_interlaced", png(rgb, 8, 2, interlaced=True), rgb
    hidden = png_with_hidden_default(np.full((600, 760, 3), 99, dtype=np.uint8), rgb, (80, 40))
    yield "png_hidden_default_image", hidden, on_canvas(rgb, (760, 600), (80, 40))
    yield (
        "png_animated",
        encoded(image, "PNG", save_all=True, append_images=[original(9, image.size)], compress_level=1),
        rgb,
    )


def png_with_hidden_default(default: Rgb, frame: Rgb, corner: tuple[int, int]) -> bytes:
    """An animated PNG that starts with `frame` at `corner`; only viewers without animation show `default`."""
    plain, moving = png(default, 8, 2), png(frame, 8, 2)
    place = struct.pack(">IIIII", 0, frame.shape[1], frame.shape[0], *corner) + bytes(6)
    body = moving[moving.index(b"IDAT") + 4 : -16]
    animation = png_chunk(b"fcTL", place) + png_chunk(b"fdAT", struct.pack(">I", 1) + body)
    return plain[:33] + png_chunk(b"acTL", struct.pack(">II", 1, 0)) + plain[33:-12] + animation + plain[-12:]


def _wide(samples_8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Big-endian 16-bit samples as bytes along the last axis."""
    wide = (samples_8.astype(np.uint16) * 257).astype(">u2")
    return wide.reshape(*wide.shape[:2], -1).view(np.uint8)


def png(
    rows: NDArray[np.uint8],
    bits: int,
    colour: int,
    *,
    key: bytes | None = None,
    width: int | None = None,
    interlaced: bool = False,
) -> bytes:
    """A PNG of unfiltered rows, uint8[H, bytes] or uint8[H, W, channels]."""
    height = rows.shape[0]
    bytes_a_pixel = {0: 1, 2: 3, 4: 2, 6: 4}[colour] * bits // 8
    width = width or rows.reshape(height, -1).shape[1] // bytes_a_pixel
    if interlaced:
        body = b"".join(
            _unfiltered(rows[top::down, left::right])
            for left, top, right, down in (
                (0, 0, 8, 8),
                (4, 0, 8, 8),
                (0, 4, 4, 8),
                (2, 0, 4, 4),
                (0, 2, 2, 4),
                (1, 0, 2, 2),
                (0, 1, 1, 2),
            )
        )
    else:
        body = _unfiltered(rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    chunks = [png_chunk(b"IHDR", header)]
    chunks += [png_chunk(b"tRNS", key)] if key else []
    chunks += [png_chunk(b"IDAT", zlib.compress(body, 1)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _unfiltered(rows: NDArray[np.uint8]) -> bytes:
    return b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in rows)


# HEIC and AVIF


def transparent_heif_cases(image: Image.Image) -> Iterator[Case]:
    rgb, alpha = rgb_of(image), fading_alpha(image.size)
    rgba, shown = Image.fromarray(np.dstack([rgb, alpha])), over_white(rgb, alpha)
    yield "heic_alpha", heif_files.heic(rgba, quality=90), shown
    yield "avif_alpha", encoded(rgba, "AVIF", quality=90, speed=10), shown
    for name in ("heic", "avif"):
        items = heif_files.transparent(image, Image.fromarray(alpha), name)
        yield f"{name}_boxed_alpha", heif_files.file_of(items, name.encode()), shown


# GIF and WebP


def gif_cases(image: Image.Image) -> Iterator[Case]:
    indexed = image.quantize(200)
    rgb = rgb_of(indexed)
    yield "gif", encoded(indexed, "GIF"), rgb
    yield "gif_not_interlaced", encoded(indexed, "GIF", interlace=0), rgb
    yield (
        "gif_animated",
        encoded(indexed, "GIF", save_all=True, append_images=[original(9, image.size).quantize(200)]),
        rgb,
    )
    yield (
        "gif_transparent",
        encoded(indexed, "GIF", transparency=7),
        over_white(rgb, (255 * (np.asarray(indexed) != 7)).astype(np.uint8)),
    )
    grey = image.convert("L")
    yield "gif_grey", encoded(grey, "GIF"), rgb_of(grey)
    yield (
        "gif_small_first_frame",
        gif_on_canvas(encoded(indexed, "GIF"), (760, 600), (80, 40)),
        on_canvas(rgb, (760, 600), (80, 40)),
    )


def on_canvas(rgb: Rgb, size: tuple[int, int], corner: tuple[int, int]) -> Rgb:
    canvas = np.full((size[1], size[0], 3), 255, dtype=np.uint8)
    canvas[corner[1] : corner[1] + rgb.shape[0], corner[0] : corner[0] + rgb.shape[1]] = rgb
    return canvas


def gif_on_canvas(gif: bytes, canvas: tuple[int, int], corner: tuple[int, int]) -> bytes:
    """The same frame, moved on a larger logical screen."""
    data = bytearray(gif)
    width, height = struct.unpack_from("<HH", gif, 6)
    frame = gif.index(b"\x2c" + struct.pack("<HHHH", 0, 0, width, height))
    struct.pack_into("<HH", data, 6, *canvas)
    struct.pack_into("<HH", data, frame + 1, *corner)
    return bytes(data)


def webp_cases(image: Image.Image) -> Iterator[Case]:
    rgb, alpha = rgb_of(image), fading_alpha(image.size)
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    shown = over_white(rgb, alpha)
    yield "webp_lossy", encoded(image, "WEBP", quality=85, method=0), rgb
    yield "webp_lossless", encoded(image, "WEBP", lossless=True, quality=0, method=0), rgb
    yield "webp_lossy_alpha", encoded(rgba, "WEBP", quality=85, method=0), shown
    yield "webp_lossless_alpha", encoded(rgba, "WEBP", lossless=True, quality=0, method=0, exact=True), shown
    yield "webp_animated", encoded(image, "WEBP", save_all=True, append_images=[original(9, image.size)], method=0), rgb
    small = webp_on_canvas(encoded(image, "WEBP", quality=85, method=0), (760, 600), (80, 40))
    yield "webp_small_first_frame", small, on_canvas(rgb, (760, 600), (80, 40))


def webp_on_canvas(still: bytes, canvas: tuple[int, int], corner: tuple[int, int]) -> bytes:
    """A simple lossy WebP as the first frame of an animation with a larger canvas."""

    def three(*values: int) -> bytes:
        return b"".join(value.to_bytes(3, "little") for value in values)

    width, height = struct.unpack_from("<HH", still, 26)
    head = three(corner[0] // 2, corner[1] // 2, width - 1, height - 1, 100) + b"\0"
    frame = head + still[12:]
    body = b"VP8X" + struct.pack("<II", 10, 0x02) + three(canvas[0] - 1, canvas[1] - 1)
    body += b"ANIM" + struct.pack("<IIH", 6, 0xFFFFFFFF, 0)
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


# BMP and TIFF


def bmp_cases(image: Image.Image) -> Iterator[Case]:
    rgb = rgb_of(image)
    indexed, black_and_white = image.quantize(256), image.convert("1")
    yield "bmp_24", encoded(image, "BMP"), rgb
    yield "bmp_8", encoded(indexed, "BMP"), rgb_of(indexed)
    yield "bmp_1", encoded(black_and_white, "BMP"), rgb_of(black_and_white)
    # Uncompressed 32-bit BMP has no alpha: its fourth byte is padding, and viewers ignore it.
    yield "bmp_32", encoded(Image.fromarray(np.dstack([rgb, fading_alpha(image.size)])), "BMP"), rgb


def tiff_cases(image: Image.Image) -> Iterator[Case]:
    rgb, alpha = rgb_of(image), fading_alpha(image.size)
    luma = np.asarray(image.convert("L"))
    grey = np.dstack([luma] * 3)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"tiff_{compression or 'raw'}", encoded(image, "TIFF", compression=compression), rgb
    yield "tiff_jpeg", encoded(image, "TIFF", compression="jpeg", quality=90), rgb
    yield "tiff_big", encoded(image, "TIFF", big_tiff=True), rgb
    yield "tiff_big_lzw", encoded(image, "TIFF", big_tiff=True, compression="tiff_lzw"), rgb
    yield "tiff_cmyk", encoded(image.convert("CMYK"), "TIFF"), rgb
    yield "tiff_multi_page", encoded(image, "TIFF", save_all=True, append_images=[original(9, image.size)]), rgb
    yield "tiff_rgba", encoded(Image.fromarray(np.dstack([rgb, alpha])), "TIFF"), over_white(rgb, alpha)
    yield "tiff_grey_16", encoded(Image.fromarray(luma.astype(np.uint16) * 257), "TIFF"), grey
    yield "tiff_grey_32", encoded(Image.fromarray(luma.astype(np.int32) * 257), "TIFF"), grey
    yield "tiff_float_0_to_1", encoded(Image.fromarray(luma.astype(np.float32) / 255), "TIFF"), grey
    yield "tiff_float_0_to_255", encoded(Image.fromarray(luma.astype(np.float32)), "TIFF"), grey
    stretched = (luma.astype(np.float32) - luma.min()) / np.ptp(luma) * 255
    yield (
        "tiff_float_wide",
        encoded(Image.fromarray(luma.astype(np.float32) * 90 - 4000), "TIFF"),
        np.dstack([np.rint(stretched).astype(np.uint8)] * 3),
    )
    indexed, black_and_white = image.quantize(256), image.convert("1")
    yield "tiff_palette", encoded(indexed, "TIFF"), rgb_of(indexed)
    yield "tiff_fax", encoded(black_and_white, "TIFF", compression="group4"), rgb_of(black_and_white)


def handmade_tiff_cases(image: Image.Image) -> Iterator[Case]:
    rgb = rgb_of(image)
    luma = np.asarray(image.convert("L"))
    grey = np.dstack([luma] * 3)
    wide = luma.astype(np.uint16) * 257
    yield "tiff_white_is_zero_8", tiff(255 - luma, photometric=0), grey
    yield "tiff_white_is_zero_16", tiff((65535 - wide).astype("<u2"), photometric=0), grey
    yield "tiff_grey_16_big_endian", tiff(wide.astype(">u2"), photometric=1, order=">"), grey
    yield "tiff_rgb_16", tiff((rgb.astype(np.uint16) * 257).astype("<u2"), photometric=2), rgb
    yield "tiff_tiled", tiff(rgb, photometric=2, tile_px=128), rgb
    yield "tiff_tiled_deflate", tiff(rgb, photometric=2, tile_px=128, deflate=True), rgb
    yield "tiff_separate_planes", tiff(rgb, photometric=2, planes=True), rgb


def tiff(
    pixels: NDArray[np.generic],
    *,
    photometric: int,
    order: str = "<",
    tile_px: int | None = None,
    deflate: bool = False,
    planes: bool = False,
) -> bytes:
    """A TIFF of one picture, [H, W] or [H, W, channels], in one strip, in square tiles or in one strip a plane."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim > 2 else 1
    blocks = [pixels]
    tags: dict[int, tuple[str, list[int]]] = {278: ("H", [height])}
    if planes:
        blocks = [pixels[..., channel] for channel in range(channels)]
    if tile_px is not None:
        tags = {322: ("H", [tile_px]), 323: ("H", [tile_px])}
        blocks = list(_tiles(pixels, tile_px))
    coded = [zlib.compress(block.tobytes(), 1) if deflate else block.tobytes() for block in blocks]
    offsets = [8 + sum(map(len, coded[:i])) for i in range(len(coded))]
    tags |= {
        256: ("H", [width]),
        257: ("H", [height]),
        258: ("H", [pixels.dtype.itemsize * 8] * channels),
        259: ("H", [8 if deflate else 1]),
        262: ("H", [photometric]),
        277: ("H", [channels]),
        284: ("H", [2 if planes else 1]),
        324 if tile_px else 273: ("I", offsets),
        325 if tile_px else 279: ("I", [len(block) for block in coded]),
    }
    return tiff_file(b"".join(coded), tags, order)


def _tiles(pixels: NDArray[np.generic], tile_px: int) -> Iterator[NDArray[np.generic]]:
    for top in range(0, pixels.shape[0], tile_px):
        for left in range(0, pixels.shape[1], tile_px):
            tile = np.zeros((tile_px, tile_px, *pixels.shape[2:]), dtype=pixels.dtype)
            part = pixels[top : top + tile_px, left : left + tile_px]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def tiff_file(body: bytes, tags: dict[int, tuple[str, list[int]]], order: str = "<", next_ifd: int = 0) -> bytes:
    """A classic TIFF: `body` from byte 8 on, then the values, then the directory of `tags` (type code and values)."""
    body += b"\0" * (len(body) % 2)
    entries, values, at = [], b"", 8 + len(body)
    for tag, (code, numbers) in sorted(tags.items()):
        raw = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        entry = struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[code], len(numbers))
        if len(raw) > 4:
            entry += struct.pack(order + "I", at + len(values))
            values += raw + b"\0" * (len(raw) % 2)
        else:
            entry += raw.ljust(4, b"\0")
        entries.append(entry)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at + len(values))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "I", next_ifd)
    return head + body + values + directory
