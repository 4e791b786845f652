"""Colour: a profile changes the picture as it changes what a viewer shows, and a broken one changes nothing."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

import heif_files
import picture_files
from baken.images import decode
from baken.images.colour import correction_of
from baken.images.png import png_chunk
from baken.samples_files import encoded
from hostile_files import insert_chunks
from picture_checks import LUMA_601, bits_of, decoded, truth

PRIMARIES = {  # red, green, blue (x, y), curve: the published definitions
    "display_p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), None),
    "adobe_rgb": ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), 563 / 256),
    "linear": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), 1.0),
    "gamma_1_8": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), 1.8),
    "swapped": ((0.300, 0.600), (0.640, 0.330), (0.150, 0.060), None),
}
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
D65 = (0.3127, 0.3290)
ORIGINAL = picture_files.original()
RGB = picture_files.rgb_of(ORIGINAL)
CODED = heif_files.coded(ORIGINAL, "heic")


def xyz_of(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([D65[0] / D65[1], 1, (1 - D65[0] - D65[1]) / D65[1]])
    return columns * np.linalg.solve(columns, white)


def linear_of(levels: np.ndarray, gamma: float | None) -> np.ndarray:
    share = levels / 255
    if gamma is not None:
        return share**gamma
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def levels_of(linear: np.ndarray) -> np.ndarray:
    share = np.clip(linear, 0, 1)
    coded = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055)
    return np.rint(coded * 255).astype(np.uint8)


def shown(rgb: np.ndarray, space: str) -> np.ndarray:
    """What a viewer shows for samples of that colour space, by the definitions and not by a profile."""
    *primaries, gamma = PRIMARIES[space]
    to_srgb = np.linalg.inv(xyz_of(SRGB)) @ xyz_of(tuple(primaries))
    return levels_of(linear_of(rgb.astype(np.float64), gamma) @ to_srgb.T)


def profile(space: str) -> bytes:
    """A version 2 profile with 1,024 steps of curve, written here: 8.3.3 and 10.6 of ICC.1:2022."""
    *primaries, gamma = PRIMARIES[space]
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50, d65 = np.array([0.9642, 1, 0.8249]), np.array([D65[0] / D65[1], 1, (1 - D65[0] - D65[1]) / D65[1]])
    adapted = (
        np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ d65)) @ bradford @ xyz_of(tuple(primaries))
    )
    steps = np.rint(linear_of(np.linspace(0, 255, 1024), gamma) * 65535).astype(">u2").tobytes()
    curve = b"curv" + struct.pack(">II", 0, 1024) + steps
    tags = {b"wtpt": xyz_tag(d50)}
    tags |= {name + b"XYZ": xyz_tag(adapted[:, column]) for column, name in enumerate((b"r", b"g", b"b"))}
    tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    return profile_file(b"RGB ", b"XYZ ", tags)


def xyz_tag(values: np.ndarray) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *(round(value * 65536) for value in values))


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + bytes(2)
    return profile_file(b"GRAY", b"XYZ ", {b"wtpt": xyz_tag(np.array([0.9642, 1, 0.8249])), b"kTRC": curve})


def inverting_cmyk_profile() -> bytes:
    """A profile for an odd press: the more black ink, the lighter; the other inks do nothing (lut8)."""
    table = bytes(range(256))
    corners = b"".join(bytes([255 * black, 128, 128]) for _ in range(8) for black in (0, 1))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + table * 4 + corners + table * 3
    return profile_file(b"CMYK", b"Lab ", {b"A2B0": lut}, kind=b"prtr")


def profile_file(space: bytes, connection: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    start = 128 + 4 + 12 * len(tags)
    index, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        index += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s", start + len(body), 0x02400000, kind, space, connection, b"acsp")
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    return (head.ljust(68, b"\0") + d50).ljust(128, b"\0") + index + body


def file_with(kind: str, icc: bytes) -> bytes:
    if kind == "heic":
        tagged = replace(CODED)
        tagged.properties = [*CODED.properties, heif_files.colr_icc(icc)]
        return heif_files.file_of([tagged], b"heic")
    options: dict[str, dict[str, object]] = {
        "jpeg": {"quality": 95},
        "png": {"compress_level": 1},
        "webp": {"quality": 95, "method": 0},
        "tiff": {},
        "avif": {"quality": 95, "speed": 10},
    }
    return encoded(ORIGINAL, kind.upper(), icc_profile=icc, **options[kind])


@pytest.mark.parametrize("kind", ["avif", "heic", "jpeg", "png", "tiff", "webp"])
@pytest.mark.parametrize("space", PRIMARIES)
def test_a_profile_in_every_format_gives_what_a_viewer_shows(kind: str, space: str):
    wanted = shown(RGB, space)
    bits, quality = truth(wanted)
    assert quality >= 50
    picture = decoded(file_with(kind, profile(space)))
    assert np.abs(picture.luma - wanted @ LUMA_601).mean() < 3
    assert (bits_of(picture.luma) != bits).sum() <= 10


def test_without_the_profile_another_picture_would_be_screened():
    assert (truth(shown(RGB, "swapped"))[0] != truth(RGB)[0]).sum() > 10
    assert np.abs(decoded(file_with("png", profile("linear"))).luma - RGB @ LUMA_601).mean() > 20


@pytest.mark.parametrize("alpha", [False, True])
def test_a_palette_and_transparency_keep_the_profile(alpha: bool):
    wanted = shown(RGB, "linear")
    if not alpha:
        indexed = ORIGINAL.quantize(128)
        wanted = shown(picture_files.rgb_of(indexed), "linear")
        data = encoded(indexed, "PNG", icc_profile=profile("linear"))
    else:
        share = picture_files.fading_alpha(ORIGINAL.size)
        wanted = picture_files.over_white(wanted, share)
        data = encoded(Image.fromarray(np.dstack([RGB, share])), "PNG", icc_profile=profile("linear"))
    assert np.abs(decoded(data).luma - wanted @ LUMA_601).mean() < 2


@pytest.mark.parametrize("gamma", [1.0, 1.8, 3.0])
@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF"])
def test_a_grey_profile_changes_greys(name: str, gamma: float):
    grey = ORIGINAL.convert("L")
    picture = decoded(encoded(grey, name, icc_profile=grey_profile(gamma), quality=98))
    wanted = levels_of(linear_of(np.asarray(grey).astype(np.float64), gamma))
    assert np.abs(picture.luma.astype(int) - wanted).mean() < 2


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_a_cmyk_profile_says_what_the_inks_look_like(name: str):
    black = 255 - np.asarray(ORIGINAL.convert("L"))
    inks = Image.merge("CMYK", [Image.new("L", ORIGINAL.size)] * 3 + [Image.fromarray(black)])
    plain = decoded(encoded(inks, name))
    odd = decoded(encoded(inks, name, icc_profile=inverting_cmyk_profile()))
    assert np.corrcoef(plain.luma.ravel(), odd.luma.ravel())[0, 1] < -0.95


def png_with(*chunks: tuple[bytes, bytes], grey: bool = False) -> bytes:
    plain = encoded(ORIGINAL.convert("L") if grey else ORIGINAL, "PNG", compress_level=1)
    return insert_chunks(plain, b"".join(png_chunk(kind, body) for kind, body in chunks))


GAMMA_1 = (b"gAMA", struct.pack(">I", 100_000))
P3_CHROMA = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
SAYS_SRGB = (b"sRGB", b"\0")
P3_CODES = (b"cICP", bytes([12, 13, 0, 1]))


@pytest.mark.parametrize("grey", [False, True])
def test_png_gamma_is_shown_as_browsers_show_it(grey: bool):
    stored = picture_files.rgb_of(ORIGINAL.convert("L")) if grey else RGB
    picture = decoded(png_with(GAMMA_1, grey=grey))
    assert np.abs(picture.luma - shown(stored, "linear") @ LUMA_601).mean() < 2


@pytest.mark.parametrize("chunks", [[P3_CHROMA], [P3_CODES], [P3_CODES, SAYS_SRGB, GAMMA_1]])
def test_png_chromaticities_and_codes_are_colour_spaces(chunks: list[tuple[bytes, bytes]]):
    assert np.abs(decoded(png_with(*chunks)).luma - shown(RGB, "display_p3") @ LUMA_601).mean() < 1


@pytest.mark.parametrize(
    "chunks",
    [
        [SAYS_SRGB, GAMMA_1, P3_CHROMA],
        [(b"iCCP", b"icc\0\0" + zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()))],
        [(b"gAMA", struct.pack(">I", 45455))],
        [(b"gAMA", bytes(4))],
        [(b"gAMA", b"\xff\xff\xff\xff")],
        [(b"gAMA", b"\0")],
        [(b"cHRM", bytes(32)), (b"gAMA", struct.pack(">I", 45455))],
        [(b"cICP", bytes([9, 16, 0, 1]))],
        [(b"iCCP", b"icc\0\0" + zlib.compress(bytes(4 << 20) + b"\1"))],
    ],
)
def test_what_says_srgb_or_nothing_sensible_leaves_a_png_as_it_is(chunks: list[tuple[bytes, bytes]]):
    np.testing.assert_array_equal(decoded(png_with(*chunks)).luma, decoded(png_with()).luma)


def broken_profiles() -> dict[str, bytes]:
    good = profile("linear")
    return {
        "junk": b"junk" * 4000,
        "cut": good[: len(good) // 2],
        "header_only": good[:128],
        "tags_outside": good[:128] + struct.pack(">I4sII", 1, b"rXYZ", 0xFFFFFFF0, 0xFFFFFFF0),
        "four_billion_tags": good[:128] + b"\xff\xff\xff\xff" + good[132:],
        "of_greys": grey_profile(1.0),
        "of_inks": inverting_cmyk_profile(),
        "of_nothing": good[:16] + b"9CLR" + good[20:],
    }


@pytest.mark.parametrize("name", broken_profiles())
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_broken_profile_is_ignored_as_viewers_ignore_it(kind: str, name: str):
    picture = decoded(file_with(kind, broken_profiles()[name]))
    plain = decoded(file_with(kind, b""))
    np.testing.assert_array_equal(picture.luma, plain.luma)


def test_a_reduced_jpeg_with_a_profile_stays_within_8_bits_of_the_full_size():
    image = picture_files.original(11, (1024, 768)).resize((2900, 2200), Image.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=90, icc_profile=profile("display_p3"))
    fast, full = decoded(data), decoded(data, exact=True)
    assert not fast.exact
    assert (bits_of(fast.luma) != bits_of(full.luma)).sum() <= 8


def test_every_profile_of_300_random_changes_gives_a_picture():
    rng = np.random.default_rng(7)
    good = [profile("display_p3"), inverting_cmyk_profile(), grey_profile(1.8)]
    small = ORIGINAL.resize((32, 24))
    for number in range(300):
        icc = bytearray(good[number % 3])
        for _ in range(rng.integers(1, 8)):
            icc[rng.integers(len(icc))] = rng.integers(256)
        mode = ("RGB", "CMYK", "L")[number % 3]
        decoded(encoded(small.convert(mode), "JPEG", icc_profile=bytes(icc)))


def test_a_profile_in_parts_that_are_missing_is_ignored():
    data = encoded(ORIGINAL, "JPEG", quality=90, icc_profile=profile("linear") + bytes(70_000))
    second = data.index(b"ICC_PROFILE\0\x02")
    broken = data[: second + 12] + b"\x09" + data[second + 13 :]
    plain = decode(encoded(ORIGINAL, "JPEG", quality=90))
    np.testing.assert_array_equal(decoded(broken).luma, plain.luma)


@pytest.mark.parametrize(("space", "most_bits"), [("display_p3", 4), ("adobe_rgb", 4), ("linear", 4)])
def test_colours_that_are_corrected_in_blocks_hardly_move_the_pdq(space: str, most_bits: int):
    correction = correction_of(profile(space))
    assert correction is not None
    for seed in (3, 4, 5):
        picture = picture_files.original(seed, (1024, 768))
        every_pixel, in_blocks = (np.asarray(correction.luma(picture, block_px)) for block_px in (1, 4))
        uncorrected = np.asarray(picture.convert("L"))
        left, change = (np.abs(every_pixel.astype(int) - each).mean() for each in (in_blocks, uncorrected))
        assert left < change / 2
        assert (bits_of(every_pixel) != bits_of(in_blocks)).sum() <= most_bits


def test_blocks_that_a_picture_does_not_fill_are_corrected_too():
    correction = correction_of(profile("linear"))
    assert correction is not None
    picture = Image.new("RGB", (10, 7), (60, 90, 30))
    every_pixel, in_blocks = (np.asarray(correction.luma(picture, block_px)) for block_px in (1, 4))
    assert in_blocks.shape == (7, 10)
    assert np.abs(every_pixel.astype(int) - in_blocks).max() <= 1
