"""What may befall the index on disk: damage, a restored database, a full disk. An answer is right or is none."""

from __future__ import annotations

import hashlib
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from baken import known_inspection
from baken._native import IndexFolder
from baken.banking import ListSource, import_list
from baken.errors import IndexCorruptError, NotReadyError
from baken.known import KnownFollower
from baken.known_files import LAYOUTS, KnownFiles
from baken.known_guard import KnownGuard
from baken.known_inspection import IndexState
from baken.model import BankState, EntryState, Fingerprint, FingerprintKind, NewEntry, Provenance, Purpose, Verdict
from baken.store import Store

CHILD = Path(__file__).parent / "known_child.py"
PROVENANCE = Provenance("test", "alice")
SEGMENT_OFFSET = 4096 + 32 * 3  # of a code in a segment's file
REMOVED_OFFSET = 64  # of the first rows' bits in a removed file
NO_PAUSE: Callable[[float], bool] = lambda _: False  # noqa: E731 - a value of the type that a pause has


def value(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=32).digest()


def add(store: Store, *numbers: int) -> list[int]:
    entries = [NewEntry((Fingerprint(FingerprintKind.PDQ, value(number)),)) for number in numbers]
    return store.add_entries("b", entries, PROVENANCE, actor="bob")


def found(follower: KnownFollower, number: int) -> list[int]:
    [answer] = follower.refresh().lookup([Fingerprint(FingerprintKind.PDQ, value(number))])
    return sorted(match.entry_id for match in answer.matches)


def make_bank(store: Store) -> None:
    store.create_bank("b", Purpose.WATCH, radius_bits=0, verdict=Verdict.ALLOW, actor="alice")


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with one bank and entries 1 to 5, on each engine."""
    make_bank(store)
    add(store, 1, 2, 3, 4, 5)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index" / "known"


Follow = Callable[..., KnownFollower]


@pytest.fixture
def follow(folder: Path) -> Iterator[Follow]:
    """Makes followers of a store, on the folder unless told otherwise."""
    with ExitStack() as closing:

        def make(store: Store, where: Path | None = folder) -> KnownFollower:
            follower = KnownFollower(store, where)
            closing.callback(follower.close)
            return follower

        yield make


def damage(folder: Path, offset: int = SEGMENT_OFFSET, pattern: str = "segment-*") -> None:
    """Change a byte of the PDQ index as failing hardware does: the file's times stay."""
    [damaged] = (folder / "pdq").glob(pattern)
    before = damaged.stat()
    with damaged.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xFF]))
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))


def forget_verification(folder: Path) -> None:
    os.utime(folder / "verify-lock", (1, 1))


# Damage


def test_damage_inside_a_segment_is_found_and_every_process_answers_right_again(
    filled: Store, folder: Path, follow: Follow, caplog: pytest.LogCaptureFixture
):
    first, second = follow(filled), follow(filled)
    assert found(first, 4) == found(second, 4) == [4]
    first.verify_when_due(3600, NO_PAUSE)
    damage(folder)
    forget_verification(folder)
    with caplog.at_level(logging.ERROR):
        first.verify_when_due(3600, NO_PAUSE)
    assert "damaged" in caplog.text
    assert "section 0" in caplog.text
    for follower in (first, second, follow(filled)):
        assert [found(follower, number) for number in range(1, 6)] == [[1], [2], [3], [4], [5]]
    forget_verification(folder)
    first.verify_when_due(3600, NO_PAUSE)
    assert caplog.text.count("damaged") == 1


def test_a_damaged_bit_that_hides_a_live_entry_is_found_and_every_process_answers_right_again(
    filled: Store, folder: Path, follow: Follow, caplog: pytest.LogCaptureFixture
):
    first, second = follow(filled), follow(filled)
    assert found(first, 4) == found(second, 4) == [4]
    first.verify_when_due(3600, NO_PAUSE)
    damage(folder, REMOVED_OFFSET, "removed-*")
    forget_verification(folder)
    assert found(first, 4) == []  # what nobody has noticed yet
    with caplog.at_level(logging.ERROR):
        first.verify_when_due(3600, NO_PAUSE)
    assert "a checksum of its bits is wrong" in caplog.text
    for follower in (first, second, follow(filled)):
        assert [found(follower, number) for number in range(1, 6)] == [[1], [2], [3], [4], [5]]
    forget_verification(folder)
    first.verify_when_due(3600, NO_PAUSE)
    assert caplog.text.count("is damaged") == 1


