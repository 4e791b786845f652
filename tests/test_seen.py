"""The seen index: taken over, clustered, forgotten in time or when asked; by one process at a time, killed or not."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from baken._native import HammingIndex, pdq
from baken.errors import StoreBusyError, TurnLostError
from baken.fingerprints.orientations import MIRRORINGS, orientations_of, transposed
from baken.housekeeping import Housekeeper
from baken.known_guard import KnownGuard
from baken.model import Fingerprints, Transform
from baken.samples import draw
from baken.store.seen import Selection
from seen_world import NOW, Clock, World, code, flat, pdq_entry, picture, turned

CHILD = Path(__file__).with_name("seen_child.py")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(store_url: str, tmp_path: Path, clock: Clock) -> Iterator[World]:
    with World(store_url, tmp_path / "index", clock=clock) as opened:
        yield opened


def counts(world: World) -> tuple[int, int, int, int]:
    stats, _ = world.keeper.stats()
    return stats.item_count, stats.file_count, stats.cluster_count, stats.waiting_count


@pytest.mark.parametrize("seed", range(4))
def test_four_codes_hold_all_eight_orientations_to_the_bit(seed: int):
    orientations, _ = pdq(np.asarray(draw(seed, (300 + seed, 200)).convert("L")))

    assert tuple(list(Transform)[::2]) == MIRRORINGS
    assert (orientations_of(orientations[::2].tobytes()) == orientations).all()


def test_a_code_is_transposed_bit_by_bit():
    codes = np.frombuffer(b"".join(code(number) for number in range(5)), np.uint8).reshape(5, 32)

    assert [row.tobytes() for row in transposed(codes)] == [turned(code(number)) for number in range(5)]


def test_identical_files_are_one_file_and_altered_copies_one_cluster(world: World):
    world.see_all([picture(1)] * 3 + [picture(1, 20), picture(1, 40), flat(2), flat(2), flat(3)])
    assert counts(world) == (0, 0, 0, 8)
    world.run()

    assert counts(world) == (8, 5, 4, 0)
    clusters = world.store.seen.clusters()
    assert [cluster.item_count for cluster in clusters] == [4, 2, 1, 1]
    assert [cluster.pdq is None for cluster in clusters] == [False, True, False, True]
    first, second = world.store.seen.clusters(limit=2)
    assert world.store.seen.clusters(after=(second.item_count, second.id)) == clusters[2:]
    assert first == clusters[0]


def test_a_turned_or_mirrored_copy_joins_the_cluster(world: World):
    shown = picture(1)
    assert shown.pdq_orientations is not None
    rows = shown.pdq_orientations
    as_seen_from = [rows, rows[[4, 1, 6, 3, 0, 5, 2, 7]]]  # the picture, and the picture mirrored
    world.see(shown)
    mirrored = orientations_of(as_seen_from[1][::2].tobytes())
    world.see(Fingerprints(b"m" * 32, b"m" * 20, b"m" * 16, mirrored[0].tobytes(), 90, None, pdq_orientations=mirrored))
    world.run()

    assert counts(world)[2] == 1


def test_clusters_are_those_of_the_plain_rule_however_the_batches_fall(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Brute force: in order, each to the nearest leader within 31 bits in any orientation, else a leader itself."""
    generator = random.Random(5)  # noqa: S311 - a test's choices
    pictures = [picture(generator.randrange(4), generator.randrange(60), file) for file in range(60)]
    monkeypatch.setattr("baken.seen.BATCH_ITEMS", 7)
    with World(store_url, tmp_path / "index") as world:
        screenings = world.see_all(pictures)
        world.run()
        cluster_of = {item.screening_id: item.cluster_id for item in world.store.seen.items()}

    leaders: list[int] = []
    expected = []
    for number, shown in enumerate(pictures):
        index = HammingIndex()
        if leaders:
            rows = np.stack([np.frombuffer(pictures[leader].pdq or b"", np.uint8) for leader in leaders])
            index.add(rows, np.array(leaders, np.int64))
        _, ids, distances = index.search(shown.pdq_orientations, 31)
        best = min(zip(distances.tolist(), ids.tolist(), strict=True), default=None)
        if best is None:
            leaders.append(number)
        expected.append(number if best is None else best[1])
    found = [cluster_of[screening.id] for screening in screenings]
    assert [found.index(cluster_id) for cluster_id in found] == [expected.index(leader) for leader in expected]


