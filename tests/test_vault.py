"""The vault: bytes that nobody reads without their key, that end when they should, and that survive no destruction."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from baken.errors import (
    ConflictError,
    InvalidValueError,
    NotFoundError,
    SealKeyUnknownError,
    VaultDamagedError,
    VaultError,
    VaultMissingError,
)
from baken.housekeeping import Housekeeper
from baken.keeping import Describer, Keeping, ensure_key
from baken.model import Purpose
from baken.sealing import Sealer
from baken.store import Store
from baken.store.vault_rows import VaultObject
from baken.vault import CHUNK_BYTES, Vault
from command_line import Command
from looking_world import Idle
from vault_child import MARKER, content

START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
DATA = content(1)


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    made = Sealer(tmp_path / "feature.key")
    made.make_key_file()
    return made


@pytest.fixture
def store(sqlite_file: Path, tmp_path: Path) -> Iterator[Store]:
    """SQLite, for all that is about files; rows are tested on both databases in one test."""
    with Store.open(f"sqlite:///{shutil.copy(sqlite_file, tmp_path)}") as opened:
        yield opened


@pytest.fixture
def vault(store: Store, sealer: Sealer, tmp_path: Path, clock: Clock) -> Vault:
    return Vault(store, sealer, tmp_path / "vault", now=clock)


@pytest.fixture
def hold(vault: Vault, clock: Clock) -> Callable[..., VaultObject]:
    def held(data: bytes = DATA, days: float = 10, purpose: Purpose = Purpose.WATCH) -> VaultObject:
        return vault.hold(data, {purpose}, until=clock.now + timedelta(days=days), reason="matched", format="png")

    return held


def until(ends_at: datetime) -> Callable[[VaultObject], VaultObject]:
    """A change of an object's end."""
    return lambda held: replace(held, ends_at=ends_at)


def kinds(store: Store) -> list[str]:
    return [row.kind for row in store.audit.rows() if row.kind.startswith("vault.")]


def file_of(tmp_path: Path, held: VaultObject) -> Path:
    return tmp_path / "vault" / held.id


