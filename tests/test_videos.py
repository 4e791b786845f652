"""Films frame by frame: what is looked at, what is said of the rest, and that no file does harm."""

from __future__ import annotations

import random
import struct
import sys
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from baken import _native
from baken.images import Frame, Picture
from baken.images.sniffing import describe, picture_format, video_format
from baken.model import Unscreenable, UnscreenableReason
from baken.videos import DEFAULT_VIDEO_LIMITS, Film, VideoLimits, opened_video, opening
from baken.videos.sampling import KEY_FRAME_SECONDS, MAX_STEP_PACKETS, Numbering, chosen
from heif_files import heic
from video_files import FPS, KINDS, black, clip, picture, sound, timed_clip, turned

SHOWN = [(picture(1), 2.0), (picture(2), 2.0), (picture(3), 2.0)]
NEAR_BITS = 12
"""A re-encoded small picture is at most this far from itself."""


def looked_at(data: bytes, limits: VideoLimits = DEFAULT_VIDEO_LIMITS) -> tuple[list[Frame], str | None]:
    """The frames that were looked at, and what is said of the rest; fails when the video is refused."""
    with opened_video(BytesIO(data), limits) as opened:
        assert not isinstance(opened, Unscreenable), opened
        film = Film(opened, limits)
        return list(film.sample()), film.unseen


def refused(data: bytes, limits: VideoLimits = DEFAULT_VIDEO_LIMITS) -> Unscreenable:
    """Why a video is refused, or why not one of its frames can be seen."""
    with opened_video(BytesIO(data), limits) as opened:
        if isinstance(opened, Unscreenable):
            return opened
        [frame] = Film(opened, limits).sample()
        assert isinstance(frame.picture, Unscreenable)
        return frame.picture


def code(luma: np.ndarray) -> np.ndarray:
    return _native.pdq(np.ascontiguousarray(luma))[0][0]


def bits_from(frame: Frame, image: Image.Image) -> int:
    assert isinstance(frame.picture, Picture)
    return int(np.bitwise_count(code(frame.picture.luma) ^ code(np.asarray(image.convert("L")))).sum())


