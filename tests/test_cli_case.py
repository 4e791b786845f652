"""`baken case items`, `baken case events` and `baken action …`: the life of a case, and what the platform does."""

from __future__ import annotations

from pathlib import Path

import pytest

from baken import assemble
from baken.cases import Decision, DecisionKind
from baken.samples import draw
from baken.samples_files import encoded
from baken.settings import load
from command_line import Command
from review_world import person


@pytest.fixture
def baken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    command = Command(capsys, tmp_path / "data")
    command.ok("init")
    command.ok("bank", "create", "known", "--purpose", "known_abuse")
    return command


def test_a_decision_is_read_and_done_on_the_command_line(baken: Command, tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(encoded(draw(1), "JPEG", quality=90))
    baken.ok("screen", picture)
    baken.ok("bank", "add", "known", picture)
    [case] = baken.ok("case", "list", "--json").json
    assert (case["state"], case["awaits"], case["decision"]) == ("open", "first", None)
    with assemble.open_existing(load({}, data_dir=baken.data_dir, decision_undo_seconds=0.0)) as opened:
        user = person(opened.store, "ann")
        opened.review().decide(user, case["id"], Decision(DecisionKind.ALLOWED, "may stay"))

    [item] = baken.ok("case", "items", case["id"], "--json").json
    assert (item["item_ref"], item["origin"]) == ("a.jpg", "retroactive")
    assert "a.jpg" in baken.ok("case", "items", case["id"]).out
    events = baken.ok("case", "events", case["id"], "--json").json
    assert [event["kind"] for event in events] == ["opened", "joined", "claimed", "decided"]
    assert events[-1]["facts"]["reason"] == "may stay"
    assert [e["seq"] for e in baken.ok("case", "events", case["id"], "--after-seq", "3", "--json").json] == [4]
    assert "kind allowed" in baken.ok("case", "events", case["id"]).out
    shown = baken.ok("case", "show", case["id"]).out
    assert "allowed" in shown
    assert user.actor in shown

    [action] = baken.ok("action", "list", "--json").json
    assert (action["kind"], action["state"], action["item_ref"]) == ("release", "pending", "a.jpg")
    assert "release" in baken.ok("action", "list").out
    assert "1 action is final" in baken.ok("action", "done", str(action["id"])).out
    assert baken.ok("action", "list", "--json").json == []
    [final] = baken.ok("action", "list", "--state", "final", "--json").json
    assert final["done_by"].startswith("cli:")
    refused = baken("action", "done", "999")
    assert refused.exit_code != 0
    assert "there is no action 999" in refused.err


def test_a_bank_that_wants_every_copy_seen_says_so(baken: Command) -> None:
    told = baken.ok("bank", "set", "known", "--no-follow-decisions").out
    assert "new copies open a case again" in told
    assert baken.ok("bank", "list", "--json").json[0]["follows_decisions"] is False
