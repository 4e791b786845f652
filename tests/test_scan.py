"""Folders through the gate: everything found, recorded and told, whatever lies in them."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import worker_jobs
from baken import assemble, banking, pipeline, scan_walk, settings
from baken.assemble import Baken
from baken.errors import InvalidValueError
from baken.model import BankState, Finding, Provenance, Purpose, Transform, UnscreenableReason, Verdict
from baken.samples import draw
from baken.samples_files import altered_copies, encoded, truncated_jpeg
from baken.scan import ScannedFile, Scanner, ScanOptions, Unremembered
from baken.scan_steps import Sources
from baken.scan_walk import FoundFile, SkippedPath, SkipReason
from baken.store import Store
from baken.workers import FileFingerprinter

SIZE_PX = (320, 240)
TWO = ScanOptions(processes=2)


@pytest.fixture
def baken(store_url: str, tmp_path: Path) -> Iterator[Baken]:
    """An initialised Baken with one bank that holds one drawn picture, on each engine."""
    with assemble.initialise(settings.load({}, data_dir=tmp_path / "data", database_url=store_url)) as opened:
        opened.store.create_bank("known", Purpose.KNOWN_ABUSE, radius_bits=31, verdict=Verdict.BLOCK, actor="test")
        picture = tmp_path / "banked.png"
        picture.write_bytes(encoded(draw(1, SIZE_PX), "PNG"))
        banking.add_files(
            opened.store,
            opened.gate.known,
            "known",
            [str(picture)],
            Provenance("test", "test"),
            actor="test",
            fingerprinter=FileFingerprinter(),
            keeping=opened.keeping,
        )
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder beside the database."""
    path = tmp_path / "in"
    path.mkdir()
    return path


def screened(
    baken: Baken, *roots: Path, skips: list[SkippedPath] | None = None, options: ScanOptions = TWO
) -> list[ScannedFile]:
    on_skip = ([] if skips is None else skips).append
    names = [str(root) for root in roots]
    return list(Scanner(Sources(names), baken.gate, Unremembered(baken.store), options, on_skip=on_skip).run())


def findings(scanned: list[ScannedFile]) -> dict[str, Finding]:
    return {Path(each.path).name: each.screening.outcome.finding for each in scanned}


