"""`make demo`: one table that tells the truth, and an API that answers the line it prints."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from baken import demo
from baken.cases import Awaits, CaseState
from baken.cli import run
from baken.model import EntryState, Finding
from baken.settings import load
from baken.store import Store
from command_line import process

PORT = load({}).port


def once(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    exit_code = run(demo.app, ["--once", "--data-dir", str(folder)], "demo")
    printed = capsys.readouterr()
    return exit_code, printed.out, printed.err


@dataclass(frozen=True, slots=True)
class FirstRun:
    """A demo that ran once, in an environment that names another database."""

    folder: Path
    other_database: Path
    ended: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    base = tmp_path_factory.mktemp("first-run")
    folder, other = base / "demo", base / "real.sqlite3"
    command = [sys.executable, "-m", "baken.demo", "--once", "--data-dir", str(folder)]
    environment = os.environ | {"BAKEN_DATABASE_URL": f"sqlite:///{other}"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return FirstRun(folder, other, ended)


@pytest.fixture
def filled_folder(first_run: FirstRun, tmp_path: Path) -> Path:
    """A folder of its own that a first run filled."""
    return shutil.copytree(first_run.folder, tmp_path / "demo")


def test_every_copy_is_matched_and_every_broken_file_unscreenable_in_one_narrow_table(first_run: FirstRun):
    out = first_run.ended.stdout
    assert (first_run.ended.returncode, first_run.ended.stderr) == (0, "")
    rows = [
        line.split()
        for line in out.splitlines()
        if re.match(r"\s*(copy|part|own|benign|unrelated|broken)-[^:]*$", line)
    ]
    assert max(len(line.rstrip()) for line in out.splitlines()) <= demo.WIDTH
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row[0].partition("-")[0], set()).add(f"{row[1]} {row[2]}")
    assert found == {
        "copy": {"matched block"},
        "part": {"matched block"},
        "own": {"matched hold"},
        "benign": {"clear allow"},
        "unrelated": {"clear allow"},
        "broken": {"unscreenable hold", "unscreenable allow"},
    }
    assert len(rows) == 22
    told = " ".join(out.split())
    assert re.search(
        r"part-captioned_crop.jpg: the item without its caption \([^)]*\) shows a part of the banked", told
    )
    assert re.search(r"part-bordered.jpg: the item without what surrounds it \([^)]*\) shows the whole banked", told)
    assert told.count("checked: the same picture") == 2
    assert re.search(r"one more picture banked in demo-known-later:\n1 item seen before match \(case case_", out)
    assert ["copy-mirrored.jpg", "matched", "block", "demo-known", "0", "bits", "mirrored"] in [row[:7] for row in rows]


def test_a_second_run_banks_nothing_twice(filled_folder: Path, capsys: pytest.CaptureFixture[str]):
    assert once(filled_folder, capsys)[0] == 0
    with Store.open(f"sqlite:///{filled_folder / 'baken.sqlite3'}") as store:
        active = {bank.name: store.bank_counts(bank.id)[EntryState.ACTIVE] for bank in store.banks()}
        assert active == {"demo-known": 4, "demo-own-photos": 2, "demo-benign": 1, "demo-known-later": 1}
        assert sum(store.screening_counts().values()) == 46
        assert sorted(case.item_count for case in store.cases.cases()) == [1, 1, 1, 11]


def test_the_demo_stays_in_its_own_folder(first_run: FirstRun):
    assert (first_run.folder / "baken.sqlite3").exists()
    assert not first_run.other_database.exists()


def test_a_missed_copy_fails_the_demo(
    filled_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    real = demo._write_incoming

    def expect_one_more(folder: Path, *, late_is_known: bool) -> dict[str, Finding]:
        return real(folder, late_is_known=late_is_known) | {"unrelated-10.jpg": Finding.MATCHED}

    monkeypatch.setattr(demo, "_write_incoming", expect_one_more)
    exit_code, _, err = once(filled_folder, capsys)
    assert exit_code == 1
    assert "error: unrelated-10.jpg did not give what it must" in err


def sign_in_with(link: str) -> httpx.Client:
    """A browser that has opened a one-time link and pressed the button."""
    address, _, code = link.partition("#")
    browser = httpx.Client(trust_env=False, timeout=60)
    [token] = re.findall(r'name="form_token" value="([^"]*)"', browser.get(address).text)[:1]
    answer = browser.post(address, data={"form_token": token, "code": code})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    return browser


def test_the_printed_lines_work_when_pasted_even_when_the_port_is_taken(tmp_path: Path):
    if shutil.which("curl") is None:
        pytest.skip("curl: not installed, so the line that the demo prints was not run")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", PORT))
            taken.listen()
        except OSError:
            pass  # somebody else has it: taken all the same
        with process("--data-dir", tmp_path / "a demo's folder", module="baken.demo") as serving:
            assert serving.stdout is not None
            assert serving.stderr is not None
            printed = {}
            for line in serving.stdout:
                name, _, rest = line.strip().partition(" ")
                printed[name] = rest.strip()
                if name == "try":
                    break
            said = []
            while "index_loaded" not in "".join(said[-1:]):
                said.append(serving.stderr.readline())
                assert said[-1], "".join(said)
            try:
                with (
                    closing(sign_in_with(printed["demo-lead"])) as lead,
                    closing(sign_in_with(printed["demo-admin"])) as admin,
                ):
                    queue = lead.get(f"{printed['console']}/cases")
                    assert admin.get(f"{printed['console']}/users").status_code == 200
                pasted = subprocess.run(printed["try"], shell=True, capture_output=True, text=True, check=True)  # noqa: S602
            finally:
                serving.send_signal(signal.SIGINT)
            serving.communicate(timeout=60)
    assert f":{PORT}/" not in printed["try"]
    assert queue.status_code == 200
    assert "demo-reviewer" in queue.text
    answer = json.loads(pasted.stdout)
    assert (answer["finding"], answer["verdict"]) == ("matched", "block")
    assert serving.returncode == 0
    folder = tmp_path / "a demo's folder"
    with Store.open(f"sqlite:///{folder / 'baken.sqlite3'}") as store:
        cases = store.cases.cases(limit=200)
    assert len(cases) >= 36
    assert {case.state for case in cases} == {CaseState.OPEN, CaseState.ON_HOLD, CaseState.DECIDED}
    assert {case.awaits for case in cases} == {*Awaits, None}
    assert max(case.item_count for case in cases) >= 14
    assert len({case.decision for case in cases}) == 5


def test_an_earlier_key_of_the_demo_is_revoked(tmp_path: Path):
    settings = load({}, data_dir=tmp_path)
    with demo.assemble.initialise(settings) as baken:
        first, second = demo._new_key(baken), demo._new_key(baken)
        assert first != second
        keys = baken.store.keys()
    assert [key.revoked_at is None for key in keys] == [False, True]