def test_a_removal_that_meets_a_damaged_bit_has_the_index_built_again(
    filled: Store, folder: Path, follow: Follow, caplog: pytest.LogCaptureFixture
):
    first, second = follow(filled), follow(filled)
    assert found(first, 4) == found(second, 4) == [4]
    [removed] = (folder / "pdq").glob("removed-*")
    with removed.open("r+b") as file:  # the bit of entry 4 alone: a whole byte would leave nothing to remove
        file.seek(REMOVED_OFFSET)
        file.write(b"\x08")
    with caplog.at_level(logging.WARNING):
        filled.set_entry_states("b", [2], EntryState.WITHDRAWN, actor="bob", reason="a test")
        first.refresh()
    assert "built again" in caplog.text
    assert "a checksum of its bits is wrong" in caplog.text
    assert "in memory" not in caplog.text
    for follower in (first, second, follow(filled)):
        assert [found(follower, number) for number in range(1, 6)] == [[1], [], [3], [4], [5]]


def test_an_index_known_to_be_damaged_gives_no_answer_until_it_is_built_again(
    filled: Store, folder: Path, follow: Follow
):
    searching = follow(filled)
    known = searching.refresh()
    files = KnownFiles(folder, filled)
    files.bring_to(filled.head_seq())
    damage(folder)
    with pytest.raises(IndexCorruptError):
        files.verify(NO_PAUSE)
    files.close()
    with pytest.raises(NotReadyError):
        known.lookup([Fingerprint(FingerprintKind.PDQ, value(4))])
    assert not searching.is_current()
    assert found(searching, 4) == [4]


def test_a_search_that_meets_damage_condemns_the_index_and_the_next_one_answers_right(
    filled: Store, folder: Path, follow: Follow, caplog: pytest.LogCaptureFixture
):
    searching, other = follow(filled), follow(filled)
    add(filled, *range(6, 3000))
    assert found(searching, 4) == found(other, 4) == [4]
    IndexFolder(str(folder / "pdq"), filled.history_id()).merge()
    known = searching.refresh()
    [segment] = (folder / "pdq").glob("segment-*")
    for offset in range(4096, segment.stat().st_size, 4096):  # every first number of a page of every directory
        damage(folder, offset)
    asked = [Fingerprint(FingerprintKind.PDQ, value(number)) for number in range(1, 3000)]
    with caplog.at_level(logging.ERROR), pytest.raises(NotReadyError):
        known.lookup(asked)
    assert "a search met damage" in caplog.text
    for follower in (searching, other, follow(filled)):
        assert [found(follower, number) for number in range(1, 6)] == [[1], [2], [3], [4], [5]]


def test_a_verification_is_due_once_an_interval_and_done_by_one_process_at_a_time(
    filled: Store, folder: Path, follow: Follow
):
    first, second = follow(filled), follow(filled)
    first.refresh()
    second.refresh()
    read: list[str] = []

    def reading(name: str, other: KnownFollower | None = None) -> Callable[[float], bool]:
        def wait(_: float) -> bool:
            read.append(name)
            if other is not None:
                other.verify_when_due(3600, reading("beside"))
            return False

        return wait

    first.verify_when_due(3600, reading("new"))  # just built
    assert read == []
    forget_verification(folder)
    first.verify_when_due(3600, reading("first", second))
    assert set(read) == {"first"}
    second.verify_when_due(3600, reading("again"))
    assert set(read) == {"first"}


def test_a_verification_that_is_stopped_stays_due(filled: Store, folder: Path, follow: Follow):
    follower = follow(filled)
    follower.refresh()
    follower.verify_when_due(3600, NO_PAUSE)
    damage(folder)
    forget_verification(folder)
    follower.verify_when_due(3600, lambda _: True)
    assert (folder / "verify-lock").stat().st_mtime == 1


