"""Decoding: every format gives the picture a viewer shows, and no bytes give anything but a picture or a reason."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import heif_files
import hostile_files
import picture_files
from baken.images import DecodeLimits, Picture, decode
from baken.model import Unscreenable, UnscreenableReason
from baken.samples_files import encoded
from fuzz.mutations import mutated
from picture_checks import LUMA_601, decoded, pdq_bits, peak_growth_bytes, truth

ORIGINAL = picture_files.original()
CASES = {name: (data, rgb) for name, data, rgb in picture_files.all_cases(ORIGINAL)}
REFUSED = {name: (data, reason) for name, data, reason in hostile_files.refused_files()}
HARMLESS = dict(hostile_files.harmless_looking())
SMALL = {
    name: data
    for name, data, _ in picture_files.all_cases(picture_files.original(size=hostile_files.SMALL_PX))
    if not name.endswith(("_2", "_3", "_4", "_5", "_7", "_8", "_444", "_range"))
}
REDUCTIONS = [
    ((2047, 1800), 1),
    ((2048, 2048), 2),
    ((4100, 4096), 4),
    ((4032, 3024), 2),
    ((8200, 8192), 8),
]  # size, divisor
FAR_AWAY_BITS = 60


@pytest.mark.parametrize("name", CASES)
def test_every_format_gives_the_picture_a_viewer_shows(name: str):
    data, rgb = CASES[name]
    picture = decoded(data)
    bits, quality = truth(rgb)
    assert quality >= 80
    assert (pdq_bits(picture) != bits).sum() <= 10
    assert (picture.height_px, picture.width_px) == rgb.shape[:2] == picture.luma.shape
    assert np.abs(picture.luma - rgb @ LUMA_601).mean() < 4
    assert picture.luma.dtype == np.uint8
    assert picture.luma.flags.c_contiguous
    assert picture.format == name.partition("_")[0]


@pytest.mark.parametrize("name", ["png_grey", "png_grey_16", "png_1_bit", "tiff_grey_16", "tiff_white_is_zero_16"])
def test_grey_samples_keep_their_exact_values(name: str):
    data, rgb = CASES[name]
    np.testing.assert_array_equal(decoded(data).luma, rgb[..., 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_a_reduced_jpeg_and_reports_the_shown_size(orientation: int):
    image = picture_files.original(5, (3080, 2060))
    stored_as = picture_files.STORED_FOR_ORIENTATION[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image if stored_as is None else image.transpose(stored_as)
    picture = decoded(encoded(stored, "JPEG", quality=90, exif=exif))
    assert (picture.width_px, picture.height_px) == (3080, 2060)
    assert picture.luma.shape == (1030, 1540)
    assert not picture.exact
    assert (pdq_bits(picture) != truth(np.asarray(image))[0]).sum() <= 4


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("size", "divisor"), [((1700, 1439), 1), ((1441, 1440), 2), ((2881, 2880), 4), ((4032, 3024), 4), ((5790, 5762), 8)]
)
def test_a_jpeg_at_reduced_size_stays_within_8_bits(mode: str, progressive: bool, size: tuple[int, int], divisor: int):
    image = picture_files.original(11, (1024, 768)).resize(size, Image.Resampling.BICUBIC).convert(mode)
    data = encoded(image, "JPEG", quality=80, progressive=progressive)
    fast, full = decoded(data), decoded(data, exact=True)
    assert full.exact
    assert full.luma.shape == (size[1], size[0])
    assert fast.luma.shape == (-(-size[1] // divisor), -(-size[0] // divisor))
    assert fast.exact == (divisor == 1)
    assert (fast.width_px, fast.height_px) == size
    assert (pdq_bits(fast) != pdq_bits(full)).sum() <= 8


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"%PDF-1.7 and so on", "a PDF document"),
        (b"PK\x03\x04 and so on", "a ZIP archive"),
        (b"8BPS\0\1 and so on", "a Photoshop document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "an MP4 video"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a QuickTime video"),
        (b"\x1aE\xdf\xa3 and so on", "a Matroska or WebM video"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI video"),
        (b"\0\0\1\xba and so on", "an MPEG video"),
    ],
)
def test_the_name_of_a_file_never_matters_and_a_wrong_type_is_named(start: bytes, words: str):
    answer = decode(start)
    assert isinstance(answer, Unscreenable)
    assert answer.reason is UnscreenableReason.UNKNOWN_FORMAT
    assert words in answer.detail
    assert "Baken decodes avif, bmp, gif, heic, jpeg, png, tiff, webp" in answer.detail


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_file_is_refused_with_its_own_reason(name: str):
    data, reason = REFUSED[name]
    answer = decode(data)
    assert isinstance(answer, Unscreenable), answer
    assert answer.reason is reason
    assert answer.detail


@pytest.mark.parametrize("name", HARMLESS)
def test_a_good_picture_in_bad_company_is_still_screened(name: str):
    picture = decoded(HARMLESS[name])
    shown = picture_files.rgb_of(picture_files.original(size=hostile_files.SMALL_PX)) @ LUMA_601
    assert picture.luma.shape == shown.shape
    assert np.abs(picture.luma - shown).mean() < 8


def test_a_file_over_the_size_limit_is_too_large():
    answer = decode(CASES["png_rgb"][0], limits=DecodeLimits(max_size_bytes=1000))
    assert isinstance(answer, Unscreenable)
    assert answer.reason is UnscreenableReason.TOO_LARGE


@pytest.mark.parametrize(
    "name", ["avif", "heic", "jpeg_baseline", "png_rgb", "gif", "webp_lossy", "bmp_24", "tiff_raw"]
)
def test_the_pixel_limit_holds_for_every_format_and_admits_its_own_value(name: str):
    data, rgb = CASES[name]
    pixels = rgb.shape[0] * rgb.shape[1]
    answer = decode(data, limits=DecodeLimits(max_pixels=pixels - 1))
    assert isinstance(answer, Unscreenable)
    assert answer.reason is UnscreenableReason.TOO_MANY_PIXELS
    assert isinstance(decode(data, limits=DecodeLimits(max_pixels=pixels)), Picture)


@pytest.mark.parametrize(
    "name",
    [*HARMLESS, *(name for name in REFUSED if any(word in name for word in ("bomb", "vast", "grid_of", "shared")))],
)
def test_a_bomb_costs_no_memory(name: str):
    data = HARMLESS.get(name) or REFUSED[name][0]
    assert peak_growth_bytes(data) < 32 << 20


@pytest.mark.parametrize(
    ("name", "options", "mode", "bytes_a_pixel"),
    [
        ("PNG", {"compress_level": 1}, "RGBA", 8),
        ("GIF", {}, "P", 8),
        ("JPEG", {"progressive": True, "subsampling": 0}, "CMYK", 9),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, "RGBA", 12),
        ("WEBP", {"lossless": True, "quality": 0, "method": 0}, "RGBA", 16),
        ("HEIC", {}, "RGBA", 12),
        ("AVIF", {"speed": 10, "subsampling": "4:4:4"}, "RGBA", 16),
    ],
)
def test_decoding_stays_within_the_stated_memory(name: str, options: dict[str, object], mode: str, bytes_a_pixel: int):
    side = 3600
    image = Image.new(mode, (side, side))
    bomb = heif_files.heic(image, quality=20) if name == "HEIC" else encoded(image, name, **options)
    assert peak_growth_bytes(bomb) < bytes_a_pixel * side * side + 2 * len(bomb) + (64 << 20)


def test_threads_give_what_one_thread_gives():
    names = list(CASES) * 2
    serial = {name: decoded(CASES[name][0]).luma for name in CASES}
    with ThreadPoolExecutor(8) as pool:
        for name, picture in zip(names, pool.map(lambda name: decoded(CASES[name][0]), names), strict=True):
            np.testing.assert_array_equal(picture.luma, serial[name])


STARTS = (
    b"\0\0\0\x18ftypheic",
    b"\0\0\0\x18ftypavif",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"RIFF\0\0\0\0WEBP",
    b"BM",
    b"II*\0",
    b"MM\0+",
    b"",
)


def check_answer(answer: Picture | Unscreenable) -> None:
    if isinstance(answer, Unscreenable):
        assert answer.detail
        return
    assert answer.luma.dtype == np.uint8
    assert answer.luma.flags.c_contiguous
    assert min(answer.luma.shape) >= 5
    assert answer.luma.shape == (answer.height_px, answer.width_px) or not answer.exact


def test_2000_mutated_files_are_pictures_or_reasons():
    rng = random.Random(20260101)  # noqa: S311 - test data, not secrets
    names = sorted(SMALL)
    limits = DecodeLimits(max_pixels=4_000_000)  # so that a mutated width costs milliseconds
    kinds = set()
    for round_number in range(2000):
        data = mutated(SMALL[names[round_number % len(names)]], rng, SMALL[rng.choice(names)])
        answer = decode(data, limits=limits)
        check_answer(answer)
        kinds.add(answer.reason if isinstance(answer, Unscreenable) else answer.format)
    assert {"avif", "heic", "jpeg", "png", "gif", "webp", "bmp", "tiff"} < kinds
    assert {UnscreenableReason.CORRUPT, UnscreenableReason.TRUNCATED, UnscreenableReason.TOO_MANY_PIXELS} < kinds


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_no_bytes_raise(start: bytes, rest: bytes):
    check_answer(decode(start + rest, limits=DecodeLimits(max_pixels=1_000_000)))


@pytest.mark.parametrize("length", range(0, 700, 7))
@pytest.mark.parametrize(
    "name",
    ["avif_alpha", "heic_tiles", "jpeg_exif_6", "gif_animated", "webp_lossy_alpha", "png_palette_alpha", "tiff_tiled"],
)
def test_a_file_cut_anywhere_in_its_header_is_never_a_picture(name: str, length: int):
    answer = decode(SMALL[name][:length])
    assert isinstance(answer, Unscreenable)
    assert answer.reason is not UnscreenableReason.TOO_MANY_PIXELS


def test_pillow_is_left_as_it_was():
    before = Image.MAX_IMAGE_PIXELS
    for data, _ in CASES.values():
        decode(data)
    assert before == Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_hidden_default_image_does_not_stand_in_for_what_browsers_show():
    shown, hidden = picture_files.rgb_of(ORIGINAL), picture_files.rgb_of(picture_files.original(9))
    picture = decoded(picture_files.png_with_hidden_default(hidden, shown, (0, 0)))
    assert (pdq_bits(picture) != truth(shown)[0]).sum() <= 2
    assert (pdq_bits(picture) != truth(hidden)[0]).sum() > FAR_AWAY_BITS