def times(frames: list[Frame]) -> list[float]:
    return [round(frame.time_seconds or 0.0, 2) for frame in frames]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_video_is_told_by_its_content_and_shows_its_pictures(kind: str):
    data = clip(SHOWN, kind)
    assert video_format(data) == KINDS[kind][2]
    assert picture_format(data) is None
    frames, unseen = looked_at(data)
    assert unseen is None
    assert max(np.diff(times(frames))) <= 1.3
    for frame in frames:
        at = min(2, int((frame.time_seconds or 0.0) // 2))
        near = min(bits_from(frame, image) for image, _ in SHOWN[max(0, at - 1) : at + 1])
        assert near <= NEAR_BITS
        assert frame.number == pytest.approx((frame.time_seconds or 0.0) * FPS, abs=1)
    found = {min(range(3), key=lambda at: bits_from(frame, SHOWN[at][0])) for frame in frames}
    assert found == {0, 1, 2}


def test_heic_and_avif_are_no_videos_although_their_boxes_are():
    still = heic(picture(1))
    assert video_format(still) is None
    assert picture_format(still) == "heic"
    assert video_format(b"\0\0\0\x1cftypavis\0\0\0\0avisavif") is None
    assert video_format(b"\0\0\0\x1cftypcrx \0\0\0\0crx isom") is None


def test_a_film_of_an_old_camera_and_a_transport_stream_with_times_are_videos():
    assert video_format(b"\0\0\0\x08wide\0\0\0\0mdat") == "mp4"
    packet = b"\0\0\0\0\x47" + bytes(187)
    assert video_format(packet * 3) == "mpegts"
    assert "transport" in describe(packet * 3)
    assert video_format(b"\x47" + bytes(600)) is None


def test_without_the_extra_a_video_is_refused_and_the_extra_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(opening, "find_spec", lambda _: None)
    why = refused(clip(SHOWN[:1]))
    assert why.reason is UnscreenableReason.UNKNOWN_FORMAT
    assert "an MP4 video" in why.detail
    assert "pip install 'baken[video]'" in why.detail


def test_pyav_is_imported_only_when_a_video_comes():
    import subprocess  # noqa: PLC0415 - for this test alone

    code = "import sys, baken.films, baken.assemble; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_picture_that_is_shown_between_two_steps_is_seen_when_the_encoder_marks_the_cut():
    data = clip([(picture(1), 2.3), (picture(5), 0.3), (picture(1), 2.4)], "webm", key_every=23)
    frames, unseen = looked_at(data)
    assert unseen is None
    assert min(bits_from(frame, picture(5)) for frame in frames) <= NEAR_BITS


def test_a_film_turned_by_its_metadata_is_seen_upright():
    upright, quarter = picture(1), picture(1).transpose(Image.Transpose.ROTATE_90)
    frames, _ = looked_at(turned(clip([(quarter, 1.0)]), 90))
    assert all(bits_from(frame, upright) <= NEAR_BITS for frame in frames)
    shown = frames[0].picture
    assert isinstance(shown, Picture)
    assert (shown.width_px, shown.height_px) == upright.size


def test_frames_of_uneven_times_are_seen_when_they_are_shown_for_long():
    slides = [(picture(1), 0.0), (picture(2), 0.4), (picture(3), 5.4), (picture(4), 5.6), (picture(5), 5.8)]
    data = timed_clip([(image, Fraction(round(at * 10), 10)) for image, at in slides], options={"bf": "2"})
    frames, unseen = looked_at(data)
    assert min(bits_from(frame, picture(2)) for frame in frames) <= NEAR_BITS
    assert 0.4 in times(frames)
    assert unseen is not None  # nothing was shown between 0.4 and 5.4 s, as far as the file says


def test_a_black_beginning_is_followed_to_what_comes_after():
    frames, unseen = looked_at(clip([(black(), 3.0), (picture(4), 1.0)]))
    assert unseen is None
    assert bits_from(frames[-1], picture(4)) <= NEAR_BITS


def test_what_follows_the_longest_film_that_is_looked_at_is_said():
    frames, unseen = looked_at(clip(SHOWN), replace(DEFAULT_VIDEO_LIMITS, max_seconds=2.5))
    assert max(times(frames)) <= 2.5
    assert unseen is not None
    assert "at most 2.5 s" in unseen


@pytest.mark.parametrize("limit", ["max_processor_seconds", "max_elapsed_seconds"])
def test_a_film_that_takes_too_long_is_left_and_that_is_said(limit: str):
    frames, unseen = looked_at(clip(SHOWN), replace(DEFAULT_VIDEO_LIMITS, **{limit: 0.0}))
    assert len(frames) == 1
    [frame] = frames
    assert isinstance(frame.picture, Unscreenable)
    assert "it took 0 s" in frame.picture.detail
    assert unseen is not None


def test_a_film_cut_off_after_its_index_is_partly_seen():
    data = clip(SHOWN, "mkv")
    frames, unseen = looked_at(data[: len(data) // 3])
    assert 0 < len(frames) < 6
    assert unseen is not None
    assert "claims 6.0 s" in unseen


def test_a_film_whose_second_half_cannot_be_decoded_is_partly_seen():
    data = bytearray(clip(SHOWN, "mkv"))
    for at in range(len(data) // 2, len(data) - 2000, 7):
        data[at] ^= 0x55
    _, unseen = looked_at(bytes(data))
    assert unseen is not None
    whole = bytearray(clip(SHOWN, "mp4"))  # here the index still says when frames are shown
    start, stop = whole.index(b"mdat"), whole.index(b"moov")
    whole[(start + stop) // 2 : stop - 8] = bytes(stop - 8 - (start + stop) // 2)
    frames, unseen = looked_at(bytes(whole))
    assert frames
    assert unseen is not None
    assert "to 5.9 s" in unseen


def test_an_mp4_without_its_index_is_refused():
    data = clip(SHOWN)
    why = refused(data[: len(data) // 2])
    assert why.reason is UnscreenableReason.CORRUPT
    assert why.detail == "the mp4 video cannot be opened: Invalid data found when processing input"


def test_a_film_that_claims_ten_hours_is_partly_seen_and_costs_what_it_holds():
    data = bytearray(clip(SHOWN, "mkv"))
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", 10 * 3600 * 1000.0)
    frames, unseen = looked_at(bytes(data))
    assert len(frames) == 7
    assert unseen is not None
    assert "claims 36000.0 s" in unseen


def test_huge_frames_are_refused_before_one_is_decoded():
    why = refused(clip([(black((4112, 2320)), 0.1)], "mov"))
    assert why.reason is UnscreenableReason.TOO_MANY_PIXELS
    assert "9437184 pixels" in why.detail


def test_frames_that_turn_out_larger_than_the_limit_are_not_decoded():
    why = refused(clip(SHOWN, "ts"), replace(DEFAULT_VIDEO_LIMITS, max_pixels=320 * 239))
    assert why.reason in {UnscreenableReason.TOO_MANY_PIXELS, UnscreenableReason.CORRUPT}


def test_sound_alone_is_no_film():
    why = refused(sound())
    assert why.reason is UnscreenableReason.UNKNOWN_FORMAT
    assert "no track with moving pictures" in why.detail


@pytest.mark.parametrize("start", [b"", b"\x1aE\xdf\xa3", b"\0\0\0\x18ftypisom", b"RIFF\0\0\0\0AVI "])
def test_a_file_without_content_is_refused(start: bytes):
    assert refused(start).reason in {UnscreenableReason.UNKNOWN_FORMAT, UnscreenableReason.CORRUPT}


def test_a_film_of_two_tracks_says_that_one_was_not_looked_at():
    import av  # noqa: PLC0415 - for this test alone

    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        streams = [container.add_stream("mpeg4", rate=FPS) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for stream, seed in zip(streams, (1, 2), strict=True):
            container.mux(stream.encode(av.VideoFrame.from_image(picture(seed))))
            container.mux(stream.encode(None))
    _, unseen = looked_at(file.getvalue())
    assert unseen is not None
    assert "1 more video track" in unseen


def test_a_playlist_is_no_video_and_a_film_that_names_another_file_does_not_get_it(tmp_path: Path):
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n"
    assert video_format(playlist) is None
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(clip(SHOWN[:1]))
    data = clip(SHOWN[:1], "mov")
    # A data reference to a file beside it ("alis" or "url "), where every normal film says that it holds itself.
    at = data.index(b"url \0\0\0\x01")
    elsewhere = data[: at + 4] + b"\0\0\0\0" + data[at + 8 :]
    frames, _ = looked_at(elsewhere)
    assert all(bits_from(frame, picture(1)) <= NEAR_BITS for frame in frames if isinstance(frame.picture, Picture))


def test_damaged_videos_neither_raise_nor_end_the_process():
    rng = random.Random(5)  # noqa: S311 - mutations, not secrets
    small = [(picture(1, (64, 48)), 0.4), (picture(2, (64, 48)), 0.4)]
    originals = [clip(small, kind) for kind in ("mp4", "webm", "avi", "ts", "mpg", "mov")]
    limits = replace(DEFAULT_VIDEO_LIMITS, max_pixels=1_000_000, threads=1)
    for _ in range(240):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.choice((1, 3, 30))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        with opened_video(BytesIO(bytes(data)), limits) as opened:
            if not isinstance(opened, Unscreenable):
                film = Film(opened, limits)
                assert list(film.sample())
                assert film.unseen is None or film.unseen.startswith("not looked at: ")


class _Packet:
    def __init__(self, *, is_key: bool) -> None:
        self.size, self.is_keyframe, self.is_discard = 10, is_key, False


@given(st.lists(st.tuples(st.floats(0.001, 0.4), st.booleans()), min_size=1, max_size=300))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_moment_is_a_step_and_a_frame_from_one_that_is_looked_at(steps: list[tuple[float, bool]]):
    at, packets = 0.0, []
    for number, (apart, is_key) in enumerate(steps):
        packets.append((_Packet(is_key=is_key or number == 0), at))
        at += apart
    fed = list(chosen(packets, 1.0))
    wanted = [each.seconds for each in fed if each.is_wanted]
    assert wanted[0] == 0.0
    assert wanted[-1] == packets[-1][1]
    assert max(np.diff(wanted), default=0.0) <= 1.0 + 0.4
    assert [each.seconds for each in fed] == sorted(each.seconds for each in fed)
    # Whatever a wanted frame is built on is decoded: everything back to its key frame.
    places = {id(packet): place for place, (packet, _) in enumerate(packets)}
    decoded = {places[id(each.packet)] for each in fed}
    for each in fed:
        place = places[id(each.packet)]
        while not packets[place][0].is_keyframe:
            place -= 1
            assert place in decoded


def test_close_key_frames_are_all_that_is_decoded_of_a_film():
    packets = [(_Packet(is_key=number % 10 == 0), number / 30) for number in range(300)]
    fed = list(chosen(packets, 1.0))
    assert all(each.packet.is_keyframe for each in fed[:-10])
    assert np.diff([each.seconds for each in fed[:-10]]).min() >= KEY_FRAME_SECONDS


def test_a_film_whose_clock_stands_or_goes_back_is_looked_at_all_the_same():
    still = [(_Packet(is_key=number == 0), 0.0) for number in range(1000)]
    assert sum(each.is_wanted for each in chosen(still, 1.0)) >= 1000 // (MAX_STEP_PACKETS + 1)
    again = [(_Packet(is_key=number == 0), number % 100 / 10) for number in range(300)]
    assert sum(each.is_wanted for each in chosen(again, 1.0)) >= 28


def test_frames_are_numbered_as_they_are_shown_whatever_their_order_in_the_file():
    numbering, order = Numbering(), [0, 4, 2, 1, 3, 8, 6, 5, 7]
    for at in order:
        numbering.add(at / 25)
    assert [numbering.number_of(at / 25) for at in range(9)] == list(range(9))
    long = Numbering()
    for at in range(20_000):
        long.add(at / 25)
    assert long.number_of(19_999 / 25) == 19_999
