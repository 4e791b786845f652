"""Animations and pages: what is sampled is what viewers show, spread over the file, and bounded whatever it claims."""

from __future__ import annotations

import random
import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import heif_files
import hostile_files
import picture_files
from baken.images import DecodeLimits, Frame, Frames, Picture, decode, read_frames
from baken.images.png import png_chunk
from baken.model import Unscreenable, UnscreenableReason
from baken.samples_files import encoded
from fuzz.mutations import mutated
from picture_checks import LUMA_601, distance_bits, peak_growth_bytes

SIZE_PX = (320, 240)
PICTURES = [picture_files.original(seed, SIZE_PX) for seed in range(20, 32)]


def frames_of(data: bytes, **options: object) -> list[Frame]:
    frames = read_frames(data, **options)
    assert isinstance(frames, Frames), frames
    return list(frames.sample())


def picture_of(frame: Frame) -> Picture:
    assert isinstance(frame.picture, Picture), frame.picture
    return frame.picture


def film(format_name: str, pictures: list[Image.Image] = PICTURES, **options: object) -> bytes:
    first, *others = pictures
    return encoded(first, format_name, save_all=True, append_images=others, **options)


FILMS = {
    "gif": lambda: film("GIF", [picture.quantize(200) for picture in PICTURES]),
    "png": lambda: film("PNG", compress_level=1),
    "webp": lambda: film("WEBP", method=0, quality=85),
    "tiff": lambda: film("TIFF"),
    "avif": lambda: film("AVIF", speed=10, quality=90),
    "heic": lambda: heif_files.file_of([heif_files.coded(picture, "heic") for picture in PICTURES], b"heic"),
}


@pytest.mark.parametrize("name", FILMS)
def test_every_frame_of_a_short_film_is_sampled_with_its_number(name: str):
    frames = frames_of(FILMS[name]())
    assert [frame.number for frame in frames] == list(range(12))
    for frame, shown in zip(frames, PICTURES, strict=True):
        picture = picture_of(frame)
        assert not frame.is_partial
        assert picture.format == name
        assert distance_bits(picture.luma, picture_files.rgb_of(shown)) <= 10


@pytest.mark.parametrize("name", FILMS)
def test_a_long_film_is_sampled_from_first_to_last(name: str):
    frames = read_frames(FILMS[name]())
    assert isinstance(frames, Frames)
    assert frames.count == 12
    assert frames.is_complete
    assert [frame.number for frame in frames.sample(4)] == [0, 4, 7, 11]
    assert [frame.number for frame in frames.sample(1)] == [0]


