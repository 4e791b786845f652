"""`baken bank …`: banks made, filled, listed, paused, withdrawn and exported."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from rich.console import Console

from baken import cli_common
from baken import cli_output as output
from baken.banking import ImportSummary
from baken.listfiles import Layout, ListFormat
from baken.samples import draw, draw_flat
from baken.samples_files import encoded
from command_line import Command, initialised

SIZE_PX = (320, 240)
PDQ, MD5 = "ab" * 32, "34" * 16


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_file: Path) -> Command:
    """The command on an initialised data folder with an empty bank."""
    command = initialised(capsys, tmp_path / "data", sqlite_file)
    command.ok("bank", "create", "known", "--purpose", "known_abuse")
    return command


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A drawn picture."""
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(draw(1, SIZE_PX), "PNG"))
    return path


@pytest.mark.parametrize(
    ("purpose", "verdict"), [("known_abuse", "block"), ("own_photo", "hold"), ("benign", "allow"), ("watch", "allow")]
)
def test_a_bank_answers_as_its_purpose_says_unless_told_otherwise(baken: Command, purpose: str, verdict: str):
    baken.ok("bank", "create", "made", "--purpose", purpose, "--radius-bits", "20", "--reason", "a trial")
    shown = baken.ok("bank", "show", "made", "--json").json
    assert (shown["purpose"], shown["verdict"], shown["radius_bits"]) == (purpose, verdict, 20)
    assert (shown["state"], shown["reason"]) == ("active", "a trial")


def test_a_second_bank_of_a_name_is_refused(baken: Command):
    ended = baken("bank", "create", "known", "--purpose", "watch")
    assert ended.exit_code == 1
    assert "'known' exists already" in ended.err


def test_added_files_are_entries_with_label_source_and_note(baken: Command, picture: Path):
    ended = baken.ok("bank", "add", "known", picture, "--source", "drawn", "--note", "a test")
    assert ended.out == "1 entries added to known\n"
    (entry,) = baken.ok("bank", "show", "known", "--json").json["entries"]
    assert (entry["label"], entry["source"], entry["note"]) == ("picture.png", "drawn", "a test")
    assert entry["added_by"].startswith("cli:")
    assert [each["kind"] for each in entry["fingerprints"]] == ["pdq", "sha256", "sha1", "md5"]


def test_adding_says_which_files_gave_less(baken: Command, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "empty.jpg").touch()
    (folder / "flat.png").write_bytes(encoded(draw_flat(1), "PNG"))
    (folder / "text\x1b.jpg").write_text("text")
    ended = baken.ok("bank", "add", "known", folder)
    assert ended.out == (
        "2 entries added to known, 1 of them by digests only (low_quality), "
        "1 of them by digests only (unknown_format), 1 left out (empty)\n"
    )
    assert [line.split(": ")[0] for line in ended.err.splitlines()] == [
        str(folder / "empty.jpg"),
        str(folder / "flat.png"),
        str(folder / r"text\x1b.jpg"),
    ]


