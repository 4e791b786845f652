"""`baken seen …`, `baken case …`, and what the bank commands say of the past."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest

from baken.samples import draw
from baken.samples_files import encoded
from command_line import Command, initialised


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_file: Path) -> Command:
    command = initialised(capsys, tmp_path / "data", sqlite_file)
    command.ok("bank", "create", "known", "--purpose", "known_abuse")
    return command


@pytest.fixture
def incoming(baken: Command, tmp_path: Path) -> Path:
    """Three pictures that were screened: two copies of one, and another."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encoded(draw(1), "JPEG", quality=90))
    (folder / "b.jpg").write_bytes(encoded(draw(1), "JPEG", quality=40))
    (folder / "c.jpg").write_bytes(encoded(draw(2), "JPEG", quality=90))
    baken.ok("screen", folder)
    return folder


def test_adding_a_picture_tells_what_was_seen_before(baken: Command, incoming: Path):
    added = baken.ok("bank", "add", "known", incoming / "a.jpg").out

    [case] = baken.ok("case", "list", "--json").json
    assert f"2 items seen before match (case {case['id']})" in added
    shown = baken.ok("case", "show", case["id"], "--json").json
    assert [item["item_ref"] for item in shown["items"]] == ["a.jpg", "b.jpg"]
    assert shown["item_count"] == 2
    assert case["id"] in baken.ok("case", "list").out
    assert "known/1, 0 bits" in baken.ok("case", "show", case["id"]).out


def test_importing_a_list_and_resuming_a_bank_tell_it_too(baken: Command, incoming: Path, tmp_path: Path):
    [line] = baken("screen", "--json", incoming / "c.jpg").json_lines[:1]
    fingerprints = tmp_path / "list.txt"
    fingerprints.write_text(f"pdq {line['fingerprints']['pdq']}\n")
    imported = baken.ok("bank", "import", "known", fingerprints).out
    assert "2 items seen before match" in imported  # it was screened twice

    baken.ok("bank", "pause", "known", "--reason", "test")
    baken.ok("screen", incoming / "c.jpg")
    assert "1 item seen before match" in baken.ok("bank", "resume", "known").out
    assert "seen before" not in baken.ok("bank", "resume", "known").out


@pytest.mark.usefixtures("incoming")
def test_what_is_remembered_is_counted_and_written_out(baken: Command):
    lines = baken.ok("seen", "export").json_lines
    assert [line["item_ref"] for line in lines] == ["a.jpg", "b.jpg", "c.jpg"]
    assert len({line["cluster_id"] for line in lines}) == 2
    rows = list(csv.DictReader(io.StringIO(baken.ok("seen", "export", "--format", "csv").out)))
    assert [row["sha256"] for row in rows] == [line["sha256"] for line in lines]

    stats = baken.ok("seen", "stats", "--json").json
    assert (stats["items"], stats["files"], stats["clusters"]) == (3, 3, 2)
    assert (stats["retention_days"], stats["unasked_changes"], stats["waiting_items"]) == (90, 0, 0)
    assert "index_size_bytes" in baken.ok("seen", "stats").out
    assert [each["items"] for each in baken.ok("seen", "clusters", "--json").json] == [2, 1]
    assert "first seen" in baken.ok("seen", "clusters").out


@pytest.mark.usefixtures("incoming")
def test_forgetting_asks_first_and_counts(baken: Command):
    refused = baken("seen", "forget", "--all")
    assert refused.exit_code == 2
    assert "--yes" in refused.err
    assert "1 items forgotten" in baken.ok("seen", "forget", "--item-ref", "a.jpg", "--yes").out
    assert "0 items forgotten" in baken.ok("seen", "forget", "--before", "2020-01-01", "--yes").out
    assert "2 items forgotten" in baken.ok("seen", "forget", "--all", "--yes").out
    assert baken.ok("seen", "export").out == ""


@pytest.mark.parametrize("options", [[], ["--all", "--item-ref", "x"], ["--before", "yesterday"]])
@pytest.mark.usefixtures("incoming")
def test_a_selection_that_makes_no_sense_forgets_nothing(baken: Command, options: list[str]):
    ended = baken("seen", "forget", "--yes", *options)
    assert ended.exit_code == 2
    assert "error: " in ended.err
    assert baken.ok("seen", "stats", "--json").json["items"] == 3
    assert len(baken.ok("seen", "export").json_lines) == 3


def test_an_index_that_cannot_be_used_does_not_fail_the_adding(baken: Command, incoming: Path):
    shutil.rmtree(baken.data_dir / "index" / "seen")
    (baken.data_dir / "index" / "seen").write_text("a file where the folder should be")
    ended = baken.ok("bank", "add", "known", incoming / "a.jpg")
    assert "1 entries added" in ended.out
    assert "could not be asked yet" in ended.err

    (baken.data_dir / "index" / "seen").unlink()
    assert "2 items seen before match" in baken.ok("bank", "resume", "known").out


def test_without_retention_nothing_is_remembered(baken: Command, incoming: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BAKEN_SEEN_RETENTION_DAYS", "0")
    baken.ok("screen", incoming)
    assert baken.ok("bank", "add", "known", incoming / "a.jpg").out.count("\n") == 1
    assert baken.ok("seen", "export").out == ""
    assert baken.ok("case", "list", "--json").json == []


def test_cases_are_listed_by_priority_with_their_points(baken: Command, incoming: Path):
    baken.ok("bank", "add", "known", incoming / "c.jpg")
    baken.ok("bank", "add", "known", incoming / "a.jpg")
    assert "2 cases were ranked" in baken.ok("case", "rank").out
    assert "0 cases were ranked" in baken.ok("case", "rank").out
    assert "2 cases were ranked" in baken.ok("case", "rank", "--all").out

    [first, second] = baken.ok("case", "list", "--sort", "priority", "--json").json

    assert [first["item_count"], second["item_count"]] == [2, 1]
    assert first["points"]["total"] > second["points"]["total"]
    behind = baken.ok("case", "list", "--sort", "priority", "--before-id", first["id"], "--json").json
    assert [case["id"] for case in behind] == [second["id"]]
    assert baken.ok("case", "list", "--state", "decided", "--json").json == []
    assert (
        baken.ok("case", "list", "--min-items", "2", "--opened-after", "2020-01-01", "--json").json[0]["id"]
        == first["id"]
    )
    assert "for known_abuse" in baken.ok("case", "show", first["id"]).out
    refused = baken("case", "list", "--opened-after", "soon")
    assert refused.exit_code == 2
    assert "--opened-after" in refused.err


def test_a_dry_run_of_weights_says_who_would_move(baken: Command, incoming: Path):
    baken.ok("bank", "add", "known", incoming / "c.jpg")
    baken.ok("bank", "create", "club", "--purpose", "own_photo")
    baken.ok("bank", "add", "club", incoming / "a.jpg")

    assert "known_abuse" in baken.ok("case", "weights").out
    assert baken.ok("case", "weights", "--json").json["per_day"] == 5
    told = baken.ok("case", "weights", "--dry-run", "own_photo=500").out
    run = baken.ok("case", "weights", "--dry-run", "own_photo=500", "--json").json

    assert "2 cases would change among the first 100 places, of 2 open cases" in told
    assert "purpose +440.0" in told
    assert [(change["place_before"], change["place_after"]) for change in run["changes"]] == [(2, 1), (1, 2)]
    assert "0 cases would change" in baken.ok("case", "weights", "--dry-run", "").out
    assert baken("case", "weights", "--dry-run", "harm=3").exit_code == 2