def write_mixed_folder(folder: Path) -> None:
    (folder / "sub").mkdir(parents=True)
    for name, suffix, data in altered_copies(draw(1, SIZE_PX)):
        (folder / f"{name}{suffix}").write_bytes(data)
    (folder / "other.jpg").write_bytes(encoded(draw(7, SIZE_PX), "JPEG"))
    (folder / "sub" / "cut.jpg").write_bytes(truncated_jpeg(draw(1, SIZE_PX)))
    (folder / "sub" / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")


def test_every_copy_is_matched_and_every_broken_file_is_unscreenable(baken: Baken, tmp_path: Path):
    write_mixed_folder(tmp_path / "in")
    scanned = screened(baken, tmp_path / "in")
    assert Counter(findings(scanned).values()) == {Finding.MATCHED: 9, Finding.UNSCREENABLE: 3, Finding.CLEAR: 1}
    assert findings(scanned)["other.jpg"] is Finding.CLEAR
    by_name = {Path(each.path).stem: each.screening.outcome.matches for each in scanned}
    assert by_name["mirrored"][0].transform is Transform.MIRRORED
    assert by_name["exif_rotated"][0].transform is Transform.IDENTITY


def test_every_file_is_recorded_under_its_path_below_the_root(baken: Baken, tmp_path: Path):
    write_mixed_folder(tmp_path / "in")
    scanned = screened(baken, tmp_path / "in", options=ScanOptions(processes=2, ref_prefix="album/7/"))
    cut = next(each for each in scanned if each.path.endswith("cut.jpg"))
    assert cut.screening.meta.item_ref == "album/7/sub/cut.jpg"
    for each in scanned:
        stored = baken.store.screening(each.screening.id)
        assert stored.meta == each.screening.meta
        assert stored.outcome == each.screening.outcome
    assert sum(baken.store.screening_counts().values()) == len(scanned)


def test_a_file_named_as_root_is_referred_to_by_its_name(baken: Baken, tmp_path: Path):
    path = tmp_path / "one.jpg"
    path.write_bytes(encoded(draw(7, SIZE_PX), "JPEG"))
    assert [each.screening.meta.item_ref for each in screened(baken, path)] == ["one.jpg"]


def test_one_process_and_two_find_the_same(baken: Baken, tmp_path: Path):
    write_mixed_folder(tmp_path / "in")
    one = screened(baken, tmp_path / "in", options=ScanOptions(processes=1))
    two = screened(baken, tmp_path / "in", options=ScanOptions(processes=2))
    assert [each.path for each in one] == [each.path for each in two]
    assert [each.screening.outcome for each in one] == [each.screening.outcome for each in two]


def test_a_file_that_crashes_its_decoder_is_unscreenable_and_the_others_are_screened(
    baken: Baken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pipeline, "FileFingerprinter", worker_jobs.CrashingFingerprinter)
    write_mixed_folder(tmp_path / "in")
    (tmp_path / "in" / "crash.jpg").write_bytes(worker_jobs.CRASH)
    scanned = screened(baken, tmp_path / "in")
    crashed = next(each.screening for each in scanned if each.path.endswith("crash.jpg"))
    assert len(scanned) == 14
    assert crashed.outcome.reason == UnscreenableReason.DECODER_FAILED
    assert crashed.outcome.verdict is Verdict.HOLD
    assert baken.store.screening(crashed.id).outcome == crashed.outcome
    assert findings(scanned)["jpeg_40.jpg"] is Finding.MATCHED


def test_one_file_alone_that_crashes_its_decoder_takes_nobody_along_and_keeps_its_digests(
    baken: Baken, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pipeline, "FileFingerprinter", worker_jobs.CrashingFingerprinter)
    (folder / "crash.jpg").write_bytes(worker_jobs.CRASH)
    (scanned,) = screened(baken, folder)
    computed = scanned.screening.fingerprints
    assert scanned.screening.outcome.reason == UnscreenableReason.DECODER_FAILED
    assert computed.unscreenable is not None
    assert computed.unscreenable.detail == "the decoding process ended by SIGSEGV"
    assert computed.sha256 == hashlib.sha256(worker_jobs.CRASH).digest()


def test_what_a_decoder_says_is_recorded_even_when_it_is_no_text(
    baken: Baken, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pipeline, "FileFingerprinter", worker_jobs.RaisingFingerprinter)
    (folder / "crash.jpg").write_bytes(worker_jobs.CRASH)
    (scanned,) = screened(baken, folder)
    stored = baken.store.screening(scanned.screening.id).fingerprints.unscreenable
    assert stored is not None
    assert stored.detail == r"ValueError: cannot decode 'caf\udce9.jpg\x00'"


def test_an_unreadable_file_is_unscreenable_and_matches_nothing(baken: Baken, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "gone.jpg").symlink_to(folder / "nothing")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    scanned = screened(baken, folder)
    assert [each.screening.outcome.reason for each in scanned] == [UnscreenableReason.UNREADABLE] * 2
    assert {each.screening.outcome.verdict for each in scanned} == {Verdict.HOLD}


def test_a_file_whose_name_is_no_utf8_is_screened_and_recorded(baken: Baken, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = os.path.join(os.fsencode(folder), b"caf\xe9.jpg")  # noqa: PTH118 - pathlib takes no bytes
    with open(path, "wb") as file:  # noqa: PTH123 - likewise
        file.write(encoded(draw(1, SIZE_PX), "JPEG"))
    (scanned,) = screened(baken, folder)
    assert scanned.screening.outcome.finding is Finding.MATCHED
    assert baken.store.screening(scanned.screening.id).meta.item_ref == r"caf\xe9.jpg"


def test_special_files_and_linked_folders_are_skipped_with_a_reason(baken: Baken, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "up").symlink_to(tmp_path)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.close()
    skips: list[SkippedPath] = []
    assert screened(baken, folder, skips=skips) == []
    found = {Path(each.path).name: each.reason for each in skips}
    assert found == {
        "pipe": SkipReason.SPECIAL_FILE,
        "socket": SkipReason.SPECIAL_FILE,
        "up": SkipReason.LINKED_FOLDER,
    }


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "shut").mkdir()
    (tmp_path / "open" / "a.jpg").touch()
    real = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:  # tests may run as root, whom no mode keeps out
        if path.endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = list(scan_walk.walk(str(tmp_path)))
    assert found == [
        FoundFile(str(tmp_path / "open" / "a.jpg"), "open/a.jpg", b"open\0a.jpg", size_bytes=0),
        SkippedPath(str(tmp_path / "shut"), SkipReason.UNREADABLE_FOLDER, "Permission denied"),
    ]


def test_a_missing_root_is_refused_before_any_work(baken: Baken, tmp_path: Path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InvalidValueError, match=r"none' cannot be read: No such file"):
        screened(baken, tmp_path / "a.jpg", tmp_path / "none")
    assert sum(baken.store.screening_counts().values()) == 0


def test_the_walk_is_depth_first_and_in_the_order_of_names(tmp_path: Path):
    for name in ("b/2.jpg", "b/1.jpg", "a.jpg", "c.jpg", "b/deep/3.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [each.relative for each in scan_walk.files([str(tmp_path)], pytest.fail)]
    assert found == ["a.jpg", "b/1.jpg", "b/2.jpg", "b/deep/3.jpg", "c.jpg"]


def test_a_folder_larger_than_a_run_is_walked_whole_and_twice_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scan_walk, "_RUN_ENTRIES", 10)
    for number in range(95):
        (tmp_path / f"{number}.jpg").touch()
    first = [each.path for each in scan_walk.files([str(tmp_path)], pytest.fail)]
    assert len(set(first)) == 95
    assert first == [each.path for each in scan_walk.files([str(tmp_path)], pytest.fail)]


def test_a_folder_of_exactly_one_run_is_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scan_walk, "_RUN_ENTRIES", 10)
    for number in range(10):
        (tmp_path / f"{number}.jpg").touch()
    assert len(list(scan_walk.walk(str(tmp_path)))) == 10