def test_the_guard_of_a_server_finds_damage_by_itself_and_stops_at_once(
    filled: Store, folder: Path, follow: Follow, caplog: pytest.LogCaptureFixture
):
    follower = follow(filled)
    assert found(follower, 4) == [4]
    guard = KnownGuard(follower, verify_interval_seconds=0.01)
    with caplog.at_level(logging.ERROR):
        guard.start()
        damage(folder)
        end = time.monotonic() + 60
        while "damaged" not in caplog.text and time.monotonic() < end:
            time.sleep(0.01)
        guard.close()
    assert "built again from the database" in caplog.text
    assert found(follower, 4) == [4]
    guard.close()


def add_segments(files: KnownFiles) -> None:
    """Two more segments, the first too large to be merged with the second while more may come."""
    codes = np.random.default_rng(1).integers(0, 256, (100_000, 32), dtype=np.uint8)
    ids = np.arange(1 << 50, (1 << 50) + len(codes))
    files.pdq.add(codes[:80_000], ids[:80_000])
    files.pdq.add(codes[80_000:], ids[80_000:])
    assert not files.pdq.merge_due()


def test_the_guard_of_a_server_settles_an_index_to_which_nothing_is_added(filled: Store, folder: Path, follow: Follow):
    follower = follow(filled)
    assert found(follower, 4) == [4]
    files = KnownFiles(folder, filled)
    add_segments(files)
    guard = KnownGuard(follower, verify_interval_seconds=0.01)
    guard.start()
    end = time.monotonic() + 60
    while files.pdq.segment_count > 1 and time.monotonic() < end:
        time.sleep(0.01)
    guard.close()
    assert files.pdq.segment_count == 1
    assert len(files.pdq) == 100_005
    assert found(follower, 4) == [4]
    files.close()


def test_an_import_leaves_a_settled_index(filled: Store, folder: Path, follow: Follow, tmp_path: Path):
    follower = follow(filled)
    follower.refresh()
    files = KnownFiles(folder, filled)
    add_segments(files)
    (tmp_path / "list.txt").write_text(f"{7:064x}\n")
    import_list(filled, follower, "b", ListSource(tmp_path / "list.txt"), Provenance("test", "alice"), actor="bob")
    assert files.pdq.segment_count == 1
    files.close()


def test_settling_waits_for_a_merge_that_runs(filled: Store, folder: Path, follow: Follow):
    follow(filled).refresh()
    files = KnownFiles(folder, filled)
    codes = np.random.default_rng(2).integers(0, 256, (400_000, 32), dtype=np.uint8)
    ids = np.arange(1 << 50, (1 << 50) + len(codes))
    for start, end in ((0, 200_000), (200_000, 350_000), (350_000, 380_000), (380_000, 400_000)):
        files.pdq.add(codes[start:end], ids[start:end])
    files._merge_beside()
    files.settle()
    assert files.pdq.segment_count == 1
    files.close()


def test_settling_leaves_an_index_alone_that_may_only_be_read(filled: Store, folder: Path, follow: Follow):
    follow(filled).refresh()
    files = KnownFiles(folder, filled)
    add_segments(files)
    files.is_read_only = True
    files.settle()
    assert files.pdq.segment_count > 1
    files.close()


def test_a_merge_that_meets_damage_condemns_the_index(
    filled: Store, folder: Path, follow: Follow, caplog: pytest.LogCaptureFixture
):
    follower = follow(filled)
    follower.refresh()
    damage(folder)
    files = KnownFiles(folder, filled)
    codes = np.random.default_rng(1).integers(0, 256, (16_384, 32), dtype=np.uint8)
    files.pdq.add(codes, np.arange(1 << 50, (1 << 50) + 16_384))  # a second segment, so that a merge is due
    with caplog.at_level(logging.ERROR):
        files._merge()
    files.close()
    assert "damaged" in caplog.text
    assert found(follower, 4) == [4]
    assert len(follower.refresh()) == 5


def test_a_process_goes_on_with_what_it_has_while_another_builds_the_deleted_index(
    filled: Store, folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
):
    first = follow(filled)
    assert found(first, 2) == [2]
    shutil.rmtree(folder)
    in_the_midst: list[list[int]] = []
    load = KnownFiles._load

    def loading(files: KnownFiles, indexes: Sequence[IndexFolder]) -> None:
        in_the_midst.append(found(first, 2))
        load(files, indexes)
        in_the_midst.append(found(first, 3))

    monkeypatch.setattr(KnownFiles, "_load", loading)
    assert found(follow(filled), 4) == [4]
    assert in_the_midst == [[2], [3]]
    [late] = add(filled, 6)
    assert found(first, 6) == [late]