@pytest.mark.parametrize("name", ["JPEG", "BMP", "GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_still_has_one_frame(name: str):
    (frame,) = frames_of(encoded(PICTURES[0], name))
    assert frame.number == 0
    assert distance_bits(picture_of(frame).luma, picture_files.rgb_of(PICTURES[0])) <= 10


def test_frames_that_look_alike_are_given_once():
    pictures = [PICTURES[0], PICTURES[0], PICTURES[1], PICTURES[1], PICTURES[0]]
    brighter = [picture.point(lambda value, n=n: min(255, value + n)) for n, picture in enumerate(pictures)]
    assert [frame.number for frame in frames_of(film("TIFF", brighter))] == [0, 2]


# composition, against Pillow's


def moving_parts(mode: str, count: int = 14) -> list[Image.Image]:
    """Frames with holes and fading parts, so that what lies under them counts."""
    rng = np.random.default_rng(5)
    frames = []
    for number in range(count):
        alpha = np.zeros(SIZE_PX[::-1], dtype=np.uint8)
        left, top = rng.integers(0, 200), rng.integers(0, 140)
        alpha[top : top + 100, left : left + 120] = 255 if mode == "binary" else rng.integers(90, 256)
        rgb = picture_files.rgb_of(PICTURES[number % len(PICTURES)])
        frames.append(Image.fromarray(np.dstack([rgb, alpha])))
    return frames


def pillow_shows(data: bytes, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The composed frame as Pillow makes it, over white and over black."""
    image = Image.open(BytesIO(data))
    image.seek(number)
    rgba = image.convert("RGBA")
    pages = [Image.alpha_composite(Image.new("RGBA", rgba.size, page), rgba) for page in ("white", "black")]
    over_white, over_black = (np.asarray(page)[..., :3] @ LUMA_601 for page in pages)
    return over_white, over_black


COMPOSED = {
    **{f"gif_{n}": ("GIF", "binary", {"disposal": n, "optimize": False}) for n in (0, 1, 2, 3)},
    **{
        f"png_{disposal}_{blend}": ("PNG", "binary", {"disposal": disposal, "blend": blend, "compress_level": 1})
        for disposal in (0, 1, 2)
        for blend in (0, 1)
    },
    "webp": (
        "WEBP",
        "fading",
        {"lossless": True, "method": 0, "quality": 0, "allow_mixed": False, "minimize_size": True},
    ),
    "gif_mixed": ("GIF", "binary", {"disposal": [1, 2, 1, 3, 3, 1, 2, 1, 1, 3, 1, 2, 1, 1], "optimize": False}),
    "png_mixed": ("PNG", "binary", {"disposal": [0, 1, 2, 0, 0, 2, 1] * 2, "blend": [0, 1, 1, 1, 0, 1, 1] * 2}),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_frames_are_composed_as_pillow_composes_them(name: str):
    format_name, alpha, options = COMPOSED[name]
    data = film(format_name, moving_parts(alpha), **options)
    frames = frames_of(data)
    assert len(frames) >= 10
    for frame in frames:
        picture = picture_of(frame)
        over_white, over_black = pillow_shows(data, frame.number)
        assert np.abs(picture.luma - over_white).mean() < 1.5, frame.number
        assert picture.over_black is not None
        assert np.abs(picture.over_black - over_black).mean() < 1.5, frame.number


def test_fading_frames_of_a_png_are_blended_as_its_specification_says():
    """Pillow mixes opacities otherwise, so the truth here is `Image.alpha_composite`, which does it as browsers do."""
    frames = moving_parts("fading", 6)
    plain = picture_files.png(np.asarray(frames[0]), 8, 6)
    chunks = [plain[:33], png_chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    for number, frame in enumerate(frames):
        chunks.append(png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * number, *SIZE_PX, 0, 0, 1, 10, 0, 1)))
        body = picture_files.png(np.asarray(frame), 8, 6)[41:-16]
        chunks.append(
            png_chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + body) if number else png_chunk(b"IDAT", body)
        )
    shown, truths = Image.new("RGBA", SIZE_PX), []
    for frame in frames:
        shown = Image.alpha_composite(shown, frame)
        page = Image.alpha_composite(Image.new("RGBA", SIZE_PX, "white"), shown)
        truths.append(np.asarray(page)[..., :3] @ LUMA_601)
    sampled = frames_of(b"".join(chunks) + plain[-12:])
    assert len(sampled) >= 5
    for sample in sampled:
        assert np.abs(picture_of(sample).luma - truths[sample.number]).max() < 4


def test_a_frame_beyond_its_canvas_is_cut():
    data = hostile_files.gif_of([(0, 0, 64, 64), (32, 32, 64, 64), (200, 200, 8, 8)], (64, 64))
    frames = frames_of(data)
    assert [picture_of(frame).luma.shape for frame in frames] == [(64, 64)] * len(frames)
    assert len(np.unique(picture_of(frames[-1]).luma)) == 2


def test_a_film_with_more_pixels_than_allowed_is_sampled_to_its_end_in_part():
    parts = [picture.quantize(64) for picture in PICTURES]
    data = film("GIF", parts * 8)
    frames = frames_of(data, limits=DecodeLimits(max_frame_pixels=16 * SIZE_PX[0] * SIZE_PX[1]))
    assert frames[0].number == 0
    assert frames[-1].number > 80
    small = hostile_files.gif_of([(8 * (n % 8), 8 * (n // 8 % 8), 8, 8) for n in range(64)], (64, 64), count=6400)
    partly = frames_of(small, limits=DecodeLimits(max_frame_pixels=16 * 20_000 * 8))
    assert any(frame.is_partial for frame in partly)
    assert not partly[0].is_partial


def test_a_million_frames_cost_little_memory():
    million = hostile_files.gif_of([(n % 8, n % 7, 4, 4) for n in range(50)], (64, 64), count=1_000_000)
    frames = read_frames(million)
    assert isinstance(frames, Frames)
    assert not frames.is_complete
    assert frames.count == 100_000
    assert peak_growth_bytes(million, "list(images.read_frames(data).sample())") < 192 << 20


def test_pages_that_loop_are_read_once():
    looping = hostile_files.looping_tiff()
    frames = read_frames(looping)
    assert isinstance(frames, Frames)
    assert frames.count == 1
    deep = film("TIFF", [PICTURES[0].resize((16, 16))] * 3)
    (first,) = struct.unpack_from("<I", deep, 4)
    (entries,) = struct.unpack_from("<H", deep, first)
    second_at = first + 2 + 12 * entries
    (second,) = struct.unpack_from("<I", deep, second_at)
    (entries,) = struct.unpack_from("<H", deep, second)
    back = deep[: second + 2 + 12 * entries] + struct.pack("<I", first) + deep[second + 6 + 12 * entries :]
    frames = read_frames(back)
    assert isinstance(frames, Frames)
    assert frames.count == 2


def test_a_hundred_thousand_pages_are_not_walked():
    body = b"".join(struct.pack("<HI", 0, 8 + 6 * (n + 1)) for n in range(100_000))
    frames = read_frames(b"II*\0\x08\0\0\0" + body)
    assert isinstance(frames, Frames)
    assert frames.count == 4096
    assert not frames.is_complete
    assert all(isinstance(frame.picture, Unscreenable) for frame in frames.sample())


def test_pages_stop_when_their_pixels_are_used_up_and_say_so():
    data = film("TIFF")
    frames = frames_of(data, limits=DecodeLimits(max_frame_pixels=5 * SIZE_PX[0] * SIZE_PX[1]))
    *good, last = frames
    assert len(good) == 5
    assert isinstance(last.picture, Unscreenable)
    assert last.picture.reason is UnscreenableReason.TOO_MANY_PIXELS


def test_a_damaged_frame_is_told_and_the_others_are_shown():
    data = bytearray(film("TIFF"))
    frames = read_frames(bytes(data))
    assert isinstance(frames, Frames)
    png = film("PNG", compress_level=1)
    at = png.index(b"fdAT", len(png) // 2)
    broken = png[: at + 40] + bytes(2000) + png[at + 2040 :]
    sampled = frames_of(broken)
    assert [frame.number for frame in sampled] == list(range(12))
    assert sum(isinstance(frame.picture, Unscreenable) for frame in sampled) == 1


def test_1000_mutated_films_never_raise():
    rng = random.Random(99)  # noqa: S311 - test data, not secrets
    tiny = [picture.resize((48, 36)) for picture in PICTURES[:4]]
    files = [film("GIF", [picture.quantize(16) for picture in tiny]), film("TIFF", tiny), film("AVIF", tiny, speed=10)]
    files += [film("PNG", moving_small(), blend=1), film("WEBP", moving_small(), method=0)]
    files.append(heif_files.file_of([heif_files.coded(picture, "heic") for picture in tiny], b"heic"))
    limits = DecodeLimits(max_pixels=1_000_000, max_frame_pixels=2_000_000)
    outcomes = set()
    for number in range(1000):
        frames = read_frames(mutated(files[number % len(files)], rng, rng.choice(files)), limits=limits)
        for frame in frames.sample() if isinstance(frames, Frames) else ():
            outcomes.add(type(frame.picture))
        outcomes.add(type(frames))
    assert outcomes == {Frames, Picture, Unscreenable}


def moving_small() -> list[Image.Image]:
    return [frame.resize((48, 36)) for frame in moving_parts("fading", 4)]


# films of AVIF


def without_items(avif: bytes) -> bytes:
    """The same sequence with no single picture beside it."""
    at = avif.index(b"meta")
    return avif[:at] + b"free" + avif[at + 4 :]


def test_a_sequence_without_a_single_picture_shows_its_first_frame():
    picture = decode(without_items(FILMS["avif"]()))
    assert isinstance(picture, Picture)
    assert distance_bits(picture.luma, picture_files.rgb_of(PICTURES[0])) <= 10


def test_frames_too_far_from_where_decoding_can_start_are_told():
    limits = DecodeLimits(max_frame_pixels=12 * SIZE_PX[0] * SIZE_PX[1] // 2)
    frames = frames_of(FILMS["avif"](), limits=limits)
    assert isinstance(frames[0].picture, Picture)
    told = [frame.picture for frame in frames if isinstance(frame.picture, Unscreenable)]
    assert told
    assert {answer.reason for answer in told} == {UnscreenableReason.TOO_MANY_PIXELS}


@pytest.mark.parametrize(
    ("box", "at", "value", "reason"),
    [
        (b"stsz", 8, b"\xff\xff\xff\x00", UnscreenableReason.TRUNCATED),  # one size for all samples
        (b"stsd", 44, b"\xff\xff\xff\xff", UnscreenableReason.TOO_MANY_PIXELS),  # width and height
        (b"stco", 8, b"\xff\xff\xff\xf0", UnscreenableReason.TRUNCATED),
        (b"stsz", 12, b"\xff\xff\xff\xff", UnscreenableReason.TRUNCATED),  # four billion sizes
    ],
)
def test_tables_of_samples_that_lie_are_refused(box: bytes, at: int, value: bytes, reason: UnscreenableReason):
    data = bytearray(without_items(film("AVIF", [picture.resize((64, 48)) for picture in PICTURES], speed=10)))
    start = data.index(box) + 4
    data[start + at - 4 : start + at - 4 + len(value)] = value
    answer = decode(bytes(data))
    assert isinstance(answer, Unscreenable), answer
    assert answer.reason is reason


# transparent pictures on light and dark pages


def test_a_transparent_picture_is_shown_on_white_and_on_black():
    rgb, alpha = picture_files.rgb_of(PICTURES[0]), picture_files.fading_alpha(SIZE_PX)
    (frame,) = frames_of(encoded(Image.fromarray(np.dstack([rgb, alpha])), "PNG"))
    picture = picture_of(frame)
    assert len(picture.variants) == 2
    on_black = rgb @ LUMA_601 * (alpha / 255)
    assert np.abs(picture.variants[1] - on_black).mean() < 1
    assert np.abs(picture.variants[0] - (on_black + 255 - alpha)).mean() < 1


def test_an_opaque_alpha_channel_makes_no_second_picture():
    rgb = picture_files.rgb_of(PICTURES[0])
    alpha = np.full(SIZE_PX[::-1], 255, dtype=np.uint8)
    alpha[0, :50] = 0
    (frame,) = frames_of(encoded(Image.fromarray(np.dstack([rgb, alpha])), "PNG"))
    assert picture_of(frame).over_black is None


def test_a_hidden_picture_is_seen_on_the_page_it_was_made_for():
    """White strokes with holes: nothing to see on white, a drawing on black."""
    luma = np.asarray(PICTURES[0].convert("L"))
    white = np.full((*luma.shape, 3), 255, dtype=np.uint8)
    (frame,) = frames_of(encoded(Image.fromarray(np.dstack([white, luma])), "PNG"))
    picture = picture_of(frame)
    assert picture.luma.min() == 255
    np.testing.assert_array_equal(picture.variants[1], luma)


def test_a_default_image_that_is_no_frame_comes_after_the_last():
    shown, hidden = (picture_files.rgb_of(picture) for picture in PICTURES[:2])
    data = picture_files.png_with_hidden_default(hidden, shown, (0, 0))
    first, default = frames_of(data)
    assert distance_bits(picture_of(first).luma, shown) <= 2
    assert distance_bits(picture_of(default).luma, hidden) <= 2


def test_a_png_that_only_claims_to_be_animated_is_a_still():
    plain = encoded(PICTURES[0], "PNG", compress_level=1)
    (frame,) = frames_of(hostile_files.insert_chunks(plain, png_chunk(b"acTL", struct.pack(">II", 9, 0))))
    assert distance_bits(picture_of(frame).luma, picture_files.rgb_of(PICTURES[0])) <= 2