def test_what_is_older_than_the_retention_is_forgotten_from_rows_and_index(world: World, clock: Clock):
    world.bank()
    world.see(picture(1), "old")
    clock.move(days=60)
    world.see_all([picture(2), picture(2, 5)])
    world.run()
    clock.move(days=31)
    assert world.keeper.has_work()
    world.run()
    assert world.keeper.keep()
    assert counts(world) == (2, 2, 1, 0)
    assert len(world.index) == 2 * (4 + 3)

    world.add(pdq_entry(code(1)))
    world.run()
    assert world.store.cases.cases() == []
    assert not world.keeper.has_work()


def test_without_retention_nothing_is_written_and_what_was_there_goes(store_url: str, tmp_path: Path, clock: Clock):
    with World(store_url, tmp_path / "index", clock=clock) as world:
        world.see_all([picture(1), picture(2)])
        world.run()
        world.see(picture(3))
    with World(store_url, tmp_path / "index", clock=clock, retention_days=0) as world:
        world.see(picture(4))
        assert counts(world)[3] == 1
        assert world.keeper.keep()
        assert counts(world) == (0, 0, 0, 0)
        assert len(world.index) == 0
        world.bank()
        world.add(pdq_entry(code(1)))
        world.run()
        assert world.store.cases.cases() == []
        assert not world.keeper.has_work()


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (Selection(item_ref="b"), 3),
        (Selection(account_ref="x"), 2),
        (Selection(before=NOW + timedelta(hours=1)), 2),
        (Selection(), 0),
    ],
)
def test_forgetting_takes_what_was_named_and_nothing_else(world: World, clock: Clock, selection: Selection, left: int):
    world.see(picture(1), "a", "x")
    world.see(picture(1), "b", "x")
    clock.move(days=1)
    world.see(picture(1, 4), "c", "y")
    world.run()
    world.see(picture(7), "d", "y")

    assert world.keeper.forget(selection, actor="test") == 4 - left
    items = world.store.seen.items()
    assert len(items) == left
    assert len(world.index) == len({item.file_id for item in items}) * 7
    assert sum(cluster.item_count for cluster in world.store.seen.clusters()) == left


def test_a_case_keeps_its_items_when_they_are_forgotten(world: World):
    world.bank()
    seen = world.see(picture(1), "a", "x")
    world.add(pdq_entry(code(1)))
    world.run()
    before = world.store.cases.cases()
    world.keeper.forget(Selection(), actor="test")

    assert world.store.cases.cases() == before
    assert [item.screening_id for item in world.store.cases.items(before[0].id)] == [seen.id]
    assert world.store.screening(seen.id).meta.item_ref == "a"


def test_a_copy_that_comes_after_its_leader_was_forgotten_still_joins_the_cluster(world: World):
    world.see(picture(1), "a")
    world.see(picture(1, 9), "b")
    world.run()
    world.keeper.forget(Selection(item_ref="a"), actor="test")
    world.see(picture(1, 11), "c")
    world.run()

    assert [cluster.item_count for cluster in world.store.seen.clusters()] == [2]


