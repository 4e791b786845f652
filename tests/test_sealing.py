"""Sealed values open where they were sealed, with any key of the file, and nowhere else; keys never show."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from baken.errors import (
    BakenError,
    InvalidValueError,
    SealDamagedError,
    SealKeyFileError,
    SealKeyMissingError,
    SealKeyUnknownError,
)
from baken.sealing import MAX_SEALED_BYTES, OVERHEAD_BYTES, Place, Sealed, SealedKind, Sealer, place_of_keypoints

PLACE = place_of_keypoints(7, bytes(range(32)))
KEY_A, KEY_B = "aa" * 32, "bb" * 32


@pytest.fixture(scope="module")
def sealer(tmp_path_factory: pytest.TempPathFactory) -> Sealer:
    """A sealer with a key of its own."""
    made = Sealer(tmp_path_factory.mktemp("keys") / "feature.key")
    assert made.make_key_file()
    return made


def with_keys(folder: Path, *lines: str) -> Sealer:
    path = folder / "feature.key"
    path.write_text("".join(f"{line}\n" for line in lines))
    return Sealer(path)


@given(data=st.binary(max_size=300))
def test_what_was_sealed_opens_at_its_place(sealer: Sealer, data: bytes):
    sealed = sealer.seal(data, PLACE)

    assert sealer.open(Sealed(sealed, PLACE)) == data
    assert len(sealed) == len(data) + OVERHEAD_BYTES
    assert len(data) < 8 or data not in sealed


def test_it_is_aes_256_gcm_as_the_module_says(tmp_path: Path):
    sealed = with_keys(tmp_path, KEY_A).seal(b"keypoints", PLACE)
    bound = sealed[:12] + b"keypoints\0" + (7).to_bytes(8, "big") + PLACE.sha256

    assert sealed[:4] == b"BKS\x01"
    assert AESGCM(bytes.fromhex(KEY_A)).decrypt(sealed[12:24], sealed[24:], bound) == b"keypoints"


def test_sealing_the_same_twice_shows_nothing_of_it(sealer: Sealer):
    assert sealer.seal(b"the same", PLACE) != sealer.seal(b"the same", PLACE)


@pytest.mark.parametrize(
    "elsewhere", [replace(PLACE, bank_id=8), replace(PLACE, sha256=bytes(32)), replace(PLACE, bank_id=-7)], ids=repr
)
def test_a_value_that_was_moved_does_not_open(sealer: Sealer, elsewhere: Place):
    sealed = sealer.seal(b"keypoints", PLACE)

    with pytest.raises(SealDamagedError, match="sealed for another entry") as raised:
        sealer.open(Sealed(sealed, elsewhere))

    assert f"bank {elsewhere.bank_id}" in raised.value.message


@given(st.data())
def test_a_value_that_was_changed_anywhere_does_not_open(sealer: Sealer, data: st.DataObject):
    sealed = bytearray(sealer.seal(b"keypoints of a picture", PLACE))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises((SealDamagedError, SealKeyUnknownError)):
        sealer.open(Sealed(bytes(sealed), PLACE))


@given(st.data())
def test_a_value_that_was_cut_or_made_longer_does_not_open(sealer: Sealer, data: st.DataObject):
    sealed = sealer.seal(b"keypoints", PLACE)
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]

    for changed in (cut, sealed + data.draw(st.binary(min_size=1, max_size=40))):
        with pytest.raises(SealDamagedError):
            sealer.open(Sealed(changed, PLACE))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_open_or_are_named_as_damage(sealer: Sealer, noise: bytes, looks_sealed: bool):
    head = sealer.seal(b"", PLACE)[:12] if looks_sealed else b""

    with pytest.raises((SealDamagedError, SealKeyUnknownError)) as raised:
        sealer.open(Sealed(head + noise, PLACE))

    assert raised.value.hint


def test_too_much_is_neither_sealed_nor_opened(sealer: Sealer):
    most = bytes(MAX_SEALED_BYTES - OVERHEAD_BYTES)

    assert sealer.open(Sealed(sealer.seal(most, PLACE), PLACE)) == most
    with pytest.raises(InvalidValueError, match="at most"):
        sealer.seal(most + b"\0", PLACE)
    with pytest.raises(SealDamagedError):
        sealer.open(Sealed(sealer.seal(most, PLACE) + b"\0", PLACE))


def test_a_place_without_a_digest_is_refused(sealer: Sealer):
    with pytest.raises(InvalidValueError, match="31 bytes, expected 32"):
        sealer.seal(b"keypoints", Place(SealedKind.KEYPOINTS, 1, bytes(31)))


def test_a_new_first_key_seals_and_the_old_one_still_opens(tmp_path: Path):
    sealer = with_keys(tmp_path, KEY_A)
    old = sealer.seal(b"old", PLACE)

    with_keys(tmp_path, "# the new one", KEY_B, "", KEY_A)  # as an operator would, while the process runs
    new = sealer.seal(b"new", PLACE)

    assert [sealer.open(Sealed(each, PLACE)) for each in (old, new)] == [b"old", b"new"]
    assert (old[4:12].hex(), new[4:12].hex()) == sealer.key_ids()[::-1]
    with_keys(tmp_path, KEY_B)
    with pytest.raises(SealKeyUnknownError, match=old[4:12].hex()) as raised:
        sealer.open(Sealed(old, PLACE))
    assert sealer.open(Sealed(new, PLACE)) == b"new"
    assert "backup" in raised.value.hint


def test_a_lost_key_file_is_named(tmp_path: Path):
    sealer = with_keys(tmp_path, KEY_A)
    sealed = sealer.seal(b"x", PLACE)
    sealer.key_path.unlink()

    for use in (lambda: sealer.open(Sealed(sealed, PLACE)), lambda: sealer.seal(b"x", PLACE), sealer.key_ids):
        with pytest.raises(SealKeyMissingError, match=r"feature\.key") as raised:
            use()
    assert "backup" in raised.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n\n",
        "aa\n",
        f"{KEY_A[:-1]}g\n",
        f"{KEY_A}aa\n",
        f"{KEY_A}\n{KEY_B[:-2]}\n",
        "é" * 64,
        "a" * 70_000,
    ],
    ids=["empty", "comments", "short", "no hex", "long", "second short", "no ascii", "vast"],
)
def test_a_file_that_holds_no_keys_is_named_and_not_shown(tmp_path: Path, text: str):
    path = tmp_path / "feature.key"
    path.write_text(text)

    with pytest.raises(SealKeyFileError, match=r"feature\.key") as raised:
        Sealer(path).seal(b"x", PLACE)

    assert not any(part in raised.value.message for part in ("aaaaaa", "bbbbbb"))


@given(st.binary(max_size=300))
def test_any_key_file_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.mktemp("fuzz") / "feature.key"
    path.write_bytes(content)

    with pytest.raises(SealKeyFileError):
        Sealer(path).seal(b"x", PLACE)


def test_a_folder_or_a_pipe_in_place_of_the_key_file_is_named(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(SealKeyFileError, match=name):
            Sealer(tmp_path / name).seal(b"x", PLACE)


def test_a_key_file_is_for_its_owner_alone_and_never_replaced(tmp_path: Path):
    sealer = Sealer(tmp_path / "new folder" / "feature.key")

    assert sealer.make_key_file()
    text = sealer.key_path.read_text()
    assert not sealer.make_key_file()

    assert sealer.key_path.read_text() == text
    assert stat.S_IMODE(sealer.key_path.stat().st_mode) == 0o600
    assert [each.name for each in sealer.key_path.parent.iterdir()] == ["feature.key"]
    assert len(sealer.key_ids()) == 1


def test_of_many_that_make_it_at_once_one_does(tmp_path: Path):
    sealers = [Sealer(tmp_path / "feature.key") for _ in range(16)]
    barrier, made = threading.Barrier(len(sealers)), []

    def make(sealer: Sealer) -> None:
        barrier.wait()
        made.append(sealer.make_key_file())

    threads = [threading.Thread(target=make, args=(each,)) for each in sealers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == [False] * 15 + [True]
    assert len({each.key_ids() for each in sealers}) == 1


def test_a_place_where_no_file_can_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(SealKeyFileError, match="cannot be written"):
        Sealer(tmp_path / "file" / "feature.key").make_key_file()


def test_another_process_opens_what_was_sealed(sealer: Sealer):
    sealed = Sealed(sealer.seal(b"for the other process", PLACE), PLACE)
    program = (
        "import pickle, sys; from pathlib import Path; from baken.sealing import Sealer;"
        "sys.stdout.buffer.write(Sealer(Path(sys.argv[1])).open(pickle.load(sys.stdin.buffer)))"
    )
    command = [sys.executable, "-c", program, str(sealer.key_path)]

    done = subprocess.run(command, input=pickle.dumps(sealed), capture_output=True, check=True)

    assert done.stdout == b"for the other process"


def test_neither_a_sealer_nor_its_errors_show_a_key(tmp_path: Path):
    sealer = with_keys(tmp_path, KEY_A)
    sealer.seal(b"x", PLACE)

    shown = repr(sealer) + str(sealer.key_ids())
    try:
        sealer.open(Sealed(sealer.seal(b"x", PLACE), replace(PLACE, bank_id=1)))
    except BakenError as error:
        shown += error.message + error.hint

    assert "aaaaaa" not in shown
