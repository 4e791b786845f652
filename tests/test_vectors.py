"""The descriptor stage: followed like every index, found by a network, and never more than held without a check."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from altered_files import cropped, drawn, jpeg, noisy, png
from baken import banking, pipeline
from baken.candidates import CandidateChecker
from baken.copies import WHOLE_VIEW, MatchStage, Vectors, View, ViewKind
from baken.keeping import Describer, Keeping
from baken.known import KnownFollower
from baken.model import (
    BankState,
    EntryState,
    Finding,
    Fingerprint,
    FingerprintKind,
    ItemMeta,
    Match,
    NewEntry,
    Outcome,
    Provenance,
    Purpose,
    Verdict,
)
from baken.pipeline import Gate
from baken.sealing import Sealer
from baken.store import Store
from baken.vector_index import VectorIndex
from baken.vectors import Alike, Thresholds, VectorFollower, VectorStage
from baken.workers import FileFingerprinter
from descriptor_models import write_network

ORIGIN = Provenance("files", "test")
DIMS = 16
MODEL = hashlib.sha256(b"a network").digest()
OTHER_MODEL = hashlib.sha256(b"another network").digest()
VIEWS = (WHOLE_VIEW, View(ViewKind.TILE))


def values(number: int) -> NDArray[np.int8]:
    """Two vectors of length 127 that no other number has."""
    made = np.random.default_rng(number).normal(size=(len(VIEWS), DIMS))
    return np.rint(made / np.linalg.norm(made, axis=1)[:, None] * 127).astype(np.int8)


def vectors(number: int, model: bytes = MODEL) -> Vectors:
    return Vectors("a network 1", model, VIEWS, values(number))


def add(store: Store, *numbers: int, model: bytes = MODEL) -> list[int]:
    entries = [
        NewEntry(
            (Fingerprint(FingerprintKind.PDQ, hashlib.sha256(str(number).encode()).digest()),),
            vectors=vectors(number, model),
        )
        for number in numbers
    ]
    return store.add_entries("b", entries, ORIGIN, actor="test")


class Follow(Protocol):
    """Makes a follower."""

    def __call__(self, store: Store, path: Path | None = None, model: bytes = MODEL) -> VectorFollower:
        """Of a store."""


@pytest.fixture
def follow() -> Iterator[Follow]:
    with ExitStack() as closing:

        def make(store: Store, path: Path | None = None, model: bytes = MODEL) -> VectorFollower:
            follower = VectorFollower(store, model, DIMS, path)
            closing.callback(follower.close)
            return follower

        yield make


@pytest.fixture
def filled(store: Store) -> Store:
    """A store, on each engine, with entries 1 to 5 that have vectors."""
    store.create_bank("b", Purpose.WATCH, radius_bits=10, verdict=Verdict.ALLOW, actor="test")
    add(store, 1, 2, 3, 4, 5)
    return store


def found(follower: VectorFollower, number: int) -> list[int]:
    """The ids of the entries that have these vectors; each is entry `id` of bank 1."""
    return [each.owner & (2**40 - 1) for each in follower.nearest(vectors(number), 5) if each.similarity > 0.99]


def test_the_nearest_entries_are_named_with_the_view_that_is_alike(filled: Store, follow: Follow):
    follower = follow(filled)
    [nearest] = follower.nearest(vectors(3), 1)
    assert nearest == Alike((1 << 40) | 3, nearest.row, nearest.similarity)
    assert nearest.similarity > 0.99
    [of_part] = follower.nearest(Vectors("a network 1", MODEL, VIEWS[1:], values(4)[1:]), 1)
    assert (of_part.owner & 0xFF, of_part.row) == (4, 0)


def test_every_change_counts_on_the_next_search(filled: Store, follow: Follow):
    follower = follow(filled)
    assert [found(follower, number) for number in range(1, 6)] == [[1], [2], [3], [4], [5]]
    filled.set_entry_states("b", [2], EntryState.PAUSED, actor="test", reason="a test")
    assert found(follower, 2) == []
    filled.set_entry_states("b", [2], EntryState.ACTIVE, actor="test", reason=None)
    assert found(follower, 2) == [2]
    add(filled, 6)
    assert found(follower, 6) == [6]
    filled.set_entry_states("b", [6], EntryState.WITHDRAWN, actor="test", reason="a test")
    assert found(follower, 6) == []


def test_vectors_of_another_network_are_never_compared(filled: Store, follow: Follow):
    add(filled, 7, model=OTHER_MODEL)
    assert found(follow(filled), 7) == []
    other = follow(filled, model=OTHER_MODEL)
    assert len(other.nearest(vectors(7, OTHER_MODEL), 5)) == 1
    assert other.nearest(vectors(7, MODEL), 5) == []


def test_the_file_spares_the_building_and_later_changes_are_followed(
    filled: Store, follow: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "vectors" / "vectors"
    first = follow(filled, path)
    assert found(first, 5) == [5]
    add(filled, 6)
    monkeypatch.setattr(VectorFollower, "_built", lambda _: pytest.fail("it was built again"))
    second = follow(filled, path)
    assert (found(second, 5), found(second, 6)) == ([5], [6])
    first.close()  # which follows no further: it writes what it has
    second.close()
    third = follow(filled, path)
    third.refresh()
    assert found(third, 6) == [6]


@pytest.mark.parametrize("damage", ["missing", "cut off", "changed", "of another network", "foreign"])
def test_a_file_that_cannot_be_used_is_built_again(
    filled: Store, follow: Follow, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "vectors" / "vectors"
    follow(filled, path).refresh()
    data = bytearray(path.read_bytes())
    match damage:
        case "missing":
            path.unlink()
        case "cut off":
            path.write_bytes(data[:-40])
        case "changed":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        case "of another network":
            VectorIndex(DIMS, OTHER_MODEL).save(path)
        case _:
            path.write_bytes(b"something else")
    with caplog.at_level(logging.WARNING):
        assert found(follow(filled, path), 3) == [3]
    assert ("built again" in caplog.text) == (damage != "missing")
    assert VectorIndex.load(path, model_sha256=MODEL).applied_seq == filled.head_seq()


def test_a_file_of_another_history_of_the_database_is_built_again(
    filled: Store, follow: Follow, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "vectors" / "vectors"
    follow(filled, path).refresh()
    stray = VectorIndex.load(path, model_sha256=MODEL)
    stray.remove(np.array([(1 << 40) | 3]))
    stray.applied_token ^= 1
    stray.save(path)
    with caplog.at_level(logging.WARNING):
        assert found(follow(filled, path), 3) == [3]
    assert "another history" in caplog.text


def test_a_database_that_was_restored_is_noticed_though_its_changes_have_the_same_number(
    tmp_path: Path, follow: Follow
):
    path = tmp_path / "baken.sqlite3"
    with Store.initialise(f"sqlite:///{path}") as store:
        store.create_bank("b", Purpose.WATCH, radius_bits=10, verdict=Verdict.ALLOW, actor="test")
        add(store, 1, 2, 3)
        follower = follow(store)
        assert found(follower, 3) == [3]
        with sqlite3.connect(path) as database:  # what a backup from before would leave, after one other change
            database.execute("UPDATE changes SET created_at = '2020-01-01 00:00:00.000000' WHERE seq > 1")
            database.execute("DELETE FROM entry_vectors WHERE entry_id = 3")
        follower.check_history()
        assert (found(follower, 2), found(follower, 3)) == ([2], [])


def test_a_folder_that_cannot_be_used_leaves_the_vectors_in_memory(
    filled: Store, follow: Follow, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert found(follow(filled, tmp_path / "file" / "vectors"), 3) == [3]
    assert "kept in memory alone" in caplog.text


class World:
    """A bank of drawn pictures, some of which are alike to a network that sees coarse shades alone."""

    def __init__(self, folder: Path, *, keeps_keypoints: bool, purpose: Purpose = Purpose.KNOWN_ABUSE) -> None:
        self.store = Store.initialise(f"sqlite:///{folder / 'baken.sqlite3'}")
        self.describer = Describer(write_network(folder / "coarse.onnx", side_px=8))
        self.keeping = Keeping(Sealer(folder / "feature.key"), self.describer)
        self.known = KnownFollower(self.store)
        stage = VectorStage(self.store, self.describer, folder / "vectors", Thresholds(0.85, 0.6))
        self.gate = Gate(self.known, CandidateChecker(self.store.kept, self.keeping.sealer), stage)
        self.folder = folder
        self.bank("known", (101, 102, 104), purpose=purpose, keeps_keypoints=keeps_keypoints)

    def bank(
        self,
        name: str,
        seeds: tuple[int, ...],
        *,
        purpose: Purpose,
        keeps_keypoints: bool = False,
        altered: Callable[[Image.Image], Image.Image] = lambda picture: picture,
    ) -> None:
        """Make a bank of drawn pictures."""
        verdict = Verdict.ALLOW if purpose is Purpose.BENIGN else Verdict.BLOCK
        self.store.create_bank(
            name, purpose, radius_bits=31, verdict=verdict, keeps_keypoints=keeps_keypoints, actor="test"
        )
        paths = [self.folder / f"{name}-{seed}.png" for seed in seeds]
        for seed, path in zip(seeds, paths, strict=True):
            path.write_bytes(png(altered(drawn(seed))))
        banking.add_files(
            self.store,
            self.known,
            name,
            [str(path) for path in paths],
            ORIGIN,
            actor="test",
            fingerprinter=FileFingerprinter(),
            keeping=self.keeping,
        )

    def outcome(self, data: bytes) -> Outcome:
        """What screening an item comes to, as it is read again."""
        return self.store.screening(pipeline.screen(data, ItemMeta(), self.gate, self.store).id).outcome

    def match(self, data: bytes) -> tuple[Verdict, Match]:
        """The verdict and the one match."""
        outcome = self.outcome(data)
        [match] = outcome.matches
        return outcome.verdict, match


def test_what_a_network_alone_finds_is_held_and_says_how_alike_it_is(tmp_path: Path):
    verdict, match = World(tmp_path, keeps_keypoints=False).match(jpeg(noisy(drawn(101), 1)))
    assert (verdict, match.verdict, match.entry_id, match.stage) == (
        Verdict.HOLD, Verdict.BLOCK, 1, MatchStage.DESCRIPTOR,
    )  # fmt: skip
    assert match.similarity is not None
    assert match.similarity > 0.85
    assert match.evidence is None
    assert match.distance_bits > 31
    assert match.view == WHOLE_VIEW


def test_pictures_that_are_only_alike_are_held_without_keypoints_and_clear_with_them(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    alike = jpeg(drawn(107))
    held = World(tmp_path / "a", keeps_keypoints=False).outcome(alike)
    assert held.verdict is Verdict.HOLD
    assert {match.stage for match in held.matches} == {MatchStage.DESCRIPTOR}
    assert 2 in {match.entry_id for match in held.matches}
    checked = World(tmp_path / "b", keeps_keypoints=True)
    outcome = checked.outcome(alike)
    assert (outcome.finding, outcome.match_count) == (Finding.CLEAR, 0)
    assert checked.gate.candidates is not None
    assert checked.gate.candidates.checked_count > 0


def test_what_the_check_confirms_gets_the_banks_verdict_though_no_code_is_near(tmp_path: Path):
    world = World(tmp_path, keeps_keypoints=True)
    part = jpeg(cropped(drawn(104), 0.13, 0.0, 0.99, 0.87))
    views_only = Gate(world.known, world.gate.candidates)
    assert pipeline.examine(part, ItemMeta(), views_only).outcome.finding is Finding.CLEAR
    verdict, match = world.match(part)
    assert (verdict, match.entry_id, match.stage) == (Verdict.BLOCK, 3, MatchStage.DESCRIPTOR)
    assert match.evidence is not None
    assert match.evidence.is_same


def test_what_another_stage_found_is_not_told_twice(tmp_path: Path):
    world = World(tmp_path, keeps_keypoints=True)
    for data in (jpeg(drawn(101)), jpeg(cropped(drawn(101), 0.05, 0.05, 0.95, 0.95))):
        outcome = world.outcome(data)
        assert [match.entry_id for match in outcome.matches] == [1]
        assert outcome.match_count == 1
        assert outcome.matches[0].stage is not MatchStage.DESCRIPTOR


def test_a_benign_picture_that_is_more_alike_explains_what_a_network_alone_found(tmp_path: Path):
    world = World(tmp_path, keeps_keypoints=False)
    world.bank("more", (108,), purpose=Purpose.KNOWN_ABUSE, altered=lambda picture: noisy(picture, 2))
    item = jpeg(noisy(drawn(108), 1))
    assert world.outcome(item).verdict is Verdict.HOLD
    world.bank("benign", (108,), purpose=Purpose.BENIGN)
    outcome = world.outcome(item)
    assert (outcome.finding, outcome.reason) == (Finding.CLEAR, "benign:benign/5")


def test_a_paused_bank_and_a_paused_entry_are_alike_to_nothing(tmp_path: Path):
    world = World(tmp_path, keeps_keypoints=False)
    item = jpeg(noisy(drawn(101), 1))
    world.store.set_bank_state("known", BankState.PAUSED, actor="test", reason="a test")
    assert world.outcome(item).finding is Finding.CLEAR
    world.store.set_bank_state("known", BankState.ACTIVE, actor="test", reason=None)
    assert world.outcome(item).finding is Finding.MATCHED
    world.store.set_entry_states("known", [1], EntryState.PAUSED, actor="test", reason="a test")
    assert world.outcome(item).finding is Finding.CLEAR


_WITHOUT_THE_EXTRA = """
import sys
sys.modules["onnxruntime"] = sys.modules["usearch"] = None
from baken import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_without_the_extra_the_other_stages_work(tmp_path: Path):
    (tmp_path / "banked.png").write_bytes(png(drawn(101)))
    (tmp_path / "copy.jpg").write_bytes(jpeg(cropped(drawn(101), 0.05, 0.05, 0.95, 0.95)))

    def baken(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _WITHOUT_THE_EXTRA, "--data-dir", tmp_path / "data", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    for arguments in (
        ["init"],
        ["bank", "create", "known", "--purpose", "known_abuse", "--keep-keypoints"],
        ["bank", "add", "known", tmp_path / "banked.png"],
    ):
        ended = baken(*arguments)
        assert ended.returncode == 0, ended.stderr
    said = baken("screen", tmp_path / "copy.jpg")
    assert said.returncode == 10, said.stderr
    assert "views" in said.stdout
    assert "checked: the same picture" in said.stdout
