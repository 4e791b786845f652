"""Altered copies of drawn pictures through the whole flow: found, named, checked, recorded, on both engines."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from altered_files import SIZE_PX, bordered, captioned, collage, cropped, drawn, jpeg, png
from baken import banking, pipeline
from baken.candidates import CandidateChecker
from baken.copies import WHOLE_VIEW, MatchStage, ViewKind, ViewSet
from baken.keeping import Keeping
from baken.known import KnownFollower
from baken.model import (
    Finding,
    Fingerprint,
    FingerprintKind,
    ItemMeta,
    Match,
    NewEntry,
    Provenance,
    Purpose,
    Screening,
    Verdict,
)
from baken.pipeline import Gate
from baken.sealing import Sealer
from baken.store import Store
from baken.web import wire
from baken.workers import FileFingerprinter

ORIGIN = Provenance("files", "test")
BANKED = (101, 102, 103)
CROP = (0.08, 0.06, 0.95, 0.93)
MIDDLE = (0.05, 0.05, 0.95, 0.95)


class World:
    """A store with drawn pictures in banks, and a gate before it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.keeping = Keeping(Sealer(folder / "feature.key"))
        self.known = KnownFollower(store)
        self.gate = Gate(self.known, CandidateChecker(store.kept, self.keeping.sealer))

    def bank(
        self,
        name: str = "known",
        *,
        purpose: Purpose = Purpose.KNOWN_ABUSE,
        view_set: ViewSet = ViewSet.FULL,
        keeps_keypoints: bool = False,
        seeds: tuple[int, ...] = BANKED,
        versions: int = 1,
        verdict: Verdict | None = None,
    ) -> World:
        """Make a bank of drawn pictures, of each so many files that hardly differ."""
        verdict = verdict or (Verdict.ALLOW if purpose is Purpose.BENIGN else Verdict.BLOCK)
        self.store.create_bank(
            name,
            purpose,
            radius_bits=31,
            verdict=verdict,
            view_set=view_set,
            keeps_keypoints=keeps_keypoints,
            actor="test",
        )
        paths = []
        for seed, version in itertools.product(seeds, range(versions)):
            paths.append(self.folder / f"{name}-{seed}-{version}.png")
            paths[-1].write_bytes(png(drawn(seed).resize((SIZE_PX[0] - version, SIZE_PX[1] - version))))
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
        return self

    def screen(self, data: bytes, gate: Gate | None = None) -> Screening:
        """Screen and record an item, and read it again."""
        screening = pipeline.screen(data, ItemMeta(), gate or self.gate, self.store)
        assert wire.screening(self.store.screening(screening.id)) == wire.screening(screening)
        return screening

    def match(self, data: bytes, gate: Gate | None = None) -> Match:
        """The one match of an item."""
        [match] = self.screen(data, gate).outcome.matches
        return match


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    """On each engine."""
    return World(store, tmp_path)


@pytest.fixture
def sqlite_world(tmp_path: Path) -> World:
    """On SQLite alone, for what does not depend on the database."""
    return World(Store.initialise(f"sqlite:///{tmp_path / 'baken.sqlite3'}"), tmp_path)


def test_a_crop_is_found_and_held_and_its_region_named(world: World):
    world.bank()
    screening = world.screen(jpeg(cropped(drawn(102), *CROP)))
    [match] = screening.outcome.matches
    assert (match.entry_id, match.stage, screening.outcome.verdict) == (2, MatchStage.VIEWS, Verdict.HOLD)
    assert match.entry_view.kind is ViewKind.CROPPED
    assert match.entry_view_number > 0
    region = match.entry_view.region
    for side, expected in zip((region.left, region.top, region.right, region.bottom), CROP, strict=True):
        assert side == pytest.approx(expected, abs=0.15)
    assert match.evidence is None


def test_a_captioned_crop_is_found_in_the_part_without_its_caption(world: World):
    world.bank(keeps_keypoints=True)
    screening = world.screen(jpeg(captioned(cropped(drawn(101), *MIDDLE))))
    [match] = screening.outcome.matches
    assert (match.entry_id, match.stage) == (1, MatchStage.VIEWS)
    assert match.view.kind in {ViewKind.CAPTION_CUT, ViewKind.TRIMMED, ViewKind.CROPPED}
    assert match.view.region.top == pytest.approx(1 / 6, abs=0.06)
    assert match.evidence is not None
    assert match.evidence.is_same
    assert match.evidence.overlap_fraction == pytest.approx(0.9 * 0.9, abs=0.05)
    top_of_banked = min(y for _, y in match.evidence.corners)
    assert top_of_banked == pytest.approx(1 / 6 - 0.05, abs=0.05)
    assert screening.outcome.verdict is Verdict.BLOCK


def test_a_list_of_hashes_alone_finds_a_bordered_copy(world: World):
    world.store.create_bank(
        "list", Purpose.KNOWN_ABUSE, radius_bits=31, verdict=Verdict.BLOCK, view_set=ViewSet.NONE, actor="test"
    )
    pdq = FileFingerprinter(exact=True)
    path = world.folder / "held elsewhere.png"
    path.write_bytes(png(drawn(7)))
    value = pdq(str(path)).fingerprints.pdq
    assert value is not None
    world.store.add_entries("list", [NewEntry((Fingerprint(FingerprintKind.PDQ, value),))], ORIGIN, actor="test")
    path.unlink()

    match = world.match(jpeg(bordered(drawn(7))))

    assert (match.stage, match.view.kind, match.entry_view) == (MatchStage.VIEWS, ViewKind.TRIMMED, WHOLE_VIEW)
    assert match.view.region.left == pytest.approx(0.15 / 1.3, abs=0.03)


