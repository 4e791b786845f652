"""vPDQ against what the tools of its authors made of the same film, and the forms in which it is exchanged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from baken.errors import InvalidValueError
from baken.videos import DEFAULT_VIDEO_LIMITS, Film, opened_video
from baken.videos.opening import OpenedVideo
from baken.vpdq import VpdqFrame, from_line, to_json, to_text, vpdq_of

# Made with the package vpdq 0.2.5 and FFmpeg 5.1, of a film of four drawn pictures:
#   for f in vpdq.computeHash("clip.mp4"): print(f"{f.frame_number},{f.quality},{f.hex},{f.timestamp:.3f}")
GOLDEN = Path(__file__).parent / "vpdq"
NEAR_BITS = 4
"""Another version of FFmpeg rounds colours in other ways; vPDQ's own tests allow more."""


def ours() -> list[VpdqFrame]:
    with (GOLDEN / "clip.mp4").open("rb") as file, opened_video(file, DEFAULT_VIDEO_LIMITS) as opened:
        assert isinstance(opened, OpenedVideo)
        film = Film(opened, DEFAULT_VIDEO_LIMITS)
        frames = list(vpdq_of(film))
        assert film.unseen is None
        return frames


def test_the_frames_are_those_of_the_peer_and_their_hashes_lie_within_a_few_bits():
    theirs = [from_line(line) for line in (GOLDEN / "clip.txt").read_text().splitlines()]
    made = ours()
    assert [frame.number for frame in made] == [frame.number for frame in theirs]
    for mine, peer in zip(made, theirs, strict=True):
        assert mine.seconds == pytest.approx(peer.seconds, abs=0.002)
        assert mine.quality_percent == pytest.approx(peer.quality_percent, abs=2)
        codes = [np.frombuffer(each.pdq, np.uint8) for each in (mine, peer)]
        assert np.bitwise_count(codes[0] ^ codes[1]).sum() <= NEAR_BITS


def test_the_text_form_is_read_back_as_it_was_written():
    frames = [VpdqFrame(0, bytes(range(32)), 100, 0.0), VpdqFrame(30, bytes(32), 7, 1.0009)]
    lines = list(to_text(frames))
    assert lines[0] == f"0,100,{bytes(range(32)).hex()},0.000"
    assert from_line(lines[0] + "\n") == frames[0]
    assert lines[1].endswith(",1.001")


def test_the_json_form_is_what_python_threatexchange_reads():
    [text] = json.loads(to_json([VpdqFrame(30, bytes(range(32)), 99, 12.3456)]))
    assert text == f"{bytes(range(32)).hex()},99,12.346"


@pytest.mark.parametrize(
    "line",
    ["", "0,100", f"0,101,{'0' * 64},0.0", f"-1,100,{'0' * 64},0.0", f"0,100,{'0' * 63},0.0", f"0,1,{'0' * 64},nan"],
)
def test_a_line_that_is_not_vpdq_is_refused_and_quoted(line: str):
    with pytest.raises(InvalidValueError, match="is not vPDQ"):
        from_line(line)
