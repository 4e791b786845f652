"""`baken index …`, and what `baken check` says of the index."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from baken import assemble, settings
from baken._native import IndexFolder
from baken.model import Fingerprint, FingerprintKind
from baken.store import Store
from command_line import Command, initialised

VALUE = bytes(range(32))


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_file: Path) -> Command:
    """The command on a data folder with one entry, and no index yet."""
    command = initialised(capsys, tmp_path / "data", sqlite_file)
    (tmp_path / "list.txt").write_text(VALUE.hex())
    command.ok("bank", "create", "known", "--purpose", "watch")
    command.ok("bank", "import", "known", tmp_path / "list.txt")
    shutil.rmtree(command.data_dir / assemble.INDEX_FOLDER)  # importing looked for what the bank holds already
    return command


def search(baken: Command) -> int:
    """How many entries match; builds the index, or brings it to the database's head."""
    with assemble.open_existing(settings.load({}, data_dir=baken.data_dir)) as opened:
        [answer] = opened.gate.known.refresh().lookup([Fingerprint(FingerprintKind.PDQ, VALUE)])
        return answer.match_count


def pdq_folder(baken: Command) -> Path:
    return baken.data_dir / assemble.INDEX_FOLDER / "pdq"


def damage(baken: Command) -> None:
    """Change a byte of a code, as failing hardware does."""
    [segment] = pdq_folder(baken).glob("segment-*")
    before = segment.stat()
    with segment.open("r+b") as file:
        file.seek(4096)
        file.write(b"?")
    os.utime(segment, ns=(before.st_atime_ns, before.st_mtime_ns))


def index_findings(baken: Command) -> dict[str, str]:
    about_index = {"BK-E006", "BK-W012", "BK-W013", "BK-W014", "BK-I001", "BK-I002"}
    findings = baken("check", "--json").json
    return {finding["id"]: finding["level"] for finding in findings if finding["id"] in about_index}


def test_a_sound_index_is_verified_and_a_missing_one_is_no_failure(baken: Command):
    assert "nothing to verify" in baken.ok("index", "verify").out
    assert search(baken) == 1
    assert baken.ok("index", "verify").out.startswith("sound: 1 codes")
    document = baken.ok("index", "verify", "--json").json
    assert document["state"] == "current"
    assert document["codes"] == 1
    assert document["applied_seq"] == document["head_seq"]


def test_damage_is_told_with_exit_status_1_and_mended(baken: Command):
    assert search(baken) == 1
    damage(baken)
    ended = baken("index", "verify")
    assert ended.exit_code == 1
    assert "section 0" in ended.out
    assert "built again" in ended.out
    assert baken.ok("index", "verify").out.startswith("sound: 1 codes")
    assert search(baken) == 1


def test_damage_that_is_seen_at_once_is_told_and_mended_too(baken: Command):
    assert search(baken) == 1
    (pdq_folder(baken) / "manifest").write_bytes(b"no manifest" * 100)
    ended = baken("index", "verify", "--json")
    assert ended.exit_code == 1
    assert (ended.json["state"], ended.json["is_rebuilt"]) == ("damaged", True)
    assert baken.ok("index", "verify", "--json").json["state"] == "current"


def test_check_tells_a_missing_index_one_that_is_behind_and_a_current_one(baken: Command):
    assert index_findings(baken) == {"BK-I001": "info"}
    search(baken)
    assert index_findings(baken) == {}
    baken.ok("bank", "pause", "known", "--reason", "a trial")
    assert index_findings(baken) == {"BK-I002": "info"}
    assert baken("check").out.splitlines()[-1].startswith("0 errors")
    search(baken)
    assert index_findings(baken) == {}


def test_check_tells_damage_and_names_the_command_that_mends_it(baken: Command):
    search(baken)
    [segment] = pdq_folder(baken).glob("segment-*")
    with segment.open("r+b") as file:
        file.seek(4096)
        file.write(b"?")  # which leaves a trace: the file's time
    assert index_findings(baken) == {"BK-E006": "error"}
    ended = baken("check")
    assert ended.exit_code == 1
    assert "baken index verify" in ended.out
    baken("index", "verify")
    assert index_findings(baken) == {}


def test_check_tells_an_index_that_a_later_version_wrote(baken: Command):
    search(baken)
    manifest = pdq_folder(baken) / "manifest"
    manifest.write_bytes(manifest.read_bytes()[:12] + b"\x63\0\0\0" + manifest.read_bytes()[16:])
    assert index_findings(baken) == {"BK-W013": "warning"}
    assert baken("index", "verify").exit_code == 1
    assert search(baken) == 1


def test_check_tells_an_index_of_another_history(baken: Command):
    search(baken)
    with Store.open(f"sqlite:///{baken.data_dir / 'baken.sqlite3'}") as store:
        index = IndexFolder(str(pdq_folder(baken)), store.history_id())
        index.commit(store.head_seq() + 3, applied_token=5)
        index.close()
    assert index_findings(baken) == {"BK-W014": "warning"}
    assert "nothing to verify" in baken.ok("index", "verify").out
    assert search(baken) == 1
    assert index_findings(baken) == {}
