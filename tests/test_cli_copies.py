"""Altered copies on the command line: said in words, drawn, and the same from worker processes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from altered_files import bordered, captioned, cropped, drawn, jpeg, png
from baken.workers import FILES_PER_WORKER
from command_line import Command, initialised

MIDDLE = (0.05, 0.05, 0.95, 0.95)


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_file: Path) -> Command:
    """The command on a data folder with three banked pictures and their keypoints."""
    command = initialised(capsys, tmp_path / "data", sqlite_file)
    command.ok("bank", "create", "known", "--purpose", "known_abuse", "--keep-keypoints")
    for seed in (101, 102, 103):
        (tmp_path / f"{seed}.png").write_bytes(png(drawn(seed)))
        command.ok("bank", "add", "known", tmp_path / f"{seed}.png")
    return command


def test_a_screening_says_which_part_shows_what_and_its_drawing_can_be_written(baken: Command, tmp_path: Path):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(jpeg(captioned(cropped(drawn(102), *MIDDLE))))
    said = " ".join(baken("screen", copy).out.split())
    assert "views the item without its caption (0 to 100 % across, 17 to 100 % down) shows a part of the banked" in said
    assert "checked: the same picture" in said

    [screening] = baken("screen", copy, "--json").json_lines
    [match] = screening["matches"]
    assert (match["stage"], match["view"]["kind"], match["evidence"]["is_same"]) == ("views", "caption_cut", True)

    drawing = baken.ok("overlay", screening["id"]).out
    assert ET.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own drawing
    file = tmp_path / "match.svg"
    assert "checked: the same picture" in baken.ok("overlay", screening["id"], "--output", file).out
    assert file.read_text() == drawing.rstrip("\n")


def test_a_drawing_that_cannot_be_made_or_written_is_an_error_that_says_why(baken: Command, tmp_path: Path):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(jpeg(drawn(102)))
    [screening] = baken("screen", copy, "--json").json_lines
    missing = baken("overlay", screening["id"], "--match", "1")
    assert (missing.exit_code, "lists 1 matches and none with number 1" in missing.err) == (1, True)
    unwritable = baken("overlay", screening["id"], "--output", tmp_path / "no folder" / "match.svg")
    assert (unwritable.exit_code, "cannot be written" in unwritable.err) == (2, True)
    assert baken("overlay", "scr_00").exit_code == 1


def test_worker_processes_find_what_this_process_finds(baken: Command, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    altered = [captioned, bordered, lambda image: cropped(image, *MIDDLE)]
    for number, alter in enumerate(altered * 3):
        (folder / f"{number}.jpg").write_bytes(jpeg(alter(drawn(101 + number // 3))))
    paths = sorted(folder.iterdir())
    assert len(paths) > FILES_PER_WORKER
    together = baken("screen", folder, "--processes", "2", "--json").json_lines
    apart = [line for path in paths for line in baken("screen", path, "--json").json_lines]
    assert [line["matches"] for line in together] == [line["matches"] for line in apart]
    assert [line["matches"][0]["entry_id"] for line in together] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert all(line["matches"][0]["evidence"]["is_same"] for line in together)
