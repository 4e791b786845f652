"""Screening, fingerprinting and the exit statuses of the command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from baken import cli_common, cli_operate, fingerprint
from baken.errors import BakenError, NotReadyError, UsageError
from baken.model import Finding
from baken.samples import draw
from baken.samples_files import altered_copies, encoded, truncated_jpeg
from baken.store import Store
from command_line import Command, initialised, process

SIZE_PX = (320, 240)

WHOLE = {
    "kind": "whole",
    "region": {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0, "tilt_degrees": 0.0},
    "frame_number": 0,
    "time_seconds": None,
    "is_over_black": False,
}


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_file: Path) -> Command:
    """The command on an initialised data folder with one banked picture."""
    command = initialised(capsys, tmp_path / "data", sqlite_file)
    command.ok("bank", "create", "known", "--purpose", "known_abuse")
    picture = tmp_path / "banked.png"
    picture.write_bytes(encoded(draw(1, SIZE_PX), "PNG"))
    command.ok("bank", "add", "known", picture)
    return command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a copy of the banked picture, another picture and broken files."""
    path = tmp_path / "in"
    path.mkdir()
    (path / "copy.jpg").write_bytes(encoded(draw(1, SIZE_PX), "JPEG", quality=40))
    (path / "other.jpg").write_bytes(encoded(draw(7, SIZE_PX), "JPEG"))
    (path / "cut.jpg").write_bytes(truncated_jpeg(draw(1, SIZE_PX)))
    (path / "empty.jpg").touch()
    return path


def test_what_few_commands_use_is_not_loaded_for_all_of_them():
    slow = ("httpx", "granian", "onnxruntime", "av")
    script = f"import sys; import baken.cli; print(*[name for name in {slow} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_screening_a_match_prints_a_table_and_a_summary_and_exits_10(baken: Command, folder: Path):
    ended = baken("screen", folder)
    assert ended.exit_code == 10
    table, summary = ended.out.splitlines()[:-1], ended.out.splitlines()[-1]
    copy = next(line for line in table if "copy.jpg" in line)
    found = r"matched +block +matched_known_abuse +known +\d+ bits +identity"
    assert re.fullmatch(rf".*copy.jpg +{found} +fingerprint +the whole item shows the whole banked picture *", copy)
    assert any("cut.jpg" in line and "truncated" in line for line in table)
    assert not any("other.jpg" in line for line in table)
    assert summary.startswith("4 files in ")
    assert summary.endswith("1 clear, 1 matched, 2 unscreenable")


def test_screening_without_a_match_exits_0_even_when_files_are_unscreenable(baken: Command, folder: Path):
    (folder / "copy.jpg").unlink()
    assert baken("screen", folder).exit_code == 0


def test_json_has_one_object_for_each_file_in_the_order_of_the_walk(baken: Command, folder: Path):
    ended = baken("screen", folder, "--json", "--ref-prefix", "album/")
    assert ended.exit_code == 10
    assert [Path(each["path"]).name for each in ended.json_lines] == ["copy.jpg", "cut.jpg", "empty.jpg", "other.jpg"]
    copy, cut, empty, other = ended.json_lines
    computed = fingerprint(folder / "copy.jpg", exact=False)
    assert computed.pdq is not None
    assert copy.pop("elapsed_ms") > 0
    distance_bits = copy["matches"][0].pop("distance_bits")
    assert isinstance(distance_bits, int)
    assert 0 <= distance_bits <= 31
    assert copy.pop("id").startswith("scr_")
    assert copy == {
        "path": str(folder / "copy.jpg"),
        "finding": "matched",
        "verdict": "block",
        "reason": "matched_known_abuse",
        "detail": None,
        "matches": [
            {
                "bank": "known",
                "purpose": "known_abuse",
                "verdict": "block",
                "entry_id": 1,
                "kind": "pdq",
                "transform": "identity",
                "stage": "fingerprint",
                "view": WHOLE,
                "entry_view": WHOLE,
                "similarity": None,
                "evidence": None,
                "frame_shares": None,
            }
        ],
        "suppressed": [],
        "match_count": 1,
        "truncated": False,
        "fingerprints": {
            "pdq": computed.pdq.hex(),
            "quality_percent": 100,
            "sha256": computed.sha256.hex(),
            "sha1": computed.sha1.hex(),
            "md5": computed.md5.hex(),
        },
        "item_ref": "album/copy.jpg",
    }
    assert (cut["finding"], cut["reason"], cut["fingerprints"]["pdq"]) == ("unscreenable", "truncated", None)
    assert (empty["finding"], empty["verdict"], empty["detail"]) == ("unscreenable", "hold", "the file has no bytes")
    assert (other["finding"], other["verdict"], other["reason"], other["matches"]) == ("clear", "allow", None, [])
    assert "4 files in" in ended.err


