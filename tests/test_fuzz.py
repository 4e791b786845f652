"""A short seeded run of what `make fuzz` runs at length, and that its driver notices every kind of fault."""

from __future__ import annotations

import random

import pytest

from fuzz.corpus import file_number, seeds
from fuzz.driver import run
from fuzz.mutations import mutated, with_checksums

FORMATS = {"avif", "bmp", "gif", "heic", "jpeg", "png", "tiff", "webp"}
VIDEOS = {"avi", "matroska", "mp4", "mpeg", "mpegts"}
REASONS = {"corrupt", "truncated", "too_many_pixels", "unknown_format"}


def test_600_damaged_files_of_every_format_are_pictures_or_reasons():
    report = run(600, seed=20260101, jobs=1)
    assert report.faults == {}
    assert sum(report.outcomes.values()) == 600
    assert set(report.outcomes) > FORMATS | REASONS
    assert len(set(report.outcomes) & VIDEOS) >= 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [("crash", "crashed with status -6"), ("hang", "hangs"), ("raise", "raised Look"), ("memory", "took ")],
)
def test_the_driver_notices(fault: str, words: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAULT", fault)
    monkeypatch.setenv("PYTHONPATH", "tests")
    report = run(3, jobs=1, target="fuzz_faults:fault", limit_seconds=5)
    assert list(report.faults) == [1]
    assert report.faults[1].startswith(words)
    assert report.outcomes["fine"] == 2


def test_a_file_is_the_same_for_the_same_number_and_seed():
    assert file_number(17, 3, seeds()) == file_number(17, 3, seeds())
    assert file_number(17, 3, seeds()) != file_number(17, 4, seeds())


def test_every_kind_of_file_is_damaged():
    names = {name for name, _ in seeds()}
    assert {
        "film.gif",
        "film.avif",
        "heic_tiles",
        "bitstream_bomb.heic",
        "png_rgba",
        "video.webm",
        "looping_directories.tif",
    } < names


def test_damage_changes_files_and_mends_checksums():
    good = dict(seeds())["png_rgb"]
    assert with_checksums(good) == good
    broken = good[:30] + b"\xff" + good[31:]
    assert with_checksums(broken) == good
    rng = random.Random(1)  # noqa: S311 - test data, not secrets
    assert sum(mutated(good, rng, good) != good for _ in range(100)) > 80
