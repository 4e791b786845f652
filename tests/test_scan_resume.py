"""A scan that is killed, stopped or run twice: every file is screened exactly once, on each engine."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from baken import assemble, settings
from baken.assemble import Baken
from baken.errors import ConflictError, NotFoundError, NotReadyError, StoreBusyError, TurnLostError
from baken.scan import Remembered, ScannedFile, Scanner, ScanOptions, foreseen
from baken.scan_steps import Sources
from baken.scan_survey import survey
from baken.scan_tally import Tally
from baken.store import Store
from baken.store.scans import Asked, Position, ScanBatch, ScanState

CHILD = Path(__file__).with_name("scan_child.py")
FILES = 150
LONG_AGO = 1_000_000_000


@pytest.fixture
def baken(store_url: str, tmp_path: Path) -> Iterator[Baken]:
    """An initialised Baken without banks, on each engine."""
    with assemble.initialise(settings.load({}, data_dir=tmp_path / "data", database_url=store_url)) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that are quickly told to be no pictures, in folders, some with hostile names."""
    path = tmp_path / "in"
    for number in range(FILES):
        write(path / f"{number % 7}" / f"{number:03}.txt")
    for name in ("new\nline", "a b", "caf\udce9", "-rf", "'; DROP TABLE scans; --", "\x1b[31mred", "1.txt"):
        write(path / name)
    return path


