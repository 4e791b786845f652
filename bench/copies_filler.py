"""A bank as large as an operator's: a few real pictures, and many more that are made of what the real ones left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from baken import assemble, settings
from baken.copies import BankViews, Vectors
from baken.model import PDQ_BYTES, EntryState, Fingerprint, FingerprintKind, NewEntry, Provenance
from bench.baken_server import BANK

_BATCH_ENTRIES = 1_000
_QUALITY_PERCENT = 90


def fill_bank(path: Path, count: int, *, seed: int) -> int:
    """Add `count` entries to the bank of a data folder, and return how many codes of views they have.

    Each is made of a real entry of the bank: its codes are moved by one random mask, so that the views of a picture lie
    as near each other as real ones do and as far from every other picture as random codes; its vectors' values change
    places and signs. Keypoints are left out: only candidates need them.
    """
    with assemble.open_existing(settings.load({}, data_dir=path)) as baken:
        real = _real_entries(baken)
        code_count = 0
        for batch in _batches(real, count, np.random.default_rng(seed)):
            code_count += sum(len(entry.views.numbers) for entry in batch if entry.views is not None)
            baken.store.add_entries(BANK, batch, Provenance("bench", "bench"), actor="bench")
        baken.gate.known.refresh()
    return code_count


def _batches(real: Sequence[NewEntry], count: int, rng: np.random.Generator) -> Iterator[list[NewEntry]]:
    for first in range(0, count, _BATCH_ENTRIES):
        size = min(_BATCH_ENTRIES, count - first)
        yield [_made_of(real[int(rng.integers(len(real)))], rng) for _ in range(size)]


def _made_of(entry: NewEntry, rng: np.random.Generator) -> NewEntry:
    mask = rng.integers(0, 256, PDQ_BYTES, dtype=np.uint8)
    whole = np.frombuffer(entry.fingerprints[0].value, np.uint8) ^ mask
    return replace(
        entry,
        fingerprints=(Fingerprint(FingerprintKind.PDQ, whole.tobytes(), _QUALITY_PERCENT),),
        views=None if entry.views is None else BankViews(entry.views.numbers, entry.views.codes ^ mask),
        vectors=None if entry.vectors is None else _moved(entry.vectors, rng),
    )


def _moved(vectors: Vectors, rng: np.random.Generator) -> Vectors:
    dims = vectors.values.shape[1]
    signs = rng.choice(np.array([-1, 1], np.int8), dims)
    return replace(vectors, values=np.ascontiguousarray(vectors.values[:, rng.permutation(dims)] * signs))


def _real_entries(baken: assemble.Baken) -> list[NewEntry]:
    """The bank's entries with what is kept of them, keypoints left out."""
    ids = [entry.id for entry in baken.store.entries(BANK, limit=100_000, state=EntryState.ACTIVE)]
    views = baken.store.kept.entry_views_of(ids)
    codes = baken.store.kept.codes_of(FingerprintKind.PDQ, ids)
    vectors = _vectors_of(baken, ids)
    return [
        NewEntry(
            (Fingerprint(FingerprintKind.PDQ, codes[each], _QUALITY_PERCENT),),
            views=kept.views,
            vectors=vectors.get(each),
            width_px=kept.width_px,
            height_px=kept.height_px,
        )
        for each, kept in views.items()
        if each in codes
    ]


def _vectors_of(baken: assemble.Baken, ids: Sequence[int]) -> dict[int, Vectors]:
    """Their vectors, where this installation has a network."""
    network = baken.keeping.describer.network()
    return {} if network is None else baken.store.kept.vectors_of(ids, network.model_sha256)
