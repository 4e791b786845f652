"""An import that is killed or stopped keeps what it committed, and starting it again adds the rest, each entry once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baken.model import EntryState, Purpose, Verdict
from baken.store import Store
from import_child import BATCH_ENTRIES

ENTRIES = 1_200
CHILD = Path(__file__).with_name("import_child.py")


@pytest.fixture
def store(store: Store) -> Store:
    """The store on each engine, with an empty bank."""
    store.create_bank("known", Purpose.KNOWN_ABUSE, radius_bits=31, verdict=Verdict.BLOCK, actor="test")
    return store


@pytest.fixture
def list_path(tmp_path: Path) -> Path:
    """A list of two fingerprints a line."""
    path = tmp_path / "list.csv"
    path.write_text("pdq,md5\n" + "".join(f"{number:064x},{number:032x}\n" for number in range(ENTRIES)))
    return path


def start(store_url: str, tmp_path: Path, list_path: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "BAKEN_DATABASE_URL": store_url,
    }
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(tmp_path / "data"), str(list_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def count_of(store: Store) -> int:
    return store.bank_counts(store.bank("known").id)[EntryState.ACTIVE]


def counts_as_it_grows(store: Store, child: subprocess.Popen[str]) -> Iterator[int]:
    while child.poll() is None:
        yield count_of(store)
        time.sleep(0.005)


def wait_for_growth(store: Store, child: subprocess.Popen[str], by: int) -> None:
    before = count_of(store)
    assert any(count >= before + by for count in counts_as_it_grows(store, child)), child.communicate()


def finish(store_url: str, tmp_path: Path, list_path: Path) -> str:
    child = start(store_url, tmp_path, list_path)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    return out


def all_values(store: Store) -> list[bytes]:
    return sorted(entry.fingerprints[0].value for entry in store.entries("known", limit=2 * ENTRIES))


def test_a_killed_import_is_finished_by_starting_it_again(
    store: Store, store_url: str, tmp_path: Path, list_path: Path
):
    chance = random.Random(1120)  # noqa: S311 - moments, not secrets
    for _ in range(2):
        child = start(store_url, tmp_path, list_path)
        wait_for_growth(store, child, 1)
        time.sleep(chance.random() / 20)
        child.kill()
        child.communicate(timeout=60)
        assert count_of(store) % BATCH_ENTRIES == 0
    before = count_of(store)
    assert before < ENTRIES

    out = finish(store_url, tmp_path, list_path)

    assert out.startswith(f"{ENTRIES - before:,} entries added to known, {before:,} were there already, 0 bad lines")
    assert all_values(store) == [number.to_bytes(32, "big") for number in range(ENTRIES)]


def test_ctrl_c_ends_an_import_with_a_summary_and_starting_it_again_finishes_it(
    store: Store, store_url: str, tmp_path: Path, list_path: Path
):
    child = start(store_url, tmp_path, list_path)
    wait_for_growth(store, child, BATCH_ENTRIES)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    stopped_at = count_of(store)

    assert (child.returncode, err) == (130, "")
    assert out.startswith(f"{stopped_at:,} entries added to known, 0 bad lines")
    assert BATCH_ENTRIES <= stopped_at < ENTRIES
    finish(store_url, tmp_path, list_path)
    assert all_values(store) == [number.to_bytes(32, "big") for number in range(ENTRIES)]