def write(path: Path, content: str = "no picture") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that were just written count as settled."""
    monkeypatch.setattr("baken.scan_walk.SETTLED_SECONDS", -60.0)


def run(baken: Baken, asked: Asked, stop_after: int | None = None) -> list[ScannedFile]:
    """Run a scan in this process, or a part of it; what it recorded."""
    claim = baken.store.scans.claim(asked)
    done: list[ScannedFile] = []
    scanner = Scanner(
        Sources(claim.scan.roots),
        baken.gate,
        Remembered(baken.store, claim),
        ScanOptions(processes=1),
        on_skip=lambda _: None,
        should_stop=lambda: stop_after is not None and scanner.done_count >= stop_after,
        tally=Tally.of(claim.scan.counts),
    )
    try:
        done += scanner.run()
    finally:
        claim.let_go()
    return done


def recorded(store_url: str) -> Counter[str]:
    engine = create_engine(store_url)
    with engine.connect() as connection:
        refs = Counter(row[0] for row in connection.execute(text("SELECT item_ref FROM screenings")))
    engine.dispose()
    return refs


def start(store_url: str, tmp_path: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(tmp_path / "data"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "BAKEN_DATABASE_URL": store_url},
    )


def wait_for(store: Store, child: subprocess.Popen[str], count: int) -> None:
    while sum(store.screening_counts().values()) < count:
        assert child.poll() is None, child.communicate()
        time.sleep(0.005)


def test_a_killed_scan_is_resumed_and_every_file_is_screened_once(
    baken: Baken, store_url: str, tmp_path: Path, folder: Path
):
    chance = random.Random(1142)  # noqa: S311 - moments, not secrets
    child = start(store_url, tmp_path, folder, "--scan", "all", "--ref-prefix", "site/")
    for target in (1, 50):
        wait_for(baken.store, child, target)
        time.sleep(chance.random() / 50)
        child.kill()
        child.communicate(timeout=60)
        assert baken.store.scans.one("all").state is ScanState.UNFINISHED
        assert sum(recorded(store_url).values()) < FILES
        child = start(store_url, tmp_path, "--resume")

    out, err = child.communicate(timeout=120)

    assert (child.returncode, err) == (0, "")
    assert out.splitlines()[-1].startswith(f"{FILES + 7} files in ")
    refs = recorded(store_url)
    assert len(refs) == FILES + 7
    assert set(refs.values()) == {1}
    assert {r"site/caf\xe9", "site/new\nline", "site/1.txt", "site/1/001.txt"} <= set(refs)
    assert baken.store.scans.one("all").state is ScanState.FINISHED


def test_ctrl_c_says_how_to_go_on_and_an_unnamed_scan_is_forgotten_when_it_is_finished(
    baken: Baken, store_url: str, tmp_path: Path, folder: Path
):
    child = start(store_url, tmp_path, folder)
    wait_for(baken.store, child, 20)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    [scan] = baken.store.scans.list()

    assert child.returncode == 130
    assert err == f"not finished; go on with: baken screen --resume --scan {scan.name}\n"
    assert out.splitlines()[-1].startswith(f"{sum(recorded(store_url).values())} files in ")
    run(baken, Asked(scan.name, is_resumed=True))
    assert set(recorded(store_url).values()) == {1}
    assert len(recorded(store_url)) == FILES + 7
    assert baken.store.scans.list() == []


def test_files_that_come_and_go_while_a_scan_is_interrupted_move_no_other(baken: Baken, store_url: str, folder: Path):
    run(baken, Asked("all", (str(folder),)), stop_after=40)
    before = recorded(store_url)
    position = baken.store.scans.one("all").position
    (folder / os.fsdecode(position.key.replace(b"\0", b"/"))).unlink()  # the very file it stopped behind
    write(folder / "0" / "000a.txt")  # behind: the next run finds it
    write(folder / "6" / "zzz.txt")  # ahead: this run does
    run(baken, Asked("all", is_resumed=True))
    refs = recorded(store_url)

    assert set(refs.values()) == {1}
    assert len(refs) == FILES + 8
    assert before.keys() < refs.keys()
    assert "6/zzz.txt" in refs
    assert [each.screening.meta.item_ref for each in run(baken, Asked("all")) if "a.txt" in each.path] == ["0/000a.txt"]


def test_the_next_run_screens_what_is_new_or_changed_and_what_could_not_be_read(
    baken: Baken, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    settle(monkeypatch)
    (folder / "gone.jpg").symlink_to("nothing")
    assert len(run(baken, Asked("nightly", (str(folder),)))) == FILES + 8
    assert [each.path for each in run(baken, Asked("nightly"))] == [str(folder / "gone.jpg")]
    write(folder / "3" / "new.txt")
    write(folder / "5" / "005.txt", "PICTURE ?!")  # of the same size, and its time is put back
    os.utime(folder / "5" / "005.txt", (LONG_AGO, LONG_AGO))
    (folder / "6" / "006.txt").unlink()
    (folder / "2" / "002.txt").rename(folder / "2" / "renamed.txt")

    monkeypatch.setattr("baken.workers._WINDOW_ITEMS", 1)
    first = run(baken, Asked("nightly"), stop_after=90)
    changed = {each.screening.meta.item_ref for each in [*first, *run(baken, Asked("nightly"))]}

    assert changed == {"3/new.txt", "5/005.txt", "2/renamed.txt", "gone.jpg"}
    counts = baken.store.scans.one("nightly").counts
    assert (counts["unchanged_count"], baken.store.scans.one("nightly").run) == (FILES + 8 - 4, 3)
    assert len(run(baken, Asked("nightly", is_whole=True))) == FILES + 8


def test_a_file_changed_a_moment_ago_is_screened_again_by_the_next_run(
    baken: Baken, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("baken.scan_walk.SETTLED_SECONDS", 3_600.0)
    run(baken, Asked("nightly", (str(folder),)))
    assert len(run(baken, Asked("nightly"))) == FILES + 7


def test_marks_take_16_bytes_a_file_and_those_of_older_runs_go(
    baken: Baken, store_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    settle(monkeypatch)
    for _ in range(3):
        run(baken, Asked("nightly", (str(folder),)))
    engine = create_engine(store_url)
    with engine.connect() as connection:
        pages = connection.execute(text("SELECT run, length(marks) FROM scan_pages")).all()
    engine.dispose()
    assert {page[0] for page in pages} == {3}
    assert sum(page[1] for page in pages) == 16 * (FILES + 7)
    baken.store.scans.forget("nightly")
    assert baken.store.scans.list() == []


def test_a_scan_is_run_by_one_process_and_two_scans_side_by_side(baken: Baken, store_url: str, folder: Path):
    first, second = (baken.store.scans.claim(Asked(name, (str(folder),))) for name in ("a", "b"))
    with pytest.raises(StoreBusyError, match=f"'a' is being run by process {os.getpid()} on "):
        baken.store.scans.claim(Asked("a"))
    with pytest.raises(StoreBusyError):
        baken.store.scans.forget("a")
    for claim in (first, second):
        journal = Remembered(baken.store, claim)
        options = ScanOptions(processes=1)
        assert len(list(Scanner(Sources([str(folder)]), baken.gate, journal, options, on_skip=pytest.fail).run())) == (
            FILES + 7
        )
    assert set(recorded(store_url).values()) == {2}


def test_who_was_taken_for_dead_can_record_nothing_more(baken: Baken, folder: Path, monkeypatch: pytest.MonkeyPatch):
    sleeper = baken.store.scans.claim(Asked("all", (str(folder),)))
    monkeypatch.setattr("baken.store.scans._start_time", lambda _: "another process has this number now")
    baken.store.scans.claim(Asked("all"))
    with pytest.raises(TurnLostError, match="another process runs the scan 'all' now"):
        sleeper.record(ScanBatch([], Position(0, b"x"), b"", {}))
    sleeper.let_go()
    assert baken.store.scans.one("all").position == Position()


def test_other_paths_an_unknown_name_and_nothing_to_resume_are_refused(baken: Baken, folder: Path, tmp_path: Path):
    with pytest.raises(NotFoundError, match="there is no scan 'all'"):
        baken.store.scans.claim(Asked("all"))
    run(baken, Asked("all", (str(folder),)))
    with pytest.raises(ConflictError, match="other paths"):
        baken.store.scans.claim(Asked("all", (str(tmp_path),)))
    with pytest.raises(ConflictError, match="--ref-prefix"):
        baken.store.scans.claim(Asked("all", ref_prefix="x/"))
    with pytest.raises(ConflictError, match="finished, there is nothing to resume"):
        baken.store.scans.claim(Asked("all", is_resumed=True))


def test_a_disk_that_is_full_ends_a_scan_which_goes_on_where_it_was(
    baken: Baken, store_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    claim = baken.store.scans.claim(Asked("all", (str(folder),)))
    journal = Remembered(baken.store, claim)
    keep, batches = journal.record, []

    def record(batch: ScanBatch) -> None:
        batches.append(batch)
        if len(batches) > 1:
            raise NotReadyError("the disk is full", hint="free space on it")
        keep(batch)

    monkeypatch.setattr("baken.scan.BATCH_SECONDS", 0.0)
    monkeypatch.setattr(journal, "record", record)
    with pytest.raises(NotReadyError):
        list(Scanner(Sources([str(folder)]), baken.gate, journal, ScanOptions(1), on_skip=pytest.fail).run())
    claim.let_go()
    assert 0 < sum(recorded(store_url).values()) < FILES
    run(baken, Asked("all", is_resumed=True))
    assert set(recorded(store_url).values()) == {1}
    assert len(recorded(store_url)) == FILES + 7


def test_a_dry_run_counts_what_is_left_and_records_nothing(
    baken: Baken, store_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    settle(monkeypatch)
    sources = Sources([str(folder)])
    options = ScanOptions(processes=1, files_per_second=0.5)

    def counted(asked: Asked) -> tuple[int, int]:
        scans = {each.name: each for each in baken.store.scans.list()}
        journal = foreseen(baken.store, scans.get(asked.name), asked)
        found = survey(sources, baken.gate, journal, options, should_stop=lambda: False)
        assert found.sample_count == min(found.file_count, 200)
        assert found.estimated_seconds == (2.0 * found.file_count or None)
        return found.file_count, found.unchanged_count

    assert counted(Asked("all")) == (FILES + 7, 0)
    assert (recorded(store_url), baken.store.scans.list()) == (Counter(), [])
    run(baken, Asked("all", (str(folder),)), stop_after=100)
    done = sum(recorded(store_url).values())
    assert counted(Asked("all")) == (FILES + 7 - done, 0)
    run(baken, Asked("all"))
    assert counted(Asked("all")) == (0, FILES + 7)
    assert counted(Asked("all", is_whole=True)) == (FILES + 7, 0)
    assert len(recorded(store_url)) == FILES + 7
