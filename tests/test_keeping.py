"""Pictures into banks that keep views and keypoints: what is stored, what is completed, and what never leaves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from baken import banking
from baken.banking import AddSummary
from baken.copies import WHOLE_VIEW, WORKING_SIDE_PX, ViewSet
from baken.errors import ModelFileError, SealKeyMissingError, SealKeyUnknownError
from baken.fingerprints.keypoints import from_bytes, keypoints_of
from baken.fingerprints.views import bank_views
from baken.images import Picture, decode, reduced
from baken.keeping import BankFingerprinter, Describer, Keeping, KeepPlan
from baken.known import KnownFollower
from baken.listfiles import ListFormat
from baken.model import EntryState, Fingerprint, FingerprintKind, NewEntry, Provenance, Purpose, Verdict
from baken.samples import draw, draw_flat
from baken.samples_files import encoded
from baken.sealing import Sealer
from baken.store import KeptCounts, Store
from baken.workers import FileFingerprinter, in_order
from descriptor_models import write_network

ORIGIN = Provenance("files", "test")
SIZE_PX = (640, 480)


@pytest.fixture
def store(store: Store) -> Store:
    """The store on each engine, with a bank that keeps everything and one that keeps what is usual."""
    for name, keeps_keypoints in (("all", True), ("usual", False)):
        store.create_bank(
            name,
            Purpose.KNOWN_ABUSE,
            radius_bits=31,
            verdict=Verdict.BLOCK,
            keeps_keypoints=keeps_keypoints,
            actor="test",
        )
    return store


@pytest.fixture
def keeping(tmp_path: Path) -> Keeping:
    """A place for keys, none of which is made yet, and a small network."""
    network = write_network(tmp_path / "small.onnx", side_px=32)
    return Keeping(Sealer(tmp_path / "keys" / "feature.key"), Describer(network))


def written(folder: Path, seeds: Sequence[int]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{seed}.png" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        path.write_bytes(encoded(draw(seed, SIZE_PX), "PNG"))
    return paths


def add(store: Store, keeping: Keeping, *paths: Path, bank: str = "all", view_set: ViewSet | None = None) -> AddSummary:
    return banking.add_files(
        store,
        KnownFollower(store),
        bank,
        [str(path) for path in paths],
        ORIGIN,
        actor="test",
        fingerprinter=FileFingerprinter(),
        keeping=keeping,
        view_set=view_set,
    )


def luma_of(path: Path) -> np.ndarray:
    picture = decode(path.read_bytes(), exact=True)
    assert isinstance(picture, Picture)
    return reduced(picture.luma, WORKING_SIDE_PX)


def test_a_picture_is_kept_as_its_views_and_sealed_keypoints(store: Store, keeping: Keeping, tmp_path: Path):
    (path,) = written(tmp_path / "in", [1])

    add(store, keeping, path)

    (entry,) = store.entries("all")
    kept = store.kept.entry_views_of([entry.id])[entry.id]
    expected = bank_views(luma_of(path), ViewSet.FULL)
    np.testing.assert_array_equal(kept.views.codes, expected.codes)
    np.testing.assert_array_equal(kept.views.numbers, expected.numbers)
    assert (kept.width_px, kept.height_px) == SIZE_PX
    assert (entry.view_count, entry.has_keypoints) == (len(expected.numbers), True)
    sealed = store.kept.keypoints_of([entry.id])[entry.id]
    opened = from_bytes(keeping.sealer.open(sealed))
    np.testing.assert_array_equal(opened.descriptors, keypoints_of(luma_of(path)).descriptors)
    assert opened.descriptors[0].tobytes() not in sealed.data


def test_a_bank_keeps_views_and_no_keypoints_unless_it_says_so_and_needs_no_key(
    store: Store, keeping: Keeping, tmp_path: Path
):
    add(store, keeping, *written(tmp_path / "in", [1, 2]), bank="usual")

    assert store.kept.counts(store.bank("usual").id) == KeptCounts(views=2, vectors=2, keypoints=0)
    assert not keeping.sealer.has_key_file()


@pytest.mark.parametrize(
    ("of_bank", "asked", "kept"),
    [
        (ViewSet.FULL, None, ViewSet.FULL),
        (ViewSet.CROPS, None, ViewSet.CROPS),
        (ViewSet.NONE, None, ViewSet.NONE),
        (ViewSet.FULL, ViewSet.NONE, ViewSet.NONE),
        (ViewSet.NONE, ViewSet.CROPS, ViewSet.CROPS),
    ],
)
def test_the_banks_view_set_is_kept_unless_another_is_asked_for(
    tmp_path: Path, of_bank: ViewSet, asked: ViewSet | None, kept: ViewSet
):
    (path,) = written(tmp_path / "in", [1])
    with Store.initialise(f"sqlite:///{tmp_path / 'baken.sqlite3'}") as store:
        store.create_bank("all", Purpose.WATCH, radius_bits=31, verdict=Verdict.ALLOW, view_set=of_bank, actor="test")
        add(store, Keeping(Sealer(tmp_path / "none")), path, view_set=asked)
        (entry,) = store.entries("all")

    assert entry.view_count == len(bank_views(luma_of(path), kept).numbers)
    assert (entry.view_count > 0) == (kept is not ViewSet.NONE)


def test_the_vector_of_the_whole_picture_is_kept(store: Store, keeping: Keeping, tmp_path: Path):
    (path,) = written(tmp_path / "in", [1])
    network = keeping.describer.network()
    assert network is not None

    add(store, keeping, path)

    (entry,) = store.entries("all")
    made = store.kept.vectors_of([entry.id], network.model_sha256)[entry.id]
    expected = network.describe(luma_of(path), (WHOLE_VIEW,))
    assert made.views == (WHOLE_VIEW,)
    np.testing.assert_array_equal(made.values, expected.values)
    assert entry.has_vectors


def test_another_network_completes_an_entry_and_vectors_of_both_stand_beside_each_other(
    store: Store, keeping: Keeping, tmp_path: Path
):
    (path,) = written(tmp_path / "in", [1])
    add(store, keeping, path)
    other = Keeping(keeping.sealer, Describer(write_network(tmp_path / "own.onnx", side_px=16, id="own-2")))

    assert [add(store, other, path).completed, add(store, other, path).completed] == [1, 0]

    networks = [each.describer.network() for each in (keeping, other)]
    found = [store.kept.vectors_of([1], network.model_sha256)[1] for network in networks if network is not None]
    assert [each.values.shape[1] for each in found] == [1024, 256]
    assert [each.model_id for each in found] == ["flat-1", "own-2"]


def test_a_bank_without_views_keeps_no_vectors(store: Store, keeping: Keeping, tmp_path: Path):
    add(store, keeping, *written(tmp_path / "in", [1]), view_set=ViewSet.NONE)

    assert store.kept.counts(store.bank("all").id) == KeptCounts(views=0, vectors=0, keypoints=1)


def test_a_network_that_is_not_what_it_should_be_is_an_error_before_anything_is_added(
    store: Store, keeping: Keeping, tmp_path: Path
):
    model = write_network(tmp_path / "own.onnx", sha256="ab" * 32)

    with pytest.raises(ModelFileError, match=r"own\.onnx"):
        add(store, Keeping(keeping.sealer, Describer(model)), *written(tmp_path / "in", [1]))

    assert store.entries("all") == []


def test_pictures_done_in_worker_processes_are_kept_alike(store: Store, keeping: Keeping, tmp_path: Path):
    paths = written(tmp_path / "in", range(10))
    job = BankFingerprinter.exact(
        FileFingerprinter(), KeepPlan(ViewSet.CROPS, keypoints=True, describer=keeping.describer)
    )

    results = [result for _, result in in_order(job, [str(path) for path in paths], processes=2)]
    summary = add(store, keeping, tmp_path / "in")

    assert summary.added == 10
    assert store.kept.counts(store.bank("all").id) == KeptCounts(views=10, vectors=10, keypoints=10)
    assert all(getattr(result, "fingerprints").working_luma is None for result in results)  # noqa: B009 - of a Failure
    assert all(getattr(result, "keypoints") for result in results)  # noqa: B009
    assert all(getattr(result, "fingerprints").vectors is not None for result in results)  # noqa: B009


def test_a_file_that_a_list_gave_before_completes_its_entry(store: Store, keeping: Keeping, tmp_path: Path):
    paths = written(tmp_path / "in", [1, 2, 3])
    add(store, keeping, paths[2])
    add(store, keeping, paths[0], bank="usual", view_set=ViewSet.NONE)
    listed = store.entries("usual")[0]
    store.add_entries("all", [NewEntry(listed.fingerprints, "of a list")], ORIGIN, actor="test")

    first = add(store, keeping, *paths)
    second = add(store, keeping, *paths)

    assert (first.added, first.completed, first.held_count) == (1, 1, 1)
    assert (second.added, second.completed, second.held_count) == (0, 0, 3)
    assert [bool(each.view_count) and each.has_keypoints for each in store.entries("all")] == [True] * 3
    assert store.entries("all")[1].label == "of a list"


def test_a_bank_that_keeps_more_from_now_on_is_completed_by_adding_its_files_again(
    store: Store, keeping: Keeping, tmp_path: Path
):
    (path,) = written(tmp_path / "in", [1])
    add(store, keeping, path, bank="usual", view_set=ViewSet.CROPS)
    crops_count = store.entries("usual")[0].view_count
    store.change_bank("usual", keeps_keypoints=True, actor="test")

    assert add(store, keeping, path, bank="usual").completed == 1

    (entry,) = store.entries("usual")
    assert entry.view_count > crops_count
    assert entry.has_keypoints


def test_completing_counts_for_followers_at_once(store: Store, keeping: Keeping, tmp_path: Path):
    (path,) = written(tmp_path / "in", [1])
    add(store, keeping, path, view_set=ViewSet.NONE)
    seq = store.head_seq()

    add(store, keeping, path)

    (change,) = store.changes_since(seq)
    (chunk,) = store.kept.active_views(first_entry_id=change.first_entry_id or 0, last_entry_id=change.last_entry_id)
    assert set(chunk.entry_ids.tolist()) == {store.entries("all")[0].id}


def test_files_without_a_rich_picture_are_kept_as_fingerprints_alone(store: Store, keeping: Keeping, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "flat.png").write_bytes(encoded(draw_flat(1), "PNG"))
    (folder / "text.jpg").write_text("a text")

    assert add(store, keeping, folder).digests_only == {"low_quality": 1, "unknown_format": 1}

    assert [(each.view_count, each.has_keypoints) for each in store.entries("all")] == [(0, False)] * 2


def test_a_lost_key_stops_adding_and_is_not_replaced_unseen(store: Store, keeping: Keeping, tmp_path: Path):
    first, second = written(tmp_path / "in", [1, 2])
    add(store, keeping, first)
    keeping.sealer.key_path.unlink()

    with pytest.raises(SealKeyMissingError, match="sealed already") as raised:
        add(store, keeping, second)

    assert not keeping.sealer.has_key_file()
    assert len(store.entries("all")) == 1
    assert "--no-keep-keypoints" in raised.value.hint
    store.change_bank("all", keeps_keypoints=False, actor="test")
    store.change_bank("all", keeps_keypoints=True, actor="test")
    assert add(store, keeping, first, second).added == 1
    assert store.kept.counts(store.bank("all").id).keypoints == 2


def test_resealing_makes_an_old_key_needless(
    store: Store, keeping: Keeping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("baken.keeping._RESEALED_ENTRIES", 2)
    paths = written(tmp_path / "in", range(5))
    add(store, keeping, *paths[:3])
    before = {each: keeping.sealer.open(sealed) for each, sealed in store.kept.keypoints_of([1, 2, 3]).items()}
    key_file = keeping.sealer.key_path
    key_file.write_text("ab" * 32 + "\n" + key_file.read_text())
    add(store, keeping, *paths[3:])
    seq = store.head_seq()

    assert [keeping.reseal(store), keeping.reseal(store)] == [3, 0]

    key_file.write_text("ab" * 32)
    after = {each: keeping.sealer.open(sealed) for each, sealed in store.kept.keypoints_of([1, 2, 3, 4, 5]).items()}
    assert before.items() <= after.items()
    assert len(after) == 5
    assert store.head_seq() == seq


def test_resealing_stops_at_what_does_not_open_and_changes_nothing_of_it(
    store: Store, keeping: Keeping, tmp_path: Path
):
    add(store, keeping, *written(tmp_path / "in", [1]))
    sealed = store.kept.keypoints_of([1])
    keeping.sealer.key_path.write_text("ab" * 32)

    with pytest.raises(SealKeyUnknownError):
        keeping.reseal(store)

    assert store.kept.keypoints_of([1]) == sealed


def test_what_was_deleted_or_changed_meanwhile_is_not_resealed(store: Store, keeping: Keeping, tmp_path: Path):
    add(store, keeping, *written(tmp_path / "in", [1]))

    assert store.kept.reseal_keypoints({1: (b"what was there before", b"x"), 99: (b"y", b"z")}) == 0

    assert keeping.sealer.open(store.kept.keypoints_of([1])[1])


def test_nothing_that_is_kept_is_exported_and_what_is_imported_has_none(store: Store, keeping: Keeping, tmp_path: Path):
    add(store, keeping, *written(tmp_path / "in", [1]))
    for list_format in (ListFormat.CSV, ListFormat.LINES):
        text = io.StringIO()
        banking.export_entries(store, "all", text, list_format, actor="test")
        assert text.getvalue().count("\n") == (2 if list_format is ListFormat.CSV else 4)
        assert max(len(word) for word in text.getvalue().replace(",", " ").split()) <= 64
        path = tmp_path / f"list.{list_format}"
        path.write_text(text.getvalue())

    banking.import_list(
        store, KnownFollower(store), "usual", banking.ListSource(tmp_path / "list.csv"), ORIGIN, actor="test"
    )

    (entry,) = store.entries("usual", state=EntryState.ACTIVE)
    assert (len(entry.fingerprints), entry.view_count, entry.has_vectors, entry.has_keypoints) == (4, 0, False, False)


def test_an_entry_of_a_file_is_moved_to_no_other_bank_with_its_seal(store: Store, keeping: Keeping, tmp_path: Path):
    (path,) = written(tmp_path / "in", [1])
    add(store, keeping, path)
    store.change_bank("usual", keeps_keypoints=True, actor="test")
    add(store, keeping, path, bank="usual")

    places = [store.kept.keypoints_of([store.entries(bank)[0].id]).popitem()[1].place for bank in ("all", "usual")]

    assert places[0].sha256 == places[1].sha256
    assert places[0] != places[1]


def test_only_an_entry_with_the_files_digest_is_completed(store: Store, keeping: Keeping, tmp_path: Path):
    (path,) = written(tmp_path / "in", [1])
    pdq = Fingerprint(FingerprintKind.PDQ, bytes(32), 100)
    store.add_entries("all", [NewEntry((pdq,))], ORIGIN, actor="test")

    assert add(store, keeping, path).added == 1

    assert [each.view_count > 0 for each in store.entries("all")] == [False, True]