def test_a_walk_begins_behind_any_key_whether_its_file_is_there_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scan_walk, "_RUN_ENTRIES", 3)
    for name in ("A", "a.b/1", "a.b/c/2", "a.b/d", "a/x", "b", "c/k", "z/z/z"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    keys = [each.key for each in scan_walk.files([str(tmp_path)], pytest.fail)]
    assert keys == sorted(keys)
    assert keys[:4] == [b"A", b"a\0x", b"a.b\x001", b"a.b\0c\x002"]
    # The last but three names folders that are gone, one of them called as one that is there elsewhere.
    for key in (*keys, b"a", b"a.b", b"a.b\0c", b"0", b"a\0c\0z", b"a.c\0never\0there", b"z\0z\0z\0z"):
        behind = [each.key for each in scan_walk.walk(str(tmp_path), key) if isinstance(each, FoundFile)]
        assert behind == [each for each in keys if each > key]


def test_a_tree_deeper_than_the_stack_is_walked(tmp_path: Path):
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=folder)
        deeper = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(os.open("last.jpg", os.O_CREAT, dir_fd=folder))
    os.close(folder)
    (found,) = scan_walk.files([str(tmp_path)], pytest.fail)
    assert found.relative.endswith("d/last.jpg")
    assert found.relative.count("/") == 1_500
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # deeper than pytest's own clean-up can go


def test_stopping_still_records_and_yields_what_is_finished(baken: Baken, folder: Path):
    for number in range(400):
        (folder / f"{number}.txt").write_text("x")
    judged: list[datetime] = []

    def clock() -> datetime:
        judged.append(datetime.now(UTC))
        return judged[-1]

    gate = replace(baken.gate, now=clock)
    scanner = Scanner(
        Sources([str(folder)]),
        gate,
        Unremembered(baken.store),
        TWO,
        on_skip=pytest.fail,
        should_stop=lambda: len(judged) >= 60,
    )
    seen = list(scanner.run(batch_files=20))
    assert 60 <= len(seen) < 200
    assert sum(baken.store.screening_counts().values()) == len(seen)


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scan_walk, "_RUN_ENTRIES", 150)
    few, many = (peak_bytes(tmp_path, count) for count in (400, 1_200))
    assert many - few < 1 << 18  # keeping the screenings would take 1 MiB


def peak_bytes(tmp_path: Path, count: int) -> int:
    """The most memory that scanning a folder of `count` files takes beyond what is taken before it."""
    folder = tmp_path / str(count)
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text("no picture, quickly told")
    with assemble.initialise(settings.load({}, data_dir=tmp_path / f"data-{count}")) as baken:
        scanner = Scanner(Sources([str(folder)]), baken.gate, Unremembered(baken.store), TWO, on_skip=pytest.fail)
        tracemalloc.start()
        screened_count = sum(1 for _ in scanner.run(batch_files=100))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert screened_count == count
    return peak


def test_a_bank_paused_during_a_scan_stops_matching(baken: Baken, store_url: str, folder: Path):
    data = encoded(draw(1, SIZE_PX), "JPEG")
    for number in range(60):
        (folder / f"{number:04}.jpg").write_bytes(data)
    journal, options = Unremembered(baken.store), ScanOptions(processes=1)
    scanner = Scanner(Sources([str(folder)]), baken.gate, journal, options, on_skip=lambda _: None)
    files = scanner.run(batch_files=16)  # so that the first is told before the last is judged
    first = next(files)
    with Store.open(store_url) as other:
        other.set_bank_state("known", BankState.PAUSED, actor="test", reason="a wrong list")
    rest = [each.screening.outcome.finding for each in files]
    assert first.screening.outcome.finding is Finding.MATCHED
    assert rest[-1] is Finding.CLEAR