def test_a_picture_in_a_collage_is_found_in_its_quarter(sqlite_world: World):
    world = sqlite_world.bank(keeps_keypoints=True)
    match = world.match(jpeg(collage([drawn(seed) for seed in (55, 56, 101, 57)])))
    assert (match.entry_id, match.stage, match.view.kind) == (1, MatchStage.VIEWS, ViewKind.TILE)
    assert (match.view.region.left, match.view.region.top) == pytest.approx((0.0, 0.5), abs=0.02)
    assert match.evidence is not None
    assert match.evidence.is_same


def test_a_mirrored_crop_names_its_transform(sqlite_world: World):
    world = sqlite_world.bank()
    from PIL import ImageOps  # noqa: PLC0415 - this test alone mirrors

    match = world.match(jpeg(ImageOps.mirror(cropped(drawn(101), *CROP))))
    assert (match.entry_id, match.stage, match.transform.value) == (1, MatchStage.VIEWS, "mirrored")


def test_an_unaltered_copy_is_found_by_its_fingerprint_and_not_checked(sqlite_world: World):
    world = sqlite_world.bank(keeps_keypoints=True)
    match = world.match(jpeg(drawn(101)))
    assert (match.stage, match.view, match.entry_view) == (MatchStage.FINGERPRINT, WHOLE_VIEW, WHOLE_VIEW)
    assert match.evidence is None
    assert world.gate.candidates is not None
    assert world.gate.candidates.checked_count == 0


def test_other_pictures_are_clear_however_they_are_altered(sqlite_world: World):
    world = sqlite_world.bank(keeps_keypoints=True)
    for seed in range(200, 210):
        for altered in (drawn(seed), captioned(drawn(seed)), cropped(drawn(seed), *CROP), bordered(drawn(seed))):
            assert world.screen(jpeg(altered)).outcome.finding is Finding.CLEAR


def test_pixels_and_views_of_an_item_end_with_its_judgement(sqlite_world: World):
    world = sqlite_world.bank(keeps_keypoints=True)
    computed = pipeline.fingerprint(jpeg(drawn(101)), world.gate)
    assert computed.working_luma is not None
    judged = pipeline.judge(computed, ItemMeta(), world.gate, 0.0)
    assert judged.fingerprints.working_luma is None
    assert judged.fingerprints.query_views is None


def test_without_the_key_the_match_stands_unchecked_and_the_log_says_so(
    sqlite_world: World, caplog: pytest.LogCaptureFixture
):
    world = sqlite_world.bank(keeps_keypoints=True)
    (world.folder / "feature.key").unlink()
    with caplog.at_level(logging.ERROR):
        match = world.match(jpeg(cropped(drawn(102), *CROP)))
    assert (match.entry_id, match.stage, match.evidence) == (2, MatchStage.VIEWS, None)
    assert "a candidate is not checked: there is no key file" in caplog.text


def test_when_three_of_a_bank_are_confirmed_its_others_stay_unchecked_and_counted(sqlite_world: World):
    world = sqlite_world.bank("many", keeps_keypoints=True, seeds=(102,), versions=5)
    world.bank("mild", keeps_keypoints=True, seeds=(102,), verdict=Verdict.HOLD)
    outcome = world.screen(jpeg(cropped(drawn(102), *CROP))).outcome
    said = Counter((match.bank, match.evidence and match.evidence.is_same) for match in outcome.matches)
    assert said == {("many", True): 3, ("many", None): 2, ("mild", True): 1}
    assert (outcome.verdict, outcome.match_count) == (Verdict.BLOCK, 6)


def test_stages_can_be_switched_off(sqlite_world: World):
    world = sqlite_world.bank(keeps_keypoints=True)
    framed, crop = jpeg(bordered(drawn(101))), jpeg(cropped(drawn(101), *CROP))
    unchecked = replace(world.gate, uses_check=False)
    assert world.match(framed, unchecked).evidence is None
    assert world.match(framed).evidence is not None
    whole_only = replace(world.gate, uses_views=False)
    assert world.screen(framed, whole_only).outcome.finding is Finding.CLEAR
    assert world.match(crop, whole_only).stage is MatchStage.VIEWS  # banked views are searched all the same


def test_a_benign_picture_behind_a_known_one_does_not_hide_it(sqlite_world: World):
    world = sqlite_world.bank(keeps_keypoints=True)
    world.bank("backgrounds", purpose=Purpose.BENIGN, seeds=(55, 56, 57))
    outcome = world.screen(jpeg(collage([drawn(seed) for seed in (55, 56, 101, 57)]))).outcome
    assert (outcome.verdict, [match.entry_id for match in outcome.matches]) == (Verdict.BLOCK, [1])


def test_a_benign_twin_explains_a_part_that_both_show(sqlite_world: World):
    world = sqlite_world.bank()
    world.bank("twins", purpose=Purpose.BENIGN, seeds=(101,))
    outcome = world.screen(jpeg(captioned(cropped(drawn(101), *MIDDLE)))).outcome
    assert (outcome.finding, outcome.reason) == (Finding.CLEAR, "benign:twins/4")
    assert [match.entry_id for match in outcome.suppressed] == [1]