def test_an_unreadable_file_has_no_digests_in_json(baken: Command, tmp_path: Path):
    path = tmp_path / "gone" / "gone.jpg"
    path.parent.mkdir()
    path.symlink_to("nothing")
    (line,) = baken("screen", path.parent, "--json").json_lines
    assert line["reason"] == "unreadable"
    assert set(line["fingerprints"].values()) == {None}


def test_every_screening_is_recorded(baken: Command, folder: Path):
    ids = [each["id"] for each in baken("screen", folder, "--json").json_lines]
    with Store.open(f"sqlite:///{baken.data_dir.resolve() / 'baken.sqlite3'}") as store:
        assert [store.screening(screening_id).id for screening_id in ids] == ids
        assert sum(store.screening_counts().values()) == 4


def test_a_benign_entry_is_named_as_the_reason(baken: Command, tmp_path: Path, folder: Path):
    baken.ok("bank", "create", "fine", "--purpose", "benign")
    baken.ok("bank", "add", "fine", tmp_path / "banked.png")
    copy = baken("screen", folder / "copy.jpg", "--json").json_lines[0]
    assert (copy["finding"], copy["reason"]) == ("clear", "benign:fine/2")
    assert [match["bank"] for match in copy["suppressed"]] == ["known"]


def test_the_table_is_capped_and_says_how_many_more_there_are(baken: Command, tmp_path: Path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.jpg").touch()
    lines = baken("screen", folder).out.splitlines()
    assert sum(".jpg" in line for line in lines) == 50
    assert "and 10 more; `--json` prints every file" in lines


def test_a_skipped_path_is_named_and_counted(baken: Command, folder: Path):
    os.mkfifo(folder / "pipe")
    ended = baken("screen", folder)
    assert f"skipped {folder / 'pipe'}: special_file (not a regular file)" in ended.err
    assert "1 skipped (special_file)" in ended.out


def test_a_folder_that_cannot_be_listed_is_a_failure(baken: Command, folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "copy.jpg").unlink()
    shut = folder / "shut"
    shut.mkdir()
    real = os.scandir

    def scandir(path: str) -> object:  # tests may run as root, whom no mode keeps out
        if str(path) == str(shut):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    ended = baken("screen", folder)
    assert ended.exit_code == 1
    assert "1 skipped (unreadable_folder)" in ended.out


def test_a_name_cannot_write_to_the_terminal(baken: Command, tmp_path: Path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "\x1b[31mred\u202e[bold]x.jpg").touch()
    ended = baken("screen", folder)
    assert "\x1b" not in ended.out
    assert r"\x1b[31mred\u202e[bold]x.jpg" in ended.out


def test_fingerprints_are_the_exact_ones_of_the_library(baken: Command, folder: Path):
    (line,) = baken.ok("fingerprint", folder / "copy.jpg", "--json").json_lines
    computed = fingerprint(folder / "copy.jpg", exact=True)
    assert computed.pdq is not None
    assert line == {
        "path": str(folder / "copy.jpg"),
        "pdq": computed.pdq.hex(),
        "quality_percent": 100,
        "sha256": computed.sha256.hex(),
        "sha1": computed.sha1.hex(),
        "md5": computed.md5.hex(),
        "format": "jpeg",
        "width_px": SIZE_PX[0],
        "height_px": SIZE_PX[1],
        "unscreenable": None,
    }


def test_fingerprints_for_people_import_into_a_bank(baken: Command, folder: Path, tmp_path: Path):
    ended = baken.ok("fingerprint", folder)
    assert "# unscreenable: truncated" in ended.out
    path = tmp_path / "list.txt"
    path.write_text(ended.out)
    baken.ok("bank", "create", "more", "--purpose", "watch")
    baken.ok("bank", "import", "more", path, "--strict")
    matched = baken("screen", folder / "other.jpg", "--json").json_lines[0]["matches"]
    assert {match["bank"] for match in matched} == {"more"}


def test_fingerprinting_records_nothing_and_needs_no_database(capsys: pytest.CaptureFixture[str], folder: Path):
    command = Command(capsys, folder / "none")
    assert len(command.ok("fingerprint", folder, "--json").json_lines) == 4
    assert not command.data_dir.exists()


def test_the_data_folder_may_stand_before_after_or_in_the_environment(
    baken: Command, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    elsewhere = Command(capsys, folder / "none")
    assert elsewhere("bank", "list").exit_code == 1
    assert elsewhere("bank", "list", "--data-dir", baken.data_dir).exit_code == 0
    monkeypatch.setenv("BAKEN_DATA_DIR", str(baken.data_dir))
    with process("bank", "list", "--json") as listing:
        assert '"known"' in listing.communicate()[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["screen"],
        ["screen", "/no/such/path"],
        ["screen", ".", "--processes", "-1"],
        ["bank", "create", "x"],
        ["bank", "create", "x", "--purpose", "evil"],
        ["bank", "create", "no spaces", "--purpose", "watch"],
        ["bank", "create", "own", "--purpose", "own_photo", "--verdict", "block"],
        ["bank", "create", "wide", "--purpose", "watch", "--radius-bits", "65"],
        ["bank", "pause", "known"],
        ["key", "create", "nobody"],
        ["nonsense"],
        ["screen", ".", "--nonsense"],
    ],
)
def test_wrong_use_exits_2_and_says_what_is_wrong(baken: Command, arguments: list[str]):
    ended = baken(*arguments)
    assert ended.exit_code == 2
    assert ended.out == ""
    assert ended.err


def test_a_wrong_setting_exits_2_and_names_it(baken: Command, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BAKEN_MAX_PIXELS", "many")
    ended = baken("screen", folder)
    assert ended.exit_code == 2
    assert ended.err.startswith("error: the setting max_pixels from the variable BAKEN_MAX_PIXELS is 'many'")
    assert "\nhint: " in ended.err


def test_an_error_is_a_message_and_a_hint_on_stderr(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    ended = Command(capsys, tmp_path / "none")("bank", "list")
    assert (ended.exit_code, ended.out) == (1, "")
    first, second = ended.err.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("hint: ")
    assert "baken init" in ended.err


@pytest.mark.parametrize(
    ("raised", "exit_code"),
    [
        (UsageError("asked wrongly", hint="ask rightly"), 2),
        (NotReadyError("not now", hint="later"), 1),
        (BakenError("no", hint="none"), 1),
    ],
)
def test_every_error_has_its_exit_status(
    baken: Command, monkeypatch: pytest.MonkeyPatch, raised: BakenError, exit_code: int
):
    monkeypatch.setattr(cli_operate.assemble, "initialise", raising(raised))
    ended = baken("init")
    assert (ended.exit_code, ended.err) == (exit_code, f"error: {raised.message}\nhint: {raised.hint}\n")


def test_a_fault_of_ours_is_a_failure_with_its_trace(baken: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cli_operate.assemble, "initialise", raising(ZeroDivisionError("a fault")))
    ended = baken("init")
    assert ended.exit_code == 1
    assert "Traceback" in ended.err
    assert "error: this is a fault in Baken: ZeroDivisionError: a fault" in ended.err


def raising(error: Exception) -> object:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_ctrl_c_stops_with_a_summary_and_everything_told_is_recorded(baken: Command, tmp_path: Path):
    folder = tmp_path / "many"
    folder.mkdir()
    (tmp_path / "one.png").write_bytes(encoded(draw(7, (1024, 768)), "PNG"))
    for number in range(2_000):
        (folder / f"{number}.png").hardlink_to(tmp_path / "one.png")
    with process("--data-dir", baken.data_dir, "screen", folder, "--json") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        first = running.stdout.readline()
        running.send_signal(signal.SIGINT)
        # Not communicate(): it would lose the lines that readline() has read ahead.
        out, err = running.stdout.read(), running.stderr.read()
        running.wait(timeout=60)
    told = len((first + out).splitlines())
    assert running.returncode == 130
    assert 0 < told < 2_000
    assert f"{told} files in " in err.replace(",", "")
    assert "Traceback" not in err
    with Store.open(f"sqlite:///{baken.data_dir.resolve() / 'baken.sqlite3'}") as store:
        assert store.screening_counts()[Finding.CLEAR] == told


def test_a_reader_that_goes_away_ends_the_run_without_a_trace(baken: Command, tmp_path: Path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3_000):
        (folder / f"{number}.txt").write_text("x")
    with process("--data-dir", baken.data_dir, "screen", folder, "--json") as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr is not None
        err = running.stderr.read()
    assert running.returncode == 1
    assert "Traceback" not in err


def test_a_process_exits_as_the_command_did(baken: Command, folder: Path):
    def exit_code(*arguments: str | Path) -> int:
        with process("--data-dir", baken.data_dir, *arguments) as running:
            running.communicate()
        return running.returncode

    assert exit_code("screen", folder) == 10
    assert exit_code("screen", folder / "other.jpg") == 0
    assert exit_code("screen", folder / "none.jpg") == 2
    assert exit_code("bank", "show", "none") == 1


def test_the_whole_round_on_each_engine(
    bare_store_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("BAKEN_DATABASE_URL", bare_store_url)
    baken = Command(capsys, tmp_path / "data")
    baken.ok("init")
    baken.ok("init")
    baken.ok("bank", "create", "known", "--purpose", "known_abuse")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "0.png").write_bytes(encoded(draw(1, SIZE_PX), "PNG"))
    baken.ok("bank", "add", "known", folder)
    for name, suffix, data in altered_copies(draw(1, SIZE_PX)):
        (folder / f"{name}{suffix}").write_bytes(data)
    ended = baken("screen", folder, "--json")
    assert ended.exit_code == 10
    assert [each["finding"] for each in ended.json_lines] == ["matched"] * 10
    baken.ok("bank", "pause", "known", "--reason", "a wrong list")
    assert baken("screen", folder).exit_code == 0


def test_a_name_that_the_terminal_cannot_show_ends_no_run(
    baken: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    path = tmp_path / "caf\u00e9.jpg"
    path.touch()
    with process("--data-dir", baken.data_dir, "screen", path) as running:
        out, err = running.communicate()
    assert (running.returncode, err) == (0, "")
    assert r"caf\xe9.jpg" in out


def test_the_actor_is_the_user_or_its_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cli_common.getpass, "getuser", lambda: "alice")
    assert cli_common.actor() == "cli:alice"
    monkeypatch.setattr(cli_common.getpass, "getuser", raising(KeyError("uid not found")))
    assert cli_common.actor() == f"cli:uid-{os.getuid()}"


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """As in a terminal; a process that runs tests beside others may leave it to its parent."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_a_second_ctrl_c_interrupts_at_once():
    with cli_common.stopping() as stopper:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopper()
        assert stopper.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_help_stands_on_every_command_level():
    for arguments in ([], ["bank"], ["key"], ["screen"]):
        with process(*arguments, "--help") as running:
            out, _ = running.communicate()
        assert running.returncode == 0
        assert "Usage: baken" in out