def test_a_process_without_an_index_on_disk_has_none_to_verify(filled: Store, follow: Follow):
    follower = follow(filled, None)
    follower.refresh()
    follower.verify_when_due(0.001, lambda _: pytest.fail("there is nothing to read"))


# History


def test_changing_many_entries_and_pausing_a_bank_builds_nothing_anew(
    filled: Store, follow: Follow, monkeypatch: pytest.MonkeyPatch
):
    follower = follow(filled)
    follower.refresh()
    monkeypatch.setattr(KnownFiles, "_load", lambda *_: pytest.fail("it was built again"))
    added = add(filled, *range(6, 406))
    assert found(follower, 100) == [added[100 - 6]]
    filled.set_entry_states("b", added, EntryState.PAUSED, actor="bob", reason="test")
    assert found(follower, 100) == []
    filled.set_entry_states("b", added, EntryState.ACTIVE, actor="bob", reason="test")
    assert found(follower, 100) == [added[100 - 6]]
    for state, answer in ((BankState.PAUSED, []), (BankState.ACTIVE, [added[100 - 6]])):
        filled.set_bank_state("b", state, actor="bob", reason="test")
        assert found(follower, 100) == answer


def forget_changes_after(url: str, seq: int) -> None:
    """Take the database back to change `seq`, as a restored backup does."""
    engine = create_engine(url)
    with engine.begin() as connection:
        last_entry_id = connection.execute(
            text("SELECT coalesce(max(last_entry_id), 0) FROM changes WHERE seq <= :seq"), {"seq": seq}
        ).scalar_one()
        names = {"seq": seq, "last": last_entry_id}
        for statement in (
            "DELETE FROM fingerprints WHERE entry_id > :last",
            "DELETE FROM entries WHERE id > :last",
            "DELETE FROM changes WHERE seq > :seq",
            "UPDATE change_head SET seq = :seq, last_entry_id = :last WHERE id = 1",
        ):
            connection.execute(text(statement), names)
    engine.dispose()


@pytest.mark.parametrize("where", ["files", "memory"])
@pytest.mark.parametrize("grown", ["less", "the same", "more"])
def test_a_database_that_was_restored_and_has_grown_again_is_told_from_the_one_before(
    filled: Store,
    store_url: str,
    follow: Follow,
    *,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    where: str,
    grown: str,
):
    backup = filled.head_seq()
    for number in (6, 7, 8):
        add(filled, number)
    follower = follow(filled, folder if where == "files" else None)
    assert found(follower, 7) == [7]
    forget_changes_after(store_url, backup)
    for number in {"less": (60,), "the same": (60, 70, 80), "more": (60, 70, 80, 90)}[grown]:
        add(filled, number)
    with caplog.at_level(logging.WARNING):
        if grown == "the same":
            follower.check_history()
        assert found(follower, 7) == []
        assert found(follower, 60) == [6]
        assert found(follower, 2) == [2]
    assert "another history" in caplog.text or grown == "the same"
    caplog.clear()
    follower.check_history()
    assert found(follower, 60) == [6]
    assert caplog.text == ""


@pytest.mark.parametrize("grown", [1, 3, 5])
def test_an_index_of_before_a_restored_backup_is_built_again_at_the_next_start(
    filled: Store, store_url: str, follow: Follow, caplog: pytest.LogCaptureFixture, grown: int
):
    backup = filled.head_seq()
    for number in (6, 7, 8):
        add(filled, number)
    follower = follow(filled)
    assert found(follower, 7) == [7]
    follower.close()
    forget_changes_after(store_url, backup)
    for number in range(60, 60 + grown):
        add(filled, number)
    with caplog.at_level(logging.WARNING):
        after = follow(filled)
        assert [found(after, number) for number in (7, 60, 2)] == [[], [6], [2]]
    assert "another history" in caplog.text


