"""`baken audit`: shown, verified, written out, compared and stamped."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from baken import cli
from command_line import Command
from time_stamp_authority import Authority, make_certificates, running_authority


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two events; each test gets a copy."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    for words in (
        ["init"],
        ["bank", "create", "known", "--purpose", "watch"],
        ["bank", "pause", "known", "--reason", "x"],
    ):
        assert cli.main(["--data-dir", str(folder), *words]) == 0
    return folder


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], prepared: Path, tmp_path: Path) -> Command:
    shutil.copytree(prepared, tmp_path / "data")
    return Command(capsys, tmp_path / "data")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with running_authority(tmp_path_factory.mktemp("authority")) as authority:
        yield authority


@pytest.fixture
def authority(running: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    running.answer_instead, running.status = None, 200
    monkeypatch.setenv("BAKEN_AUDIT_TIMESTAMP_URL", running.url)
    monkeypatch.setenv("BAKEN_AUDIT_TIMESTAMP_ROOTS_FILE", str(running.roots_file))
    return running


def execute(baken: Command, *statements: str) -> None:
    with closing(sqlite3.connect(baken.data_dir / "baken.sqlite3")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def cut(baken: Command, last: int) -> None:
    """Remove the events after `last`, and make the head agree."""
    agree = "UPDATE audit_head SET (seq, digest) = (SELECT seq, digest FROM audit_events ORDER BY seq DESC LIMIT 1)"
    execute(baken, f"DELETE FROM audit_events WHERE seq > {last:d}", agree)  # noqa: S608 - a number


def forget_head(baken: Command) -> None:
    (baken.data_dir / "audit-head.json").unlink()


def faults(baken: Command, *arguments: str | Path) -> list[str]:
    ended = baken("audit", "verify", "--json", *arguments)
    assert ended.exit_code == (1 if ended.json["findings"] else 0)
    return [finding["fault"] for finding in ended.json["findings"]]


def test_what_was_done_is_shown_and_sound(baken: Command):
    shown = baken.ok("audit", "show", "--json").json

    assert [event["kind"] for event in shown] == ["bank.paused", "bank.created"]
    assert "bank.paused" in baken.ok("audit", "show", "--kind", "bank.").out
    assert baken.ok("audit", "verify").out.startswith("sound: 2 events; the head is 2:")


def test_a_changed_row_ends_in_status_1_with_its_number(baken: Command):
    execute(baken, "UPDATE audit_events SET actor = 'cli:mallory' WHERE seq = 2")
    ended = baken("audit", "verify")

    assert ended.exit_code == 1
    assert "changed: the columns of event 2" in ended.out


def test_a_tail_cut_with_its_head_shows_against_the_head_verified_before(baken: Command):
    baken.ok("audit", "verify")
    cut(baken, 1)

    assert faults(baken) == ["cut"]
    assert faults(baken) == ["cut"]  # what was found is not forgotten by looking


def test_a_head_that_was_written_down_tells_too(baken: Command):
    head = baken.ok("audit", "verify", "--json").json["head"]
    cut(baken, 1)
    forget_head(baken)

    assert faults(baken) == []
    assert faults(baken, "--head", f"{head['seq']}:{head['digest']}") == ["cut"]
    assert baken("audit", "verify", "--head", "2:zz").exit_code == 2


def test_an_export_verifies_by_itself_and_against_the_log(baken: Command, tmp_path: Path):
    file = tmp_path / "audit.jsonl"
    baken.ok("audit", "export", "--output", file)

    assert baken.ok("audit", "verify-export", file).out.startswith("sound: 3 events")
    assert baken.ok("audit", "verify", "--export", file, "--json").json["anchor_count"] == 4
    assert file.stat().st_mode & 0o077 == 0
    forget_head(baken)
    cut(baken, 2)
    assert faults(baken) == []
    forget_head(baken)
    assert faults(baken, "--export", file) == ["cut"]


def test_a_part_of_the_log_verifies_from_where_it_begins(baken: Command, tmp_path: Path):
    file = tmp_path / "part.jsonl"
    baken.ok("audit", "export", "--after", "1", "--output", file)

    assert baken.ok("audit", "verify-export", file).out.startswith("sound: 2 events")
    assert faults(baken, "--export", file) == []
    assert baken("audit", "export", "--after", "99").exit_code == 2


@pytest.mark.parametrize("change", ["event", "line", "end"])
def test_an_export_that_was_changed_or_cut_is_not_sound(baken: Command, tmp_path: Path, change: str):
    file = tmp_path / "audit.jsonl"
    lines = baken.ok("audit", "export").out.splitlines(keepends=True)
    changed = {
        "event": [*lines[:1], lines[1].replace("known", "other"), *lines[2:]],
        "line": [*lines[:2], *lines[3:]],
        "end": lines[:-1],
    }
    file.write_text("".join(changed[change]))

    assert baken("audit", "verify-export", file).exit_code == 1


@pytest.mark.parametrize("content", ["", "{}\n", "nonsense\n", '{"baken_audit":1,"after":{"seq":-1}}\n', "[" * 200_000])
def test_a_file_that_is_no_export_is_wrong_use(baken: Command, tmp_path: Path, content: str):
    file = tmp_path / "file"
    file.write_text(content)

    assert baken("audit", "verify-export", file).exit_code == 2
    assert baken("audit", "verify", "--export", file).exit_code == 2


def test_exports_are_themselves_told(baken: Command, tmp_path: Path):
    baken.ok("bank", "resume", "known")
    baken.ok("bank", "export", "known", "--output", tmp_path / "list.csv")
    baken.ok("seen", "export")
    baken.ok("seen", "forget", "--account-ref", "a secret name", "--yes")
    baken.ok("audit", "export")

    shown = baken.ok("audit", "show", "--json", "--limit", "5").json
    expected = ["audit.exported", "seen.forgotten", "seen.forgetting", "seen.exported", "bank.exported"]
    assert [event["kind"] for event in shown] == expected
    assert "a secret name" not in json.dumps(shown)
    assert all(event["actor"].startswith("cli:") for event in shown)


@pytest.mark.usefixtures("authority")
def test_a_time_stamp_by_a_real_authority_is_checked_and_kept(baken: Command):
    assert "event 2 is stamped at" in baken.ok("audit", "stamp").out
    verified = baken.ok("audit", "verify", "--json").json

    assert (verified["stamp_count"], verified["stamps_trusted"]) == (1, True)
    forget_head(baken)
    cut(baken, 1)
    assert faults(baken) == ["cut"]


def test_a_time_stamp_of_something_else_or_by_someone_else_is_found(
    baken: Command, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    baken.ok("audit", "stamp")
    strangers = make_certificates(tmp_path / "strangers", "Stranger")
    monkeypatch.setenv("BAKEN_AUDIT_TIMESTAMP_ROOTS_FILE", str(strangers))
    assert faults(baken) == ["stamp"]
    assert baken("audit", "stamp").exit_code == 1

    monkeypatch.setenv("BAKEN_AUDIT_TIMESTAMP_ROOTS_FILE", str(authority.roots_file))
    execute(baken, "UPDATE audit_stamps SET seq = 1, digest = (SELECT digest FROM audit_events WHERE seq = 1)")
    assert faults(baken) == ["stamp"]


@pytest.mark.parametrize(("answer", "status"), [(b"nonsense", 200), (b"", 200), (b"no", 500), (b"x" * 300_000, 200)])
def test_an_authority_that_answers_otherwise_is_told_and_nothing_is_kept(
    baken: Command, authority: Authority, answer: bytes, status: int
):
    authority.answer_instead, authority.status = answer, status
    ended = baken("audit", "stamp")

    assert ended.exit_code == 1
    assert authority.url in ended.err or "time stamp is not what it should be" in ended.err
    assert baken.ok("audit", "verify", "--json").json["stamp_count"] == 0


def test_an_answer_to_another_request_is_refused(baken: Command, authority: Authority):
    baken.ok("audit", "stamp")
    authority.answer_instead = (authority.folder / "answer").read_bytes()

    assert "stamps something else" in baken("audit", "stamp").err


def test_without_an_authority_there_is_no_stamp(baken: Command):
    assert "audit_timestamp_url" in baken("audit", "stamp").err
