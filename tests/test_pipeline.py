"""The whole flow on drawn pictures: every altered copy is found, nothing unchecked is clear, nothing is guessed."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from baken import decisions, fingerprints, pipeline, samples
from baken.errors import InvalidValueError, NotReadyError
from baken.known import KnownFollower
from baken.model import (
    DEFAULT_VERDICTS,
    BankState,
    EntryState,
    Finding,
    Fingerprint,
    FingerprintKind,
    Idempotency,
    ItemMeta,
    NewEntry,
    Provenance,
    Purpose,
    Screening,
    Transform,
    UnscreenableReason,
    Verdict,
)
from baken.pipeline import Gate
from baken.store import Store

PROVENANCE = Provenance("test", "alice")
TURNS = {
    Transform.IDENTITY: (),
    Transform.ROTATED_90: (Image.Transpose.ROTATE_270,),  # Pillow turns counter-clockwise
    Transform.ROTATED_180: (Image.Transpose.ROTATE_180,),
    Transform.ROTATED_270: (Image.Transpose.ROTATE_90,),
    Transform.MIRRORED: (Image.Transpose.FLIP_LEFT_RIGHT,),
    Transform.MIRRORED_ROTATED_90: (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_270),
    Transform.MIRRORED_ROTATED_180: (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180),
    Transform.MIRRORED_ROTATED_270: (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90),
}


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def bank_picture(store: Store, bank: str, data: bytes, purpose: Purpose = Purpose.KNOWN_ABUSE) -> int:
    store.create_bank(bank, purpose, radius_bits=31, verdict=DEFAULT_VERDICTS[purpose], actor="alice")
    computed = fingerprints.fingerprint(data)
    entry = NewEntry((Fingerprint(FingerprintKind.PDQ, computed.pdq or b""), *computed.digests()))
    return store.add_entries(bank, [entry], PROVENANCE, actor="alice")[0]


def screen(store: Store, data: bytes, gate: Gate | None = None) -> Screening:
    return pipeline.screen(data, ItemMeta(item_ref="i"), gate or Gate(KnownFollower(store)), store)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return samples.draw(1)


def test_every_altered_copy_is_matched_and_recorded(store: Store, picture: Image.Image):
    entry_id = bank_picture(store, "known", jpeg(picture))
    for name, _suffix, data in samples.altered_copies(picture):
        screening = screen(store, data)
        assert [match.entry_id for match in screening.outcome.matches] == [entry_id], name
        assert screening.outcome.verdict is Verdict.BLOCK, name
        assert store.screening(screening.id).outcome == screening.outcome


@pytest.mark.parametrize("transform", Transform)
def test_the_transform_says_what_was_done_to_the_banked_picture(
    store: Store, picture: Image.Image, transform: Transform
):
    bank_picture(store, "known", jpeg(picture))
    turned = picture
    for turn in TURNS[transform]:
        turned = turned.transpose(turn)
    [match] = screen(store, jpeg(turned, quality=80)).outcome.matches
    assert match.transform is transform
    assert match.distance_bits <= 10


def test_every_broken_file_is_unscreenable_and_held(store: Store):
    for name, data in samples.broken_files():
        outcome = screen(store, data).outcome
        assert (outcome.finding, outcome.verdict) == (Finding.UNSCREENABLE, Verdict.HOLD), name
        assert outcome.reason in set(UnscreenableReason), name


def test_a_broken_file_whose_digest_is_known_is_matched(store: Store, picture: Image.Image):
    truncated = jpeg(picture)[:1000]
    computed = fingerprints.fingerprint(truncated)
    store.create_bank("known", Purpose.KNOWN_ABUSE, radius_bits=31, verdict=Verdict.BLOCK, actor="alice")
    store.add_entries("known", [NewEntry(computed.digests()[-1:])], PROVENANCE, actor="alice")
    outcome = screen(store, truncated).outcome
    assert (outcome.finding, outcome.matches[0].kind) == (Finding.MATCHED, FingerprintKind.MD5)


def test_a_flat_picture_is_low_quality_allowed_and_not_clear(store: Store):
    outcome = screen(store, jpeg(samples.draw_flat(1))).outcome
    assert (outcome.finding, outcome.verdict, outcome.reason) == (
        Finding.UNSCREENABLE,
        Verdict.ALLOW,
        UnscreenableReason.LOW_QUALITY.value,
    )


def test_an_unrelated_picture_is_clear(store: Store, picture: Image.Image):
    bank_picture(store, "known", jpeg(picture))
    assert screen(store, jpeg(samples.draw(2))).outcome == decisions.decide(None, [], decisions.Policy())


def test_a_benign_copy_of_the_same_picture_is_clear_and_named(store: Store, picture: Image.Image):
    bank_picture(store, "known", jpeg(picture, 60))
    benign_id = bank_picture(store, "benign", jpeg(picture), Purpose.BENIGN)
    outcome = screen(store, jpeg(picture)).outcome
    assert (outcome.finding, outcome.reason) == (Finding.CLEAR, f"benign:benign/{benign_id}")
    assert len(outcome.suppressed) == 1


def test_an_own_photo_bank_holds_and_never_blocks(store: Store, picture: Image.Image):
    bank_picture(store, "family", jpeg(picture), Purpose.OWN_PHOTO)
    assert screen(store, jpeg(picture)).outcome.verdict is Verdict.HOLD
    with pytest.raises(InvalidValueError, match="own_photo"):
        store.create_bank("other", Purpose.OWN_PHOTO, radius_bits=31, verdict=Verdict.BLOCK, actor="alice")


@pytest.mark.parametrize("what", ["bank", "entry"])
def test_what_is_paused_counts_no_more_on_the_very_next_screening(store: Store, picture: Image.Image, what: str):
    entry_id = bank_picture(store, "known", jpeg(picture))
    gate = Gate(KnownFollower(store))
    assert screen(store, jpeg(picture), gate).outcome.finding is Finding.MATCHED
    if what == "bank":
        store.set_bank_state("known", BankState.PAUSED, actor="alice", reason="test")
    else:
        store.set_entry_states("known", [entry_id], EntryState.PAUSED, actor="alice", reason="test")
    assert screen(store, jpeg(picture), gate).outcome.finding is Finding.CLEAR


def test_an_idempotent_repeat_gives_the_first_screening(store: Store, picture: Image.Image):
    gate = Gate(KnownFollower(store))
    token = Idempotency("key_1", "retry-1", bytes(32))
    first = pipeline.screen(jpeg(picture), ItemMeta(), gate, store, idempotency=token)
    bank_picture(store, "known", jpeg(picture))
    again = pipeline.screen(jpeg(picture), ItemMeta(), gate, store, idempotency=token)
    assert (again.id, again.outcome.finding) == (first.id, Finding.CLEAR)


@pytest.fixture
def closed_store(store: Store) -> Store:
    store.close()
    return store


def test_a_store_that_cannot_be_read_is_an_error_and_never_clear(closed_store: Store, picture: Image.Image):
    with pytest.raises(NotReadyError):
        screen(closed_store, jpeg(picture))


def test_a_screening_that_cannot_be_recorded_is_not_answered(store: Store, picture: Image.Image):
    gate = Gate(KnownFollower(store))
    gate.known.refresh()
    store.close()
    with pytest.raises(NotReadyError):
        screen(store, jpeg(picture), gate)


def test_screening_ids_sort_by_time():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [pipeline.new_screening_id(start + timedelta(milliseconds=step)) for step in range(200)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