@pytest.mark.parametrize("harm", ["deleted", "foreign", "damaged", "ahead"])
def test_an_index_that_cannot_be_trusted_is_built_again(store_url: str, tmp_path: Path, harm: str):
    folder = tmp_path / "index"
    with World(store_url, folder) as world:
        world.see_all(picture(number) for number in range(5))
        world.run()
    manifest = folder / "seen" / "pdq" / "manifest"
    if harm == "deleted":
        shutil.rmtree(folder / "seen")
    elif harm == "foreign":
        manifest.write_bytes(b"no index at all")
    elif harm == "damaged":
        manifest.write_bytes(manifest.read_bytes()[:-3])
    with World(store_url, folder) as world:
        if harm == "ahead":  # as after a backup of the database was restored
            for name in ("pdq", "digests", "clusters"):
                world.index.follow()
                getattr(world.index._files(), {"clusters": "leaders"}.get(name, name)).commit(1_000_000)
        world.bank()
        world.add(pdq_entry(code(3)))
        world.run()
        assert [case.item_count for case in world.store.cases.cases()] == [1]
        assert len(world.index) == 5 * 7


def damage_quietly(file: Path, offset: int, size_bytes: int = 1) -> None:
    """Change bytes as failing hardware does: the file's times stay."""
    before = file.stat()
    with file.open("r+b") as opened:
        opened.seek(offset)
        sound = opened.read(size_bytes)
        opened.seek(offset)
        opened.write(bytes(byte ^ 0xFF for byte in sound))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("index", ["pdq", "digests", "clusters"])
def test_damage_inside_the_seen_index_is_found_by_a_verification_and_mended(
    world: World, tmp_path: Path, index: str, caplog: pytest.LogCaptureFixture
):
    world.see_all([picture(number) for number in range(40)])
    world.run()
    [tail] = (tmp_path / "index" / "seen" / index).glob("tail-*")
    world.index.verify_when_due(3600, lambda _: False)
    assert "damaged" not in caplog.text
    damage_quietly(tail, 4096 + 48 + 56)
    world.index.verify_when_due(3600, lambda _: False)  # not due yet
    assert "damaged" not in caplog.text

    os.utime(tmp_path / "index" / "seen" / "verify-lock", (1, 1))
    world.index.verify_when_due(3600, lambda _: False)

    assert caplog.text.count("damaged") == 1
    assert "the seen index is built again" in caplog.text
    assert [index.applied_seq for index in world.index._files().all()] == [world.store.seen.state().seq] * 3
    codes = np.frombuffer(b"".join(code(number) for number in range(40)), np.uint8).reshape(40, 32)
    rows, _ = world.index.files_near(codes, 0)
    assert sorted(set(rows.tolist())) == list(range(40))
    os.utime(tmp_path / "index" / "seen" / "verify-lock", (1, 1))
    world.index.verify_when_due(3600, lambda _: False)
    assert caplog.text.count("damaged") == 1


