"""`baken user`: made, invited, listed, changed and disabled, with passwords that are never arguments."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from baken import assemble
from baken.errors import NotAuthenticatedError
from baken.passwords import Passwords
from baken.people import Browser, SignedIn
from baken.settings import load
from command_line import Command, Ended, initialised

GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "Passwords", lambda: Passwords(time_cost=1, memory_kib=8, parallelism=1))


class Typist:
    """`baken` with lines on stdin."""

    def __init__(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        self.command = command
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, lines: str = "") -> Ended:
        """Run a command of `baken user`."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO(lines))
        return self.command("user", *arguments)


@pytest.fixture
def user(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Typist:
    command = initialised(capsys, tmp_path / "data", sqlite_file)
    typist = Typist(command, monkeypatch)
    assert typist("create", "alice", "--role", "admin", lines=GOOD + "\n").exit_code == 0
    return typist


def test_no_account_is_there_by_itself(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    command = Command(capsys, tmp_path / "data")
    command.ok("init")
    assert command.ok("user", "list", "--json").json == []


def test_an_account_is_made_with_roles_and_banks_and_shown_without_secrets(user: Typist):
    user.command.ok("bank", "create", "hot", "--purpose", "watch")
    made = user("create", "bob", "--role", "lead", "--role", "auditor", "--bank", "hot", "--json", lines=GOOD + "\n")

    assert made.exit_code == 0
    assert made.json["roles"] == ["auditor", "lead"]
    assert made.json["banks"] == ["hot"]
    assert GOOD not in made.out + made.err
    shown = user("show", "BOB", "--json").json
    assert shown == made.json
    assert [each["name"] for each in user("list", "--json").json] == ["alice", "bob"]
    assert user("create", "carol", "--role", "lead", "--bank", "none", lines=GOOD + "\n").exit_code == 1


@pytest.mark.parametrize("lines", ["", "short\n", "alicealicealice\n"])
def test_a_password_that_cannot_be_taken_changes_nothing(user: Typist, lines: str):
    assert user("create", "bob", "--role", "lead", lines=lines).exit_code == 2
    assert user("set-password", "alice", lines=lines).exit_code == 2
    assert [each["name"] for each in user("list", "--json").json] == ["alice"]


def test_an_invited_person_sets_the_password_with_the_code(user: Typist):
    code = user("create", "bob", "--role", "reviewer", "--invite").out.strip()
    assert user("show", "bob", "--json").json["has_password"] is False

    assert user("set-up", lines=f"nonsense\n{GOOD}\n").exit_code == 1
    assert user("set-up", lines=f"{code}\n{GOOD}\n").exit_code == 0
    assert user("set-up", lines=f"{code}\n{GOOD}\n").exit_code == 1
    assert user("show", "bob", "--json").json["has_password"] is True
    assert code not in user.command.ok("audit", "show", "--json").out


def test_sessions_are_listed_and_revoked(user: Typist):
    with assemble.open_existing(load({}, data_dir=user.command.data_dir)) as baken:
        people = baken.people()
        first, second = (people.sign_in("alice", GOOD, Browser("192.0.2.7", "a \x1b[1m browser")) for _ in range(2))
        assert isinstance(first, SignedIn)
        assert isinstance(second, SignedIn)

    found = user("sessions", "alice", "--json").json
    assert {session["id"] for session in found} == {first.session.id, second.session.id}
    assert first.token not in str(found)
    assert "\x1b" not in user("sessions", "alice").out
    assert "1 sessions" in user("revoke", "alice", first.session.id).out
    assert user("revoke", "alice", "ses_unknown").exit_code == 1
    assert [session["running"] for session in user("sessions", "alice", "--json").json].count(True) == 1
    assert "1 sessions" in user("revoke", "alice").out


def test_accounts_are_changed_disabled_and_enabled(user: Typist):
    assert user("set", "alice", "--role", "lead").exit_code == 1  # the last administrator
    user("create", "bob", "--role", "reviewer", lines=GOOD + "\n")
    assert user("set", "bob", "--role", "admin", "--email", "bob@example.org", "--json").json["roles"] == ["admin"]
    assert user("set", "bob", "--bank", "x", "--all-banks").exit_code == 2
    assert user("disable", "alice").exit_code == 0
    assert "disabled" in user("list").out
    assert user("enable", "alice").exit_code == 0
    assert user("reset-totp", "alice").exit_code == 0
    assert user("set-password", "alice", lines="another good password\n").exit_code == 0
    assert user("show", "nobody").exit_code == 1


def test_a_one_time_link_carries_its_code_where_no_server_sees_it(user: Typist):
    printed = user("link-once", "alice")
    address, _, code = printed.out.strip().partition("#")

    assert address == "http://127.0.0.1:8480/console/sign-in/once"
    assert "15 minutes" in printed.err
    assert user("link-once", "alice", "--json").json["address"].startswith(f"{address}#")
    with assemble.open_existing(load({}, data_dir=user.command.data_dir)) as baken:
        latest = user("link-once", "alice").out.strip().partition("#")[2]
        assert isinstance(baken.people().sign_in_once(latest, Browser()), SignedIn)
        with pytest.raises(NotAuthenticatedError):
            baken.people().sign_in_once(code, Browser())
    told = user.command.ok("audit", "show", "--json").out
    assert "user.link_made" in told
    assert latest not in told


def test_users_are_linked_with_their_accounts_at_the_identity_provider(user: Typist, monkeypatch: pytest.MonkeyPatch):
    refused = user("link", "alice", "--subject", "person-1")
    assert (refused.exit_code, "oidc_issuer" in refused.err) == (2, True)
    monkeypatch.setenv("BAKEN_OIDC_ISSUER", "https://login.example.org")
    linked = user("link", "alice", "--subject", "person-1", "--json").json

    [identity] = linked["identities"]
    assert (identity["issuer"], identity["subject"]) == ("https://login.example.org", "person-1")
    assert "password or provider" in user("list").out
    assert "person-1" in user("show", "alice").out
    user("create", "bob", "--role", "lead", "--invite")
    assert user("link", "bob", "--subject", "person-1").exit_code == 1
    assert "1 links" in user("unlink", "alice").out
    assert user("unlink", "alice").exit_code == 1
    assert user("link", "bob", "--subject", "person-1").exit_code == 0
    assert "active" in user("show", "bob").out
    assert user("unlink", "bob", "--subject", "person-1").exit_code == 0
