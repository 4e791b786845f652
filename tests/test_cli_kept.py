"""What `baken bank`, `baken check` and `baken init` say and do about views and keypoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from baken import assemble
from baken.samples import draw
from baken.samples_files import encoded
from baken.settings import load
from baken.store import Store
from command_line import Command, initialised


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_file: Path) -> Command:
    """The command on an initialised data folder."""
    return initialised(capsys, tmp_path / "data", sqlite_file)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures in a folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in (1, 2):
        (folder / f"{seed}.png").write_bytes(encoded(draw(seed, (400, 300)), "PNG"))
    return folder


def shown(baken: Command) -> dict[str, Any]:
    return dict(baken.ok("bank", "show", "known", "--json").json)


def make_bank(baken: Command, *options: str) -> None:
    baken.ok("bank", "create", "known", "--purpose", "known_abuse", *options)


def findings(baken: Command) -> dict[str, str]:
    return {each["id"]: each["message"] + each["hint"] for each in baken("check", "--json").json}


def test_a_bank_keeps_full_views_and_no_keypoints_unless_told_otherwise(baken: Command, pictures: Path):
    made = baken.ok("bank", "create", "known", "--purpose", "known_abuse")
    baken.ok("bank", "add", "known", pictures)

    said = shown(baken)

    assert made.out.rstrip().endswith("keeps full views")
    assert (said["view_set"], said["keeps_keypoints"]) == ("full", False)
    assert said["kept_counts"]["views"] == 2
    assert said["kept_counts"]["keypoints"] == 0
    assert all(entry["view_count"] > 0 and not entry["has_keypoints"] for entry in said["entries"])
    assert not (baken.data_dir / "feature.key").exists()


def test_keypoints_are_kept_where_that_is_said_and_deleted_where_it_is_taken_back(baken: Command, pictures: Path):
    make_bank(baken, "--keep-keypoints", "--views", "crops")
    baken.ok("bank", "add", "known", pictures)
    assert shown(baken)["kept_counts"]["keypoints"] == 2
    text = baken.ok("bank", "show", "known").out
    assert "crops views and keypoints" in text
    assert "entries with keypoints" in text

    refused = baken("bank", "set", "known", "--no-keep-keypoints")
    assert (refused.exit_code, shown(baken)["kept_counts"]["keypoints"]) == (2, 2)
    done = baken.ok("bank", "set", "known", "--no-keep-keypoints", "--yes")

    assert "keypoints of 2 entries deleted" in done.out
    assert shown(baken)["kept_counts"]["keypoints"] == 0
    assert shown(baken)["kept_counts"]["views"] == 2


def test_a_bank_without_keypoints_stops_keeping_them_without_a_question(baken: Command):
    make_bank(baken)

    assert "deleted" not in baken.ok("bank", "set", "known", "--no-keep-keypoints").out


def test_adding_again_says_what_was_completed(baken: Command, pictures: Path):
    make_bank(baken)
    first = baken.ok("bank", "add", "known", pictures / "1.png", "--views", "none")
    second = baken.ok("bank", "add", "known", pictures)
    third = baken.ok("bank", "add", "known", pictures)

    assert first.out == "1 entries added to known\n"
    assert second.out == "1 entries added to known, 1 that were there completed\n"
    assert third.out == "0 entries added to known, 2 were there already\n"


def test_a_view_set_is_for_what_is_added_from_now_on(baken: Command, pictures: Path):
    make_bank(baken, "--views", "none")
    baken.ok("bank", "add", "known", pictures / "1.png")
    assert "keeps full views" in baken.ok("bank", "set", "known", "--views", "full").out
    baken.ok("bank", "add", "known", pictures / "2.png")

    assert [entry["view_count"] > 0 for entry in shown(baken)["entries"]] == [False, True]


def test_the_list_says_what_banks_keep(baken: Command):
    make_bank(baken, "--views", "none", "--keep-keypoints")

    assert "fingerprints only and keypoints" in baken.ok("bank", "list").out
    assert baken.ok("bank", "list", "--json").json[0]["keeps_keypoints"] is True


def test_the_key_file_may_lie_elsewhere(
    baken: Command, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BAKEN_FEATURE_KEY_FILE", str(tmp_path / "keys" / "baken.key"))
    make_bank(baken, "--keep-keypoints")
    baken.ok("bank", "add", "known", pictures)

    assert (tmp_path / "keys" / "baken.key").exists()
    assert not (baken.data_dir / "feature.key").exists()


def test_sound_keypoints_are_no_finding(baken: Command, pictures: Path):
    make_bank(baken, "--keep-keypoints")
    baken.ok("bank", "add", "known", pictures)

    assert not {"BK-E007", "BK-W015", "BK-W016"} & findings(baken).keys()


@pytest.mark.parametrize(
    ("text", "words"), [(None, "no key file"), ("ab" * 32, "lacks"), ("no key", "no key")], ids=["none", "other", "bad"]
)
def test_keypoints_that_cannot_be_opened_are_found(baken: Command, pictures: Path, text: str | None, words: str):
    make_bank(baken, "--keep-keypoints")
    baken.ok("bank", "add", "known", pictures)
    key = baken.data_dir / "feature.key"
    key.unlink() if text is None else key.write_text(text)

    assert words in findings(baken)["BK-E007"]


def test_a_replaced_key_is_no_longer_needed_after_resealing(baken: Command, pictures: Path):
    make_bank(baken, "--keep-keypoints")
    baken.ok("bank", "add", "known", pictures)
    key = baken.data_dir / "feature.key"
    key.write_text("ab" * 32 + "\n" + key.read_text())

    assert baken.ok("bank", "reseal").out == "2 sealed again: keypoints of entries and second factors of people\n"

    key.write_text("ab" * 32)
    assert "BK-E007" not in findings(baken)


def test_damaged_keypoints_are_found(baken: Command, pictures: Path):
    make_bank(baken, "--keep-keypoints")
    baken.ok("bank", "add", "known", pictures)
    swap = "UPDATE entry_keypoints SET sealed = (SELECT sealed FROM entry_keypoints WHERE entry_id = 1)"
    with Store.open(load({}, data_dir=baken.data_dir).resolved_database_url) as store, store._database.write() as rows:
        rows.exec_driver_sql(swap)

    assert "sealed for another entry" in findings(baken)["BK-E007"]


def test_a_key_that_others_can_read_is_found(baken: Command, pictures: Path):
    make_bank(baken, "--keep-keypoints")
    baken.ok("bank", "add", "known", pictures)
    (baken.data_dir / "feature.key").chmod(0o644)

    assert "chmod" in findings(baken)["BK-W015"]


def test_keypoints_that_a_killed_process_left_are_found_and_deleted_by_init(
    baken: Command, pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    make_bank(baken, "--keep-keypoints")
    baken.ok("bank", "add", "known", pictures)
    with monkeypatch.context() as killed:
        killed.setattr("baken.store.banks.forget_unkept_keypoints", lambda _: 0)
        baken.ok("bank", "set", "known", "--no-keep-keypoints", "--yes")

    assert "2 entries" in findings(baken)["BK-W016"]
    baken.ok("init")
    assert "BK-W016" not in findings(baken)
    with assemble.open_existing(load({}, data_dir=baken.data_dir)) as opened:
        assert not opened.store.kept.has_keypoints()