def test_the_guard_of_a_server_verifies_the_seen_index_too(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    world.see_all([picture(number) for number in range(5)])
    world.run()
    [tail] = (tmp_path / "index" / "seen" / "pdq").glob("tail-*")
    damage_quietly(tail, 4096 + 48 + 56)
    guard = KnownGuard(world.known, verify_interval_seconds=0.01, seen=world.index)
    guard.start()
    end = time.monotonic() + 60
    while "built again" not in caplog.text and time.monotonic() < end:
        time.sleep(0.01)
    guard.close()
    assert "the seen index is built again from the database" in caplog.text
    assert len(world.index) == 5 * 7


def test_a_merge_that_meets_damage_in_the_seen_index_has_it_built_again(world: World, tmp_path: Path):
    world.see_all([picture(number) for number in range(5)])
    world.run()
    pdq = world.index._files().pdq
    codes = np.random.default_rng(1).integers(0, 256, (16_384, 32), dtype=np.uint8)
    for first_id in (1 << 50, 1 << 51):  # two segments, so that a merge is due
        pdq.add(codes, np.arange(first_id, first_id + 16_384))
    for removed in (tmp_path / "index" / "seen" / "pdq").glob("removed-*"):
        damage_quietly(removed, 64)
    world.index._merge(world.index._files())
    assert pdq.applied_seq == -1
    world.index.follow()
    assert len(world.index) == 5 * 7


def test_an_index_that_is_too_far_behind_is_built_again(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("baken.store.seen._REMOVALS_KEPT", 0)
    world.see_all(picture(number) for number in range(3))
    world.run()
    shutil.copytree(tmp_path / "index" / "seen", tmp_path / "behind" / "seen")
    world.keeper.forget(Selection(item_ref="item 1"), actor="test")
    url = world.store._database.address.url.render_as_string(hide_password=False)
    with World(url, tmp_path / "behind") as other:
        other.index.follow()
        assert len(other.index) == 2 * 7


def test_one_process_at_a_time_keeps_the_index(store_url: str, tmp_path: Path):
    with (
        World(store_url, tmp_path / "a", turn_seconds=0.3) as first,
        World(store_url, tmp_path / "b", turn_seconds=0.3) as second,
    ):
        first.see(picture(1))
        assert first.keeper._turn.take()
        assert not second.keeper.keep()
        with pytest.raises(StoreBusyError, match="another process"):
            second.keeper.forget(Selection(), actor="test", timeout_seconds=0.0)
        time.sleep(0.4)  # the first one died, as far as anyone can tell
        assert second.keeper.keep()
        assert counts(second) == (1, 1, 1, 0)

        first.see(picture(2))
        assert second.keeper._turn.take()
        with pytest.raises(TurnLostError, match="another process keeps"), first.keeper._turn.write():
            pytest.fail("it wrote after it had lost its turn")


def test_keepers_of_two_processes_find_each_pair_once(store_url: str, tmp_path: Path):
    with World(store_url, tmp_path / "a") as first, World(store_url, tmp_path / "b") as second:
        first.bank()
        housekeepers = [Housekeeper(world.keeper, poll_seconds=0.01) for world in (first, second)]
        for each in housekeepers:
            each.start()
        for number in range(10):
            (first, second)[number % 2].see_all([picture(number), picture(number, 3, file=1)])
            (second, first)[number % 2].add(pdq_entry(code(number)))
            housekeepers[0].wake()
        assert first.keeper.settle()
        for each in housekeepers:
            each.close()
        assert len(first.retroactive_pairs()) == 20
        assert sorted(case.item_count for case in first.store.cases.cases()) == [2] * 10


def test_killed_at_any_transaction_nothing_is_lost_and_nothing_found_twice(store_url: str, tmp_path: Path):
    with World(store_url, tmp_path / "index") as world:
        world.bank()
        screenings = world.see_all(picture(number % 30, file=number) for number in range(900))
        ids = world.add(*(pdq_entry(code(number)) for number in range(30)))
    generator = random.Random(3)  # noqa: S311 - a test's choices
    lines = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, CHILD, store_url, tmp_path / "index"], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(generator.randrange(1, 4)):
                lines += child.stdout.readline() == b"writing\n"
            time.sleep(generator.random() * 0.01)
            child.kill()
    assert lines >= 3, "it was killed before it did anything"

    with World(store_url, tmp_path / "index", turn_seconds=1.0) as world:
        world.run()
        assert counts(world) == (900, 900, 30, 0)
        expected = {(screening.id, ids[number % 30]) for number, screening in enumerate(screenings)}
        assert set(world.retroactive_pairs()) == expected
        assert sorted(case.item_count for case in world.store.cases.cases()) == [30] * 30


def test_a_fault_in_one_look_does_not_end_the_housekeeper(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("baken.housekeeping._AFTER_FAILURE_SECONDS", 0.01)
    with World(store_url, tmp_path / "index") as world:
        keep = world.keeper.keep
        faults = iter([ZeroDivisionError("a fault"), StoreBusyError("busy", hint="wait")])

        def failing(is_enough: object) -> bool:
            with suppress(StopIteration):
                raise next(faults)
            return keep(is_enough)

        monkeypatch.setattr(world.keeper, "keep", failing)
        housekeeper = Housekeeper(world.keeper, poll_seconds=0.01)
        world.see(picture(1))
        housekeeper.start()
        deadline = time.monotonic() + 20
        while counts(world)[3] and time.monotonic() < deadline:
            time.sleep(0.02)
        housekeeper.close()
        assert counts(world) == (1, 1, 1, 0)
    assert "a fault" in caplog.text
    assert "busy" in caplog.text