def test_what_is_held_is_read_again_and_is_nowhere_on_the_disk(
    vault: Vault, hold: Callable[..., VaultObject], tmp_path: Path
):
    for size in (1, 16, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES):
        data = (MARKER * (size // len(MARKER) + 1))[:size]
        held = hold(data)
        assert vault.read(held) == data
        assert (held.size_bytes, held.format, held.purposes, held.reason) == (size, "png", {Purpose.WATCH}, "matched")
        assert file_of(tmp_path, held).stat().st_mode & 0o777 == 0o600
    assert all(MARKER not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_same_bytes_are_held_once(
    store: Store, vault: Vault, hold: Callable[..., VaultObject], clock: Clock, tmp_path: Path
):
    first = hold(days=10)
    assert first == hold(days=5) == hold(days=20, purpose=Purpose.OWN_PHOTO) == vault.held(first.sha256)
    assert [path.name for path in (tmp_path / "vault").iterdir()] == [first.id]
    assert kinds(store) == ["vault.held"]
    clock.now = first.ends_at
    again = hold()  # whether or not anything swept
    assert again.id != first.id
    assert [path.name for path in (tmp_path / "vault").iterdir()] == [again.id]
    assert kinds(store) == ["vault.held", "vault.destroyed", "vault.held"]


def test_destroying_leaves_the_row_and_neither_key_nor_file(
    store: Store, vault: Vault, hold: Callable[..., VaultObject], clock: Clock, tmp_path: Path
):
    held = hold()
    copy = file_of(tmp_path, held).read_bytes()
    gone = vault.destroy(held.id, reason="asked by the police", actor="cli:bob")
    assert gone.destroyed_at is not None
    assert gone.key_sealed is None
    assert not file_of(tmp_path, held).exists()
    assert vault.held(held.sha256) is None
    file_of(tmp_path, held).write_bytes(copy)
    with pytest.raises(NotFoundError, match="not held any more"):
        vault.read(gone)
    assert vault.destroy(held.id, reason="again").destroyed_at == gone.destroyed_at
    assert not file_of(tmp_path, held).exists()
    assert kinds(store) == ["vault.held", "vault.destroyed"]
    with pytest.raises(ConflictError, match="was destroyed"):
        store.vault.change(held.id, until(START + timedelta(days=99)), actor="test", reason="too late")
    clock.now += timedelta(seconds=1)
    again = hold()
    assert again.id != held.id
    assert store.vault.objects(with_destroyed=True) == [again, gone]
    with pytest.raises(NotFoundError):
        vault.destroy("vlt_none", reason="test")


def test_what_has_ended_is_not_given_and_is_swept(
    store: Store, vault: Vault, hold: Callable[..., VaultObject], clock: Clock, tmp_path: Path
):
    short, long = hold(days=1), hold(content(2), days=3)
    clock.now += timedelta(days=2)
    with pytest.raises(NotFoundError):
        vault.read(short)
    assert vault.sweep() == 1
    assert vault.sweep() == 0
    assert [path.name for path in (tmp_path / "vault").iterdir()] == [long.id]
    clock.now += timedelta(days=2)
    assert vault.held(long.sha256) is None
    assert store.vault.objects() == [long]  # to ask destroys nothing: that is left to `sweep`


def test_nothing_is_held_without_bytes_or_for_a_time_that_is_over(vault: Vault, store: Store):
    for data, ends_at in ((b"", START + timedelta(days=1)), (DATA, START)):
        with pytest.raises(InvalidValueError):
            vault.hold(data, {Purpose.WATCH}, until=ends_at, reason="test")
    assert store.vault.objects(with_destroyed=True) == []


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


STEP = CHUNK_BYTES + 16
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "no bytes": lambda _: b"",
    "head alone": lambda data: data[:4],
    "other head": lambda data: b"XXXX" + data[4:],
    "first byte": lambda data: _flipped(data, 4),
    "last tag": lambda data: _flipped(data, len(data) - 1),
    "cut by a byte": lambda data: data[:-1],
    "cut after a chunk": lambda data: data[: 4 + STEP],
    "cut within a tag": lambda data: data[: 4 + STEP + 10],
    "chunks exchanged": lambda data: (
        data[:4] + data[4 + STEP : 4 + 2 * STEP] + data[4 : 4 + STEP] + data[4 + 2 * STEP :]
    ),
    "a chunk twice": lambda data: data[: 4 + STEP] + data[4:],
    "longer": lambda data: data + b"\0",
}


def test_a_file_that_was_changed_is_an_error_of_its_own(vault: Vault, hold: Callable[..., VaultObject], tmp_path: Path):
    held = hold()
    assert held.size_bytes > 2 * CHUNK_BYTES
    path = file_of(tmp_path, held)
    sound = path.read_bytes()
    for name, damage in DAMAGES.items():
        path.write_bytes(damage(sound))
        with pytest.raises(VaultDamagedError, match=held.id):
            print(name, len(vault.read(held)))  # noqa: T201 - what was not noticed
    path.write_bytes(sound)
    assert vault.read(held) == DATA


def test_rows_are_kept_alike_on_both_databases(store_url: str, sealer: Sealer, tmp_path: Path, clock: Clock):
    with Store.initialise(store_url) as store:
        vault = Vault(store, sealer, tmp_path / "vault", now=clock)
        first = vault.hold(DATA, {Purpose.WATCH}, until=START + timedelta(days=1), reason="matched")
        other = store.vault.add(replace(first, id="vlt_" + "f" * 26), actor="test")  # who came second gets the first
        assert other == first == store.vault.object(first.id)
        later = store.vault.change(first.id, until(START + timedelta(days=2)), actor="test", reason="more")
        assert vault.held(first.sha256) == later == replace(first, ends_at=START + timedelta(days=2))
        assert store.vault.holding([first.sha256, bytes(32)]) == {first.sha256: later}
        assert list(store.vault.sealed_keys()) == [(first.id, later.key_sealed)]
        assert store.vault.has_keys()
        sealer.key_path.write_text("ab" * 32 + "\n" + sealer.key_path.read_text())
        assert Keeping(sealer, Describer(tmp_path / "none")).reseal(store) == 1
        assert vault.read(store.vault.object(first.id)) == DATA
        clock.now = later.ends_at
        assert vault.sweep() == 1
        assert store.vault.objects() == []
        assert not store.vault.has_keys()
        assert kinds(store) == ["vault.held", "vault.extended", "vault.destroyed"]


def test_a_file_of_another_object_does_not_open(vault: Vault, hold: Callable[..., VaultObject], tmp_path: Path):
    first, second = hold(content(1)), hold(content(2))
    file_of(tmp_path, first).write_bytes(file_of(tmp_path, second).read_bytes())
    with pytest.raises(VaultDamagedError):
        vault.read(first)
    file_of(tmp_path, first).unlink()
    with pytest.raises(VaultMissingError):
        vault.read(first)


def test_a_folder_that_cannot_be_written_holds_nothing_and_says_so(store: Store, sealer: Sealer, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    blocked = Vault(store, sealer, tmp_path / "file" / "vault")
    with pytest.raises(VaultError, match="nothing can be held"):
        blocked.hold(DATA, {Purpose.WATCH}, until=datetime.now(UTC) + timedelta(days=1), reason="test")
    assert store.vault.objects(with_destroyed=True) == []


def test_keys_are_sealed_anew_and_a_lost_key_is_noticed(
    store: Store, vault: Vault, hold: Callable[..., VaultObject], sealer: Sealer, tmp_path: Path
):
    held = hold()
    old = sealer.key_path.read_text()
    sealer.key_path.write_text("ab" * 32 + "\n" + old)
    assert Keeping(sealer, Describer(tmp_path / "none")).reseal(store) == 1
    sealer.key_path.write_text("ab" * 32 + "\n")
    assert vault.read(store.vault.object(held.id)) == DATA
    with pytest.raises(SealKeyUnknownError):
        vault.read(held)
    sealer.key_path.unlink()
    with pytest.raises(Exception, match="is not there"):
        ensure_key(sealer, store)


def test_whoever_is_killed_at_any_step_leaves_nothing_that_can_be_read(tmp_path: Path, sealer: Sealer):
    url, folder = f"sqlite:///{tmp_path / 'baken.sqlite3'}", tmp_path / "vault"
    Store.initialise(url).close()
    child = Path(__file__).with_name("vault_child.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, str(child), url, str(sealer.key_path), str(folder)]
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False)
    deaths = ended.stdout.split()
    assert deaths[-1:] == ["done"], ended.stderr
    assert {"os.fsync", "Path.rename", "VaultRows.add", "VaultRows.destroy", "Path.unlink"} <= set(deaths)
    assert all(MARKER not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    with Store.open(url) as store:
        vault = Vault(store, sealer, folder)
        held = store.vault.objects()
        for each in held:  # a row that is there has its file, whole
            assert vault.read(each).startswith(MARKER)
        assert vault.remove_strays() == 0  # somebody may still be writing them
        for path in folder.iterdir():
            os.utime(path, (0, 0))
        strays = {path.name for path in folder.iterdir()} - {each.id for each in held}
        assert vault.remove_strays() == len(strays) > 0
        assert {path.name for path in folder.iterdir()} == {each.id for each in held}
        assert all(vault.read(each).startswith(MARKER) for each in held)


def test_strays_are_told_by_their_names_and_nothing_else_is_touched(vault: Vault, tmp_path: Path):
    assert vault.remove_strays() == 0
    (tmp_path / "vault").mkdir()
    for name in ("vlt_" + "0" * 26, "vlt_" + "1" * 26 + ".partial", "notes.txt", "vlt_short"):
        path = tmp_path / "vault" / name
        path.write_bytes(b"")
        os.utime(path, (0, 0))
    assert vault.remove_strays() == 2
    assert {path.name for path in (tmp_path / "vault").iterdir()} == {"notes.txt", "vlt_short"}


def test_the_housekeeper_sweeps(store: Store, vault: Vault, hold: Callable[..., VaultObject], clock: Clock):
    hold(days=1)
    clock.now += timedelta(days=2)
    housekeeper = Housekeeper(Idle(), None, vault)  # type: ignore[arg-type]
    housekeeper.start()
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while store.vault.objects():
        assert datetime.now(UTC) < deadline
    housekeeper.close()


def test_the_command_line_lists_prolongs_and_destroys(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = Command(capsys, tmp_path / "data")
    command.ok("init")
    sealer = Sealer(tmp_path / "data" / "feature.key")
    sealer.make_key_file()
    with Store.open(f"sqlite:///{tmp_path / 'data' / 'baken.sqlite3'}") as store:
        vault = Vault(store, sealer, tmp_path / "data" / "vault")
        ends_at = datetime.now(UTC) + timedelta(days=2)
        held = vault.hold(DATA, {Purpose.WATCH}, until=ends_at, reason="matched")
        command.ok("vault", "extend", held.id, "--days", "20", "--reason", "the police asked")
        [listed] = command.ok("vault", "list", "--json").json
        assert (listed["id"], listed["size_bytes"], listed["destroyed_at"]) == (held.id, len(DATA), None)
        assert datetime.fromisoformat(listed["ends_at"]) > ends_at + timedelta(days=17)
        assert "key" not in str(listed)
        refused = command("vault", "extend", held.id, "--days", "31", "--reason", "more")
        assert refused.exit_code == 1
        assert "may be held until" in refused.err
        refused = command("vault", "extend", held.id, "--days", "3", "--reason", "less")
        assert refused.exit_code == 1
        assert "already" in refused.err
        assert command("vault", "destroy", held.id, "--reason", "over").exit_code == 2
        command.ok("vault", "destroy", held.id, "--reason", "over", "--yes")
        assert command.ok("vault", "list", "--json").json == []
        [gone] = command.ok("vault", "list", "--destroyed", "--json").json
        assert gone["destroyed_at"] is not None
        assert held.id in command.ok("vault", "list", "--destroyed").out
        assert not (tmp_path / "data" / "vault" / held.id).exists()