def test_an_index_of_format_1_has_no_token_and_is_taken_as_it_is(
    filled: Store, folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
):
    for layout in LAYOUTS:
        codes = [value(77)] if layout.name == "pdq" else []
        layout.folder_in(folder).mkdir(parents=True)
        database_id = layout.database_id(filled.history_id())
        index = IndexFolder(str(layout.folder_in(folder)), database_id, reset=True, member_bits=layout.member_bits)
        index.add(np.frombuffer(b"".join(codes), np.uint8).reshape(-1, 32), np.full(len(codes), 1 << 40 | 77))
        index.commit(filled.head_seq())
        index.close()
    monkeypatch.setattr(KnownFiles, "_load", lambda *_: pytest.fail("it was built again"))
    follower = follow(filled)
    assert found(follower, 77) == [77]
    follower.check_history()
    [late] = add(filled, 6)
    assert found(follower, 6) == [late]
    assert IndexFolder(str(folder / "pdq"), filled.history_id()).applied_token == filled.change_token(filled.head_seq())


def test_a_restored_bank_is_noticed_too_by_a_process_that_did_not_build_the_index(
    filled: Store, store_url: str, follow: Follow
):
    first, second = follow(filled), follow(filled)
    backup = filled.head_seq()
    filled.set_bank_state("b", BankState.PAUSED, actor="bob", reason="test")
    assert found(first, 2) == found(second, 2) == []
    forget_changes_after(store_url, backup)
    filled.set_bank_state("b", BankState.ACTIVE, actor="bob", reason="test")
    for follower in (first, second):
        follower.check_history()
        assert found(follower, 2) == [2]


# Space and rights


def run_child(*arguments: str | Path, **options: object) -> list[str]:
    """Run known_child.py; what it printed, line by line."""
    ended = subprocess.run(
        [sys.executable, CHILD, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **options,  # type: ignore[call-overload]
    )
    assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
    return ended.stdout.splitlines()


def test_a_process_whose_disk_is_full_answers_from_memory_and_harms_nobody(
    filled: Store, store_url: str, folder: Path, follow: Follow
):
    follower = follow(filled)
    assert found(follower, 2) == [2]
    [late] = add(filled, 6)
    limit_bytes = 1 << 20

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    elsewhere = folder.with_name("elsewhere")
    # The tables of a segment take more than the limit, so the index cannot be built there.
    for number in range(100, 140):
        add(filled, *range(number * 1000, number * 1000 + 500))
    said = run_child("answers", store_url, elsewhere, "2", "6", preexec_fn=limit)
    assert [line for line in said if line.startswith("[")] == ["[2]", f"[{late}]"]
    assert any("in memory" in line and "File too large" in line for line in said)
    assert found(follower, 6) == [late]
    assert known_inspection.inspect(folder, filled).state is IndexState.CURRENT


def allow_reading_only(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)


def test_a_process_that_may_only_read_uses_the_index_while_it_is_current(
    postgresql_url: str, folder: Path, follow: Follow
):
    with Store.initialise(postgresql_url) as store:
        make_bank(store)
        add(store, 1, 2, 3, 5)
        follower = follow(store)
        assert found(follower, 2) == [2]
        allow_reading_only(folder)
        said = run_child("answers_reading", postgresql_url, folder, "2", "3")
        assert said == ["[2]", "[3]"]
        assert run_child("verifies_reading", postgresql_url, folder) == ["read_only False"]
        damage(folder)
        assert run_child("verifies_reading", postgresql_url, folder) == ["damaged False"]
        damage(folder)  # which turns the byte back
        [late] = add(store, 4)
        said = run_child("answers_reading", postgresql_url, folder, "2", "4")
        assert said[-2:] == ["[2]", f"[{late}]"]
        assert any("in memory" in line and "may only read" in line for line in said)
        for path in folder.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        folder.chmod(0o700)


def test_followers_killed_again_and_again_leave_an_index_that_equals_the_database(
    filled: Store, store_url: str, folder: Path, follow: Follow
):
    for round_number in range(6):
        first = 1000 * (round_number + 1)
        with subprocess.Popen(
            [sys.executable, CHILD, "answers_forever", store_url, folder, "2"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as child:
            changing = threading.Thread(target=add, args=(filled, *range(first, first + 300)))
            try:
                assert child.stdout is not None
                assert child.stdout.readline().strip() == b"[2]"
                changing.start()
                if round_number % 2:
                    changing.join()
            finally:
                child.kill()
        changing.join()
    assert len(follow(filled).refresh()) == len(follow(filled, None).refresh()) == 5 + 6 * 300
    assert known_inspection.verify(folder, filled).state is IndexState.CURRENT
