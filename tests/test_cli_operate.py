"""`baken init`, `serve`, `check`, `versions` and `key …`."""

from __future__ import annotations

import re
import signal
import stat
import urllib.request
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import baken as package
from baken import access, assemble, checks, settings
from baken.checks import CATALOGUE
from baken.errors import NotAuthenticatedError
from baken.store import Store
from command_line import Command, process


@pytest.fixture
def empty(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command on a data folder that is not there."""
    return Command(capsys, tmp_path / "data")


@pytest.fixture
def baken(empty: Command) -> Command:
    """The command on an initialised data folder."""
    empty.ok("init")
    return empty


def found(baken: Command) -> set[str]:
    ids = {finding["id"] for finding in baken("check", "--json").json}
    assert ids <= CATALOGUE.keys()
    return ids


def in_order(baken: Command, tmp_path: Path) -> Command:
    """Everything as it should be: a filled bank and a key."""
    (tmp_path / "list.txt").write_text("ab" * 32)
    baken.ok("bank", "create", "known", "--purpose", "known_abuse")
    baken.ok("bank", "import", "known", tmp_path / "list.txt")
    baken.ok("key", "create", "gate", "--scope", "screen")
    return baken


def test_init_makes_a_private_folder_and_repeating_it_keeps_what_is_there(baken: Command):
    assert stat.S_IMODE(baken.data_dir.stat().st_mode) == 0o700
    baken.ok("bank", "create", "known", "--purpose", "watch")
    baken.ok("init")
    assert [bank["name"] for bank in baken.ok("bank", "list", "--json").json] == ["known"]


def test_nothing_is_found_when_everything_is_as_it_should_be(
    baken: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checks, "LITTLE_SPACE_BYTES", 0)
    monkeypatch.setattr(checks, "NO_SPACE_BYTES", 0)
    with assemble.open_existing(settings.load({}, data_dir=in_order(baken, tmp_path).data_dir)) as opened:
        opened.gate.known.refresh()
    assert baken.ok("check").out == "0 errors, 0 warnings\n"


def test_a_folder_without_database_is_an_error(empty: Command):
    ended = empty("check")
    assert ended.exit_code == 1
    assert ended.out.startswith("BK-E002 error: ")
    assert "baken init" in ended.out


def test_warnings_alone_exit_0(baken: Command):
    ended = baken.ok("check")
    assert "BK-W002 warning: there is no bank" in ended.out
    assert "BK-W003 warning: no API key is valid" in ended.out


def test_a_wrong_setting_is_an_error_with_its_name(baken: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BAKEN_PORT", "eighty")
    (finding,) = baken("check", "--json").json
    assert (finding["id"], finding["level"]) == ("BK-E001", "error")
    assert "port" in finding["message"]
    assert finding["hint"]


def test_a_folder_this_user_may_not_use_is_an_error(baken: Command, monkeypatch: pytest.MonkeyPatch):
    # Tests may run as root, whom no mode keeps out.
    monkeypatch.setattr(checks.os, "access", lambda path, mode: Path(path) != baken.data_dir and bool(mode))
    assert "BK-E003" in found(baken)


def test_a_damaged_database_is_an_error(baken: Command):
    (baken.data_dir / "baken.sqlite3").write_bytes(b"no database at all, " * 1_000)
    ended = baken("check", "--json")
    assert ended.exit_code == 1
    assert "BK-E004" in {finding["id"] for finding in ended.json}


@pytest.mark.parametrize(("free_bytes", "id_"), [(50 << 20, "BK-E005"), (500 << 20, "BK-W005")])
def test_little_space_is_found(baken: Command, monkeypatch: pytest.MonkeyPatch, free_bytes: int, id_: str):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage(1 << 40, 0, free_bytes))
    assert id_ in found(baken)


def test_a_folder_that_others_can_read_is_found(baken: Command):
    baken.data_dir.chmod(0o755)
    assert "BK-W001" in found(baken)
    baken.data_dir.chmod(0o700)
    (baken.data_dir / "baken.sqlite3").chmod(0o640)
    assert "BK-W001" in found(baken)


@pytest.mark.parametrize(
    ("variable", "value", "id_"),
    [
        ("BAKEN_REQUIRE_SECOND_FACTOR_ROLES", "lead, admin", "BK-W018"),
        ("BAKEN_OIDC_ISSUER", "https://login.example.org", "BK-E001"),
        ("BAKEN_HOST", "0.0.0.0", "BK-W006"),  # noqa: S104 - that is what must be found
        ("BAKEN_HOST", "baken.example", "BK-W006"),
        ("BAKEN_VERDICT_TRUNCATED", "allow", "BK-W007"),
        ("BAKEN_MAX_PIXEL", "7", "BK-W008"),
    ],
)
def test_a_doubtful_setting_is_found(
    baken: Command, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, id_: str
):
    assert id_ not in found(baken)
    monkeypatch.setenv(variable, value)
    assert id_ in found(baken)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BAKEN_HOST", "::1"), ("BAKEN_HOST", "localhost"), ("BAKEN_TEST_X", "1"), ("BAKEN_VERDICT_LOW_QUALITY", "allow")],
)
def test_a_sound_setting_is_not_found(baken: Command, monkeypatch: pytest.MonkeyPatch, variable: str, value: str):
    before = found(baken)
    monkeypatch.setenv(variable, value)
    assert found(baken) == before


def test_a_misspelt_variable_is_told_what_it_may_mean(baken: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BAKEN_MAX_PIXEL", "7")
    assert "Did you mean BAKEN_MAX_PIXELS?" in baken("check").out


def test_a_machine_without_vectors_is_found(baken: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks, "instruction_path", lambda: "scalar")
    assert "BK-W004" in found(baken)


def test_an_empty_bank_and_a_toothless_one_are_found(baken: Command, tmp_path: Path):
    in_order(baken, tmp_path)
    assert not found(baken) & {"BK-W009", "BK-W010"}
    baken.ok("bank", "create", "trial", "--purpose", "known_abuse", "--verdict", "allow")
    assert found(baken) >= {"BK-W009", "BK-W010"}


def test_an_expired_or_revoked_key_counts_for_none(baken: Command, tmp_path: Path):
    in_order(baken, tmp_path)
    assert "BK-W003" not in found(baken)
    (key,) = baken.ok("key", "list", "--json").json
    baken.ok("key", "revoke", key["id"])
    assert "BK-W003" in found(baken)
    with Store.open(f"sqlite:///{baken.data_dir / 'baken.sqlite3'}") as store:
        access.create_key(store, "old", frozenset({access.Scope.SCREEN}), actor="test", lifetime=timedelta(seconds=-1))
    assert "BK-W003" in found(baken)
    assert [line.split()[3] for line in baken.ok("key", "list").out.splitlines() if "key_" in line] == [
        "revoked",
        "expired",
    ]


def test_a_key_works_until_it_is_revoked_and_its_secret_is_shown_once(baken: Command):
    ended = baken.ok("key", "create", "gate", "--scope", "screen", "--scope", "lookup", "--expires-days", "30")
    secret = ended.out.strip()
    assert re.fullmatch(r"baken_[\w-]{43}", secret)
    with Store.open(f"sqlite:///{baken.data_dir / 'baken.sqlite3'}") as store:
        key = access.Authenticator(store).authenticate(secret)
        assert sorted(key.scopes) == ["lookup", "screen"]
        assert key.expires_at is not None
        assert timedelta(days=29) < key.expires_at - datetime.now(UTC) <= timedelta(days=30)
        listed = baken.ok("key", "list")
        assert key.id in listed.out
        assert secret not in listed.out
        baken.ok("key", "revoke", key.id)
        with pytest.raises(NotAuthenticatedError):
            access.Authenticator(store).authenticate(secret)


def test_a_key_as_json_holds_the_secret(baken: Command):
    made = baken.ok("key", "create", "gate", "--scope", "admin", "--json").json
    assert made["secret"].startswith("baken_")
    assert (made["name"], made["scopes"], made["expires_at"]) == ("gate", ["admin"], None)
    assert "secret" not in baken.ok("key", "list", "--json").json[0]


def test_an_unknown_key_is_not_revoked(baken: Command):
    assert baken("key", "revoke", "key_none").exit_code == 1


def test_versions_name_the_active_instruction_path(baken: Command):
    lines = dict(line.split(" ", 1) for line in baken.ok("versions").out.splitlines())
    document = baken.ok("versions", "--json").json
    assert lines == document
    assert lines["baken"] == package.__version__
    assert lines["instruction_path"] in lines["instruction_paths"].split()


def test_serve_answers_where_it_says_and_ends_on_sigterm(baken: Command):
    with process("--data-dir", baken.data_dir, "serve", "--port", "0") as serving:
        assert serving.stderr is not None
        address = re.search(r"http://\S+", next(line for line in serving.stderr if "http://" in line))
        assert address is not None
        with urllib.request.urlopen(f"{address[0]}/healthz", timeout=30) as answer:  # noqa: S310 - our own address
            assert answer.status == 200
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=60)
    assert serving.returncode in {0, 143, -signal.SIGTERM}
