"""`compute` and the workers' job: views and the working luma only for who asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from baken import samples
from baken.copies import WORKING_SIDE_PX, ViewSet
from baken.fingerprints import Asked, fingerprint
from baken.images import reduced
from baken.samples_files import encoded
from baken.workers import FileFingerprinter

JPEG = encoded(samples.draw(3), "JPEG", quality=90)


def test_nothing_more_is_computed_unless_it_is_asked():
    prints = fingerprint(JPEG)
    assert (prints.query_views, prints.bank_views, prints.working_luma) == (None, None, None)


def test_each_part_is_asked_by_itself():
    queried = fingerprint(JPEG, asked=Asked(query_views=True))
    assert queried.query_views is not None
    assert (queried.bank_views, queried.working_luma) == (None, None)
    banked = fingerprint(JPEG, asked=Asked(bank_views=ViewSet.CROPS))
    assert banked.bank_views is not None
    assert (banked.query_views, banked.working_luma) == (None, None)
    kept = fingerprint(JPEG, asked=Asked(working_luma=True))
    assert kept.working_luma is not None
    assert max(kept.working_luma.shape) == WORKING_SIDE_PX
    assert (kept.query_views, kept.bank_views) == (None, None)


def test_a_worker_computes_what_it_is_asked(tmp_path: Path):
    path = tmp_path / "picture.jpg"
    path.write_bytes(JPEG)
    job = FileFingerprinter(asked=Asked(query_views=True, bank_views=ViewSet.FULL, working_luma=True))
    prints = job(str(path)).fingerprints
    assert prints.query_views is not None
    assert prints.bank_views is not None
    assert prints.working_luma is not None


def test_a_file_without_a_picture_has_no_views():
    prints = fingerprint(b"words", asked=Asked(query_views=True, bank_views=ViewSet.FULL, working_luma=True))
    assert prints.unscreenable is not None
    assert (prints.query_views, prints.bank_views, prints.working_luma) == (None, None, None)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (7, 513), (1200, 1600), (512, 512), (511, 300)])
def test_a_reduced_picture_keeps_its_shape_and_its_brightness(shape: tuple[int, int]):
    luma = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    small = reduced(luma, WORKING_SIDE_PX)
    assert small.flags.c_contiguous
    assert max(small.shape) == min(max(shape), WORKING_SIDE_PX)
    scale = max(small.shape) / max(shape)
    assert all(abs(side - max(1, full * scale)) <= 0.5 for side, full in zip(small.shape, shape, strict=True))
    assert abs(float(small.mean()) - float(luma.mean())) < 2.0