def test_an_import_says_how_the_list_was_read_and_which_lines_were_bad(baken: Command, tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text(f"id,hash,md5\n1,{PDQ},{MD5}\n2,,\n3,{PDQ},\n")
    ended = baken("bank", "import", "known", path, "--column", "pdq=hash", "--column", "md5=md5")
    assert ended.exit_code == 1
    assert ended.out == (
        "1 entries added to known, 1 were there already, 1 bad lines; "
        "read as csv with the columns pdq, md5 (not read: id)\n"
    )
    assert ended.err.startswith("line 3: '2,,': it holds the fingerprints none")
    entries = baken.ok("bank", "show", "known", "--json").json["entries"]
    assert [entry["source"] for entry in entries] == ["list.csv"]


def test_a_list_imported_again_is_there_already(baken: Command, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(f"pdq {PDQ}\nmd5 {MD5}\n")
    baken.ok("bank", "import", "known", path)

    ended = baken.ok("bank", "import", "known", path)

    assert ended.out == "0 entries added to known, 2 were there already, 0 bad lines; read as lines\n"


def test_a_picture_added_again_is_there_already(baken: Command, picture: Path):
    baken.ok("bank", "add", "known", picture)

    assert baken.ok("bank", "add", "known", picture).out == "0 entries added to known, 1 were there already\n"


def test_the_progress_of_an_import_goes_by_bytes_and_shows_entries():
    bar = output.import_progress("importing into known")
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    console.print(bar.get_renderable())
    layout = Layout(ListFormat.HEX)
    output.advance_import(bar, ImportSummary(layout, size_bytes=1_000, read_size_bytes=250, added=1_300, held_count=30))
    console.print(bar.get_renderable())

    before, after = shown.getvalue().splitlines()
    assert "0 %  0 entries" in before
    assert " 25 %  1,330 entries" in after


def test_an_import_of_bare_values_says_their_kind(baken: Command, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(f"{PDQ}\n")
    assert "read as bare pdq values" in baken.ok("bank", "import", "known", path).out
    assert "read as bare sha256 values" in baken.ok("bank", "import", "known", path, "--kind", "sha256").out
    assert "read as lines" in baken("bank", "import", "known", path, "--format", "lines").out


def test_a_strict_import_of_a_bad_list_adds_nothing(baken: Command, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(f"pdq {PDQ}\nmd5 zz\n")
    ended = baken("bank", "import", "known", path, "--strict", "--source", "x")
    assert (ended.exit_code, ended.out) == (2, "")
    assert "line 2" in ended.err
    assert baken.ok("bank", "show", "known", "--json").json["entry_counts"]["active"] == 0


@pytest.mark.parametrize("option", ["pdq", "=hash", "pdq=", "pdq=hash,--column,pdq=other"])
def test_a_column_map_that_maps_nothing_is_wrong_use(baken: Command, tmp_path: Path, option: str):
    (tmp_path / "list.csv").write_text(f"hash\n{PDQ}\n")
    ended = baken("bank", "import", "known", tmp_path / "list.csv", "--column", *option.split(","))
    assert ended.exit_code == 2
    assert "expected WHAT=NAME" in ended.err


def test_an_export_is_readable_for_its_owner_alone_and_overwrites_nothing(
    baken: Command, picture: Path, tmp_path: Path
):
    baken.ok("bank", "add", "known", picture)
    path = tmp_path / "list.csv"
    baken.ok("bank", "export", "known", "--output", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == baken.ok("bank", "export", "known").out
    before = path.read_text()
    ended = baken("bank", "export", "known", "--output", path)
    assert ended.exit_code == 1
    assert "exists already" in ended.err
    assert path.read_text() == before
    assert baken("bank", "export", "known", "--output", tmp_path / "none" / "list.csv").exit_code == 2
    assert sorted(each.name for each in tmp_path.glob("*list*")) == ["list.csv"]


def test_own_photos_are_exported_only_when_that_is_said(baken: Command, tmp_path: Path):
    baken.ok("bank", "create", "own", "--purpose", "own_photo")
    path = tmp_path / "own.csv"
    ended = baken("bank", "export", "own", "--output", path)
    assert ended.exit_code == 2
    assert "--yes-own-photo" in ended.err
    assert list(tmp_path.glob("*own*")) == []
    baken.ok("bank", "export", "own", "--output", path, "--yes-own-photo")
    assert path.exists()


def test_the_list_shows_every_bank_with_its_active_entries(baken: Command, picture: Path):
    baken.ok("bank", "add", "known", picture)
    baken.ok("bank", "create", "later", "--purpose", "watch")
    lines = [line.split() for line in baken.ok("bank", "list").out.splitlines()]
    assert ["known", "known_abuse", "active", "block", "31", "full", "views", "1"] in lines
    assert ["later", "watch", "active", "allow", "31", "full", "views", "0"] in lines
    assert [bank["name"] for bank in baken.ok("bank", "list", "--json").json] == ["known", "later"]


def test_a_bank_is_shown_with_a_page_of_its_entries(baken: Command, tmp_path: Path):
    (tmp_path / "list.txt").write_text("".join(f"{number:064x}\n" for number in range(30)))
    baken.ok("bank", "import", "known", tmp_path / "list.txt")
    assert len(baken.ok("bank", "show", "known", "--json").json["entries"]) == 20
    page = baken.ok("bank", "show", "known", "--json", "--entries", "3", "--after-id", "10").json["entries"]
    assert [entry["id"] for entry in page] == [11, 12, 13]
    out = baken.ok("bank", "show", "known", "--entries", "1").out
    assert "known_abuse" in out
    assert "list.txt" in out


def test_a_paused_bank_matches_nothing_until_it_is_resumed(baken: Command, picture: Path):
    baken.ok("bank", "add", "known", picture)
    baken.ok("bank", "pause", "known", "--reason", "a wrong list")
    assert baken("screen", picture).exit_code == 0
    assert baken.ok("bank", "show", "known", "--json").json["reason"] == "a wrong list"
    baken.ok("bank", "resume", "known")
    assert baken("screen", picture).exit_code == 10


def test_a_withdrawn_entry_matches_no_more_and_stays_on_record(baken: Command, picture: Path):
    baken.ok("bank", "add", "known", picture)
    ended = baken.ok("bank", "remove", "known", "1", "--reason", "by mistake", "--yes")
    assert ended.out == "1 entries of bank known withdrawn\n"
    assert baken("screen", picture).exit_code == 0
    (entry,) = baken.ok("bank", "show", "known", "--json").json["entries"]
    assert (entry["state"], entry["state_reason"]) == ("withdrawn", "by mistake")


def test_a_withdrawn_bank_matches_no_more_and_is_listed_on_request(baken: Command, picture: Path):
    baken.ok("bank", "add", "known", picture)
    baken.ok("bank", "remove", "known", "--reason", "contract over", "--yes")
    assert baken("screen", picture).exit_code == 0
    assert baken.ok("bank", "list", "--json").json == []
    assert [bank["state"] for bank in baken.ok("bank", "list", "--all", "--json").json] == ["withdrawn"]
    assert baken("bank", "resume", "known").exit_code == 1


def test_nothing_is_withdrawn_unasked(baken: Command, monkeypatch: pytest.MonkeyPatch):
    ended = baken("bank", "remove", "known", "--reason", "x")
    assert ended.exit_code == 2
    assert "--yes" in ended.err
    monkeypatch.setattr(cli_common.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(cli_common.typer, "confirm", refuse)
    assert baken("bank", "remove", "known", "--reason", "x").exit_code == 1
    assert baken.ok("bank", "show", "known", "--json").json["state"] == "active"


def refuse(question: str, *, abort: bool) -> None:
    assert abort
    assert question == "Withdraw bank known with all its entries, for good?"
    raise cli_common.typer.Abort


def test_entries_that_are_not_in_the_bank_are_refused(baken: Command):
    ended = baken("bank", "remove", "known", "77", "--reason", "x", "--yes")
    assert ended.exit_code == 1
    assert "has no entry 77" in ended.err
