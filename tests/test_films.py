"""Videos through the whole flow: banked, screened by command and API, matched by time, never quietly clear."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

import worker_jobs
from baken import assemble, banking, pipeline, settings
from baken.assemble import Baken
from baken.banking import NewPicture
from baken.films import FilmFingerprinter
from baken.fingerprints import Asked
from baken.images import DecodeLimits
from baken.model import Finding, ItemMeta, Match, Outcome, Provenance, Purpose, Screening, UnscreenableReason, Verdict
from baken.pipeline import Gate
from baken.samples_files import encoded
from baken.scan import Scanner, ScanOptions, Unremembered
from baken.scan_steps import Sources
from baken.videos import DEFAULT_VIDEO_LIMITS, VideoLimits
from baken.view_words import match_words
from baken.workers import Failure, FileFingerprinter, FileResult, without_picture
from baken.workers_kinds import FileWorkers, video_workers
from baken.workers_pool import Event, Isolation, WorkerPool
from command_line import Command
from video_files import black, clip, picture, sound

FILM = [(picture(seed), 1.5) for seed in (1, 2, 3, 4)]


@pytest.fixture
def baken(tmp_path: Path) -> Iterator[Baken]:
    """An initialised Baken with one empty bank."""
    with assemble.initialise(settings.load({}, data_dir=tmp_path / "data")) as opened:
        opened.store.create_bank("known", Purpose.KNOWN_ABUSE, radius_bits=31, verdict=Verdict.BLOCK, actor="test")
        yield opened


def bank(baken: Baken, data: bytes) -> int:
    added = banking.add_picture(
        baken.store,
        baken.gate.known,
        "known",
        NewPicture(data),
        Provenance("test", "test"),
        actor="test",
        fingerprinter=FileFingerprinter(),
        decoding=baken.workers,
        keeping=baken.keeping,
    )
    return added.ids[0]


def screen(baken: Baken, data: bytes) -> Screening:
    return pipeline.screen(data, ItemMeta(), baken.gate, baken.store)


def only_match(screening: Screening) -> Match:
    [match] = screening.outcome.matches
    return match


def spooled(data: bytes) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the test
    file.write(data)
    file.flush()
    return file


def test_a_banked_still_is_found_in_a_clip_and_the_match_says_when(baken: Baken):
    entry_id = bank(baken, encoded(picture(3), "PNG"))
    screening = screen(baken, clip([(black(), 2.0), *FILM]))
    match = only_match(screening)
    assert match.entry_id == entry_id
    assert 5.0 <= (match.view.frame.time_seconds or 0.0) <= 6.6
    assert match.view.frame.number == pytest.approx(10 * (match.view.frame.time_seconds or 0.0), abs=1)
    assert screening.outcome.verdict is Verdict.BLOCK
    assert f"frame {match.view.frame.number} at" in match_words(match)
    shares = match.frame_shares
    assert shares is not None
    assert (shares.item_matched, shares.entry_matched, shares.entry_count) == (1, 1, 1)
    assert 4 <= shares.item_count <= 6
    assert match_words(match).endswith(f"1 of {shares.item_count} frames of the item show it")
    kept = only_match(baken.store.screening(screening.id))
    assert (kept.view, kept.frame_shares) == (match.view, shares)


def test_a_banked_clip_is_found_when_it_is_encoded_again_cut_and_put_behind_something(baken: Baken):
    entry_id = bank(baken, clip(FILM))
    match = only_match(screen(baken, clip([(picture(9), 2.0), *FILM[1:3]], "webm")))
    assert match.entry_id == entry_id
    shares = match.frame_shares
    assert shares is not None
    assert 1 <= shares.item_matched < shares.item_count
    assert 40 <= shares.entry_percent <= 75  # two of four scenes
    assert "of the banked" in match_words(match) or "the whole banked" in match_words(match)


def test_the_frames_of_a_film_are_asked_where_views_are_not(baken: Baken):
    bank(baken, encoded(picture(4), "PNG"))
    plain = replace(baken.gate, uses_views=False, uses_check=False)
    screening = pipeline.screen(clip(FILM), ItemMeta(), plain, baken.store)
    assert screening.outcome.verdict is Verdict.BLOCK


def test_a_clip_that_shows_nothing_known_is_clear_and_a_black_one_low_quality(baken: Baken):
    bank(baken, clip(FILM))
    assert screen(baken, clip([(picture(8), 2.0)])).outcome.finding is Finding.CLEAR
    dark = screen(baken, clip([(black(), 2.0)])).outcome
    assert (dark.finding, dark.reason) == (Finding.UNSCREENABLE, "low_quality")


def test_a_clip_that_is_seen_in_part_is_held_and_never_clear(baken: Baken):
    whole = clip(FILM, "mkv")
    outcome = screen(baken, whole[: len(whole) // 2]).outcome
    assert (outcome.finding, outcome.verdict, outcome.reason) == (Finding.UNSCREENABLE, Verdict.HOLD, "partly_seen")
    bank(baken, encoded(picture(1), "PNG"))
    assert screen(baken, whole[: len(whole) // 2]).outcome.verdict is Verdict.BLOCK


def test_what_is_no_film_is_held_and_its_bytes_may_still_match(baken: Baken):
    outcome = screen(baken, sound()).outcome
    assert (outcome.finding, outcome.verdict, outcome.reason) == (Finding.UNSCREENABLE, Verdict.HOLD, "unknown_format")
    bank(baken, sound())
    assert screen(baken, sound()).outcome.verdict is Verdict.BLOCK


def test_a_video_over_the_size_limit_is_not_decoded_and_has_its_digests():
    data = clip(FILM[:1])
    computed = FilmFingerprinter(VideoLimits(max_size_bytes=1024))(BytesIO(data))
    assert computed.unscreenable is not None
    assert computed.unscreenable.reason is UnscreenableReason.TOO_LARGE
    assert computed.sha256 == FilmFingerprinter()(BytesIO(data)).sha256


def test_no_more_different_frames_are_asked_than_the_limit_and_that_is_said():
    computed = FilmFingerprinter(VideoLimits(max_frames=2))(BytesIO(clip(FILM)))
    assert computed.unseen is not None
    assert computed.unseen.reason is UnscreenableReason.PARTLY_SEEN
    assert "at most 2 different frames" in computed.unseen.detail


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerPool]:
    """A process for videos, confined."""
    with video_workers(1, DEFAULT_VIDEO_LIMITS, is_required=True) as pool:
        yield pool


@pytest.mark.parametrize("kind", ["mp4", "hevc", "webm", "mpg"])
def test_a_confined_worker_sees_of_a_video_what_is_seen_here(workers: WorkerPool, kind: str):
    data = clip(FILM, kind)
    job = FileFingerprinter(asked=Asked(query_views=True, working_luma=True, max_frames=16))
    here = job(data).fingerprints
    assert here.pdq is not None
    assert here.query_views is not None
    with spooled(data) as file:
        answers = [workers.run(job, given) for given in (data, file)]
    for there in answers:
        assert isinstance(there, FileResult)
        assert (there.fingerprints.pdq, there.fingerprints.sha256) == (here.pdq, here.sha256)
        assert there.fingerprints.query_views is not None
        assert np.array_equal(there.fingerprints.query_views.codes, here.query_views.codes)


def test_a_file_is_handed_over_for_reading_alone_and_stays_where_it_was(workers: WorkerPool):
    with spooled(b"anything") as file:
        assert workers.run(worker_jobs.read_and_try_to_write, file) == (b"anything", "EBADF", False)
        assert workers.run(worker_jobs.read_and_try_to_write, file) == (b"anything", "EBADF", False)
        assert file.tell() == len(b"anything")


def test_videos_have_processes_and_limits_of_their_own():
    limits = VideoLimits(max_memory_bytes=600 << 20)
    video = clip([(picture(1), 0.5)])
    job = functools.partial(worker_jobs.pid_with_memory, size_bytes=400 << 20)
    with FileWorkers(1, videos=limits, isolation=Isolation(300 << 20)) as workers, spooled(video) as file:
        by_file, by_bytes, of_picture = (workers.run(job, item) for item in (file, video, encoded(picture(1), "PNG")))
        assert isinstance(by_file, int)
        assert by_file == by_bytes
        assert by_file in workers.pids()
        assert of_picture == Failure("the file needs more memory than the 314572800 bytes that decoding may take")
        assert (workers.counts[Event.STARTED], workers.counts[Event.OUT_OF_MEMORY]) == (2, 1)


def test_a_crash_in_the_decoder_is_unscreenable_and_the_digests_stay(workers: WorkerPool):
    data = clip(FILM[:1])
    with spooled(data) as file:
        crashed = workers.run(worker_jobs.crash_with_file, file)
        assert crashed == Failure("the decoding process ended by SIGSEGV")
        computed = without_picture(file, crashed)
    assert computed.unscreenable is not None
    assert computed.unscreenable.reason is UnscreenableReason.DECODER_FAILED
    assert computed.sha256 == hashlib.sha256(data).digest()


def test_a_video_larger_than_a_picture_may_be_is_screened_from_a_folder(baken: Baken, tmp_path: Path):
    bank(baken, encoded(picture(2), "PNG"))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(clip(FILM))
    (folder / "b.jpg").write_bytes(encoded(picture(2), "JPEG", quality=100))
    small = replace(baken.gate, limits=DecodeLimits(max_size_bytes=1024))
    found = {path: outcome.reason for path, outcome in scanned(folder, small).items()}
    assert found == {"a.mp4": "matched_known_abuse", "b.jpg": "too_large"}
    smaller = replace(small, videos=VideoLimits(max_size_bytes=1024))
    found = {path: outcome.reason for path, outcome in scanned(folder, smaller).items()}
    assert found == {"a.mp4": "too_large", "b.jpg": "too_large"}


def scanned(folder: Path, gate: Gate) -> dict[str, Outcome]:
    scanner = Scanner(Sources([str(folder)]), gate, Unremembered(None), ScanOptions(), on_skip=lambda _: None)
    return {Path(each.path).name: each.screening.outcome for each in scanner.run()}


def test_a_scan_takes_videos_among_pictures(baken: Baken, tmp_path: Path):
    bank(baken, encoded(picture(2), "PNG"))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(clip(FILM))
    (folder / "b.png").write_bytes(encoded(picture(2), "PNG"))
    (folder / "c.webm").write_bytes(clip([(picture(7), 1.0)], "webm"))
    found = {name: outcome.finding for name, outcome in scanned(folder, baken.gate).items()}
    assert found == {"a.mp4": Finding.MATCHED, "b.png": Finding.MATCHED, "c.webm": Finding.CLEAR}


def test_the_commands_take_videos_and_print_vpdq(baken: Baken, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    video = tmp_path / "clip.mp4"
    video.write_bytes(clip(FILM))
    command = Command(capsys, baken.settings.data_dir)
    added = command("bank", "add", "known", str(video))
    assert (added.exit_code, "1 entries added" in added.out) == (0, True)
    [line] = command("screen", str(video), "--json").json_lines
    assert line["matches"][0]["kind"] == "sha256"
    printed = command("vpdq", str(video))
    assert printed.exit_code == 0
    assert [each.split(",")[0] for each in printed.out.splitlines()] == ["0", "10", "20", "30", "40", "50"]
    assert command("vpdq", str(video), "--form", "json").json[0].endswith(",0.000")
    video.write_bytes(sound())
    assert "no track with moving pictures" in command("vpdq", str(video)).err
