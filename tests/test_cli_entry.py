"""`baken entry …`, `baken notice …`, `baken bank set`, and what `baken check` says of a quarantine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from baken import assemble, checks
from baken.flood import FloodFacts
from baken.settings import load
from command_line import Command, initialised

FACTS = FloodFacts(counted="accounts in one hour", count=101, limit=100)


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_file: Path) -> Command:
    """The command on a folder with a bank of three entries."""
    command = initialised(capsys, tmp_path / "data", sqlite_file)
    command.ok("bank", "create", "known", "--purpose", "known_abuse", "--flood-accounts-per-hour", "250")
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{number:064x}\n" for number in range(3)))
    command.ok("bank", "import", "known", path)
    return command


def quarantine(baken: Command, *entry_ids: int) -> None:
    with assemble.open_existing(load({}, data_dir=baken.data_dir)) as opened:
        for entry_id in entry_ids:
            assert opened.store.quarantine_entry(entry_id, facts=FACTS)


def states(baken: Command) -> dict[int, str]:
    entries = baken.ok("bank", "show", "known", "--json").json["entries"]
    return {entry["id"]: entry["state"] for entry in entries}


def test_a_quarantine_is_shown_checked_and_ended_by_resuming(baken: Command):
    quarantine(baken, 2)

    (listed,) = baken.ok("notice", "list", "--json").json
    shown = baken.ok("notice", "show", str(listed["id"]))
    checked = baken.ok("check").out

    assert (listed["kind"], listed["bank"], listed["entry_id"]) == ("entry_quarantined", "known", 2)
    assert "flood breaker: 101 accounts in one hour matched this entry, 100 are allowed" in shown.out
    assert "`baken entry resume known 2`" in shown.out
    assert "entry_quarantined" in baken.ok("notice", "list").out
    assert "BK-W011 warning: entry 2 of bank 'known' matches nothing since" in checked
    assert states(baken)[2] == "quarantined"

    ended = baken.ok("entry", "resume", "known", "2", "--reason", "it is right")

    assert ended.out == "1 entries of bank known are active now\n"
    assert states(baken) == {1: "active", 2: "active", 3: "active"}
    assert baken.ok("notice", "list", "--json").json == []
    (resolved,) = baken.ok("notice", "list", "--all", "--json").json
    assert resolved["resolved_by"].startswith("cli:")
    assert "resolved " in baken.ok("notice", "show", str(listed["id"])).out
    assert baken.ok("notice", "show", str(listed["id"]), "--json").json == resolved
    assert "BK-W011" not in baken.ok("check").out


def test_entries_are_paused_and_withdrawn_with_a_reason(baken: Command):
    assert baken("entry", "pause", "known", "1").exit_code == 2
    assert baken("entry", "withdraw", "known", "1").exit_code == 2

    baken.ok("entry", "pause", "known", "1", "--reason", "looking")
    ended = baken.ok("entry", "withdraw", "known", "2", "3", "3", "--reason", "a meme")
    again = baken.ok("entry", "withdraw", "known", "3", "--reason", "a meme")

    assert ended.out == "2 entries of bank known are withdrawn now\n"
    assert again.out == "0 entries of bank known are withdrawn now; 1 already were\n"
    assert states(baken) == {1: "paused", 2: "withdrawn", 3: "withdrawn"}
    refused = baken("entry", "resume", "known", "2")
    assert refused.exit_code == 1
    assert "withdrawn, and that is final" in refused.err
    assert "has no entry 77" in baken("entry", "resume", "known", "77").err


def test_an_unknown_notice_is_an_error(baken: Command):
    ended = baken("notice", "show", "7")

    assert (ended.exit_code, ended.out) == (1, "")
    assert "there is no notice 7" in ended.err


def test_check_names_so_many_quarantines_and_counts_the_rest(baken: Command, monkeypatch: pytest.MonkeyPatch):
    quarantine(baken, 1, 2, 3)
    monkeypatch.setattr(checks, "_MAX_SHOWN", 2)

    findings = [each for each in baken.ok("check", "--json").json if each["id"] == "BK-W011"]

    assert len(findings) == 3
    assert findings[-1]["message"] == "1 more entries match nothing: flood breaker"


def test_check_finds_a_quarantine_behind_a_thousand_disputes(baken: Command, tmp_path: Path):
    path = tmp_path / "more.txt"
    path.write_text("".join(f"{number:064x}\n" for number in range(10, 1_010)))
    baken.ok("bank", "import", "known", path)
    with closing(sqlite3.connect(baken.data_dir / "baken.sqlite3")) as connection:
        connection.execute(
            "INSERT INTO notices (created_at, kind, bank_id, entry_id, reason, facts)"
            " SELECT created_at, 'entry_disputed', bank_id, id, 'a dispute', '{}' FROM entries"
        )
        connection.commit()
    quarantine(baken, 3)

    (finding,) = [each for each in baken.ok("check", "--json").json if each["id"] == "BK-W011"]
    assert finding["message"].startswith("entry 3 of bank 'known' matches nothing since")


def test_a_bank_is_changed_as_far_as_it_is_named(baken: Command):
    ended = baken.ok("bank", "set", "known", "--radius-bits", "24", "--flood-factor", "20", "--reason", "a trial")
    shown = baken.ok("bank", "show", "known", "--json").json

    assert ended.out == (
        "bank known: within 24 bits, block, at most 250 accounts an hour or 20 times the busiest hour, "
        "keeps full views, new copies follow decisions\n"
    )
    assert (shown["radius_bits"], shown["verdict"]) == (24, "block")
    assert (shown["flood_accounts_per_hour"], shown["flood_factor"]) == (250, 20)
    off = baken.ok("bank", "set", "known", "--flood-accounts-per-hour", "0", "--verdict", "hold")
    assert (
        off.out
        == "bank known: within 24 bits, hold, flood breaker off, keeps full views, new copies follow decisions\n"
    )
    assert "flood breaker off" in baken.ok("bank", "show", "known").out


def test_a_bank_is_not_changed_to_what_its_purpose_forbids(baken: Command):
    baken.ok("bank", "create", "own", "--purpose", "own_photo")

    refused = baken("bank", "set", "own", "--verdict", "block")
    nothing = baken("bank", "set", "own", "--reason", "only talk")

    assert (refused.exit_code, nothing.exit_code) == (2, 2)
    assert "removes anything by itself" in refused.err
    assert "nothing was named that should change" in nothing.err
